/* SPDX-License-Identifier: BSD-2-Clause */
/* What `gospect host` serves of a view written by hand: metrics, JSON, the page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "export_view.h"
#include "agent/view_build.h"
#include "export/export.h"
#include "export/home.h"
#include "export/pages.h"
#include "export/prom.h"

static char *metrics(enum prom_format format, uint64_t *dropped)
{
	struct buf out;

	buf_init(&out, 64u << 20);
	prom_page(format, config, &hand.view, &no_stats, &out, dropped);
	assert_int_equal(out.err, 0);
	return out.data;
}

static int count(const char *page, const char *what)
{
	int n = 0;

	for (const char *s = page; (s = strstr(s, what)); s += strlen(what))
		n++;
	return n;
}

/* Rows, not comments. */
static int series(const char *page)
{
	int n = 0;

	for (const char *s = page; s && *s; s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL)
		n += *s != '#';
	return n;
}

#define SHOP0 "{service_name=\"shop0\",service_instance_id=\"host.shop0\""

static void zero_is_zero_and_absent_is_absent(void **state)
{
	uint64_t dropped;
	char *page;

	(void)state;
	hand_view(&hand, 2);
	hand.totals[0].live = 0;
	hand.totals[1].has_live = false;
	page = metrics(PROM_TEXT, &dropped);
	assert_non_null(strstr(page, "\ngo_goroutines" SHOP0 "} 0\n"));
	assert_int_equal(count(page, "\ngo_goroutines{"), 1);
	assert_non_null(strstr(page, "# TYPE gospect_goroutines_created_total counter\n"));
	assert_non_null(strstr(page, "\ngospect_goroutines_created_total" SHOP0 "} 1000\n"));
	/* no limit, GC numbers not known: no family at all */
	assert_null(strstr(page, "go_gc_gomemlimit_bytes"));
	assert_null(strstr(page, "go_memory_gc_cycles"));
	/* the walk knows nothing of requests: not "no requests" */
	assert_null(strstr(page, "http_client_active_requests"));
	/* no finding of a severity is zero */
	assert_non_null(strstr(page, "\ngospect_open_findings{severity=\"critical\"} 0\n"));
	assert_non_null(strstr(page, "\ngospect_open_findings{severity=\"high\"} 2\n"));
	/* no pid anywhere */
	assert_null(strstr(page, "pid"));
	assert_null(strstr(page, "# EOF"));
	assert_int_equal(dropped, 0);
	free(page);
}

static void open_metrics(void **state)
{
	uint64_t dropped;
	char *page;

	(void)state;
	hand_view(&hand, 1);
	page = metrics(PROM_OPENMETRICS, &dropped);
	assert_non_null(strstr(page, "# TYPE gospect_goroutines_created counter\n"));
	assert_non_null(strstr(page, "\ngospect_goroutines_created_total" SHOP0 "} 1000\n"));
	assert_string_equal(page + strlen(page) - 6, "# EOF\n");
	free(page);
}

static void labels_are_escaped(void **state)
{
	uint64_t dropped;
	char *page;

	(void)state;
	hand_view(&hand, 1);
	page = metrics(PROM_TEXT, &dropped);
	assert_non_null(strstr(page, "code_function_name=\"a\\\\b\\\"c\\\\x0ad\\\\x1b[31m"));
	for (const unsigned char *s = (const unsigned char *)page; *s; s++)
		assert_true(*s == '\n' || *s >= ' ');
	free(page);
}

static void large_sites_and_the_rest(void **state)
{
	uint64_t dropped, rest = 0;
	char *page, row[200];

	(void)state;
	hand_view(&hand, 1);
	page = metrics(PROM_TEXT, &dropped);
	assert_int_equal(count(page, "\ngospect_goroutine_site_live{"), 11);
	for (int i = 10; i < VIEW_SITES; i++)
		rest += hand.site[i].live;
	snprintf(row, sizeof(row), "code_function_name=\"other\"} %llu\n",
		 (unsigned long long)rest);
	assert_non_null(strstr(page, row));
	assert_non_null(strstr(page, "code_function_name=\"main.work9\",code_file_path=\"work.go\","
				     "code_line_number=\"19\"} 91\n"));
	/* ages that are not known have no series */
	assert_int_equal(count(page, "\ngospect_goroutine_site_oldest_seconds{"), 6);
	free(page);
}

