/* SPDX-License-Identifier: BSD-2-Clause */
/* What slices say of a window, against made up loads whose truth is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "trace/sample.h"

static uint64_t seed = 1;

static double dice(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (double)(seed >> 40) / (double)(1ull << 24);
}

/* A load: requests a second at a time; how much slower it is in slices; write calls of
 * a request, and of others a second; what it allocates for one; CPU time of one, and how
 * far off the cost of probes is known. */
struct load {
	double rate, wave_s, slower, writes, other_writes, heap, cpu_s, cost_off;
};

static double rate_at(const struct load *l, double s)
{
	bool low = l->wave_s > 0 && fmod(s, l->wave_s) > l->wave_s / 3;

	return low ? 0 : l->wave_s > 0 ? 3 * l->rate : l->rate;
}

/* As many as there are in that time, by chance. */
static double some(double expected)
{
	double n = floor(expected);

	return n + (dice() < expected - n ? 1 : 0);
}

struct run {
	struct sample_window w;
	struct sample_row now, before;
	double at_s, truth;
};

/* Goes on for some milliseconds, in a slice or not. */
static void go_on(struct run *r, const struct load *l, int ms, bool slice)
{
	double c[SAMPLE_BYS] = { 0 }, h = 0;

	for (int i = 0; i < ms; i++, r->at_s += 1e-3) {
		double n = some(rate_at(l, r->at_s) * (slice ? l->slower : 1) / 1e3);

		h += n;
		c[SAMPLE_BY_WRITES] += n * l->writes + some(l->other_writes / 1e3);
	}
	c[SAMPLE_BY_BYTES] = c[SAMPLE_BY_WRITES] * 100;
	c[SAMPLE_BY_TIME] = ms / 1e3;
	c[SAMPLE_BY_HEAP] = h * l->heap;
	c[SAMPLE_BY_CPU] = h * l->cpu_s;
	if (slice && l->slower < 1) {
		c[SAMPLE_COST] = h * l->cpu_s * (1 / l->slower - 1);
		c[SAMPLE_BY_CPU] -= c[SAMPLE_COST] * l->cost_off;
	}
	r->truth += h;
	for (int k = 0; k < SAMPLE_BYS; k++)
		r->w.all[k] += c[k];
	if (!slice)
		return;
	sample_add_slice(&r->w.now, c, true);
	sample_add_row(&r->now, h, c);
}

static void next_window(struct run *r)
{
	double of_before, of_now;

	sample_kept(&r->w, &of_before, &of_now);
	sample_keep_slices(&r->w, of_before, of_now);
	sample_keep_row(&r->before, &r->now, of_before, of_now);
	r->now = (struct sample_row){ 0 };
	r->truth = 0;
}

struct result {
	double mean;    /* of estimates, of the truth */
	double covered; /* windows whose interval has the truth */
	double widest;  /* after the first windows: margin, of the truth */
};

/* 200 windows of 5 s, with slices of 50 ms at random every so often. */
static struct result run(const struct load *l, int pause_ms)
{
	struct run r = { 0 };
	struct result res = { 0 };
	double sum = 0, truth = 0;

	for (int i = 0; i < 200; i++) {
		struct sample_estimate e;
		int left = 5000;

		while (left > 0) {
			int pause = (int)((0.5 + dice()) * pause_ms), slice = 50;

			pause = pause < left ? pause : left;
			go_on(&r, l, pause, false);
			left -= pause;
			slice = slice < left ? slice : left;
			if (slice > 10)
				go_on(&r, l, slice, true);
			else
				go_on(&r, l, slice, false);
			left -= slice;
		}
		e = sample_estimate(&r.w, &r.now, &r.before);
		sum += i > 4 ? e.total : 0;
		truth += i > 4 ? r.truth : 0;
		res.covered += fabs(e.total - r.truth) <= e.margin;
		if (i > 9 && e.margin / r.truth > res.widest)
			res.widest = e.margin / r.truth;
		next_window(&r);
	}
	res.mean = sum / truth;
	res.covered /= 200;
	return res;
}

static void check(const struct load *l, int pause_ms, double widest)
{
	struct result r = run(l, pause_ms);

	assert_true(fabs(r.mean - 1) < 0.02);
	assert_true(r.covered >= 0.9);
	assert_true(r.widest < widest);
}

