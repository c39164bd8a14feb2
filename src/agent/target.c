/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "observe/detect.h"
#include "proc/mem.h"

/* What memory alone tells. */
#define SENSORS                                                                           \
	(SENSOR_BIT(SENSOR_GOROUTINES) | SENSOR_BIT(SENSOR_GC) | SENSOR_BIT(SENSOR_NET) | \
	 SENSOR_BIT(SENSOR_SQL) | SENSOR_BIT(SENSOR_LOCKS))

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

struct executable *executable_get(struct executable *x)
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

int target_open(struct target **out, struct process *p, struct executable *x, struct err *err)
{
	struct target *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->refs = 1;
	t->proc = *p;
	if (x)
		t->exe = executable_get(x);
	else
		r = executable_new(&t->exe, p, err);
	if (!r)
		r = bind(t, err);
	if (!r)
		identity_of_exe(&t->identity, t->proc.exe);
	if (r) { /* the process stays the caller's */
		t->proc.pidfd = t->proc.proc_fd = t->proc.exe_fd = -1;
		target_put(t);
		return r;
	}
	*out = t;
	return 0;
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

int target_totals(struct target *t)
{
	struct gototals g;
	int r = process_check(&t->proc);

	if (!r)
		r = goruntime_totals(&t->rt, &g);
	if (r)
		return r;
	take_totals(&t->totals, &g);
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

int target_walk(struct target *t, struct err *err)
{
	struct walk *w;
	int r = t->observer ? 0 : observe(t, err);

	if (r)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	r = observer_take(t->observer, &w->report.window, NULL);
	if (r) {
		free(w);
		return err_set(err, r, "process %d cannot be read", (int)t->proc.pid);
	}
	detect_all(&w->report.window, &w->report.findings);
	w->refs = 1;
	w->real_ns = w->report.window.end_real_ns;
	w->target = target_get(t);
	walk_put(t->walk);
	t->walk = w;
	return 0;
}
