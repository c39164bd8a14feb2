/* SPDX-License-Identifier: BSD-2-Clause */
/* What race_words_named() is made of; private to src/race. */
#ifndef GOSPECT_RACE_NAMED_H
#define GOSPECT_RACE_NAMED_H

#include <stdbool.h>
#include <stdint.h>

#include "race/words.h"

struct image;

/* A variable of the symbol table, link-time. */
struct symbol {
	uint64_t addr, size;
	size_t len; /* of its name */
};

/*
 * The longest name of a variable that `what` begins with, and that ends there or before one of
 * ".+-:" (a field, an offset, a pointer followed, a length).  0; -ENOENT: none; -EOPNOTSUPP:
 * the file has no symbol table.
 */
int symbol_find(struct image *im, const char *what, struct symbol *out);

/* Names words that have no name by the symbol they lie in, "main.all+8", where there is a table:
 * 0, -ENOMEM, or a failure to read. */
int symbols_name(struct image *im, uint64_t bias, struct race_words *l);

/*
 * Adds the words that instructions of a line store to: path is the end of a source file's
 * ("main.go", "shop/main.go").  0, or what accesses_find() said; none found: nothing is added.
 */
/* … and the elements that it appends to variables: behind their length. */
int race_words_of_append(struct race_words *l, struct goruntime *rt, const char *path, int line);
/* Whether one of the functions that an instruction is inlined from is at the line. */
bool line_has(struct goruntime *rt, uint64_t text_addr, const char *path, int line);
int race_words_of_line(struct race_words *l, struct goruntime *rt, const char *path, int line);
/* Whether what a variable (run-time address) points to is a map or a channel, as the code
 * shows.  0, or what accesses_find() said. */
int race_words_owned(struct goruntime *rt, uint64_t variable, bool *owned);

#endif
