/* SPDX-License-Identifier: BSD-2-Clause */
/* A place in the program's source, and how it is worded. */
#ifndef GOSPECT_MODEL_PLACE_H
#define GOSPECT_MODEL_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gort/goruntime.h"

struct place {
	const char *function; /* "main.(*Server).notify"; NULL: no place */
	const char *file;     /* "notify.go" */
	const char *path;     /* as the compiler recorded it; may be NULL */
	int line;             /* 0: not known */
};

/* Both known, and the same line of the same function and file. */
bool place_equal(const struct place *a, const struct place *b);
/* A place in a hash map: equal places have equal keys; one without a function has its own. */
struct place_key {
	uint64_t function, file, line;
};
struct place_key place_key(const struct place *p);
/* The very same strings and line: quick, but two that are not may be equal. */
static inline bool place_is(const struct place *a, const struct place *b)
{
	return a->function == b->function && a->file == b->file && a->line == b->line;
}
/* A frame as a place; strings borrowed from the frame's pclntab. */
struct place place_of_frame(const struct goframe *f);

/* "main.(*Shop).notify (notify.go:41)" for a sentence; the name shortened to
 * WORDS_FUNCTION_COLUMNS.  Returns out (>= WORDS_PLACE_MAX bytes). */
char *words_place(const struct place *p, char *out, size_t size);

/* "shop.(*Hub).Run hub.go:41" for a table: without the path of the package.
 * Not shortened to columns, the table does that. */
char *words_place_short(const struct place *p, char *out, size_t size);

/*
 * The user's place in a stack: the innermost frame that is the program's own or
 * another module's, not the standard library's (net, net/http, database/sql,
 * context, …, nor what passes bytes on: io, encoding), nor golang.org/x/net/http2's,
 * nor made by the compiler.
 *
 * pcs run-time, innermost first: return addresses; first_is_pc: the first one is
 * where it stands.  False when there is no such frame; *out is then empty.
 * What is at a pc is remembered (gobin/pclntab).
 */
bool place_of_pcs(struct goruntime *rt, const uint64_t *pcs, int npcs, bool first_is_pc,
		  struct place *out);

#endif
