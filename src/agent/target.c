/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "observe/detect.h"
#include "proc/mem.h"
#include "prove/prove.h"

/* What memory alone tells. */
#define SENSORS                                                                           \
	(SENSOR_BIT(SENSOR_GOROUTINES) | SENSOR_BIT(SENSOR_GC) | SENSOR_BIT(SENSOR_NET) | \
	 SENSOR_BIT(SENSOR_SQL) | SENSOR_BIT(SENSOR_LOCKS))

#define GROWS        3                 /* walks in a row */
#define PASSES       6                 /* over the memory of a process */
#define PASSES_NS    (500 * NS_PER_MS) /* none is begun after */
#define PASSES_BYTES (256ull << 20)    /* of our own memory, while it lasts */

/* Between looks for the context that an SDK publishes. */
#define SEEK_LEAST_NS NS_PER_S
#define SEEK_MOST_NS  (600 * NS_PER_S)

/* --- executables ----------------------------------------------------------------- */

int executable_new(struct executable **out, const struct process *p, struct err *err)
{
	struct executable *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return err_set(err, -ENOMEM, "out of memory");
	r = gobin_open_fd(&x->gb, p->exe_fd, err);
	if (r) {
		free(x);
		return r;
	}
	x->refs = 1;
	x->from = p->pid;
	*out = x;
	return 0;
}

static struct executable *get_executable(struct executable *x)
{
	x->refs++;
	return x;
}

void executable_put(struct executable *x)
{
	if (!x || --x->refs)
		return;
	gobin_free(x->gb);
	free(x);
}

/* --- life ------------------------------------------------------------------------ */

struct target *target_get(struct target *t)
{
	t->refs++;
	return t;
}

static void target_free(struct target *t)
{
	observer_free(t->observer);
	if (t->rt_open)
		goruntime_deinit(&t->rt);
	mem_free(t->mem);
	executable_put(t->exe);
	who_put(t->who);
	process_deinit(&t->proc);
	free(t);
}

/* Its walk is not counted: that one keeps its target. */
void target_put(struct target *t)
{
	if (t && !--t->refs)
		target_free(t);
}

void target_close(struct target *t)
{
	struct walk *w = t ? t->walk : NULL;

	if (!t)
		return;
	process_deinit(&t->proc);
	t->walk = NULL;
	walk_put(w);
	target_put(t);
}

static int bind(struct target *t, struct err *err)
{
	uint64_t bias;
	int r = process_bias(&t->proc, &t->exe->gb->image, &bias, err);

	if (!r)
		r = mem_open_pid(&t->mem, t->proc.pid, err);
	if (!r)
		r = goruntime_init(&t->rt, t->exe->gb, t->mem, bias, t->proc.mono_offset_ns, err);
	t->rt_open = !r;
	/* All that was read was read of this process, if it is still this one. */
	if (!r && process_check(&t->proc))
		r = err_set(err, -ESRCH, "process %d exited or called exec while it was opened",
			    (int)t->proc.pid);
	return r;
}

/* Who it is, where the caller does not know. */
static int name(struct target *t, struct who *who)
{
	t->who = who ? who_get(who) : who_new();
	if (!t->who)
		return -ENOMEM;
	if (!who)
		identity_of(&t->who->id, &t->proc, t->mem, &t->context, IDENTITY_LOG_DIR);
	identity_version(&t->who->id, t->exe->gb->build.module_version);
	t->sought_ns = clock_mono_ns();
	return 0;
}

int target_open(struct target **out, struct process *p, struct executable *x, struct who *who,
		struct err *err)
{
	struct target *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->refs = 1;
	t->proc = *p;
	if (x)
		t->exe = get_executable(x);
	else
		r = executable_new(&t->exe, p, err);
	if (!r)
		r = bind(t, err);
	if (!r && name(t, who))
		r = err_set(err, -ENOMEM, "out of memory");
	if (r) { /* the process stays the caller's */
		t->proc.pidfd = t->proc.proc_fd = t->proc.exe_fd = -1;
		target_put(t);
		return r;
	}
	close(t->proc.exe_fd); /* the executable's own is kept */
	t->proc.exe_fd = -1;
	image_forget(&t->exe->gb->image);
	*out = t;
	return 0;
}

bool target_is_renamed(struct target *t)
{
	uint64_t now = clock_mono_ns(), up = clock_real_ns() - t->proc.start_real_ns;
	/* most publish as they start, or never */
	uint64_t pause = up < SEEK_MOST_NS ? up / 2 : SEEK_MOST_NS;

	if (!t->context.addr && now - t->sought_ns > pause + SEEK_LEAST_NS) {
		t->sought_ns = now;
		identity_find(&t->proc, t->mem, &t->context);
	}
	return otelctx_is_new(&t->context, t->mem);
}

/* --- looks ----------------------------------------------------------------------- */

