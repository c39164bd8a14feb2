/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/look.h"

#include "base/vec.h"

bool look_linked(const struct look *l, const char *const *names, size_t n)
{
	struct gofunc fn[8];

	if (n > ARRAY_SIZE(fn) || pclntab_find_names(l->rt->gb->pcln, names, n, fn))
		return false;
	for (size_t i = 0; i < n; i++)
		if (fn[i].entry)
			return true;
	return false;
}

const char *look_why_unlinked(const struct look *l, const char *unlinked)
{
	return l->rt->gb->names_hidden ? GOBIN_NAMES_HIDDEN : unlinked;
}

bool look_armed(const struct look *l, enum probe_id id)
{
	return l->trace && plan_has(l->plan, id);
}

const char *look_why_not(const struct look *l, enum probe_id id)
{
	const struct probe *p = l->plan ? plan_find(l->plan, id) : NULL;

	if (l->memory_only)
		return l->memory_only;
	return p && p->why[0] ? p->why : "not probed";
}

enum exactness look_exactness(const struct look *l, enum sensor s, bool sliced)
{
	return sliced ? SAMPLED : losses_of_counts(l->losses, s) ? PARTIAL : EXACT;
}

/* What a probe of a sensor that has many is for, as people call it. */
static const char *seen_by(enum probe_id id)
{
	static const struct {
		enum probe_id last; /* of them, in the order of probes.def */
		const char *what;
	} seen[] = {
		{ PROBE_DNS_END, "DNS look-ups" },
		{ PROBE_CONNECT_END, "connects" },
		{ PROBE_TLS_END, "TLS handshakes" },
		{ PROBE_POOL_CANCEL, "waits for a connection of the pool" },
		{ PROBE_CALL_FAILED, "calls of HTTP clients" },
		{ PROBE_CONN_BODY_END, "phases of HTTP/1 requests" },
		{ PROBE_STREAM_END, "phases of HTTP/2 requests" },
		{ PROBE_HANDLER_END, "requests of HTTP servers" },
		{ PROBE_GRPC_FAILED, "gRPC calls" },
		{ PROBE_SQL_WAIT_END, "waits for a database connection" },
		{ PROBE_SQL_BEGIN_TX, "transactions" },
		{ PROBE_SQL_PUT, "queries, and who holds connections" },
		{ PROBE_STMT_CONN, "statements" },
		{ PROBE_LOCK_END, "waits for locks" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		if (id >= PROBE_DNS_BEGIN && id <= seen[i].last)
			return seen[i].what;
	return probe_name(id);
}

void look_cover_refused(const struct look *l, enum sensor s, struct window *w)
{
	for (int i = 0; l->plan && i < l->plan->n; i++) {
		const struct probe *p = &l->plan->probe[i];

		if (p->sensor == s && !p->absent && !p->useless && p->why[0])
			window_cover_add(w, s, PARTIAL, "not all %s are seen: %s", seen_by(p->id),
					 p->why);
	}
}

void look_cover_probes(const struct look *l, enum sensor s, const char *without, struct window *w)
{
	const struct look_rates *r = &l->rates;
	struct coverage *c;

	if (!l->trace) {
		window_cover_add(w, s, PARTIAL, "from memory alone: %s (%s)", without,
				 l->memory_only);
		return;
	}
	look_cover_refused(l, s, w);
	if (!r->requests_sliced && !r->rare_sliced)
		return;
	c = window_cover_add(w, s, SAMPLED,
			     "budget: per-request counts are extrapolated from sampled slices; "
			     "state read from memory is exact");
	c->rate = r->rare < r->requests ? r->rare : r->requests;
}
