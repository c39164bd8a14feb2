/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A last look at the running process.  What is leaked stays as it is, so a
 * goroutine that has moved meanwhile was not, nor was one that had already
 * been taken out of the queue it waited in: somebody was about to make it run.
 * Those are roots after all, and what they keep is alive too.
 */
#include "prove/verify.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "proc/readbatch.h"
#include "prove/prove.h"

#define BATCH       65536
#define MAX_LIST    (1u << 24) /* waiters of one condition */
#define NOTIFY_HEAD 16         /* as in waiters.c */

/* ---- queues of channels ---- */

struct look {
	uint32_t waiter;
	bool fits;
	uint64_t prev;
};

static bool is_chan_kind(uint8_t kind)
{
	return kind == LEAK_CHAN_RECV || kind == LEAK_CHAN_SEND || kind == LEAK_SELECT;
}

/* What could not be read of it: no longer held to be leaked, and missing. */
static bool unread(struct snap *s, bool failed)
{
	s->losses += failed;
	return failed;
}

static void ask_sudog(void *owner, void *item, struct readpiece *piece)
{
	const struct snap *s = owner;
	const struct look *l = item;

	piece[0] = (struct readpiece){ s->waiter[l->waiter].sudog,
				       (uint32_t)go_off(s->rt, LAYOUT_SUDOG_SIZE) };
}

static void take_sudog(void *owner, void *item, const uint8_t *const *bytes)
{
	struct snap *s = owner;
	struct look *l = item;
	const struct pwaiter *w = &s->waiter[l->waiter];
	const uint8_t *raw = bytes[0];

	l->fits = !unread(s, !raw) &&
		  heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_G)) == s->g[w->g].addr &&
		  heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_C)) == w->primitive;
	if (l->fits)
		l->prev = heap_word(raw + go_off(s->rt, LAYOUT_SUDOG_PREV));
	else
		snap_take_back(s, w->g);
}

/* Who names it: the one before it in the queue, or its channel. */
static void ask_queue(void *owner, void *item, struct readpiece *piece)
{
	const struct snap *s = owner;
	const struct look *l = item;
	uint64_t chan = s->waiter[l->waiter].primitive;

	if (!l->fits)
		return;
	if (l->prev) {
		piece[0] = (struct readpiece){ l->prev + (uint64_t)go_off(s->rt, LAYOUT_SUDOG_NEXT),
					       8 };
		return;
	}
	piece[0] =
		(struct readpiece){ chan + (uint64_t)go_off(s->rt, LAYOUT_HCHAN_RECVQ_FIRST), 8 };
	piece[1] =
		(struct readpiece){ chan + (uint64_t)go_off(s->rt, LAYOUT_HCHAN_SENDQ_FIRST), 8 };
}

static void take_queue(void *owner, void *item, const uint8_t *const *bytes)
{
	struct snap *s = owner;
	const struct look *l = item;
	const struct pwaiter *w = &s->waiter[l->waiter];
	bool failed = !bytes[0] || (!l->prev && !bytes[1]);

	if (unread(s, failed) ||
	    (heap_word(bytes[0]) != w->sudog && (l->prev || heap_word(bytes[1]) != w->sudog)))
		snap_take_back(s, w->g);
}

/* Each sudog before what names it: that it is still the same wait is known by then. */
static int check_batch(struct snap *s, struct readbatch *b, struct look *look, size_t n)
{
	struct readstage sudogs = { s, look, n, sizeof(*look), ask_sudog, take_sudog, false };
	struct readstage queues = { s, look, n, sizeof(*look), ask_queue, take_queue, false };
	int err = readbatch_stage(b, s->rt->mem, &sudogs);

	return err ? err : readbatch_stage(b, s->rt->mem, &queues);
}

static int check_channels(struct snap *s)
{
	struct look *look = malloc(BATCH * sizeof(*look));
	struct readbatch b = { 0 };
	size_t n = 0;
	int err = look ? 0 : -ENOMEM;

	for (uint32_t w = 0; w < s->nwaiter && !err; w++) {
		size_t i = s->waiter[w].g;

		if (!s->g[i].stuck || !is_chan_kind(s->g[i].kind))
			continue;
		look[n++].waiter = w;
		if (n == BATCH) {
			err = check_batch(s, &b, look, n);
			n = 0;
		}
	}
	if (!err && n)
		err = check_batch(s, &b, look, n);
	readbatch_deinit(&b);
	free(look);
	return err;
}

/* ---- lists of conditions ---- */

/* The sudogs that hang on the list at addr are entered into `in`. */
static int walk_list(struct snap *s, uint64_t addr, struct u64map *in)
{
	uint64_t at;
	int err = mem_read_u64(s->rt->mem, addr + NOTIFY_HEAD, &at);

	for (unsigned int n = 0; !err && at && n < MAX_LIST && n <= s->ng; n++) {
		if (!u64map_put(in, at, 1, NULL))
			return -ENOMEM;
		err = mem_read_u64(s->rt->mem, at + (uint64_t)go_off(s->rt, LAYOUT_SUDOG_NEXT),
				   &at);
	}
	unread(s, err != 0);
	return err == -ESRCH ? err : 0;
}

static int check_conditions(struct snap *s)
{
	struct u64map list, in;
	int err = 0;

	u64map_init(&list, s->nwaiter + 1);
	u64map_init(&in, 2 * s->ng + 16);
	for (uint32_t w = 0; w < s->nwaiter && !err; w++) {
		size_t i = s->waiter[w].g;
		bool made = false;

		if (!s->g[i].stuck || s->g[i].kind != LEAK_COND)
			continue;
		if (!u64map_put(&list, s->waiter[w].primitive, 1, &made))
			err = -ENOMEM;
		else if (made)
			err = walk_list(s, s->waiter[w].primitive, &in);
		if (!err && !u64map_find(&in, s->waiter[w].sudog))
			snap_take_back(s, i);
	}
	u64map_deinit(&list);
	u64map_deinit(&in);
	return err;
}

int verify_leaks(struct snap *s)
{
	int err = snap_look_again(s);

	if (!err)
		err = check_channels(s);
	if (!err)
		err = check_conditions(s);
	return err ? err : snap_continue(s);
}
