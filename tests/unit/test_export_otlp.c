/* SPDX-License-Identifier: BSD-2-Clause */
/* OTLP of a view written by hand, and a queue with nobody at the other end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "export_view.h"
#include "base/clock.h"
#include "export/otlp.h"
#include "export/push.h"

struct taken {
	json_t *piece[64];
	enum otlp_signal signal[64];
	size_t largest;
	int n;
};

static void take(void *arg, enum otlp_signal signal, const struct buf *body)
{
	struct taken *t = arg;
	json_error_t why;

	assert_true(t->n < 64);
	t->signal[t->n] = signal;
	t->piece[t->n] = json_loadb(body->data, body->len, 0, &why);
	if (!t->piece[t->n])
		fail_msg("%s: %.60s", why.text, body->data + why.position);
	t->n++;
	if (body->len > t->largest)
		t->largest = body->len;
}

static void drop(struct taken *t)
{
	for (int i = 0; i < t->n; i++)
		json_decref(t->piece[i]);
	*t = (struct taken){ 0 };
}

static json_t *list(json_t *o, const char *key)
{
	json_t *a = json_object_get(o, key);

	assert_true(json_is_array(a));
	return a;
}

static const char *attribute(json_t *of, const char *key)
{
	size_t i;
	json_t *a;

	json_array_foreach(list(of, "attributes"), i, a)
	{
		json_t *value = json_object_get(a, "value"), *v;

		if (strcmp(json_string_value(json_object_get(a, "key")), key))
			continue;
		v = json_object_get(value, "stringValue");
		return json_string_value(v ? v : json_object_get(value, "intValue"));
	}
	return NULL;
}

/* The metric of that name of the i-th resource; NULL: none. */
static json_t *metric(json_t *piece, size_t i, const char *name)
{
	json_t *r = json_array_get(list(piece, "resourceMetrics"), i), *m;
	size_t k;

	json_array_foreach(list(json_array_get(list(r, "scopeMetrics"), 0), "metrics"), k,
			   m) if (!strcmp(json_string_value(json_object_get(m, "name")),
					  name)) return m;
	return NULL;
}

static json_t *point(json_t *metric, const char *kind, size_t i)
{
	return json_array_get(list(json_object_get(metric, kind), "dataPoints"), i);
}

static void metrics(void **state)
{
	struct taken t = { 0 };
	json_t *m, *r;

	(void)state;
	hand_view(&hand, 2);
	hand.totals[1].has_live = false;
	hand.totals[0].has_to_run = true;
	hand.totals[0].to_run = (struct golatency_folded){ .count = { 2, [10] = 4 }, .least_s = 1 };
	assert_int_equal(otlp_metrics(config, &hand.view, &no_stats, take, &t), 0);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.signal[0], OTLP_METRICS);
	assert_int_equal(json_array_size(list(t.piece[0], "resourceMetrics")), 3);
	r = json_object_get(json_array_get(list(t.piece[0], "resourceMetrics"), 1), "resource");
	assert_string_equal(attribute(r, "service.name"), "shop0");
	assert_string_equal(attribute(r, "process.runtime.version"), "go1.26.1");
	assert_null(attribute(r, "process.pid"));
	m = metric(t.piece[0], 1, "go.goroutine.count");
	assert_false(json_is_true(json_object_get(json_object_get(m, "sum"), "isMonotonic")));
	assert_string_equal(json_string_value(json_object_get(point(m, "sum", 0), "asInt")), "10");
	m = metric(t.piece[0], 1, "gospect.goroutine.created");
	assert_true(json_is_true(json_object_get(json_object_get(m, "sum"), "isMonotonic")));
	assert_string_equal(
		json_string_value(json_object_get(point(m, "sum", 0), "startTimeUnixNano")),
		"1690000000000000000");
	m = metric(t.piece[0], 1, "go.schedule.duration");
	r = point(m, "histogram", 0);
	assert_string_equal(json_string_value(json_object_get(r, "count")), "6");
	assert_int_equal(json_array_size(list(r, "bucketCounts")), 11);
	assert_int_equal(json_array_size(list(r, "explicitBounds")), 10);
	assert_string_equal(json_string_value(json_array_get(list(r, "bucketCounts"), 10)), "4");
	assert_null(metric(t.piece[0], 1, "go.memory.gc.pause.duration"));
	m = metric(t.piece[0], 1, "gospect.goroutine.site.live");
	assert_int_equal(json_array_size(list(json_object_get(m, "sum"), "dataPoints")), 11);
	assert_string_equal(attribute(point(m, "sum", 0), "code.line.number"), "10");
	/* not known is not there */
	assert_null(metric(t.piece[0], 2, "go.goroutine.count"));
	assert_null(metric(t.piece[0], 2, "gospect.goroutine.site.live"));
	drop(&t);
}

