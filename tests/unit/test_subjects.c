/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop over subjects with subjects made up: what is refused, what fails,
 * what is lost, and what a window says of it; coverage and losses by themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/parts.h"
#include "observe/window.h"

/* A subject that does as it is bid, and says what was asked of it. */
struct puppet {
	int open, look, fill; /* results */
	enum loss loses;
	uint64_t lost;
	char log[200];
};

static struct puppet first, second;

static void say(struct puppet *p, const char *word)
{
	snprintf(p->log + strlen(p->log), sizeof(p->log) - strlen(p->log), "%s ", word);
}

static int open_puppet(struct puppet *p, void **self, char *why)
{
	say(p, "open");
	if (p->open == -EOPNOTSUPP)
		snprintf(why, WINDOW_MAX_WHY, "it is not in this program");
	*self = p;
	return p->open;
}

static int open_first(void **self, const struct look *l, char *why)
{
	(void)l;
	return open_puppet(&first, self, why);
}

static int open_second(void **self, const struct look *l, char *why)
{
	(void)l;
	return open_puppet(&second, self, why);
}

static void close_puppet(void *self)
{
	say(self, "close");
}

static void count(void *self, struct look *l, const struct trace_reading *r)
{
	(void)l;
	say(self, r ? "count-all" : "count");
}

static int look_puppet(void *self, struct look *l)
{
	struct puppet *p = self;

	say(p, "look");
	lose(l->losses, p->loses, p->lost);
	return p->look;
}

static void begin_window(void *self, const struct look *l, bool follows)
{
	(void)l;
	say(self, follows ? "next" : "begin");
}

static int fill(void *self, struct look *l, struct window *w)
{
	struct puppet *p = self;

	(void)l;
	(void)w;
	say(p, "fill");
	return p->fill;
}

static void cover(void *self, const struct look *l, struct window *w)
{
	(void)l;
	(void)w;
	say(self, "cover");
}

static const struct subject one = {
	.name = "one",
	.sensors = SENSOR_BIT(SENSOR_GOROUTINES),
	.needs = NEEDS_WALK,
	.open = open_first,
	.close = close_puppet,
	.count = count,
	.look = look_puppet,
	.begin_window = begin_window,
	.fill = fill,
	.cover = cover,
};

/* It has what a subject must have, and a look. */
static const struct subject two = {
	.name = "two",
	.sensors = SENSOR_BIT(SENSOR_SQL),
	.needs = NEEDS_WALK,
	.open = open_second,
	.close = close_puppet,
	.look = look_puppet,
	.fill = fill,
};

static const struct subject *const both[] = { &one, &two, NULL };

struct stage {
	struct goruntime rt;
	struct gowalk walk;
	struct losses losses;
	struct look look;
	struct parts parts;
	struct window w;
};

static void stage_begin(struct stage *s)
{
	memset(s, 0, sizeof(*s));
	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	s->look = (struct look){ .rt = &s->rt,
				 .walk = &s->walk,
				 .losses = &s->losses,
				 .sensors = SENSOR_ALL & ~SENSOR_BIT(SENSOR_LOCKS) };
}

static const struct coverage *covered(struct stage *s, enum sensor sensor)
{
	const struct coverage *c = window_coverage(&s->w, sensor);

	assert_non_null(c);
	return c;
}

static void stage_end(struct stage *s)
{
	window_deinit(&s->w);
	parts_close(&s->parts);
}

/* Opened, one look, its window. */
static void run(struct stage *s)
{
	assert_int_equal(parts_open(&s->parts, both, &s->look), 0);
	assert_int_equal(parts_look(&s->parts, &s->look, true), 0);
	assert_int_equal(window_init(&s->w), 0);
	parts_fill(&s->parts, &s->look, &s->w);
	losses_report(&s->losses, &s->w);
}

static void each_is_asked_in_order(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	assert_int_equal(parts_open(&s.parts, both, &s.look), 0);
	assert_int_equal(s.parts.needs, NEEDS_WALK);
	assert_ptr_equal(parts_self(&s.parts, &one), &first);
	parts_count(&s.parts, &s.look, NULL);
	parts_count(&s.parts, &s.look, (const struct trace_reading *)&s);
	assert_int_equal(parts_look(&s.parts, &s.look, true), 0);
	parts_begin_window(&s.parts, &s.look, false);
	assert_int_equal(window_init(&s.w), 0);
	parts_fill(&s.parts, &s.look, &s.w);
	parts_begin_window(&s.parts, &s.look, true);
	stage_end(&s);
	assert_string_equal(first.log, "open count count-all look begin fill cover next close ");
	assert_string_equal(second.log, "open look fill close ");
}

