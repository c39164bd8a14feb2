/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which goroutines are to be judged, and what each waits for.
 *
 * Channels: the sudogs in g.waiting.  Locks, wait groups and conditions: since
 * 1.26 too; before, from the runtime's table of semaphores (sema.go), and for
 * conditions from the list that the parked goroutine's own stack points to.
 * What does not add up is no candidate: it counts as able to run.
 */
#include "prove/snap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "prove/prove.h"

#define MAX_WAITERS      (1u << 26)
#define MAX_CASES        65536      /* of one select: as selectgo has it */
#define SEM_TABLE_SIZE   251        /* sema.go, semTabSize, since 1.18 */
#define SEM_TABLE_STRIDE 64         /* a cache line of amd64 */
#define MAX_LIST         (1u << 24) /* waiters of one condition */
#define COND_NOTIFY      16         /* sync.Cond: L comes before notify (cond.go) */
#define NOTIFY_HEAD      16 /* sync.notifyList: wait, notify uint32, lock uintptr, head (runtime.go) */
#define SEMA_DEPTH       8          /* frames down to sync.runtime_Semacquire */
#define COND_STACK       (4u << 10) /* of a stack, where notifyListWait and its caller keep the list */

void snap_learn_reasons(struct snap *s)
{
	static const struct {
		const char *text;
		uint8_t kind;
	} known[] = {
		{ "chan receive", LEAK_CHAN_RECV },
		{ "chan send", LEAK_CHAN_SEND },
		{ "select", LEAK_SELECT },
		{ "select (no cases)", LEAK_SELECT_NONE },
		{ "chan receive (nil chan)", LEAK_NIL_CHAN },
		{ "chan send (nil chan)", LEAK_NIL_CHAN },
		{ "sync.Cond.Wait", LEAK_COND },
		{ "sync.Mutex.Lock", LEAK_MUTEX },
		{ "sync.RWMutex.RLock", LEAK_RWMUTEX },
		{ "sync.RWMutex.Lock", LEAK_RWMUTEX },
		{ "sync.WaitGroup.Wait", LEAK_WAITGROUP },
	};
	bool has_wait_group = false;

	memset(s->kind_of_reason, SNAP_NO_KIND, sizeof(s->kind_of_reason));
	s->reason_semacquire = 0xff;
	for (unsigned int r = 0; r < 255; r++) {
		const char *text = layout_wait_reason(s->rt->gb->layout, r);

		for (size_t i = 0; text && i < ARRAY_SIZE(known); i++)
			if (!strcmp(text, known[i].text))
				s->kind_of_reason[r] = known[i].kind;
		has_wait_group = has_wait_group || (text && !strcmp(text, "sync.WaitGroup.Wait"));
	}
	/* up to 1.23 a wait group has no reason of its own */
	for (unsigned int r = 0; r < 255 && !has_wait_group; r++) {
		const char *text = layout_wait_reason(s->rt->gb->layout, r);

		if (text && !strcmp(text, "semacquire")) {
			s->reason_semacquire = (uint8_t)r;
			s->kind_of_reason[r] = LEAK_WAITGROUP;
		}
	}
}

struct sudog {
	uint64_t addr, g, next, prev, elem, waitlink, c;
};

/* A sudog out of the copied heap; false: no sudog at addr. */
static bool read_sudog(const struct snap *s, uint64_t addr, struct sudog *out)
{
	int32_t size = go_off(s->rt, LAYOUT_SUDOG_SIZE);
	const struct pspan *span;
	uint64_t bit;
	const uint8_t *raw =
		addr % 8 || size <= 0 ? NULL : heap_bytes(&s->heap, addr, (uint64_t)size);

	if (!raw || !heap_find(&s->heap, addr, &bit, &span) || span->elem_size < (uint64_t)size ||
	    span->elem_size > 2 * (uint64_t)size || (addr - span->start) % span->elem_size)
		return false;
	*out = (struct sudog){
		.addr = addr,
		.g = heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_G)),
		.next = heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_NEXT)),
		.prev = heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_PREV)),
		.elem = heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_ELEM)),
		.waitlink = heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_WAITLINK)),
		.c = heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_C)),
	};
	return true;
}

static int add_waiter(struct snap *s, size_t g, uint64_t sudog, uint64_t primitive, uint64_t elem)
{
	if (s->nwaiter >= MAX_WAITERS ||
	    array_room(&s->waiter, s->nwaiter, &s->waiter_cap, sizeof(*s->waiter)))
		return -ENOMEM;
	if (!s->g[g].nwaiter) {
		s->g[g].first_waiter = (uint32_t)s->nwaiter;
		s->g[g].primitive = primitive;
	}
	s->g[g].nwaiter++;
	s->waiter[s->nwaiter++] = (struct pwaiter){
		.sudog = sudog, .primitive = primitive, .elem = elem, .g = (uint32_t)g
	};
	return 0;
}

