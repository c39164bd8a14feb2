/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/net_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The worse of two: sampled beats exact. */
static enum exactness worse(enum exactness a, enum exactness b)
{
	return a > b ? a : b;
}

/* The rate of a sum is that of its least sampled part. */
static void add_rate(enum exactness *e, double *rate, enum exactness other, double other_rate)
{
	if (other == SAMPLED && (*e != SAMPLED || other_rate < *rate))
		*rate = other_rate;
	*e = worse(*e, other);
}

static void add_age(enum age_kind *age, double *s, enum age_kind other, double other_s)
{
	if (other == AGE_UNKNOWN || (*age != AGE_UNKNOWN && other_s <= *s))
		return;
	*age = other;
	*s = other_s;
}

static void add_max(uint64_t *max, uint64_t v)
{
	if (v > *max)
		*max = v;
}

/* Medians cannot be added: of a sum only the maximum is known. */

static void add_client(struct net_client *t, const struct net_client *r)
{
	t->requests_known |= r->requests_known;
	t->requests += r->requests;
	t->errors += r->errors;
	t->in_flight += r->in_flight;
	t->hanging += r->hanging;
	add_max(&t->max_ns, r->max_ns);
	add_age(&t->age, &t->longest_in_flight_s, r->age, r->longest_in_flight_s);
	add_age(&t->hanging_age, &t->longest_hanging_s, r->hanging_age, r->longest_hanging_s);
	add_rate(&t->exactness, &t->rate, r->exactness, r->rate);
}

static void add_phase(struct net_phase_row *t, const struct net_phase_row *r)
{
	t->count += r->count;
	t->errors += r->errors;
	t->total_ns += r->total_ns;
	add_max(&t->max_ns, r->max_ns);
	add_rate(&t->exactness, &t->rate, r->exactness, r->rate);
}

static void add_body(struct net_body_row *t, const struct net_body_row *r)
{
	t->count += r->count;
	t->count_before += r->count_before;
	add_age(&t->age, &t->oldest_s, r->age, r->oldest_s);
	t->exactness = worse(t->exactness, r->exactness);
}

static void add_connections(struct net_connections *t, const struct net_connections *r)
{
	t->max_per_host = t->max_idle_per_host = -1;
	t->open += r->open;
	t->idle += r->idle;
	t->waiting += r->waiting;
	t->dials += r->dials;
}

static void add_server(struct net_server *t, const struct net_server *r)
{
	t->requests_known |= r->requests_known;
	t->requests += r->requests;
	t->in_flight += r->in_flight;
	add_max(&t->max_ns, r->max_ns);
	add_max(&t->hanging, r->hanging);
	t->no_read_timeout |= r->no_read_timeout;
	add_age(&t->age, &t->longest_in_flight_s, r->age, r->longest_in_flight_s);
	add_rate(&t->exactness, &t->rate, r->exactness, r->rate);
}

static void add_grpc(struct net_grpc *t, const struct net_grpc *r)
{
	t->calls += r->calls;
	t->errors += r->errors;
	t->in_flight += r->in_flight;
	add_max(&t->max_ns, r->max_ns);
	add_age(&t->age, &t->longest_in_flight_s, r->age, r->longest_in_flight_s);
	add_rate(&t->exactness, &t->rate, r->exactness, r->rate);
}

static void add_lock(struct lock_wait_row *t, const struct lock_wait_row *r)
{
	t->waiters += r->waiters;
	t->waiters_before += r->waiters_before;
	add_age(&t->age, &t->longest_s, r->age, r->longest_s);
}

static void add_holder(struct sql_holder *t, const struct sql_holder *r)
{
	t->what = SQL_CALL;
	t->count += r->count;
	add_age(&t->age, &t->held_s, r->age, r->held_s);
}

static void add(enum net_list list, union net_any_row *t, const void *row)
{
	switch (list) {
	case LIST_CLIENTS:
		add_client(&t->client, row);
		break;
	case LIST_PHASES:
		add_phase(&t->phase, row);
		break;
	case LIST_UNCLOSED:
		add_body(&t->body, row);
		break;
	case LIST_CONNECTIONS:
		add_connections(&t->connections, row);
		break;
	case LIST_SERVERS:
		add_server(&t->server, row);
		break;
	case LIST_GRPC:
		add_grpc(&t->grpc, row);
		break;
	case LIST_LOCKS:
		add_lock(&t->lock, row);
		break;
	case LIST_HOLDERS:
		add_holder(&t->holder, row);
		break;
	}
}

static size_t row_size(enum net_list list)
{
	switch (list) {
	case LIST_CLIENTS:
		return sizeof(struct net_client);
	case LIST_PHASES:
		return sizeof(struct net_phase_row);
	case LIST_UNCLOSED:
		return sizeof(struct net_body_row);
	case LIST_CONNECTIONS:
		return sizeof(struct net_connections);
	case LIST_SERVERS:
		return sizeof(struct net_server);
	case LIST_GRPC:
		return sizeof(struct net_grpc);
	case LIST_LOCKS:
		return sizeof(struct lock_wait_row);
	case LIST_HOLDERS:
		return sizeof(struct sql_holder);
	}
	return 0;
}

static bool is_other(enum net_list list, const void *row)
{
	switch (list) {
	case LIST_CLIENTS:
		return ((const struct net_client *)row)->other;
	case LIST_PHASES:
		return ((const struct net_phase_row *)row)->other;
	case LIST_UNCLOSED:
		return ((const struct net_body_row *)row)->other;
	case LIST_CONNECTIONS:
		return ((const struct net_connections *)row)->other;
	case LIST_SERVERS:
		return ((const struct net_server *)row)->other;
	case LIST_GRPC:
		return ((const struct net_grpc *)row)->other;
	case LIST_LOCKS:
		return ((const struct lock_wait_row *)row)->other;
	case LIST_HOLDERS:
		break;
	}
	return false;
}

int net_rows_init(struct net_rows *r, enum net_list list, const void *rows, int n, int max)
{
	size_t size = row_size(list);
	int nother = 0, fit, taken = 0;

	memset(r, 0, sizeof(*r));
	if (n <= 0 || max <= 0)
		return 0;
	r->row = calloc((size_t)(n < max ? n : max), sizeof(*r->row));
	if (!r->row)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		nother += is_other(list, (const char *)rows + (size_t)i * size);
	fit = n - nother;
	if (nother ? fit >= max : fit > max)
		fit = max - 1;
	for (int i = 0; i < n; i++) {
		const void *row = (const char *)rows + (size_t)i * size;

		if (!is_other(list, row) && taken < fit) {
			r->row[taken++] = row;
			continue;
		}
		add(list, &r->rest, row);
		r->nrest++;
	}
	r->n = taken;
	if (r->nrest)
		r->row[r->n++] = &r->rest;
	return 0;
}

void net_rows_deinit(struct net_rows *r)
{
	free(r->row);
	memset(r, 0, sizeof(*r));
}

bool net_rows_is_rest(const struct net_rows *r, int i)
{
	return r->nrest && i == r->n - 1;
}