static void rows_of_all_sensors_in_their_order(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	run(&s);
	assert_int_equal(s.w.ncoverage, SENSOR_COUNT);
	for (int i = 0; i < SENSOR_COUNT; i++)
		assert_int_equal(s.w.coverage[i].sensor, i);
	assert_int_equal(covered(&s, SENSOR_GOROUTINES)->state, EXACT);
	assert_string_equal(covered(&s, SENSOR_GOROUTINES)->why, "");
	assert_int_equal(covered(&s, SENSOR_LOCKS)->state, OFF);
	assert_string_equal(covered(&s, SENSOR_LOCKS)->why, "not asked for (--only)");
	assert_int_equal(covered(&s, SENSOR_NET)->state, OFF);
	assert_string_equal(covered(&s, SENSOR_NET)->why, "not implemented yet");
	stage_end(&s);
}

static void refused_is_off_with_its_reason(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	first.open = -EOPNOTSUPP;
	run(&s);
	assert_null(parts_self(&s.parts, &one));
	assert_int_equal(covered(&s, SENSOR_GOROUTINES)->state, OFF);
	assert_string_equal(covered(&s, SENSOR_GOROUTINES)->why, "it is not in this program");
	assert_int_equal(covered(&s, SENSOR_SQL)->state, EXACT);
	stage_end(&s);
	assert_string_equal(first.log, "open ");
	assert_string_equal(second.log, "open look fill close ");
}

static void what_it_needs_cannot_be_had(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	snprintf(s.rt.why_off[FACT_GOROUTINES], sizeof(s.rt.why_off[0]), "the list is damaged");
	run(&s);
	assert_int_equal(covered(&s, SENSOR_GOROUTINES)->state, OFF);
	assert_string_equal(covered(&s, SENSOR_GOROUTINES)->why, "the list is damaged");
	assert_int_equal(s.parts.needs, NEEDS_TOTALS);
	stage_end(&s);
	assert_string_equal(first.log, "");
}

/* Of a program without anything to walk for. */
static void totals_need_no_look(void **state)
{
	static const struct subject counts = {
		.name = "counts",
		.sensors = SENSOR_BIT(SENSOR_GC),
		.needs = NEEDS_TOTALS,
		.open = open_first,
		.close = close_puppet,
		.fill = fill,
	};
	static const struct subject *const only[] = { &counts, NULL };
	struct stage s;

	(void)state;
	stage_begin(&s);
	assert_int_equal(parts_open(&s.parts, only, &s.look), 0);
	assert_int_equal(s.parts.needs, NEEDS_TOTALS);
	assert_int_equal(window_init(&s.w), 0);
	parts_fill(&s.parts, &s.look, &s.w);
	assert_int_equal(covered(&s, SENSOR_GC)->state, EXACT);
	stage_end(&s);
	assert_string_equal(first.log, "open fill close ");
}

static void no_memory_to_open_ends_it(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	second.open = -ENOMEM;
	assert_int_equal(parts_open(&s.parts, both, &s.look), -ENOMEM);
	stage_end(&s);
	assert_string_equal(first.log, "open close ");
	assert_string_equal(second.log, "open ");
}

static void a_look_that_fails_concerns_one(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	first.look = -EFAULT;
	run(&s);
	assert_int_equal(covered(&s, SENSOR_GOROUTINES)->state, OFF);
	assert_int_equal(covered(&s, SENSOR_SQL)->state, EXACT);
	assert_int_equal(s.w.lost_read_failures, 1);
	window_deinit(&s.w);

	/* The next one comes to its end: the window has a hole still. */
	first.look = 0;
	assert_int_equal(parts_look(&s.parts, &s.look, true), 0);
	assert_int_equal(window_init(&s.w), 0);
	parts_fill(&s.parts, &s.look, &s.w);
	assert_int_equal(covered(&s, SENSOR_GOROUTINES)->state, PARTIAL);
	window_deinit(&s.w);

	parts_begin_window(&s.parts, &s.look, true);
	assert_int_equal(window_init(&s.w), 0);
	parts_fill(&s.parts, &s.look, &s.w);
	assert_int_equal(covered(&s, SENSOR_GOROUTINES)->state, EXACT);
	stage_end(&s);
}

static void the_process_ends_in_a_look(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	first.look = -ESRCH;
	assert_int_equal(parts_open(&s.parts, both, &s.look), 0);
	assert_int_equal(parts_look(&s.parts, &s.look, true), -ESRCH);
	stage_end(&s);
	assert_string_equal(second.log, "open close "); /* nobody else looks */
}