static void same_identity(void **state)
{
	uint64_t dropped;
	char *page;

	(void)state;
	hand_view(&hand, 3);
	for (int i = 0; i < 3; i++)
		hand.identity[i] = hand.identity[1];
	hand.process[1].started_real_ns = 1; /* the oldest keeps the name */
	page = metrics(PROM_TEXT, &dropped);
	assert_non_null(strstr(page, "\ngo_goroutines{service_name=\"shop1\",service_instance_id="
				     "\"host.shop1\"} 11\n"));
	assert_non_null(strstr(page, "service_instance_id=\"host.shop1.1000\"} 10\n"));
	assert_non_null(strstr(page, "service_instance_id=\"host.shop1.1002\"} 12\n"));
	assert_int_equal(dropped, 0);
	free(page);
}

/* Rows with the very same labels would make Prometheus refuse them all. */
static void no_series_twice(void **state)
{
	uint64_t dropped;
	char *page;

	(void)state;
	hand_view(&hand, 1);
	hand.site[1].place = hand.site[0].place;
	hand.site[1].age = AGE_UNKNOWN;
	page = metrics(PROM_TEXT, &dropped);
	assert_int_equal(count(page, "main.work0\""), 1);
	assert_int_equal(dropped, 1);
	free(page);
}

static void bounded(void **state)
{
	uint64_t dropped, all;
	char *page;
	int n;

	(void)state;
	hand_view(&hand, VIEW_PROCESSES);
	page = metrics(PROM_TEXT, &dropped);
	n = series(page);
	assert_int_equal(dropped, 0);
	free(page);
	config->max_series = 500;
	page = metrics(PROM_TEXT, &all);
	assert_int_equal(series(page), 500);
	assert_int_equal((int)all, n - 500);
	/* what is whole stays: no half lines, findings before sites */
	assert_int_equal(page[strlen(page) - 1], '\n');
	assert_int_equal(count(page, "\ngospect_finding{"), 2);
	assert_null(strstr(page, "gospect_goroutine_site_live"));
	free(page);
	config->max_series = 10000;
}

/* Each wait in the bucket that its length is in, and none twice. */
static void folded(void **state)
{
	struct golatency_folded f;
	struct golatency l;

	(void)state;
	for (unsigned int i = 0; i < GOLATENCY_BUCKETS; i++) {
		unsigned int in = 0;

		memset(&l, 0, sizeof(l));
		l.bucket[i] = 3;
		l.over = 1;
		golatency_fold(&l, &f);
		while (in < GOLATENCY_FOLDS && golatency_from_ns(i) >= golatency_fold_ns(in))
			in++;
		for (unsigned int k = 0; k <= GOLATENCY_FOLDS; k++)
			assert_int_equal(f.count[k], (k == in ? 3 : 0) + (k == GOLATENCY_FOLDS));
		/* the shortest that they can be */
		assert_true(fabs(f.least_s * 1e9 - 3.0 * (double)golatency_from_ns(i) -
				 (double)golatency_from_ns(GOLATENCY_BUCKETS)) < 1e4);
	}
}

static void histograms(void **state)
{
	uint64_t dropped;
	char *page;

	(void)state;
	hand_view(&hand, 2);
	hand.totals[0].has_pauses = true;
	hand.totals[0].pauses =
		(struct golatency_folded){ .count = { 2, 1, [10] = 4 }, .least_s = 0.25 };
	page = metrics(PROM_TEXT, &dropped);
	assert_non_null(strstr(page, "# TYPE go_memory_gc_pause_duration_seconds histogram\n"));
#define PAUSE "\ngo_memory_gc_pause_duration_seconds_"
	assert_non_null(strstr(page, PAUSE "bucket" SHOP0 ",le=\"1.6384e-05\"} 2\n"));
	assert_non_null(strstr(page, PAUSE "bucket" SHOP0 ",le=\"6.5536e-05\"} 3\n"));
	assert_non_null(strstr(page, PAUSE "bucket" SHOP0 ",le=\"4.294967296\"} 3\n"));
	assert_non_null(strstr(page, PAUSE "bucket" SHOP0 ",le=\"+Inf\"} 7\n"));
	assert_non_null(strstr(page, PAUSE "sum" SHOP0 "} 0.25\n"));
	assert_non_null(strstr(page, PAUSE "count" SHOP0 "} 7\n"));
	assert_int_equal(count(page, PAUSE "count"), 1); /* the other's is not known */
	assert_null(strstr(page, "go_schedule_duration_seconds"));
	free(page);
}

