/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who waits for whom.  Of a lock it is whoever gives it back on every path, if it
 * goes on (gort/goahead.h), where nobody else may have it: of all goroutines,
 * wherever they stand.  What is not certain gives no cycle.
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
#include "gort/goholders.h"
#include "gort/golocks.h"

#define STILL_LOOKS   3        /* a cycle has to be there at each of that many later looks */
#define STILL_NS      20000000 /* between two of them, */
#define STILL_MORE_NS 7000000  /* and that much more before each further one */
#define MAX_PAIRS     65536    /* of waiters and holders; beyond: left out */
#define MAX_OF_ROW    128      /* leaked goroutines of one place that are looked at */

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
	struct gowalk all;   /* every goroutine, once walked, */
	bool walked;         /* where somebody waits for a lock: else nobody else counts */
	uint64_t *lock_of;   /* and which of these are not to be looked at again */
	struct u64map doubt; /* locks that somebody else may have */
	bool all_doubted;    /* whoever runs may have any */
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

static int doubt(struct finder *f, uint64_t lock)
{
	return u64map_put(&f->doubt, lock, 1, NULL) ? 0 : -ENOMEM;
}

static int take_acts(struct finder *f, size_t node, const struct goahead_act *act, int n)
{
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
	int err = 0;

	for (int i = 0; i < n && !err; i++)
		if (act[i].act == GOACT_UNLOCK && !act[i].sure)
			err = doubt(f, act[i].object);
		else
			err = add_wakeup(f, node, act[i].object, of[act[i].act].kind,
					 (struct wakeup){ of[act[i].act].what, act[i].pc });
	return err;
}

static int add_acts(struct finder *f, size_t node)
{
	const struct golock_waiter *w = &f->l.waiter[node];
	const struct goahead_act *act;
	int n = goahead_look(f->ahead, &f->walk.g[w->g], w->lock, &act), err;

	f->all_doubted = f->all_doubted || n == -ENOSPC;
	err = take_acts(f, node, act, n);
	if (w->pending && !err)
		err = add_wakeup(f, node, w->lock, CYCLE_WRITER_GONE,
				 (struct wakeup){ DEADLOCK_LOCKS_FIRST, 0 });
	return err;
}

/* Of somebody else: who has a lock for certain, and waits for a channel, may be in a cycle. */
static int add_other(void *arg, size_t number, const struct goroutine *g,
		     const struct goahead_act *act, int n)
{
	struct finder *f = arg;
	bool holds = false;
	size_t node = f->l.n;
	int err = 0;

	(void)number;
	f->all_doubted = f->all_doubted || n < 0;
	for (int i = 0; i < n; i++)
		holds = holds || act[i].sure;
	if (holds) {
		if (array_room(&f->walk.g, f->walk.n, &f->walk.cap, sizeof(*f->walk.g)))
			return -ENOMEM;
		f->walk.g[f->walk.n++] = *g;
		if (golocks_add(&f->l, f->s->rt, &f->walk, f->walk.n - 1))
			return take_acts(f, node, act, n);
	}
	for (int i = 0; i < n && !err; i++)
		if (act[i].act == GOACT_UNLOCK)
			err = doubt(f, act[i].object);
	return err;
}

/* One that began to wait for a lock meanwhile; false: it does not wait for one. */
static int add_late(struct finder *f, size_t i, const uint8_t kind[256], bool *waits)
{
	struct goroutine *g = &f->all.g[i];

	*waits = !goruntime_read_g(f->s->rt, g->addr, g) &&
		 golocks_reason_of(kind, g) == GOREASON_LOCK;
	if (!*waits)
		return 0;
	if (array_room(&f->walk.g, f->walk.n, &f->walk.cap, sizeof(*f->walk.g)))
		return -ENOMEM;
	f->walk.g[f->walk.n++] = *g;
	if (golocks_add(&f->l, f->s->rt, &f->walk, f->walk.n - 1))
		return add_acts(f, f->l.n - 1);
	f->all_doubted = true; /* it does not stand still */
	return 0;
}

static int walk_all(struct finder *f)
{
	if (f->walked)
		return 0;
	f->walked = true;
	return goruntime_walk(f->s->rt, &f->all, NULL);
}

