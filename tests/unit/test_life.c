/* SPDX-License-Identifier: BSD-2-Clause */
/* src/agent/life: what opens, gets worse and closes a finding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/life.h"
#include "agent/view_build.h"

#define KEY 7

struct story {
	struct life *l;
	struct identity who;
	uint64_t now_ns;
	const char *kind;
	bool verdict, paused, probed;
};

static const struct place place = { .function = "main.work", .file = "main.go", .line = 12 };

static struct story begin(void)
{
	struct story s = { .l = life_new(), .now_ns = 1, .kind = "goroutine-leak" };

	assert_non_null(s.l);
	strcpy(s.who.service_name, "shop");
	return s;
}

/* A walk in which a finding is there, of that many, or (count 0) is not. */
static void walk(struct story *s, enum severity severity, uint64_t count)
{
	struct findings fs = { 0 };
	struct life_walk w = { .key = KEY,
			       .pid = 42,
			       .who = &s->who,
			       .findings = &fs,
			       .real_ns = s->now_ns++,
			       .verdict = s->verdict,
			       .paused = s->paused,
			       .probed = s->probed };
	struct finding *f;

	if (count) {
		f = findings_add(&fs, s->kind, "leak", severity, &place);
		finding_title(f, "%d of them", (int)count);
		finding_count(f, "count", count);
	}
	life_judge(s->l, &w);
	findings_deinit(&fs);
}

/* What has happened since this was asked last: "o", "w", "c" for each event. */
static void happened(struct story *s, const char *want)
{
	struct view *v = view_new(1, 100, 100);
	char got[32] = "";

	life_take_events(s->l, v);
	for (size_t i = 0; i < v->nevent && i < sizeof(got) - 1; i++) {
		const struct view_finding *f = &v->event[i].finding;

		got[i] = view_event_word[v->event[i].kind][0];
		assert_true(f->worst >= f->finding->severity); /* also of the one that is told */
	}
	assert_string_equal(got, want);
	view_put(v);
}

static void test_opens_and_closes(void **state)
{
	struct story s = begin();

	(void)state;
	walk(&s, SEVERITY_MEDIUM, 5);
	happened(&s, "");
	assert_true(life_is_undecided(s.l, KEY));
	walk(&s, SEVERITY_MEDIUM, 0); /* once is not enough, nor is now and then */
	walk(&s, SEVERITY_MEDIUM, 5);
	happened(&s, "");
	walk(&s, SEVERITY_MEDIUM, 5);
	happened(&s, "o");
	assert_false(life_is_undecided(s.l, KEY));
	walk(&s, SEVERITY_MEDIUM, 0);
	walk(&s, SEVERITY_MEDIUM, 0);
	assert_true(life_is_undecided(s.l, KEY));
	walk(&s, SEVERITY_MEDIUM, 5); /* there again: nothing was said */
	walk(&s, SEVERITY_MEDIUM, 0);
	walk(&s, SEVERITY_MEDIUM, 0);
	happened(&s, "");
	walk(&s, SEVERITY_MEDIUM, 0);
	happened(&s, "c");
	assert_int_equal(life_open_all(s.l), 0);
	/* it came back: that it is over has to be seen for longer */
	walk(&s, SEVERITY_HIGH, 5);
	happened(&s, "o");
	for (int i = 1; i < 2 * LIFE_CLOSES; i++)
		walk(&s, SEVERITY_HIGH, 0);
	happened(&s, "");
	walk(&s, SEVERITY_HIGH, 0);
	happened(&s, "c");
	life_free(s.l);
}

