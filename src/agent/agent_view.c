/* SPDX-License-Identifier: BSD-2-Clause */
/* What the agent knows at the end of a pass. */
#include "agent/agent_priv.h"
#include "agent/self.h"
#include "agent/view_build.h"
#include "base/clock.h"
#include "trace/execs.h"

static int fill_view(struct agent *a, struct view *v)
{
	int r = 0;

	for (size_t i = 0; i < a->entries.n && !r; i++) {
		const struct entry *e = a->entries.e[i];

		if (!e->target && !e->stranger)
			continue; /* nothing is known of it yet */
		r = entry_fill(e, &a->cfg, v);
		probes_fill(a->probes, e, &a->cfg, v);
		life_fill(a->life, e->key, v);
	}
	life_take_events(a->life, v);
	return r;
}

static void fill_self(struct agent *a)
{
	struct view_self *s = &a->self;

	self_read(s);
	s->bpf_bytes = a->execs ? execs_bytes(a->execs) : 0;
	probes_fill_self(a->probes, s);
	s->lost = a->execs ? execs_lost(a->execs) : 0;
	s->files = files_known(a->files);
	s->files_not_go = files_not_go(a->files);
	s->events = life_events_all(a->life);
	s->findings_dropped = life_dropped(a->life);
}

void agent_make_view(struct agent *a)
{
	struct view *v = view_new(a->entries.n, life_open_all(a->life) + life_events(a->life),
				  life_events(a->life));

	if (!v)
		return; /* the one before stays */
	if (fill_view(a, v)) {
		view_put(v);
		return;
	}
	fill_self(a);
	v->self = a->self;
	v->self.why_polling = a->why_polling;
	v->self.probes_off = a->cfg.probe_off ? a->cfg.probe_off : "";
	v->seq = ++a->next_view;
	v->mono_ns = clock_mono_ns();
	v->real_ns = clock_real_ns();
	v->interval_ns = a->cfg.tick_ns;
	v->host_name = a->host_name;
	view_put(a->view);
	a->view = v;
}
