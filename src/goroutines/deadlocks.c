/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who waits for whom.  Of a lock it is those who would release it if they went
 * on (gort/goahead.h), else who seems to hold it by its stack (gort/golocks.h).
 *
 * Of a channel anybody who can reach it may turn up with a value; and who would
 * call Done of a wait group need not be one that it waits for now: a worker that
 * asks for its next task would be so, too.  So these count only where the verdict
 * on leaks says that nobody else is left: among goroutines that are leaked, or
 * would be if the locks are held as inferred (prove/prove.h).
 */
#include "goroutines/fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/vec.h"
#include "goroutines/cycles.h"
#include "prove/prove.h"
#include "gort/goahead.h"
#include "gort/golocks.h"

#define STILL_NS   50000000 /* a cycle has to be there after that time too */
#define MAX_PAIRS  65536    /* of waiters and holders; beyond: left out */
#define MAX_OF_ROW 128      /* leaked goroutines of one place that are looked at */

/* What is known of how a waiter would wake up others. */
struct wakeup {
	enum deadlock_wakeup what;
	uint64_t pc; /* where; 0: by its stack only */
};

struct finder {
	struct window *w;
	struct sites *s;
	struct gowalk walk; /* of the goroutines examined */
	size_t nstuck;      /* of the first of them nobody who can run reaches what they wait for */
	struct golocks l;
	struct goahead *ahead;
	struct cycle_node *node;
	struct cycle_wakeup *wakes;
	struct wakeup *act; /* of each of wakes[] */
	size_t nwakes, wakes_cap, act_cap, held_cap;
	uint64_t left_out; /* goroutines and holders that found no room */
	bool waited;
};

/* ---- whom each would wake up ---- */

static int add_wakeup(struct finder *f, size_t node, uint64_t object, enum cycle_kind kind,
		      struct wakeup wakeup)
{
	if (array_room(&f->wakes, f->nwakes, &f->wakes_cap, sizeof(*f->wakes)) ||
	    array_room(&f->act, f->nwakes, &f->act_cap, sizeof(*f->act)))
		return -ENOMEM;
	f->wakes[f->nwakes] = (struct cycle_wakeup){ (uint32_t)node, { object, kind } };
	f->act[f->nwakes++] = wakeup;
	return 0;
}

static int add_acts(struct finder *f, size_t node)
{
	const struct golock_waiter *w = &f->l.waiter[node];
	static const struct {
		enum cycle_kind kind;
		enum deadlock_wakeup what;
	} of[] = {
		[GOACT_SEND] = { CYCLE_TO_RECEIVER, DEADLOCK_SENDS },
		[GOACT_CLOSE] = { CYCLE_TO_RECEIVER, DEADLOCK_CLOSES },
		[GOACT_RECEIVE] = { CYCLE_TO_SENDER, DEADLOCK_RECEIVES },
		[GOACT_UNLOCK] = { CYCLE_LOCK, DEADLOCK_UNLOCKS },
		[GOACT_DONE] = { CYCLE_GROUP, DEADLOCK_IS_DONE },
	};
	const struct goahead_act *act;
	size_t nact = goahead_look(f->ahead, &f->walk.g[w->g], w->lock, &act);
	int err = 0;

	for (size_t i = 0; i < nact && !err; i++)
		err = add_wakeup(f, node, act[i].object, of[act[i].act].kind,
				 (struct wakeup){ of[act[i].act].what, act[i].pc });
	if (w->pending && !err)
		err = add_wakeup(f, node, w->lock, CYCLE_WRITER_GONE,
				 (struct wakeup){ DEADLOCK_LOCKS_FIRST, 0 });
	return err;
}

/* How many would release each lock; and whether a writer waits. */
static int count_holders(const struct finder *f, struct u64map *holders, struct u64map *pending)
{
	u64map_init(holders, f->nwakes + 1);
	u64map_init(pending, f->l.n + 1);
	for (size_t i = 0; i < f->nwakes; i++) {
		uint64_t *n;

		if (f->wakes[i].key.kind != CYCLE_LOCK)
			continue;
		n = u64map_put(holders, f->wakes[i].key.object, 0, NULL);
		if (!n)
			return -ENOMEM;
		++*n;
	}
	for (size_t i = 0; i < f->l.n; i++)
		if (f->l.waiter[i].pending && !u64map_put(pending, f->l.waiter[i].lock, 1, NULL))
			return -ENOMEM;
	return 0;
}

