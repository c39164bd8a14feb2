/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goruntime_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define RAW_BYTES     (1u << 20)
#define BATCH_PIECES  512
#define MAX_START_PCS 65536 /* remembered; beyond: looked up each time */

void goruntime_off(struct goruntime *rt, enum gofact f, const char *fmt, ...)
{
	va_list ap;

	if (rt->why_off[f][0])
		return;
	va_start(ap, fmt);
	vsnprintf(rt->why_off[f], sizeof(rt->why_off[f]), fmt, ap);
	va_end(ap);
}

bool go_in_text(const struct goruntime *rt, uint64_t pc)
{
	return pc - rt->bias >= rt->gb->mod.text && pc - rt->bias < rt->gb->mod.etext;
}

/* [lo, hi) to hold those of n words that the release has. */
static void widen(const struct goruntime *rt, const enum layout_field *f, size_t n, int32_t *lo,
		  int32_t *hi)
{
	for (size_t i = 0; i < n; i++) {
		int32_t off = go_off(rt, f[i]);

		if (off < 0)
			continue;
		*lo = off < *lo ? off : *lo;
		*hi = off + 8 > *hi ? off + 8 : *hi;
	}
}

/* The span of a g that holds every field of interest, as the release has them. */
static int find_g_window(struct goruntime *rt)
{
	static const enum layout_field must[] = {
		LAYOUT_G_STACK_LO,     LAYOUT_G_STACK_HI,  LAYOUT_G_M,          LAYOUT_G_SCHED_SP,
		LAYOUT_G_SCHED_PC,     LAYOUT_G_SYSCALLSP, LAYOUT_G_SYSCALLPC,  LAYOUT_G_GOID,
		LAYOUT_G_ATOMICSTATUS, LAYOUT_G_WAITSINCE, LAYOUT_G_WAITREASON, LAYOUT_G_GOPC,
		LAYOUT_G_STARTPC,
	};
	static const enum layout_field may[] = {
		LAYOUT_G_SCHED_BP,   LAYOUT_G_TRACKINGSEQ, LAYOUT_G_LOCKEDM,
		LAYOUT_G_PARENTGOID, LAYOUT_G_WAITING,     LAYOUT_G_LABELS,
	};
	int32_t lo = INT32_MAX, hi = 0;

	if (!layout_has(rt->gb->layout, must, ARRAY_SIZE(must)))
		return -ENOENT;
	widen(rt, must, ARRAY_SIZE(must), &lo, &hi);
	widen(rt, may, ARRAY_SIZE(may), &lo, &hi);
	rt->cache->g_from = (uint32_t)lo;
	rt->cache->g_len = (uint32_t)(hi - lo);
	return hi - lo <= GO_MAX_G_BYTES ? 0 : -ENOENT;
}

static struct gowalk_cache *cache_new(void)
{
	struct gowalk_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	u64map_init(&c->system, MAX_START_PCS);
	c->raw = malloc(RAW_BYTES);
	c->piece = malloc(BATCH_PIECES * sizeof(*c->piece));
	c->first = malloc(BATCH_PIECES * sizeof(*c->first));
	c->stack = malloc(GO_STACK_BYTES);
	return c;
}

static void cache_free(struct gowalk_cache *c)
{
	if (!c)
		return;
	u64map_deinit(&c->system);
	free(c->addr);
	free(c->raw);
	free(c->piece);
	free(c->first);
	free(c->praw);
	free(c->ppiece);
	free(c->stack);
	goslot_cache_free(c->slots);
	free(c);
}

int goruntime_init(struct goruntime *rt, struct gobin *gb, struct memreader *mem, uint64_t bias,
		   int64_t mono_offset_ns, struct err *err)
{
	int code;

	memset(rt, 0, sizeof(*rt));
	rt->gb = gb;
	rt->mem = mem;
	rt->bias = bias;
	rt->mono_offset_ns = mono_offset_ns;
	if (!gb->layout)
		return err_set(err, -ENOEXEC,
			       "the runtime of Go release '1.%d' on this architecture is not known",
			       gb->release.minor);
	rt->cache = cache_new();
	if (!rt->cache || !rt->cache->raw || !rt->cache->piece || !rt->cache->first ||
	    !rt->cache->stack)
		code = err_set(err, -ENOMEM, "no memory");
	else if (find_g_window(rt))
		code = err_set(err, -ENOEXEC,
			       "the layout of a goroutine is not known for Go release '1.%d'",
			       gb->release.minor);
	else
		code = goruntime_verify(rt, err);
	if (code)
		goruntime_deinit(rt);
	return code;
}

void goruntime_deinit(struct goruntime *rt)
{
	cache_free(rt->cache);
	rt->cache = NULL;
}

const char *goroutine_state(const struct goruntime *rt, const struct goroutine *g)
{
	/* gStatusStrings of runtime/traceback.go */
	static const char *const word[] = {
		[GO_IDLE] = "idle",           [GO_RUNNABLE] = "runnable",
		[GO_RUNNING] = "running",     [GO_SYSCALL] = "syscall",
		[GO_WAITING] = "waiting",     [GO_DEAD] = "dead",
		[GO_COPYSTACK] = "copystack", [GO_PREEMPTED] = "preempted",
		[GO_LEAKED] = "leaked",       [GO_DEADEXTRA] = "waiting for cgo callback",
	};

	if ((g->status == GO_WAITING || g->status == GO_LEAKED) && g->wait_reason &&
	    goruntime_has(rt, FACT_REASONS)) {
		const char *reason = layout_wait_reason(rt->gb->layout, g->wait_reason);

		return reason && *reason ? reason : "unknown wait reason";
	}
	if (g->status < ARRAY_SIZE(word) && word[g->status])
		return word[g->status];
	return "???";
}
