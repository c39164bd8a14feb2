/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/subject.h"

#include <errno.h>
#include <stdio.h>

#include "gospect/abi.h"
#include "gort/goservers.h"
#include "net/host.h"
#include "net/watch.h"
#include "trace/trace.h"

static int net_open(void **out, const struct look *l, char *why)
{
	static const char *const names[] = { "net.(*Dialer).DialContext", "net/http.(*conn).serve",
					     "net/http.(*Transport).roundTrip" };
	struct netwatch *nw = NULL;
	int err;

	if (!look_linked(l, names, 3)) {
		snprintf(why, WINDOW_MAX_WHY, "%s",
			 look_why_unlinked(l, "no network client or HTTP server is linked into "
					      "this program"));
		return -EOPNOTSUPP;
	}
	err = netwatch_new(&nw, l->rt, l->types);
	if (err == -EOPNOTSUPP)
		snprintf(why, WINDOW_MAX_WHY,
			 "the layout of net/http is not known for this release");
	if (err)
		netwatch_free(nw);
	else
		*out = nw;
	return err;
}

static void net_close(void *self)
{
	netwatch_free(self);
}

static void net_observe_frames(void *self, struct gostacks *gs)
{
	netwatch_observe_frames(self, gs);
}

/* Where routers keep the routes of requests that come to them by other handlers. */
static void find_pools(const struct look *l)
{
	const struct code_range *r = l->plan->range;
	const bool linked[GOROUTER_KINDS] = { [GOROUTER_GIN] = r[RANGE_GIN].lo != 0,
					      [GOROUTER_ECHO] = r[RANGE_ECHO].lo != 0,
					      [GOROUTER_CHI] = r[RANGE_CHI].lo != 0 };
	struct gorouter_pool pool[GS_ROUTER_POOLS];

	if (linked[GOROUTER_GIN] || linked[GOROUTER_ECHO] || linked[GOROUTER_CHI])
		trace_know_pools(l->trace, pool,
				 goservers_pools(l->rt, linked, pool, GS_ROUTER_POOLS));
}

static int net_look(void *self, struct look *l)
{
	if (look_armed(l, PROBE_HANDLER_END))
		find_pools(l);
	return netwatch_look(self, l);
}

static void net_begin(void *self, const struct look *l, bool follows)
{
	(void)l;
	(void)follows;
	netwatch_begin_window(self);
}

static struct netwatch_probes probes_of(const struct look *l)
{
	return (struct netwatch_probes){
		.calls = look_armed(l, PROBE_CALL_BEGIN),
		.handlers = look_armed(l, PROBE_HANDLER_BEGIN),
		.routes = look_armed(l, PROBE_HANDLER_ROUTE),
		.funcs = look_armed(l, PROBE_HANDLER_FUNC),
		.grpc = look_armed(l, PROBE_GRPC_BEGIN),
		.streams = look_armed(l, PROBE_STREAM_SERVE),
		.phases = look_armed(l, PROBE_DNS_BEGIN) || look_armed(l, PROBE_CONNECT_BEGIN) ||
			  look_armed(l, PROBE_CONN_BEGIN),
		.requests_sliced = l->rates.requests_sliced,
		.rare_sliced = l->rates.rare_sliced,
		.requests_rate = l->rates.requests,
		.rare_rate = l->rates.rare,
	};
}

static int net_fill(void *self, struct look *l, struct window *w)
{
	struct netwatch_probes probes = probes_of(l);
	int err = netwatch_fill(self, l, &probes, w->net);

	if (!err && l->redact_salt)
		net_redact_hosts(w->net, l->redact_salt);
	return err;
}

static void net_cover(void *self, const struct look *l, struct window *w)
{
	const char *why = netwatch_why(self);

	look_cover_probes(l, SENSOR_NET, "no phases, and no counts by call", w);
	if (why[0])
		window_cover_add(w, SENSOR_NET, PARTIAL, "%s", why);
}

static const struct detector *const detectors[] = {
	&silent_connection_detector,
	&dead_connection_detector,
	&grpc_no_timeout_detector,
	&no_timeout_detector,
	&resolver_detector,
	&slow_phase_detector,
	&failing_phase_detector, /* looks at those before it */
	&grpc_failing_detector,
	&lookup_hangs_detector,
	&lost_slot_detector,
	&connection_leak_detector,
	&connection_churn_detector,
	&server_no_timeout_detector,
	NULL,
};

const struct subject net_subject = {
	.name = "net",
	.sensors = SENSOR_BIT(SENSOR_NET),
	.needs = NEEDS_STACKS,
	.open = net_open,
	.close = net_close,
	.observe_frames = net_observe_frames,
	.look = net_look,
	.begin_window = net_begin,
	.fill = net_fill,
	.cover = net_cover,
	.detectors = detectors,
};
