/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/document.h"

#include "goroutines/tables.h"
#include "cpu/tables.h"
#include "crash/tables.h"
#include "locks/tables.h"
#include "memory/tables.h"
#include "net/tables.h"
#include "report/report.h"
#include "report/summary.h"
#include "slices/tables.h"
#include "sql/tables.h"

/* ---- the target and the cost ---- */

#define S struct window
static const struct column target_column[] = {
	INT(S, pid, "pid", "process id, as gospect sees it"),
	TEXT(S, exe, "exe", "path of the executable", .flags = COLUMN_SOMETIMES),
	EXECUTABLE_COLUMNS(S, ),
	TIME(S, started_real_ns, "started", "when the process started"),
	TEXT(S, container, "container", "id of its container", .flags = COLUMN_SOMETIMES),
	BYTES(S, target_rss_bytes, "rss_bytes", "resident memory; absent once it has ended",
	      .flags = COLUMN_ABSENT_0),
	REAL(S, target_cpu_cores, "cpu_cores", 0.001, "CPU time per second, in this window"),
};

static void state_value(const struct row *r, struct value *v)
{
	v->text = ((const struct process_window *)r->row)->pause ? "stopped" : "running";
}

#undef S
#define S     struct process_window
#define SPLIT .known_at = OFFSET(S, split_known, bool)
static const struct column process_column[] = {
	INT(S, threads, "threads", "threads of the process"),
	INT(S, threads_max, "threads_max", "Go ends the program when it needs more"),
	INT(S, gomaxprocs, "gomaxprocs", "threads that run Go code at a time",
	    .flags = COLUMN_ABSENT_0),
	REAL(S, cpus, "cpus_allowed", 0.001,
	     "CPUs that its cgroup's quota and its affinity allow it to use",
	     .flags = COLUMN_POSITIVE),
	GOT(COLUMN_TEXT, "state", state_value,
	    "running, or stopped: by a signal, or frozen with its cgroup"),
	REAL(S, paused_s, "stopped_s", 0.001,
	     "for how much of the window it was stopped, as far as looks saw",
	     .flags = COLUMN_POSITIVE),
	BYTES(S, rss_bytes, "rss_bytes", "resident memory", .flags = COLUMN_ABSENT_0),
	BYTES(S, heap_in_use_bytes, "heap_in_use_bytes", "of the Go heap, spans in use", SPLIT),
	BYTES(S, heap_idle_bytes, "heap_idle_bytes",
	      "of the Go heap, free and not given back to the system", SPLIT),
	BYTES(S, stacks_bytes, "stacks_bytes", "stacks of the goroutines", SPLIT),
	BYTES(S, runtime_bytes, "runtime_bytes", "the Go runtime's own tables", SPLIT),
	BYTES(S, other_bytes, "other_bytes",
	      "resident, and not the Go runtime's: the program's code and data, C, mappings",
	      SPLIT),
	BYTES(S, file_bytes, "file_bytes", "resident pages of mapped files", SPLIT),
	BYTES(S, shared_bytes, "shared_bytes", "resident shared memory", SPLIT),
};
#undef SPLIT
#undef S
#define S struct window

static const void *process_part(const struct window *w)
{
	return w->process.known ? &w->process : NULL;
}

static const struct table process =
	TABLE("process", "The process as the machine sees it.", struct process_window,
	      process_column, .part = process_part);

static bool is_not_armed(const struct row *r)
{
	return !((const struct probe_row *)r->row)->armed;
}

static const struct column probe_column[] = {
	TEXT(struct probe_row, name, "name", "what it sees", .flags = COLUMN_SOMETIMES),
	TEXT(struct probe_row, function, "function", "where it is", .flags = COLUMN_SOMETIMES),
	FLAG(struct probe_row, armed, "armed", "whether it is attached"),
	COUNT(struct probe_row, hits, "hits", "in this window",
	      .known_at = OFFSET(struct probe_row, armed, bool)),
	REAL(struct probe_row, cost_ns, "cost_ns", 1, "per hit", .flags = COLUMN_POSITIVE),
	CHARS(struct probe_row, why, "why", "why it is not armed", .known = is_not_armed),
};

static const struct table probe_list =
	TABLE("probe", "One row per probe of the plan.", struct probe_row, probe_column);

static const struct column probes_column[] = {
	INT(S, probes_armed, "armed", "attached"),
	INT(S, probes_emulated, "emulated", "of them, on an instruction that the kernel emulates"),
	INT(S, probes_stepped, "stepped", "of them, on one that it steps over"),
	COUNT(S, probe_hits, "hits", "of all probes in this window"),
	ROWS(S, probe, nprobe, "list", &probe_list, "one by one", .flags = COLUMN_STREAM),
};

static const struct table probes = TABLE("probes", "The probes in the target.", S, probes_column);