static struct pgo *goroutine_at(struct snap *s, uint64_t addr, size_t *index)
{
	return snap_find_g(s, addr, index) ? &s->g[*index] : NULL;
}

static void forget(struct snap *s, struct pgo *g)
{
	g->nwaiter = 0;
	g->kind = SNAP_NO_KIND;
	s->losses++;
}

/* Channels and selects: g.waiting, one sudog a case.  Not fitting: able to run. */
static int take_cases(struct snap *s, size_t i)
{
	struct pgo *g = &s->g[i];
	uint64_t at = g->waiting;
	int err = 0;

	for (int n = 0; at && !err; n++) {
		struct sudog sd;

		if (n == MAX_CASES || !read_sudog(s, at, &sd) || sd.g != g->addr || !sd.c) {
			forget(s, g);
			return 0;
		}
		err = add_waiter(s, i, at, sd.c, sd.elem);
		at = sd.waitlink;
	}
	/* a select of nil channels only waits for nothing; it is for ever */
	if (!g->nwaiter && !err && g->kind != LEAK_SELECT)
		forget(s, g);
	return err;
}

/* Since 1.26 semaphores and conditions have their sudog in g.waiting too. */
static int take_sync_sudog(struct snap *s, size_t i)
{
	struct pgo *g = &s->g[i];
	struct sudog sd;

	if (!read_sudog(s, g->waiting, &sd) || sd.g != g->addr || !sd.elem) {
		forget(s, g); /* elem is cleared when it is about to be woken */
		return 0;
	}
	return add_waiter(s, i, sd.addr, sd.elem, 0);
}

/* ---- up to 1.25: the table of semaphores ---- */

static bool is_sema_kind(uint8_t kind)
{
	return kind == LEAK_MUTEX || kind == LEAK_RWMUTEX || kind == LEAK_WAITGROUP;
}

/* All that wait for one semaphore: the node and its waitlink list. */
static int take_semaphore(struct snap *s, const struct sudog *node)
{
	struct sudog sd = *node;
	size_t i;
	int err = 0;

	for (size_t n = 0; n <= s->ng && !err; n++) {
		struct pgo *g = goroutine_at(s, sd.g, &i);

		heap_set_opaque(&s->heap, sd.addr);
		if (g && is_sema_kind(g->kind) && !g->nwaiter)
			err = add_waiter(s, i, sd.addr, node->elem, 0);
		if (err || !sd.waitlink || !read_sudog(s, sd.waitlink, &sd))
			break;
	}
	return err;
}

/* A treap: prev and next are the children.  Depth first, each node once. */
static int take_treap(struct snap *s, uint64_t root)
{
	size_t cap = 0, n = 0, seen = 0;
	uint64_t *stack = NULL;
	int err = array_room(&stack, n, &cap, sizeof(*stack));

	if (!err)
		stack[n++] = root;
	while (n && !err && seen++ <= s->ng) { /* more: a cycle */
		struct sudog sd;

		if (!read_sudog(s, stack[--n], &sd))
			continue;
		err = take_semaphore(s, &sd);
		if (array_grow(&stack, n + 2, &cap, sizeof(*stack))) {
			err = -ENOMEM;
			break;
		}
		if (sd.prev)
			stack[n++] = sd.prev;
		if (sd.next)
			stack[n++] = sd.next;
	}
	free(stack);
	return err;
}

static int take_semaphores(struct snap *s)
{
	uint64_t table = s->rt->gb->global[GLOBAL_SEMTABLE] + s->rt->bias;
	int err = 0;

	for (int i = 0; i < SEM_TABLE_SIZE && !err; i++) {
		uint64_t root;

		if (snap_variable(s,
				  table + (uint64_t)i * SEM_TABLE_STRIDE +
					  (uint64_t)go_off(s->rt, LAYOUT_SEMAROOT_TREAP),
				  &root))
			return snap_fail(s, -EFAULT, "the table of semaphores cannot be read");
		if (root)
			err = take_treap(s, root);
	}
	return err;
}

/* ---- up to 1.25: conditions ---- */

