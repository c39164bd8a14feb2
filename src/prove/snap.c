/* SPDX-License-Identifier: BSD-2-Clause */
#include "prove/snap.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define G_BATCH       (1u << 20)
#define MAX_WATCHED   (1u << 26)
#define WATCHED_BYTES 48   /* of a map, where each waits for something else */
#define G_AT_ONCE     4096 /* marked without asking whether to go on */

int snap_fail(struct snap *s, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	return code;
}

static void on_watched(void *arg, uint64_t bit);

int snap_init(struct snap *s, struct goruntime *rt)
{
	int32_t size = layout_off(rt->gb->layout, LAYOUT_G_SIZE);
	int err;

	memset(s, 0, sizeof(*s));
	s->rt = rt;
	u64map_init(&s->watched, MAX_WATCHED);
	stackmaps_init(&s->maps, rt->gb);
	err = heap_init(&s->heap, rt);
	if (err)
		return err;
	s->heap.on_watched = on_watched;
	s->heap.arg = s;
	s->g_size = (uint32_t)size;
	s->g_raw = malloc(G_BATCH);
	if (!s->g_raw)
		return -ENOMEM;
	snap_learn_reasons(s);
	return 0;
}

void snap_deinit(struct snap *s)
{
	snap_forget_held(s);
	heap_deinit(&s->heap);
	stackmaps_deinit(&s->maps);
	snap_free_modules(s);
	u64map_deinit(&s->watched);
	free(s->gaddr);
	free(s->g);
	free(s->g_raw);
	free(s->stacks);
	free(s->stack_piece);
	free(s->stack_owner);
	free(s->channel);
	readbatch_deinit(&s->heads);
	free(s->reached);
	readbatch_deinit(&s->reached_g);
	free(s->word);
	free(s->object);
	free(s->waiter);
	free(s->live_queue);
	free(s->system);
	free(s->system_g);
	memset(s, 0, sizeof(*s));
}

/* Of what is kept of ng goroutines. */
static uint64_t bytes_of(const struct snap *s, uint64_t ng)
{
	return ng * (sizeof(*s->g) + sizeof(*s->gaddr) + sizeof(*s->waiter) +
		     sizeof(*s->live_queue) + WATCHED_BYTES);
}

uint64_t snap_bytes(const struct snap *s, size_t ng)
{
	return heap_bytes_needed(&s->heap) + s->stacks_len + bytes_of(s, ng);
}

/* The heap, if what is kept of all goroutines fits beside it: seen before it is copied. */
static int read_heap(struct snap *s)
{
	uint64_t at = s->rt->gb->global[GLOBAL_ALLGLEN] + s->rt->bias, ng = 0, kept;
	int err;

	if (mem_read_u64(s->rt->mem, at, &ng) || ng > UINT32_MAX)
		ng = 0; /* snap_read_goroutines() says it */
	kept = bytes_of(s, ng);
	err = heap_read(&s->heap, s->max_bytes > kept ? s->max_bytes - kept : 0);
	if (err == -ENOSPC)
		s->wanted_bytes = snap_bytes(s, (size_t)ng);
	return err;
}

void snap_drop_copies(struct snap *s)
{
	heap_drop_contents(&s->heap);
	snap_keep_nothing(s);
	free(s->stacks);
	s->stacks = NULL;
	s->stacks_cap = 0;
}

int snap_copy(struct snap *s, const struct freeze *f, uint64_t max_bytes, uint64_t deadline_ns)
{
	int err;

	s->freeze = f;
	s->frozen = f != NULL;
	s->heap.frozen = s->frozen;
	s->heap.deadline_ns = deadline_ns;
	s->max_bytes = max_bytes;
	s->heap.ended = false;
	s->misread = false;
	s->losses = 0;
	s->later_ns = 0;
	s->why[0] = '\0';
	if (!s->frozen)
		snap_keep_nothing(s);
	if (!s->keeping)
		s->stacks_len = 0;
	s->nword = 0;
	err = snap_read_modules(s);
	if (!err)
		err = read_heap(s);
	if (err == -EBADMSG && !s->why[0])
		snap_fail(s, err, "%s", s->heap.why);
	if (!err)
		err = snap_read_goroutines(s);
	if (!err)
		err = snap_copy_modules(s);
	if (!err)
		err = snap_read_roots(s);
	s->heap.sealed = true;
	s->freeze = NULL;
	return err;
}

void snap_revive(struct snap *s, size_t i)
{
	struct pgo *g = &s->g[i];

	if (g->reached)
		return;
	g->reached = true;
	s->live_queue[s->nlive++] = (uint32_t)i; /* once each: cannot overflow */
}

