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
#include "model/look.h"

struct gotypes;
struct netwatch;

/* Borrowed for the netwatch's life.  -EOPNOTSUPP: what net/http needs is not
 * known of this release (netwatch_why()); -ENOMEM. */
int netwatch_new(struct netwatch **out, struct goruntime *rt, struct gotypes *types);
void netwatch_free(struct netwatch *nw); /* NULL is fine */

/* The stacks that gs reads next are those of the next look: frames are observed while their bytes
 * are at hand. */
void netwatch_observe_frames(struct netwatch *nw, struct gostacks *gs);
/*
 * One look: a walk, the stacks of its goroutines, which gostacks_read() has just
 * read, and what is under way, which was read behind them.  What could not be
 * read, or did not fit, is a loss.  0, -ESRCH, -EPERM, -ENOMEM.
 */
int netwatch_look(struct netwatch *nw, const struct look *look);

/* A window begins: what the latest look saw is its start. */
void netwatch_begin_window(struct netwatch *nw);

struct netwatch_probes {
	bool calls;         /* calls of http.Client are counted */
	bool handlers;      /* so are handlers of servers … */
	bool routes, funcs; /* … those a mux has chosen; of these only http.HandlerFuncs */
	bool grpc, streams; /* gRPC clients' calls; its servers' streams */
	bool phases;        /* phases are counted at all */
	bool requests_sliced, rare_sliced; /* in this window */
	double requests_rate, rare_rate;   /* shares of the window, 0..1 */
};
/*
 * Fills the window from the latest look, whose walk and stacks are given again,
 * and from two readings (NULL: no probes).  Reads the stacks of goroutines once
 * more where a body seems to be left alone: whether a goroutine may hold it.
 * 0, -ESRCH, -EPERM, -ENOMEM.
 */
int netwatch_fill(struct netwatch *nw, const struct look *look,
		  const struct netwatch_probes *probes, struct net_window *out);

/* Why some of it is not known ("" when all is); static or of nw. */
const char *netwatch_why(const struct netwatch *nw);

#endif
