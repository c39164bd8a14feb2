/* SPDX-License-Identifier: BSD-2-Clause */
/* The JSON of a small window: its keys in order, its values, what is absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "model/place.h"
#include "report_view.h"
#include "save_report.h"

static void json_has_the_keys_of_the_schema_in_order(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_full(&x);
	o = parsed(&x);
	expect_keys(o, "schema time window_s observed_s target cost coverage losses goroutines "
		       "alloc gc findings ");
	expect_keys(at(o, "target"),
		    "pid exe go arch stripped pie build_id module module_version started "
		    "rss_bytes cpu_cores ");
	expect_keys(
		at(o, "cost"),
		"target_cpu_pct budget_pct agent_cpu_pct agent_rss_bytes agent_bpf_bytes probes ");
	expect_keys(at(o, "cost.probes"), "armed emulated stepped hits list ");
	expect_keys(at(o, "cost.probes.list.0"), "name function armed hits cost_ns ");
	expect_keys(at(o, "cost.probes.list.1"), "name function armed why ");
	expect_keys(at(o, "coverage.0"), "sensor state rate why ");
	expect_keys(at(o, "coverage.1"), "sensor state why ");
	expect_keys(at(o, "losses"), "events map_full read_failures ");
	expect_keys(at(o, "goroutines"),
		    "created_total live_at_start live system births deaths exactness "
		    "by_state by_site ");
	expect_keys(at(o, "goroutines.by_site.0"),
		    "function file line start births deaths live live_at_start "
		    "stuck oldest_s age exactness waits ");
	expect_keys(at(o, "goroutines.by_site.1"),
		    "function file line start births deaths live live_at_start "
		    "stuck oldest_s exactness waits ");
	expect_keys(at(o, "goroutines.by_site.0.waits.0"), "reason count stack ");
	expect_keys(at(o, "goroutines.by_site.0.waits.0.stack.0"), "function file line ");
	expect_keys(at(o, "alloc"),
		    "large_threshold_bytes large_count large_bytes all_bytes exactness by_site ");
	expect_keys(at(o, "alloc.by_site.0"),
		    "function file line count bytes max_bytes stack exactness ");
	expect_keys(at(o, "gc"),
		    "cycles_total cycles heap_live_bytes heap_goal_bytes pauses heap_marked_bytes "
		    "gogc memory_limit_bytes forced_total forced cpu_pct ");
	expect_keys(at(o, "gc.pauses"), "count p50_ns max_ns total_ns ");
	expect_keys(at(o, "findings.0"),
		    "id kind severity title place numbers exactness since_s evidence advice ");
	json_decref(o);
	tear_down(&x);
}

static void json_has_the_values(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_full(&x);
	o = parsed(&x);
	assert_string_equal(json_string_value(at(o, "schema")), "gospect.report/1");
	assert_string_equal(json_string_value(at(o, "time")), "2026-11-22T10:00:05.000Z");
	assert_true(json_is_real(at(o, "window_s")) && json_real_value(at(o, "window_s")) == 5.0);
	assert_int_equal(json_integer_value(at(o, "target.pid")), 4242);
	assert_true(json_is_true(at(o, "target.stripped")));
	assert_true(json_is_integer(at(o, "goroutines.created_total")));
	assert_int_equal(json_integer_value(at(o, "goroutines.by_state.chan receive")), 1204);
	assert_true(json_real_value(at(o, "goroutines.by_site.0.oldest_s")) == 10681.2);
	assert_string_equal(json_string_value(at(o, "goroutines.by_site.0.age")), "at_least");
	assert_int_equal(json_array_size(at(o, "goroutines.by_site.1.waits")), 2);
	assert_string_equal(json_string_value(at(o, "coverage.0.state")), "sampled");
	assert_true(json_is_null(at(o, "gc.memory_limit_bytes")));
	assert_true(json_is_integer(at(o, "findings.0.numbers.count")));
	assert_true(json_real_value(at(o, "findings.0.numbers.per_minute")) == 38.04);
	assert_string_equal(json_string_value(at(o, "findings.0.id")),
			    "leak:main.(*Server).notify:notify.go:41");
	assert_string_equal(json_string_value(at(o, "findings.0.severity")), "medium");
	assert_non_null(strstr(x.out.data, "\"oldest_s\":10681.2,"));
	json_decref(o);
	tear_down(&x);
}

static void json_leaves_out_what_is_not_known(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_empty(&x);
	o = parsed(&x);
	expect_keys(o, "schema time window_s observed_s target cost coverage losses findings ");
	expect_keys(at(o, "target"), "pid stripped pie cpu_cores ");
	assert_null(at(o, "cost.target_cpu_pct"));
	assert_int_equal(json_array_size(at(o, "findings")), 0);
	json_decref(o);
	tear_down(&x);

	/* The total is from memory, which has none by site. */
	setup_full(&x);
	x.r.window.goroutines->site[0].births_known = x.r.window.goroutines->site[1].births_known =
		false;
	o = parsed(&x);
	assert_int_equal(json_integer_value(at(o, "goroutines.births")), 2190);
	assert_int_equal(json_integer_value(at(o, "goroutines.by_site.0.live")), 1204);
	assert_null(at(o, "goroutines.by_site.0.births"));
	assert_null(at(o, "goroutines.by_site.0.deaths"));
	assert_null(at(o, "goroutines.by_site.0.exactness"));
	json_decref(o);
	tear_down(&x);

	setup_full(&x);
	x.r.window.goroutines->births_known = false;
	x.r.window.goroutines->created_known = false;
	x.r.window.memory->gc.heap_known = false;
	x.r.window.memory->gc.cpu_pct = -1;
	x.r.window.goroutines->site[0].age = AGE_UNKNOWN;
	x.r.findings.f[0].place.function = NULL;
	o = parsed(&x);
	assert_null(at(o, "goroutines.created_total"));
	assert_null(at(o, "goroutines.births"));
	assert_null(at(o, "goroutines.by_site.0.births"));
	assert_null(at(o, "goroutines.by_site.0.oldest_s"));
	assert_null(at(o, "gc.heap_live_bytes"));
	assert_null(at(o, "gc.memory_limit_bytes"));
	assert_null(at(o, "gc.cpu_pct"));
	assert_null(at(o, "findings.0.place"));
	json_decref(o);
	tear_down(&x);
}

