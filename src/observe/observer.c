/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/observer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "gobin/gobin.h"
#include "memory/allocs.h"
#include "observe/callwatch.h"
#include "goroutines/deadlocks.h"
#include "goroutines/dump.h"
#include "memory/heap.h"
#include "goroutines/leaks.h"
#include "goroutines/rows.h"
#include "goroutines/sites.h"
#include "plan/plan.h"
#include "prove/prove.h"
#include "gort/goruntime.h"
#include "proc/process.h"
#include "trace/trace.h"
#include "observe/window.h"

#define LARGE_THRESHOLD 32768 /* runtime: maxSmallSize */
#define MIN_PACE_NS     (200 * NS_PER_MS)
/* Births that no probe saw, tolerated before they are called lost: what happens
 * between two readings of a busy process, and the M's of cgo that take an id. */
#define BIRTHS_SLACK 64

struct observer {
	struct observer_config cfg;
	struct sites sites;
	struct allocs allocs;
	struct heap_base heap;
	struct callwatch *calls;
	struct gowalk walk; /* the latest */
	bool walked;
	uint64_t begin_ns, window_ns, look_ns, pace_ns; /* our monotonic clock */
	uint64_t look_took_ns;                          /* the latest one */
	uint64_t taken_ns, ended_ns; /* start and end of the window that was taken last */
	/* at the start of the window, and the latest */
	struct gototals base, now;
	struct trace_reading rbase, rnow;
	uint64_t created_begin;     /* created when the probes were armed */
	uint64_t births_begin;      /* births counted by then, system included */
	uint64_t cpu_base, cpu_now; /* of the target, ns */
	uint64_t self_base;         /* our own CPU time */
	uint64_t live, live_base;   /* of the latest walk that came to its end; at the start */
	uint64_t walk_failures;     /* of this window */
	bool sliced;                /* births were sampled at any time of this run */
	bool gone;
};

static bool wants(const struct observer *o, enum sensor s)
{
	return o->cfg.sensors & SENSOR_BIT(s);
}

static bool walks(const struct observer *o)
{
	return (wants(o, SENSOR_GOROUTINES) || wants(o, SENSOR_NET) || wants(o, SENSOR_SQL) ||
		wants(o, SENSOR_LOCKS)) &&
	       goruntime_has(o->cfg.rt, FACT_GOROUTINES);
}

static bool armed(const struct observer *o, enum probe_id id)
{
	return o->cfg.trace && plan_has(o->cfg.plan, id);
}

static bool counts_births(const struct observer *o)
{
	return armed(o, PROBE_GO_BIRTH);
}

/* One walk; recorded in the history unless the one before was just now. */
static int look(struct observer *o)
{
	uint64_t now = clock_mono_ns();
	/* a single look has nothing to be compared with */
	bool record = !o->cfg.once && (!o->look_ns || now - o->look_ns >= o->pace_ns / 4);
	int err;

	if (!walks(o))
		return 0;
	err = goruntime_walk(o->cfg.rt, &o->walk, NULL);
	if (err)
		return err;
	o->walked = true;
	o->live = o->walk.user;
	o->walk_failures += o->walk.failures;
	err = sites_look(&o->sites, &o->walk, o->cfg.trace, record);
	if (!err)
		err = callwatch_look(o->calls, &o->walk);
	if (record) {
		o->look_ns = now;
		o->look_took_ns = clock_mono_ns() - now;
	}
	return err;
}

/* A look takes at most a thirtieth of the time between two: with a million
 * goroutines they are ten seconds apart. */
uint64_t observer_look_ns(const struct observer *o)
{
	uint64_t least = o->look_took_ns * 30;

	if (!walks(o))
		return UINT64_MAX;
	return o->look_ns + (least > o->pace_ns ? least : o->pace_ns);
}

void observer_set_pace(struct observer *o, uint64_t interval_ns)
{
	o->pace_ns = interval_ns / 5;
	if (o->pace_ns < MIN_PACE_NS)
		o->pace_ns = MIN_PACE_NS;
	if (o->pace_ns > NS_PER_S)
		o->pace_ns = NS_PER_S;
}

/* Births as they are counted now.  They can be read when the process has ended. */
static void count_births(struct observer *o)
{
	struct trace_reading r;

	if (!counts_births(o) || trace_read_births(o->cfg.trace, &r))
		return;
	sites_count(&o->sites, &r);
	trace_reading_deinit(&r);
}