static void configured_labels(void **state)
{
	struct err err;
	uint64_t dropped;
	char *page;

	(void)state;
	hand_view(&hand, 1);
	assert_int_equal(config_set(config, "labels", "env=prod,rack=a1", &err), 0);
	page = metrics(PROM_TEXT, &dropped);
	assert_non_null(strstr(page, "\ngo_goroutines" SHOP0 ",env=\"prod\",rack=\"a1\"} 10\n"));
	free(page);
	assert_int_equal(config_set(config, "labels", "", &err), 0);
}

/* ---- JSON ---- */

static json_t *get(struct pages *p, const char *path, int status)
{
	struct page page = pages_get(p, path, NULL);
	json_t *o = NULL;

	assert_int_equal(page.status, status);
	assert_non_null(page.body);
	if (status == 200)
		o = json_loadb(page.body->data, page.body->len, 0, NULL);
	body_put(page.body);
	return o;
}

static void as_json(void **state)
{
	struct pages *p = pages_new(config);
	struct view *counted = view_new(0, 0, 0); /* lends its count of references */
	json_t *o, *a;

	(void)state;
	hand_view(&hand, 3);
	hand.view.store = counted->store;
	hand.totals[1].has_live = false;
	get(p, "/api/v1/processes", 503);
	get(p, "/-/ready", 503);
	get(p, "/-/healthy", 200);
	pages_publish(p, &hand.view, &no_stats);
	get(p, "/-/ready", 200);
	o = get(p, "/api/v1/processes", 200);
	a = json_object_get(o, "processes");
	assert_int_equal(json_array_size(a), 3);
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(json_array_get(a, 1), "service"), "name")),
			    "shop1");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(json_array_get(a, 0), "totals"), "goroutines")),
			 10);
	assert_null(json_object_get(json_object_get(json_array_get(a, 1), "totals"), "goroutines"));
	json_decref(o);
	o = get(p, "/api/v1/findings", 200);
	a = json_object_get(o, "findings");
	assert_int_equal(json_array_size(a), 2);
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(json_array_get(a, 0), "finding"), "kind")),
			    "goroutine-leak");
	json_decref(o);
	o = get(p, "/api/v1/processes/100", 200);
	assert_string_equal(json_string_value(json_object_get(o, "schema")), REPORT_SCHEMA);
	json_decref(o);
	get(p, "/api/v1/processes/101", 404); /* not walked */
	get(p, "/api/v1/processes/7", 404);
	get(p, "/api/v1/processes/../100", 404);
	get(p, "/api/v1/processes/99999999999999999999999", 404);
	get(p, "/nothing", 404);
	pages_free(p);
	view_put(counted);
}

static void closed_findings(void **state)
{
	static struct closed_findings closed;
	struct buf out;
	json_t *o;

	(void)state;
	hand_view(&hand, 1);
	hand.view.event = hand.event;
	hand.view.nevent = 1;
	hand.event[0] = (struct view_event){ .kind = VIEW_CLOSED,
					     .real_ns = hand.view.real_ns,
					     .finding = hand.finding[0],
					     .identity = &hand.identity[0],
					     .reason = "ended" };
	for (int i = 0; i < CLOSED_MAX + 5; i++)
		closed_add(&closed, &hand.view);
	assert_int_equal(closed.n, CLOSED_MAX);
	buf_init(&out, 16u << 20);
	api_findings(&hand.view, &closed, &out);
	o = json_loads(out.data, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(o, "findings")), CLOSED_MAX + 2);
	json_decref(o);
	buf_deinit(&out);
	/* a day later */
	hand.view.nevent = 0;
	hand.view.real_ns += CLOSED_MAX_NS + 1;
	closed_add(&closed, &hand.view);
	assert_int_equal(closed.n, 0);
	closed_deinit(&closed);
}

/* ---- the page ---- */

