/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of the slices in which their probes were on, and of the pauses between them. */
#include "trace/priv.h"

#include <math.h>

#include "base/clock.h"

#define RATE_MEMORY_S 0.2
#define RATE_LEAST_S  0.001

/* Whether there are twice as many hits as there would be at a rate, or half of them, and
 * not by chance: a request has some eight. */
static bool is_other_load(double hits, double expected)
{
	double most = fmax(hits, expected), least = fmin(hits, expected);

	return most > 2 * least && most - least > 3 * sqrt(8 * most);
}

/*
 * While their probes are on: how many hits a second they have, over the last RATE_MEMORY_S
 * of slices, or since the load has changed.  Arming and detaching take longer than
 * some slices: no part of it.  Of a pause that was between two loads each has half.
 */
void slices_learn(struct trace *t)
{
	uint64_t now = clock_mono_ns();
	double dt = (double)(now - t->rate_since_ns) / NS_PER_S;
	double hits = (double)(t->request_hits - t->rate_hits);

	if (!(t->on & GROUP_BIT(GROUP_REQUESTS)) || dt < RATE_LEAST_S)
		return;
	if (is_other_load(hits, t->request_rate * dt)) {
		t->requests_all += (hits / dt - t->request_rate) / 2 * t->pause_s;
		t->rate_s = 0;
	}
	t->request_rate += (hits / dt - t->request_rate) * dt / (dt + t->rate_s);
	t->rate_s = t->rate_s + dt < RATE_MEMORY_S ? t->rate_s + dt : RATE_MEMORY_S;
	t->rate_hits = t->request_hits;
	t->rate_since_ns = now;
	t->pause_s = 0;
}

/* Hits up to now. */
static void count_hits(struct trace *t)
{
	struct gs_counters c;

	if (!drain_counters(t, &c))
		trace_pay(t, &c);
}

/* A slice ends because there is much to do: a pause has as many hits a second
 * as the slices before it had at their ends. */
void trace_requests(const struct trace *t, uint64_t now, double *seen, double *all)
{
	double hits = (double)(t->request_hits - t->slice_hits);

	if (!(t->on & GROUP_BIT(GROUP_REQUESTS)))
		hits = 0;
	*seen = t->requests_seen + hits;
	*all = t->requests_all + hits;
	if (t->pause_since_ns && now > t->pause_since_ns)
		*all += (double)(now - t->pause_since_ns) / NS_PER_S * t->request_rate;
}

void slices_begin(struct trace *t, uint64_t now)
{
	trace_requests(t, now, &t->requests_seen, &t->requests_all);
	count_hits(t);
	t->slice_hits = t->rate_hits = t->request_hits;
	t->rate_since_ns = now;
	t->pause_s = t->pause_since_ns ? (double)(now - t->pause_since_ns) / NS_PER_S : 0;
	t->pause_since_ns = 0;
}

void slices_end(struct trace *t, uint64_t now)
{
	count_hits(t);
	slices_learn(t);
	trace_requests(t, now, &t->requests_seen, &t->requests_all);
	t->pause_since_ns = now;
}
