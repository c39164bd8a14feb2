/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What snapshots add, on a window written by hand: the text as users see it,
 * JSON, profiles decoded by a reader of their own, HTML with hostile names,
 * verdicts as findings, two reports compared.
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
#include "goroutines/fill.h"
#include "observe/detect.h"
#include "prove/prove.h"
#include "observe/window.h"
#include "report/report.h"
#include "report/flame.h"
#include "save_report.h"
#include "snapshot_window.h"

static void has(const struct buf *out, const char *text)
{
	if (!strstr(out->data, text)) {
		printf("%s\n", out->data); /* fail_msg() cuts */
		fail_msg("'%s' is not in it", text);
	}
}

static void has_not(const struct buf *out, const char *text)
{
	if (strstr(out->data, text))
		fail_msg("'%s' is in:\n%s", text, out->data);
}

static void text_is_as_users_see_it(void **state)
{
	const struct report_text_options o = { .columns = 100 };
	struct fixture f;

	(void)state;
	set_up(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	detect_all(&f.r.window, &f.r.findings);
	report_text(&f.r, &o, &f.out);
	has(&f.out,
	    "HIGH      1,204 goroutines created at main.main (main.go:5) can never run again\n"
	    "          - blocked in chan receive at main.inner (work.go:57), the oldest for at "
	    "least 2h58m\n"
	    "          - no goroutine that can still run reaches the channel they wait on\n");
	has(&f.out,
	    "leaks:      1,204 goroutines can never run again (of 1,240 blocked), proven; the "
	    "process was stopped\n"
	    "            for 3.2ms; 1 blocks forever by design\n"
	    "  leaked  oldest  waiting for                    at                     created at\n"
	    "   1,204  >2h58m  chan receive                   main.inner work.go:57  main.main "
	    "main.go:5\n"
	    "       1       -  select (no cases) (by design)  -                      runtime.main "
	    "proc.go:149\n");
	has(&f.out, "stacks:     3 distinct\n"
		    "  count  oldest  waiting for   stack, innermost first                         "
		    "         labels\n"
		    "  1,204  >2h58m  chan receive  main.inner work.go:57 < main.worker work.go:30 "
		    "         user=alice\n");
	has(&f.out, "heap:       about 20.0 MiB in use in 5,120 objects (+8.0 MiB in this window), "
		    "20.0 MiB allocated in\n"
		    "            total; the runtime's own sample, one per 512.0 KiB\n"
		    "     in use  objects     grown  allocated  allocated at\n"
		    "  ~20.0 MiB   ~5,120  +8.0 MiB  ~20.0 MiB  main.keep keep.go:50\n");
	has_not(&f.out, "\x1b");
	has_not(&f.out, "\xe2\x80\xae");
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
	has(&f.out, "\ngoroutine 17 [chan receive, 1m02s, locked to thread] {user=alice}\n"
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
	assert_int_equal(report_pprof_heap(&f.r, &f.out), 0);
	read_profile(&f.out, &s);
	assert_int_equal(s.types, 4);
	assert_int_equal(s.samples, 1);
	assert_int_equal(s.values[0], 5120);
	assert_int_equal(s.values[3], 20 << 20);
	f.r.window.memory->heap.known = false;
	f.r.window.goroutines->dump = NULL;
	assert_int_equal(report_pprof_heap(&f.r, &f.out), -EOPNOTSUPP);
	assert_int_equal(report_pprof_goroutines(&f.r, &f.out), -EOPNOTSUPP);
	tear_down(&f);
}

static void html_escapes(void **state)
{
	struct finding *bad;
	struct fixture f;

	(void)state;
	set_up(&f);
	bad = findings_add(&f.r.findings, "goroutine-leak", "leak", SEVERITY_HIGH, &lines[4]);
	finding_title(bad, "%s", hostile);
	finding_evidence(bad, "%s", hostile);
	finding_advice(bad, "%s", hostile);
	labels[0].value = hostile;
	assert_int_equal(report_html(&f.r, &f.out), 0);
	has_not(&f.out, "<b onclick");
	has_not(&f.out, "onclick='");
	has_not(&f.out, "<x>");
	has_not(&f.out, "\x1b");
	has_not(&f.out, "\xe2\x80\xae");
	has(&f.out, "main.&lt;b onclick=&#39;x&#39;&gt;&amp;&quot;\\x1b[31m\\u202e&lt;/script&gt;");
	has_not(strstr(f.out.data, "</script>")
			? &(struct buf){ .data = strstr(f.out.data, "</script>") + 9 }
			: &f.out,
		"</script>");
	has_not(&f.out, "://");
	has_not(&f.out, " src=");
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
	has(&f.out,
	    "<tr><td class=\"n\">1,204</td><td class=\"n\">&gt;2h58m</td><td>chan receive</td>"
	    "<td>main.inner work.go:57</td><td>main.main main.go:5</td></tr>");
	has(&f.out, "<td>select (no cases) (by design)</td><td>-</td><td>runtime.main "
		    "proc.go:149</td>");
	has(&f.out, "<summary><b>1,204</b> chan receive at <code>main.inner work.go:57</code>, the "
		    "oldest at least 2h58m "
		    "<code>user=alice</code></summary>");
	has(&f.out, "<p>created at <code>main.main main.go:5</code></p></details>");
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

static const struct finding *find(const struct findings *fs, const char *kind)
{
	for (int i = 0; i < fs->n; i++)
		if (!strcmp(fs->f[i].kind, kind))
			return &fs->f[i];
	return NULL;
}

static void verdicts_are_findings(void **state)
{
	static const struct {
		enum leaks_verdict verdict;
		uint64_t before;
		enum severity s;
	} cases[] = {
		{ LEAKS_VERDICT_PROVEN, 1204, SEVERITY_HIGH },
		{ LEAKS_VERDICT_PROVEN, 1100, SEVERITY_CRITICAL },
		{ LEAKS_VERDICT_PASSES, 1204, SEVERITY_MEDIUM },
		{ LEAKS_VERDICT_PASSES, 1, SEVERITY_MEDIUM },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct finding *got;
		struct fixture f;

		set_up(&f);
		fill_leaks(&f, cases[i].verdict);
		f.leak[0].count_before = cases[i].before;
		detect_all(&f.r.window, &f.r.findings);
		got = find(&f.r.findings, "goroutine-leak");
		assert_non_null(got);
		assert_int_equal(got->severity, cases[i].s);
		assert_string_equal(got->id, "leak:main.main:main.go:5");
		assert_int_equal(got->exactness,
				 cases[i].verdict == LEAKS_VERDICT_PROVEN ? EXACT : ESTIMATED);
		for (int k = 0; k < f.r.findings.n; k++) /* main in select {} is none */
			assert_null(strstr(f.r.findings.f[k].id, "runtime.main"));
		tear_down(&f);
	}
}

/* Foreign code, or a site beyond those that are told apart: no function, in no row. */
static void leaks_without_a_place(void **state)
{
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	memset(&f.leak[0].place, 0, sizeof(f.leak[0].place));
	f.leak[1] = f.leak[0];
	f.leak[1].count = 3;
	f.leak[1].count_before = 3;
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "goroutine-leak");
	assert_non_null(got);
	assert_null(got->place.function);
	assert_non_null(strstr(got->title, "1,207 goroutines created at an unknown place"));
	assert_true(got->advice[0]);
	for (int i = 0, n = 0; i < f.r.findings.n; i++)
		assert_true((n += !strcmp(f.r.findings.f[i].kind, "goroutine-leak")) <= 1);
	tear_down(&f);
}

/* A verdict that names nobody. */
static void no_leaked_goroutines(void **state)
{
	struct prove_result none = { .verdict = LEAKS_PASSES, .passes = 6 };
	struct goruntime rt = { .why_off[FACT_STACKS] = "not verified" };
	struct leaks_window l;
	struct sites s;

	(void)state;
	assert_int_equal(sites_init(&s, &rt), 0);
	assert_int_equal(leaks_fill(&l, &s, &none, 1, 0), 0);
	assert_int_equal(l.verdict, LEAKS_VERDICT_PASSES);
	assert_int_equal(l.nrow, 0);
	leaks_window_deinit(&l);
	sites_deinit(&s);
}

/* What the proof could not read is missing from the leaks, not from the walk. */
static void proof_losses_are_of_the_leaks(void **state)
{
	struct prove_result r = { .verdict = LEAKS_PASSES, .passes = 6, .losses = 3 };
	struct losses l = { 0 };
	struct window w = { 0 };

	(void)state;
	window_cover(&w, SENSOR_GOROUTINES, EXACT, "");
	leaks_cover(&r, &w);
	r.verdict = LEAKS_PROVEN;
	leaks_cover(&r, &w);
	r.losses = 0;
	leaks_cover(&r, &w);
	r.verdict = LEAKS_PASSES;
	r.passes = 1;
	leaks_cover(&r, &w);
	lose(&l, LOSS_PROOF, 3);
	losses_report(&l, &w);
	assert_int_equal(w.lost_read_failures, 3);
	assert_int_equal(w.coverage[0].state, EXACT);
	assert_int_equal(w.coverage[1].state, ESTIMATED);
	assert_non_null(
		strstr(w.coverage[1].why, "is certain; missing: what could not be read (3)"));
	assert_int_equal(w.coverage[2].state, PARTIAL);
	assert_string_equal(w.coverage[2].why, "missing: what could not be read (3)");
	assert_int_equal(w.coverage[3].state, EXACT);
	assert_string_equal(w.coverage[3].why, "");
	assert_string_equal(w.coverage[4].why, "one pass over a running process; --prove freezes "
					       "it for some milliseconds and is certain");
}

static void members_are_marked_as_leaked(void **state)
{
	struct leaked_goroutine leaked[] = { { .goid = 3 }, { .goid = 9 }, { .goid = 40 } };
	struct deadlock_member m[] = { { .goid = 40 }, { .goid = 4 }, { .goid = 3 } };
	struct goroutines_window g = {
		.leaks = { .goroutine = leaked, .ngoroutine = 3 },
		.deadlocks = { .member = m, .nmember = 3 },
	};
	struct window w = { .goroutines = &g };

	(void)state;
	deadlocks_mark_leaked(&w);
	assert_true(m[0].leaked);
	assert_false(m[1].leaked);
	assert_true(m[2].leaked);
}

static void no_leak_no_finding(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	f.r.window.goroutines->leaks.row = &f.leak[1];
	f.r.window.goroutines->leaks.nrow = 1;
	f.r.window.memory->trend.n = 2; /* nothing to compare with */
	detect_all(&f.r.window, &f.r.findings);
	assert_int_equal(f.r.findings.n, 0);
	tear_down(&f);
}

/* What memory-growth says of that many points of the fixture's place. */
static const struct finding *growth_of(struct fixture *f, int n, const double *in_use_mib,
				       const double *allocated_mib, const double *t_s)
{
	struct trend_window *t = &f->r.window.memory->trend;

	t->n = n;
	for (int i = 0; i < n; i++) {
		f->trend[0].in_use[i] = (float)(in_use_mib[i] * 1048576);
		f->trend[0].allocated[i] =
			(float)((allocated_mib ? allocated_mib : in_use_mib)[i] * 1048576);
		t->total[i] = f->trend[0].in_use[i];
		t->t_s[i] = t_s ? t_s[i] : i;
	}
	findings_deinit(&f->r.findings);
	f->r.findings = (struct findings){ 0 };
	detect_all(&f->r.window, &f->r.findings);
	return find(&f->r.findings, "memory-growth");
}

static double per_minute_mib(const struct finding *f)
{
	for (int i = 0; f && i < f->nnumber; i++)
		if (!strcmp(f->number[i].name, "bytes_per_minute"))
			return f->number[i].value / 1048576;
	return -1;
}

static void memory_that_grows(void **state)
{
	static const double in_use[] = { 20, 36, 52, 68 }, two_minutes[] = { 0, 120, 240 },
			    quick[] = { 0, 0.9, 1.8, 2.7 };
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "memory-growth");
	assert_non_null(got);
	assert_int_equal(got->severity, SEVERITY_MEDIUM);
	assert_string_equal(got->place.function, "main.keep");
	assert_int_equal(got->exactness, ESTIMATED);
	/* the time between the collections counts, not how long the window was */
	got = growth_of(&f, 3, in_use, NULL, two_minutes);
	assert_in_range(per_minute_mib(got), 7, 9);
	assert_int_equal(got->severity, SEVERITY_MEDIUM);
	assert_null(growth_of(&f, 3, in_use, NULL, NULL)); /* three in two seconds: a start */
	got = growth_of(&f, 4, in_use, NULL, quick);       /* four are more, and still not many */
	assert_int_equal(got->severity, SEVERITY_LOW);
	/* the sample saw a fourth too much: the collections know what they marked */
	for (int i = 0; i < 3; i++)
		f.r.window.memory->trend.live[i] = (20 + 12.8 * i) * 1048576;
	got = growth_of(&f, 3, in_use, NULL, two_minutes);
	assert_true(per_minute_mib(got) > 6.2 && per_minute_mib(got) < 6.6);
	tear_down(&f);
}

static void memory_that_comes_and_goes(void **state)
{
	static const double little[] = { 12, 13, 14 }, two[] = { 10, 20 },
			    /* a site that only makes garbage: what a collection met alive */
		garbage[] = { 2, 2, 9, 2, 6, 12 }, made[] = { 100, 200, 300, 400, 500, 600 },
			    rising[] = { 2, 6, 12 }, warm[] = { 5, 20, 40, 40, 40, 40, 40, 40 },
			    pools[] = { 5, 25, 38, 42, 43 }, steady[] = { 5, 14, 24, 33, 43 },
			    mixed[] = { 10, 15, 20, 25, 30, 35 };
	struct fixture f;

	(void)state;
	set_up(&f);
	assert_null(growth_of(&f, 3, little, NULL, NULL)); /* the noise of the sample */
	assert_null(growth_of(&f, 2, two, NULL, NULL));
	assert_null(growth_of(&f, 6, garbage, made, NULL));
	assert_null(growth_of(&f, 3, rising, made, NULL));
	assert_null(growth_of(&f, 8, warm, NULL, NULL));  /* it has ended */
	assert_null(growth_of(&f, 3, warm, NULL, NULL));  /* it may end */
	assert_null(growth_of(&f, 5, pools, NULL, NULL)); /* it comes to rest */
	assert_non_null(growth_of(&f, 5, steady, NULL, NULL));
	assert_non_null(growth_of(&f, 6, mixed, made, NULL)); /* much garbage, and a leak */
	tear_down(&f);
}

/* Ten looks: from MiB on, what is resident and what is mapped becomes so much more at each. */
static const struct finding *growth_outside(struct fixture *f, double from, double resident,
					    double mapped)
{
	struct outside_window *o = &f->r.window.memory->outside;

	f->r.window.memory->trend.n = 0;
	f->r.window.process = (struct process_window){ .known = true,
						       .split_known = true,
						       .rss_bytes = 200ull << 20,
						       .other_bytes = 150ull << 20 };
	o->n = 10;
	for (int i = 0; i < o->n; i++) {
		o->t_s[i] = 3 * i;
		o->resident[i] = (float)((from + resident * i) * 1048576);
		o->mapped[i] = (float)((500 + mapped * i) * 1048576);
	}
	findings_deinit(&f->r.findings);
	f->r.findings = (struct findings){ 0 };
	detect_all(&f->r.window, &f->r.findings);
	return find(&f->r.findings, "memory-growth");
}

static void memory_outside_the_heap(void **state)
{
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	got = growth_outside(&f, 100, 6, 6);
	assert_non_null(got);
	assert_string_equal(got->id, "memory-growth:not the Go heap");
	assert_int_equal(got->severity, SEVERITY_MEDIUM);
	assert_in_range(per_minute_mib(got), 119, 121);
	assert_null(growth_outside(&f, 100, 0, 0));
	assert_null(growth_outside(&f, 100, 0, 2));   /* mapped, not touched */
	assert_null(growth_outside(&f, 100, 2, 0));   /* touched for the first time */
	assert_null(growth_outside(&f, -400, 20, 0)); /* the Go heap's pages, likewise */
	assert_null(growth_outside(&f, 100, 0.1, 0.1));
	got = growth_outside(&f, 100, 60, 30); /* half of it is new */
	assert_in_range(per_minute_mib(got), 590, 610);
	/* what comes and goes */
	growth_outside(&f, 100, 6, 6);
	f.r.window.memory->outside.resident[5] += 40 << 20;
	findings_deinit(&f.r.findings);
	f.r.findings = (struct findings){ 0 };
	detect_all(&f.r.window, &f.r.findings);
	assert_null(find(&f.r.findings, "memory-growth"));
	tear_down(&f);
}

static void cycles_are_deadlocks(void **state)
{
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	f.member[0] = (struct deadlock_member){ .goid = 7, .lock = 0x10, .at = lines[2] };
	f.member[1] = (struct deadlock_member){ .goid = 9, .lock = 0x20, .at = lines[5] };
	f.r.window.goroutines->deadlocks =
		(struct deadlocks_window){ .known = true,
					   .deadlock = { { 0, 2, 40 }, { 0, 2, 40 } },
					   .ndeadlock = 2,
					   .member = f.member,
					   .nmember = 2 };
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "deadlock");
	assert_ptr_equal(got, &f.r.findings.f[0]);
	assert_int_equal(got->severity, SEVERITY_CRITICAL);
	assert_string_equal(got->id, "deadlock:main.keep:keep.go:50"); /* whoever is found first */
	assert_non_null(strstr(got->title, "38 more wait behind them"));
	assert_non_null(
		strstr(got->evidence[0],
		       "goroutine 7 at main.worker work.go:30 waits for a lock that goroutine 9"));
	assert_int_equal(f.r.findings.n, 2); /* one deadlock, and the memory */
	tear_down(&f);
}

