/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks that were copied before the freeze and need not be copied in it.
 *
 * One that waits with the same waitsince, not 0, has not run in between
 * (goruntime_waitsince_tells()).  Coroutines are not kept.  A stack that moves while its goroutine
 * waits is half as large then (shrinkstack): its bounds differ.
 *
 * Only send() (chan.go) writes to the stack of another goroutine: the value into that of a
 * receiver which it has taken out of the channel's queue before.  So whoever is still in the
 * queue in the frozen copy has the stack that it had.  Else the process is frozen once more, and
 * everything is copied.
 *
 * True of Go 1.20 to 1.27, read in their sources; later releases keep nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "prove/snap.h"

#define ENOUGH_STACKS 100 /* to tell from what one takes; */
#define STACK_NS      500 /* else that */

/* recvq and sendq: their first fields, next to one another. */
static bool heads_of(const struct snap *s, uint32_t *from, uint32_t *len)
{
	int32_t recv = go_off(s->rt, LAYOUT_HCHAN_RECVQ_FIRST),
		send = go_off(s->rt, LAYOUT_HCHAN_SENDQ_FIRST);

	if (recv < 0 || send <= recv || send - recv > 64)
		return false;
	*from = (uint32_t)recv;
	*len = (uint32_t)(send - recv) + 8;
	return true;
}

static bool may_receive(const struct snap *s, const struct pgo *g)
{
	uint8_t kind = s->kind_of_reason[g->reason];

	return kind == LEAK_CHAN_RECV || kind == LEAK_SELECT;
}

static bool may_keep(const struct pgo *g)
{
	return g->candidate && g->status == GO_WAITING && g->wait_since && !g->whole_stack &&
	       !g->inexact && !g->stack_unread && g->stack_len;
}

bool snap_keeps(const struct snap *s, const struct pgo *before, const struct pgo *now)
{
	return s->keeping && before->kept && now->status == GO_WAITING &&
	       now->wait_since == before->wait_since && now->goid == before->goid &&
	       now->seq == before->seq && now->reason == before->reason && now->sp == before->sp &&
	       now->pc == before->pc && now->lo == before->lo && now->hi == before->hi &&
	       now->waiting == before->waiting;
}

/* The channels that say whether a receiver is still in their queue, each once, by address. */
static int list_channels(struct snap *s)
{
	uint32_t from, len;
	size_t n = 0;

	if (!heads_of(s, &from, &len))
		return -EOPNOTSUPP;
	if (array_grow(&s->channel, s->nwaiter, &s->channel_cap, sizeof(*s->channel)))
		return -ENOMEM;
	for (size_t w = 0; w < s->nwaiter; w++) {
		const struct pgo *g = &s->g[s->waiter[w].g];

		if (g->kept && may_receive(s, g) &&
		    (!n || s->channel[n - 1] != s->waiter[w].primitive))
			s->channel[n++] = s->waiter[w].primitive;
	}
	if (n)
		qsort(s->channel, n, sizeof(*s->channel), by_u64);
	s->nchannel = 0;
	for (size_t i = 0; i < n; i++)
		if (!s->nchannel || s->channel[s->nchannel - 1] != s->channel[i])
			s->channel[s->nchannel++] = s->channel[i];
	readbatch_reset(&s->heads);
	for (size_t i = 0; i < s->nchannel; i++)
		if (readbatch_add(&s->heads, s->channel[i] + from, len) != i)
			return -EOPNOTSUPP;
	return 0;
}

int snap_read_heads(struct snap *s)
{
	return s->keeping ? readbatch_read(&s->heads, s->rt->mem) : 0;
}

void snap_keep_nothing(struct snap *s)
{
	s->keeping = false;
	s->stacks_len = 0;
	for (size_t i = 0; i < s->nkeep; i++)
		s->g[i].kept = s->g[i].later = false;
	s->nkeep = 0;
}

/*
 * Stacks of `kept` bytes, and those of `later` goroutines, are not copied in the freeze.  Those
 * that were copied after the rest were not part of that copy, and if they are not kept they will be.
 */
static void estimate(const struct snap *s, uint64_t kept, size_t later, size_t copied,
		     uint64_t heads_ns, struct snap_kept *out)
{
	uint64_t all_ns = s->stacks_ns + s->later_ns;
	uint64_t kept_ns =
		s->stacks_len ? (uint64_t)((double)all_ns * (double)kept / (double)s->stacks_len)
			      : 0;
	uint64_t each_ns = copied >= ENOUGH_STACKS ? all_ns / copied : STACK_NS;

	out->less_ns = (int64_t)kept_ns - (int64_t)s->later_ns - (int64_t)heads_ns;
	out->rest_ns = kept_ns + later * each_ns;
}

int snap_keep(struct snap *s, struct snap_kept *kept)
{
	uint64_t bytes = 0, began;
	size_t later = 0, copied = 0;
	int err;

	memset(kept, 0, sizeof(*kept));
	s->keeping = goruntime_waitsince_tells(s->rt);
	s->nkeep = s->ng;
	for (size_t i = 0; i < s->nkeep; i++) {
		struct pgo *g = &s->g[i];

		g->kept = s->keeping && may_keep(g);
		bytes += g->kept ? g->stack_len : 0;
		later += g->later;
		copied += g->stack_len != 0;
	}
	err = s->keeping ? list_channels(s) : -EOPNOTSUPP;
	began = clock_mono_ns();
	if (!err) /* room for them is made now, and what it takes is known */
		err = snap_read_heads(s);
	if (err) { /* everything is copied */
		kept->less_ns = -(int64_t)(s->later_ns + later * STACK_NS);
		snap_keep_nothing(s);
		return err == -EOPNOTSUPP ? 0 : err;
	}
	estimate(s, bytes, later, copied, clock_mono_ns() - began, kept);
	return 0;
}

/* ---- of the frozen copy ---- */

static bool is_first(const struct snap *s, uint64_t channel, uint64_t sudog)
{
	const uint64_t *at = bsearch(&channel, s->channel, s->nchannel, sizeof(channel), by_u64);
	const uint8_t *raw = at ? readbatch_get(&s->heads, (uint32_t)(at - s->channel)) : NULL;
	uint32_t from, len;

	return raw && heads_of(s, &from, &len) &&
	       (heap_word(raw) == sudog || heap_word(raw + len - 8) == sudog);
}

static bool is_queued(const struct snap *s, const struct pwaiter *w)
{
	uint64_t size = (uint64_t)go_off(s->rt, LAYOUT_SUDOG_SIZE), prev;
	const uint8_t *raw = heap_bytes(&s->heap, w->sudog, size);

	if (!raw)
		return false;
	prev = heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_PREV));
	if (!prev)
		return is_first(s, w->primitive, w->sudog);
	raw = heap_bytes(&s->heap, prev, size);
	return raw && heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_NEXT)) == w->sudog;
}

int snap_check_kept(const struct snap *s)
{
	for (size_t i = 0; s->keeping && i < s->nkeep; i++) {
		const struct pgo *g = &s->g[i];

		if (!g->kept || !may_receive(s, g))
			continue;
		if (!g->candidate) /* what it waits for does not fit */
			return -EAGAIN;
		for (uint32_t w = g->first_waiter; w < g->first_waiter + g->nwaiter; w++)
			if (!is_queued(s, &s->waiter[w]))
				return -EAGAIN;
	}
	return 0;
}