/* Who is not to be looked at among all: those who are known to wait. */
static int choose_others(struct finder *f)
{
	struct u64map taken;
	uint8_t kind[256];
	int err = 0;

	golocks_reasons(f->s->rt, kind);
	u64map_init(&taken, f->walk.n + 1);
	for (size_t i = 0; i < f->l.n && !err; i++)
		if (!u64map_put(&taken, f->walk.g[f->l.waiter[i].g].goid, 1, NULL))
			err = -ENOMEM;
	for (size_t i = 0; i < f->all.n && !err; i++) {
		bool waits = u64map_find(&taken, f->all.g[i].goid);

		if (!waits && f->l.n < GOLOCKS_MAX_WAITERS &&
		    golocks_reason_of(kind, &f->all.g[i]) == GOREASON_LOCK)
			err = add_late(f, i, kind, &waits);
		f->lock_of[i] = waits ? GOHOLDERS_SKIP : 0;
	}
	u64map_deinit(&taken);
	return err;
}

/* All that are not among those who wait. */
static int add_others(struct finder *f)
{
	struct goruntime *rt = f->s->rt;
	struct gostacks gs = { 0 };
	uint32_t *stack_of;
	int err = walk_all(f);

	if (err)
		return err;
	f->lock_of = calloc(f->all.n + 1, sizeof(*f->lock_of));
	stack_of = calloc(f->all.n + 1, sizeof(*stack_of));
	err = f->lock_of && stack_of ? choose_others(f) : -ENOMEM;
	if (!err)
		err = gostacks_init(&gs);
	if (!err)
		err = gostacks_read(&gs, rt, &f->all, stack_of);
	if (!err)
		err = goholders_each(f->ahead, rt, &f->all, &gs, stack_of, f->lock_of,
				     GOHOLDERS_LONG_NS, add_other, f);
	gostacks_deinit(&gs);
	free(stack_of);
	return err;
}

/* How many have each lock for certain; and whether a writer waits. */
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

/* ---- what each waits for ---- */

static void want(struct cycle_node *n, uint64_t object, enum cycle_kind kind)
{
	if (n->nwant < CYCLE_MAX_WANTS)
		n->want[n->nwant++] = (struct cycle_key){ object, kind };
}

/*
 * Readers hold a lock together, and a writer waits for each of them: one that is
 * certain is enough.  Of any other there must be one, and nobody in doubt.
 */
static bool is_certain(const struct finder *f, const struct golock_waiter *w,
		       const struct u64map *holders, const struct u64map *pending)
{
	const uint64_t *n = u64map_find(holders, w->lock);
	bool of_readers = w->rw && u64map_find(pending, w->lock);

	return n &&
	       (of_readers || (*n == 1 && !f->all_doubted && !u64map_find(&f->doubt, w->lock))) &&
	       golocks_is_taken(f->s->rt, w->lock, w->rw);
}

static void add_wants(struct finder *f, struct cycle_node *n, const struct golock_waiter *w,
		      const struct u64map *holders, const struct u64map *pending)
{
	bool stuck = w->g < f->nstuck;

	if (w->reads && u64map_find(pending, w->lock))
		want(n, w->lock, CYCLE_WRITER_GONE);
	else if (w->lock && is_certain(f, w, holders, pending))
		want(n, w->lock, CYCLE_LOCK);
	if (w->group && stuck)
		want(n, w->group, CYCLE_GROUP);
	for (int i = 0; stuck && i < w->nchannel; i++)
		want(n, w->channel[i].channel,
		     w->channel[i].send ? CYCLE_TO_SENDER : CYCLE_TO_RECEIVER);
}

static int add_locks(struct finder *f, bool *any)
{
	int err = 0;

	for (size_t i = 0; i < f->l.n && !err; i++) {
		const struct golock_waiter *w = &f->l.waiter[i];

		if (w->lock)
			err = goahead_add_lock(f->ahead, w->lock, w->rw, w->std);
		*any = *any || w->lock;
	}
	return err;
}

static int make_graph(struct finder *f)
{
	struct u64map holders = { 0 }, pending = { 0 };
	bool any = false;
	int err;

	f->ahead = goahead_new(f->s->rt);
	if (!f->ahead)
		return -EOPNOTSUPP;
	u64map_init(&f->doubt, 1u << 20);
	err = add_locks(f, &any);
	for (size_t i = 0, n = f->l.n; i < n && !err; i++)
		err = add_acts(f, i);
	if (any && !err)
		err = add_others(f);
	if (!err)
		err = count_holders(f, &holders, &pending);
	f->node = calloc(f->l.n + 1, sizeof(*f->node));
	if (!f->node)
		err = -ENOMEM;
	for (size_t i = 0; i < f->l.n && !err; i++)
		add_wants(f, &f->node[i], &f->l.waiter[i], &holders, &pending);
	u64map_deinit(&holders);
	u64map_deinit(&pending);
	return err;
}

/* ---- cycles ---- */