static void cycles_with_channels(void **state)
{
	const struct finding *got;
	struct fixture f;

	(void)state;
	set_up(&f);
	f.member[0] = (struct deadlock_member){ .goid = 7,
						.lock = 0x10,
						.at = lines[2],
						.wait = DEADLOCK_SEND,
						.wakeup = DEADLOCK_UNLOCKS,
						.leaked = true,
						.stuck = true };
	f.member[1] = (struct deadlock_member){ .goid = 9,
						.lock = 0x20,
						.at = lines[5],
						.wait = DEADLOCK_LOCK,
						.wakeup = DEADLOCK_RECEIVES,
						.wakeup_at = lines[2],
						.leaked = true,
						.stuck = true };
	f.r.window.goroutines->deadlocks = (struct deadlocks_window){ .known = true,
								      .deadlock = { { 0, 2, 2 } },
								      .ndeadlock = 1,
								      .member = f.member,
								      .nmember = 2 };
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "deadlock");
	assert_non_null(got);
	assert_non_null(strstr(got->title, "2 goroutines wait for each other, one of them"));
	assert_non_null(
		strstr(got->evidence[0],
		       "to send to a channel that goroutine 9 would receive from at work.go:30"));
	assert_non_null(strstr(got->evidence[1], "for a lock that goroutine 7 holds"));
	assert_non_null(strstr(got->evidence[2], "nobody else who can run"));
	assert_non_null(strstr(got->advice, "channel"));
	tear_down(&f);
	/* one that waits for itself */
	set_up(&f);
	f.member[0] = (struct deadlock_member){ .goid = 7,
						.lock = 0x10,
						.at = lines[2],
						.wait = DEADLOCK_READ_LOCK,
						.wakeup = DEADLOCK_UNLOCKS,
						.wakeup_at = lines[5] };
	f.r.window.goroutines->deadlocks = (struct deadlocks_window){ .known = true,
								      .deadlock = { { 0, 1, 2 } },
								      .ndeadlock = 1,
								      .member = f.member,
								      .nmember = 1 };
	detect_all(&f.r.window, &f.r.findings);
	got = find(&f.r.findings, "deadlock");
	assert_non_null(got);
	assert_string_equal(got->id, "deadlock:main.worker:work.go:30");
	assert_non_null(strstr(got->title, "a goroutine waits for a lock that it holds itself"));
	assert_non_null(strstr(got->title, "; 1 more waits behind it"));
	assert_non_null(strstr(got->evidence[0], "to read under a lock that it holds"));
	assert_non_null(strstr(got->evidence[1], "inferred"));
	tear_down(&f);
}