static void steady_loads(void **state)
{
	(void)state;
	check(&(struct load){ .rate = 400, .slower = 1, .writes = 2 }, 300, 0.1);
	check(&(struct load){ .rate = 20000, .slower = 1, .writes = 2 }, 2000, 0.05);
}

static void waves(void **state)
{
	(void)state;
	for (double s = 0.1; s < 2.1; s += 0.19) {
		check(&(struct load){ .rate = 2000, .wave_s = s, .slower = 1, .writes = 2 }, 700,
		      0.1);
		check(&(struct load){ .rate = 2000, .wave_s = s, .slower = 1, .writes = 2 }, 4000,
		      0.6);
	}
}

/* The probes take a third of its speed. */
static void loops_that_probes_slow_down(void **state)
{
	(void)state;
	check(&(struct load){ .rate = 20000, .slower = 0.67, .writes = 2 }, 2000, 0.05);
}

/* Others write too: as much as the requests do. */
static void other_writes(void **state)
{
	struct load l = { .rate = 1000, .slower = 1, .writes = 2, .other_writes = 2000 };

	(void)state;
	check(&l, 300, 0.2);
}

/* No writes at all: by the time. */
static void no_writes(void **state)
{
	struct load l = { .rate = 2000, .slower = 1 };

	(void)state;
	check(&l, 300, 0.1);
}

/* A database in memory, and a line of log now and then: not by its writes. */
static void few_writes(void **state)
{
	(void)state;
	for (double other = 0.1; other < 30; other *= 3) {
		struct load l = { .rate = 200000, .slower = 1, .heap = 250, .cpu_s = 1e-6 };

		l.other_writes = other;
		check(&l, 300, 0.1);
		check(&l, 1500, 0.3);
		l.slower = 0.2; /* and it has no time to lose */
		check(&l, 300, 0.1);
		check(&l, 1500, 0.3);
		l.heap = 0; /* nothing is allocated for it */
		check(&l, 300, 2.2);
		l.cost_off = 0.1;
		assert_true(run(&l, 300).covered >= 0.9);
		assert_true(run(&l, 1500).covered >= 0.9);
	}
}

/* In waves, too, of which the slices see little. */
static void few_writes_in_waves(void **state)
{
	struct load l = { .rate = 20000, .slower = 1, .other_writes = 0.5, .cpu_s = 1e-5 };

	(void)state;
	for (l.wave_s = 0.1; l.wave_s < 2.1; l.wave_s += 0.19) {
		l.heap = 250;
		check(&l, 700, 0.2);
		l.heap = 0;
		check(&l, 700, 1);
	}
}

/* What has stopped is not carried on by the slices before. */
static void stopped_load(void **state)
{
	struct load on = { .rate = 2000, .slower = 1, .writes = 2 };
	struct load off = { .rate = 0, .slower = 1, .writes = 2, .other_writes = 4000 };
	struct sample_estimate e;
	struct run r = { 0 };

	(void)state;
	for (int i = 0; i < 6; i++) {
		go_on(&r, &on, 800, false);
		go_on(&r, &on, 50, true);
	}
	next_window(&r);
	go_on(&r, &off, 4000, false);
	go_on(&r, &off, 50, true);
	e = sample_estimate(&r.w, &r.now, &r.before);
	assert_true(e.total == 0);
	/* and without a slice it is as it was, the writes say how many */
	next_window(&r);
	r.before = (struct sample_row){ 0 };
	r.w.before = (struct sample_slices){ 0 };
	e = sample_estimate(&r.w, &r.now, &r.before);
	assert_true(e.total == 0 && e.margin == 0);
}

/* On all the time: nothing is estimated. */
static void whole_window(void **state)
{
	struct load l = { .rate = 2000, .slower = 1, .writes = 2 };
	struct sample_estimate e;
	struct run r = { 0 };

	(void)state;
	go_on(&r, &l, 5000, true);
	e = sample_estimate(&r.w, &r.now, &r.before);
	assert_true(e.total == r.truth && e.margin == 0 && e.share == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steady_loads),
		cmocka_unit_test(waves),
		cmocka_unit_test(loops_that_probes_slow_down),
		cmocka_unit_test(other_writes),
		cmocka_unit_test(no_writes),
		cmocka_unit_test(few_writes),
		cmocka_unit_test(few_writes_in_waves),
		cmocka_unit_test(stopped_load),
		cmocka_unit_test(whole_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
