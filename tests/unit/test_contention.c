/* SPDX-License-Identifier: BSD-2-Clause */
/* Waits for locks in a live process (tests/progs/netparts), in each release. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "go_live.h"
#include "locks/contention.h"
#include "trace/trace.h"
#include "observe/window.h"

#define PATIENCE_NS 60000000000ull

struct contended {
	struct go_live p;
	struct gostacks stacks;
	struct contention *c;
	struct window w;
};

static void look_once(struct contended *l)
{
	uint32_t *stack = calloc(l->p.walk.n + 1, sizeof(*stack));
	struct losses lost = { 0 };
	struct look look = { .rt = &l->p.rt,
			     .walk = &l->p.walk,
			     .stacks = &l->stacks,
			     .losses = &lost,
			     .now_ns = clock_mono_ns() };

	assert_int_equal(gostacks_read(&l->stacks, &l->p.rt, &l->p.walk, stack), 0);
	look.stack_of = stack;
	assert_int_equal(contention_look(l->c, &look), 0);
	assert_int_equal(lost.n[LOSS_LOCK_ROOM], 0);
	free(stack);
	window_deinit(&l->w);
	assert_int_equal(window_init(&l->w), 0);
	assert_int_equal(contention_fill(l->c, l->w.locks), 0);
	assert_true(l->w.locks->known);
}

static struct lock_wait_row *row_at(struct contended *l, const char *function)
{
	for (int i = 0; i < l->w.locks->nrow; i++)
		if (!strcmp(l->w.locks->row[i].place.function, function))
			return &l->w.locks->row[i];
	return NULL;
}

static uint64_t waiters_at(struct contended *l, const char *function)
{
	struct lock_wait_row *row = row_at(l, function);

	return row ? row->waiters : 0;
}

static void look_until_all_wait(struct contended *l)
{
	uint64_t end = clock_mono_ns() + PATIENCE_NS;

	do {
		assert_int_equal(goruntime_walk(&l->p.rt, &l->p.walk, NULL), 0);
		look_once(l);
	} while ((waiters_at(l, "main.lockMutex") != 4 ||
		  waiters_at(l, "main.lockForReading") != 2 ||
		  waiters_at(l, "main.lockForWriting") != 1 ||
		  waiters_at(l, "main.lockBehindReader") != 1) &&
		 clock_mono_ns() < end);
}

static void check_row(struct contended *l, const char *function, const char *kind, const char *lock,
		      uint64_t waiters)
{
	struct lock_wait_row *row = row_at(l, function);

	assert_non_null(row);
	assert_string_equal(row->kind, kind);
	assert_int_equal(row->lock, go_live_u64(&l->p, lock));
	assert_int_equal(row->waiters, waiters);
	assert_string_equal(row->place.file, "main.go");
	assert_false(row->other);
}

static void test_waits(void **state)
{
	struct contended l = { 0 };
	double longest;
	uint64_t from;

	go_live_start(&l.p, *state);
	assert_int_equal(gostacks_init(&l.stacks), 0);
	assert_int_equal(contention_new(&l.c, &l.p.rt), 0);
	look_until_all_wait(&l);
	assert_int_equal(l.w.locks->nrow, 4);
	assert_string_equal(l.w.locks->row[0].place.function, "main.lockMutex");
	check_row(&l, "main.lockMutex", "sync.Mutex", "mu", 4);
	check_row(&l, "main.lockForReading", "sync.RWMutex", "rw", 2);
	check_row(&l, "main.lockForWriting", "sync.RWMutex", "rw", 1); /* for the Mutex in it */
	check_row(&l, "main.lockBehindReader", "sync.RWMutex", "readers", 1);

	longest = row_at(&l, "main.lockMutex")->longest_s;
	from = clock_mono_ns();
	while (clock_mono_ns() < from + 100000000)
		look_once(&l);
	look_once(&l);
	assert_int_equal(row_at(&l, "main.lockMutex")->age, AGE_AT_LEAST);
	assert_true(row_at(&l, "main.lockMutex")->longest_s >= longest + 0.1);
	assert_int_equal(row_at(&l, "main.lockMutex")->waiters_before, 4);

	window_deinit(&l.w);
	contention_free(l.c);
	gostacks_deinit(&l.stacks);
	go_live_stop(&l.p);
}

static void test_counted_waits(void **state)
{
	static struct trace_call before[1], after[3];
	struct trace_reading base = { .call = before, .ncall = 1 },
			     now = { .call = after, .ncall = 3, .requests_sliced = true };
	struct locks_window w = { 0 };

	(void)state;
	before[0].kind = after[0].kind = after[2].kind = CALL_LOCK;
	before[0].hist.count = before[0].hist.bucket[10] = 5;
	after[0].hist.count = after[0].hist.bucket[10] = 8;
	after[2].hist.count = after[2].hist.bucket[200] = 1;
	after[0].hist.max_ns = after[2].hist.max_ns = trace_hist_value(201);
	after[2].max_ns_window = 77;
	after[1].kind = CALL_HTTP;
	after[1].hist.count = after[1].hist.bucket[10] = 1000;
	after[1].max_ns_window = 1000;
	after[0].sample = (struct trace_sample){ true, 6, 1.5, 0.5 };
	after[1].sample = (struct trace_sample){ true, 600, 10, 0.5 };
	after[2].sample = (struct trace_sample){ true, 2, 0.5, 0.5 };
	contention_fill_waits(&base, &now, 0.5, &w);
	assert_true(w.waits_known);
	assert_int_equal(w.waits, 8);
	assert_int_equal(w.margin, 2);
	assert_int_equal(w.exactness, SAMPLED);
	assert_int_equal(w.max_ns, 77);
	assert_true(w.p99_ns > w.p50_ns);
	now.requests_sliced = false;
	contention_fill_waits(NULL, &now, 1, &w);
	assert_int_equal(w.waits, 9);
	assert_int_equal(w.exactness, EXACT);
	contention_fill_waits(&base, &now, 0, &w);
	assert_false(w.waits_known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counted_waits),
#define RELEASE(minor, release) \
	{ "waits " release, test_waits, NULL, NULL, "netparts-" release "-stripped" },
#include "gobin/releases.def"
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
