/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files that fill a window's tables, one a file. */
#ifndef GOSPECT_NET_FILL_H
#define GOSPECT_NET_FILL_H

#include <stdio.h>

#include "model/age.h"
#include "net/priv.h"
#include "trace/trace.h"

#define FILL_MAX_ROWS 10000 /* of one table; beyond: the row "other" */

/* Durations, from probes' histograms. */
struct times {
	struct trace_hist hist;
	uint64_t max_ns;
};

struct row_times {
	struct times *now, *before; /* owned; of the window, and before it; NULL: none */
	double total, seen, margin; /* what samples add up to */
	struct trace_sample failed; /* … of those that failed; no share */
};

/* Rows by key, each with its times. */
struct rowset {
	struct bytesmap index;
	uint8_t *row;            /* owned until taken */
	struct row_times *times; /* owned */
	size_t n, cap, times_cap, size;
	size_t other; /* index + 1 of the rest; 0 none */
};

void rowset_init(struct rowset *s, size_t size);
/* The row of a key, zeroed when *made.  *other: there is no more room, it is
 * the row of the rest.  NULL: no memory. */
void *rowset_put(struct rowset *s, const void *key, size_t len, bool *made, bool *other);
struct row_times *rowset_times(const struct rowset *s, const void *row);
/* Median and the like of the row's times in the window, where there are any; *timed: of how many. */
void rowset_percentiles(const struct rowset *s, const void *row, uint64_t *timed, uint64_t *p50,
			uint64_t *p99, uint64_t *max);
/* Ends it: the window gets the rows (*rows is a pointer to them) in that order, NULL: as they
 * came; none where err is not 0.  Returns err. */
int rowset_take(struct rowset *s, int err, void *rows, int *n,
		int (*order)(const void *, const void *));

struct fill {
	struct netwatch *nw;
	const struct look *look;
	const struct trace_reading *base, *now; /* NULL: no probes */
	const struct netwatch_probes *p;
	struct net_window *out;
	struct bytesmap base_call; /* key of a call -> index in base */
	bool recent; /* base is of before the window: the largest since is not known */
};

/* The number of a row's host, below nw->nhost. */
uint32_t fill_host_number(const struct fill *f, const char *host);
double fill_age_s(const struct fill *f, uint64_t start_ns);
/* Likewise, and how it is known; a bound of nothing is AGE_UNKNOWN. */
double fill_age(const struct fill *f, uint64_t start_ns, enum age_kind of, enum age_kind *kind);
void fill_host(const struct fill *f, uint32_t host, char out[WINDOW_MAX_HOST + 1]);
uint64_t fill_scaled(uint64_t n, bool sampled, double rate);

void fill_exactness(bool sampled, double rate, enum exactness *exactness, double *row_rate);
/* The oldest of several, whose ages come one after the other. */
void fill_oldest(const struct fill *f, uint64_t start_ns, enum age_kind of, double *oldest_s,
		 enum age_kind *oldest_age);

/* A histogram that is added; *to is made when it has any.  0 or -ENOMEM. */
int fill_add_times(struct times **to, const struct trace_hist *now, const struct trace_hist *base,
		   uint64_t max_ns);

/* A call that began, failed or ended in the window. */
struct fill_call {
	const struct trace_call *call;
	uint64_t begun, errors; /* in the window, scaled */
	uint64_t margin;        /* of begun */
	uint64_t errors_margin; /* of errors */
};
/* Counts all of a kind; row() has the row of one, NULL: no memory.  0 or -ENOMEM. */
int fill_calls(struct fill *f, struct rowset *s, enum call_kind kind,
	       void *(*row)(struct fill *f, struct rowset *s, const struct fill_call *c));

/* A body that a goroutine holds, and does not read just now: its request goes on. */
bool fill_is_held(const struct fill *f, const struct net_conn *c);
struct place fill_body_place(const struct fill *f, const struct net_conn *c);
uint64_t fill_body_start(const struct net_conn *c);
enum age_kind fill_body_age(const struct net_conn *c);

/* One table each: 0 or -ENOMEM. */
int fill_clients(struct fill *f);
int fill_in_flight(struct fill *f);
int fill_slow(struct fill *f);
int fill_uploads(struct fill *f);
int fill_unclosed(struct fill *f);
int fill_dials(struct fill *f);
int fill_connections(struct fill *f);
int fill_silent(struct fill *f);
/* The call with most requests to each host, by its number: index in nw->busy + 1; 0: none.  Owned
 * by the caller; NULL: no memory. */
uint32_t *fill_list_busiest(const struct netwatch *nw);
int fill_servers(struct fill *f);
int fill_grpc(struct fill *f);
int fill_dead(struct fill *f);
int fill_lookups(struct fill *f);
int fill_phases(struct fill *f);
/* After phases and dials. */
int fill_failures(struct fill *f);

#endif
