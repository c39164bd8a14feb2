/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutines that use the network: the words on their stacks that lead to connections, requests and servers. */
#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/vec.h"

#define G_HEAD_MAX 512
#define FRESH_NS \
	(50 * NS_PER_MS) /* words of stacks that were read since then are not checked once more */
#define GO_STATUS_SCAN_BIT 0x1000u

/* The part of a g that says whether it has moved: from sched on. */
static uint32_t g_head_bytes(const struct netwatch *nw)
{
	static const enum layout_field used[] = { LAYOUT_G_GOID, LAYOUT_G_ATOMICSTATUS,
						  LAYOUT_G_TRACKINGSEQ, LAYOUT_G_SYSCALLPC,
						  LAYOUT_G_SCHED_PC };
	int32_t end = 0;

	for (size_t i = 0; i < sizeof(used) / sizeof(*used); i++)
		if (net_off(nw, used[i]) + 8 > end)
			end = net_off(nw, used[i]) + 8;
	end -= net_off(nw, LAYOUT_G_SCHED_SP);
	return end < G_HEAD_MAX ? (uint32_t)end : G_HEAD_MAX;
}

/* Whether the g, read behind its stack's words, is still where the walk saw it. */
static bool stands(const struct netwatch *nw, const struct goroutine *g, const uint8_t *raw)
{
	uint32_t status;

	raw -= net_off(nw, LAYOUT_G_SCHED_SP);
	status = load_u32(raw + net_off(nw, LAYOUT_G_ATOMICSTATUS)) & ~GO_STATUS_SCAN_BIT;
	return load_u64(raw + net_off(nw, LAYOUT_G_GOID)) == g->goid && status == g->status &&
	       raw[net_off(nw, LAYOUT_G_TRACKINGSEQ)] == g->tracking_seq &&
	       load_u64(raw + net_off(nw, LAYOUT_G_SCHED_SP)) == g->sched_sp &&
	       load_u64(raw + net_off(nw, LAYOUT_G_SYSCALLSP)) == g->syscall_sp;
}

/* The classes of the stacks that were read so far. */
int netusers_classify(struct netwatch *nw, const struct gostacks *gs)
{
	struct net_users *ps = &nw->users;
	int err = 0;

	while (ps->class_cap < gs->n && !err)
		err = array_room(&ps->class_of, ps->class_cap, &ps->class_cap,
				 sizeof(*ps->class_of));
	if (!err)
		err = netstacks_classify(&nw->stacks, gs, ps->nclass, ps->class_of);
	if (!err)
		ps->nclass = gs->n;
	return err;
}

static int keep_words(struct net_users *ps, const struct netstack *s, const struct gostack_bytes *b)
{
	for (int k = 0; k < NETSLOT_COUNT; k++) {
		int32_t slot = s->slot[k];

		if (slot == NETSLOT_NONE)
			continue;
		if (array_room(&ps->word, ps->nword, &ps->word_cap, sizeof(*ps->word)))
			return -ENOMEM;
		ps->word[ps->nword++] =
			slot >= 0 && (size_t)slot + 8 <= b->len ? load_u64(b->bytes + slot) : 0;
	}
	return 0;
}

static int keep_frame(struct net_users *ps, const struct netstack *s, const struct gostack_bytes *b,
		      uint32_t *at)
{
	size_t size = (size_t)s->loop_size, cap;
	uint8_t *grown;

	if ((size_t)s->loop_sp + size > b->len || ps->nframe + size >= NET_NO_FRAME)
		return 0;
	if (ps->nframe + size > ps->frame_cap) {
		cap = (ps->nframe + size) * 2;
		grown = realloc(ps->frame, cap);
		if (!grown)
			return -ENOMEM;
		ps->frame = grown;
		ps->frame_cap = cap;
	}
	memcpy(ps->frame + ps->nframe, b->bytes + s->loop_sp, size);
	*at = (uint32_t)ps->nframe;
	ps->nframe += size;
	return 0;
}

int netusers_observe(void *listens, const struct gostacks *gs, const struct gostack_bytes *b)
{
	struct netwatch *nw = listens;
	struct net_users *ps = &nw->users;
	int err = b->stack < ps->nclass ? 0 : netusers_classify(nw, gs);
	struct net_user p = { .walk = b->walk, .word = (uint32_t)ps->nword, .frame = NET_NO_FRAME };
	const struct netstack *s;

	if (err)
		return err;
	p.cls = ps->class_of[b->stack];
	s = &nw->stacks.stack[p.cls];
	if (!s->roles)
		return 0;
	if (s->reach > b->len && !b->all)
		return 1;
	err = keep_words(ps, s, b);
	if (!err && s->keeps_frame)
		err = keep_frame(ps, s, b, &p.frame);
	if (!err)
		err = array_room(&ps->v, ps->n, &ps->cap, sizeof(*ps->v));
	if (!err)
		ps->v[ps->n++] = p;
	return err;
}

void netusers_deinit(struct net_users *ps)
{
	free(ps->v);
	free(ps->word);
	free(ps->frame);
	free(ps->class_of);
	memset(ps, 0, sizeof(*ps));
}

uint64_t netusers_word(const struct netwatch *nw, const struct net_user *p, enum net_slot slot)
{
	const struct netstack *s = &nw->stacks.stack[p->cls];

	return s->slot[slot] == NETSLOT_NONE ? 0 : nw->users.word[p->word + s->at[slot]];
}

/*
 * Leaves those of the users v[0..n) that still are where they were when their
 * stacks were read: what others had on theirs leads nowhere any more.
 */
static int leave_standing(struct netwatch *nw, const struct gowalk *w, struct net_user *v,
			  size_t *n)
{
	uint32_t off = (uint32_t)net_off(nw, LAYOUT_G_SCHED_SP), head = g_head_bytes(nw),
		 piece[NET_AT_ONCE];
	size_t left = 0;
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < *n; i++)
		piece[i] = readbatch_add(&nw->batch, w->g[v[i].walk].addr + off, head);
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; i < *n && !err; i++) {
		const uint8_t *g = readbatch_get(&nw->batch, piece[i]);

		if (g && stands(nw, &w->g[v[i].walk], g))
			v[left++] = v[i];
		else
			nw->moved++;
	}
	*n = left;
	return err;
}

/* Where there are so many goroutines that their stacks were read a while ago. */
int netusers_check(struct netwatch *nw, const struct gowalk *w)
{
	struct net_users *ps = &nw->users;
	size_t left = 0, n;
	int err = 0;

	if (clock_mono_ns() - ps->begin_ns < FRESH_NS)
		return 0;
	for (size_t i = 0; i < ps->n && !err; i += NET_AT_ONCE) {
		n = ps->n - i < NET_AT_ONCE ? ps->n - i : NET_AT_ONCE;

		err = leave_standing(nw, w, ps->v + i, &n);
		if (left < i && !err)
			memmove(ps->v + left, ps->v + i, n * sizeof(*ps->v));
		left += n;
	}
	ps->n = left;
	return err;
}
