/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The judgement of leaks on made-up memory around a real executable: its
 * tables and addresses are the executable's, its heap is written here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/map.h"
#include "gobin/gobin.h"
#include "prove/freeze.h"
#include "prove/prove.h"
#include "prove/snap.h"
#include "gort/goruntime_priv.h"
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

static uint8_t *page_of(struct world *w, uint64_t addr)
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

static void put(struct world *w, uint64_t addr, uint64_t value, int size)
{
	for (int i = 0; i < size; i++, addr++)
		page_of(w, addr)[addr % 4096] = (uint8_t)(value >> 8 * i);
}

static int read_byte(struct world *w, uint64_t addr, uint8_t *out)
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

static int world_read(struct memreader *m, struct mem_piece *p, size_t n)
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

static int32_t off(const struct world *w, enum layout_field f)
{
	return layout_off(w->gb->layout, f);
}

static void put_field(struct world *w, uint64_t base, enum layout_field f, uint64_t value, int size)
{
	assert_true(off(w, f) >= 0);
	put(w, base + (uint64_t)off(w, f), value, size);
}

/* ---- the heap ---- */

static uint64_t add_span(struct world *w, uint64_t size, uint64_t elem_size, bool noscan)
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

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static uint64_t new_sudog(struct world *w)
{
	return w->sudog_span +
	       (uint64_t)w->nsudog++ * round_up((uint64_t)off(w, LAYOUT_SUDOG_SIZE), 16);
}

static uint64_t new_chan(struct world *w)
{
	return w->chan_span + (uint64_t)w->nchan++ * 128;
}

/* An object of four words. */
static uint64_t new_box(struct world *w, uint64_t first)
{
	uint64_t box = w->box_span + (uint64_t)w->nbox++ * 32;

	put(w, box, first, 8);
	return box;
}

/* ---- goroutines ---- */

static uint8_t reason(const struct world *w, const char *text)
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
static uint64_t add_goroutine(struct world *w, uint8_t status, const char *why, uint64_t local)
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

static void wait_for(struct world *w, uint64_t g, uint64_t chan)
{
	uint64_t sd = new_sudog(w);

	put_field(w, sd, LAYOUT_SUDOG_G, g, 8);
	put_field(w, sd, LAYOUT_SUDOG_C, chan, 8);
	put_field(w, g, LAYOUT_G_WAITING, sd, 8);
	put_field(w, chan, LAYOUT_HCHAN_RECVQ_FIRST, sd, 8);
}

static uint64_t add_receiver(struct world *w, uint64_t chan, uint64_t local)
{
	uint64_t g = add_goroutine(w, GO_WAITING, "chan receive", local);

	wait_for(w, g, chan);
	return g;
}

/* ---- the runtime's lists ---- */

static uint64_t entry_of(struct world *w, const char *name)
{
	struct gofunc fn;

	assert_int_equal(pclntab_find_name(w->gb->pcln, name, &fn), 0);
	return fn.entry;
}

static void put_global(struct world *w, enum goglobal g, uint64_t value)
{
	assert_true(w->gb->global[g]);
	put(w, w->gb->global[g], value, 8);
}

/* Lists as they are now: to be called before a judgement. */
static void publish(struct world *w)
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
static void clear_variables(struct world *w)
{
	for (uint64_t a = w->gb->mod.data; a < w->gb->mod.edata; a += 8)
		put(w, a, 0, 8);
	for (uint64_t a = w->gb->mod.bss; a < w->gb->mod.ebss; a += 4096)
		page_of(w, a);
}

static void world_open(struct world *w, const char *release)
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

static void world_close(struct world *w)
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

static void judge(struct world *w, struct prove_result *r)
{
	publish(w);
	assert_int_equal(prove_run(&w->cfg, r, NULL), 0);
}

/* The ids that are to be found leaked, ascending, 0 at the end. */
static void expect_leaked(struct world *w, const uint64_t *ids)
{
	struct prove_result r;
	size_t n = 0;

	judge(w, &r);
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

static void expect_off(struct world *w, const char *word)
{
	struct prove_result r;

	judge(w, &r);
	assert_int_equal(r.verdict, LEAKS_OFF);
	assert_int_equal(r.n, 0);
	if (!strstr(r.why, word))
		fail_msg("'%s' is not in '%s'", word, r.why);
	prove_result_deinit(&r);
}

/* ---- who is leaked ---- */

static void finds_forgotten_receiver(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct world w;

		world_open(&w, releases[i]);
		add_receiver(&w, new_chan(&w), 0);
		EXPECT(&w, 2);
		world_close(&w);
	}
}

