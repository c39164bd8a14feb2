/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goahead_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gort/gostack.h"

#define MAX_STEPS     50000   /* instructions of one goroutine */
#define MAX_STEPS_ALL 4000000 /* of all: half a second */
#define MAX_FRAMES    256
#define MAX_INLINED   24
#define MAX_LOCKS     65536
#define MAX_CASES     64 /* of a select that it waits in */
#define ELEM_SIZE \
	24 /* in runtime.hchan: qcount, dataqsiz uint, buf pointer, elemsize uint16 (1.18 to 1.27) */
#define MAX_ELEM (64 * 8)

struct goahead *goahead_new(struct goruntime *rt)
{
	struct goahead *a = rt->gb->arch && rt->gb->arch->effect ? calloc(1, sizeof(*a)) : NULL;

	if (!a)
		return NULL;
	a->rt = rt;
	a->max_all = MAX_STEPS_ALL;
	u64map_init(&a->at, 2 * MAX_OPS);
	u64map_init(&a->callee, 1u << 16);
	u64map_init(&a->node_at, MAX_NODES);
	u64map_init(&a->lock, MAX_LOCKS);
	return a;
}

void goahead_restart(struct goahead *a)
{
	u64map_clear(&a->lock);
	a->nstd = 0;
	a->all_std = false;
	a->steps_all = 0;
	a->left_out = 0;
	a->max_all = MAX_STEPS_ALL;
}

void goahead_free(struct goahead *a)
{
	if (!a)
		return;
	u64map_deinit(&a->at);
	u64map_deinit(&a->callee);
	u64map_deinit(&a->node_at);
	u64map_deinit(&a->lock);
	free(a->state);
	free(a->op);
	free(a);
}

void goahead_limit(struct goahead *a, long instructions)
{
	a->max_all = instructions;
}

/* "net/http." of net/http.(*conn).serve */
static size_t package_len(const char *function)
{
	size_t path = strcspn(function, "(["), slash = path;

	while (slash && function[slash] != '/')
		slash--;
	return slash + strcspn(function + slash, ".") + 1;
}

static bool in_package(const struct goahead *a, const char *function)
{
	for (int i = 0; i < a->nstd; i++)
		if (!strncmp(function, a->std[i].path, a->std[i].len))
			return true;
	return false;
}

int goahead_add_lock(struct goahead *a, uint64_t lock, bool rw, const char *std)
{
	if (std && !in_package(a, std)) {
		a->all_std = a->nstd == MAX_STD;
		if (!a->all_std) {
			a->std[a->nstd].path = std;
			a->std[a->nstd++].len = package_len(std);
		}
	}
	return u64map_put(&a->lock, lock, rw ? 2 : 1, NULL) ? 0 : -ENOMEM;
}

uint64_t goahead_left_out(const struct goahead *a)
{
	return a->left_out;
}

static void follow(struct goahead *a, struct path *p)
{
	while (a->steps++ < MAX_STEPS)
		if (!goahead_step(a, p)) {
			goahead_ends(a, p);
			return;
		}
	a->full = true;
}

static void follow_all(struct goahead *a)
{
	while (a->npath && a->steps < MAX_STEPS) {
		struct path p = a->path[--a->npath];

		follow(a, &p);
	}
	a->full = a->full || a->npath;
	a->steps_all += a->steps;
	goahead_judge(a);
}

/* ---- one goroutine ---- */

