/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What snapshots add, on a window written by hand: the text as users see it,
 * JSON, profiles decoded by a reader of their own, HTML with hostile names.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/vec.h"
#include "base/cursor.h"
#include "observe/detect.h"
#include "report/report.h"
#include "report/flame.h"
#include "save_report.h"
#include "snapshot_window.h"

static void text_is_as_users_see_it(void **state)
{
	const struct report_text_options o = { .columns = 100 };
	struct fixture f;

	(void)state;
	set_up(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	detect_all(&f.r.window, &f.r.findings);
	report_text(&f.r, &o, &f.out);
	has(f.out.data,
	    "HIGH      1,204 goroutines created at main.main (main.go:5) can never run again\n"
	    "          - blocked in chan receive at main.inner (work.go:57), the oldest for at "
	    "least 2h58m\n"
	    "          - no goroutine that can still run reaches the channel they wait on\n");
	has(f.out.data,
	    "leaks:      1,204 goroutines can never run again (of 1,240 blocked), proven; the "
	    "process was stopped\n"
	    "            for 3.2ms; 1 blocks forever by design\n"
	    "  leaked  oldest  waiting for                    at                     created at\n"
	    "   1,204  >2h58m  chan receive                   main.inner work.go:57  main.main "
	    "main.go:5\n"
	    "       1       -  select (no cases) (by design)  -                      runtime.main "
	    "proc.go:149\n");
	has(f.out.data,
	    "stacks:     3 distinct\n"
	    "  count  oldest  waiting for   stack, innermost first                         "
	    "         labels\n"
	    "  1,204  >2h58m  chan receive  main.inner work.go:57 < main.worker work.go:30 "
	    "         user=alice\n");
	has(f.out.data,
	    "heap:       about 20.0 MiB in use in 5,120 objects (+8.0 MiB in this window), "
	    "20.0 MiB allocated in\n"
	    "            total; the runtime's own sample, one per 512.0 KiB\n"
	    "     in use  objects     grown  allocated  allocated at\n"
	    "  ~20.0 MiB   ~5,120  +8.0 MiB  ~20.0 MiB  main.keep keep.go:50\n");
	has_not(f.out.data, "\x1b");
	has_not(f.out.data, "\xe2\x80\xae");
	tear_down(&f);
}

static void goroutines_one_by_one(void **state)
{
	const struct report_text_options o = { .columns = 100 };
	struct fixture f;

	(void)state;
	set_up(&f);
	f.d.all = f.all;
	f.d.nall = 1;
	report_text(&f.r, &o, &f.out);
	has(f.out.data,
	    "\ngoroutine 17 [chan receive, 1m02s, locked to thread] {user=alice}\n"
	    "    runtime.gopark proc.go:462\n    main.inner work.go:57\n    main.worker "
	    "work.go:30\n"
	    "    created by main.main main.go:5 in goroutine 1\n");
	tear_down(&f);
}

static json_t *parse(const struct buf *out)
{
	json_error_t why;
	json_t *o = json_loads(out->data, 0, &why);

	if (!o)
		fail_msg("%s at %d: %s", why.text, why.position, out->data);
	return o;
}

static void json_has_it_all(void **state)
{
	struct fixture f;
	json_t *o, *g, *h, *l;

	(void)state;
	set_up(&f);
	f.d.all = f.all;
	f.d.nall = 1;
	fill_leaks(&f, LEAKS_VERDICT_PASSES);
	save_report(&f.r, &f.out);
	o = parse(&f.out);
	g = json_object_get(o, "goroutines");
	assert_int_equal(json_array_size(json_object_get(g, "groups")), 3);
	assert_int_equal(json_array_size(json_object_get(g, "all")), 1);
	h = json_array_get(json_object_get(g, "groups"), 0);
	assert_int_equal(json_integer_value(json_object_get(h, "count")), 1204);
	assert_int_equal(json_array_size(json_object_get(h, "stack")), 3);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(h, "labels"), "user")), "alice");
	h = json_array_get(json_object_get(json_object_get(o, "heap"), "by_site"), 0);
	assert_int_equal(json_integer_value(json_object_get(h, "in_use_bytes")), 20 << 20);
	l = json_object_get(o, "leaks");
	assert_string_equal(json_string_value(json_object_get(l, "verdict")), "passes");
	assert_int_equal(json_integer_value(json_object_get(l, "passes")), 6);
	assert_null(json_object_get(l, "stop_ms"));
	assert_int_equal(json_integer_value(json_object_get(l, "leaked")), 1204);
	for (const char *p = f.out.data; *p; p++) /* one line of plain ASCII */
		assert_true(*p == '\n' ? !p[1] : *p >= ' ' && *p < 0x7f);
	json_decref(o);
	tear_down(&f);
}