/* Where no code says who releases a lock: the only one that holds it by its stack. */
static int add_held(struct finder *f, const struct u64map *holders)
{
	struct u64map by; /* lock -> waiter + 1; 0: several */
	int err = 0;

	u64map_init(&by, f->l.n * GOLOCKS_MAX_HELD + 1);
	for (size_t i = 0; i < f->l.n && !err; i++)
		for (int k = 0; k < f->l.waiter[i].nheld && !err; k++) {
			bool made;
			uint64_t *at = u64map_put(&by, f->l.waiter[i].held[k].lock, i + 1, &made);

			if (!at)
				err = -ENOMEM;
			else if (!made && *at != i + 1)
				*at = 0;
		}
	for (size_t i = 0; i < f->l.n && !err; i++)
		for (int k = 0; k < f->l.waiter[i].nheld && !err; k++) {
			uint64_t lock = f->l.waiter[i].held[k].lock, *at = u64map_find(&by, lock);

			if (at && *at == i + 1 && !u64map_find(holders, lock))
				err = add_wakeup(f, i, lock, CYCLE_LOCK,
						 (struct wakeup){ DEADLOCK_UNLOCKS, 0 });
		}
	u64map_deinit(&by);
	return err;
}

/* ---- what each waits for ---- */

static void want(struct cycle_node *n, uint64_t object, enum cycle_kind kind)
{
	if (n->nwant < CYCLE_MAX_WANTS)
		n->want[n->nwant++] = (struct cycle_key){ object, kind };
}

static void add_wants(struct cycle_node *n, const struct golock_waiter *w, bool stuck,
		      const struct u64map *holders, const struct u64map *pending)
{
	uint64_t *count = w->lock ? u64map_find(holders, w->lock) : NULL;

	if (w->reads && u64map_find(pending, w->lock))
		want(n, w->lock, CYCLE_WRITER_GONE);
	else if (w->lock && (w->rw || !count ||
			     *count == 1)) /* a mutex that several seem to hold: not known */
		want(n, w->lock, CYCLE_LOCK);
	if (w->group && stuck)
		want(n, w->group, CYCLE_GROUP);
	for (int i = 0; stuck && i < w->nchannel; i++)
		want(n, w->channel[i].channel,
		     w->channel[i].send ? CYCLE_TO_SENDER : CYCLE_TO_RECEIVER);
}

static int make_graph(struct finder *f)
{
	struct u64map holders = { 0 }, pending = { 0 };
	int err = 0;

	f->node = calloc(f->l.n + 1, sizeof(*f->node));
	f->ahead = goahead_new(f->s->rt);
	if (!f->node || !f->ahead)
		return f->ahead ? -ENOMEM : -EOPNOTSUPP;
	for (size_t i = 0; i < f->l.n && !err; i++)
		if (f->l.waiter[i].rw)
			err = goahead_add_rw(f->ahead, f->l.waiter[i].lock);
	for (size_t i = 0; i < f->l.n && !err; i++)
		err = add_acts(f, i);
	if (!err)
		err = count_holders(f, &holders, &pending);
	if (!err)
		err = add_held(f, &holders);
	for (size_t i = 0; i < f->l.n && !err; i++)
		add_wants(&f->node[i], &f->l.waiter[i], f->l.waiter[i].g < f->nstuck, &holders,
			  &pending);
	u64map_deinit(&holders);
	u64map_deinit(&pending);
	return err;
}

/* ---- cycles ---- */

static const struct golock_held *held(const struct golock_waiter *w, uint64_t lock)
{
	for (int k = 0; k < w->nheld; k++)
		if (w->held[k].lock == lock)
			return &w->held[k];
	return NULL;
}

/* None of them has run meanwhile. */
static bool stands_still(struct finder *f, const struct cycle_step *step, size_t n)
{
	const struct timespec still = { .tv_nsec = STILL_NS };

	if (!f->waited)
		nanosleep(&still, NULL);
	f->waited = true;
	for (size_t i = 0; i < n; i++)
		if (!golocks_stands_still(f->s->rt, &f->walk.g[f->l.waiter[step[i].node].g]))
			return false;
	return true;
}

