/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/observer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "goroutines/subject.h"
#include "gort/goruntime.h"
#include "observe/machine.h"
#include "observe/pace.h"
#include "observe/parts.h"
#include "observe/recent.h"
#include "observe/window.h"
#include "plan/plan.h"
#include "proc/process.h"
#include "proc/usage.h"
#include "prove/prove.h"
#include "trace/sampler.h"
#include "trace/trace.h"

#define PAUSE_COUNTS_NS (10 * NS_PER_S) /* after a pause all has waited for long, for so long */

struct observer {
	struct observer_config cfg;
	struct parts parts;
	struct look look;
	struct gowalk walk;           /* the latest */
	struct losses losses;         /* of this window */
	uint64_t begin_ns, window_ns; /* our monotonic clock */
	struct pace pace;
	/* at the start of the window, and the latest */
	struct gototals base, totals;
	uint64_t pause_ns, paused_base; /* when asked last; of look.paused_ns */
	struct trace_reading rbase, rnow;
	bool unread;                /* rnow could not be read, and is rbase */
	struct recent recent;       /* starts of windows before */
	uint64_t cpu_base, cpu_now; /* of the target, ns */
	uint64_t self_base,
		self_now; /* our own CPU time: what a window's end takes is the next one's */
	int threads_base; /* of the target */
	uint64_t samples_ns,
		samples_base_ns; /* cost of CPU samples so far, and at the start of the window */
};

/* --- looks --------------------------------------------------------------------- */

static bool walks(const struct observer *o)
{
	return o->parts.needs >= NEEDS_WALK;
}

/* Whether the process is kept from running, and for how long it has been. */
static void note_pause(struct observer *o, uint64_t now_ns)
{
	struct look *l = &o->look;
	uint64_t passed = o->pause_ns ? now_ns - o->pause_ns : 0;
	enum pause was = l->pause;

	l->pause = pause_of(o->cfg.proc);
	l->paused_ns += was && l->pause ? passed : was || l->pause ? passed / 2 : 0;
	if (l->pause)
		l->pause_seen_ns = now_ns;
	o->pause_ns = now_ns;
}

static uint64_t moved(const struct gowalk *w)
{
	uint64_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->g[i].moved == w->number;
	return n;
}

/*
 * One walk; recorded in the history unless the one before was just now.  Stacks
 * are read when asked for (whole), or when they have not been for long enough:
 * growth is judged from walks, however long the rest takes.
 */
static int look(struct observer *o, bool whole)
{
	struct look *l = &o->look;
	uint64_t begin = clock_mono_ns(), cpu = clock_thread_cpu_ns();
	int err;

	note_pause(o, begin);
	/* a single look has nothing to be compared with */
	l->record =
		!l->once && (!o->pace.look_ns || begin - o->pace.look_ns >= o->pace.least_ns / 4);
	if (!walks(o))
		return 0;
	err = goruntime_walk(o->look.rt, &o->walk, NULL);
	if (err)
		return err;
	lose(&o->losses, LOSS_GOROUTINES, o->walk.failures);
	l->now_ns = clock_mono_ns();
	whole = whole || pace_whole(&o->pace, begin);
	err = parts_look(&o->parts, l, whole);
	pace_looked(&o->pace, begin, o->parts.walked_cpu_ns - cpu, clock_thread_cpu_ns() - cpu,
		    whole, l->record);
	if (!o->pace.end_ns)
		pace_expect(&o->pace, moved(&o->walk), o->walk.n);
	return err;
}

uint64_t observer_look_ns(const struct observer *o)
{
	return walks(o) ? pace_look_ns(&o->pace) : UINT64_MAX;
}

uint64_t observer_end_ns(const struct observer *o)
{
	return pace_end_ns(&o->pace);
}

void observer_set_pace(struct observer *o, uint64_t interval_ns)
{
	pace_set(&o->pace, interval_ns);
}

/* What a look that failed means for the report. */
static int looked(struct observer *o, int err)
{
	if (err == -ESRCH || err == -ESTALE)
		o->look.gone = true;
	else if (err)
		lose(&o->losses, LOSS_LOOKS, 1);
	return err;
}

int observer_look(struct observer *o)
{
	uint64_t cpu = clock_thread_cpu_ns();

	parts_count(&o->parts, &o->look, NULL);
	pace_spend(&o->pace, clock_thread_cpu_ns() - cpu);
	return looked(o, look(o, false));
}

uint64_t observer_created(struct observer *o)
{
	uint64_t created;

	return goruntime_created(o->look.rt, &created) ? 0 : created;
}

void observer_lose_slice(struct observer *o)
{
	lose(&o->losses, LOSS_SLICES, 1);
}

