/* SPDX-License-Identifier: BSD-2-Clause */
/* src/agent/view.h: one live Go program as a view. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "go_live.h"

#include "agent/view.h"

#define PROGRAM "netparts-usual-stripped"

static void test_one(void **state)
{
	const struct view *v, *again;
	const struct view_process *p;
	struct err err = { 0 };
	struct go_live live;

	(void)state;
	go_live_start(&live, PROGRAM);
	assert_int_equal(view_of_process(&v, live.pid, &err), 0);
	again = view_get(v);
	view_put(v);
	go_live_stop(&live); /* what it says stays */

	assert_int_equal(again->nprocess, 1);
	p = &again->process[0];
	assert_int_equal(p->pid, live.pid);
	assert_int_equal(p->depth, DEPTH_WALK);
	assert_int_equal(p->shallow, SHALLOW_NOT);
	assert_non_null(strstr(p->exe, "/netparts-"));
	assert_non_null(strstr(p->exe, p->identity->service_name));
	assert_memory_equal(p->go, "go1.", 4);
	assert_true(p->totals->has_live);
	assert_true(p->totals->has_cpu);
	assert_true(p->totals->rss_bytes > 0);
	assert_true(p->walk->window.goroutines->known);
	/* read one after the other: its own runtime may have started one meanwhile */
	assert_in_range(p->walk->window.goroutines->live, p->totals->live, p->totals->live + 5);
	assert_true(p->walk->window.goroutines->nsite > 0);
	assert_int_equal(p->walk->window.probes_armed, 0);
	view_put(again);
}

static void test_not_go(void **state)
{
	const struct view *v;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(view_of_process(&v, getpid(), &err), -ENOEXEC);
	assert_true(err.what[0]);
	assert_int_equal(view_of_process(&v, 1 << 30, &err), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_one),
					    cmocka_unit_test(test_not_go) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