static void no_memory_to_fill_is_a_loss(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	first.fill = -ENOMEM;
	run(&s);
	assert_int_equal(covered(&s, SENSOR_GOROUTINES)->state, OFF);
	assert_string_equal(covered(&s, SENSOR_GOROUTINES)->why, "no memory for its tables");
	assert_int_equal(s.w.lost_read_failures, 1);
	assert_false(s.look.gone);
	stage_end(&s);
	assert_null(strstr(first.log, "cover"));
}

static void the_process_ends_in_a_fill(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	first.fill = -ESRCH;
	run(&s);
	assert_true(s.look.gone);
	assert_int_equal(covered(&s, SENSOR_GOROUTINES)->state, OFF);
	assert_int_equal(s.w.lost_read_failures, 0);
	stage_end(&s);
}

static void a_loss_is_never_exact(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s);
	second.loses = LOSS_SQL_UNREAD;
	second.lost = 3;
	run(&s);
	assert_int_equal(covered(&s, SENSOR_SQL)->state, PARTIAL);
	assert_string_equal(covered(&s, SENSOR_SQL)->why,
			    "missing: database pools that could not be read (3)");
	assert_int_equal(covered(&s, SENSOR_GOROUTINES)->state, EXACT);
	assert_int_equal(s.w.lost_read_failures, 3);
	assert_int_equal(s.w.lost_events + s.w.lost_map_full, 0);
	stage_end(&s);
}

static void counts_with_a_loss_are_partial(void **state)
{
	struct losses lost = { 0 };
	struct look l = { .losses = &lost };

	(void)state;
	assert_int_equal(look_exactness(&l, SENSOR_ALLOC, false), EXACT);
	lose(&lost, LOSS_SQL_UNREAD, 1); /* of memory, and of another sensor */
	assert_int_equal(look_exactness(&l, SENSOR_ALLOC, false), EXACT);
	assert_int_equal(look_exactness(&l, SENSOR_ALLOC, true), SAMPLED);
	lose(&lost, LOSS_ALLOC_ROOM, 1); /* counted, without their place */
	assert_int_equal(look_exactness(&l, SENSOR_ALLOC, false), EXACT);
	lose(&lost, LOSS_ALLOC_ROWS, 1);
	assert_int_equal(look_exactness(&l, SENSOR_ALLOC, false), PARTIAL);
	assert_int_equal(look_exactness(&l, SENSOR_NET, false), EXACT);
	assert_string_equal(exactness_word[PARTIAL], "partial");
}

/* People know what is not seen, not the probes; the same is said once. */
static void probes_that_are_missing(void **state)
{
	struct plan plan = { .n = 3 };
	struct stage s;

	(void)state;
	stage_begin(&s);
	plan.probe[0] = (struct probe){ .id = PROBE_TLS_BEGIN,
					.sensor = SENSOR_NET,
					.useless = true,
					.why = "useless without tls-end" };
	plan.probe[1] = (struct probe){ .id = PROBE_TLS_END,
					.sensor = SENSOR_NET,
					.why = "the kernel refused the probe" };
	plan.probe[2] = (struct probe){ .id = PROBE_TLS_NAME,
					.sensor = SENSOR_NET,
					.why = "the kernel refused the probe" };
	s.look.plan = &plan;
	s.look.trace = (struct trace *)&s; /* not looked into */
	window_cover(&s.w, SENSOR_NET, EXACT, "");
	look_cover_probes(&s.look, SENSOR_NET, "", &s.w);
	assert_int_equal(covered(&s, SENSOR_NET)->state, PARTIAL);
	assert_string_equal(covered(&s, SENSOR_NET)->why,
			    "not all TLS handshakes are seen: the kernel refused the probe");
}

/* Each line of the table reaches a member of the report, and a sensor or none. */
static void every_loss_is_reported(void **state)
{
	(void)state;
	for (int id = 0; id < LOSS_COUNT; id++) {
		struct losses l = { 0 };
		struct window w = { 0 };
		int partial = 0;

		for (int s = 0; s < SENSOR_COUNT; s++)
			window_cover(&w, (enum sensor)s, EXACT, "");
		lose(&l, (enum loss)id, 7);
		losses_report(&l, &w);
		assert_int_equal(w.lost_events + w.lost_map_full + w.lost_read_failures, 7);
		for (int s = 0; s < SENSOR_COUNT; s++)
			partial += w.coverage[s].state == PARTIAL;
		assert_int_equal(partial > 0,
				 id != LOSS_BIRTHS && id != LOSS_SUBJECTS && id != LOSS_PROOF);
	}
}

