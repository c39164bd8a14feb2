/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings on contended locks, beside their twins that must give none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "detect_net.h"
#include "net_window.h"

static void contended_locks(void **state)
{
	const struct finding *f;
	struct lock_wait_row *r;
	struct fixture x;

	(void)state;
	set_up(&x);
	r = add_lock(&x.w, 30, 28, 4.2);
	r->holder = 12;
	strcpy(r->holder_does, "sleeps");
	r->holder_at = PLACE("main.(*Cache).fill", "cache.go", 90);
	f = only(&x, "lock-contention", SEVERITY_INFO);
	assert_string_equal(
		f->title,
		"30 goroutines wait at main.(*Cache).Get (cache.go:71) for one lock: sync.Mutex");
	assert_true(number(f, "waiters") == 30 && number(f, "longest_wait_s") == 4.2 &&
		    number(f, "locks") == 1);
	expect_says(f, "goroutine 12 holds it (inferred) and sleeps, at "
		       "main.(*Cache).fill (cache.go:90)");
	add_lock(&x.w, 2, 0, 9); /* another lock at the same place: one finding */
	f = only(&x, "lock-contention", SEVERITY_INFO);
	assert_true(number(f, "waiters") == 32 && number(f, "locks") == 2 &&
		    number(f, "longest_wait_s") == 9);
	tear_down(&x);
	set_up(&x); /* always some of them */
	add_lock(&x.w, 5, 5, 0)->age = AGE_UNKNOWN;
	only(&x, "lock-contention", SEVERITY_INFO);
	x.w.locks->waits_known = true;
	x.w.locks->waits = 40000;
	x.w.locks->p50_ns = 50000; /* but none for long: a busy lock */
	nothing(&x);
	set_up(&x);
	add_lock(&x.w, 5, 5, 0.4); /* the short waits are for other locks */
	x.w.locks->waits_known = true;
	x.w.locks->waits = 40000;
	x.w.locks->p50_ns = 50000;
	only(&x, "lock-contention", SEVERITY_INFO);
	tear_down(&x);
}

/* Who has the lock waits for another one, and so on: it is the last of them that matters. */
static void a_chain_of_holders(void **state)
{
	const struct finding *f;
	struct lock_wait_row *r;
	struct fixture x;

	(void)state;
	set_up(&x);
	for (uint64_t i = 0; i < 3; i++) {
		r = add_lock(&x.w, i ? 1 : 2, 1, 9);
		r->holder = 10 + i;
		r->holders = 1;
		strcpy(r->holder_does, i < 2 ? "waits for a lock itself" : "sleeps");
		r->holder_wants = i < 2 ? r->lock + 1 : 0;
		r->holder_at = PLACE("main.(*Cache).fill", "cache.go", 90 + (int)i);
	}
	f = only(&x, "lock-contention", SEVERITY_INFO); /* one waiter behind it is no other one */
	expect_says(f, "goroutine 10 holds it (inferred) and waits behind 12, which sleeps, at "
		       "main.(*Cache).fill (cache.go:92)");
	assert_null(strstr(f->advice, "deadlock"));
	r->holder_wants = r->lock - 2; /* they go round */
	detect(&x);
	assert_int_equal(x.fs.n, 1); /* all wait at one place */
	expect_says(&x.fs.f[0], "and waits for a lock itself, at main.(*Cache).fill (cache.go:90)");
	assert_non_null(strstr(x.fs.f[0].advice, "perhaps a deadlock"));
	r->holder_wants = 0x1234; /* of that lock nothing is known */
	detect(&x);
	assert_non_null(strstr(x.fs.f[0].advice, "perhaps a deadlock"));
	tear_down(&x);
}

static void locks_that_are_reported_elsewhere_or_are_well(void **state)
{
	struct deadlock_member m[2] = { 0 };
	struct leak_row leak = { .at = AT_LOCK, .count = 30 };
	struct fixture x;

	(void)state;
	set_up(&x);
	add_lock(&x.w, 1, 1, 50);
	add_lock(&x.w, 4, 4, 0.9);
	add_lock(&x.w, 30, 0, 0.01);
	add_lock(&x.w, 90, 90, 9)->other = true;
	nothing(&x);
	set_up(&x);
	m[0].lock = add_lock(&x.w, 30, 30, 9)->lock;
	x.w.goroutines->deadlocks.member = m;
	x.w.goroutines->deadlocks.nmember = 2;
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	x.w.goroutines->deadlocks.member = NULL;
	x.w.goroutines->deadlocks.nmember = 0;
	x.w.goroutines->leaks =
		(struct leaks_window){ .verdict = LEAKS_VERDICT_PASSES, .row = &leak, .nrow = 1 };
	detect(&x);
	assert_int_equal(x.fs.n, 0);
	x.w.goroutines->leaks = (struct leaks_window){ 0 };
	only(&x, "lock-contention", SEVERITY_INFO);
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contended_locks),
		cmocka_unit_test(a_chain_of_holders),
		cmocka_unit_test(locks_that_are_reported_elsewhere_or_are_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
