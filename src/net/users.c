/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutines that use the network: the words on their stacks that lead to connections, requests and servers. */
#include "net/priv.h"

#include "model/age.h"

#include "base/clock.h"

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

	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
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
	return net_u64(nw, raw, LAYOUT_G_GOID) == g->goid && status == g->status &&
	       raw[net_off(nw, LAYOUT_G_TRACKINGSEQ)] == g->tracking_seq &&
	       net_u64(nw, raw, LAYOUT_G_SCHED_SP) == g->sched_sp &&
	       net_u64(nw, raw, LAYOUT_G_SYSCALLSP) == g->syscall_sp;
}

/* The classes of the stacks that were read so far. */
int netusers_classify(struct netwatch *nw, const struct gostacks *gs)
{
	struct net_users *us = &nw->users;
	int err = 0;

	while (us->class_cap < gs->n && !err)
		err = array_room(&us->class_of, us->class_cap, &us->class_cap,
				 sizeof(*us->class_of));
	if (!err)
		err = netstacks_classify(&nw->stacks, gs, us->nclass, us->class_of);
	if (!err)
		us->nclass = gs->n;
	return err;
}

static int keep_words(struct net_users *us, const struct netstack *s, const struct gostack_bytes *b)
{
	for (int k = 0; k < NETSLOT_COUNT; k++) {
		int32_t slot = s->slot[k];

		if (slot == NETSLOT_NONE)
			continue;
		if (array_room(&us->word, us->nword, &us->word_cap, sizeof(*us->word)))
			return -ENOMEM;
		us->word[us->nword++] =
			slot >= 0 && (size_t)slot + 8 <= b->len ? load_u64(b->bytes + slot) : 0;
	}
	return 0;
}

static int keep_frame(struct net_users *us, const struct netstack *s, const struct gostack_bytes *b,
		      uint32_t *at)
{
	size_t size = (size_t)s->loop_size, cap;
	uint8_t *grown;

	if ((size_t)s->loop_sp + size > b->len || us->nframe + size >= NET_NO_FRAME)
		return 0;
	if (us->nframe + size > us->frame_cap) {
		cap = (us->nframe + size) * 2;
		grown = realloc(us->frame, cap);
		if (!grown)
			return -ENOMEM;
		us->frame = grown;
		us->frame_cap = cap;
	}
	memcpy(us->frame + us->nframe, b->bytes + s->loop_sp, size);
	*at = (uint32_t)us->nframe;
	us->nframe += size;
	return 0;
}

int netusers_observe(void *owner, const struct gostacks *gs, const struct gostack_bytes *b)
{
	struct netwatch *nw = owner;
	struct net_users *us = &nw->users;
	int err = b->stack < us->nclass ? 0 : netusers_classify(nw, gs);
	struct net_user p = { .walk = b->walk, .word = (uint32_t)us->nword, .frame = NET_NO_FRAME };
	const struct netstack *s;

	if (err)
		return err;
	p.cls = us->class_of[b->stack];
	s = &nw->stacks.stack[p.cls];
	if (!s->roles)
		return 0;
	if (!b->bytes || (s->reach > b->len && !b->all))
		return 1;
	err = keep_words(us, s, b);
	if (!err && s->keeps_frame)
		err = keep_frame(us, s, b, &p.frame);
	if (!err)
		err = array_room(&us->v, us->n, &us->cap, sizeof(*us->v));
	if (!err)
		us->v[us->n++] = p;
	return err;
}

void netusers_deinit(struct net_users *us)
{
	free(us->v);
	free(us->word);
	free(us->frame);
	free(us->class_of);
	memset(us, 0, sizeof(*us));
}

uint64_t netusers_word(const struct netwatch *nw, const struct net_user *p, enum net_slot slot)
{
	const struct netstack *s = &nw->stacks.stack[p->cls];

	return s->slot[slot] == NETSLOT_NONE ? 0 : nw->users.word[p->word + s->at[slot]];
}

static void ask_g(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct net_user *u = item;

	*piece = (struct readpiece){ nw->look->walk->g[u->walk].addr +
					     (uint64_t)net_off(nw, LAYOUT_G_SCHED_SP),
				     g_head_bytes(nw) };
}

static void take_g(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct netwatch *nw = owner;
	struct net_user *u = item;

	u->moved = !bytes[0] || !stands(nw, &nw->look->walk->g[u->walk], bytes[0]);
}

void net_lose(struct netwatch *nw, uint32_t walk)
{
	const struct goroutine *was = &nw->look->walk->g[walk];
	struct goroutine now;

	if (!goruntime_read_g(nw->rt, was->addr, &now) && now.goid == was->goid &&
	    now.status == was->status && goroutine_stop(&now) == goroutine_stop(was))
		nw->unread++;
	else
		nw->moved++;
}

/* Where there are so many goroutines that their stacks were read a while ago. */
int netusers_check(struct netwatch *nw)
{
	struct net_users *us = &nw->users;
	size_t left = 0;
	int err = 0;

	if (clock_mono_ns() - us->begin_ns < FRESH_NS)
		return 0;
	for (size_t i = 0; i < us->n && !err; i += NET_AT_ONCE) {
		size_t n = us->n - i < NET_AT_ONCE ? us->n - i : NET_AT_ONCE;

		err = NET_STAGES(nw, us->v + i, n, { ask_g, take_g });
	}
	for (size_t i = 0; i < us->n && !err; i++)
		if (!us->v[i].moved)
			us->v[left++] = us->v[i];
	nw->moved += us->n - left;
	us->n = left;
	return err;
}