static void many_groups_are_summed(void **state)
{
	struct dump_group *many = calloc(1500, sizeof(*many));
	struct fixture f;
	json_t *o, *list, *last;

	(void)state;
	set_up(&f);
	for (int i = 0; i < 1500; i++)
		many[i] = f.group[2];
	f.d.group = many;
	f.d.ngroup = 1500;
	save_report(&f.r, &f.out);
	o = parse(&f.out);
	list = json_object_get(json_object_get(o, "goroutines"), "groups");
	assert_int_equal(json_array_size(list), REPORT_MAX_ROWS);
	last = json_array_get(list, REPORT_MAX_ROWS - 1);
	assert_true(json_is_true(json_object_get(last, "other")));
	assert_int_equal(json_integer_value(json_object_get(last, "count")),
			 1500 - (REPORT_MAX_ROWS - 1));
	json_decref(o);
	free(many);
	tear_down(&f);
}

/* ---- a reader of profile.proto ---- */

struct field {
	uint32_t number;
	uint64_t value;       /* or the length of bytes */
	const uint8_t *bytes; /* NULL: a varint */
};

static bool next_field(struct cursor *c, struct field *f)
{
	uint64_t key;

	if (!cursor_left(c))
		return false;
	key = cursor_uvarint64(c);
	f->number = (uint32_t)(key >> 3);
	f->value = cursor_uvarint64(c);
	f->bytes = NULL;
	if ((key & 7) == 2)
		f->bytes = cursor_bytes(c, (size_t)f->value);
	assert_true((key & 7) == 0 || f->bytes || !f->value);
	assert_false(c->bad);
	return true;
}

static uint8_t *unzip(const struct buf *b, size_t *len)
{
	uint8_t *out = malloc(1 << 20);
	z_stream z = { .next_in = (uint8_t *)b->data,
		       .avail_in = (uInt)b->len,
		       .next_out = out,
		       .avail_out = 1 << 20 };

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	*len = z.total_out;
	inflateEnd(&z);
	return out;
}

struct looked {
	int types, samples, mappings, locations, functions, strings, lines;
	uint64_t values[4], max_location, max_function;
	char text[4096]; /* all strings, each with a newline */
};

static void look_at(struct looked *s, const struct field *f)
{
	struct cursor c, v;
	struct field in;
	int k = 0;

	cursor_init(&c, f->bytes ? f->bytes : (const uint8_t *)"", f->bytes ? (size_t)f->value : 0);
	switch (f->number) {
	case 1:
		s->types++;
		break;
	case 3:
		s->mappings++;
		break;
	case 5:
		s->functions++;
		break;
	case 6:
		s->strings++;
		snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text), "%.*s\n",
			 (int)f->value, f->bytes ? (const char *)f->bytes : "");
		break;
	case 4:
		s->locations++;
		while (next_field(&c, &in))
			s->lines += in.number == 4;
		break;
	case 2:
		s->samples++;
		while (next_field(&c, &in)) {
			if (in.number != 1 && in.number != 2)
				continue;
			for (cursor_init(&v, in.bytes, (size_t)in.value); cursor_left(&v);) {
				uint64_t x = cursor_uvarint64(&v);

				if (in.number == 2)
					s->values[k++ % 4] += x;
				else
					s->max_location = x > s->max_location ? x : s->max_location;
			}
		}
		break;
	default:
		break;
	}
}

static void read_profile(const struct buf *b, struct looked *s)
{
	struct cursor c;
	struct field f;
	size_t len;
	uint8_t *raw = unzip(b, &len);

	memset(s, 0, sizeof(*s));
	cursor_init(&c, raw, len);
	while (next_field(&c, &f))
		look_at(s, &f);
	free(raw);
}