static void take_totals(struct view_totals *out, const struct gototals *g)
{
	*out = (struct view_totals){
		.mono_ns = g->mono_ns,
		.real_ns = g->real_ns,
		.has_live = g->has_live,
		.has_created = g->has_created,
		.has_gc = g->has_gc,
		.has_heap = g->has_heap,
		.has_alloc = g->has_total_alloc,
		.has_mapped = g->has_mapped,
		.live = g->live,
		.system = g->system,
		.created = g->created,
		.gc_cycles = g->numgc,
		.gc_forced = g->numforcedgc,
		.gc_pause_ns = g->pause_total_ns,
		.heap_live_bytes = g->heap_live,
		.heap_goal_bytes = g->heap_goal,
		.alloc_bytes = g->total_alloc,
		.free_bytes = g->total_free,
		.heap_in_use_bytes = g->heap_in_use,
		.heap_free_bytes = g->heap_free,
		.heap_released_bytes = g->heap_released,
		.mapped_bytes = g->mapped_ready,
		.gomaxprocs = g->procs,
		.gogc = g->gogc,
		.memory_limit_bytes = g->memory_limit,
	};
}

static void take_latencies(struct target *t, const struct gototals *g)
{
	struct view_totals *to = &t->totals;
	struct golatency l;

	to->has_to_run = !golatency_read(&t->rt, &l);
	if (to->has_to_run)
		golatency_fold(&l, &to->to_run);
	to->has_pauses = g->has_gc && !golatency_pauses(&t->rt, g->numgc, &l);
	if (to->has_pauses)
		golatency_fold(&l, &to->pauses);
}

int target_totals(struct target *t)
{
	struct gototals g;
	int r = process_check(&t->proc);

	if (!r)
		r = goruntime_totals(&t->rt, &g);
	if (r)
		return r;
	take_totals(&t->totals, &g);
	take_latencies(t, &g);
	t->totals.has_cpu = !process_cpu_ns(&t->proc, &t->totals.cpu_ns) &&
			    !process_usage(&t->proc, &t->totals.rss_bytes, &t->totals.threads);
	t->has_totals = true;
	return 0;
}

struct walk *walk_get(struct walk *w)
{
	w->refs++;
	return w;
}

void walk_put(struct walk *w)
{
	if (!w || --w->refs)
		return;
	report_deinit(&w->report);
	target_put(w->target);
	free(w);
}

static int observe(struct target *t, struct err *err)
{
	t->cfg = (struct observer_config){
		.look = { .rt = &t->rt,
			  .sensors = SENSORS,
			  .memory_only = "gospect host reads memory alone" },
		.proc = &t->proc,
	};
	return observer_new(&t->observer, &t->cfg, err);
}

/* --- leaks ------------------------------------------------------------------------ */

/* A creation site with more and more that are stuck, at three walks in a row. */
static bool site_grows(const struct site_row *s)
{
	const struct site_point *p = s->point + s->npoint;

	return s->npoint > GROWS && !s->other && p[-1].stuck > p[-2].stuck &&
	       p[-2].stuck > p[-3].stuck && p[-3].stuck > p[-4].stuck;
}

static bool grows(const struct goroutines_window *g)
{
	for (int i = 0; g->known && i < g->nsite; i++)
		if (site_grows(&g->site[i]))
			return true;
	return false;
}

static bool go_on(void *arg, const struct prove_progress *p)
{
	const struct target_look *look = arg;

	(void)p;
	return !look->go_on || look->go_on(look->arg);
}

/* Several passes over the running process; without a verdict its reason is in the window. */
static void look_for_leaks(struct target *t, struct target_look *look, struct window *w)
{
	const struct prove_config cfg = {
		.rt = &t->rt,
		.proc = &t->proc,
		.passes = PASSES,
		.limit_ns = PASSES_NS,
		.max_bytes = PASSES_BYTES,
		.too_much = "'gospect leaks PID' takes more",
		.go_on = go_on,
		.arg = look,
	};
	struct prove_result r = { .verdict = LEAKS_OFF };
	uint64_t cpu = clock_thread_cpu_ns();
	struct err err = { 0 };

	if (!prove_run(&cfg, &r, &err))
		observer_add_leaks(t->observer, w, &r);
	prove_result_deinit(&r);
	look->judged_ns = clock_thread_cpu_ns() - cpu + 1;
}

int target_walk(struct target *t, struct target_look *look, struct err *err)
{
	struct window *win;
	struct walk *w;
	bool first = !t->observer;
	int r = first ? observe(t, err) : 0;

	look->judged_ns = 0;
	if (r || (first && !look->at_once)) {
		image_forget(&t->exe->gb->image);
		return r;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	win = &w->report.window;
	r = observer_take(t->observer, win, NULL);
	if (!r)
		r = process_check(&t->proc);
	if (r) {
		report_deinit(&w->report);
		free(w);
		return err_set(err, r, "process %d cannot be read", (int)t->proc.pid);
	}
	if (look->verdict == VERDICT_YES ||
	    (look->verdict == VERDICT_IF_GROWING && grows(win->goroutines)))
		look_for_leaks(t, look, win);
	detect_all(win, &w->report.findings);
	image_forget(&t->exe->gb->image);
	w->refs = 1;
	w->real_ns = win->end_real_ns;
	w->target = target_get(t);
	walk_put(t->walk);
	t->walk = w;
	return 0;
}

void target_dump(struct target *t)
{
	observer_add_dump(t->observer, &t->walk->report.window);
	image_forget(&t->exe->gb->image);
}