int observer_look(struct observer *o)
{
	int err;

	count_births(o);
	err = look(o);
	if (err == -ESRCH)
		o->gone = true;
	else if (err)
		o->walk_failures++;
	return err;
}

bool observer_saw_something(const struct observer *o)
{
	return o->walked || o->now.has_gc || o->now.has_live || o->rnow.wall_ns > 0;
}

uint64_t observer_created(struct observer *o)
{
	uint64_t created;

	return goruntime_created(o->cfg.rt, &created) ? 0 : created;
}

static uint64_t births_counted(const struct trace_reading *r)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < r->nsite; i++)
		n += r->site[i].births;
	return n;
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

	if (o->cfg.trace) {
		trace_reading_deinit(&o->rnow);
		if (!trace_read(o->cfg.trace, &o->rnow))
			sites_count(&o->sites, &o->rnow);
	}
	if (!process_cpu_ns(o->cfg.proc, &cpu))
		o->cpu_now = cpu;
	if (!err)
		err = goruntime_totals(o->cfg.rt, &o->now);
	if (!err)
		err = look(o);
	if (err == -ESRCH || err == -ESTALE)
		o->gone = true;
	else if (err)
		o->walk_failures++;
	return err;
}

/* What was read becomes the start of the next window.  follows: on another one. */
static void begin_window(struct observer *o, bool follows)
{
	sites_begin_window(&o->sites, follows && !o->rnow.governed_sliced);
	o->base = o->now;
	trace_reading_deinit(&o->rbase);
	o->rbase = o->rnow;
	memset(&o->rnow, 0, sizeof(o->rnow));
	o->cpu_base = o->cpu_now;
	o->self_base = clock_self_cpu_ns();
	o->live_base = o->live;
	o->walk_failures = 0;
	o->window_ns = clock_mono_ns();
	callwatch_begin_window(o->calls);
}

static int open_calls(struct observer *o)
{
	const struct observer_config *cfg = &o->cfg;
	struct callwatch_config cc = {
		.rt = cfg->rt,
		.plan = cfg->plan,
		.trace = cfg->trace,
		.memory_only = cfg->memory_only,
		.sensors = cfg->sensors,
		.redact_salt = cfg->redact_salt,
	};

	return callwatch_new(&o->calls, &cc);
}

int observer_new(struct observer **out, const struct observer_config *cfg, struct err *err)
{
	struct observer *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return err_set(err, -ENOMEM, "out of memory");
	o->cfg = *cfg;
	observer_set_pace(o, 5 * NS_PER_S);
	allocs_init(&o->allocs, cfg->rt);
	heap_base_init(&o->heap);
	r = sites_init(&o->sites, cfg->rt);
	if (!r)
		r = open_calls(o);
	if (!r)
		r = read_all(o);
	if (r) {
		observer_free(o);
		return err_set(err, r, "process %d ended before anything was seen", cfg->proc->pid);
	}
	o->created_begin = o->now.created;
	o->births_begin = births_counted(&o->rnow);
	if (cfg->trace)
		allocs_take(&o->allocs, &o->rnow, 1, NULL);
	if (cfg->heap && !cfg->once)
		heap_base_take(&o->heap, cfg->rt);
	/* Before the first window there is none to count a birth for: those that the
	 * walk has seen must all be behind it. */
	count_births(o);
	begin_window(o, false);
	o->begin_ns = o->window_ns;
	*out = o;
	return 0;
}

void observer_free(struct observer *o)
{
	if (!o)
		return;
	sites_deinit(&o->sites);
	allocs_deinit(&o->allocs);
	heap_base_deinit(&o->heap);
	callwatch_free(o->calls);
	gowalk_deinit(&o->walk);
	trace_reading_deinit(&o->rbase);
	trace_reading_deinit(&o->rnow);
	free(o);
}

/* --- the parts of a window --------------------------------------------------- */

static const char *or_null(const char *s)
{
	return s && s[0] ? s : NULL;
}

static void fill_target(const struct observer *o, struct window *w)
{
	const struct gobin *gb = o->cfg.rt->gb;
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
	w->pie = gb->image.is_pie;
	w->started_real_ns = p->start_real_ns;
	process_usage(p, &w->target_rss_bytes, &(int){ 0 });
}

