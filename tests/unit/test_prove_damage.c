/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaks judged in memory that is damaged, unreadable, or of a release that is not known. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gobin/gobin.h"
#include "prove/prove.h"
#include "prove/heap.h"
#include "prove_world.h"

/* ---- damage ---- */

static void sudog_of_somebody_else(void **state)
{
	struct world w;
	uint64_t g;

	(void)state;
	world_open(&w, "usual");
	g = add_receiver(&w, new_chan(&w), 0);
	put_field(&w, w.sudog_span, LAYOUT_SUDOG_G, w.g[0], 8);
	EXPECT_NONE(&w);
	put_field(&w, w.sudog_span, LAYOUT_SUDOG_G, g, 8);
	put_field(&w, w.sudog_span, LAYOUT_SUDOG_WAITLINK, w.sudog_span, 8); /* a circle */
	EXPECT_NONE(&w);
	put_field(&w, g, LAYOUT_G_WAITING, UINT64_MAX - 7, 8);
	EXPECT_NONE(&w);
	put_field(&w, g, LAYOUT_G_WAITING, w.sudog_span + 8, 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

static void impossible_lists(void **state)
{
	struct world w;
	uint64_t at;

	(void)state;
	world_open(&w, "usual");
	add_receiver(&w, new_chan(&w), 0);
	publish(&w);
	at = w.gb->global[GLOBAL_MHEAP] + (uint64_t)off(&w, LAYOUT_MHEAP_ALLSPANS);
	put(&w, at + 8, 1ull << 62, 8);
	put(&w, at + 16, 1ull << 62, 8);
	{
		struct prove_result r;

		assert_int_equal(prove_run(&w.cfg, &r, NULL), 0);
		assert_int_equal(r.verdict, LEAKS_OFF);
		assert_non_null(strstr(r.why, "impossible length"));
		prove_result_deinit(&r);
		publish(&w);
		put_global(&w, GLOBAL_ALLGLEN, 1ull << 62);
		assert_int_equal(prove_run(&w.cfg, &r, NULL), 0);
		assert_int_equal(r.verdict, LEAKS_OFF);
		prove_result_deinit(&r);
	}
	world_close(&w);
}

static void goroutine_outside_the_heap(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "usual");
	add_receiver(&w, new_chan(&w), 0);
	w.g[w.ng++] = OTHER + 0x500000;
	put(&w, OTHER + 0x500000, 0, 8);
	put(&w, OTHER + 0x500000 + 4096, 0, 8);
	expect_off(&w, "");
	world_close(&w);
}

static void unreadable_memory_reaches_everything(void **state)
{
	struct world w;
	uint64_t big;

	(void)state;
	world_open(&w, "usual");
	big = add_span(&w, 16 * PAGE, 16 * PAGE, false);
	add_receiver(&w, new_chan(&w), 0);
	w.hole = big + 8 * PAGE;
	EXPECT(&w, 2); /* nothing leads there */
	put(&w, w.gb->mod.data, big, 8);
	expect_off(&w, "cannot be read");
	w.hole_reads = 12; /* a stack that is given back: another pass does not meet it */
	EXPECT(&w, 2);
	world_close(&w);
}

/* The second page of the last span becomes a span of its own, which keeps the only reference. */
static void split_last_span(struct world *w)
{
	uint64_t top = w->heap_top, half = top - PAGE;

	w->heap_top = half;
	assert_int_equal(add_span(w, PAGE, 48, false), half);
	assert_int_equal(w->heap_top, top);
	put(w, half + 48, w->chan_span, 8);
	publish(w);
}

static void new_span_in_the_place_of_another(void **state)
{
	struct world w;
	uint64_t span;

	(void)state;
	world_open(&w, "usual");
	add_receiver(&w, new_chan(&w), 0);
	span = add_span(&w, 2 * PAGE, 64, false);
	put(&w, w.gb->mod.data, span, 8);
	put(&w, span, span + PAGE + 48, 8);
	w.meanwhile = split_last_span;
	EXPECT_NONE(&w);
	assert_null(w.meanwhile);
	put(&w, span, 0, 8);
	EXPECT(&w, 2);
	world_close(&w);
}

/* What is written in the file fits the newest known layout. */
static void judges_newer_releases(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "newest");
	add_receiver(&w, new_chan(&w), 0);
	w.gb->release.minor++;
	w.gb->layout_is_newer = true;
	EXPECT(&w, 2);
	world_close(&w);
}

