/* SPDX-License-Identifier: BSD-2-Clause */
/* The order in which words are watched, played through without any. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/vec.h"
#include "race/sweep.h"

enum { WORDS = 463, SECOND = 1000, NEVER = 0 };

struct play {
	struct race_word word[WORDS];
	struct race_words l;
	struct sweep s;
	uint32_t every_ms[WORDS]; /* a store; NEVER */
	uint64_t now_ms;
	uint64_t watched_ms[WORDS], reads_ms[WORDS];
	uint64_t first_reads_ms[WORDS]; /* when; 0: not yet */
};

static void play_init(struct play *p, size_t n)
{
	memset(p, 0, sizeof(*p));
	p->l = (struct race_words){ .w = p->word, .n = n };
	assert_int_equal(sweep_init(&p->s, &p->l), 0);
}

static bool holds(const struct sweep_slice *s, size_t word)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->word[i] == word)
			return true;
	return false;
}

/* What would be seen of it: stores at multiples of its period. */
static void see(struct play *p, const struct sweep_slice *slice, struct sweep_seen *seen)
{
	for (size_t i = 0; i < slice->n; i++) {
		uint32_t every = p->every_ms[slice->word[i]];

		seen[i] = (struct sweep_seen){ .hits = 0 };
		if (every)
			seen[i].hits =
				(uint32_t)((p->now_ms + slice->ms) / every - p->now_ms / every);
		seen[i].stored = seen[i].hits;
	}
}

static void account(struct play *p, const struct sweep_slice *slice)
{
	assert_in_range(slice->n, 1, SWEEP_SLOTS);
	assert_in_range(slice->ms, 1, 300);
	for (size_t i = 0; i < slice->n; i++) {
		size_t w = slice->word[i];

		assert_true(w < p->l.n);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(slice->word[k], w);
		p->watched_ms[w] += slice->ms;
		if (!slice->reads)
			continue;
		p->reads_ms[w] += slice->ms;
		if (!p->first_reads_ms[w])
			p->first_reads_ms[w] = p->now_ms + 1;
	}
}

/* One slice as it goes: false at the end. */
static bool step(struct play *p, struct sweep_slice *slice)
{
	struct sweep_seen seen[SWEEP_SLOTS];

	if (!sweep_next(&p->s, slice))
		return false;
	account(p, slice);
	see(p, slice, seen);
	sweep_saw(&p->s, slice, seen);
	p->now_ms += slice->ms;
	return true;
}

static void play_for(struct play *p, uint64_t ms)
{
	struct sweep_slice slice;
	uint64_t end = p->now_ms + ms;

	while (p->now_ms < end)
		assert_true(step(p, &slice));
}

static void test_nothing(void **state)
{
	struct sweep_slice slice;
	struct play p;

	(void)state;
	play_init(&p, 0);
	assert_false(sweep_next(&p.s, &slice));
	sweep_deinit(&p.s);
}

/* Nobody stores: nothing but stores is watched, of each word as long. */
static void test_silence(void **state)
{
	struct play p;

	(void)state;
	play_init(&p, WORDS);
	play_for(&p, 60 * SECOND);
	assert_int_equal(p.s.swept, WORDS);
	assert_int_equal(p.s.stored, 0);
	assert_int_equal(p.s.reads_ms, 0);
	assert_int_equal(p.s.rounds, 3);
	for (size_t i = 0; i < WORDS; i++)
		assert_in_range(p.watched_ms[i], 3 * 150, 4 * 150);
	sweep_deinit(&p.s);
}

/* As many words as Caddy has, ten of them stored to: all swept in a minute, these watched for
 * reads soon after they were reached, and alike. */
static void test_all_in_a_minute(void **state)
{
	struct play p;

	(void)state;
	play_init(&p, WORDS);
	for (size_t i = 0; i < WORDS; i += 46)
		p.every_ms[i] = 50;
	play_for(&p, 60 * SECOND);
	assert_int_equal(p.s.swept, WORDS);
	assert_true(p.s.rounds >= 1);
	assert_int_equal(p.s.stored, 11);
	for (size_t i = 0; i < WORDS; i++) {
		if (!p.every_ms[i]) {
			assert_int_equal(p.reads_ms[i], 0);
			continue;
		}
		assert_in_range(p.reads_ms[i], 3 * SECOND, 60 * SECOND);
		/* its place in the round, which reads make twice as long, and a second */
		assert_in_range(p.first_reads_ms[i], 1, i * 2 * 20 * SECOND / WORDS + SECOND);
	}
	sweep_deinit(&p.s);
}