static void reports_compared(void **state)
{
	struct fixture f;
	struct buf a, out;
	struct err err = { 0 };

	(void)state;
	set_up(&f);
	buf_init(&a, 1 << 20);
	buf_init(&out, 1 << 20);
	save_report(&f.r, &a);
	f.group[0].count = 2000;
	f.heap[0].in_use_bytes = 40 << 20;
	fill_leaks(&f, LEAKS_VERDICT_PROVEN);
	detect_all(&f.r.window, &f.r.findings);
	save_report(&f.r, &f.out);
	assert_int_equal(report_diff(a.data, a.len, f.out.data, f.out.len, 100, &out, &err), 0);
	has(&out, "appeared    high goroutine-leak: 1,204 goroutines");
	has(&out, "grew   1,204  2,000  +796  chan receive at main.inner work.go:57");
	has(&out, "grew  20.0 MiB  40.0 MiB  +20.0 MiB  main.keep keep.go:50");
	assert_int_equal(report_diff(a.data, a.len - 40, f.out.data, f.out.len, 100, &out, &err),
			 -EBADMSG);
	assert_int_equal(report_diff("{}", 2, f.out.data, f.out.len, 100, &out, &err), -EBADMSG);
	assert_int_equal(report_diff("", 0, "", 0, 100, &out, &err), -EBADMSG);
	buf_deinit(&a);
	buf_deinit(&out);
	tear_down(&f);
}

