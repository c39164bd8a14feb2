/* SPDX-License-Identifier: BSD-2-Clause */
/* Every reader on recorded memory that is damaged: it ends, and its results are bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "faults.h"
#include "faulty.h"
#include "prove/prove.h"
#include "recorded.h"
#include "gort/golabels.h"
#include "gort/golocks.h"
#include "gort/gostacks.h"
#include "gort/heapprof.h"

/* All readers, whatever comes of it. */
static void read_all(struct recorded *r, struct faulty *f)
{
	struct goruntime rt;
	struct gowalk w = { 0 };
	struct gostacks stacks = { 0 };
	struct golabels labels = { 0 };
	struct golocks locks = { 0 };
	struct heapprof heap;
	struct gototals totals;
	struct prove_result leaks;
	struct goframe frame[64];
	uint32_t *of;
	char why[200];

	if (goruntime_init(&rt, r->gb, &f->base, 0, 0, NULL))
		return;
	goruntime_totals(&rt, &totals);
	if (!goruntime_walk(&rt, &w, NULL)) {
		assert_true(w.n + w.failures < 1u << 24);
		of = calloc(w.n + 1, sizeof(*of));
		assert_non_null(of);
		assert_int_equal(gostacks_init(&stacks), 0);
		assert_int_equal(golabels_init(&labels), 0);
		gostacks_read(&stacks, &rt, &w, of);
		assert_true(stacks.n <= w.n && stacks.npc <= w.n * GOSTACKS_DEPTH);
		for (size_t i = 0; i < stacks.n; i++)
			assert_true(goruntime_frames(&rt, stacks.pc + stacks.stack[i].first,
						     (int)stacks.stack[i].n, frame, 64) <= 64);
		golabels_read(&labels, &rt, &w, of);
		assert_true(labels.nset <= w.n + 1);
		golocks_read(&locks, &rt, &w, 0);
		assert_true(locks.n <= w.n);
		free(of);
	}
	heapprof_read(&heap, &rt, why, sizeof(why));
	assert_true(heap.n <= HEAPPROF_MAX_BUCKETS);
	prove_run(&(struct prove_config){ .rt = &rt, .passes = 1, .max_bytes = MAX_COPY }, &leaks,
		  NULL);
	assert_true(leaks.n <= leaks.candidates);
	assert_true(f->pieces < 4 * MAX_PIECES);
	prove_result_deinit(&leaks);
	heapprof_deinit(&heap);
	golocks_deinit(&locks);
	golabels_deinit(&labels);
	gostacks_deinit(&stacks);
	gowalk_deinit(&w);
	goruntime_deinit(&rt);
}

/* One word is something else in one of the reads: memory that changes, or is damaged. */
static void one_word_is_wrong(void **state)
{
	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct recorded r;
		struct faulty f;
		uint64_t all, random = 88172645463325252ull;

		recorded_open(&r, recordings[each]);
		faulty_init(&f, r.mem, 1);
		read_all(&r, &f);
		all = f.pieces;
		for (int round = 0; round < 400; round++) {
			faulty_init(&f, r.mem, (uint64_t)round + 1);
			f.spoil_at = 1 + next_random(&random) % all;
			read_all(&r, &f);
		}
		recorded_close(&r);
	}
}

/* Words all over the recording, or of it, are something else. */
static void damage(uint8_t *bytes, size_t len, size_t from, int words, uint64_t *random)
{
	for (int i = 0; i < words; i++) {
		size_t at = from + next_random(random) % (len - from - 8);
		uint64_t v = next_random(random) % 3 ? next_random(random)
						     : next_random(random) % 3 * UINT64_MAX;

		memcpy(bytes + at, &v, 1 + next_random(random) % 8);
	}
}

/* The recording with some of its records shorter than they were. */
static size_t shorten(const uint8_t *in, size_t len, uint8_t *out, uint64_t *random)
{
	size_t at = 8, n = 8;

	memcpy(out, in, 8);
	while (at < len) {
		uint32_t have, keep;

		memcpy(&have, in + at + 8, 4);
		keep = next_random(random) % 4 ? have : 1 + (uint32_t)(next_random(random) % have);
		memcpy(out + n, in + at, 8);
		memcpy(out + n + 8, &keep, 4);
		memcpy(out + n + 12, in + at + 12, keep);
		n += 12 + keep;
		at += 12 + have;
	}
	return n;
}

static void read_damaged_memory(struct recorded *r, const uint8_t *bytes, size_t len)
{
	struct recorded now = *r;
	struct faulty f;
	char path[64];
	int fd = file_of(bytes, len, path, sizeof(path));

	if (!mem_open_file(&now.mem, path, NULL)) {
		faulty_init(&f, now.mem, 1);
		read_all(&now, &f);
		mem_free(now.mem);
	}
	close(fd);
}

static void recording_is_damaged(void **state)
{
	uint64_t random = 362436069362436069ull;

	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct recorded r;
		uint8_t *copy;

		recorded_open(&r, recordings[each]);
		copy = malloc(r.memory_len);
		assert_non_null(copy);
		for (int round = 0; round < 60; round++) {
			memcpy(copy, r.memory, r.memory_len);
			damage(copy, r.memory_len, 8, 1 << round % 12, &random);
			read_damaged_memory(&r, copy, r.memory_len);
			read_damaged_memory(&r, copy,
					    shorten(r.memory, r.memory_len, copy, &random));
		}
		free(copy);
		recorded_close(&r);
	}
}

static void executable_is_damaged(void **state)
{
	uint64_t random = 521288629521288629ull;

	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct recorded r, now;
		uint8_t *copy;
		int opened = 0;

		recorded_open(&r, recordings[each]);
		copy = malloc(r.exe_len);
		assert_non_null(copy);
		now = r;
		for (int round = 0; round < 40; round++) {
			struct faulty f;
			char path[64];
			int fd;

			memcpy(copy, r.exe, r.exe_len);
			damage(copy, r.exe_len, 4096, 1 << round % 10, &random);
			fd = file_of(copy, r.exe_len, path, sizeof(path));
			if (!gobin_open_fd(&now.gb, fd, NULL)) {
				opened++;
				faulty_init(&f, r.mem, 1);
				read_all(&now, &f);
				gobin_free(now.gb);
			}
			close(fd);
		}
		assert_true(opened > 0);
		free(copy);
		recorded_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_word_is_wrong),
		cmocka_unit_test(recording_is_damaged),
		cmocka_unit_test(executable_is_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
