/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Statements of database/sql and pgx that probes saw in a window, by the place that calls: from
 * when one has its connection to its rows or result.  Without their text.
 */
#ifndef GOSPECT_SQL_STATEMENTS_H
#define GOSPECT_SQL_STATEMENTS_H

#include "model/look.h"
#include "sql/window.h"

#define STATEMENTS_MAX 1000 /* places; beyond: the row "other" */

/* The difference of the two readings; most statements first.  0 or -ENOMEM. */
int statements_fill(const struct look *l, struct sql_window *out);
void statements_cover(const struct look *l, struct window *w);

#endif