static void on_watched(void *arg, uint64_t bit)
{
	struct snap *s = arg;
	uint64_t *first = u64map_find(&s->watched, bit);

	for (uint32_t w = first ? (uint32_t)*first : 0; w; w = s->waiter[w - 1].next)
		snap_revive(s, s->waiter[w - 1].g);
}

/*
 * What a g holds.  The end of its stack is left out: it is the address behind
 * it, where another span may begin.
 */
static void mark_g(struct snap *s, uint64_t addr)
{
	const uint8_t *raw = heap_bytes(&s->heap, addr, s->g_size);
	uint32_t hi = (uint32_t)layout_off(s->rt->gb->layout, LAYOUT_G_STACK_HI);

	heap_mark_word(&s->heap, addr);
	if (!raw) {
		heap_mark_contents(&s->heap, addr); /* not copied: unknown */
		return;
	}
	heap_mark_words(&s->heap, raw, hi);
	heap_mark_words(&s->heap, raw + hi + 8, s->g_size - hi - 8);
}

/* What a goroutine that can run keeps: its g, its stack, and what it waits with. */
static void mark_goroutine(struct snap *s, size_t i)
{
	const struct pgo *g = &s->g[i];

	snap_revive_held(s, i);
	mark_g(s, g->addr);
	for (uint32_t w = g->first_waiter; w < g->first_waiter + g->nwaiter; w++) {
		heap_mark_word(&s->heap, s->waiter[w].elem);
		heap_mark_word(&s->heap, s->waiter[w].primitive);
	}
	snap_mark_stack(s, g);
}

static int drain(struct snap *s)
{
	size_t n = 0;
	int err = 0;

	while ((s->nlive || s->heap.nqueue) && !s->heap.ended) {
		for (; s->nlive && !s->heap.ended; n++) {
			err = snap_copy_reached(s);
			if (err)
				return err;
			mark_goroutine(s, s->live_queue[--s->nlive]);
			if (n % G_AT_ONCE == 0)
				heap_go_on(&s->heap, "marking what goroutines keep", n, s->ng);
		}
		heap_drain(&s->heap);
	}
	return 0;
}

/* Every g is an object in use, of the size of a g: else the layout is another. */
static int check_goroutines(struct snap *s)
{
	for (size_t i = 0; i < s->ng; i++) {
		const struct pspan *span;
		uint64_t bit;

		if (heap_find(&s->heap, s->gaddr[i], &bit, &span) &&
		    !heap_is_marked(&s->heap, bit) && !span->noscan &&
		    span->elem_size >= s->g_size && span->elem_size <= 2ull * s->g_size &&
		    (s->gaddr[i] - span->start) % span->elem_size == 0)
			continue;
		if (s->frozen)
			return snap_fail(s, -EBADMSG, "a goroutine is not an object of the heap");
		s->misread = true;
	}
	return 0;
}

int snap_continue(struct snap *s)
{
	int err = drain(s);

	if (err)
		return err;
	if (s->heap.ended)
		return -EINTR;
	return s->misread || s->heap.reached_unknown ? -EFAULT : 0;
}

int snap_judge(struct snap *s)
{
	int err = array_grow(&s->live_queue, s->ng, &s->live_cap, sizeof(*s->live_queue));

	s->nlive = 0;
	for (size_t i = 0; i < s->ng; i++) {
		s->g[i].kind = SNAP_NO_KIND;
		s->g[i].candidate = s->g[i].reached = s->g[i].held = s->g[i].stuck = false;
		s->g[i].nwaiter = 0;
		s->g[i].primitive = 0;
	}
	heap_clear_marks(&s->heap);
	if (!err)
		err = check_goroutines(s);
	for (size_t i = 0; i < s->ng; i++)
		heap_set_opaque(&s->heap, s->g[i].addr);
	for (size_t i = 0; i < s->nsystem_g; i++)
		heap_set_opaque(&s->heap, s->system_g[i]);
	if (!err)
		err = snap_take_held(s);
	if (!err)
		err = snap_find_candidates(s);
	if (!err)
		err = snap_check_kept(s);
	if (err)
		return err;
	snap_mark_ps(s);
	snap_mark_modules(s);
	for (size_t i = 0; i < s->nword; i++)
		heap_mark_word(&s->heap, s->word[i]);
	for (size_t i = 0; i < s->nobject; i++)
		heap_mark_contents(&s->heap, s->object[i]);
	for (size_t i = 0; i < s->nsystem; i++)
		snap_mark_stack(s, &s->system[i]);
	for (size_t i = 0; i < s->nsystem_g; i++)
		mark_g(s, s->system_g[i]);
	for (size_t i = 0; i < s->ng; i++) {
		if (!s->g[i].live)
			mark_g(s, s->g[i].addr);
		else if (!s->g[i].candidate)
			snap_revive(s, i);
	}
	err = snap_continue(s);
	return err ? err : snap_drop_held(s);
}
