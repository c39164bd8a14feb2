/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The history of sites, on walks written by hand over a real executable: who
 * is stuck, who has run, who left, how old they are.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "goroutines/fill.h"
#include "goroutines/sites.h"
#include "gort/goruntime_priv.h"
#include "trace/trace.h"
#include "observe/window.h"
#include "releases.h"

static struct gobin *gb;
static struct goruntime rt;
static uint64_t pc_receive, pc_send, start_receive, start_system;
static uint8_t chan_receive, io_wait;

static uint64_t entry_of(const char *name)
{
	struct gofunc f;

	if (pclntab_find_name(gb->pcln, name, &f))
		fail_msg("no function %s", name);
	return f.entry;
}

static uint8_t reason_of(const char *words)
{
	unsigned int i;

	for (i = 0; i < (unsigned int)gb->layout->n_wait_reason; i++)
		if (!strcmp(layout_wait_reason(gb->layout, i), words))
			return (uint8_t)i;
	fail_msg("no wait reason '%s'", words);
	return 0;
}

static int open_binary(void **state)
{
	char path[512];

	(void)state;
	if (!program_path(path, sizeof(path), "work-usual-stripped") ||
	    gobin_open(&gb, path, NULL)) {
		gb = NULL;
		return 0;
	}
	rt.gb = gb;
	rt.cache = calloc(1, sizeof(*rt.cache));
	u64map_init(&rt.cache->system, 1000);
	/* Somewhere inside of two functions stands for the return address of their go statement. */
	pc_receive = entry_of("main.parkReceive") + 32;
	pc_send = entry_of("main.parkSend") + 32;
	start_receive = entry_of("main.waitReceive");
	start_system = entry_of("runtime.bgsweep");
	chan_receive = reason_of("chan receive");
	io_wait = reason_of("IO wait");
	return 0;
}

static int close_binary(void **state)
{
	(void)state;
	if (rt.cache)
		u64map_deinit(&rt.cache->system);
	free(rt.cache);
	gobin_free(gb);
	return 0;
}

/* A walk of up to 64 goroutines. */
struct made {
	struct goroutine g[64];
	struct gowalk w;
};

static void walk_begin(struct made *m, uint64_t mono_ns)
{
	memset(m, 0, sizeof(*m));
	m->w.g = m->g;
	m->w.mono_ns = mono_ns;
}

static struct goroutine *add(struct made *m, uint64_t goid, uint64_t gopc, uint8_t seq,
			     uint8_t reason)
{
	struct goroutine *g = &m->g[m->w.n++];

	*g = (struct goroutine){ .addr = 0x1000 * goid,
				 .goid = goid,
				 .gopc = gopc,
				 .startpc = start_receive,
				 .tracking_seq = seq,
				 .status = reason ? GO_WAITING : GO_RUNNING,
				 .wait_reason = reason };
	m->w.user++;
	return g;
}

#define NEED_BINARY()           \
	do {                    \
		if (!gb)        \
			skip(); \
	} while (0)
#define T0 (1000 * NS_PER_S)

static void stuck_and_left(void **state)
{
	struct site_track *t;
	struct sites s;
	struct made m;

	(void)state;
	NEED_BINARY();
	assert_int_equal(sites_init(&s, &rt), 0);
	walk_begin(&m, T0);
	add(&m, 1, pc_receive, 5, chan_receive);
	add(&m, 2, pc_receive, 5, chan_receive);
	add(&m, 3, pc_receive, 5, chan_receive);
	assert_int_equal(sites_look(&s, &m.w, NULL, true), 0);
	t = sites_of(&s, pc_receive, start_receive);
	assert_int_equal(t->live, 3);
	assert_int_equal(t->stuck, 0); /* nobody was there before */

	walk_begin(&m, T0 + NS_PER_S);
	add(&m, 1, pc_receive, 5, chan_receive); /* not run: stuck */
	add(&m, 2, pc_receive, 6, chan_receive); /* ran, and waits again */
	add(&m, 3, pc_receive, 5, chan_receive); /* stuck */
	add(&m, 4, pc_receive, 1, chan_receive); /* new */
	assert_int_equal(sites_look(&s, &m.w, NULL, true), 0);
	t = sites_of(&s, pc_receive, start_receive);
	assert_int_equal(t->live, 4);
	assert_int_equal(t->stuck, 2);
	assert_int_equal(t->ran, 1);
	assert_int_equal(t->stuck_left, 0);

	walk_begin(&m, T0 + 2 * NS_PER_S);
	add(&m, 1, pc_receive, 5, chan_receive); /* still stuck; 3 is gone */
	add(&m, 2, pc_receive, 6, chan_receive); /* stuck now */
	add(&m, 4, pc_receive, 2, 0);            /* runs */
	assert_int_equal(sites_look(&s, &m.w, NULL, true), 0);
	t = sites_of(&s, pc_receive, start_receive);
	assert_int_equal(t->stuck, 2);
	assert_int_equal(t->stuck_left, 1);
	assert_int_equal(t->npoint, 3);
	assert_true(t->point[2].t_s == 2.0);
	assert_int_equal(t->point[2].stuck_left, 1);
	sites_deinit(&s);
}

