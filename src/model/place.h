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
	uint8_t of;           /* enum frame_of; 0: by its name */
	const char *in;       /* the library's function that it has called there; NULL: none */
};

/* Both known, and the same line of the same function and file; `in` is no part of it. */
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

/* "main.(*Shop).notify (notify.go:41)" for a sentence, "…, in bytes.growSlice" behind the line;
 * names shortened to WORDS_FUNCTION_COLUMNS.  Returns out (>= WORDS_PLACE_MAX bytes). */
char *words_place(const struct place *p, char *out, size_t size);

/* "shop.(*Hub).Run hub.go:41" for a table, "bytes.growSlice < shop.(*Hub).Run hub.go:41":
 * without the paths of packages.  Not shortened to columns, the table does that. */
char *words_place_short(const struct place *p, char *out, size_t size);

/*
 * The user's place in a stack, by the one rule of gobin/frames.h: the main module's innermost
 * frame, else another module's; `in` is what it has called of a library.  With std also where
 * all of it is the standard library's (the outermost), and `in` of that, too.
 * False when there is no such frame; *out is then empty.
 */
bool place_of_lines(const struct place *const *line, int n, bool std, struct place *out);
/* Index of that frame, the standard library's included, or -1. */
int place_pick(const struct place *const *line, int n);

/*
 * The same of pcs, without the standard library.  Run-time, innermost first: return addresses;
 * first_is_pc: the first one is where it stands.  What is at a pc is remembered (gobin/pclntab).
 */
bool place_of_pcs(struct goruntime *rt, const uint64_t *pcs, int npcs, bool first_is_pc,
		  struct place *out);
/* Where the function at a link-time address begins; false: there is none. */
bool place_of_entry(struct gobin *gb, uint64_t entry, struct place *out);

#endif
