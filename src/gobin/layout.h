/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the runtime of each Go release keeps its fields.
 *
 * layout_fields.def lists what gospect reads; tools/gen-layout builds every
 * release, reads its DWARF and writes layout_table.c.  The values are a
 * proposal: src/target verifies them against the live process before use.
 */
#ifndef GOSPECT_GOBIN_LAYOUT_H
#define GOSPECT_GOBIN_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct go_release;

/* LAYOUT_G_GOID, …: one per line of layout_fields.def. */
enum layout_field {
#define FIELD(id, type, path, ...) LAYOUT_##id,
#include "gobin/layout_fields.def"
#undef FIELD
	LAYOUT_COUNT
};

#define LAYOUT_ABSENT      (-1)
#define LAYOUT_MAX_REASONS 256 /* g.waitreason is a byte */
#define LAYOUT_MAX_REASON  64  /* bytes of one, the NUL included */

struct layout {
	const char *arch; /* "amd64", "arm64" */
	int minor, patch; /* first release with this row */
	const int32_t
		*off; /* [LAYOUT_COUNT], bytes; LAYOUT_ABSENT when the release has no such field */
	const char *const *wait_reason; /* [n_wait_reason], as the goroutine dump words them */
	int n_wait_reason;
	uint8_t func_id_wrapper, func_id_goexit, func_id_systemstack, func_id_mcall,
		func_id_sigpanic, func_id_morestack, func_id_asyncpreempt;
};

/*
 * The row for a release: the newest row not newer than it.  *newer is set when
 * the release is beyond the newest one of the table.  NULL before 1.18 or for
 * an architecture without rows.
 */
const struct layout *layout_find(const char *arch, const struct go_release *r, bool *newer);

static inline int32_t layout_off(const struct layout *l, enum layout_field f)
{
	return l->off[f];
}

/* Whether it knows all of n fields. */
bool layout_has(const struct layout *l, const enum layout_field *f, size_t n);

/* "runtime.g.goid"; static. */
const char *layout_field_name(enum layout_field f);
/* The wait reason's words, or NULL when the number is not one. */
const char *layout_wait_reason(const struct layout *l, unsigned int reason);

#endif