/* What a goroutine waits in, on behalf of the code that is to be followed. */
static bool is_waiting_itself(const char *name)
{
	static const char *const prefixes[] = { "runtime.",         "internal/runtime/",
						"sync.runtime_",    "internal/sync.runtime_",
						"sync.(*Mutex).",   "internal/sync.(*Mutex).",
						"sync.(*RWMutex).", "sync.(*WaitGroup).Wait" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static bool is_users(const struct gofunc *fn)
{
	struct goframe f = { .function = fn->name };

	return !goframe_is_std(&f);
}

struct place_in {
	uint64_t pc, sp;
	bool users, waits, std; /* std: a package that waits for one of its own locks */
	bool preempts; /* runtime.asyncPreempt: it has kept the registers of the next one */
};

/* *whole: down to the goroutine's beginning. */
static int unwind(struct goahead *a, uint64_t pc, uint64_t sp, struct place_in *f, bool *whole)
{
	struct pclntab *pcln = a->rt->gb->pcln;
	struct gofunc fn;
	int32_t size;
	int n = 0;

	*whole = false;
	while (n < MAX_FRAMES && !pclntab_find_pc(pcln, pc - a->rt->bias, &fn)) {
		bool waits = is_waiting_itself(fn.name);

		*whole = gostack_is_goexit(a->rt, &fn);
		if (*whole)
			break;
		f[n++] = (struct place_in){ pc,
					    sp,
					    is_users(&fn),
					    waits,
					    !waits && (a->all_std || in_package(a, fn.name)),
					    !strcmp(fn.name, "runtime.asyncPreempt") };
		if (pclntab_frame_size(pcln, pc - a->rt->bias, &size) || size < 0 ||
		    !goahead_read_word(a, sp + (uint64_t)size, &pc))
			break;
		sp += (uint64_t)size + 8;
	}
	return n;
}

/* What the code that was interrupted had in its registers: asyncPreempt's own says where it keeps them. */
static void take_registers(struct goahead *a, const struct place_in *f, struct path *p)
{
	struct gofunc fn;
	uint64_t pc, value;

	if (pclntab_find_pc(a->rt->gb->pcln, f->pc - a->rt->bias, &fn))
		return;
	for (pc = fn.entry + a->rt->bias; pc < f->pc;) {
		const struct effect *e = goahead_op(a, pc);

		if (!e || e->flow != FLOW_NEXT)
			break;
		if (e->kind == EFFECT_MOVE && e->src.kind == OPERAND_REG && e->src.size == 8 &&
		    e->dst.kind == OPERAND_MEM && e->dst.reg == EFFECT_SP &&
		    e->src.reg != EFFECT_FP &&
		    goahead_read_word(a, f->sp + (uint64_t)e->dst.value, &value))
			path_set(p, e->src.reg, true, true, value);
		pc += e->len;
	}
}

/*
 * Where its code continues, and how far up it is of interest: from the innermost
 * to the outermost frame of the user's; where the standard library waits for one
 * of its own locks and is on this stack, all of it.  False: there is none, or
 * not known.
 */
static bool find_start(struct goahead *a, const struct goroutine *g, uint64_t pc, uint64_t sp,
		       struct path *p)
{
	struct place_in f[MAX_FRAMES];
	bool std = false, whole, interrupted = g->status == GO_RUNNABLE || g->status == GO_RUNNING;
	int n = unwind(a, pc, sp, f, &whole), from = 0, to = n - 1;

	for (int i = 0; i < n; i++)
		std = std || f[i].std;
	while (from < n && (f[from].waits || !(f[from].users || std)))
		from++;
	while (to >= 0 && !(f[to].users || std))
		to--;
	a->torn = g->status == GO_RUNNING && !whole;
	if (a->torn || from >= n || to < from || (!from && g->status != GO_SYSCALL && !interrupted))
		return false;
	memset(p, 0, sizeof(*p));
	p->pc = f[from].pc;
	path_set(p, EFFECT_SP, true, true, f[from].sp);
	p->soft_stack = from && !f[from - 1].waits;
	if (from && f[from - 1].preempts)
		take_registers(a, &f[from - 1], p);
	a->user_top = to + 1 < n ? f[to + 1].sp : g->stack_hi;
	return true;
}

/* Where a value that it waits to receive will be put. */
static bool forget_received(struct goahead *a, const struct goroutine *g, struct path *p)
{
	uint64_t sudog = g->waiting, c, elem, size, link;
	int32_t off_c = go_off(a->rt, LAYOUT_SUDOG_C), off_elem = go_off(a->rt, LAYOUT_SUDOG_ELEM),
		off_link = go_off(a->rt, LAYOUT_SUDOG_WAITLINK);

	if (off_c < 0 || off_elem < 0 || off_link < 0)
		return !sudog;
	for (int n = 0; sudog; n++) {
		if (n == MAX_CASES || !goahead_read_word(a, sudog + (uint64_t)off_c, &c) ||
		    !goahead_read_word(a, sudog + (uint64_t)off_elem, &elem) ||
		    !goahead_read_word(a, sudog + (uint64_t)off_link, &link))
			return false;
		if (c && elem >= a->base && elem < a->top) {
			if (!goahead_read_word(a, c + ELEM_SIZE, &size))
				return false;
			size &= 0xffff;
			for (uint64_t at = elem & ~7ull; at < elem + size; at += 8)
				if (size > MAX_ELEM || !path_store_word(p, at, false, false, 0))
					return false;
		}
		sudog = c ? link : 0;
	}
	return true;
}

static bool read_stack(struct goahead *a, const struct goroutine *g, uint64_t sp)
{
	struct goroutine now;

	a->base = sp;
	a->top = g->stack_hi;
	a->len = g->stack_hi - sp < STACK_BYTES ? g->stack_hi - sp : STACK_BYTES;
	return !mem_read(a->rt->mem, sp, a->stack, a->len) && !goread_one(a->rt, g->addr, &now) &&
	       now.goid == g->goid && now.sched_sp == g->sched_sp &&
	       now.tracking_seq == g->tracking_seq && now.status == g->status;
}

/* Behind asyncPreempt's call, where a goroutine stands whose CPU is taken away; 0: not known. */
static uint64_t preempt_pc(struct goahead *a)
{
	struct gofunc fn;
	uint64_t pc;

	if (a->preempt_pc || pclntab_find_name(a->rt->gb->pcln, "runtime.asyncPreempt", &fn))
		return a->preempt_pc;
	for (pc = fn.entry + a->rt->bias; pc < fn.end + a->rt->bias;) {
		const struct effect *e = goahead_op(a, pc);

		if (!e)
			break;
		pc += e->len;
		if (e->flow != FLOW_CALL)
			continue;
		a->preempt_pc = pc;
		break;
	}
	return a->preempt_pc;
}

/*
 * Of one that runs, where it stood when its CPU was last taken away, at most some
 * 10 ms ago: the frame that was made then is still there, unless it has called
 * something since.
 */
static bool last_start(struct goahead *a, const struct goroutine *g, uint64_t *pc, uint64_t *sp)
{
	uint64_t low =
		g->stack_hi - g->stack_lo < STACK_BYTES ? g->stack_lo : g->stack_hi - STACK_BYTES;

	*pc = preempt_pc(a);
	if (g->status != GO_RUNNING || !*pc || low >= g->stack_hi ||
	    mem_read(a->rt->mem, low, a->stack, g->stack_hi - low))
		return gostack_start(g, pc, sp);
	a->base = low;
	a->len = g->stack_hi - low;
	for (uint64_t at = (g->stack_hi & ~7ull) - 8; at >= low; at -= 8) {
		struct place_in f[MAX_FRAMES];
		bool whole;

		if (load_u64(a->stack + (at - low)) != *pc)
			continue;
		*sp = at + 8;
		unwind(a, *pc, *sp, f, &whole);
		if (whole)
			return true;
	}
	return false;
}

static int look(struct goahead *a, const struct goroutine *g, uint64_t lock)
{
	int32_t off = go_off(a->rt, LAYOUT_G_DEFER);
	struct path *p = &a->path[0];
	uint64_t pc, sp;

	goahead_clear(a);
	a->gives = false;
	if (a->steps_all >= a->max_all) {
		a->left_out++;
		return -ENOSPC;
	}
	if (!last_start(a, g, &pc, &sp) || !read_stack(a, g, sp))
		return -EAGAIN;
	if (!find_start(a, g, pc, sp, p))
		return a->torn ? -EAGAIN : 0;
	if (!forget_received(a, g, p))
		p->soft_stack = true;
	if (off < 0 || mem_read_u64(a->rt->mem, g->addr + (uint64_t)off, &p->next_defer))
		p->next_defer = 0, p->muddy = true;
	if (lock)
		goahead_has(p, lock);
	if (goahead_arrive(a, p))
		a->path[a->npath++] = *p;
	follow_all(a);
	return (int)a->nact;
}

int goahead_look(struct goahead *a, const struct goroutine *g, uint64_t lock,
		 const struct goahead_act **acts)
{
	*acts = a->act;
	return look(a, g, lock);
}

bool goahead_gives_back(struct goahead *a, const struct goroutine *g, uint64_t lock)
{
	int n;

	a->survey = true;
	n = look(a, g, lock);
	a->survey = false;
	return n < 0 || a->gives || a->full;
}

int goahead_place(struct goahead *a, uint64_t pc, struct goframe *out)
{
	struct goframe f[MAX_INLINED];
	int n = pclntab_frames(a->rt->gb->pcln, pc - a->rt->bias, false, f, MAX_INLINED);

	for (int i = 0; i < n; i++) {
		*out = f[i];
		if (!goframe_is_std(&f[i]))
			return 0;
	}
	return n > 0 ? 0 : -ENOENT;
}
