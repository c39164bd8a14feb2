/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files that write the HTML report share. */
#ifndef GOSPECT_REPORT_HTML_H
#define GOSPECT_REPORT_HTML_H

#include "base/buf.h"

struct net_window;

/* Doctype to the policy that nothing is loaded from anywhere; then, after a title, the style,
 * which is left open ("</style></head><body>" ends it). */
extern const char html_head[], html_style[];

/* Foreign text, without control and format characters, and escaped, at most columns wide. */
void html_text(struct buf *out, const char *before, const char *s, int columns, const char *after);

struct findings;
struct grid;

void html_findings(const struct findings *fs, struct buf *out);
/* A table as it is printed in text: its cells are clean already. */
void html_table(const struct grid *t, struct buf *out);

/* waterfall.c: for each host the phases of its slowest request, the medians, and what failed. */
extern const char waterfall_style[];
void html_waterfall(struct buf *out, const struct net_window *n);

#endif