static uint64_t waiting_for(const struct finder *f, const struct cycle_step *step, size_t n)
{
	uint64_t count = 0;

	for (size_t i = 0; i < f->l.n; i++) {
		bool waits = false;

		for (int k = 0; k < f->node[i].nwant; k++)
			for (size_t s = 0; s < n; s++)
				waits = waits || f->node[i].want[k].object == step[s].want.object;
		count += waits;
	}
	return count;
}

static enum deadlock_wait wait_of(const struct golock_waiter *w, enum cycle_kind kind)
{
	switch (kind) {
	case CYCLE_TO_RECEIVER:
		return DEADLOCK_RECEIVE;
	case CYCLE_TO_SENDER:
		return DEADLOCK_SEND;
	case CYCLE_GROUP:
		return DEADLOCK_GROUP;
	default:
		return w->reads ? DEADLOCK_READ_LOCK : DEADLOCK_LOCK;
	}
}

/* How a member of a cycle would end the wait of the one before. */
static void fill_wakeup(struct finder *f, struct deadlock_member *m, uint32_t node,
			const struct cycle_key *want)
{
	const struct golock_held *h = held(&f->l.waiter[node], want->object);
	struct goframe at;

	for (size_t k = 0; k < f->nwakes; k++)
		if (f->wakes[k].node == node && f->wakes[k].key.object == want->object &&
		    f->wakes[k].key.kind == want->kind) {
			m->wakeup = f->act[k].what;
			if (f->act[k].pc && !goahead_place(f->ahead, f->act[k].pc, &at))
				m->wakeup_at = place_of_frame(&at);
			break;
		}
	if (h && want->kind == CYCLE_LOCK)
		m->held_at = place_of_frame(&h->at);
}

static int add_cycle(void *arg, const struct cycle_step *step, size_t n)
{
	struct finder *f = arg;
	struct deadlocks_window *out = &f->w->goroutines->deadlocks;
	struct deadlock_member *m;

	if (!stands_still(f, step, n))
		return 0;
	if (out->ndeadlock == WINDOW_MAX_DEADLOCKS) {
		f->left_out += n;
		return 0;
	}
	m = realloc(out->member, (out->nmember + n) * sizeof(*m));
	if (!m)
		return -ENOMEM;
	out->member = m;
	out->deadlock[out->ndeadlock++] = (struct deadlock){ .first = (uint32_t)out->nmember,
							     .n = (uint32_t)n,
							     .waiting = waiting_for(f, step, n) };
	for (size_t i = 0; i < n; i++) {
		const struct golock_waiter *w = &f->l.waiter[step[i].node];
		const struct goroutine *g = &f->walk.g[w->g];

		m = &out->member[out->nmember++];
		*m = (struct deadlock_member){
			.goid = g->goid,
			.lock = step[i].want.object,
			.wait = wait_of(w, step[i].want.kind),
			.at = place_of_frame(&w->at),
			.created = sites_of(f->s, g->gopc, g->startpc)->place,
			.stuck = w->g < f->nstuck,
		};
		fill_wakeup(f, m, step[i].node, &step[(i + n - 1) % n].want);
	}
	return 0;
}

/* ---- who is looked at ---- */

static int take_stuck(struct finder *f, const struct goroutine *g, struct u64map *taken)
{
	if (!u64map_put(taken, g->goid, 1, NULL))
		return -ENOMEM;
	f->walk.g[f->walk.n++] = *g;
	return 0;
}

/* Leaked ones, of each place some. */
static int take_leaked(struct finder *f, const struct prove_result *r, struct u64map *taken)
{
	const struct leaks_window *l = &f->w->goroutines->leaks;
	uint32_t *of_row = calloc((size_t)l->nrow + 1, sizeof(*of_row));
	int err = 0;

	if (!of_row)
		return -ENOMEM;
	for (size_t i = 0; i < r->n && i < l->ngoroutine && !err; i++)
		if (r->v[i].kind != LEAK_SELECT_NONE && of_row[l->goroutine[i].row]++ < MAX_OF_ROW)
			err = take_stuck(f, &r->v[i].g, taken);
	free(of_row);
	return err;
}