static uint64_t self_rss(void)
{
	unsigned long long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%llu %llu", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void fill_probes(const struct observer *o, struct window *w)
{
	const struct trace_reading *r = &o->rnow, *b = &o->rbase;
	int i;

	for (i = 0; o->cfg.plan && i < o->cfg.plan->n; i++) {
		const struct probe *p = &o->cfg.plan->probe[i];
		struct probe_row *row = &w->probe[w->nprobe++];

		row->name = probe_name(p->id);
		row->function = p->function;
		row->hits = r->hits[p->id] - b->hits[p->id];
		row->armed = armed(o, p->id);
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
	uint64_t cost = o->rnow.cost_ns - o->rbase.cost_ns;

	w->budget_pct = o->cfg.budget_pct;
	w->exact_mode = o->cfg.exact_mode;
	w->memory_only = o->cfg.memory_only;
	w->target_cpu_cores = wall_s > 0 ? (double)cpu / 1e9 / wall_s : 0;
	/* CPU time comes in 10 ms steps: of less than that no share is known. */
	w->cost_target_pct = !cost ? 0 : cpu ? 100.0 * (double)cost / (double)cpu : -1;
	if (w->cost_target_pct > 100)
		w->cost_target_pct = 100;
	w->agent_cpu_pct =
		wall_s > 0 ? 100.0 * (double)(clock_self_cpu_ns() - o->self_base) / 1e9 / wall_s
			   : 0;
	w->agent_rss_bytes = self_rss();
	fill_probes(o, w);
}

/* Why a probe is not there: its own reason, or why there is none at all. */
static const char *why_not(const struct observer *o, enum probe_id id)
{
	const struct probe *p = o->cfg.plan ? plan_find(o->cfg.plan, id) : NULL;

	if (o->cfg.memory_only)
		return o->cfg.memory_only;
	return p && p->why[0] ? p->why : "not probed";
}

/*
 * Births and deaths of the window.  Exact: births are summed by the probes.
 * Sampled: the total is the runtime's own, spread over the sites as the sample
 * says.  Deaths follow: who was there or was born, and is not there now.
 */
static void fill_goroutines(struct observer *o, struct window *w)
{
	const struct gototals *b = &o->base, *n = &o->now;
	bool probed = counts_births(o), sliced = probed && o->rnow.governed_sliced;
	uint64_t seen = 0, grown;
	double scale = 1;
	size_t i;

	w->goroutines->created_known = n->has_created && b->has_created;
	w->goroutines->created_total = n->created;
	w->goroutines->live = o->live;
	w->goroutines->system = o->walk.system;
	w->goroutines->live_at_start = o->live_base;
	for (i = 0; i < o->sites.n; i++) {
		const struct site_track *t = &o->sites.track[i];

		if (!t->system && t->births_looked > t->births_base)
			seen += t->births_looked - t->births_base;
	}
	grown = w->goroutines->created_known ? n->created - b->created : 0;
	w->goroutines->births_known = w->goroutines->created_known || (probed && !sliced);
	if ((!probed || sliced) && w->goroutines->created_known) {
		/* system goroutines are not told apart: those that appeared are subtracted */
		uint64_t sys = n->system > b->system ? n->system - b->system : 0;

		w->goroutines->births = grown > sys ? grown - sys : 0;
		w->goroutines->births_exactness = ESTIMATED;
		if (probed) {
			w->goroutines->births_exactness = SAMPLED;
			scale = seen ? (double)w->goroutines->births / (double)seen : 1;
		}
	}
	rows_fill(&o->sites, &o->walk, scale, probed && w->goroutines->births_known, o->gone, w);
	if ((!probed || sliced) &&
	    w->goroutines->births + w->goroutines->live_at_start > w->goroutines->live)
		w->goroutines->deaths =
			w->goroutines->births + w->goroutines->live_at_start - w->goroutines->live;
	for (int r = 0; r < w->goroutines->nsite; r++) {
		w->goroutines->site[r].exactness = sliced ? SAMPLED : EXACT;
		if (probed && !sliced) {
			w->goroutines->births += w->goroutines->site[r].births;
			w->goroutines->deaths += w->goroutines->site[r].deaths;
		}
	}
}

static void cover_goroutines(struct observer *o, struct window *w)
{
	bool probed = counts_births(o), sliced = probed && o->rnow.governed_sliced;
	uint64_t created, counted;
	struct coverage *c;

	if (!walks(o)) {
		window_cover(w, SENSOR_GOROUTINES, COVERAGE_OFF,
			     o->cfg.rt->why_off[FACT_GOROUTINES]);
		return;
	}
	w->goroutines->known = true;
	fill_goroutines(o, w);
	if (!probed) {
		c = window_cover(w, SENSOR_GOROUTINES, COVERAGE_PARTIAL, "");
		snprintf(c->why, sizeof(c->why),
			 "from memory alone: no births and deaths by site (%.140s)",
			 why_not(o, PROBE_GO_BIRTH));
		return;
	}
	if (sliced) {
		o->sliced = true;
		c = window_cover(w, SENSOR_GOROUTINES, COVERAGE_SAMPLED,
				 "budget: births and deaths by site are scaled from slices, the "
				 "totals are exact");
		c->rate = trace_share(o->rnow.governed_on_ns, o->rbase.governed_on_ns,
				      o->rnow.wall_ns, o->rbase.wall_ns);
		return;
	}
	window_cover(w, SENSOR_GOROUTINES, COVERAGE_EXACT, "");
	/* The runtime's own count is the check: what it made and no probe saw is lost. */
	created = o->now.created - o->created_begin;
	counted = births_counted(&o->rnow) - o->births_begin;
	if (w->goroutines->created_known && !o->sliced &&
	    created > counted + BIRTHS_SLACK + created / 1000) {
		w->lost_events += created - counted;
		w->coverage[w->ncoverage - 1].state = COVERAGE_PARTIAL;
		snprintf(w->coverage[w->ncoverage - 1].why, sizeof(c->why),
			 "the runtime started %llu goroutines, the probes saw %llu",
			 (unsigned long long)created, (unsigned long long)counted);
	}
}

static void cover_alloc(struct observer *o, struct window *w)
{
	const struct trace_reading *r = &o->rnow, *b = &o->rbase;
	struct coverage *c;
	double rate = 1;

	w->memory->large_threshold_bytes = LARGE_THRESHOLD;
	if (o->base.has_total_alloc && o->now.has_total_alloc &&
	    o->now.total_alloc > o->base.total_alloc)
		w->memory->total_alloc_bytes = o->now.total_alloc - o->base.total_alloc;
	if (!armed(o, PROBE_ALLOC_LARGE)) {
		window_cover(w, SENSOR_ALLOC, COVERAGE_OFF, why_not(o, PROBE_ALLOC_LARGE));
		return;
	}
	w->memory->alloc_known = true;
	if (r->rare_sliced)
		rate = trace_share(r->rare_on_ns, b->rare_on_ns, r->wall_ns, b->wall_ns);
	allocs_take(&o->allocs, r, rate > 0 ? 1 / rate : 1, w);
	w->memory->alloc_exactness = r->rare_sliced ? SAMPLED : EXACT;
	c = window_cover(w, SENSOR_ALLOC, r->rare_sliced ? COVERAGE_SAMPLED : COVERAGE_EXACT,
			 r->rare_sliced ? "budget" : "");
	c->rate = rate;
}

/* Pauses as memstats keeps them: one sum per cycle, the last 256 cycles. */
static void pauses_from_memory(const struct observer *o, struct gc_window *g)
{
	uint64_t cycles = g->cycles, i, v[256];
	uint32_t n = o->now.numgc;

	g->pauses_known = true;
	g->pauses_from_memory = true;
	g->pauses_partial = cycles > 256;
	g->pause_count = cycles;
	g->pause_total_ns = o->now.pause_total_ns - o->base.pause_total_ns;
	if (cycles > 256)
		cycles = 256;
	for (i = 0; i < cycles; i++) {
		uint64_t p = o->now.pause_ns[(n + 255 - i) % 256], j = i;

		for (; j > 0 && v[j - 1] > p; j--)
			v[j] = v[j - 1];
		v[j] = p;
	}
	if (!cycles)
		return;
	g->pause_p50_ns = v[(cycles - 1) / 2];
	g->pause_p99_ns = v[(cycles - 1) * 99 / 100];
	g->pause_max_ns = v[cycles - 1];
}

static void pauses_from_probes(const struct observer *o, struct gc_window *g)
{
	const struct trace_hist *n = &o->rnow.stw, *b = &o->rbase.stw;

	g->pauses_known = true;
	g->pause_count = n->count - b->count;
	g->pause_total_ns = n->sum_ns - b->sum_ns;
	g->pause_p50_ns = trace_hist_percentile(n, b, 0.5);
	g->pause_p99_ns = trace_hist_percentile(n, b, 0.99);
	g->pause_max_ns = g->pause_count ? o->rnow.stw_max_ns_window : 0;
}

static void cover_gc(struct observer *o, struct window *w)
{
	const struct gototals *b = &o->base, *n = &o->now;
	struct gc_window *g = &w->memory->gc;
	bool probed = armed(o, PROBE_STW_BEGIN) && armed(o, PROBE_STW_END);

	g->cpu_pct = -1;
	g->memory_limit_bytes = -1;
	if (n->has_gc && b->has_gc) {
		g->known = true;
		g->cycles_total = n->numgc;
		g->forced_total = n->numforcedgc;
		g->cycles = n->numgc - b->numgc;
		g->forced = n->numforcedgc - b->numforcedgc;
		g->cpu_pct = n->gc_cpu_fraction * 100;
	}
	if (n->has_heap) {
		g->heap_known = true;
		g->heap_live_bytes = n->heap_live;
		g->heap_marked_bytes = n->heap_marked;
		g->heap_goal_bytes = n->heap_goal;
		g->gogc = n->gogc;
		g->memory_limit_bytes = n->memory_limit;
	}
	if (probed && !o->rnow.rare_sliced)
		pauses_from_probes(o, g);
	else if (g->known)
		pauses_from_memory(o, g);
	if (!g->known && !probed)
		window_cover(w, SENSOR_GC, COVERAGE_OFF, o->cfg.rt->why_off[FACT_GC]);
	else if (!g->known || !g->heap_known)
		window_cover(w, SENSOR_GC, COVERAGE_PARTIAL,
			     o->cfg.rt->why_off[g->known ? FACT_HEAP : FACT_GC]);
	else
		window_cover(w, SENSOR_GC, COVERAGE_EXACT, "");
}

/* A row of coverage that is no sensor's. */
static void cover_named(struct window *w, const char *name, enum coverage_state st, const char *why)
{
	struct coverage *c = window_cover(w, SENSOR_COUNT, st, why);

	c->name = name;
}

static void fill_dump(struct observer *o, struct window *w)
{
	struct dump_options opt = { .all = o->cfg.dump_all };
	int err;

	if (!o->cfg.dump || o->gone || !wants(o, SENSOR_GOROUTINES) || !walks(o))
		return;
	err = dump_take(&w->goroutines->dump, &o->sites, &o->walk, &opt);
	if (err == -EOPNOTSUPP) {
		cover_named(w, "stacks", COVERAGE_OFF, o->cfg.rt->why_off[FACT_STACKS]);
	} else if (err) {
		o->gone = o->gone || err == -ESRCH;
		cover_named(w, "stacks", COVERAGE_OFF,
			    err == -ESRCH ? "the process ended while its stacks were read"
					  : "the stacks could not be read");
		w->lost_read_failures++;
	} else if (w->goroutines->dump->unread) {
		w->lost_read_failures += w->goroutines->dump->unread;
	}
	if (w->goroutines->dump)
		w->lost_read_failures += w->goroutines->dump->labels_unknown;
	if (deadlocks_find(w, &o->sites, &o->walk, NULL) == -ESRCH)
		o->gone = true;
}

static void fill_heap(struct observer *o, struct window *w)
{
	if (!o->cfg.heap || o->gone || !wants(o, SENSOR_ALLOC))
		return;
	heap_take(&w->memory->heap, &o->heap, o->cfg.rt);
	w->memory->heap.collected =
		o->now.has_gc && o->base.has_gc && o->now.numgc != o->base.numgc;
	cover_named(w, "heap",
		    !w->memory->heap.known     ? COVERAGE_OFF
		    : w->memory->heap.rate > 1 ? COVERAGE_ESTIMATED
					       : COVERAGE_EXACT,
		    w->memory->heap.why[0] || w->memory->heap.rate <= 1
			    ? w->memory->heap.why
			    : "the runtime's own sample, scaled up");
}

static void fill_losses(const struct observer *o, struct window *w)
{
	const struct trace_reading *r = &o->rnow, *b = &o->rbase;

	w->lost_map_full += r->map_full - b->map_full;
	w->lost_read_failures += r->read_failures - b->read_failures + r->stack_failures -
				 b->stack_failures + o->walk_failures;
}

/* The process is gone: what memory said last stands, and coverage says so. */
static void cover_ended(struct window *w)
{
	int i;

	for (i = 0; i < w->ncoverage; i++) {
		struct coverage *c = &w->coverage[i];

		if (c->state != COVERAGE_EXACT || c->name)
			continue;
		c->state = COVERAGE_PARTIAL;
		snprintf(c->why, sizeof(c->why),
			 "the process ended: what memory says is as of the last look");
	}
}

int observer_take(struct observer *o, struct window *w, const char *end_reason)
{
	static const char not_asked[] = "not asked for (--only)";
	int err = o->cfg.once ? process_check(o->cfg.proc) : read_all(o), s;
	uint64_t now = clock_mono_ns();

	if (window_init(w))
		return -ENOMEM;
	w->end_real_ns = clock_real_ns();
	if (!o->cfg.once) {
		w->window_s = (double)(now - o->window_ns) / 1e9;
		w->observed_s = (double)(now - o->begin_ns) / 1e9;
	}
	w->end_reason = end_reason;
	w->last = end_reason != NULL;
	fill_target(o, w);
	fill_cost(o, w->window_s, w);
	if (callwatch_fill(o->calls, &o->walk, &o->rbase, &o->rnow, w) == -ESRCH)
		o->gone = true;
	fill_dump(o, w); /* before the rest: it brings the walk up to date */
	for (s = 0; s < SENSOR_COUNT; s++) {
		if (!wants(o, (enum sensor)s))
			window_cover(w, (enum sensor)s, COVERAGE_OFF, not_asked);
		else if (s == SENSOR_GOROUTINES)
			cover_goroutines(o, w);
		else if (s == SENSOR_ALLOC)
			cover_alloc(o, w);
		else if (s == SENSOR_GC)
			cover_gc(o, w);
		else if (s == SENSOR_NET || s == SENSOR_SQL || s == SENSOR_LOCKS)
			callwatch_cover(o->calls, (enum sensor)s, w);
		else
			window_cover(w, (enum sensor)s, COVERAGE_OFF, "not built yet");
	}
	fill_heap(o, w);
	fill_losses(o, w);
	if (err)
		cover_ended(w);
	o->taken_ns = o->window_ns;
	o->ended_ns = now;
	begin_window(o, true);
	return err == -ESRCH || err == -ESTALE ? 0 : err;
}

void observer_drop_walk(struct observer *o)
{
	gowalk_deinit(&o->walk);
}

void observer_add_leaks(struct observer *o, struct window *w, const struct prove_result *r)
{
	char why[200];

	/* ages as of the report's time, which was before the passes */
	if (leaks_fill(&w->goroutines->leaks, &o->sites, r, o->ended_ns,
		       o->cfg.once ? 0 : o->taken_ns)) {
		leaks_window_deinit(&w->goroutines->leaks);
		cover_named(w, "leaks", COVERAGE_OFF, "no memory for the verdicts");
		return;
	}
	w->lost_read_failures += r->losses;
	if (r->n + r->nstuck && !o->gone && deadlocks_find(w, &o->sites, &o->walk, r) == -ESRCH)
		o->gone = true;
	deadlocks_mark_leaked(w);
	if (r->verdict == LEAKS_PASSES && !r->why[0])
		snprintf(why, sizeof(why),
			 "%d passes over a running process agree; --prove freezes it for some "
			 "milliseconds and is certain",
			 r->passes);
	else
		snprintf(why, sizeof(why), "%.190s", r->why);
	cover_named(w, "leaks",
		    r->verdict == LEAKS_PROVEN   ? COVERAGE_EXACT
		    : r->verdict == LEAKS_PASSES ? COVERAGE_ESTIMATED
						 : COVERAGE_OFF,
		    why);
}