static const struct column cost_column[] = {
	REAL(S, cost_target_pct, "target_cpu_pct", 0.001,
	     "cost in the target, percent of the CPU time that it used", .flags = COLUMN_POSITIVE),
	REAL(S, budget_pct, "budget_pct", 0.001, "what it may be"),
	FLAG(S, exact_mode, "exact", "the governor is off: every event is counted",
	     .flags = COLUMN_ABSENT_0),
	REAL(S, agent_cpu_pct, "agent_cpu_pct", 0.001, "gospect's own CPU, percent of one"),
	BYTES(S, agent_rss_bytes, "agent_rss_bytes",
	      "gospect's own resident memory, without the BPF tables that it maps"),
	BYTES(S, agent_bpf_bytes, "agent_bpf_bytes", "kernel memory of gospect's BPF tables"),
	COLUMN(COLUMN_OBJECT, "probes", 0, "the probes", .sub = &probes, .flags = COLUMN_INSIDE),
};

/* ---- coverage and losses ---- */

static void coverage_name(const struct row *r, struct value *v)
{
	const struct coverage *c = r->row;

	v->text = c->name ? c->name : sensor_name(c->sensor);
}

static bool is_sampled(const struct row *r)
{
	return ((const struct coverage *)r->row)->state == SAMPLED;
}

static const struct column coverage_column[] = {
	GOT(COLUMN_TEXT, "sensor", coverage_name, "a sensor, or a part of the report"),
	WORD(struct coverage, state, "state", exactness_word, "how much of it was seen"),
	REAL(struct coverage, rate, "rate", 0.0001, "share of the window, 0 to 1",
	     .known = is_sampled),
	CHARS(struct coverage, why, "why", "why it is not exact"),
};

static const struct column losses_column[] = {
	COUNT(S, lost_events, "events", "that the kernel could not deliver"),
	COUNT(S, lost_map_full, "map_full", "dropped because a table was full"),
	COUNT(S, lost_read_failures, "read_failures", "reads of the target's memory that failed"),
	COUNT(S, skipped_reports, "reports",
	      "skipped before this one because nobody read them; this window has their time",
	      .flags = COLUMN_ABSENT_0),
	REAL(S, stopped_s, "stopped_s", 0.001,
	     "between the report before and this window, while gospect was stopped (Ctrl-Z)",
	     .flags = COLUMN_ABSENT_0),
};
#undef S

static const struct table target = TABLE("target", "The process.", struct window, target_column);

static const struct table cost = TABLE("cost", "What observing cost.", struct window, cost_column);

static const struct table coverage =
	TABLE("coverage", "What each sensor saw.", struct coverage, coverage_column);

static const struct table losses =
	TABLE("losses", "What is missing from this report; 0 where nothing is.", struct window,
	      losses_column);

/* ---- findings ---- */

static bool number(const struct row *r, size_t i, struct pair *out)
{
	const struct finding *f = r->row;

	if (i >= (size_t)f->nnumber)
		return false;
	out->key = f->number[i].name;
	out->type = f->number[i].is_integer ? COLUMN_COUNT : COLUMN_REAL;
	if (f->number[i].is_integer)
		out->count = (uint64_t)f->number[i].value;
	else
		out->real = f->number[i].value;
	return true;
}

static const struct column evidence_column[] = {
	{ .type = COLUMN_CHARS, .what = "a sentence" },
};

static const struct table evidence = {
	.name = "evidence",
	.bare = true,
	TABLE_ROWS(char[240], evidence_column),
};

#define S struct finding
static const struct column finding_column[] = {
	CHARS(S, id, "id", "the same in each report about the same thing"),
	TEXT(S, kind, "kind", "goroutine-leak, no-timeout, …"),
	WORD(S, severity, "severity", severity_word, "how bad it is"),
	CHARS(S, title, "title", "what is wrong, one sentence"),
	PLACE(S, place, "place", "where, when there is one place"),
	PAIRS("numbers", number, "what was measured"),
	EXACTNESS(S, exactness),
	REAL(S, since_s, "since_s", 0.001, "how long it has been so in this observation",
	     .flags = COLUMN_POSITIVE),
	ROWS(S, evidence, nevidence, "evidence", &evidence, "what says so",
	     .flags = COLUMN_INSIDE | COLUMN_STREAM),
	CHARS(S, advice, "advice", "what to do"),
	CHARS(S, caused_by, "caused_by",
	      "id of the finding that explains this one, which stands before it",
	      .flags = COLUMN_ABSENT_0),
};
#undef S

const struct table report_findings =
	TABLE("finding", "What is wrong, worst first, and a cause before what it causes.",
	      struct finding, finding_column);

/* ---- the whole ---- */

static void schema_name(const struct row *r, struct value *v)
{
	(void)r;
	v->text = REPORT_SCHEMA;
}

static void locks_value(const struct row *r, struct value *v)
{
	const struct locks_window *l = r->w->locks;

	v->is = l->known ? VALUE_THERE : VALUE_ABSENT;
	v->rows.first = l->row;
	v->rows.n = (size_t)l->nrow;
}

static void panics_value(const struct row *r, struct value *v)
{
	const struct crash_window *c = r->w->crash;

	v->is = c->recovered_known ? VALUE_THERE : VALUE_ABSENT;
	v->rows.first = c->recovered;
	v->rows.n = (size_t)c->nrecovered;
}

