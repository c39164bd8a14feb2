/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks of goroutines that do not run, by the frame sizes of the pclntab
 * (pcsp), as the runtime's own unwinder does it (runtime/traceback.go).
 */
#include "gort/goruntime_priv.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "gort/goslots.h"
#include "gort/gostack.h"

#define FIRST_BYTES    4096
#define NEXT_BYTES     16384
#define FLAG_TOP_FRAME 1 /* abi.FuncFlagTopFrame: nothing above */
#define FLAG_SP_WRITE  2 /* abi.FuncFlagSPWrite: assembly that switches stacks */

struct window {
	uint64_t base; /* run-time address of cache->stack[0] */
	size_t len;
	size_t total; /* bytes read of this stack so far */
};

static uint32_t bytes_at(const struct goroutine *g, uint64_t addr, size_t want, size_t total)
{
	uint64_t n = g->stack_hi - addr;

	if (n > want)
		n = want;
	if (n > GO_STACK_BYTES - total)
		n = GO_STACK_BYTES - total;
	return (uint32_t)n;
}

static bool in_stack(const struct goroutine *g, uint64_t addr)
{
	return addr >= g->stack_lo && addr < g->stack_hi && g->stack_hi - addr >= 8 &&
	       addr % 8 == 0;
}

static int stack_word(struct goruntime *rt, const struct goroutine *g, struct window *w,
		      uint64_t addr, uint64_t *out)
{
	if (!in_stack(g, addr))
		return -EFAULT;
	if (addr < w->base || addr + 8 > w->base + w->len) {
		uint32_t n = bytes_at(g, addr, NEXT_BYTES, w->total);

		if (n < 8 || mem_read(rt->mem, addr, rt->cache->stack, n))
			return -EFAULT;
		w->base = addr;
		w->len = n;
		w->total += n;
	}
	*out = load_u64(rt->cache->stack + (addr - w->base));
	return 0;
}

/* Where it stands; in a system call sched is stale and syscallpc/sp are right. */
bool gostack_start(const struct goroutine *g, uint64_t *pc, uint64_t *sp)
{
	if (g->status == GO_RUNNING || g->status == GO_COPYSTACK)
		return false;
	*pc = g->sched_pc;
	*sp = g->sched_sp;
	if (g->status == GO_SYSCALL) {
		*pc = g->syscall_pc;
		*sp = g->syscall_sp;
	}
	return *pc && in_stack(g, *sp);
}

/*
 * The first bytes of the stack, and after them the g again: when it has moved
 * on, the bytes are of another moment.
 */
static int first_window(struct goruntime *rt, const struct goroutine *g, uint64_t pc, uint64_t sp,
			struct window *w)
{
	uint8_t raw[GO_MAX_G_BYTES];
	struct mem_piece p[2] = {
		{ .addr = sp, .dst = rt->cache->stack, .len = bytes_at(g, sp, FIRST_BYTES, 0) },
		{ .addr = g->addr + rt->cache->g_from, .dst = raw, .len = rt->cache->g_len },
	};
	struct goroutine now;
	uint64_t now_pc, now_sp;

	if (mem_read_many(rt->mem, p, 2))
		return -EFAULT;
	goread_decode(rt, g->addr, raw, &now);
	if (now.goid != g->goid || now.status != g->status ||
	    !gostack_start(&now, &now_pc, &now_sp) || now_pc != pc || now_sp != sp)
		return -EAGAIN;
	*w = (struct window){ .base = sp, .len = p[0].len, .total = p[0].len };
	return 0;
}

bool gostack_is_goexit(const struct goruntime *rt, const struct gofunc *fn)
{
	return fn->func_id == rt->gb->layout->func_id_goexit || !strcmp(fn->name, "runtime.goexit");
}

/*
 * Beyond assembly that switches stacks nothing can be said: an honest end.
 * cgocallback writes SP too, but leaves the frames of the Go code that called
 * C behind it (asm_amd64.s).
 */
bool gostack_is_end(const struct gofunc *fn, bool innermost)
{
	if (fn->flag & FLAG_TOP_FRAME)
		return true;
	return !innermost && (fn->flag & FLAG_SP_WRITE) && strcmp(fn->name, "runtime.cgocallback");
}