static void json_zero_is_not_absent(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_empty(&x);
	x.r.window.goroutines->known = x.r.window.goroutines->births_known =
		x.r.window.goroutines->created_known = x.r.window.memory->alloc_known = true;
	x.r.window.memory->gc.known = x.r.window.memory->gc.pauses_known = true;
	x.r.window.cost_target_pct = 0;
	o = parsed(&x);
	assert_true(json_is_integer(at(o, "goroutines.births")));
	assert_true(json_is_integer(at(o, "goroutines.live")));
	assert_true(json_is_array(at(o, "goroutines.by_site")));
	assert_true(json_is_integer(at(o, "alloc.large_count")));
	assert_true(json_is_integer(at(o, "gc.cycles")));
	assert_true(json_is_integer(at(o, "gc.pauses.count")));
	assert_true(json_is_real(at(o, "cost.target_cpu_pct")));
	assert_true(json_is_integer(at(o, "losses.events")));
	json_decref(o);
	tear_down(&x);
}

static void json_says_where_pauses_come_from(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	setup_full(&x);
	x.r.window.memory->gc.pauses_from_memory = true;
	o = parsed(&x);
	assert_string_equal(json_string_value(at(o, "gc.pauses.source")), "memory");
	json_decref(o);
	tear_down(&x);
}

static void json_is_never_half_an_object(void **state)
{
	struct fixture x;

	(void)state;
	setup_full(&x);
	for (size_t max = 0; max < 5000; max += 97) {
		buf_deinit(&x.out);
		buf_init(&x.out, max);
		buf_puts(&x.out, "before\n");
		save_report(&x.r, &x.out);
		if (x.out.err && max >= 7)
			assert_string_equal(x.out.data, "before\n");
	}
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_has_the_keys_of_the_schema_in_order),
		cmocka_unit_test(json_has_the_values),
		cmocka_unit_test(json_leaves_out_what_is_not_known),
		cmocka_unit_test(json_zero_is_not_absent),
		cmocka_unit_test(json_says_where_pauses_come_from),
		cmocka_unit_test(json_is_never_half_an_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