/* A stack is named by its first frame of the program's own, as in the report. */
static void stacks_compared(void **state)
{
#define ONE(COUNT)                                                                            \
	"{\"schema\":\"gospect.report/1\",\"goroutines\":{\"groups\":[{\"reason\":\"sleep\"," \
	"\"count\":" COUNT ",\"stack\":[{\"function\":\"time.Sleep\",\"file\":\"time.go\","   \
	"\"line\":363},{\"function\":\"main.reply\",\"file\":\"main.go\",\"line\":70}]}]}}"
	static const char a[] = ONE("6"), b[] = ONE("60");
	struct err err = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(report_diff(a, strlen(a), b, strlen(b), 100, &out, &err), 0);
	has(&out, "grew       6     60  +54  sleep at main.reply main.go:70");
	buf_deinit(&out);
#undef ONE
}

/* The number from before is in the unit of the title, and not of how long each was watched. */
static void findings_compared(void **state)
{
#define ONE(COUNT, PER_S)                                                                    \
	"{\"schema\":\"gospect.report/1\",\"findings\":[{\"id\":\"alloc:x\",\"kind\":"       \
	"\"large-allocation\",\"severity\":\"low\",\"title\":\"it allocates\",\"numbers\":{" \
	"\"count\":" COUNT ",\"bytes_per_s\":" PER_S "}}]}"
	static const char a[] = ONE("1000", "104857600"), b[] = ONE("200", "209715200");
	struct err err = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(report_diff(a, strlen(a), b, strlen(b), 100, &out, &err), 0);
	has(&out, "grew        low large-allocation: it allocates (was 100.0 MiB/s)");
	buf_deinit(&out);
#undef ONE
}