/* Of all, those who wait for a lock, and some who wait for a channel. */
static void take_waiting(struct finder *f, const struct gowalk *walk, const struct u64map *taken)
{
	size_t room[] = { [GOREASON_LOCK] = GOLOCKS_MAX_WAITERS,
			  [GOREASON_CHANNEL] = GOLOCKS_MAX_CHANNEL_WAITERS };
	uint8_t kind[256];

	golocks_reasons(f->s->rt, kind);
	for (size_t i = 0; i < walk->n; i++) {
		enum golock_reason reason = golocks_reason_of(kind, &walk->g[i]);

		if (reason == GOREASON_OTHER || u64map_find(taken, walk->g[i].goid))
			continue;
		if (!room[reason]) {
			f->left_out += reason == GOREASON_LOCK;
			continue;
		}
		room[reason]--;
		f->walk.g[f->walk.n++] = walk->g[i];
	}
}

/* Those that are stuck come first. */
static int take_all(struct finder *f, const struct gowalk *walk, const struct prove_result *r)
{
	struct u64map taken;
	int err = 0;

	f->walk.cap =
		GOLOCKS_MAX_WAITERS + GOLOCKS_MAX_CHANNEL_WAITERS + (r ? r->n + r->nstuck : 0) + 1;
	f->walk.g = malloc(f->walk.cap * sizeof(*f->walk.g));
	if (!f->walk.g)
		return -ENOMEM;
	u64map_init(&taken, f->walk.cap);
	if (r)
		err = take_leaked(f, r, &taken);
	for (size_t i = 0; r && i < r->nstuck && !err; i++)
		err = take_stuck(f, &r->stuck[i].g, &taken);
	f->nstuck = f->walk.n;
	if (!err)
		take_waiting(f, walk, &taken);
	u64map_deinit(&taken);
	return err;
}

static int add_pair(void *arg, uint32_t node, const struct cycle_key *want, uint32_t waker)
{
	struct finder *f = arg;
	struct deadlocks_window *l = &f->w->goroutines->deadlocks;

	if (want->kind != CYCLE_LOCK && want->kind != CYCLE_WRITER_GONE)
		return 0;
	if (l->nheld == MAX_PAIRS) {
		f->left_out++;
		return 0;
	}
	if (array_room(&l->held, l->nheld, &f->held_cap, sizeof(*l->held)))
		return -ENOMEM;
	l->held[l->nheld++] = (struct held_pair){ f->walk.g[f->l.waiter[node].g].goid,
						  f->walk.g[f->l.waiter[waker].g].goid };
	return 0;
}

static void clear(struct deadlocks_window *l)
{
	free(l->member);
	free(l->held);
	memset(l, 0, sizeof(*l));
}

int deadlocks_find(struct window *w, struct sites *s, const struct gowalk *walk,
		   const struct prove_result *r, struct losses *losses)
{
	struct finder f = { .w = w, .s = s };
	int err = take_all(&f, walk, r);

	clear(&w->goroutines->deadlocks);
	if (!err)
		err = golocks_read_channels(&f.l, s->rt, &f.walk, f.nstuck);
	if (!err)
		err = make_graph(&f);
	if (!err) {
		const struct cycle_graph g = { f.node, f.l.n, f.wakes, f.nwakes };

		err = cycles_edges(&g, add_pair, &f);
		if (!err)
			err = cycles_find(&g, add_cycle, &f);
	}
	w->goroutines->deadlocks.known = !err;
	lose(losses, LOSS_WAIT_GRAPH,
	     f.left_out + f.l.left_out + (f.ahead ? goahead_left_out(f.ahead) : 0));
	goahead_free(f.ahead);
	golocks_deinit(&f.l);
	free(f.walk.g);
	free(f.node);
	free(f.wakes);
	free(f.act);
	return err;
}

static int by_goid(const void *key, const void *element)
{
	const struct leaked_goroutine *g = element;
	uint64_t goid = *(const uint64_t *)key;

	return (goid > g->goid) - (goid < g->goid);
}

void deadlocks_mark_leaked(struct window *w)
{
	struct leaks_window *l = &w->goroutines->leaks;
	struct deadlocks_window *d = &w->goroutines->deadlocks;
	const struct leaked_goroutine *g;

	for (size_t i = 0; i < d->nmember && l->ngoroutine; i++) {
		g = bsearch(&d->member[i].goid, l->goroutine, l->ngoroutine, sizeof(*l->goroutine),
			    by_goid);
		if (!g)
			continue;
		d->member[i].leaked = true;
		if (g->row < (uint32_t)l->nrow) /* nobody means to be in one */
			l->row[g->row].by_design = false;
	}
}