static void history(void **state)
{
	struct history h = { 0 };
	const struct history_of *of;

	(void)state;
	hand_view(&hand, 2);
	for (int i = 0; i < HISTORY_POINTS + 10; i++) {
		hand.view.seq++;
		hand.view.mono_ns += HISTORY_EVERY_NS;
		hand.totals[0].live = (uint64_t)i;
		hand.totals[1].has_live = i % 2;
		history_add(&h, &hand.view);
	}
	/* a view that comes early adds none */
	hand.view.seq++;
	hand.view.mono_ns += HISTORY_EVERY_NS / 2;
	history_add(&h, &hand.view);
	of = history_find(&h, 100);
	assert_int_equal(of->n, HISTORY_POINTS);
	assert_float_equal(history_point(of, HISTORY_GOROUTINES, 0), 10, 0);
	assert_float_equal(history_point(of, HISTORY_GOROUTINES, HISTORY_POINTS - 1),
			   HISTORY_POINTS + 9, 0);
	assert_true(isnan(history_point(of, HISTORY_REQUESTS, 0)));
	assert_true(history_time(of, 0) < history_time(of, 1));
	assert_true(isnan(history_point(history_find(&h, 101), HISTORY_GOROUTINES, 0)));
	/* who has ended is forgotten */
	hand.view.seq++;
	hand.view.nprocess = 1;
	history_add(&h, &hand.view);
	assert_null(history_find(&h, 101));
	assert_non_null(history_find(&h, 100));
	history_deinit(&h);
}

static void page_for_people(void **state)
{
	struct history h = { 0 };
	struct buf out;

	(void)state;
	hand_view(&hand, 3);
	for (int i = 0; i < 3; i++) {
		hand.view.seq++;
		hand.view.mono_ns += HISTORY_EVERY_NS;
		hand.totals[0].live += 7;
		history_add(&h, &hand.view);
	}
	buf_init(&out, 1u << 20);
	home_page(&hand.view, &h, &out);
	assert_int_equal(out.err, 0);
	assert_non_null(strstr(out.data, "node&lt;1&gt;"));
	assert_non_null(strstr(out.data, "<title>17 to 31 in the last 30.0s</title>"));
	assert_null(strstr(out.data, "<script"));
	assert_null(strstr(out.data, "src="));
	assert_non_null(strstr(out.data, "default-src 'none'"));
	assert_int_equal(count(out.data, "<div class=\"process\">"), 3);
	assert_int_equal(count(out.data, "<div class=\"finding high\">"), 2);
	assert_int_equal(count(out.data, "<div"), count(out.data, "</div>"));
	history_deinit(&h);
	buf_deinit(&out);
	/* none at all */
	hand_view(&hand, 0);
	buf_init(&out, 1u << 20);
	home_page(&hand.view, &h, &out);
	assert_non_null(strstr(out.data, "No Go process runs here."));
	buf_deinit(&out);
}

/* ---- all together ---- */

static void another_address(void **state)
{
	struct host_config *one, *other;
	struct export *e;
	struct err err;
	char listen[40];
	int port;

	(void)state;
	assert_int_equal(config_load(&one, NULL, &err), 0);
	assert_int_equal(config_load(&other, NULL, &err), 0);
	assert_int_equal(config_set(one, "listen", "127.0.0.1:0", &err), 0);
	assert_int_equal(export_open(&e, one, -1, &err), 0);
	port = export_port(e);
	assert_true(port > 0);
	/* the same port of all addresses: the one before gives way */
	snprintf(listen, sizeof(listen), "0.0.0.0:%d", port);
	assert_int_equal(config_set(other, "listen", listen, &err), 0);
	assert_int_equal(export_configure(e, other, &err), 0);
	assert_int_equal(export_port(e), port);
	/* one that cannot be had changes nothing */
	assert_int_equal(config_set(one, "listen", "192.0.2.1:1", &err), 0);
	assert_int_equal(export_configure(e, one, &err), -EADDRNOTAVAIL);
	assert_int_equal(export_port(e), port);
	/* none at all */
	assert_int_equal(config_set(one, "listen", "", &err), 0);
	assert_int_equal(export_configure(e, one, &err), 0);
	assert_int_equal(export_port(e), 0);
	export_close(e);
	config_free(one);
	config_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_is_zero_and_absent_is_absent),
		cmocka_unit_test(open_metrics),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(large_sites_and_the_rest),
		cmocka_unit_test(same_identity),
		cmocka_unit_test(no_series_twice),
		cmocka_unit_test(bounded),
		cmocka_unit_test(folded),
		cmocka_unit_test(histograms),
		cmocka_unit_test(configured_labels),
		cmocka_unit_test(as_json),
		cmocka_unit_test(closed_findings),
		cmocka_unit_test(history),
		cmocka_unit_test(page_for_people),
		cmocka_unit_test(another_address),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