static void window_stuck(void **state)
{
	struct sites s;
	struct made m;
	int i;

	(void)state;
	NEED_BINARY();
	assert_int_equal(sites_init(&s, &rt), 0);
	walk_begin(&m, T0);
	add(&m, 1, pc_receive, 1, chan_receive);
	add(&m, 2, pc_receive, 1, chan_receive);
	add(&m, 3, pc_receive, 1, io_wait);
	sites_look(&s, &m.w, NULL, true);
	sites_begin_window(&s, false);
	for (i = 1; i <= 3; i++) {
		walk_begin(&m, T0 + (uint64_t)i * NS_PER_S);
		add(&m, 1, pc_receive, 1, chan_receive);
		add(&m, 2, pc_receive, i == 2 ? 2 : 1, chan_receive); /* runs once */
		add(&m, 3, pc_receive, 1, io_wait);                   /* not blocked on a channel */
		add(&m, 9, pc_receive, 1, chan_receive);              /* came later */
		sites_look(&s, &m.w, NULL, true);
	}
	assert_int_equal(sites_of(&s, pc_receive, start_receive)->stuck_window, 1);
	sites_deinit(&s);
}

/* A look that is not recorded changes the present, not the history. */
static void unrecorded(void **state)
{
	struct site_track *t;
	struct sites s;
	struct made m;

	(void)state;
	NEED_BINARY();
	assert_int_equal(sites_init(&s, &rt), 0);
	walk_begin(&m, T0);
	add(&m, 1, pc_receive, 1, chan_receive);
	sites_look(&s, &m.w, NULL, true);
	walk_begin(&m, T0 + NS_PER_MS);
	add(&m, 1, pc_receive, 1, chan_receive);
	add(&m, 2, pc_receive, 1, chan_receive);
	sites_look(&s, &m.w, NULL, false);
	t = sites_of(&s, pc_receive, start_receive);
	assert_int_equal(t->live, 2);
	assert_int_equal(t->npoint, 1);
	assert_int_equal(t->stuck, 0);
	sites_deinit(&s);
}

static void ages(void **state)
{
	struct site_track *t;
	struct sites s;
	struct made m;

	(void)state;
	NEED_BINARY();
	assert_int_equal(sites_init(&s, &rt), 0);
	walk_begin(&m, T0);
	add(&m, 1, pc_receive, 1, chan_receive);
	sites_look(&s, &m.w, NULL, true);
	t = sites_of(&s, pc_receive, start_receive);
	assert_int_equal(t->oldest.ns, T0); /* it lives since this look at least */
	assert_int_equal(t->oldest.kind, AGE_AT_LEAST);

	walk_begin(&m, T0 + 5 * NS_PER_S);
	add(&m, 1, pc_receive, 1, chan_receive)->parked_ns = T0 - 100 * NS_PER_S;
	sites_look(&s, &m.w, NULL, true);
	t = sites_of(&s, pc_receive, start_receive);
	assert_int_equal(t->oldest.ns, T0 - 100 * NS_PER_S); /* a collection says: parked since */
	assert_int_equal(t->oldest.kind, AGE_AT_LEAST);
	sites_deinit(&s);
}

static void system_is_left_out(void **state)
{
	struct sites s;
	struct made m;

	(void)state;
	NEED_BINARY();
	assert_int_equal(sites_init(&s, &rt), 0);
	walk_begin(&m, T0);
	add(&m, 1, pc_receive, 1, chan_receive);
	add(&m, 2, pc_send, 1, chan_receive)->startpc = start_system;
	m.g[1].system = true;
	sites_look(&s, &m.w, NULL, true);
	assert_int_equal(sites_of(&s, pc_send, start_receive)->live, 0);
	assert_true(sites_of(&s, pc_send, start_system)->system);
	assert_false(sites_of(&s, pc_receive, start_receive)->system);
	sites_deinit(&s);
}

