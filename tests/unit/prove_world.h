/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Made-up memory around a real executable for the judgement of leaks: tables and
 * addresses are the executable's, the heap is written here.
 */
#ifndef GOSPECT_TESTS_PROVE_WORLD_H
#define GOSPECT_TESTS_PROVE_WORLD_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "gobin/gobin.h"
#include "gort/goruntime_priv.h"
#include "prove/prove.h"
#include "releases.h"

#define HEAP         0xc000000000ull
#define STACKS       0xc100000000ull
#define OTHER        0x7f0000000000ull /* what the runtime allocates outside the heap */
#define PAGE         8192u
#define NGS          24
#define MAX_MSPANS   32
#define FIRST_JUDGED 2 /* of the releases: 1.20 */

/* ---- memory: pages that were written, else the executable ---- */

struct world {
	struct memreader mem;
	struct u64map page;                 /* number -> uint8_t * */
	uint64_t hole;                      /* a page that cannot be read, or 0 */
	int hole_reads;                     /* so many times; 0: never */
	void (*meanwhile)(struct world *w); /* happens once, after the heap was read */
	struct gobin *gb;
	struct goruntime rt;
	struct prove_config cfg;
	uint64_t heap_top, other_top, stack_top;
	uint64_t mspan[MAX_MSPANS];
	int nmspan;
	uint64_t g_span, sudog_span, chan_span, box_span;
	int ng, nsudog, nchan, nbox;
	uint64_t g[NGS];
	uint64_t goexit, start;
};

static inline uint8_t *page_of(struct world *w, uint64_t addr)
{
	bool made;
	uint64_t *slot = u64map_put(&w->page, addr / 4096, 0, &made);

	assert_non_null(slot);
	if (made) {
		uint8_t *p = calloc(1, 4096);

		assert_non_null(p);
		if (image_read_addr(&w->gb->image, addr / 4096 * 4096, p, 4096))
			memset(p, 0, 4096);
		*slot = (uint64_t)(uintptr_t)p;
	}
	return (uint8_t *)(uintptr_t)*slot;
}

static inline void put(struct world *w, uint64_t addr, uint64_t value, int size)
{
	for (int i = 0; i < size; i++, addr++)
		page_of(w, addr)[addr % 4096] = (uint8_t)(value >> 8 * i);
}

static inline int read_byte(struct world *w, uint64_t addr, uint8_t *out)
{
	uint64_t *slot = u64map_find(&w->page, addr / 4096);

	if (w->hole && addr / 4096 == w->hole / 4096) {
		if (w->hole_reads && !--w->hole_reads)
			w->hole = 0;
		return -EFAULT;
	}
	if (slot) {
		*out = ((uint8_t *)(uintptr_t)*slot)[addr % 4096];
		return 0;
	}
	return image_read_addr(&w->gb->image, addr, out, 1) ? -EFAULT : 0;
}

static inline int world_read(struct memreader *m, struct mem_piece *p, size_t n)
{
	struct world *w = (struct world *)m;
	void (*meanwhile)(struct world *) = w->meanwhile;
	int failed = 0;
	bool heap = false;

	for (size_t i = 0; i < n; i++) {
		heap = heap || (p[i].addr >= HEAP && p[i].addr < w->heap_top);
		p[i].status = 0;
		for (uint32_t k = 0; k < p[i].len && !p[i].status; k++)
			p[i].status = read_byte(w, p[i].addr + k, (uint8_t *)p[i].dst + k);
		failed += p[i].status != 0;
	}
	if (heap && meanwhile) {
		w->meanwhile = NULL;
		meanwhile(w);
	}
	return failed;
}

static const struct memreader_ops world_ops = { world_read, NULL };

static inline int32_t off(const struct world *w, enum layout_field f)
{
	return layout_off(w->gb->layout, f);
}

static inline void put_field(struct world *w, uint64_t base, enum layout_field f, uint64_t value,
			     int size)
{
	assert_true(off(w, f) >= 0);
	put(w, base + (uint64_t)off(w, f), value, size);
}

/* ---- the heap ---- */

