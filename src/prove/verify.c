/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A last look at the running process.  What is leaked stays as it is, so a
 * goroutine that has moved meanwhile was not, nor was one that had already
 * been taken out of the queue it waited in: somebody was about to make it run.
 * Those are roots after all, and what they keep is alive too.
 */
#include "prove/verify.h"

#include <errno.h>
#include <stdlib.h>

#include "prove/prove.h"

#define BATCH       4096
#define MAX_SUDOG   256
#define MAX_CHAN    128
#define MAX_LIST    (1u << 24) /* waiters of one condition */
#define NOTIFY_HEAD 16         /* as in waiters.c */

/* ---- queues of channels ---- */

struct look {
	uint32_t waiter;
	uint64_t prev;
	uint8_t sudog[MAX_SUDOG], chan[MAX_CHAN], prev_next[8];
};

static bool is_chan_kind(uint8_t kind)
{
	return kind == LEAK_CHAN_RECV || kind == LEAK_CHAN_SEND || kind == LEAK_SELECT;
}

/* What could not be read of it: no longer held to be leaked, and missing. */
static bool unread(struct snap *s, int status)
{
	s->losses += status != 0;
	return status != 0;
}

static bool fits_so_far(struct snap *s, struct look *l, const struct mem_piece *p)
{
	const struct pwaiter *w = &s->waiter[l->waiter];

	if (unread(s, p[0].status) || unread(s, p[1].status) ||
	    heap_word(l->sudog + go_off(s->rt, LAYOUT_SUDOG_G)) != s->g[w->g].addr ||
	    heap_word(l->sudog + go_off(s->rt, LAYOUT_SUDOG_C)) != w->primitive)
		return false;
	l->prev = heap_word(l->sudog + go_off(s->rt, LAYOUT_SUDOG_PREV));
	return l->prev ||
	       heap_word(l->chan + go_off(s->rt, LAYOUT_HCHAN_RECVQ_FIRST)) == w->sudog ||
	       heap_word(l->chan + go_off(s->rt, LAYOUT_HCHAN_SENDQ_FIRST)) == w->sudog;
}

static int check_batch(struct snap *s, struct look *look, size_t n)
{
	struct mem_piece *p = malloc(2 * n * sizeof(*p));
	size_t m = 0;
	int failed;

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct pwaiter *w = &s->waiter[look[i].waiter];

		p[2 * i] = (struct mem_piece){ .addr = w->sudog,
					       .dst = look[i].sudog,
					       .len = (uint32_t)go_off(s->rt, LAYOUT_SUDOG_SIZE) };
		p[2 * i + 1] =
			(struct mem_piece){ .addr = w->primitive,
					    .dst = look[i].chan,
					    .len = (uint32_t)go_off(s->rt, LAYOUT_HCHAN_SIZE) };
	}
	failed = mem_read_many(s->rt->mem, p, 2 * n);
	for (size_t i = 0; i < n && failed >= 0; i++) {
		if (!fits_so_far(s, &look[i], &p[2 * i])) {
			snap_take_back(s, s->waiter[look[i].waiter].g);
			continue;
		}
		if (look[i].prev) {
			look[m] = look[i];
			m++;
		}
	}
	for (size_t i = 0; i < m && failed >= 0; i++)
		p[i] = (struct mem_piece){ .addr = look[i].prev +
						   (uint64_t)go_off(s->rt, LAYOUT_SUDOG_NEXT),
					   .dst = look[i].prev_next,
					   .len = 8 };
	if (failed >= 0)
		failed = mem_read_many(s->rt->mem, p, m);
	for (size_t i = 0; i < m && failed >= 0; i++)
		if (unread(s, p[i].status) ||
		    heap_word(look[i].prev_next) != s->waiter[look[i].waiter].sudog)
			snap_take_back(s, s->waiter[look[i].waiter].g);
	free(p);
	return failed < 0 ? failed : 0;
}

static int check_channels(struct snap *s)
{
	struct look *look;
	size_t n = 0;
	int err = 0;

	if (go_off(s->rt, LAYOUT_SUDOG_SIZE) > MAX_SUDOG ||
	    go_off(s->rt, LAYOUT_HCHAN_SIZE) > MAX_CHAN)
		return -EBADMSG;
	look = malloc(BATCH * sizeof(*look));
	if (!look)
		return -ENOMEM;
	for (uint32_t w = 0; w < s->nwaiter && !err; w++) {
		size_t i = s->waiter[w].g;

		if (!s->g[i].stuck || !is_chan_kind(s->g[i].kind))
			continue;
		look[n++].waiter = w;
		if (n == BATCH) {
			err = check_batch(s, look, n);
			n = 0;
		}
	}
	if (!err && n)
		err = check_batch(s, look, n);
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
	unread(s, err);
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