/* None of them has run meanwhile, whenever one looks: tracking_seq is a byte. */
static bool stands_still(struct finder *f, const struct cycle_step *step, size_t n)
{
	for (int look = 0; look < STILL_LOOKS; look++) {
		const struct timespec still = { .tv_nsec = STILL_NS + look * STILL_MORE_NS };

		if (!f->waited)
			nanosleep(&still, NULL);
		for (size_t i = 0; i < n; i++)
			if (!golocks_stands_still(f->s->rt,
						  &f->walk.g[f->l.waiter[step[i].node].g]))
				return false;
	}
	f->waited = true;
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
	struct goframe at;

	for (size_t k = 0; k < f->nwakes; k++)
		if (f->wakes[k].node == node && f->wakes[k].key.object == want->object &&
		    f->wakes[k].key.kind == want->kind) {
			m->wakeup = f->act[k].what;
			if (f->act[k].pc && !goahead_place(f->ahead, f->act[k].pc, &at)) {
				m->wakeup_at = place_of_frame(&at);
				m->wakeup_deferred = at.wrapper;
			}
			break;
		}
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
			.created = sites_of_g(f->s, g)->place,
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

/* Of all, those who wait for a lock. */
static void take_waiting(struct finder *f, const struct u64map *taken)
{
	size_t room = GOLOCKS_MAX_WAITERS;
	uint8_t kind[256];

	golocks_reasons(f->s->rt, kind);
	for (size_t i = 0; i < f->all.n; i++) {
		if (golocks_reason_of(kind, &f->all.g[i]) != GOREASON_LOCK ||
		    u64map_find(taken, f->all.g[i].goid))
			continue;
		if (!room) {
			f->left_out++;
			continue;
		}
		room--;
		f->walk.g[f->walk.n++] = f->all.g[i];
	}
}

/* Whether somebody waits for a lock, as of the walk; of a verdict, as of the one before it. */
static bool locks_are_waited_for(const struct finder *f, const struct gowalk *just,
				 const struct prove_result *r)
{
	const struct deadlocks_window *l = &f->w->goroutines->deadlocks;
	bool any = !just && (!l->known || !l->no_lock_waits);
	uint8_t kind[256];

	golocks_reasons(f->s->rt, kind);
	for (size_t i = 0; just && i < just->n && !any; i++)
		any = golocks_reason_of(kind, &just->g[i]) == GOREASON_LOCK;
	for (size_t i = 0; r && i < r->n && !any; i++)
		any = golocks_reason_of(kind, &r->v[i].g) == GOREASON_LOCK;
	for (size_t i = 0; r && i < r->nstuck && !any; i++)
		any = golocks_reason_of(kind, &r->stuck[i].g) == GOREASON_LOCK;
	return any;
}

/* Those that are stuck come first. */
static int take_all(struct finder *f, const struct prove_result *r, bool locks)
{
	struct u64map taken;
	int err = locks ? walk_all(f) : 0;

	f->walk.cap = GOLOCKS_MAX_WAITERS + (r ? r->n + r->nstuck : 0) + 1;
	f->walk.g = malloc(f->walk.cap * sizeof(*f->walk.g));
	if (!f->walk.g)
		return -ENOMEM;
	u64map_init(&taken, f->walk.cap);
	if (r && !err)
		err = take_leaked(f, r, &taken);
	for (size_t i = 0; r && i < r->nstuck && !err; i++)
		err = take_stuck(f, &r->stuck[i].g, &taken);
	f->nstuck = f->walk.n;
	if (!err)
		take_waiting(f, &taken);
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

int deadlocks_find(struct window *w, struct sites *s, const struct gowalk *just,
		   const struct prove_result *r, struct losses *losses)
{
	struct finder f = { .w = w, .s = s };
	bool locks = locks_are_waited_for(&f, just, r);
	int err = take_all(&f, r, locks);

	clear(&w->goroutines->deadlocks);
	if (!err)
		err = golocks_read(&f.l, s->rt, &f.walk, f.nstuck);
	if (!err)
		err = make_graph(&f);
	if (!err) {
		const struct cycle_graph g = { f.node, f.l.n, f.wakes, f.nwakes };

		err = cycles_edges(&g, add_pair, &f);
		if (!err)
			err = cycles_find(&g, add_cycle, &f);
	}
	w->goroutines->deadlocks.known = !err;
	w->goroutines->deadlocks.no_lock_waits = !locks;
	lose(losses, LOSS_WAIT_GRAPH,
	     f.left_out + f.l.left_out + (f.ahead ? goahead_left_out(f.ahead) : 0));
	goahead_free(f.ahead);
	golocks_deinit(&f.l);
	gowalk_deinit(&f.all);
	u64map_deinit(&f.doubt);
	free(f.lock_of);
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
