/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences on lines of a width. */
#ifndef GOSPECT_REPORT_WRAP_H
#define GOSPECT_REPORT_WRAP_H

#include "base/buf.h"

/*
 * Appends text (foreign: it is cleaned; NULL is ""), broken at spaces, and a newline.
 * `used` columns of the first line are taken already; further lines begin with
 * `indent` spaces; none is wider than `width`.  After max_lines (0: any number)
 * the rest is "…".  A word too long for a line loses its middle.  Returns the
 * number of lines.
 */
int wrap_text(struct buf *out, const char *text, int used, int indent, int width, int max_lines);
/* A newline, without spaces before it. */
void wrap_end_line(struct buf *out);

#endif