static inline uint64_t add_span(struct world *w, uint64_t size, uint64_t elem_size, bool noscan)
{
	uint64_t start = w->heap_top, npages = (size + PAGE - 1) / PAGE, m = w->other_top;
	uint64_t nelems = npages * PAGE / elem_size;
	int width = w->gb->release.minor >= 22 ? 2 : 8;

	assert_true(w->nmspan < MAX_MSPANS);
	w->heap_top += npages * PAGE;
	w->other_top += (uint64_t)off(w, LAYOUT_MSPAN_SIZE);
	put_field(w, m, LAYOUT_MSPAN_STARTADDR, start, 8);
	put_field(w, m, LAYOUT_MSPAN_NPAGES, npages, 8);
	put_field(w, m, LAYOUT_MSPAN_NELEMS, nelems, width);
	put_field(w, m, LAYOUT_MSPAN_FREEINDEX, nelems, width);
	put_field(w, m, LAYOUT_MSPAN_ELEMSIZE, elem_size, 8);
	put_field(w, m, LAYOUT_MSPAN_SPANCLASS, noscan, 1);
	put_field(w, m, LAYOUT_MSPAN_STATE, 1, 1);
	put(w, start + npages * PAGE - 1, 0, 1); /* the pages are there */
	for (uint64_t a = start; a < w->heap_top; a += 4096)
		page_of(w, a);
	w->mspan[w->nmspan++] = m;
	return start;
}

static inline uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static inline uint64_t new_sudog(struct world *w)
{
	return w->sudog_span +
	       (uint64_t)w->nsudog++ * round_up((uint64_t)off(w, LAYOUT_SUDOG_SIZE), 16);
}

static inline uint64_t new_chan(struct world *w)
{
	return w->chan_span + (uint64_t)w->nchan++ * 128;
}

/* An object of four words. */
static inline uint64_t new_box(struct world *w, uint64_t first)
{
	uint64_t box = w->box_span + (uint64_t)w->nbox++ * 32;

	put(w, box, first, 8);
	return box;
}

/* ---- goroutines ---- */

static inline uint8_t reason(const struct world *w, const char *text)
{
	for (unsigned int r = 0; r < 255; r++) {
		const char *have = layout_wait_reason(w->gb->layout, r);

		if (have && !strcmp(have, text))
			return (uint8_t)r;
	}
	fail_msg("no wait reason '%s'", text);
	return 0;
}

/* A goroutine whose only frame is goexit, on a stack of its own of which `local` is the last word. */
static inline uint64_t add_goroutine(struct world *w, uint8_t status, const char *why,
				     uint64_t local)
{
	uint64_t g = w->g_span + (uint64_t)w->ng * round_up((uint64_t)off(w, LAYOUT_G_SIZE), 32);
	uint64_t lo = w->stack_top, hi = lo + 2048;

	assert_true(w->ng < NGS);
	w->stack_top += 2048;
	put_field(w, g, LAYOUT_G_STACK_LO, lo, 8);
	put_field(w, g, LAYOUT_G_STACK_HI, hi, 8);
	put_field(w, g, LAYOUT_G_ATOMICSTATUS, status, 4);
	put_field(w, g, LAYOUT_G_GOID, (uint64_t)w->ng + 1, 8);
	put_field(w, g, LAYOUT_G_SCHED_SP, hi - 16, 8);
	/* where the frames cannot be told every word counts: pc 1 is in no function */
	put_field(w, g, LAYOUT_G_SCHED_PC, local ? 1 : w->goexit + 1, 8);
	put_field(w, g, LAYOUT_G_STARTPC, w->start, 8);
	put(w, hi - 8, local, 8);
	put(w, hi - 16, 0, 8);
	if (why)
		put_field(w, g, LAYOUT_G_WAITREASON, reason(w, why), 1);
	w->g[w->ng++] = g;
	return g;
}

static inline void wait_for(struct world *w, uint64_t g, uint64_t chan)
{
	uint64_t sd = new_sudog(w);

	put_field(w, sd, LAYOUT_SUDOG_G, g, 8);
	put_field(w, sd, LAYOUT_SUDOG_C, chan, 8);
	put_field(w, g, LAYOUT_G_WAITING, sd, 8);
	put_field(w, chan, LAYOUT_HCHAN_RECVQ_FIRST, sd, 8);
}

static inline uint64_t add_receiver(struct world *w, uint64_t chan, uint64_t local)
{
	uint64_t g = add_goroutine(w, GO_WAITING, "chan receive", local);

	wait_for(w, g, chan);
	return g;
}

/* ---- the runtime's lists ---- */

static inline uint64_t entry_of(struct world *w, const char *name)
{
	struct gofunc fn;

	assert_int_equal(pclntab_find_name(w->gb->pcln, name, &fn), 0);
	return fn.entry;
}

static inline void put_global(struct world *w, enum goglobal g, uint64_t value)
{
	assert_true(w->gb->global[g]);
	put(w, w->gb->global[g], value, 8);
}