static void profiles_decode(void **state)
{
	struct fixture f;
	struct looked s;

	(void)state;
	set_up(&f);
	assert_int_equal(report_pprof_goroutines(&f.r, &f.out), 0);
	read_profile(&f.out, &s);
	assert_int_equal(s.types, 1);
	assert_int_equal(s.samples, 3);
	assert_int_equal(s.values[0] + s.values[1] + s.values[2] + s.values[3], 1236);
	assert_int_equal(s.locations, 6);
	assert_int_equal(s.lines, 7);
	assert_int_equal(s.functions, 7);
	assert_int_equal(s.mappings, 1);
	assert_true(s.max_location <= 6);
	assert_true(s.text[0] == '\n'); /* string 0 is "" */
	for (const char *const *w =
		     (const char *const[]){ "\nmain.inner\n", "\nwait_reason\n", "\nchan receive\n",
					    "\nstate\n", "\nalice\n", NULL };
	     *w; w++)
		assert_non_null(strstr(s.text, *w));
	buf_reset(&f.out);
	assert_int_equal(report_pprof_heap(&f.r, false, &f.out), 0);
	read_profile(&f.out, &s);
	assert_int_equal(s.types, 4);
	assert_int_equal(s.samples, 1);
	assert_int_equal(s.values[0], 5120);
	assert_int_equal(s.values[3], 20 << 20);
	f.r.window.memory->heap.known = false;
	f.r.window.goroutines->dump = NULL;
	assert_int_equal(report_pprof_heap(&f.r, false, &f.out), -EOPNOTSUPP);
	assert_int_equal(report_pprof_goroutines(&f.r, &f.out), -EOPNOTSUPP);
	tear_down(&f);
}

static void html_escapes(void **state)
{
	struct finding *bad;
	struct fixture f;
	const char *script;

	(void)state;
	set_up(&f);
	bad = findings_add(&f.r.findings, "goroutine-leak", "leak", SEVERITY_HIGH, &lines[4]);
	finding_title(bad, "%s", hostile);
	finding_evidence(bad, "%s", hostile);
	finding_advice(bad, "%s", hostile);
	labels[0].value = hostile;
	assert_int_equal(report_html(&f.r, &f.out), 0);
	has_not(f.out.data, "<b onclick");
	has_not(f.out.data, "onclick='");
	has_not(f.out.data, "<x>");
	has_not(f.out.data, "\x1b");
	has_not(f.out.data, "\xe2\x80\xae");
	has(f.out.data,
	    "main.&lt;b onclick=&#39;x&#39;&gt;&amp;&quot;\\x1b[31m\\u202e&lt;/script&gt;");
	script = strstr(f.out.data, "</script>");
	has_not(script ? script + 9 : f.out.data, "</script>");
	has_not(f.out.data, "://");
	has_not(f.out.data, " src=");
	labels[0].value = "alice";
	tear_down(&f);
}

static void html_names_places(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	assert_int_equal(report_html(&f.r, &f.out), 0);
	has(f.out.data,
	    "<tr><td class=\"n\">1,204</td><td class=\"n\">&gt;2h58m</td><td>chan receive</td>"
	    "<td>main.inner work.go:57</td><td>main.main main.go:5</td></tr>");
	has(f.out.data, "<td>select (no cases) (by design)</td><td>-</td><td>runtime.main "
			"proc.go:149</td>");
	has(f.out.data,
	    "<summary><b>1,204</b> chan receive at <code>main.inner work.go:57</code>, the "
	    "oldest at least 2h58m "
	    "<code>user=alice</code></summary>");
	has(f.out.data, "<p>created at <code>main.main main.go:5</code></p></details>");
	tear_down(&f);
}

static struct flame_item item_of_group(const struct flame_source *from, size_t i)
{
	const struct dump_group *g = &((const struct goroutine_dump *)from->of)->group[i];

	return (struct flame_item){ g->stack, g->count, g->reason };
}

static void flame_adds_up(void **state)
{
	struct flame_source from = { .item = item_of_group, .waits = true };
	struct flame t;
	struct fixture f;

	(void)state;
	set_up(&f);
	from.stacks = &f.d.stacks;
	from.n = f.d.ngroup;
	from.of = &f.d;
	assert_int_equal(flame_make(&t, &from), 0);
	assert_int_equal(t.node[0].count, 1236);
	assert_string_equal(t.reason[0], "chan receive");
	for (int i = 0; i < t.n; i++) {
		uint64_t sum = 0;

		for (int c = t.node[i].child; c >= 0; c = t.node[c].next)
			sum += t.node[c].count;
		if (t.node[i].child >= 0)
			assert_int_equal(sum, t.node[i].count);
	}
	/* outermost first: worker, then what is inlined there, then the reason */
	assert_string_equal(t.node[t.node[0].child].place->function, "main.worker");
	flame_deinit(&t);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_as_users_see_it), cmocka_unit_test(goroutines_one_by_one),
		cmocka_unit_test(json_has_it_all),         cmocka_unit_test(many_groups_are_summed),
		cmocka_unit_test(profiles_decode),         cmocka_unit_test(html_escapes),
		cmocka_unit_test(html_names_places),       cmocka_unit_test(flame_adds_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