static void the_worst_counts_and_each_reason_stays(void **state)
{
	struct window w = { 0 };
	const struct coverage *c = window_cover(&w, SENSOR_NET, EXACT, "");

	(void)state;
	window_cover_add(&w, SENSOR_NET, PARTIAL, "%d pools unread", 2);
	window_cover_add(&w, SENSOR_NET, SAMPLED, "budget");
	window_cover_add(&w, SENSOR_NET, SAMPLED, "budget"); /* said already */
	assert_int_equal(w.ncoverage, 1);
	assert_int_equal(c->state, PARTIAL);
	assert_string_equal(c->why, "2 pools unread; budget");
	for (int i = 0; i < 100; i++)
		window_cover_add(&w, SENSOR_NET, SAMPLED, "reason number %d", i);
	assert_true(strlen(c->why) < sizeof(c->why));
	assert_true(strlen(c->why) > sizeof(c->why) - 30);
	assert_non_null(strstr(c->why, "; reason number 9;")); /* whole ones only */
}

static void coverage_has_an_end(void **state)
{
	struct {
		struct window w;
		uint64_t behind[64];
	} x = { 0 };
	const int beyond = WINDOW_MAX_COVERAGE + 5;

	(void)state;
	for (int i = 0; i < beyond; i++)
		assert_non_null(window_cover_named(&x.w, i < WINDOW_MAX_COVERAGE ? "row" : "beyond",
						   OFF, ""));
	assert_int_equal(x.w.ncoverage, WINDOW_MAX_COVERAGE);
	assert_string_equal(x.w.coverage[WINDOW_MAX_COVERAGE - 1].name, "row");
	assert_int_equal(x.w.lost_events + x.w.lost_map_full + x.w.lost_read_failures, 0);
	assert_null(x.w.goroutines);
}

/* A window is one owned value: moved, never shared. */
static void a_window_moves(void **state)
{
	struct window from, to;

	(void)state;
	assert_int_equal(window_init(&from), 0);
	from.goroutines->site = calloc(1, sizeof(*from.goroutines->site));
	from.goroutines->site[0].wait = calloc(1, sizeof(*from.goroutines->site[0].wait));
	from.goroutines->nsite = from.goroutines->site[0].nwait = 1;
	from.memory->alloc = calloc(1, sizeof(*from.memory->alloc));
	from.locks->row = calloc(1, sizeof(*from.locks->row));
	to = from;
	from = (struct window){ 0 };
	window_deinit(&from); /* nothing is left in it */
	assert_int_equal(to.goroutines->nsite, 1);
	window_deinit(&to);
	assert_null(to.goroutines);
	window_deinit(&to);
}

static void keys_of_places(void **state)
{
	char same[] = "main.run";
	struct place a = { .function = "main.run", .file = "run.go", .line = 7 }, b = a,
		     none = { 0 };
	struct place_key ka = place_key(&a), kb;

	(void)state;
	b.function = same;
	kb = place_key(&b);
	assert_true(place_equal(&a, &b));
	assert_false(place_is(&a, &b));
	assert_memory_equal(&ka, &kb, sizeof(ka));
	b.line = 8;
	kb = place_key(&b);
	assert_false(place_equal(&a, &b));
	assert_memory_not_equal(&ka, &kb, sizeof(ka));
	kb = place_key(&none);
	assert_memory_not_equal(&ka, &kb, sizeof(ka));
	assert_false(place_equal(&none, &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_asked_in_order),
		cmocka_unit_test(rows_of_all_sensors_in_their_order),
		cmocka_unit_test(refused_is_off_with_its_reason),
		cmocka_unit_test(what_it_needs_cannot_be_had),
		cmocka_unit_test(totals_need_no_look),
		cmocka_unit_test(no_memory_to_open_ends_it),
		cmocka_unit_test(a_look_that_fails_concerns_one),
		cmocka_unit_test(the_process_ends_in_a_look),
		cmocka_unit_test(no_memory_to_fill_is_a_loss),
		cmocka_unit_test(the_process_ends_in_a_fill),
		cmocka_unit_test(a_loss_is_never_exact),
		cmocka_unit_test(counts_with_a_loss_are_partial),
		cmocka_unit_test(probes_that_are_missing),
		cmocka_unit_test(every_loss_is_reported),
		cmocka_unit_test(the_worst_counts_and_each_reason_stays),
		cmocka_unit_test(coverage_has_an_end),
		cmocka_unit_test(a_window_moves),
		cmocka_unit_test(keys_of_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
