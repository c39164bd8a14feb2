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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_of_the_living),
		cmocka_unit_test(status_0_is_no_finding),
		cmocka_unit_test(who_is_asked_to_end_does_not_crash),
		cmocka_unit_test(foreign_bytes_are_cleaned),
		cmocka_unit_test(slices_are_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
