/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every reader on recorded memory of which something cannot be read.  That is
 * missing and said to be: whatever a reader still claims is what it claims when
 * nothing is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "faults.h"
#include "faulty.h"
#include "recorded.h"

static void one_piece_fails(void **state)
{
	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct sound s;

		sound_open(&s, recordings[each]);
		for (size_t i = 0; i < NREADERS; i++) {
			struct faulty f;
			uint64_t all, step;

			faulty_init(&f, s.r.mem, 1);
			assert_int_equal(with(&s, &readers[i], &f), 0);
			all = f.pieces;
			assert_true(all > 0);
			step = all / MAX_POSITIONS + 1;
			for (uint64_t at = 1; at <= all; at += step) {
				faulty_init(&f, s.r.mem, at);
				f.fail_at = at;
				with(&s, &readers[i], &f);
				assert_int_equal(f.faults, 1);
			}
		}
		sound_close(&s);
	}
}

/* The pages of a recording, ascending; owned by the caller, 0 at the end. */
static uint64_t *pages_of(const struct recorded *r)
{
	uint64_t *page = calloc(r->memory_len / 4096 + 2, sizeof(*page));
	size_t n = 0;

	assert_non_null(page);
	for (size_t at = 8; at < r->memory_len;) {
		uint64_t addr = load_u64(r->memory + at);
		uint32_t len = load_u32(r->memory + at + 8);

		for (uint32_t i = 0; i < len; i += 4096)
			page[n++] = addr + i;
		at += 12 + len;
	}
	return page;
}

/* Unlike above, reading again does not help. */
static void one_page_is_missing(void **state)
{
	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct sound s;
		uint64_t *page, hit = 0, passed = 0;

		sound_open(&s, recordings[each]);
		page = pages_of(&s.r);
		for (size_t k = 0; page[k]; k++)
			for (size_t i = 0; i < NREADERS; i++) {
				struct faulty f;

				faulty_init(&f, s.r.mem, 1);
				f.missing_page = page[k];
				if (!with(&s, &readers[i], &f) && f.faults)
					passed++;
				hit += f.faults != 0;
			}
		assert_true(passed > 0 && hit > passed); /* some things do without, some do not */
		free(page);
		sound_close(&s);
	}
}

static void a_part_of_all_pieces_fails(void **state)
{
	static const uint64_t per_mille[] = { 3, 30, 300, 1000 };

	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct sound s;

		sound_open(&s, recordings[each]);
		for (size_t i = 0; i < NREADERS; i++)
			for (uint64_t seed = 1; seed <= 12; seed++) {
				struct faulty f;

				faulty_init(&f, s.r.mem, seed);
				f.fail_per_mille = per_mille[seed % 4];
				with(&s, &readers[i], &f);
				assert_true(f.fail_per_mille < 1000 || f.faults > 0);
			}
		sound_close(&s);
	}
}

/* From some call on there is no process any more: that is said, or nothing more was wanted. */
static void process_ends_meanwhile(void **state)
{
	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct sound s;

		sound_open(&s, recordings[each]);
		for (size_t i = 0; i < NREADERS; i++) {
			struct faulty f;
			uint64_t all, step;

			faulty_init(&f, s.r.mem, 1);
			with(&s, &readers[i], &f);
			all = f.calls;
			step = all / 60 + 1;
			for (uint64_t at = 1; at <= all; at += step) {
				int code;

				faulty_init(&f, s.r.mem, at);
				f.gone_at_call = at;
				code = with(&s, &readers[i], &f);
				assert_true(f.faults > 0);
				if (code != -ESRCH && (readers[i].ends == ALWAYS ||
						       (readers[i].ends == AT_FIRST && at == 1)))
					fail_msg("%s: call %lu of %lu: returned %d",
						 readers[i].name, at, all, code);
			}
		}
		sound_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_piece_fails),
		cmocka_unit_test(one_page_is_missing),
		cmocka_unit_test(a_part_of_all_pieces_fails),
		cmocka_unit_test(process_ends_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