/* Into pcs or frames, whichever there is. */
static int unwind(struct goruntime *rt, const struct goroutine *g, struct window *w, uint64_t *pcs,
		  struct gostack_frame *frames, int max, bool *whole)
{
	uint64_t pc, sp;
	struct gofunc fn;
	int32_t size;
	int n = 0;

	*whole = false;
	if (!gostack_start(g, &pc, &sp) || first_window(rt, g, pc, sp, w))
		return 0;
	while (n < max && !pclntab_find_pc(rt->gb->pcln, pc - rt->bias, &fn)) {
		*whole = gostack_is_goexit(rt, &fn);
		if (*whole)
			break;
		if (pcs)
			pcs[n] = pc;
		if (frames)
			frames[n] = (struct gostack_frame){ .pc = pc, .sp = sp };
		n++;
		*whole = gostack_is_end(&fn, n == 1);
		if (*whole)
			break;
		if (pclntab_frame_size(rt->gb->pcln, pc - rt->bias, &size) || size < 0)
			break;
		if (frames)
			frames[n - 1].argp = sp + (uint64_t)size + 8;
		if (stack_word(rt, g, w, sp + (uint64_t)size, &pc))
			break;
		sp += (uint64_t)size + 8;
	}
	return n;
}

int gostack_unwind(struct goruntime *rt, const struct goroutine *g, uint64_t *pcs, int max,
		   bool *whole)
{
	struct window w;

	return unwind(rt, g, &w, pcs, NULL, max, whole);
}

/* Whether it is still where it was when g was read. */
static bool stands_there(struct goruntime *rt, const struct goroutine *g)
{
	struct goroutine now;

	return !goread_one(rt, g->addr, &now) && now.goid == g->goid && now.status == g->status &&
	       now.tracking_seq == g->tracking_seq && now.sched_pc == g->sched_pc &&
	       now.sched_sp == g->sched_sp && now.syscall_pc == g->syscall_pc &&
	       now.syscall_sp == g->syscall_sp && now.stack_hi == g->stack_hi;
}

int goruntime_stack_frames(struct goruntime *rt, const struct goroutine *g,
			   struct gostack_frame *out, int max)
{
	struct window w = { 0 };
	bool whole;
	int n;

	if (!goruntime_has(rt, FACT_STACKS))
		return 0;
	n = unwind(rt, g, &w, NULL, out, max, &whole);
	/* what did not fit into the first call was read after the g */
	return n && w.total > FIRST_BYTES && !stands_there(rt, g) ? 0 : n;
}

int goruntime_stack(struct goruntime *rt, const struct goroutine *g, uint64_t *pcs, int max)
{
	bool whole;

	if (!goruntime_has(rt, FACT_STACKS))
		return 0;
	return gostack_unwind(rt, g, pcs, max, &whole);
}

/* A frame that a signal put there: the pc above it is where the signal hit, no return address. */
static bool is_injected(const struct goruntime *rt, const struct gofunc *fn)
{
	const struct layout *l = rt->gb->layout;

	return fn->func_id == l->func_id_sigpanic || fn->func_id == l->func_id_asyncpreempt;
}

int goruntime_frames_at(struct goruntime *rt, uint64_t pc, bool *injected, struct goframe *out,
			int max)
{
	struct gofunc fn;
	bool above = *injected;

	pc -= rt->bias;
	if (pclntab_find_pc(rt->gb->pcln, pc, &fn))
		return -ENOENT;
	*injected = is_injected(rt, &fn);
	/* where it stands is behind a call too, unless it has not begun */
	return pclntab_frames(rt->gb->pcln, pc, !above && pc > fn.entry, out, max);
}

int goruntime_frames(struct goruntime *rt, const uint64_t *pcs, int npcs, struct goframe *out,
		     int max)
{
	bool injected = false;
	int n = 0;

	for (int i = 0; i < npcs && n < max; i++) {
		int got = goruntime_frames_at(rt, pcs[i], &injected, out + n, max - n);

		if (got <= 0)
			break;
		n += got;
	}
	return n;
}
