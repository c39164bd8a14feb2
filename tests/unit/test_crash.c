/* SPDX-License-Identifier: BSD-2-Clause */
/* What a process ended of: what is a finding and what is none, and how it is worded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "crash/fill.h"
#include "crash/subject.h"
#include "parts.h"

struct fixture {
	struct parts_by_hand parts;
	struct window w;
	struct findings found;
	struct crash_window *c;
};

static void begin(struct fixture *f, enum crash_cause cause)
{
	memset(f, 0, sizeof(*f));
	parts_use(&f->parts, &f->w);
	f->c = f->w.crash;
	f->c->known = true;
	f->c->cause = cause;
	f->c->stack = STACK_NONE;
	f->c->exit_code = -1;
}

static void exits_with(struct fixture *f, int status)
{
	f->c->status_known = true;
	f->c->exit_code = status;
}

static void dies_of(struct fixture *f, int sig, const char *sender)
{
	f->c->signal = sig;
	f->c->signal_name = crash_signal_name(sig);
	f->c->sender.known = sender != NULL;
	f->c->sender.itself = !sender;
	if (sender)
		snprintf(f->c->sender.name, sizeof(f->c->sender.name), "%s", sender);
}

static const struct finding *judged(struct fixture *f)
{
	crash_say(f->c);
	crash_detector.judge(&f->w, &f->found);
	return f->found.n ? &f->found.f[0] : NULL;
}

static void nothing_is_known_of_the_living(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, CRASH_BY_UNKNOWN);
	f.c->known = false;
	assert_null(judged(&f));
}

static void status_0_is_no_finding(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, CRASH_BY_EXIT);
	exits_with(&f, 0);
	assert_null(judged(&f));
	begin(&f, CRASH_BY_EXIT);
	exits_with(&f, 1);
	assert_int_equal(judged(&f)->severity, SEVERITY_CRITICAL);
	findings_deinit(&f.found);
}

static void who_is_asked_to_end_does_not_crash(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, CRASH_BY_SIGNAL);
	dies_of(&f, SIGTERM, "systemd");
	assert_int_equal(judged(&f)->severity, SEVERITY_INFO);
	assert_string_equal(f.c->ended, "the process ended: SIGTERM from systemd");
	findings_deinit(&f.found);
	begin(&f, CRASH_BY_SIGNAL);
	dies_of(&f, SIGKILL, "bash");
	f.c->sender.pid = 7;
	assert_int_equal(judged(&f)->severity, SEVERITY_CRITICAL);
	assert_string_equal(f.c->says, "SIGKILL from process 7 (bash)");
	findings_deinit(&f.found);
	begin(&f, CRASH_BY_SIGNAL);
	dies_of(&f, SIGTERM, NULL);
	assert_int_equal(judged(&f)->severity, SEVERITY_CRITICAL);
	findings_deinit(&f.found);
}

static void foreign_bytes_are_cleaned(void **state)
{
	struct fixture f;
	const struct finding *found;

	(void)state;
	begin(&f, CRASH_BY_PANIC);
	exits_with(&f, 2);
	memset(f.c->message, 'x', CRASH_MAX_MESSAGE);
	memcpy(f.c->message, "a\x1b[31m\n\xff", 8);
	found = judged(&f);
	assert_int_equal(found->severity, SEVERITY_CRITICAL);
	assert_null(strpbrk(found->title, "\x1b\n\xff"));
	assert_null(strpbrk(f.c->ended, "\x1b\n\xff"));
	assert_non_null(strstr(f.c->ended, "exit status 2"));
	findings_deinit(&f.found);
}

/* Its probes stay when the budget takes others away. */
static void slices_are_of_others(void **state)
{
	struct plan plan = { 0 };
	struct look l = { .trace = (struct trace *)&plan, .plan = &plan };
	struct fixture f;

	(void)state;
	begin(&f, CRASH_BY_PANIC);
	l.rates.requests_sliced = l.rates.rare_sliced = true;
	crash_subject.cover(NULL, &l, &f.w);
	assert_int_equal(f.w.ncoverage, 1);
	assert_int_equal(f.w.coverage[0].sensor, SENSOR_CRASH);
	assert_int_equal(f.w.coverage[0].state, PARTIAL); /* it has no tracepoints here */
	assert_null(strstr(f.w.coverage[0].why, "budget"));
}