static void test_worsens(void **state)
{
	struct story s = begin();

	(void)state;
	walk(&s, SEVERITY_INFO, 5);
	walk(&s, SEVERITY_INFO, 5);
	happened(&s, ""); /* a remark */
	walk(&s, SEVERITY_MEDIUM, 5);
	walk(&s, SEVERITY_MEDIUM, 9);
	happened(&s, "o");
	walk(&s, SEVERITY_MEDIUM, 17);
	happened(&s, "");
	walk(&s, SEVERITY_MEDIUM, 18); /* twice of what was told */
	happened(&s, "w");
	walk(&s, SEVERITY_HIGH, 18);
	happened(&s, "w");
	walk(&s, SEVERITY_MEDIUM, 18);
	walk(&s, SEVERITY_HIGH, 18); /* it was that severe before */
	happened(&s, "");
	life_end(s.l, KEY + 1, s.now_ns, "ended");
	happened(&s, "");
	life_end(s.l, KEY, s.now_ns, "ended");
	happened(&s, "c");
	life_free(s.l);
}

/* Absence says nothing of a process that stood still, or of what nobody looked for. */
static void absence(const char *kind, bool by_verdict)
{
	struct story s = begin();

	s.kind = kind;
	walk(&s, SEVERITY_HIGH, 5);
	happened(&s, "o");
	s.paused = true;
	for (int i = 0; i < 10; i++)
		walk(&s, SEVERITY_HIGH, 0);
	happened(&s, "");
	assert_false(life_wants_verdict(s.l, KEY));
	s.paused = false;
	s.verdict = true;
	walk(&s, SEVERITY_HIGH, 5);
	s.verdict = false;
	for (int i = 0; i < 10; i++)
		walk(&s, SEVERITY_HIGH, 0);
	happened(&s, by_verdict ? "" : "c");
	assert_int_equal(life_wants_verdict(s.l, KEY), by_verdict);
	s.verdict = true;
	walk(&s, SEVERITY_HIGH, 0);
	happened(&s, by_verdict ? "c" : "");
	life_free(s.l);
}

static void test_absence(void **state)
{
	(void)state;
	absence("goroutine-leak", true);
	absence("deadlock", true);
	absence("transaction-open", false);
}

/* A window with probes, in which one is there or not. */
static void window(struct story *s, enum severity severity, uint64_t count)
{
	s->probed = true;
	walk(s, severity, count);
	s->probed = false;
}

/* What only probes see only they can miss. */
static void test_probed(void **state)
{
	struct story s = begin();
	int probed;

	(void)state;
	s.kind = "large-allocation";
	window(&s, SEVERITY_LOW, 5);
	happened(&s, "o"); /* at once */
	assert_int_equal(life_open(s.l, KEY, &probed), 1);
	assert_int_equal(probed, 1);
	for (int i = 0; i < 30; i++)
		walk(&s, SEVERITY_LOW, 0);
	happened(&s, "");
	assert_false(life_is_undecided(s.l, KEY)); /* no walk decides it */
	assert_false(life_wants_snapshot(s.l, KEY));
	s.paused = true; /* or too short */
	window(&s, SEVERITY_LOW, 0);
	happened(&s, "");
	s.paused = false;
	window(&s, SEVERITY_LOW, 10);
	happened(&s, "w");
	window(&s, SEVERITY_LOW, 0);
	happened(&s, "c");
	assert_int_equal(life_open(s.l, KEY, &probed), 0);
	assert_int_equal(probed, 0);
	/* it came back: seen to be over twice */
	window(&s, SEVERITY_LOW, 5);
	window(&s, SEVERITY_LOW, 0);
	happened(&s, "o");
	window(&s, SEVERITY_LOW, 0);
	happened(&s, "c");
	life_free(s.l);
}

/* Walks and windows each have their own; what both have seen is the windows'. */
static void test_both(void **state)
{
	struct story s = begin();

	(void)state;
	walk(&s, SEVERITY_HIGH, 5);
	happened(&s, "o");
	for (int i = 0; i < 10; i++)
		window(&s, SEVERITY_HIGH, 0); /* not its business */
	happened(&s, "");
	assert_true(life_wants_snapshot(s.l, KEY));
	window(&s, SEVERITY_HIGH, 5);
	for (int i = 0; i < 10; i++)
		walk(&s, SEVERITY_HIGH, 0);
	happened(&s, "");
	window(&s, SEVERITY_HIGH, 0);
	happened(&s, "c");
	/* one that is not probed any more: what walks see stays */
	s.kind = "slow-phase";
	window(&s, SEVERITY_LOW, 5);
	s.kind = "deadlock";
	walk(&s, SEVERITY_HIGH, 5);
	happened(&s, "oo");
	life_unprobed(s.l, KEY + 1, s.now_ns);
	happened(&s, "");
	life_unprobed(s.l, KEY, s.now_ns);
	happened(&s, "c");
	assert_int_equal(life_open_all(s.l), 1);
	life_free(s.l);
}