/* What cannot be read now counts in the next window. */
static void read_probes(struct observer *o)
{
	o->unread = trace_read(o->look.trace, &o->rnow) != 0;
	if (!o->unread) {
		parts_count(&o->parts, &o->look, &o->rnow);
		return;
	}
	o->rnow = o->rbase;
	lose(&o->losses, LOSS_READINGS, 1);
}

/*
 * Reads everything at (nearly) one moment: counters, probes, goroutines.
 *
 * Nobody counts ends: they are what was born and is not alive.  Births are read
 * before the walk, here and in every look: those it finds alive beyond them were
 * born meanwhile (site_flow()), so no end is claimed that has not been.  Read
 * after it, whoever was born meanwhile would be one that ended.
 */
static int read_all(struct observer *o)
{
	int err = process_check(o->cfg.proc);
	uint64_t cpu;

	if (o->look.trace)
		read_probes(o);
	if (!process_cpu_ns(o->cfg.proc, &cpu))
		o->cpu_now = cpu;
	if (!err)
		err = goruntime_totals(o->look.rt, &o->totals);
	if (!err)
		err = look(o, true);
	return looked(o, err);
}

/* What CPU samples have cost the process. */
static uint64_t samples_ns(const struct observer *o)
{
	return o->look.sampler ? sampler_cost_ns(o->look.sampler) : 0;
}

/* follows: what was counted before belongs to what is counted now. */
static void begin_readings(struct observer *o, bool follows)
{
	if (!follows)
		recent_clear(&o->recent);
	else if (!o->unread)
		recent_add(&o->recent, &o->rbase, o->window_ns, &o->rnow);
	if (!o->unread)
		trace_reading_deinit(&o->rbase);
	o->rbase = o->rnow;
	trace_reading_begin(&o->rbase);
	memset(&o->rnow, 0, sizeof(o->rnow));
}

/* What was read becomes the start of the next window.  follows: on another one. */
static void begin_window(struct observer *o, bool follows)
{
	memset(&o->losses, 0, sizeof(o->losses));
	parts_begin_window(&o->parts, &o->look, follows);
	o->base = o->totals;
	o->paused_base = o->look.paused_ns;
	if (o->look.trace) /* without one both stay empty, and their pages untouched */
		begin_readings(o, follows);
	o->cpu_base = o->cpu_now;
	o->threads_base = machine_threads(&o->look);
	o->samples_base_ns = o->samples_ns;
	o->self_base = follows ? o->self_now : clock_self_cpu_ns();
	/* windows follow each other without a gap, as what is counted in them does */
	o->window_ns = follows ? o->look.end_ns : clock_mono_ns();
}

static void look_init(struct observer *o)
{
	struct look *l = &o->look;

	*l = o->cfg.look;
	l->proc = o->cfg.proc;
	l->losses = &o->losses;
	l->walk = &o->walk;
	l->base = &o->base;
	l->totals = &o->totals;
	l->rbase = &o->rbase;
	l->rnow = &o->rnow;
}

int observer_restart(struct observer *o)
{
	int err = read_all(o);

	if (err)
		return err;
	/* A birth before the window belongs to no window: all that the walk has seen
	 * must have been counted by now. */
	parts_count(&o->parts, &o->look, NULL);
	begin_window(o, false);
	pace_begin(&o->pace, o->window_ns);
	return 0;
}

int observer_new(struct observer **out, const struct observer_config *cfg, struct err *err)
{
	struct observer *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return err_set(err, -ENOMEM, "out of memory");
	o->cfg = *cfg;
	look_init(o);
	observer_set_pace(o, 5 * NS_PER_S);
	r = parts_open(&o->parts, subjects, &o->look);
	if (!r)
		r = observer_restart(o);
	if (r) {
		observer_free(o);
		return err_set(err, r, "process %d ended before anything was seen", cfg->proc->pid);
	}
	o->begin_ns = o->window_ns;
	*out = o;
	return 0;
}

void observer_free(struct observer *o)
{
	if (!o)
		return;
	parts_close(&o->parts);
	gowalk_deinit(&o->walk);
	recent_clear(&o->recent);
	trace_reading_deinit(&o->rbase);
	if (!o->unread)
		trace_reading_deinit(&o->rnow);
	free(o);
}

/* --- the parts of a window --------------------------------------------------- */

static const char *or_null(const char *s)
{
	return s && s[0] ? s : NULL;
}