/* A hot word comes at once; few words are all watched all the time. */
static void test_few(void **state)
{
	struct play p;

	(void)state;
	play_init(&p, 3);
	p.every_ms[1] = 1;
	play_for(&p, 20 * SECOND);
	assert_in_range(p.first_reads_ms[1], 1, SECOND);
	assert_in_range(p.reads_ms[1], 12 * SECOND, 20 * SECOND);
	assert_true(p.watched_ms[0] >= 4 * SECOND && p.watched_ms[2] >= 4 * SECOND);
	sweep_deinit(&p.s);
}

/* Reads that the budget makes pause get no more of the time: all are swept in a minute. */
static void test_pauses(void **state)
{
	struct sweep_slice slice;
	struct play p;

	(void)state;
	play_init(&p, WORDS);
	for (size_t i = 0; i < WORDS; i += 46)
		p.every_ms[i] = 1;
	while (!p.s.rounds) {
		assert_true(step(&p, &slice));
		if (!slice.reads)
			continue;
		sweep_paused(&p.s, &slice, 2 * SECOND);
		p.now_ms += 2 * SECOND;
	}
	assert_true(p.now_ms < 60 * SECOND);
	sweep_deinit(&p.s);
}

/* While memory shows a word change, it need not be seen stored to. */
static void test_changed(void **state)
{
	struct sweep_slice slice;
	struct play p;

	(void)state;
	play_init(&p, WORDS);
	p.word[400].changed = true;
	play_for(&p, SECOND);
	assert_true(p.reads_ms[400]);
	p.word[300].changed = true;
	do
		assert_true(step(&p, &slice));
	while (!slice.reads);
	assert_true(holds(&slice, 300));
	sweep_deinit(&p.s);
}

/* A word that was stored to once, at the start, does not take time for ever. */
static void test_quiet_again(void **state)
{
	uint64_t before;
	struct play p;

	(void)state;
	play_init(&p, 8);
	p.every_ms[5] = 20;
	play_for(&p, 5 * SECOND);
	assert_true(p.reads_ms[5]);
	p.every_ms[5] = NEVER;
	play_for(&p, 20 * SECOND);
	before = p.reads_ms[5];
	play_for(&p, 20 * SECOND);
	assert_int_equal(p.reads_ms[5], before);
	p.every_ms[5] = 20;
	play_for(&p, 5 * SECOND);
	assert_true(p.reads_ms[5] > before);
	assert_int_equal(p.s.stored, 1);
	sweep_deinit(&p.s);
}

/* Proven, and the runtime's: never again, and with nothing else left it ends. */
static void test_ended(void **state)
{
	struct sweep_seen seen[SWEEP_SLOTS] = { { .stored = true }, { .owned = true } };
	struct sweep_slice slice;
	struct play p;

	(void)state;
	play_init(&p, 2);
	assert_true(sweep_next(&p.s, &slice));
	assert_true(slice.n == 2 && !slice.reads);
	sweep_saw(&p.s, &slice, seen);
	for (int i = 0; i < 5; i++) {
		assert_true(sweep_next(&p.s, &slice));
		assert_true(slice.reads && slice.n == 1 && slice.word[0] == 0);
		sweep_saw(&p.s, &slice, &(struct sweep_seen){ .hits = 9, .stored = true });
	}
	assert_true(sweep_next(&p.s, &slice));
	sweep_saw(&p.s, &slice, &(struct sweep_seen){ .proven = true });
	assert_false(sweep_next(&p.s, &slice));
	sweep_deinit(&p.s);
}

/* What is nil now is tried again, and is not among the swept. */
static void test_gone(void **state)
{
	struct sweep_seen seen[SWEEP_SLOTS] = { { .gone = true } };
	struct sweep_slice slice;
	struct play p;

	(void)state;
	play_init(&p, 2);
	assert_true(sweep_next(&p.s, &slice));
	sweep_saw(&p.s, &slice, seen);
	assert_int_equal(p.s.swept, 1);
	assert_true(sweep_next(&p.s, &slice));
	assert_true(holds(&slice, 0));
	sweep_saw(&p.s, &slice, (struct sweep_seen[SWEEP_SLOTS]){ { .hits = 0 } });
	assert_int_equal(p.s.swept, 2);
	assert_int_equal(p.s.rounds, 2);
	sweep_deinit(&p.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_all_in_a_minute),
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_quiet_again),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