static void pool_waits_value(const struct row *r, struct value *v)
{
	const struct locks_window *l = r->w->locks;

	v->is = l->known ? VALUE_THERE : VALUE_ABSENT;
	v->rows.first = l->pool_wait;
	v->rows.n = (size_t)l->npool_wait;
}

#define SUBJECT(NAME, TABLE, WHAT) \
	COLUMN(COLUMN_OBJECT, NAME, 0, WHAT, .sub = &(TABLE), .flags = COLUMN_SOMETIMES)
#define S    struct report
#define LAST .known_at = OFFSET(S, window.last, bool)
static const struct column report_column[] = {
	GOT(COLUMN_TEXT, "schema", schema_name, "gospect.report/1"),
	TIME(S, window.end_real_ns, "time",
	     "end of the window; `live`, states, totals are as of it"),
	REAL(S, window.window_s, "window_s", 0.001, "length of the window; 0: one look at memory"),
	REAL(S, window.observed_s, "observed_s", 0.001, "since the observation began"),
	FLAG(S, window.last, "last", "the last report of this run", .flags = COLUMN_ABSENT_0),
	TEXT(S, window.end_reason, "end_reason", "why it is the last", LAST,
	     .flags = COLUMN_SOMETIMES),
	COLUMN(COLUMN_OBJECT, "target", offsetof(S, window), "the process", .sub = &target,
	       .flags = COLUMN_INSIDE),
	COLUMN(COLUMN_OBJECT, "cost", offsetof(S, window), "what observing cost", .sub = &cost,
	       .flags = COLUMN_INSIDE),
	ROWS(S, window.coverage, window.ncoverage, "coverage", &coverage, "what was seen",
	     .flags = COLUMN_INSIDE | COLUMN_STREAM),
	COLUMN(COLUMN_OBJECT, "losses", offsetof(S, window), "what is missing", .sub = &losses,
	       .flags = COLUMN_INSIDE),
	SUBJECT("process", process, "threads, CPUs, memory by kind"),
	SUBJECT("goroutines", goroutines_object, "goroutines"),
	SUBJECT("alloc", alloc_object, "large allocations"),
	SUBJECT("gc", gc_object, "the garbage collector"),
	SUBJECT("net", net_object, "HTTP, gRPC, dials"),
	SUBJECT("sql", sql_object, "database/sql"),
	GOT(COLUMN_ROWS, "locks", locks_value, "waits for locks under way", .sub = &locks_rows,
	    .flags = COLUMN_SOMETIMES),
	GOT(COLUMN_ROWS, "pool_waits", pool_waits_value, "waits in what looks like a pool",
	    .sub = &locks_pool_waits, .flags = COLUMN_SOMETIMES),
	SUBJECT("lock_waits", lock_waits_object, "waits for locks that ended"),
	SUBJECT("cpu", cpu_object, "CPU time, from samples"),
	SUBJECT("slices", slices_object, "slices that grow; only where the sensor is asked for"),
	SUBJECT("crash", crash_object, "how the process ended; last report of `attach` only"),
	GOT(COLUMN_ROWS, "panics", panics_value, "panics that were recovered; `attach` only",
	    .sub = &panic_sites, .flags = COLUMN_SOMETIMES),
	SUBJECT("shutdown", shutdown_object,
		"from the signal that asks the process to end; `attach` only"),
	SUBJECT("heap", heap_profile, "the heap profile; snapshots only"),
	SUBJECT("leaks", leaks_object, "leaked goroutines; snapshots only"),
	ROWS(S, findings.f, findings.n, "findings", &report_findings, "what is wrong, worst first",
	     .flags = COLUMN_STREAM),
	COUNT(S, findings.dropped, "findings_dropped", "findings beyond the most that are kept",
	      .flags = COLUMN_ABSENT_0),
};
#undef S

const struct table report_document =
	TABLE("report", "One report: a window of observation of one process.", struct report,
	      report_column);

/* For people: what of it limits or endangers the program; nothing where nothing does. */
static const struct table process_summary = {
	.name = "process",
	.label = "process",
	.title = "Process",
	.any = summary_process_any,
	.sentence = summary_process,
	.lines = 4,
};

const struct table *const report_parts[] = {
	&crash_summary,    &shutdown_summary, &process_summary,  &leak_sites,    &goroutine_sites,
	&goroutine_groups, &cpu_functions,    &cpu_sites,        &heap_sites,    &alloc_sites,
	&gc_summary,       &net_phases,       &net_failures,     &net_in_flight, &net_clients,
	&net_unclosed,     &net_dials,        &net_connections,  &net_silent,    &net_servers,
	&net_grpc,         &net_dead,         &net_own_lookups,  &sql_pools,     &sql_holders,
	&sql_queries,      &locks_rows,       &locks_pool_waits, &slice_sites,   &panic_sites,
};
const int report_nparts = ARRAY_SIZE(report_parts);