/* Lists as they are now: to be called before a judgement. */
static inline void publish(struct world *w)
{
	uint64_t spans = OTHER + 0x100000, all = OTHER + 0x200000, m = OTHER + 0x300000;
	uint64_t at = w->gb->global[GLOBAL_MHEAP] + (uint64_t)off(w, LAYOUT_MHEAP_ALLSPANS);

	for (int i = 0; i < w->nmspan; i++)
		put(w, spans + 8 * (uint64_t)i, w->mspan[i], 8);
	put(w, at, spans, 8);
	put(w, at + 8, (uint64_t)w->nmspan, 8);
	put(w, at + 16, MAX_MSPANS, 8);
	for (int i = 0; i < w->ng; i++)
		put(w, all + 8 * (uint64_t)i, w->g[i], 8);
	put_global(w, GLOBAL_ALLGPTR, all);
	put_global(w, GLOBAL_ALLGLEN, (uint64_t)w->ng);
	put_global(w, GLOBAL_ALLM, m);
	put_field(w, m, LAYOUT_M_G0, 0, 8);
	put_field(w, m, LAYOUT_M_GSIGNAL, 0, 8);
	put_field(w, m, LAYOUT_M_ALLLINK, 0, 8);
	put_global(w, GLOBAL_ALLFIN, 0);
	put_field(w, w->gb->mod.addr, LAYOUT_MODULEDATA_NEXT, 0, 8);
}

/* The variables are all zero, but for what a test puts there. */
static inline void clear_variables(struct world *w)
{
	for (uint64_t a = w->gb->mod.data; a < w->gb->mod.edata; a += 8)
		put(w, a, 0, 8);
	for (uint64_t a = w->gb->mod.bss; a < w->gb->mod.ebss; a += 4096)
		page_of(w, a);
}

static inline void world_open(struct world *w, const char *release)
{
	char path[512];

	memset(w, 0, sizeof(*w));
	if (!program_path(path, sizeof(path), "work-%s-stripped", release))
		skip();
	u64map_init(&w->page, 1u << 16);
	assert_int_equal(gobin_open(&w->gb, path, NULL), 0);
	w->mem.ops = &world_ops;
	w->rt.gb = w->gb;
	w->rt.mem = &w->mem;
	w->rt.cache = calloc(1, sizeof(*w->rt.cache));
	u64map_init(&w->rt.cache->system, 1024);
	w->rt.cache->g_len = (uint32_t)off(w, LAYOUT_G_SIZE);
	w->cfg = (struct prove_config){ .rt = &w->rt, .passes = 1 };
	w->heap_top = HEAP;
	w->stack_top = STACKS;
	w->other_top = OTHER;
	w->goexit = entry_of(w, "runtime.goexit");
	w->start = entry_of(w, "main.main");
	w->g_span = add_span(w, 2 * PAGE, round_up((uint64_t)off(w, LAYOUT_G_SIZE), 32), false);
	w->sudog_span = add_span(w, PAGE, round_up((uint64_t)off(w, LAYOUT_SUDOG_SIZE), 16), false);
	w->chan_span = add_span(w, PAGE, 128, true);
	w->box_span = add_span(w, PAGE, 32, false);
	clear_variables(w);
	/* main, asleep */
	add_goroutine(w, GO_WAITING, "sleep", 0);
}

static inline void world_close(struct world *w)
{
	uint64_t key, *slot;
	size_t pos = 0;

	while (u64map_next(&w->page, &pos, &key, &slot))
		free((void *)(uintptr_t)*slot);
	u64map_deinit(&w->page);
	u64map_deinit(&w->rt.cache->system);
	free(w->rt.cache);
	gobin_free(w->gb);
}

static inline void judge(struct world *w, struct prove_result *r)
{
	publish(w);
	assert_int_equal(prove_run(&w->cfg, r, NULL), 0);
}

/* The ids that are to be found leaked, ascending, 0 at the end. */
static inline void expect_leaked(struct world *w, const uint64_t *ids)
{
	struct prove_result r;
	uint64_t began = clock_mono_ns();
	size_t n = 0;

	judge(w, &r);
	assert_in_range(r.as_of_ns, began, clock_mono_ns());
	assert_string_equal(r.why, "");
	assert_int_equal(r.verdict, LEAKS_PASSES);
	for (; ids[n]; n++) {
		assert_true(n < r.n);
		assert_int_equal(r.v[n].g.goid, ids[n]);
	}
	assert_int_equal(r.n, n);
	prove_result_deinit(&r);
}

#define EXPECT(w, ...) expect_leaked(w, (const uint64_t[]){ __VA_ARGS__, 0 })
#define EXPECT_NONE(w) expect_leaked(w, (const uint64_t[]){ 0 })

static inline void expect_off(struct world *w, const char *word)
{
	struct prove_result r;

	judge(w, &r);
	assert_int_equal(r.verdict, LEAKS_OFF);
	assert_int_equal(r.n, 0);
	if (!strstr(r.why, word))
		fail_msg("'%s' is not in '%s'", word, r.why);
	prove_result_deinit(&r);
}

#endif