/* Several pcs of one line are one site; another line is another. */
static void one_statement_one_site(void **state)
{
	struct goframe a, b;
	struct sites s;
	uint64_t pc;

	(void)state;
	NEED_BINARY();
	assert_int_equal(sites_init(&s, &rt), 0);
	assert_int_equal(gobin_go_place(gb, pc_receive, &a), 0);
	for (pc = pc_receive + 1; pc < pc_receive + 16; pc++)
		if (!gobin_go_place(gb, pc, &b) && b.line == a.line)
			assert_ptr_equal(sites_of(&s, pc, start_receive),
					 sites_of(&s, pc_receive, start_receive));
	assert_ptr_equal(sites_of(&s, pc_receive, entry_of("main.waitSend")),
			 sites_of(&s, pc_receive, start_receive));
	assert_true(sites_of(&s, pc_send, start_receive) !=
		    sites_of(&s, pc_receive, start_receive));
	sites_deinit(&s);
}

static void history_is_bounded(void **state)
{
	uint64_t left = 0;
	struct site_track *t;
	struct sites s;
	struct made m;
	int i, n = 1000;

	(void)state;
	NEED_BINARY();
	assert_int_equal(sites_init(&s, &rt), 0);
	for (i = 0; i < n; i++) {
		walk_begin(&m, T0 + (uint64_t)i * NS_PER_S);
		/* at every second look one that was stuck is gone, replaced by another */
		add(&m, 100 + (uint64_t)(i / 4), pc_receive, 1, chan_receive);
		sites_look(&s, &m.w, NULL, true);
	}
	t = sites_of(&s, pc_receive, start_receive);
	assert_in_range(t->npoint, 2, WINDOW_MAX_POINTS);
	assert_true(t->point[0].t_s == 0);
	assert_true(t->point[t->npoint - 1].t_s == n - 1);
	for (i = 0; i < t->npoint; i++) {
		left += t->point[i].stuck_left;
		assert_true(i == 0 || t->point[i].t_s > t->point[i - 1].t_s);
	}
	assert_int_equal(left, n / 4 - 1); /* thinning loses no flow */
	sites_deinit(&s);
}

static void rows_add_up(void **state)
{
	struct trace_site counted[] = { { 0 }, { 0 } };
	struct trace_reading r = { .site = counted, .nsite = 2 };
	struct window w;
	uint64_t sum = 0, waits;
	struct sites s;
	struct made m;
	int i, j;

	(void)state;
	NEED_BINARY();
	assert_int_equal(window_init(&w), 0);
	assert_int_equal(sites_init(&s, &rt), 0);
	walk_begin(&m, T0);
	sites_look(&s, &m.w, NULL, true);
	sites_begin_window(&s, false);
	counted[0] = (struct trace_site){ pc_receive, start_receive, 10 };
	counted[1] = (struct trace_site){ pc_send, start_receive, 7 };
	sites_count(&s, &r);
	walk_begin(&m, T0 + NS_PER_S);
	for (i = 0; i < 3; i++)
		add(&m, (uint64_t)(10 + i), pc_receive, 1, chan_receive);
	add(&m, 20, pc_receive, 1, 0);
	sites_look(&s, &m.w, NULL, true);
	assert_int_equal(rows_fill(&s, &m.w, 1, true, false, &w), 0);
	assert_int_equal(w.goroutines->nsite, 2);
	assert_int_equal(w.goroutines->site[0].live, 4);
	assert_int_equal(w.goroutines->site[0].births, 10);
	assert_int_equal(w.goroutines->site[0].deaths, 6);
	assert_string_equal(w.goroutines->site[0].wait[0].reason, "chan receive");
	assert_int_equal(w.goroutines->site[0].wait[0].klass, WAIT_BLOCKED);
	assert_int_equal(w.goroutines->site[1].births, 7);
	assert_int_equal(w.goroutines->site[1].deaths, 7);
	for (i = 0; i < w.goroutines->nstate; i++)
		sum += w.goroutines->state[i].count;
	assert_int_equal(sum, 4);
	for (i = 0; i < w.goroutines->nsite; i++) {
		for (j = 0, waits = 0; j < w.goroutines->site[i].nwait; j++)
			waits += w.goroutines->site[i].wait[j].count;
		assert_int_equal(waits, w.goroutines->site[i].live);
	}
	window_deinit(&w);

	/* Sampled a quarter: births are scaled, deaths follow from births and live. */
	assert_int_equal(window_init(&w), 0);
	assert_int_equal(rows_fill(&s, &m.w, 4, true, false, &w), 0);
	assert_int_equal(w.goroutines->site[0].births, 40);
	assert_int_equal(w.goroutines->site[0].deaths, 36);
	assert_int_equal(w.goroutines->site[1].births, 28);
	assert_int_equal(w.goroutines->site[1].deaths, 28);
	window_deinit(&w);

	/* Ended: births went on after the look; that these have ended nobody saw. */
	assert_int_equal(window_init(&w), 0);
	counted[0].births = 15;
	sites_count(&s, &r);
	assert_int_equal(rows_fill(&s, &m.w, 1, true, true, &w), 0);
	assert_int_equal(w.goroutines->site[0].live, 4);
	assert_int_equal(w.goroutines->site[0].births, 15);
	assert_int_equal(w.goroutines->site[0].deaths, 6);
	assert_int_equal(w.goroutines->site[0].wait[0].nstack, 0);
	window_deinit(&w);
	sites_deinit(&s);
}

