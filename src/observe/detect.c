/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/detect.h"

#include "net/window.h"
#include "observe/parts.h"

static uint32_t covered_sensors(const struct window *w)
{
	uint32_t mask = 0;

	for (int i = 0; i < w->ncoverage; i++)
		if (w->coverage[i].state != OFF && !w->coverage[i].name)
			mask |= SENSOR_BIT(w->coverage[i].sensor);
	return mask;
}

static bool is_skipped(const struct window *w, const struct detector *d)
{
	return (d->of_waits && w->process.paused_lately) || (d->of_rates && window_is_short(w));
}

static void judge_all(const struct window *w, bool of_few, struct findings *out)
{
	uint32_t covered = covered_sensors(w);

	for (int i = 0; subjects[i]; i++) {
		const struct detector *const *d = subjects[i]->detectors;

		for (; d && *d; d++)
			if ((*d)->sensors & covered && !is_skipped(w, *d) &&
			    (!of_few || (*d)->of_few))
				(*d)->judge(w, out);
	}
}

/* What the window itself has is not said again. */
static void judge_recent(const struct window *w, struct findings *out)
{
	const struct net_window *r = w->net->recent;
	struct net_window net = *w->net;
	struct window recent = *w;

	if (!r)
		return;
	net.phases_known = r->phases_known;
	net.phase = r->phase;
	net.nphase = r->nphase;
	net.lookups = r->lookups;
	net.client = r->client;
	net.nclient = r->nclient;
	net.failures_known = r->failures_known;
	net.failure = r->failure;
	net.nfailure = r->nfailure;
	net.grpc = r->grpc;
	net.ngrpc = r->ngrpc;
	recent.net = &net;
	recent.window_s = w->net->recent_s;
	out->only_new = true;
	judge_all(&recent, true, out);
	out->only_new = false;
}

void detect_all(struct window *w, struct findings *out)
{
	explain_rows(w);
	join_shutdown(w);
	if (w->window_s > 0 && window_is_short(w))
		window_cover_named(w, "rates", OFF,
				   "not judged: the process ran for less than half a second of "
				   "this window");
	judge_all(w, false, out);
	judge_recent(w, out);
	findings_sort(out);
	explain_findings(w, out);
}
