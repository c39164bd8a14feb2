/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pools of database/sql as memory shows them, and who keeps their
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

struct gotypes;
struct trace;
struct sqlpools;

#define SQLPOOLS_MAX         256  /* pools; beyond: counted as not read */
#define SQLPOOLS_MAX_HOLDERS 1000 /* rows of one pool; beyond: left out, fewest connections first */

/* Borrowed for the life of it.  -EOPNOTSUPP: database/sql of this release is not
 * known; -ENOMEM.  A program without database/sql is fine: no pools. */
int sqlpools_new(struct sqlpools **out, struct goruntime *rt, struct gotypes *types);
void sqlpools_free(struct sqlpools *p); /* NULL is fine */

/*
 * One look: a walk, and the stacks of its goroutines as gostacks_read() has
 * filled stack_of[walk->n].  trace may be NULL; now_ns is our monotonic clock.
 * 0, -ESRCH, -EPERM, -ENOMEM.
 */
int sqlpools_look(struct sqlpools *p, const struct gowalk *walk, const struct gostacks *gs,
		  const uint32_t *stack_of, struct trace *trace, uint64_t now_ns);
/* What the latest look saw: 0 or -ENOMEM. */
int sqlpools_fill(const struct sqlpools *p, struct sql_window *out);

/* Pools that could not be read, since the observation began. */
uint64_t sqlpools_losses(const struct sqlpools *p);
/* What is missing from the latest look, one sentence; "" when nothing is. */
const char *sqlpools_why(const struct sqlpools *p);

#endif