/* A program made up: two sites, of which one only leaks. */
struct program {
	uint64_t alive[2][24]; /* goids; 0: a free place */
	uint64_t births[2], deaths[2], next_goid;
	uint32_t random;
};

static void live_on(struct program *p, int events)
{
	while (events-- > 0) {
		uint64_t *g;
		int k;

		p->random = p->random * 1664525 + 1013904223;
		k = p->random >> 30 == 0; /* the one that leaks: a quarter, while there is room */
		g = &p->alive[k][p->random >> 16 & 15];
		if (k)
			g = &p->alive[1][p->births[1] < 24 ? p->births[1] : 0];
		if (k && *g)
			continue;
		if (*g) {
			*g = 0;
			p->deaths[k]++;
		} else {
			*g = ++p->next_goid;
			p->births[k]++;
		}
	}
}

static void count_program(struct sites *s, const struct program *p)
{
	struct trace_site counted[] = { { pc_receive, start_receive, p->births[0] },
					{ pc_send, start_receive, p->births[1] } };
	struct trace_reading r = { .site = counted, .nsite = 2 };

	sites_count(s, &r);
}

static void walk_program(struct sites *s, const struct program *p, uint64_t mono_ns)
{
	struct made m;
	int k, i;

	walk_begin(&m, mono_ns);
	for (k = 0; k < 2; k++)
		for (i = 0; i < 24; i++)
			if (p->alive[k][i])
				add(&m, p->alive[k][i], k ? pc_send : pc_receive, 1, chan_receive);
	sites_look(s, &m.w, NULL, true);
}

/*
 * Births are counted and goroutines are looked at while they come and go: what
 * is said of every window adds up, no end is claimed before it was, none of a
 * leak at all, and once it is quiet the sums are the truth.
 */
static void ends_follow_from_births(void **state)
{
	uint64_t births[2] = { 0 }, deaths[2] = { 0 }, b, d;
	struct program p = { .random = 4 };
	struct site_track *t;
	struct sites s;
	int i, k;

	(void)state;
	NEED_BINARY();
	assert_int_equal(sites_init(&s, &rt), 0);
	walk_program(&s, &p, T0);
	count_program(&s, &p);
	sites_begin_window(&s, false);
	for (i = 1; i <= 60; i++) {
		bool quiet = i % 20 == 0;

		live_on(&p, 10);
		count_program(&s, &p);
		live_on(&p, quiet ? 0 : 5);
		walk_program(&s, &p, T0 + (uint64_t)i * NS_PER_S);
		for (k = 0; k < 2; k++) {
			t = sites_of(&s, k ? pc_send : pc_receive, start_receive);
			site_flow(t, 1, &b, &d);
			assert_int_equal(t->live_base + b - d, t->live);
			births[k] += b;
			deaths[k] += d;
			assert_true(births[k] <= p.births[k]);
			assert_true(deaths[k] <= p.deaths[k]);
			if (quiet) {
				assert_int_equal(births[k], p.births[k]);
				assert_int_equal(deaths[k], p.deaths[k]);
			}
		}
		sites_begin_window(&s, true);
	}
	assert_true(p.births[1] == 24 && p.deaths[0] > 100);
	sites_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stuck_and_left),
		cmocka_unit_test(window_stuck),
		cmocka_unit_test(unrecorded),
		cmocka_unit_test(ages),
		cmocka_unit_test(system_is_left_out),
		cmocka_unit_test(one_statement_one_site),
		cmocka_unit_test(history_is_bounded),
		cmocka_unit_test(rows_add_up),
		cmocka_unit_test(ends_follow_from_births),
	};

	return cmocka_run_group_tests(tests, open_binary, close_binary);
}