static void in_pieces(void **state)
{
	struct taken t = { 0 };
	size_t resources = 0;

	(void)state;
	hand_view(&hand, VIEW_PROCESSES);
	for (size_t i = 0; i < VIEW_PROCESSES; i++) {
		hand.process[i].walk = &hand.walk;
		hand.process[i].walked_real_ns = 1;
	}
	assert_int_equal(otlp_metrics(config, &hand.view, &no_stats, take, &t), 0);
	assert_true(t.n > 1);
	assert_true(t.largest < (1 << 20) + (64 << 10));
	for (int i = 0; i < t.n; i++)
		resources += json_array_size(list(t.piece[i], "resourceMetrics"));
	assert_int_equal(resources, VIEW_PROCESSES + 1);
	drop(&t);
}

static void events(void **state)
{
	struct taken t = { 0 };
	json_t *r, *record;

	(void)state;
	hand_view(&hand, 1);
	assert_int_equal(otlp_events(config, &hand.view, take, &t), 0);
	assert_int_equal(t.n, 0);
	hand.view.event = hand.event;
	hand.view.nevent = 2;
	for (int i = 0; i < 2; i++)
		hand.event[i] = (struct view_event){ .kind = i ? VIEW_CLOSED : VIEW_OPENED,
						     .real_ns = 17,
						     .finding = hand.finding[i],
						     .identity = &hand.identity[0],
						     .process_key = i ? 999 : 100,
						     .reason = i ? "ended" : "" };
	finding_count(&hand.judged[0], "count", 42);
	assert_int_equal(otlp_events(config, &hand.view, take, &t), 0);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.signal[0], OTLP_LOGS);
	r = json_array_get(list(t.piece[0], "resourceLogs"), 0);
	assert_string_equal(attribute(json_object_get(r, "resource"), "service.name"), "shop0");
	record = json_array_get(list(json_array_get(list(r, "scopeLogs"), 0), "logRecords"), 0);
	assert_string_equal(json_string_value(json_object_get(record, "eventName")),
			    "gospect.finding");
	assert_int_equal(json_integer_value(json_object_get(record, "severityNumber")), 17);
	assert_string_equal(attribute(record, "gospect.finding.state"), "opened");
	assert_string_equal(attribute(record, "gospect.finding.kind"), "goroutine-leak");
	assert_string_equal(attribute(record, "code.line.number"), "7");
	r = json_array_get(list(t.piece[0], "resourceLogs"), 1);
	record = json_array_get(list(json_array_get(list(r, "scopeLogs"), 0), "logRecords"), 0);
	assert_string_equal(attribute(record, "gospect.finding.state"), "closed");
	assert_string_equal(attribute(record, "gospect.finding.reason"), "ended");
	/* of a process that is gone */
	assert_string_equal(attribute(json_object_get(r, "resource"), "service.instance.id"),
			    "host.shop0");
	drop(&t);
}

static void retry_after(void **state)
{
	const uint64_t now = 1700000000ull * NS_PER_S; /* Tue, 14 Nov 2023 22:13:20 GMT */

	(void)state;
	assert_float_equal(push_retry_after("120\r\n", now), 120, 0);
	assert_float_equal(push_retry_after("0", now), 0, 0);
	assert_float_equal(push_retry_after("999999999999", now), PUSH_MAX_WAIT_S, 0);
	assert_float_equal(push_retry_after("Tue, 14 Nov 2023 22:14:00 GMT", now), 40, 0);
	assert_float_equal(push_retry_after("Tue, 14 Nov 2023 22:00:00 GMT", now), 0, 0);
	assert_true(push_retry_after("soon", now) < 0);
	assert_true(push_retry_after("", now) < 0);
	assert_true(push_retry_after("-5", now) < 0);
	assert_true(push_retry_after("nan", now) < 0);
}

/* Nobody listens: what waits is bounded, and the oldest gives way. */
static void nobody_there(void **state)
{
	struct export_stats stats;
	struct push *p;
	struct err err;
	struct buf body;
	unsigned int random = 1;

	(void)state;
	assert_int_equal(config_set(config, "otlp.endpoint", "http://127.0.0.1:1", &err), 0);
	assert_int_equal(config_set(config, "otlp.queue", "1M", &err), 0);
	assert_int_equal(push_open(&p, config, &err), 0);
	buf_init(&body, 1u << 20);
	for (int i = 0; i < 20000; i++) /* so that it does not get small */
		buf_printf(&body, "%d", rand_r(&random));
	for (int i = 0; i < 20; i++)
		push_add(p, OTLP_METRICS, &body);
	push_stats(p, &stats);
	assert_true(stats.pushing);
	assert_true(stats.queue_bytes > 0 && stats.queue_bytes <= 1 << 20);
	assert_true(stats.queue_dropped > 0 && stats.queue_dropped < 20);
	assert_int_equal(stats.sent, 0);
	push_close(p, 2000);
	buf_deinit(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics),      cmocka_unit_test(in_pieces),
		cmocka_unit_test(events),       cmocka_unit_test(retry_after),
		cmocka_unit_test(nobody_there),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
