/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files that fill a window's tables, one a file. */
#ifndef GOSPECT_NET_FILL_H
#define GOSPECT_NET_FILL_H

#include <stdio.h>

#include "net/priv.h"
#include "trace/trace.h"

#define FILL_MAX_ROWS 10000 /* of one table; beyond: the row "other" */

/* Rows by key. */
struct rowset {
	struct bytesmap index;
	uint8_t *row; /* owned until taken */
	size_t n, cap, size;
	size_t other; /* index + 1 of the rest; 0 none */
};

void rowset_init(struct rowset *s, size_t size);
void rowset_deinit(struct rowset *s);
/* The rows, for the window. */
void *rowset_take(struct rowset *s, int *n);
/* The row of a key, zeroed when *made.  *other: there is no more room, it is
 * the row of the rest.  NULL: no memory. */
void *rowset_put(struct rowset *s, const void *key, size_t len, bool *made, bool *other);

struct fill {
	struct netwatch *nw;
	const struct look *look;
	const struct trace_reading *base, *now; /* NULL: no probes */
	const struct netwatch_probes *p;
	struct net_window *out;
	struct bytesmap base_call; /* key of a call -> index in base */
};

/* The number of a row's host, below nw->nhost. */
uint32_t fill_host_number(const struct fill *f, const char *host);
double fill_age_s(const struct fill *f, uint64_t start_ns);
void fill_host(const struct fill *f, uint32_t host, char out[WINDOW_MAX_HOST + 1]);
uint64_t fill_scaled(uint64_t n, bool sampled, double rate);

struct times {
	struct trace_hist hist;
	uint64_t max_ns;
};

void fill_hist_add(struct trace_hist *to, const struct trace_hist *now,
		   const struct trace_hist *base);
void fill_percentiles(const struct times *t, uint64_t *p50, uint64_t *p99, uint64_t *max);
/* The same call at the window's start; NULL: it is new. */
const struct trace_call *fill_base_of(const struct fill *f, const struct trace_call *c);
enum exactness fill_exactness(const struct fill *f);
/* Durations of calls that ended in the window, into *to, which is made when there are any. */
int fill_add_times(struct times **to, const struct trace_call *now, const struct trace_call *base);

/* A body that a goroutine holds, and does not read just now: its request goes on. */
bool fill_is_held(const struct fill *f, const struct net_conn *c);
struct place fill_body_place(const struct fill *f, const struct net_conn *c);
uint64_t fill_body_start(const struct net_conn *c);

/* One table each: 0 or -ENOMEM. */
int fill_clients(struct fill *f);
int fill_in_flight(struct fill *f);
int fill_unclosed(struct fill *f);
int fill_connections(struct fill *f);
int fill_servers(struct fill *f);
int fill_grpc(struct fill *f);
int fill_phases(struct fill *f);

#endif