/* ---- the end that takes long ---- */

static const struct finding *judged_end(struct fixture *f, double lasted_s, bool ended)
{
	f->c->shutdown.known = true;
	f->c->shutdown.signal_name = "SIGTERM";
	f->c->shutdown.lasted_s = lasted_s;
	f->c->shutdown.ended = ended;
	slow_shutdown_detector.judge(&f->w, &f->found);
	return f->found.n ? &f->found.f[0] : NULL;
}

static bool says(const struct finding *found, const char *words)
{
	for (int i = 0; i < found->nevidence; i++)
		if (strstr(found->evidence[i], words))
			return true;
	return false;
}

static void an_end_may_take_five_seconds(void **state)
{
	struct fixture f;
	const struct finding *found;

	(void)state;
	begin(&f, CRASH_BY_UNKNOWN);
	assert_null(judged_end(&f, 0.1, true));
	assert_null(judged_end(&f, 2, true));
	assert_null(judged_end(&f, 5, false));
	found = judged_end(&f, 5.1, false);
	assert_int_equal(found->severity, SEVERITY_MEDIUM);
	assert_string_equal(found->title, "the process was asked to end 5.1s ago and has not");
	assert_null(found->place.function); /* nothing is known of what it waits for */
	findings_deinit(&f.found);
	begin(&f, CRASH_BY_UNKNOWN);
	found = judged_end(&f, 90, true);
	assert_string_equal(found->title, "the process took 1m30s to end after SIGTERM");
	findings_deinit(&f.found);
	begin(&f, CRASH_BY_UNKNOWN); /* nobody has asked */
	slow_shutdown_detector.judge(&f.w, &f.found);
	assert_int_equal(f.found.n, 0);
}

static void what_it_waits_for_is_said(void **state)
{
	struct shutdown_row row[] = {
		{ .what = SHUTDOWN_MAIN,
		  .stops = true,
		  .own = true,
		  .at = { .function = "main.main",
			  .file = "main.go",
			  .line = 7,
			  .in = "net/http.(*Server).Shutdown" },
		  .reason = "select",
		  .count = 1,
		  .since_s = 6 },
		{ .what = SHUTDOWN_HANDLES,
		  .own = true,
		  .at = { .function = "main.slow", .file = "main.go", .line = 9 },
		  .of = { .function = "main.slow", .file = "main.go", .line = 9 },
		  .reason = "sleep",
		  .count = 2 },
		{ .what = SHUTDOWN_OTHER, .reason = "IO wait", .count = 4 },
	};
	struct fixture f;
	const struct finding *found;

	(void)state;
	begin(&f, CRASH_BY_UNKNOWN);
	f.c->shutdown.seen = true;
	f.c->shutdown.row = row;
	f.c->shutdown.nrow = 3;
	found = judged_end(&f, 6.5, false);
	assert_string_equal(found->place.function, "main.main");
	assert_true(says(found, "waits for 2 requests under way"));
	assert_true(says(found, "2 requests: sleep at main.slow (main.go:9)"));
	assert_true(says(found, "4 other goroutines"));
	assert_non_null(strstr(found->advice, "Shutdown"));
	findings_deinit(&f.found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_of_the_living),
		cmocka_unit_test(status_0_is_no_finding),
		cmocka_unit_test(who_is_asked_to_end_does_not_crash),
		cmocka_unit_test(foreign_bytes_are_cleaned),
		cmocka_unit_test(slices_are_of_others),
		cmocka_unit_test(an_end_may_take_five_seconds),
		cmocka_unit_test(what_it_waits_for_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
