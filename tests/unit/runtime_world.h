/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process made up here: the tables of a real executable (each release's), and
 * memory written by the layout.
 */
#ifndef GOSPECT_TESTS_RUNTIME_WORLD_H
#define GOSPECT_TESTS_RUNTIME_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "gobin/gobin.h"
#include "gort/goruntime.h"
#include "proc/mem.h"
#include "releases.h"
#include "recording.h"

/* ---- memory ---- */

static inline void temp_path(char *out, size_t size)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(out, size, "%s/gospect-test-XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(out);
	assert_true(fd >= 0);
	close(fd);
}

/* ---- a made-up Go process ---- */

#define WORLD_MAX     256
#define NG            12
#define NP            4
#define G_ADDR(i)     (0xc000100000ull + 512 * (uint64_t)(i))
#define P_ADDR(i)     (0xc000200000ull + 65536 * (uint64_t)(i))
#define ARRAY_ADDR    0xc000300000ull
#define ALLP_ADDR     0xc000310000ull
#define STACK_ADDR(i) (0xc000400000ull + 8192 * (uint64_t)(i))

struct area {
	uint64_t addr;
	uint32_t len;
	uint8_t *data;
};

struct world {
	struct gobin *gb;
	struct area area[WORLD_MAX];
	size_t n;
	uint64_t main_entry, start_entry, goexit_entry, system_entry;
	char path[256];
	struct memreader *mem;
	struct goruntime rt;
};

static inline uint8_t *area_at(struct world *w, uint64_t addr, uint32_t len)
{
	for (size_t i = 0; i < w->n; i++)
		if (addr >= w->area[i].addr && addr + len <= w->area[i].addr + w->area[i].len)
			return w->area[i].data + (addr - w->area[i].addr);
	assert_true(w->n < WORLD_MAX);
	w->area[w->n] = (struct area){ .addr = addr, .len = len, .data = calloc(1, len) };
	return w->area[w->n++].data;
}

static inline void put(struct world *w, uint64_t addr, uint64_t v, int size)
{
	uint8_t *p = area_at(w, addr, (uint32_t)size);

	for (int i = 0; i < size; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline void put_field(struct world *w, uint64_t base, enum layout_field f, uint64_t v,
			     int size)
{
	int32_t off = layout_off(w->gb->layout, f);

	if (off >= 0 && base)
		put(w, base + (uint64_t)off, v, size);
}

static inline void put_g(struct world *w, int i, uint64_t goid, int status, int reason,
			 uint64_t startpc)
{
	uint64_t g = G_ADDR(i), sp = STACK_ADDR(i) + 4096 - 64;

	put(w, ARRAY_ADDR + 8 * (uint64_t)i, g, 8);
	put_field(w, g, LAYOUT_G_GOID, goid, 8);
	put_field(w, g, LAYOUT_G_ATOMICSTATUS, (uint64_t)status, 4);
	put_field(w, g, LAYOUT_G_WAITREASON, (uint64_t)reason, 1);
	put_field(w, g, LAYOUT_G_STACK_LO, STACK_ADDR(i), 8);
	put_field(w, g, LAYOUT_G_STACK_HI, STACK_ADDR(i) + 4096, 8);
	put_field(w, g, LAYOUT_G_GOPC, w->main_entry + 1, 8);
	put_field(w, g, LAYOUT_G_STARTPC, startpc, 8);
	/* not begun: it stands at its entry, goexit is the return address */
	put_field(w, g, LAYOUT_G_SCHED_PC, startpc, 8);
	put_field(w, g, LAYOUT_G_SCHED_SP, sp, 8);
	put_field(w, g, LAYOUT_G_SYSCALLPC, startpc, 8);
	put_field(w, g, LAYOUT_G_SYSCALLSP, sp, 8);
	put(w, sp, w->goexit_entry + 1, 8);
}

static inline uint64_t entry_of(struct world *w, const char *name)
{
	struct gofunc fn;

	assert_int_equal(pclntab_find_name(w->gb->pcln, name, &fn), 0);
	return fn.entry;
}

static inline void make_goroutines(struct world *w)
{
	uint64_t *global = w->gb->global;

	for (int i = 0; i < NG; i++)
		area_at(w, G_ADDR(i), 512);
	area_at(w, ARRAY_ADDR, 8 * NG);
	for (int i = 0; i < NG; i++)
		area_at(w, STACK_ADDR(i), 4096);
	put_g(w, 0, 1, GO_WAITING, 14, w->main_entry);
	put_g(w, 1, 2, GO_WAITING, 9, w->system_entry);
	put_g(w, 2, 3, GO_WAITING | 0x1000, 14, w->start_entry); /* being scanned */
	put_g(w, 3, 4, GO_RUNNING, 0, w->start_entry);
	put_g(w, 4, 5, GO_SYSCALL, 0, w->start_entry);
	put_g(w, 5, 6, GO_RUNNABLE, 0, w->start_entry);
	put_g(w, 6, 7, GO_PREEMPTED, 0, w->start_entry);
	for (int i = 7; i < NG; i++)
		put_g(w, i, 7 + (uint64_t)i, i < NG - 1 ? GO_DEAD : GO_IDLE, 0, w->start_entry);
	put(w, global[GLOBAL_ALLGS], ARRAY_ADDR, 8);
	put(w, global[GLOBAL_ALLGS] + 8, NG, 8);
	put(w, global[GLOBAL_ALLGS] + 16, 2 * NG, 8);
	put(w, global[GLOBAL_ALLGPTR], ARRAY_ADDR, 8);
	put(w, global[GLOBAL_ALLGLEN], NG, 8);
}

/* 12 g's: 1 of the runtime, 3 free at the scheduler, 2 at the Ps: 6 live. */
static inline void make_scheduler(struct world *w)
{
	uint64_t sched = w->gb->global[GLOBAL_SCHED], allp = w->gb->global[GLOBAL_ALLP];

	area_at(w, sched, (uint32_t)layout_off(w->gb->layout, LAYOUT_SCHED_SIZE));
	put_field(w, sched, LAYOUT_SCHED_GOIDGEN, 64, 8);
	put_field(w, sched, LAYOUT_SCHED_NGSYS, 1, 4);
	put_field(w, sched, LAYOUT_SCHED_GFREE_N, 3, 4);
	put_field(w, sched, LAYOUT_SCHED_GFREE_STACK_SIZE, 1, 4);
	put_field(w, sched, LAYOUT_SCHED_GFREE_NOSTACK_SIZE, 2, 4);
	put_field(w, sched, LAYOUT_SCHED_GOROUTINESCREATED, 18, 8);
	put(w, allp, ALLP_ADDR, 8);
	put(w, allp + 8, NP, 8);
	put(w, allp + 16, NP + 1, 8); /* one P of an earlier, higher GOMAXPROCS */
	area_at(w, ALLP_ADDR, 8 * (NP + 1));
	for (uint32_t i = 0; i <= NP; i++) {
		area_at(w, P_ADDR(i), (uint32_t)layout_off(w->gb->layout, LAYOUT_P_SIZE));
		put(w, ALLP_ADDR + 8 * i, P_ADDR(i), 8);
		put_field(w, P_ADDR(i), LAYOUT_P_ID, i, 4);
		put_field(w, P_ADDR(i), LAYOUT_P_STATUS, i < NP ? 1 : 4, 4);
		put_field(w, P_ADDR(i), LAYOUT_P_GOIDCACHE, 16 * i + 10, 8);
		put_field(w, P_ADDR(i), LAYOUT_P_GOIDCACHEEND, 16 * i + 16, 8);
		put_field(w, P_ADDR(i), LAYOUT_P_GFREE_N, i < 2, 4);
		put_field(w, P_ADDR(i), LAYOUT_P_GOROUTINESCREATED, i < NP ? 4 : 0, 8);
	}
}

static inline void make_gc(struct world *w)
{
	uint64_t *global = w->gb->global, stats = global[GLOBAL_MEMSTATS];
	uint64_t ctl = global[GLOBAL_GCCONTROLLER], ring;
	double fraction = 0.25;
	uint64_t bits;

	memcpy(&bits, &fraction, sizeof(bits));
	area_at(w, stats, 32768);
	put_field(w, stats, LAYOUT_MSTATS_NUMGC, 300, 4);
	put_field(w, stats, LAYOUT_MSTATS_NUMFORCEDGC, 7, 4);
	put_field(w, stats, LAYOUT_MSTATS_PAUSE_TOTAL_NS, 123456, 8);
	put_field(w, stats, LAYOUT_MSTATS_LAST_GC_UNIX, 555, 8);
	put_field(w, stats, LAYOUT_MSTATS_GC_CPU_FRACTION, bits, 8);
	ring = stats + (uint64_t)layout_off(w->gb->layout, LAYOUT_MSTATS_PAUSE_END);
	put(w, ring + 8 * (299 % 256), 555, 8);
	ring = stats + (uint64_t)layout_off(w->gb->layout, LAYOUT_MSTATS_PAUSE_NS);
	put(w, ring + 8 * (299 % 256), 77, 8);
	put_field(w, global[GLOBAL_WORK], LAYOUT_WORK_CYCLES, 301, 4);

	area_at(w, ctl, 1024);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_GCPERCENT, 50, 4);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_HEAPMINIMUM, 2 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_MEMORYLIMIT, INT64_MAX, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_GCPERCENTHEAPGOAL, 30 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_HEAPLIVE, 25 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_HEAPMARKED, 20 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_TOTALALLOC, 90 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_TOTALFREE, 65 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_MAPPEDREADY, 40 << 20, 8);
}

static inline void world_make(struct world *w, const char *release)
{
	char path[512];

	memset(w, 0, sizeof(*w));
	if (!program_path(path, sizeof(path), "work-%s-stripped", release))
		skip();
	assert_int_equal(gobin_open(&w->gb, path, NULL), 0);
	w->main_entry = entry_of(w, "runtime.main");
	w->start_entry = entry_of(w, "main.main");
	w->goexit_entry = entry_of(w, "runtime.goexit");
	w->system_entry = entry_of(w, "runtime.bgsweep");
	put(w, w->gb->mod.addr, w->gb->mod.pclntab, 8);
	put_field(w, w->gb->mod.addr, LAYOUT_MODULEDATA_TEXT, w->gb->mod.text, 8);
	make_goroutines(w);
	make_scheduler(w);
	make_gc(w);
}

static inline void append_le(FILE *f, uint64_t v, int n)
{
	for (; n--; v >>= 8)
		fputc((int)(v & 0xff), f);
}

/* The world as a recording, read back: what the walk then sees. */
static inline int world_bind(struct world *w, struct err *err)
{
	FILE *f;

	temp_path(w->path, sizeof(w->path));
	f = fopen(w->path, "wb");
	assert_non_null(f);
	fwrite("gspmem1\n", 8, 1, f);
	for (size_t i = 0; i < w->n; i++) {
		append_le(f, w->area[i].addr, 8);
		append_le(f, w->area[i].len, 4);
		fwrite(w->area[i].data, w->area[i].len, 1, f);
	}
	fclose(f);
	assert_int_equal(mem_open_file(&w->mem, w->path, NULL), 0);
	unlink(w->path);
	return goruntime_init(&w->rt, w->gb, w->mem, 0, 0, err);
}

static inline void world_free(struct world *w)
{
	goruntime_deinit(&w->rt);
	mem_free(w->mem);
	gobin_free(w->gb);
	for (size_t i = 0; i < w->n; i++)
		free(w->area[i].data);
}

static inline void expect_off(const struct world *w, enum gofact f, const char *why)
{
	for (int i = 0; i < FACT_COUNT; i++)
		if (i != (int)f && w->rt.why_off[i][0])
			fail_msg("fact %d is off too: %s", i, w->rt.why_off[i]);
	assert_non_null(strstr(w->rt.why_off[f], why));
}

/* A world of one release, spoilt in one place before it is bound. */
#endif
