/* SPDX-License-Identifier: BSD-2-Clause */
/* A process by the few words that are read of it at each tick, and what is found in it. */
#include "export/metric.h"

#include <stdio.h>
#include <string.h>

/* name(from, to) puts VALUE where the totals HAVE it. */
#define TOTAL(name, have, value)                                                 \
	static void name(const struct metric_from *from, struct metric_sink *to) \
	{                                                                        \
		const struct view_totals *t = from->process->totals;             \
                                                                                 \
		if (t && (have))                                                 \
			metric_put(to, (double)(value));                         \
	}

TOTAL(live, t->has_live, t->live)
TOTAL(created, t->has_created, t->created)
TOTAL(gomaxprocs, t->gomaxprocs, t->gomaxprocs)
TOTAL(gogc, t->has_heap && t->gogc >= 0, t->gogc)
TOTAL(memory_limit, t->memory_limit_bytes >= 0 && t->memory_limit_bytes < INT64_MAX,
      t->memory_limit_bytes)
TOTAL(heap_goal, t->has_heap && t->heap_goal_bytes, t->heap_goal_bytes)
TOTAL(heap_live, t->has_heap, t->heap_live_bytes)
TOTAL(gc_cycles, t->has_gc, t->gc_cycles)
TOTAL(gc_pause, t->has_gc, (double)t->gc_pause_ns / 1e9)
TOTAL(allocated, t->has_alloc, t->alloc_bytes)
TOTAL(mapped, t->has_mapped, t->mapped_bytes)
TOTAL(cpu, t->has_cpu, (double)t->cpu_ns / 1e9)
TOTAL(rss, t->has_cpu, t->rss_bytes)
TOTAL(threads, t->has_cpu, t->threads)

static void heap(const struct metric_from *from, struct metric_sink *to)
{
	const struct view_totals *t = from->process->totals;

	if (!t || !t->has_mapped)
		return;
	metric_put1(to, (double)t->heap_in_use_bytes, "state", "in_use");
	metric_put1(to, (double)t->heap_free_bytes, "state", "free");
	metric_put1(to, (double)t->heap_released_bytes, "state", "released");
}