static void refuses_newer_ones_that_differ(void **state)
{
	struct moduledata md;
	struct layout l;
	struct world w;

	(void)state;
	world_open(&w, "newest");
	add_receiver(&w, new_chan(&w), 0);
	w.gb->layout_is_newer = true;
	l = *w.gb->layout;
	w.gb->layout = &l;
	l.func_id_mcall++;
	expect_off(&w, "numbered");
	l.func_id_mcall--;
	md = w.gb->mod;
	w.gb->mod.bss += 8;
	expect_off(&w, "variables");
	w.gb->mod = md;
	w.gb->mod.types += 64;
	expect_off(&w, "type descriptors");
	w.gb->mod = md;
	pclntab_set_release(w.gb->pcln, w.gb->release.minor, l.func_id_wrapper, md.gofunc + 40, "");
	expect_off(&w, "stack maps");
	pclntab_set_release(w.gb->pcln, w.gb->release.minor, l.func_id_wrapper, md.gofunc, "");
	strcpy(w.rt.why_off[FACT_REASONS], "no words");
	expect_off(&w, "no words");
	w.rt.why_off[FACT_REASONS][0] = '\0';
	EXPECT(&w, 2);
	world_close(&w);
}

static void refuses_what_it_does_not_know(void **state)
{
	struct world w;
	struct layout l;

	(void)state;
	world_open(&w, "usual");
	add_receiver(&w, new_chan(&w), 0);
	w.gb->release.minor = 19;
	expect_off(&w, "1.20");
	w.gb->release.minor = 26;
	w.gb->global[GLOBAL_GCCLEANUPS] = 0;
	expect_off(&w, "gcCleanups");
	l = *w.gb->layout;
	l.arch = "arm64";
	w.gb->layout = &l;
	expect_off(&w, "amd64");
	world_close(&w);
}

static void cap_is_kept(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "usual");
	add_receiver(&w, new_chan(&w), 0);
	w.cfg.too_much = "what to do";
	w.cfg.max_bytes = PAGE;
	expect_off(&w, "MiB: what to do");
	w.cfg.max_bytes = 4 * PAGE + HEAP_BLOCK_PAGES * sizeof(uint32_t); /* the spans alone */
	expect_off(&w, "MiB: what to do");
	w.cfg.max_bytes = 8 * PAGE + HEAP_BLOCK_PAGES * sizeof(uint32_t);
	EXPECT(&w, 2);
	world_close(&w);
}

/* ---- of a process that stands still ---- */

/* Any word of what the judgement reads, damaged: it ends, and nobody alive is named. */
static void random_damage(void **state)
{
	uint64_t random = 88172645463325252ull;

	(void)state;
	for (int round = 0; round < 150; round++) {
		static const uint64_t values[] = { 0,          1,    8,        UINT64_MAX,
						   1ull << 62, HEAP, HEAP + 8, STACKS };
		struct world w;
		struct prove_result r;
		uint64_t chan, where[6], value;

		world_open(&w, round % 2 ? "usual" : "1.22");
		chan = new_chan(&w);
		add_receiver(&w, chan, 0);
		add_receiver(&w, new_chan(&w), new_box(&w, chan));
		publish(&w);
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		where[0] = w.g[1] + random % 57 * 8;
		where[1] = w.sudog_span + random % 26 * 8;
		where[2] = w.mspan[random % (unsigned int)w.nmspan] + random / 64 % 20 * 8;
		where[3] = OTHER + 0x100000 + random % 4 * 8;
		where[4] = OTHER + 0x200000 + random % 3 * 8;
		where[5] = w.gb->mod.addr + random % 70 * 8;
		value = values[random >> 32 & 7];
		put(&w, where[(random >> 40) % 6], value, 8);
		if (!prove_run(&w.cfg, &r, NULL)) {
			for (size_t i = 0; i < r.n; i++)
				assert_true(r.v[i].g.goid != 1);
			prove_result_deinit(&r);
		}
		world_close(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sudog_of_somebody_else),
		cmocka_unit_test(impossible_lists),
		cmocka_unit_test(goroutine_outside_the_heap),
		cmocka_unit_test(unreadable_memory_reaches_everything),
		cmocka_unit_test(new_span_in_the_place_of_another),
		cmocka_unit_test(judges_newer_releases),
		cmocka_unit_test(refuses_newer_ones_that_differ),
		cmocka_unit_test(refuses_what_it_does_not_know),
		cmocka_unit_test(cap_is_kept),
		cmocka_unit_test(random_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
