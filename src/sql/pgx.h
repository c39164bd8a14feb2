/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools of pgxpool (github.com/jackc/pgx/v5), which are no database/sql: each is
 * found by its health check's goroutine, and read by the names of fields in
 * the program's own descriptions of the types.  Knows no layout of theirs.
 */
#ifndef GOSPECT_SQL_PGX_H
#define GOSPECT_SQL_PGX_H

#include "model/look.h"
#include "sql/window.h"

struct pgxpools;

#define PGXPOOLS_MAX 64 /* pools; beyond: counted as not read */

/* Whether it is linked. */
bool pgxpools_linked(const struct look *l);
/* 0 or -ENOMEM. */
int pgxpools_new(struct pgxpools **out, const struct look *l);
void pgxpools_free(struct pgxpools *p); /* NULL is fine */
/* 0, -ESRCH or -ENOMEM. */
int pgxpools_look(struct pgxpools *p, const struct look *l);
/* Adds what the latest look saw: 0 or -ENOMEM. */
int pgxpools_fill(const struct pgxpools *p, struct sql_window *out);
/* Why not all of it could be read; "" when it was. */
const char *pgxpools_why(const struct pgxpools *p);

#endif