/* As many in ten times the time are a tenth. */
static void counts_of_windows_are_compared_by_rate(void **state)
{
#define ONE(KIND, SECONDS, NAME, N)                                                              \
	"{\"schema\":\"gospect.report/1\",\"window_s\":" SECONDS ",\"findings\":[{\"id\":\"x\"," \
	"\"kind\":\"" KIND "\",\"severity\":\"low\",\"title\":\"it is so\",\"numbers\":{\"" NAME \
	"\":" N "}}]}"
	static const struct {
		const char *a, *b, *says;
	} of[] = {
		{ ONE("slow-phase", "5", "count", "100"), ONE("slow-phase", "50", "count", "1010"),
		  "still there low slow-phase: it is so" },
		{ ONE("slow-phase", "5", "count", "100"), ONE("slow-phase", "50", "count", "100"),
		  "shrank      low slow-phase: it is so (was 20/s)" },
		{ ONE("failing-phase", "10", "errors", "3"),
		  ONE("failing-phase", "5", "errors", "3"),
		  "grew        low failing-phase: it is so (was 0.3/s)" },
		{ ONE("gc-pressure", "0", "count", "3"), ONE("gc-pressure", "5", "count", "9"),
		  "still there low gc-pressure: it is so" },
		/* a state, and no count of the window */
		{ ONE("goroutine-leak", "5", "count", "100"),
		  ONE("goroutine-leak", "50", "count", "110"),
		  "grew        low goroutine-leak: it is so (was 100)" },
	};
	struct err err = { 0 };
	struct buf out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
		buf_init(&out, 1 << 20);
		assert_int_equal(report_diff(of[i].a, strlen(of[i].a), of[i].b, strlen(of[i].b),
					     100, &out, &err),
				 0);
		has(&out, of[i].says);
		buf_deinit(&out);
	}
#undef ONE
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_of_windows_are_compared_by_rate),
		cmocka_unit_test(text_is_as_users_see_it),
		cmocka_unit_test(goroutines_one_by_one),
		cmocka_unit_test(json_has_it_all),
		cmocka_unit_test(many_groups_are_summed),
		cmocka_unit_test(profiles_decode),
		cmocka_unit_test(html_escapes),
		cmocka_unit_test(html_names_places),
		cmocka_unit_test(flame_adds_up),
		cmocka_unit_test(verdicts_are_findings),
		cmocka_unit_test(no_leak_no_finding),
		cmocka_unit_test(leaks_without_a_place),
		cmocka_unit_test(no_leaked_goroutines),
		cmocka_unit_test(proof_losses_are_of_the_leaks),
		cmocka_unit_test(members_are_marked_as_leaked),
		cmocka_unit_test(memory_that_grows),
		cmocka_unit_test(memory_that_comes_and_goes),
		cmocka_unit_test(memory_outside_the_heap),
		cmocka_unit_test(cycles_are_deadlocks),
		cmocka_unit_test(cycles_with_channels),
		cmocka_unit_test(reports_compared),
		cmocka_unit_test(stacks_compared),
		cmocka_unit_test(findings_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