/* Whole pages, as the kernel maps them. */
static void fill_code(const struct observer *o, struct window *w)
{
	const struct image *im = &o->look.rt->gb->image;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (int i = im->nseg; i--;)
		if (im->seg[i].exec) {
			uint64_t in_page = im->seg[i].addr % page;

			w->code_start = im->seg[i].addr - in_page + o->look.rt->bias;
			w->code_end = w->code_start +
				      (in_page + im->seg[i].file_size + page - 1) / page * page;
			w->code_off = im->seg[i].off - im->seg[i].off % page;
		}
}

static void fill_target(const struct observer *o, struct window *w)
{
	const struct gobin *gb = o->look.rt->gb;
	const struct process *p = o->cfg.proc;

	w->pid = p->pid;
	w->exe = p->exe;
	w->arch = gb->arch ? gb->arch->name : "?";
	if (gb->build.present && gb->build.release.minor)
		w->go = gb->build.version;
	w->module = or_null(gb->build.module);
	w->module_version = or_null(gb->build.module_version);
	w->build_id = or_null(gb->image.build_id[0] ? gb->image.build_id : gb->image.go_build_id);
	w->container = or_null(p->container);
	w->stripped = gb->image.is_stripped;
	fill_code(o, w);
	w->pie = gb->image.is_pie;
	w->started_real_ns = p->start_real_ns;
	process_usage(p, &w->target_rss_bytes, &(int){ 0 });
}

static void fill_probes(const struct observer *o, struct window *w)
{
	const struct trace_reading *r = &o->rnow, *b = &o->rbase;

	if (o->look.plan)
		w->probe = calloc((size_t)o->look.plan->n + 1, sizeof(*w->probe));
	for (int i = 0; w->probe && i < o->look.plan->n; i++) {
		const struct probe *p = &o->look.plan->probe[i];
		struct probe_row *row = &w->probe[w->nprobe++];

		row->name = probe_name(p->id);
		row->function = p->function;
		row->hits = r->hits[p->id] - b->hits[p->id];
		row->armed = look_armed(&o->look, p->id);
		row->cost_ns = p->cost_ns;
		if (row->cost_ns >= 0 && r->prog_ns[p->id] > 0)
			row->cost_ns += r->prog_ns[p->id];
		snprintf(row->why, sizeof(row->why), "%s", p->why);
		w->probe_hits += row->hits;
	}
	w->probes_armed = r->armed;
	w->probes_emulated = r->emulated;
	w->probes_stepped = r->stepped;
}

static void fill_cost(const struct observer *o, double wall_s, struct window *w)
{
	uint64_t cpu = o->cpu_now > o->cpu_base ? o->cpu_now - o->cpu_base : 0;
	uint64_t cost = o->rnow.cost_ns - o->rbase.cost_ns + o->samples_ns - o->samples_base_ns;

	w->budget_pct = o->cfg.budget_pct;
	w->exact_mode = o->cfg.exact_mode;
	w->memory_only = o->look.memory_only;
	w->target_cpu_cores = wall_s > 0 ? (double)cpu / 1e9 / wall_s : 0;
	/* CPU time comes in 10 ms steps: of less than that no share is known. */
	w->cost_target_pct = !cost ? 0 : cpu ? 100.0 * (double)cost / (double)cpu : -1;
	if (w->cost_target_pct > 100)
		w->cost_target_pct = 100;
	w->agent_cpu_pct =
		wall_s > 0 ? 100.0 * (double)(o->self_now - o->self_base) / 1e9 / wall_s : 0;
	w->agent_rss_bytes = usage_self_rss();
	if (o->look.trace) {
		uint64_t mapped = trace_mapped_bytes(o->look.trace);

		w->agent_bpf_bytes = trace_map_bytes(o->look.trace);
		w->agent_rss_bytes -= w->agent_rss_bytes > mapped ? mapped : 0;
	}
	if (o->look.sampler) {
		uint64_t bytes = sampler_bytes(o->look.sampler);

		w->agent_bpf_bytes += bytes;
		w->agent_rss_bytes -= w->agent_rss_bytes > bytes ? bytes : 0;
	}
	fill_probes(o, w);
}

/* Before the parts are filled: they say how exact they are. */
static void take_losses(struct observer *o)
{
	const struct trace_reading *r = &o->rnow, *b = &o->rbase;

	lose(&o->losses, LOSS_BIRTH_ROOM, r->sites_full - b->sites_full);
	lose(&o->losses, LOSS_ALLOC_ROOM, r->stacks_full - b->stacks_full);
	lose(&o->losses, LOSS_REQUEST_ROOM, r->requests_full - b->requests_full);
	lose(&o->losses, LOSS_OTHERS, r->others_full - b->others_full);
	lose(&o->losses, LOSS_EVENT_READS, r->read_failures - b->read_failures);
	lose(&o->losses, LOSS_ALLOC_STACKS, r->stack_failures - b->stack_failures);
}

