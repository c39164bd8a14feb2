/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect snapshot: looks for a window's length, judges, prints one report. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/options.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/watch.h"
#include "observe/detect.h"

/* Passes over a running process are not worth it beyond. */
#define PASSES_MAX_GOROUTINES 200000
#define PASSES_MAX_BYTES      (1ull << 30) /* of what is copied */

struct snapshot {
	const struct options *o;
	struct watch w;
	struct output out;
};

/* The verdicts on leaks. */
static void judge_leaks(struct snapshot *s, struct window *w)
{
	struct prove_result r = { .verdict = LEAKS_OFF };
	struct err err = { 0 };
	bool before = s->w.signalled;
	int code = 0;

	if (!(s->o->sensors & SENSOR_BIT(SENSOR_GOROUTINES)) || !w->goroutines->known ||
	    s->w.target_gone)
		return;
	observer_drop_walk(s->w.observer);
	s->w.passes_max_bytes = PASSES_MAX_BYTES;
	if (w->goroutines->live > PASSES_MAX_GOROUTINES && !s->o->prove)
		snprintf(
			r.why, sizeof(r.why),
			"several passes over so many goroutines take long: 'gospect leaks PID', or "
			"--prove");
	else
		code = proof_run(&s->w, s->o->prove, &w->goroutines->deadlocks, &r, &err);
	if (!code && r.tracer_busy) {
		msg_note("another tracer is attached: the process cannot be frozen, so leaks are "
			 "not proven");
		prove_result_deinit(&r);
		code = proof_run(&s->w, false, &w->goroutines->deadlocks, &r, &err);
	}
	if (code) {
		memset(&r, 0, sizeof(r));
		snprintf(r.why, sizeof(r.why), "%.200s",
			 code == -EINTR ? "stopped by Ctrl-C"
			 : err.what[0]  ? err.what
					: strerror(-code));
	}
	s->out.patience.hurry += s->w.signalled && !before;
	observer_add_leaks(s->w.observer, w, &r);
	prove_result_deinit(&r);
}

/* Why there is none of what was asked for. */
static const char *no_profile(const struct snapshot *s, struct window *w)
{
	const struct coverage *c =
		window_coverage(w, s->o->profile == PROFILE_GOROUTINE ? SENSOR_GOROUTINES
				   : s->o->profile == PROFILE_CPU     ? SENSOR_CPU
								      : SENSOR_ALLOC);
	const char *why = s->o->profile == PROFILE_CPU         ? s->w.sampler_off
			  : s->o->profile == PROFILE_GOROUTINE ? s->w.s.rt.why_off[FACT_STACKS]
							       : w->memory->heap.why;

	if (!why[0] && c)
		why = c->why;
	return why[0] ? why : "the process ended, or its memory could not be read";
}

static int report(struct snapshot *s)
{
	struct report r = { 0 };
	int err, status = EXIT_DONE;

	err = observer_take(s->w.observer, &r.window, s->w.end_reason);
	if (err)
		msg_error("cannot read process %ld: %s", s->o->pid, strerror(-err));
	if (err == -ENOMEM) {
		report_deinit(&r);
		return EXIT_FAILED;
	}
	watch_disarm(&s->w, &s->out);
	if (s->o->format != FORMAT_PPROF)
		judge_leaks(s, &r.window);
	detect_all(&r.window, &r.findings);
	err = output_report(&s->out, &r, true);
	if (err) {
		if (err == -EOPNOTSUPP)
			msg_error("no such profile: %s", no_profile(s, &r.window));
		status = err == -EOPNOTSUPP ? EXIT_FAILED : output_status(err);
	} else if (s->o->has_fail_on && findings_reach(&r.findings, s->o->fail_on)) {
		status = EXIT_FOUND;
	}
	report_deinit(&r);
	return status;
}

static void observe(struct snapshot *s)
{
	uint64_t end = clock_mono_ns() + s->o->window_ns, now;

	while (!s->w.end_reason && (now = clock_mono_ns()) < end) {
		uint64_t look = observer_look_ns(s->w.observer);

		if (now >= look)
			observer_look(s->w.observer);
		else
			watch_wait(&s->w, look < end ? look : end, NULL, 0);
		if (s->w.stop_asked) {
			watch_stop(&s->w, false);
			end = clock_mono_ns() + s->o->window_ns;
		}
	}
}

static int take(struct snapshot *s)
{
	const struct options *o = s->o;
	struct watch_mode mode = {
		.no_probes = o->window_ns ? NULL : "--window 0: read from memory once",
		.dump = true,
		.dump_all = o->goroutines,
		.heap = true,
		.once = !o->window_ns,
		.pace_ns = o->window_ns,
	};
	int status = watch_start(&s->w, &mode);

	if (status != EXIT_DONE)
		return status;
	if (o->window_ns) {
		msg_note("watching process %ld for %.3g s%s", o->pid, (double)o->window_ns / 1e9,
			 s->w.trace ? "" : ", from memory only");
		observe(s);
	}
	return report(s);
}

int cmd_snapshot(const struct options *o)
{
	struct snapshot s = { .o = o, .w = WATCH_OF(o) };
	int status;

	if (o->format == FORMAT_PPROF && !o->output && isatty(STDOUT_FILENO)) {
		msg_error("a profile cannot be written to a terminal");
		msg_hint("write it to a file: -o FILE");
		return EXIT_USAGE;
	}
	if (watch_prepare(&s.w, &s.out))
		return EXIT_FAILED;
	status = take(&s);
	watch_close(&s.w);
	return output_close(&s.out, status);
}
