/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pools of database/sql as memory shows them, and who holds their
 * connections: probes that saw them taken, else the stacks of those that are
 * in a call, a transaction or a result just now.
 *
 * A pool is found by its connectionOpener goroutine, a transaction by its
 * awaitDone.  Kept between looks: since when each connection, transaction and
 * waiter is there.
 */
#ifndef GOSPECT_SQL_POOLS_H
#define GOSPECT_SQL_POOLS_H

#include "sql/window.h"
#include "gort/gostacks.h"
#include "model/look.h"

struct gotypes;
struct sqlpools;

#define SQLPOOLS_MAX         256  /* pools; beyond: counted as not read */
#define SQLPOOLS_MAX_QUERIES 1000 /* places that call; beyond: counted as no room */
#define SQLPOOLS_MAX_HOLDERS 1000 /* rows of one pool; beyond: left out, fewest connections first */

/* Borrowed for the life of it.  -EOPNOTSUPP: database/sql of this release is not
 * known; -ENOMEM.  A program without database/sql is fine: no pools. */
int sqlpools_new(struct sqlpools **out, struct goruntime *rt, struct gotypes *types);
void sqlpools_free(struct sqlpools *p); /* NULL is fine */

/*
 * One look: a walk, the stacks of its goroutines, and what is under way.  What
 * could not be read, or has no room, is a loss.  0, -ESRCH, -EPERM, -ENOMEM.
 */
int sqlpools_look(struct sqlpools *p, const struct look *look);
/* What the latest look saw is the start of a window. */
void sqlpools_begin(struct sqlpools *p);
/* What the latest look saw: 0 or -ENOMEM. */
int sqlpools_fill(const struct sqlpools *p, struct sql_window *out);

/* What is missing from the latest look, one sentence; "" when nothing is. */
const char *sqlpools_why(const struct sqlpools *p);

#endif