static void variable_keeps_alive(void **state)
{
	struct world w;
	uint64_t chan;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	add_receiver(&w, new_chan(&w), 0);
	put(&w, w.gb->mod.data, new_box(&w, new_box(&w, chan + 40)), 8); /* into its middle */
	EXPECT(&w, 3);
	world_close(&w);
}

static void running_goroutine_keeps_alive(void **state)
{
	struct world w;
	uint64_t chan;

	(void)state;
	world_open(&w, "1.25");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	add_goroutine(&w, GO_RUNNABLE, NULL, new_box(&w, chan));
	EXPECT_NONE(&w);
	world_close(&w);
}

/* Each keeps the next: all alive when the first is, all leaked when not. */
static void chain_is_followed(void **state)
{
	struct world w;
	uint64_t chan[5];

	(void)state;
	world_open(&w, "1.24");
	for (int i = 0; i < 5; i++)
		chan[i] = new_chan(&w);
	for (int i = 0; i < 4; i++)
		add_receiver(&w, chan[i], new_box(&w, chan[i + 1]));
	add_receiver(&w, chan[4], 0);
	EXPECT(&w, 2, 3, 4, 5, 6);
	put(&w, w.gb->mod.data + 8, chan[2], 8);
	EXPECT(&w, 2, 3);
	put(&w, w.gb->mod.data, chan[0], 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

/* Objects of one span that each keep a neighbour: the last one keeps the channel. */
static void chain_in_a_span(void **state)
{
	(void)state;
	for (int down = 0; down < 2; down++) {
		struct world w;
		uint64_t chan, box[200];

		world_open(&w, "usual");
		chan = new_chan(&w);
		add_receiver(&w, chan, 0);
		for (int i = 0; i < 200; i++)
			box[i] = new_box(&w, 0);
		for (int i = 0; i < 199; i++)
			put(&w, down ? box[i + 1] : box[i], down ? box[i] : box[i + 1], 8);
		put(&w, down ? box[0] : box[199], chan, 8);
		EXPECT(&w, 2);
		put(&w, w.gb->mod.data, box[down ? 199 : 0], 8);
		EXPECT_NONE(&w);
		put(&w, box[100], 0, 8);
		EXPECT(&w, 2);
		world_close(&w);
	}
}

static void circle_of_leaked(void **state)
{
	struct world w;
	uint64_t a, b;

	(void)state;
	world_open(&w, "1.22");
	a = new_chan(&w);
	b = new_chan(&w);
	add_receiver(&w, a, b);
	add_receiver(&w, b, a);
	EXPECT(&w, 2, 3);
	world_close(&w);
}

static void select_lives_by_any_case(void **state)
{
	struct world w;
	uint64_t g, a, b, first, second;

	(void)state;
	world_open(&w, "usual");
	a = new_chan(&w);
	b = new_chan(&w);
	g = add_goroutine(&w, GO_WAITING, "select", 0);
	wait_for(&w, g, a);
	first = w.sudog_span;
	second = new_sudog(&w);
	put_field(&w, second, LAYOUT_SUDOG_G, g, 8);
	put_field(&w, second, LAYOUT_SUDOG_C, b, 8);
	put_field(&w, b, LAYOUT_HCHAN_RECVQ_FIRST, second, 8);
	put_field(&w, first, LAYOUT_SUDOG_WAITLINK, second, 8);
	EXPECT(&w, 2);
	put(&w, w.gb->mod.data, b, 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

static void waits_for_nothing(void **state)
{
	struct world w;
	struct prove_result r;

	(void)state;
	world_open(&w, "newest");
	put_field(&w, w.g[0], LAYOUT_G_WAITREASON, reason(&w, "select (no cases)"), 1);
	add_goroutine(&w, GO_WAITING, "chan send (nil chan)", 0);
	judge(&w, &r);
	assert_int_equal(r.n, 2);
	assert_true(r.v[0].by_design);
	assert_int_equal(r.v[1].kind, LEAK_NIL_CHAN);
	assert_false(r.v[1].by_design);
	prove_result_deinit(&r);
	world_close(&w);
}

/* main waits for ever on purpose, but for a lock or for a receiver it does not. */
static void main_waits_by_design(void **state)
{
	static const struct {
		const char *reason;
		bool on_channel, by_design;
	} ways[] = {
		{ "chan receive", true, true },
		{ "select", true, true },
		{ "chan receive (nil chan)", false, true },
		{ "select (no cases)", false, true },
		{ "chan send", true, false },
		{ "chan send (nil chan)", false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct prove_result r;
		struct world w;

		world_open(&w, "newest");
		put_field(&w, w.g[0], LAYOUT_G_WAITREASON, reason(&w, ways[i].reason), 1);
		if (ways[i].on_channel)
			wait_for(&w, w.g[0], new_chan(&w));
		add_receiver(&w, new_chan(&w), 0);
		judge(&w, &r);
		assert_int_equal(r.n, 2);
		assert_int_equal(r.v[0].g.goid, 1);
		assert_int_equal(r.v[0].by_design, ways[i].by_design);
		assert_false(r.v[1].by_design);
		prove_result_deinit(&r);
		world_close(&w);
	}
}

static void mutex_since_1_26(void **state)
{
	struct world w;
	uint64_t g, sd, box;

	(void)state;
	world_open(&w, "usual");
	box = new_box(&w, 0);
	g = add_goroutine(&w, GO_WAITING, "sync.Mutex.Lock", 0);
	sd = new_sudog(&w);
	put_field(&w, sd, LAYOUT_SUDOG_G, g, 8);
	put_field(&w, sd, LAYOUT_SUDOG_ELEM, box + 4, 8);
	put_field(&w, g, LAYOUT_G_WAITING, sd, 8);
	EXPECT(&w, 2);
	put(&w, w.gb->mod.data, box, 8);
	EXPECT_NONE(&w);
	/* a variable: outside the heap, so reachable */
	put(&w, w.gb->mod.data, 0, 8);
	put_field(&w, sd, LAYOUT_SUDOG_ELEM, w.gb->mod.data + 4, 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

/*
 * A waits for a channel that only B's stack has; B waits for a lock in a
 * variable.  If it is A that holds the lock, neither will run.
 */
static void locks_that_are_held(void **state)
{
	const struct prove_held held[] = { { 3, 2 }, { 99, 2 } };
	struct prove_result r;
	struct world w;
	uint64_t chan, b, sd;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	b = add_goroutine(&w, GO_WAITING, "sync.Mutex.Lock", chan);
	sd = new_sudog(&w);
	put_field(&w, sd, LAYOUT_SUDOG_G, b, 8);
	put_field(&w, sd, LAYOUT_SUDOG_ELEM, w.gb->mod.data + 4, 8);
	put_field(&w, b, LAYOUT_G_WAITING, sd, 8);
	EXPECT_NONE(&w);
	w.cfg.held = held;
	w.cfg.nheld = 2;
	judge(&w, &r);
	assert_int_equal(r.n, 0); /* as for who is leaked, nothing is assumed */
	assert_int_equal(r.nstuck, 2);
	assert_int_equal(r.stuck[0].g.goid, 2);
	assert_int_equal(r.stuck[1].g.goid, 3);
	prove_result_deinit(&r);
	/* somebody else has the channel */
	put(&w, w.gb->mod.data + 64, chan, 8);
	judge(&w, &r);
	assert_int_equal(r.n + r.nstuck, 0);
	prove_result_deinit(&r);
	world_close(&w);
}

/* Two locks in one bucket of the table: one node is the other's child. */
static void mutex_up_to_1_25(void **state)
{
	static const char *const old[] = { "1.20", "1.22", "1.25" };

	(void)state;
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
		struct world w;
		uint64_t g[2], sd[2], box[2];

		world_open(&w, old[i]);
		for (int k = 0; k < 2; k++) {
			g[k] = add_goroutine(&w, GO_WAITING, "sync.Mutex.Lock", 0);
			sd[k] = new_sudog(&w);
			box[k] = new_box(&w, 0);
			put_field(&w, sd[k], LAYOUT_SUDOG_G, g[k], 8);
			put_field(&w, sd[k], LAYOUT_SUDOG_ELEM, box[k], 8);
		}
		put_field(&w, sd[0], LAYOUT_SUDOG_NEXT, sd[1], 8);
		put(&w,
		    w.gb->global[GLOBAL_SEMTABLE] + 64 * 250 +
			    (uint64_t)off(&w, LAYOUT_SEMAROOT_TREAP),
		    sd[0], 8);
		EXPECT(&w, 2, 3);
		put(&w, w.gb->mod.data, box[0], 8);
		EXPECT(&w, 3);
		/* a table that runs in a circle */
		put_field(&w, sd[1], LAYOUT_SUDOG_NEXT, sd[0], 8);
		put_field(&w, sd[1], LAYOUT_SUDOG_WAITLINK, sd[1], 8);
		EXPECT(&w, 3);
		world_close(&w);
	}
}

static void condition_up_to_1_25(void **state)
{
	struct world w;
	uint64_t g, sd, cond;

	(void)state;
	world_open(&w, "1.24");
	/* sync.Cond over two boxes side by side: notify at 16, its head at 32 */
	cond = new_box(&w, 0);
	new_box(&w, 0);
	g = add_goroutine(&w, GO_WAITING, "sync.Cond.Wait", cond);
	sd = new_sudog(&w);
	put_field(&w, sd, LAYOUT_SUDOG_G, g, 8);
	put(&w, cond + 32, sd, 8);
	EXPECT(&w, 2);
	put(&w, w.gb->mod.data, cond + 24, 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

static void finalizer_keeps_what_it_gets(void **state)
{
	struct world w;
	uint64_t chan, special = OTHER + 0x400000, object;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	new_box(&w, 0);
	object = new_box(&w, chan);
	EXPECT(&w, 2);
	put_field(&w, special, LAYOUT_SPECIAL_OFFSET, object - w.box_span, 8);
	put_field(&w, special, LAYOUT_SPECIAL_KIND, 2, 1);
	put_field(&w, w.mspan[3], LAYOUT_MSPAN_SPECIALS, special, 8);
	EXPECT_NONE(&w);
	/* a record of the heap profile keeps nothing */
	put_field(&w, special, LAYOUT_SPECIAL_KIND, 4, 1);
	EXPECT(&w, 2);
	world_close(&w);
}

static void woken_ones_are_alive(void **state)
{
	struct world w;
	uint64_t chan;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	add_receiver(&w, chan, 0);
	/* already out of the queue: somebody is about to make it run */
	put_field(&w, chan, LAYOUT_HCHAN_RECVQ_FIRST, 0, 8);
	EXPECT_NONE(&w);
	world_close(&w);
}

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

struct still {
	struct snap s;
	struct freeze f;
};

static void still_open(struct world *w, struct still *st)
{
	freeze_init(&st->f); /* no thread: nobody runs */
	assert_int_equal(snap_init(&st->s, &w->rt), 0);
}

static void still_close(struct still *st)
{
	snap_deinit(&st->s);
	freeze_deinit(&st->f);
}

static bool leaked_in(struct world *w, struct still *st, uint64_t g)
{
	size_t i;

	publish(w);
	assert_int_equal(snap_copy(&st->s, &st->f, UINT64_MAX, 0), 0);
	assert_int_equal(snap_judge(&st->s), 0);
	assert_true(snap_find_g(&st->s, g, &i));
	return snap_is_leaked(&st->s, i);
}

static bool leaked_when_still(struct world *w, uint64_t g)
{
	struct still st;
	bool leaked;

	still_open(w, &st);
	leaked = leaked_in(w, &st, g);
	still_close(&st);
	return leaked;
}

/* A P, the only one. */
static uint64_t add_p(struct world *w)
{
	uint64_t size = round_up((uint64_t)off(w, LAYOUT_P_SIZE), PAGE),
		 p = add_span(w, size, size, false);

	put_global(w, GLOBAL_ALLP, new_box(w, p));
	put(w, w->gb->global[GLOBAL_ALLP] + 8, 1, 8);
	return p;
}

static void pages_of_a_p_are_no_pointer(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct world w;
		uint64_t chan, p;

		world_open(&w, releases[i]);
		chan = new_chan(&w);
		assert_int_equal(chan, w.chan_span);
		add_receiver(&w, chan, 0);
		p = add_p(&w);
		put_field(&w, p, LAYOUT_P_PCACHE, w.chan_span, 8);
		EXPECT(&w, 2);
		put(&w, p + (uint64_t)off(&w, LAYOUT_P_SIZE) - 8, chan,
		    8); /* the rest of it counts */
		EXPECT_NONE(&w);
		world_close(&w);
	}
}

static void unused_sudogs_keep_nothing(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct world w;
		uint64_t chan, g, p, unused;

		world_open(&w, releases[i]);
		chan = new_chan(&w);
		g = add_receiver(&w, chan, 0);
		unused = new_sudog(&w);
		put_field(&w, unused, LAYOUT_SUDOG_ELEM, chan, 8);
		p = add_p(&w);
		put_field(&w, p, LAYOUT_P_SUDOGCACHE, new_box(&w, unused), 8);
		assert_false(leaked_when_still(&w, g)); /* none is listed: it is in use */
		put(&w, p + (uint64_t)off(&w, LAYOUT_P_SUDOGCACHE) + 8, 1, 8);
		assert_true(leaked_when_still(&w, g));
		EXPECT_NONE(&w); /* a process that runs may use it again */
		world_close(&w);
	}
}

static void unused_sudogs_of_the_scheduler(void **state)
{
	struct world w;
	uint64_t chan, g, first, second;

	(void)state;
	world_open(&w, "usual");
	chan = new_chan(&w);
	g = add_receiver(&w, chan, 0);
	first = new_sudog(&w);
	second = new_sudog(&w);
	put_field(&w, first, LAYOUT_SUDOG_NEXT, second, 8);
	put_field(&w, second, LAYOUT_SUDOG_ELEM, chan, 8);
	put_field(&w, w.gb->global[GLOBAL_SCHED], LAYOUT_SCHED_SUDOGCACHE, first, 8);
	assert_true(leaked_when_still(&w, g));
	put_field(&w, second, LAYOUT_SUDOG_NEXT, second, 8); /* a list that does not end */
	assert_true(leaked_when_still(&w, g));
	put_field(&w, w.gb->global[GLOBAL_SCHED], LAYOUT_SCHED_SUDOGCACHE, 0, 8);
	put(&w, w.gb->mod.data, first, 8);
	assert_false(leaked_when_still(&w, g));
	world_close(&w);
}

/* What comes into use after the first reading is in the second one, beside all that was there. */
static void copy_grows(void **state)
{
	struct world w;
	struct still st;
	uint64_t a, b, old, new;

	(void)state;
	world_open(&w, "usual");
	old = new_chan(&w);
	new = new_chan(&w);
	a = add_receiver(&w, old, 0);
	b = add_receiver(&w, new, 0);
	put(&w, w.gb->mod.data, new_box(&w, old), 8);
	still_open(&w, &st);
	assert_false(leaked_in(&w, &st, a));
	assert_true(leaked_in(&w, &st, b));
	put(&w, w.gb->mod.data + 8, add_span(&w, 5u << 20, 5u << 20, false), 8);
	put(&w, w.heap_top - 8, new, 8); /* its last word */
	assert_false(leaked_in(&w, &st, a));
	assert_false(leaked_in(&w, &st, b));
	put(&w, w.heap_top - 8, 0, 8);
	assert_true(leaked_in(&w, &st, b));
	still_close(&st);
	world_close(&w);
}

static bool no(void *arg, const struct prove_progress *p)
{
	(void)arg;
	(void)p;
	return false;
}

struct passing {
	int last; /* pass that is still let go on */
};

/* The pass that comes next is not gone on with. */
static bool until(void *arg, const struct prove_progress *p)
{
	const struct passing *until = arg;

	assert_true(p->share >= 0 && p->share <= 1);
	return p->pass <= until->last;
}

/* What was found so far is the verdict, if two passes have found the same. */
static void ends_with_what_is_known(void **state)
{
	struct passing p = { .last = 3 };
	struct prove_result r;
	struct world w;

	(void)state;
	world_open(&w, "usual");
	add_receiver(&w, new_chan(&w), 0);
	w.cfg.passes = 6;
	w.cfg.go_on = until;
	w.cfg.arg = &p;
	judge(&w, &r);
	assert_int_equal(r.verdict, LEAKS_PASSES);
	assert_int_equal(r.passes, 3);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.v[0].g.goid, 2);
	prove_result_deinit(&r);
	p.last = 1;
	publish(&w);
	assert_int_equal(prove_run(&w.cfg, &r, NULL), -EINTR);
	world_close(&w);
}

/* No pass is begun after the limit, but for three; and two are little. */
static void passes_take_no_longer(void **state)
{
	struct prove_result r;
	struct world w;

	(void)state;
	world_open(&w, "usual");
	add_receiver(&w, new_chan(&w), 0);
	w.cfg.passes = 24;
	w.cfg.limit_ns = 600 * 1000000; /* the pauses alone take 2.3 s */
	judge(&w, &r);
	assert_in_range(r.passes, 3, 23);
	assert_int_equal(r.n, 1);
	prove_result_deinit(&r);
	w.cfg.limit_ns = 1;
	expect_off(&w, "too few to be sure");
	world_close(&w);
}

static void can_be_cancelled(void **state)
{
	struct world w;
	struct prove_result r;

	(void)state;
	world_open(&w, "usual");
	w.cfg.go_on = no;
	publish(&w);
	assert_int_equal(prove_run(&w.cfg, &r, NULL), -EINTR);
	assert_null(r.v);
	world_close(&w);
}

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

/* ---- stack maps ---- */

static void maps_of_all_functions(void **state)
{
	(void)state;
	for (size_t i = FIRST_JUDGED; i < ARRAY_SIZE(releases); i++) {
		struct world w;
		struct stackmaps m;
		unsigned int described = 0, objects = 0;

		world_open(&w, releases[i]);
		stackmaps_init(&m, w.gb);
		for (int f = 0; f < pclntab_nfunc(w.gb->pcln); f++) {
			struct gofunc fn;
			uint32_t locals = 0;
			int32_t size = 0;

			assert_int_equal(pclntab_func_at(w.gb->pcln, (uint32_t)f, &fn), 0);
			for (uint64_t pc = fn.entry; pc < fn.end; pc += 41) {
				const struct framemap *fm = stackmaps_at(&m, pc);

				stackmaps_trim(&m);
				if (!fm || fm->no_locals)
					continue;
				described += fm->nlocals != 0;
				objects += fm->nobjects != 0;
				locals = fm->nlocals > locals ? fm->nlocals : locals;
				size = fm->size > size ? fm->size : size;
			}
			/* what is described fits into the frame, where it was seen set up */
			assert_true(!size || fn.end - fn.entry < 200 ||
				    8 * locals <= (uint32_t)size);
		}
		assert_true(described > 1000);
		assert_true(objects > 100);
		stackmaps_deinit(&m);
		world_close(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_forgotten_receiver),
		cmocka_unit_test(variable_keeps_alive),
		cmocka_unit_test(running_goroutine_keeps_alive),
		cmocka_unit_test(chain_is_followed),
		cmocka_unit_test(chain_in_a_span),
		cmocka_unit_test(circle_of_leaked),
		cmocka_unit_test(select_lives_by_any_case),
		cmocka_unit_test(waits_for_nothing),
		cmocka_unit_test(main_waits_by_design),
		cmocka_unit_test(mutex_since_1_26),
		cmocka_unit_test(locks_that_are_held),
		cmocka_unit_test(mutex_up_to_1_25),
		cmocka_unit_test(condition_up_to_1_25),
		cmocka_unit_test(finalizer_keeps_what_it_gets),
		cmocka_unit_test(woken_ones_are_alive),
		cmocka_unit_test(sudog_of_somebody_else),
		cmocka_unit_test(impossible_lists),
		cmocka_unit_test(goroutine_outside_the_heap),
		cmocka_unit_test(unreadable_memory_reaches_everything),
		cmocka_unit_test(new_span_in_the_place_of_another),
		cmocka_unit_test(judges_newer_releases),
		cmocka_unit_test(refuses_newer_ones_that_differ),
		cmocka_unit_test(refuses_what_it_does_not_know),
		cmocka_unit_test(cap_is_kept),
		cmocka_unit_test(pages_of_a_p_are_no_pointer),
		cmocka_unit_test(unused_sudogs_keep_nothing),
		cmocka_unit_test(unused_sudogs_of_the_scheduler),
		cmocka_unit_test(copy_grows),
		cmocka_unit_test(can_be_cancelled),
		cmocka_unit_test(ends_with_what_is_known),
		cmocka_unit_test(passes_take_no_longer),
		cmocka_unit_test(random_damage),
		cmocka_unit_test(maps_of_all_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