#define HISTOGRAM(name)                                                                      \
	static void name##_histogram(const struct metric_from *from, struct metric_sink *to) \
	{                                                                                    \
		if (from->process->totals && from->process->totals->has_##name)              \
			to->histogram(to, &from->process->totals->name);                     \
	}

HISTOGRAM(to_run)
HISTOGRAM(pauses)

static void started(const struct metric_from *from, struct metric_sink *to)
{
	if (from->process->started_real_ns)
		metric_put(to, (double)from->process->started_real_ns / 1e9);
}

static void walked(const struct metric_from *from, struct metric_sink *to)
{
	if (from->process->walked_real_ns)
		metric_put(to, (double)from->process->walked_real_ns / 1e9);
}

static void info(const struct metric_from *from, struct metric_sink *to)
{
	struct metric_label label[METRIC_MAX_DESCRIPTION];

	to->put(to, 1, label, metric_description(from->process, label));
}

static void finding(const struct metric_from *from, struct metric_sink *to)
{
	for (int i = 0; i < from->process->nfinding; i++) {
		const struct view_finding *v = &from->process->finding[i];
		const struct finding *f = v->finding;
		char line[16] = "";
		const struct metric_label label[] = {
			{ "kind", f->kind },
			{ "severity", severity_word[f->severity] },
			{ "finding", v->id },
			{ "code.function.name", f->place.function ? f->place.function : "" },
			{ "code.file.path", f->place.file ? f->place.file : "" },
			{ "code.line.number", line },
		};

		if (f->place.line > 0)
			snprintf(line, sizeof(line), "%d", f->place.line);
		to->put(to, 1, label, (int)(sizeof(label) / sizeof(label[0])));
	}
}

/* Open ones by kind and severity, for alerts. */
static void findings(const struct metric_from *from, struct metric_sink *to)
{
	const struct view_process *p = from->process;

	for (int i = 0; i < p->nfinding; i++) {
		const struct finding *f = p->finding[i].finding;
		bool before = false;
		int n = 0;

		for (int k = 0; k < p->nfinding; k++) {
			const struct finding *o = p->finding[k].finding;
			bool same = o->severity == f->severity && !strcmp(o->kind, f->kind);

			before = before || (same && k < i);
			n += same;
		}
		if (!before)
			to->put(to, n,
				(const struct metric_label[]){
					{ "kind", f->kind },
					{ "severity", severity_word[f->severity] } },
				2);
	}
}

const struct metric metrics_process[] = {
	{ "gospect_findings", NULL, METRIC_AMOUNT, "{finding}",
	  "Open findings by kind and severity.", findings },
	{ "gospect_finding", NULL, METRIC_GAUGE, "1", "1 while the finding is open.", finding },
	{ "gospect_target_info", NULL, METRIC_GAUGE, "1", "What is known of a process; value 1.",
	  info },
	{ "go_goroutines", "go.goroutine.count", METRIC_AMOUNT, "{goroutine}",
	  "Goroutines alive now, as runtime.NumGoroutine says.", live },
	{ "gospect_goroutines_created", "gospect.goroutine.created", METRIC_COUNTER, "{goroutine}",
	  "Goroutines created since the process started, by the runtime's ids.", created },
	{ "gospect_heap_live_bytes", "gospect.heap.live", METRIC_AMOUNT, "By",
	  "Heap marked by the last collection, plus what was allocated since.", heap_live },
	{ "go_memory_gc_goal_bytes", "go.memory.gc.goal", METRIC_AMOUNT, "By",
	  "Heap size at which the next collection ends.", heap_goal },
	{ "go_memory_used_bytes", "go.memory.used", METRIC_AMOUNT, "By",
	  "Memory that the Go runtime has and has not given back.", mapped },
	{ "gospect_heap_bytes", "gospect.heap.size", METRIC_AMOUNT, "By",
	  "The Go heap: spans in use, free, and given back to the system.", heap },
	{ "go_memory_allocated_bytes", "go.memory.allocated", METRIC_COUNTER, "By",
	  "Bytes allocated on the heap since the process started.", allocated },
	{ "go_memory_gc_cycles", "go.memory.gc.cycles", METRIC_COUNTER, "{gc_cycle}",
	  "Collections completed since the process started.", gc_cycles },
	{ "gospect_gc_pause_seconds", "gospect.gc.pause.time", METRIC_COUNTER, "s",
	  "Time for which collections stopped the program since it started.", gc_pause },
	{ "go_gc_gogc_percent", "go.config.gogc", METRIC_AMOUNT, "%",
	  "GOGC; absent where it is off.", gogc },
	{ "go_gc_gomemlimit_bytes", "go.memory.limit", METRIC_AMOUNT, "By",
	  "GOMEMLIMIT, where one is set.", memory_limit },
	{ "go_sched_gomaxprocs_threads", "go.processor.limit", METRIC_AMOUNT, "{thread}",
	  "GOMAXPROCS.", gomaxprocs },
	{ "gospect_target_cpu_seconds", "process.cpu.time", METRIC_COUNTER, "s",
	  "CPU time of the process, by the kernel.", cpu },
	{ "gospect_target_resident_memory_bytes", "process.memory.usage", METRIC_AMOUNT, "By",
	  "Resident memory of the process.", rss },
	{ "gospect_target_threads", "process.thread.count", METRIC_AMOUNT, "{thread}",
	  "Threads of the process.", threads },
	{ "gospect_target_start_time_seconds", "gospect.target.start_time", METRIC_GAUGE, "s",
	  "When the process started, since 1970.", started },
	{ "gospect_target_walk_timestamp_seconds", "gospect.target.walk_time", METRIC_GAUGE, "s",
	  "When its goroutines were looked at last, since 1970: how old their series are.",
	  walked },
	{ NULL, NULL, METRIC_GAUGE, NULL, NULL, NULL },
};

/* Of many series each: the first to be left out. */
const struct metric metrics_latency[] = {
	{ "go_memory_gc_pause_duration_seconds", "go.memory.gc.pause.duration", METRIC_HISTOGRAM,
	  "s", "Pauses by collections since it started, each by itself; the sum is a lower bound.",
	  pauses_histogram },
	{ "go_schedule_duration_seconds", "go.schedule.duration", METRIC_HISTOGRAM, "s",
	  "How long goroutines waited to run since it started, of which the runtime measures one "
	  "in "
	  "eight; the sum is a lower bound.",
	  to_run_histogram },
	{ NULL, NULL, METRIC_GAUGE, NULL, NULL, NULL },
};
