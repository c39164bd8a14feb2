/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network of a process as its memory shows it: requests under way and the
 * phase they are in, connections and who left their bodies unread, servers and
 * their handlers; joined with what probes counted.
 *
 * A look reads what the stacks of goroutines lead to; structures are checked
 * against each other before they are believed (a connection's reader must
 * point back to it, a context's type must be known), and what does not fit is
 * left out and counted.  Kept between looks: since when each request and each
 * unread body is there.
 */
#ifndef GOSPECT_NET_WATCH_H
#define GOSPECT_NET_WATCH_H

#include "net/window.h"
#include "gort/gostacks.h"

struct gotypes;
struct trace;
struct trace_reading;
struct netwatch;

/* Borrowed for the netwatch's life.  -EOPNOTSUPP: what net/http needs is not
 * known of this release (netwatch_why()); -ENOMEM. */
int netwatch_new(struct netwatch **out, struct goruntime *rt, struct gotypes *types);
void netwatch_free(struct netwatch *nw); /* NULL is fine */

/* The stacks that gs reads next are those of the next look: it hears of each while its bytes are at hand. */
void netwatch_listen(struct netwatch *nw, struct gostacks *gs);
/*
 * One look: a walk, and the stacks of its goroutines, which gostacks_read() has
 * just read.  trace may be NULL; now_ns is our monotonic clock.
 * 0, -ESRCH, -EPERM, -ENOMEM.
 */
int netwatch_look(struct netwatch *nw, const struct gowalk *walk, const struct gostacks *gs,
		  struct trace *trace, uint64_t now_ns);

/* A window begins: what the latest look saw is its start. */
void netwatch_begin_window(struct netwatch *nw);

struct netwatch_probes {
	bool calls;    /* calls of http.Client are counted */
	bool handlers; /* so are handlers of servers */
	bool grpc;
	bool phases;                       /* phases are counted at all */
	bool requests_sliced, rare_sliced; /* in this window */
	double requests_rate, rare_rate;   /* shares of the window, 0..1 */
};
/*
 * Fills the window from the latest look, which the walk, gs and stack_of given
 * here were of, and from two readings (NULL: no probes).  Reads the stacks of
 * goroutines once more where a body seems to be left alone: may it be that one
 * holds it.  0, -ESRCH, -EPERM, -ENOMEM.
 */
int netwatch_fill(struct netwatch *nw, const struct gowalk *walk, const struct gostacks *gs,
		  const uint32_t *stack_of, struct trace *trace, const struct trace_reading *base,
		  const struct trace_reading *now, const struct netwatch_probes *probes,
		  struct net_window *out);

/* What could not be read, or did not fit, since the observation began. */
uint64_t netwatch_losses(const struct netwatch *nw);
/* Why some of it is not known ("" when all is); static or of nw. */
const char *netwatch_why(const struct netwatch *nw);

#endif