/* What a view has of a finding lives as long as the view. */
static void test_views(void **state)
{
	struct story s = begin();
	struct view *v;

	(void)state;
	walk(&s, SEVERITY_HIGH, 5);
	v = view_new(1, 2, 1);
	view_add(v);
	life_fill(s.l, KEY, v);
	life_take_events(s.l, v);
	assert_int_equal(v->process[0].nfinding, 1);
	life_free(s.l);
	memset(&s.who, 0xff, sizeof(s.who));
	assert_string_equal(v->process[0].finding[0].finding->place.function, "main.work");
	assert_string_equal(v->process[0].finding[0].finding->title, "5 of them");
	assert_string_equal(v->process[0].finding[0].id, v->event[0].finding.id);
	assert_string_equal(v->event[0].identity->service_name, "shop");
	assert_int_equal(v->event[0].pid, 42);
	view_put(v);
}

/* The same over restarts, another one for another service, kind or place. */
static void test_ids(void **state)
{
	struct identity who = { .service_name = "shop" };
	struct finding f = { .kind = "goroutine-leak", .id = "leak:main.work:main.go:12" };
	char a[LIFE_ID_SIZE], b[LIFE_ID_SIZE];

	(void)state;
	assert_string_equal(life_id(&who, &f, a), "86cca016fb1c1161");
	strcpy(who.service_instance_id, "of no meaning");
	assert_string_equal(life_id(&who, &f, b), a);
	strcpy(f.id, "leak:main.work:main.go:13");
	assert_string_not_equal(life_id(&who, &f, b), a);
	strcpy(f.id, "leak:main.work:main.go:12");
	strcpy(who.service_name, "cart");
	assert_string_not_equal(life_id(&who, &f, b), a);
}

/* The snapshot that the first event, and the finding itself, have. */
static void has_snapshot(struct story *s, const char *of_event, const char *of_finding)
{
	struct view *v = view_new(1, 100, 100);

	view_add(v);
	life_fill(s->l, KEY, v);
	life_take_events(s->l, v);
	if (of_event)
		assert_string_equal(v->event[0].finding.snapshot, of_event);
	assert_string_equal(v->process[0].finding[0].snapshot, of_finding);
	view_put(v);
}

static void test_snapshots(void **state)
{
	struct story s = begin();

	(void)state;
	walk(&s, SEVERITY_MEDIUM, 5);
	walk(&s, SEVERITY_MEDIUM, 5);
	assert_false(life_wants_snapshot(s.l, KEY)); /* open, but not severe */
	has_snapshot(&s, "", "");
	walk(&s, SEVERITY_HIGH, 5);
	assert_true(life_wants_snapshot(s.l, KEY));
	assert_false(life_wants_snapshot(s.l, KEY + 1));
	life_keep(s.l, KEY + 1, "of another");
	assert_true(life_wants_snapshot(s.l, KEY));
	life_keep(s.l, KEY, "first");
	assert_false(life_wants_snapshot(s.l, KEY));
	has_snapshot(&s, "first", "first"); /* also what was told before it was kept */
	life_keep(s.l, KEY, "second");
	has_snapshot(&s, NULL, "first");
	walk(&s, SEVERITY_HIGH, 0);
	assert_false(life_wants_snapshot(s.l, KEY)); /* nothing to be seen now */
	life_free(s.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshots), cmocka_unit_test(test_opens_and_closes),
		cmocka_unit_test(test_worsens),   cmocka_unit_test(test_absence),
		cmocka_unit_test(test_views),     cmocka_unit_test(test_ids),
		cmocka_unit_test(test_probed),    cmocka_unit_test(test_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
