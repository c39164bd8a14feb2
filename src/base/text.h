/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names from the target, as people may safely read them.
 *
 * Function, file and module names are foreign bytes: a hostile executable can
 * put terminal escapes, bidirectional overrides, broken UTF-8 or 100 KB into
 * them.  What leaves here is valid UTF-8 of a known width in columns, without
 * control, format or combining characters (shown as \x1b, \u202e), with
 * U+FFFD for broken bytes, and cut in the middle with "…" where it is too
 * long.  Knows nothing of terminals or output formats.
 */
#ifndef GOSPECT_BASE_TEXT_H
#define GOSPECT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest function name in a sentence, in columns. */
#define WORDS_FUNCTION_COLUMNS 56
/* A buffer for one place in a sentence. */
#define WORDS_PLACE_MAX 560

/*
 * The length in bytes (1 to 4) of the character at s (not at the end of the
 * string) and its code point.  A byte that begins no valid sequence has
 * length 1 and code point -1; shorter than its sequence, overlong forms and
 * surrogates are not valid.
 */
size_t utf8_next(const char *s, int32_t *code);

/* Columns that s takes once cleaned, at most INT_MAX. */
int words_columns(const char *s);

/*
 * s cleaned, in at most `columns` columns and `size` bytes with the NUL: what
 * is too long loses its middle (more is kept of the end than of the beginning:
 * names differ there).  Returns out.  s may be NULL: "".
 */
char *words_fit(const char *s, int columns, char *out, size_t size);

/* As words_fit(), but what is too long loses its beginning: for "function
 * file:line" and paths. */
char *words_fit_end(const char *s, int columns, char *out, size_t size);

/* Frames of a stack, "a < b < c": what is too long loses whole ones, the last or, with
 * `end`, the first, as long as one is left; that one is cut as by the functions above. */
char *words_fit_frames(const char *s, int columns, bool end, char *out, size_t size);

#endif
