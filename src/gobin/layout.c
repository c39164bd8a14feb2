/* SPDX-License-Identifier: BSD-2-Clause */
#include "gobin/layout.h"

#include <stddef.h>
#include <string.h>

#include "gobin/layout_table.h"

static const char *const field_names[LAYOUT_COUNT] = {
/* The size of a type has the path "" and goes by the type's own name. */
#define FIELD(id, type, path, ...) [LAYOUT_##id] = sizeof(path) > 1 ? type "." path : type,
#include "gobin/layout_fields.def"
#undef FIELD
};

static int release_cmp(int minor, int patch, const struct go_release *r)
{
	if (minor != r->minor)
		return minor < r->minor ? -1 : 1;
	return patch < r->patch ? -1 : patch > r->patch;
}

/*
 * Whether a row is not newer than the release.  A release candidate or tip
 * has no patch number (-1): it has what the first release of its minor had.
 */
static bool row_applies(const struct layout *row, const struct go_release *r)
{
	struct go_release at = { r->minor, r->patch < 0 ? 0 : r->patch };

	return release_cmp(row->minor, row->patch, &at) <= 0;
}

/* The first row of a minor release also stands for patches before it, in a
 * table that was made without them. */
static bool row_is_first_of_minor(const struct layout *row, const struct layout *best,
				  const struct go_release *r)
{
	return row->minor == r->minor && (!best || best->minor != r->minor);
}

const struct layout *layout_find(const char *arch, const struct go_release *r, bool *newer)
{
	const struct layout *best = NULL;

	*newer = false;
	for (int i = 0; i < layout_nrows; i++) {
		const struct layout *row = &layout_rows[i];

		if (strcmp(row->arch, arch))
			continue;
		if (row_applies(row, r) || row_is_first_of_minor(row, best, r))
			best = row;
	}
	if (best)
		*newer = release_cmp(layout_newest.minor, layout_newest.patch, r) < 0;
	return best;
}

bool layout_has(const struct layout *l, const enum layout_field *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (layout_off(l, f[i]) < 0)
			return false;
	return true;
}

const char *layout_field_name(enum layout_field f)
{
	if ((unsigned int)f >= LAYOUT_COUNT)
		return "?";
	return field_names[f];
}

const char *layout_wait_reason(const struct layout *l, unsigned int reason)
{
	if (reason >= (unsigned int)l->n_wait_reason)
		return NULL;
	return l->wait_reason[reason];
}