/* All that wait on the list at addr, if it is one: each a waiting goroutine's sudog. */
static int take_list(struct snap *s, uint64_t addr)
{
	const uint8_t *raw = heap_bytes(&s->heap, addr, NOTIFY_HEAD + 16);
	uint64_t at = raw ? heap_word(raw + NOTIFY_HEAD) : 0;
	int err = 0;

	/* a condition that is a variable: reachable, as watch() will see */
	if (!raw && !snap_module_word(s, addr + NOTIFY_HEAD, &at))
		return 0;

	for (unsigned int n = 0; at && n < MAX_LIST && n <= s->ng && !err; n++) {
		struct sudog sd;
		struct pgo *g;
		size_t i;

		if (!read_sudog(s, at, &sd) || !(g = goroutine_at(s, sd.g, &i)) ||
		    g->kind != LEAK_COND)
			return 0;
		if (!g->nwaiter)
			err = add_waiter(s, i, at, addr, 0);
		at = sd.next;
	}
	return err;
}

static int find_list(struct snap *s, size_t i)
{
	const struct pgo *g = &s->g[i];
	uint32_t len = g->stack_len < COND_STACK ? g->stack_len : COND_STACK;
	int err = 0;

	for (uint32_t at = 0; at + 8 <= len && !s->g[i].nwaiter && !err; at += 8) {
		uint64_t w = heap_word(s->stacks + g->stack_at + at);

		if (!w || w % 8)
			continue;
		err = take_list(s, w);
		if (!err && !s->g[i].nwaiter)
			err = take_list(s, w + COND_NOTIFY);
	}
	return err;
}

/* ---- all ---- */

static bool may_be_candidate(struct snap *s, struct pgo *g)
{
	if (!g->live || g->whole_stack || g->stack_unread ||
	    (g->status != GO_WAITING && g->status != GO_LEAKED) ||
	    goruntime_is_system(s->rt, g->startpc))
		return false;
	g->kind = s->kind_of_reason[g->reason];
	if (g->kind != SNAP_NO_KIND && g->reason == s->reason_semacquire &&
	    !snap_stack_has(s, g, "sync.runtime_Semacquire", SEMA_DEPTH))
		g->kind = SNAP_NO_KIND;
	return g->kind != SNAP_NO_KIND;
}

static int take_waiting(struct snap *s, size_t i, bool modern)
{
	switch (s->g[i].kind) {
	case LEAK_CHAN_RECV:
	case LEAK_CHAN_SEND:
	case LEAK_SELECT:
		return take_cases(s, i);
	case LEAK_NIL_CHAN:
	case LEAK_SELECT_NONE:
	case SNAP_NO_KIND:
		return 0;
	case LEAK_COND:
		if (!modern)
			return s->g[i].nwaiter ? 0 : find_list(s, i);
		/* fall through */
	default:
		return modern ? take_sync_sudog(s, i) : 0;
	}
}

int snap_watch(struct snap *s, uint32_t w)
{
	const struct pspan *span;
	uint64_t bit, *first;

	/* not in the heap: a variable, or memory of C; reachable */
	if (!heap_find(&s->heap, s->waiter[w].primitive, &bit, &span))
		return 1;
	if (heap_is_marked(&s->heap, bit)) { /* an object that is free: cannot be */
		s->losses++;
		return 1;
	}
	first = u64map_put(&s->watched, bit, 0, NULL);
	if (!first)
		return -ENOMEM;
	s->waiter[w].next = (uint32_t)*first;
	*first = w + 1;
	heap_watch(&s->heap, s->waiter[w].primitive);
	return 0;
}

static int enter(struct snap *s, size_t i)
{
	struct pgo *g = &s->g[i];
	int err = 0;

	g->candidate = g->nwaiter || g->kind == LEAK_NIL_CHAN || g->kind == LEAK_SELECT_NONE ||
		       g->kind == LEAK_SELECT;
	if (!g->candidate) {
		if (g->kind != SNAP_NO_KIND)
			s->losses++;
		g->kind = SNAP_NO_KIND;
		return 0;
	}
	s->candidates++;
	for (uint32_t w = g->first_waiter; w < g->first_waiter + g->nwaiter && err >= 0; w++) {
		heap_set_opaque(&s->heap, s->waiter[w].sudog);
		if (s->assuming && g->held) /* its holders decide */
			continue;
		err = snap_watch(s, w);
		if (err == 1)
			snap_revive(s, i);
	}
	return err < 0 ? err : 0;
}

int snap_find_candidates(struct snap *s)
{
	bool modern = s->rt->gb->release.minor >= 26;
	int err = 0;

	s->nwaiter = s->candidates = 0;
	u64map_clear(&s->watched);
	for (size_t i = 0; i < s->ng; i++)
		may_be_candidate(s, &s->g[i]);
	if (!modern)
		err = take_semaphores(s);
	for (size_t i = 0; i < s->ng && !err; i++)
		err = take_waiting(s, i, modern);
	for (size_t i = 0; i < s->ng && !err; i++)
		err = enter(s, i);
	return err;
}
