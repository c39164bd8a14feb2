/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect doctor: what works here, what does not, why, and what to do. */
#include <curses.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/message.h"
#include "host/features.h"
#include "host/privileges.h"
#include "race/race.h"
#include "trace/trace.h"
#include "trace/watchpoints.h"

#define DOCTOR_SCHEMA "gospect.doctor/1"
#define TRACE_ROWS    4

static void say_watch(struct feature *f, const struct watchpoints *wp, const struct err *err)
{
	int registers = watchpoints_registers();

	f->state = FEATURE_NONE;
	snprintf(f->why, sizeof(f->why), "%.190s", err->what);
	snprintf(f->hint, sizeof(f->hint), "%.190s", err->hint);
	if (!wp)
		return;
	f->state = FEATURE_FULL;
	snprintf(f->why, sizeof(f->why), "%d at a time; an access that is seen takes %.1f µs",
		 registers, (double)watchpoints_costs(wp)->hit_ns / 1e3);
	if (registers < GS_WATCH_WORDS) {
		f->state = FEATURE_LIMITED;
		snprintf(f->hint, sizeof(f->hint),
			 "a debugger or another tracer has the other registers: let it go first");
	}
	if (!race_clocks_comparable()) {
		f->state = FEATURE_LIMITED;
		snprintf(f->hint, sizeof(f->hint),
			 "the kernel's clock is no TSC that is the same on all CPUs: races are "
			 "suspected, and none is proven");
	}
}

/* What `gospect watch` needs: that a trap comes, and its program runs. */
static void watch_row(struct feature *f)
{
	struct watchpoints *wp;
	struct err err = { 0 };

	f->name = "hardware watchpoints";
	watchpoints_open(&wp, 0, &err);
	say_watch(f, wp, &err);
	watchpoints_close(wp);
	if (f->state != FEATURE_FULL || !watchpoints_open(&wp, WATCH_HOLD_MOST, &err)) {
		if (f->state == FEATURE_FULL)
			watchpoints_close(wp);
		return;
	}
	f->state = FEATURE_LIMITED;
	snprintf(f->hint, sizeof(f->hint), "'watch --prove' needs Linux 5.17");
}

/* What only src/trace can try: arming a probe and seeing its hits. */
static int trace_rows(struct feature *f)
{
	struct trace_features tf;
	struct cost_table ct;
	struct err err = { 0 };
	int n = 0;

	memset(&tf, 0, sizeof(tf));
	if (trace_features_probe(&tf, &err) && !tf.why[0])
		snprintf(tf.why, sizeof(tf.why), "%.150s", err.what);
	f[n].name = "probes on a process with threads";
	f[n].state = tf.method == TRACE_METHOD_MULTI  ? FEATURE_FULL
		     : tf.method == TRACE_METHOD_PERF ? FEATURE_LIMITED
						      : FEATURE_NONE;
	snprintf(f[n].why, sizeof(f[n].why), "%s",
		 tf.method == TRACE_METHOD_MULTI ? "uprobe_multi links see hits from all threads"
						 : tf.why);
	if (tf.method == TRACE_METHOD_PERF)
		snprintf(f[n].hint, sizeof(f[n].hint),
			 "perf-event probes are used: each takes about 0.1 s to detach");
	else if (tf.method == TRACE_METHOD_NONE)
		snprintf(f[n].hint, sizeof(f[n].hint), "%.190s",
			 err.hint[0] ? err.hint : trace_features_hint(&tf));
	n++;

	f[n].name = "cost of a probe, measured";
	if (!trace_measure_costs(&ct, &err) && ct.ns[INSN_PUSH] >= 0) {
		f[n].state = FEATURE_FULL;
		snprintf(f[n].why, sizeof(f[n].why), "an emulated instruction costs %.0f ns a hit",
			 ct.ns[INSN_PUSH]);
		if (ct.ns[INSN_STEPPED] >= 0)
			snprintf(f[n].why + strlen(f[n].why), sizeof(f[n].why) - strlen(f[n].why),
				 ", a single-stepped one %.0f ns", ct.ns[INSN_STEPPED]);
	} else {
		f[n].state = FEATURE_NONE;
		snprintf(f[n].why, sizeof(f[n].why), "not measured: %.150s",
			 err.what[0] ? err.what : "no probe could be armed");
	}
	n++;

	watch_row(&f[n++]);

	/* They are linked in or the program would not run: which ones, for reports of bugs. */
	f[n].name = "libraries";
	f[n].state = FEATURE_FULL;
	snprintf(f[n].why, sizeof(f[n].why), "%s, %s, jansson %s, %s", trace_library(),
		 arch_library(), jansson_version_str(), curses_version());
	n++;
	return n;
}

static void print_text(const struct feature *f, int n, struct buf *out)
{
	int width = 0;

	for (int i = 0; i < n; i++)
		if ((int)strlen(f[i].name) > width)
			width = (int)strlen(f[i].name);
	for (int i = 0; i < n; i++) {
		buf_printf(out, "%-8s %-*s  %s\n", feature_state_name(f[i].state), width, f[i].name,
			   f[i].why);
		if (f[i].hint[0])
			buf_printf(out, "%*s  hint: %s\n", 9 + width, "", f[i].hint);
	}
}

static void print_json(const struct feature *f, int n, struct buf *out)
{
	json_t *root = json_object(), *rows = json_array();

	json_object_set_new(root, "schema", json_string(DOCTOR_SCHEMA));
	for (int i = 0; i < n; i++) {
		json_t *j = json_object();

		json_set_text(j, "name", f[i].name);
		json_set_text(j, "state", feature_state_name(f[i].state));
		json_set_text(j, "why", f[i].why);
		if (f[i].hint[0])
			json_set_text(j, "hint", f[i].hint);
		json_array_append_new(rows, j);
	}
	json_object_set_new(root, "features", rows);
	json_print(root, out);
}

int cmd_doctor(const struct options *o)
{
	struct feature f[FEATURES_MAX + TRACE_ROWS];
	struct output out;
	int n;

	memset(f, 0, sizeof(f));
	n = features_probe(f, FEATURES_MAX);
	n += trace_rows(f + n);
	if (output_open(&out, o))
		return EXIT_FAILED;
	privileges_drop(0);
	if (o->format == FORMAT_JSON)
		print_json(f, n, &out.buf);
	else
		print_text(f, n, &out.buf);
	return output_finish(&out);
}