/* How much of the window the probes were armed. */
static struct look_rates rates(const struct trace_reading *b, const struct trace_reading *n)
{
	struct look_rates r = {
		.births_sliced = n->governed_sliced,
		.requests_sliced = n->requests_sliced,
		.rare_sliced = n->rare_sliced,
		.ends_sliced = n->ends_sliced,
		.panics_sliced = n->panics_sliced,
		.births = 1,
		.requests = 1,
		.rare = 1,
		.ends = 1,
		.panics = 1,
	};

	if (r.births_sliced)
		r.births =
			trace_share(n->governed_on_ns, b->governed_on_ns, n->wall_ns, b->wall_ns);
	if (r.requests_sliced)
		r.requests = n->requests_share;
	if (r.rare_sliced)
		r.rare = trace_share(n->rare_on_ns, b->rare_on_ns, n->wall_ns, b->wall_ns);
	if (r.panics_sliced)
		r.panics = trace_share(n->panics_on_ns, b->panics_on_ns, n->wall_ns, b->wall_ns);
	if (r.ends_sliced)
		r.ends = trace_share(n->ends_on_ns, b->ends_on_ns, n->wall_ns, b->wall_ns);
	return r;
}

/* The process is gone: what memory said last stands, and coverage says so. */
static void cover_ended(struct window *w)
{
	for (int i = 0; i < w->ncoverage; i++)
		if (w->coverage[i].state == EXACT && !w->coverage[i].name &&
		    w->coverage[i].sensor != SENSOR_CRASH)
			window_cover_add(
				w, w->coverage[i].sensor, PARTIAL,
				"the process ended: what memory says is as of the last look");
}

static void fill_time(const struct observer *o, const char *end_reason, struct window *w)
{
	w->end_real_ns = clock_mono_to_real_ns(o->look.end_ns);
	if (!o->look.once) {
		w->window_s = (double)(o->look.end_ns - o->window_ns) / 1e9;
		w->observed_s = (double)(o->look.end_ns - o->begin_ns) / 1e9;
	}
	w->process.pause = o->look.pause;
	w->process.paused_s = (double)(o->look.paused_ns - o->paused_base) / 1e9;
	w->process.paused_observed_s = (double)o->look.paused_ns / 1e9;
	w->process.paused_lately =
		o->look.pause_seen_ns && o->look.end_ns - o->look.pause_seen_ns < PAUSE_COUNTS_NS;
	w->end_reason = end_reason;
	w->last = end_reason != NULL;
}

int observer_take(struct observer *o, struct window *w, const char *end_reason)
{
	uint64_t cpu = clock_thread_cpu_ns();
	int err;

	pace_end(&o->pace, clock_mono_ns());
	err = o->look.once ? process_check(o->cfg.proc) : read_all(o);
	if (window_init(w))
		return -ENOMEM;
	o->look.begin_ns = o->window_ns;
	o->look.end_ns = clock_mono_ns();
	o->look.rates = rates(&o->rbase, &o->rnow);
	o->look.rrecent = recent_base(&o->recent, &o->rnow, o->look.end_ns, &o->look.recent_ns);
	fill_time(o, end_reason, w);
	fill_target(o, w);
	machine_fill(&o->look, o->threads_base, w);
	o->self_now = clock_self_cpu_ns();
	o->samples_ns = samples_ns(o);
	fill_cost(o, w->window_s, w);
	take_losses(o);
	parts_fill(&o->parts, &o->look, w);
	losses_report(&o->losses, w);
	if (err)
		cover_ended(w);
	begin_window(o, true);
	pace_ended(&o->pace, clock_thread_cpu_ns() - cpu, o->window_ns);
	return err == -ESRCH || err == -ESTALE ? 0 : err;
}

void observer_drop_walk(struct observer *o)
{
	gowalk_deinit(&o->walk);
}

/* r NULL: the dump. */
static void add_late(struct observer *o, struct window *w, const struct prove_result *r)
{
	void *goroutines = parts_self(&o->parts, &goroutines_subject);
	struct losses lost = o->losses;

	if (!goroutines)
		return;
	memset(&o->losses, 0, sizeof(o->losses));
	if (r)
		goroutines_add_leaks(goroutines, &o->look, w, r);
	else
		goroutines_add_dump(goroutines, &o->look, w);
	losses_report(&o->losses, w); /* of the window just taken, not of the next */
	o->losses = lost;
}

void observer_add_leaks(struct observer *o, struct window *w, const struct prove_result *r)
{
	add_late(o, w, r);
}

void observer_add_dump(struct observer *o, struct window *w)
{
	add_late(o, w, NULL);
}
