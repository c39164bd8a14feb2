/* SPDX-License-Identifier: BSD-2-Clause */
#include "locks/contention.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "model/age.h"
#include "model/place.h"
#include "gort/goslots.h"
#include "trace/trace.h"
#include "locks/window.h"

#define MAX_FRAMES  16 /* physical, from where it stands to the caller of Lock */
#define MAX_INLINED 32
/* sync.Mutex: state int32, sema uint32; sync.RWMutex: w Mutex, writerSem, readerSem uint32
 * (1.18 to 1.27) */
#define MUTEX_SEMA     4
#define RW_WRITER_SEMA 8
#define RW_READER_SEMA 12

/* What a stack waits for. */
struct wait_stack {
	bool looked, waits;
	bool rw;
	const char *std; /* the standard library's function that locks */
	int32_t slot;    /* of the semaphore, from SP; 0: not known yet */
	uint32_t sema;   /* offset of the semaphore in the lock */
	struct place place;
	/* of this look: waiters, one of `each` looked at, so many were; the row of all of them */
	uint64_t n, each, looked_at;
	int row;
	bool mixed; /* of several rows */
};

struct wait_key {
	uint64_t lock;
	struct place_key place;
};

struct contention {
	struct goruntime *rt;
	uint64_t semacquire;       /* link-time entry of runtime.semacquire1 */
	struct lock_wait_row *row; /* owned; of the latest look */
	struct since *longest;     /* owned; per row */
	int nrow;
	bool known;
	struct recall waits, rows; /* by goid; by hash of the key */
	/* of the look under way */
	struct recall new_waits, new_rows;
	struct bytesmap row_at; /* key -> number in row */
	const struct gowalk *walk;
	const struct gostacks *gs;
	struct wait_stack *stack; /* per distinct stack */
	uint64_t *lock_of;        /* owned: of the walk's goroutines */
	size_t lock_of_cap;
	uint64_t now_ns;
	const char *words; /* static, of a state; and whether a lock may be what it waits for */
	bool of_lock;
};

/* ---- stacks ---- */

static void take_frame(const struct goframe *f, bool *writer, bool *mutex, bool *reader)
{
	const char *name = f->function;

	*writer = *writer || !strcmp(name, "sync.(*RWMutex).Lock");
	*reader = *reader || !strcmp(name, "sync.(*RWMutex).RLock");
	/* in internal/sync since 1.24 */
	*mutex = *mutex || !strcmp(name, "sync.(*Mutex).lockSlow") ||
		 !strcmp(name, "sync.(*Mutex).Lock") ||
		 !strcmp(name, "internal/sync.(*Mutex).lockSlow");
}

static bool is_inside(const struct goframe *f)
{
	return goframe_is_runtime(f) || f->wrapper || !strncmp(f->function, "sync.", 5) ||
	       !strncmp(f->function, "internal/sync.", 14);
}

/* Of Lock: sync's own (a Once), or another package of the standard library. */
static bool is_std_caller(const struct goframe *f)
{
	return goframe_is_std(f) && !goframe_is_runtime(f) && !f->wrapper &&
	       strncmp(f->function, "sync.runtime_", 13) != 0 &&
	       strncmp(f->function, "internal/sync.", 14) != 0 && !strstr(f->function, "Mutex).");
}

/*
 * Which of the lock's methods it is in, and who called it: the user, or, where
 * there is none on the stack, the caller.  RWMutex.Lock waits for its inner
 * Mutex first, then for the readers.
 */
static void look_at_stack(struct contention *c, const struct gostack *s, struct wait_stack *w)
{
	bool injected = false, writer = false, mutex = false, reader = false;
	struct place caller = { 0 };

	w->looked = true;
	for (uint32_t i = 0; i < s->n && i < MAX_FRAMES && !caller.function; i++) {
		struct goframe f[MAX_INLINED];
		int n = goruntime_frames_at(c->rt, c->gs->pc[s->first + i], &injected, f,
					    MAX_INLINED);

		for (int k = 0; k < n && !caller.function; k++) {
			take_frame(&f[k], &writer, &mutex, &reader);
			if (!w->std && is_std_caller(&f[k]))
				w->std = f[k].function;
			if (!is_inside(&f[k]))
				caller = place_of_frame(&f[k]);
		}
	}
	w->waits = writer || mutex || reader;
	w->rw = writer || reader;
	w->sema = mutex ? MUTEX_SEMA : writer ? RW_WRITER_SEMA : RW_READER_SEMA;
	if (w->waits && !place_of_pcs(c->rt, c->gs->pc + s->first, (int)s->n, false, &w->place))
		w->place = caller;
}

/* Where the semaphore's address is on such a stack, from SP: first argument of semacquire1; 0: not known. */
static int32_t find_slot(struct contention *c, const struct goroutine *g)
{
	struct gostack_frame f[MAX_FRAMES];
	int n = goruntime_stack_frames(c->rt, g, f, MAX_FRAMES);
	struct gofunc fn;
	int32_t slot;

	for (int i = 0; i < n; i++) {
		if (pclntab_find_pc(c->rt->gb->pcln, f[i].pc - c->rt->bias, &fn) ||
		    fn.entry != c->semacquire)
			continue;
		if (!f[i].argp || goslot_arg(c->rt, f[i].pc, !i, 0, &slot))
			return 0;
		return (int32_t)(f[i].argp - g->sched_sp) + slot;
	}
	return 0;
}

static bool read_semaphore(struct contention *c, const struct goroutine *g, struct wait_stack *w,
			   uint64_t *out)
{
	struct goroutine now;

	if (!w->slot)
		w->slot = find_slot(c, g);
	return w->slot && !mem_read_u64(c->rt->mem, g->sched_sp + (uint64_t)w->slot, out) &&
	       *out % 4 == 0 && *out > 4096 && !goruntime_read_g(c->rt, g->addr, &now) &&
	       now.goid == g->goid && now.tracking_seq == g->tracking_seq &&
	       now.sched_sp == g->sched_sp;
}

/* ---- rows ---- */

/* The number of the row, made when there is no such row; the last one is "other". */
static int row_of(struct contention *c, const struct wait_stack *w, uint64_t lock)
{
	struct wait_key key = { lock, place_key(&w->place) };
	uint64_t *at, before = hash_bytes(&key, sizeof(key));
	const struct recalled *was;
	bool made = false;

	at = lock ? bytesmap_put(&c->row_at, &key, sizeof(key), (uint64_t)c->nrow, &made) : NULL;
	if (!at)
		return CONTENTION_MAX_ROWS - 1;
	if (made) {
		was = recall_find(&c->rows, before);
		c->row[c->nrow] = (struct lock_wait_row){
			.kind = w->rw ? "sync.RWMutex" : "sync.Mutex",
			.rw = w->rw,
			.std = w->std,
			.lock = lock,
			.place = w->place,
			.exactness = EXACT,
			.rate = 1,
			.waiters_before = was ? was->mark[0] : 0,
		};
		c->longest[c->nrow++] = (struct since){ 0 };
	}
	return (int)*at;
}

/* What it waits for; false: not known, it has run meanwhile. */
static bool lock_of(struct contention *c, const struct goroutine *g, struct wait_stack *w,
		    uint64_t *lock)
{
	const struct recalled *before = recall_find(&c->waits, g->goid);
	uint64_t sema;

	/* a stop that was seen at the look before, or one more to be read */
	if (before && before->mark[0] && before->mark[1] == goroutine_stop(g)) {
		*lock = before->mark[0];
		return true;
	}
	if (!read_semaphore(c, g, w, &sema))
		return false;
	*lock = sema - w->sema;
	return true;
}

/* The same ones at each look, so that what is known of them serves the next. */
static bool is_sampled(const struct goroutine *g, const struct wait_stack *w)
{
	return w->each == 1 || hash_u64(g->goid) % w->each == 0;
}

static void take_waiter(struct contention *c, size_t i, struct wait_stack *w)
{
	const struct goroutine *g = &c->walk->g[i];
	struct since since;
	uint64_t lock;
	int at;

	c->lock_of[i] = CONTENTION_UNKNOWN;
	if (!is_sampled(g, w) || !lock_of(c, g, w, &lock))
		return;
	c->lock_of[i] = lock;
	at = row_of(c, w, lock);
	w->mixed = w->mixed || (w->looked_at && w->row != at);
	w->row = at;
	w->looked_at++;
	/* the same stop for the same lock */
	since = since_parked(g, recall_keep_stop(&c->waits, &c->new_waits, g, lock, c->now_ns));
	c->row[at].waiters += w->each;
	if (w->each > 1) {
		c->row[at].exactness = SAMPLED;
		c->row[at].rate = 1 / (double)w->each;
	}
	c->longest[at] = since_earlier(c->longest[at], since);
}

/* Where all of a sample wait for one lock, all do. */
static void finish_samples(struct contention *c)
{
	for (size_t i = 0; i < c->gs->n; i++) {
		const struct wait_stack *w = &c->stack[i];

		if (w->looked_at && !w->mixed && w->each > 1)
			c->row[w->row].waiters += w->n - w->each * w->looked_at;
	}
}

static int by_waiters(const void *x, const void *y)
{
	const struct lock_wait_row *a = x, *b = y;

	if (a->other != b->other)
		return a->other ? 1 : -1;
	if (a->waiters != b->waiters)
		return a->waiters < b->waiters ? 1 : -1;
	return a->lock < b->lock ? -1 : a->lock > b->lock;
}

static void finish_rows(struct contention *c)
{
	struct lock_wait_row *last = &c->row[CONTENTION_MAX_ROWS - 1];

	for (int i = 0; i < c->nrow; i++) {
		struct lock_wait_row *row = &c->row[i];
		struct wait_key key = { row->lock, place_key(&row->place) };

		row->longest_s = since_age_s(c->longest[i], c->now_ns, &row->age);
		recall_keep(&c->rows, &c->new_rows, hash_bytes(&key, sizeof(key)), row->waiters, 0,
			    c->now_ns);
	}
	if (last->waiters) {
		last->other = true;
		last->kind = "sync.Mutex";
		last->longest_s =
			since_age_s(c->longest[CONTENTION_MAX_ROWS - 1], c->now_ns, &last->age);
		c->row[c->nrow++] = *last;
	}
	qsort(c->row, (size_t)c->nrow, sizeof(*c->row), by_waiters);
}

/* ---- a look ---- */

/* "semacquire" is all that releases up to 1.19 say of either. */
static bool may_wait_for_lock(struct contention *c, const struct goroutine *g)
{
	const char *words = g->status == GO_WAITING && !g->system ? goroutine_state(c->rt, g) : "";

	if (words == c->words) /* mostly as the one before */
		return c->of_lock;
	c->words = words;
	c->of_lock = !strncmp(words, "sync.Mutex.Lock", 15) ||
		     !strncmp(words, "sync.RWMutex.", 13) || !strcmp(words, "semacquire");
	return c->of_lock;
}

static struct wait_stack *stack_at(struct contention *c, const uint32_t *stack_of, size_t i)
{
	struct wait_stack *w;

	if (stack_of[i] >= c->gs->n)
		return NULL;
	w = &c->stack[stack_of[i]];
	if ((w->looked && !w->waits) || !may_wait_for_lock(c, &c->walk->g[i]))
		return NULL;
	if (!w->looked)
		look_at_stack(c, &c->gs->stack[stack_of[i]], w);
	return w->waits ? w : NULL;
}

static void look(struct contention *c, const uint32_t *stack_of)
{
	for (size_t i = 0; i < c->walk->n; i++) {
		struct wait_stack *w = stack_at(c, stack_of, i);

		if (w)
			w->n++;
	}
	for (size_t i = 0; i < c->gs->n; i++)
		c->stack[i].each = 1 + c->stack[i].n / CONTENTION_SAMPLE;
	for (size_t i = 0; i < c->walk->n; i++) {
		struct wait_stack *w = stack_at(c, stack_of, i);

		if (w)
			take_waiter(c, i, w);
	}
	finish_samples(c);
}

int contention_look(struct contention *c, const struct look *l)
{
	c->walk = l->walk;
	c->gs = l->stacks;
	c->now_ns = l->now_ns;
	c->nrow = 0;
	c->known = false;
	memset(&c->row[CONTENTION_MAX_ROWS - 1], 0, sizeof(*c->row));
	memset(&c->longest[CONTENTION_MAX_ROWS - 1], 0, sizeof(*c->longest));
	if (array_grow(&c->lock_of, c->walk->n + 1, &c->lock_of_cap, sizeof(*c->lock_of)))
		return -ENOMEM;
	memset(c->lock_of, 0, c->walk->n * sizeof(*c->lock_of));
	c->stack = calloc(c->gs->n + 1, sizeof(*c->stack));
	if (!c->stack)
		return -ENOMEM;
	bytesmap_init(&c->row_at, CONTENTION_MAX_ROWS - 1);
	look(c, l->stack_of);
	finish_rows(c);
	bytesmap_deinit(&c->row_at);
	lose(l->losses, LOSS_LOCK_ROOM, c->new_waits.dropped + c->new_rows.dropped);
	recall_swap(&c->waits, &c->new_waits);
	recall_swap(&c->rows, &c->new_rows);
	free(c->stack);
	c->stack = NULL;
	c->known = true;
	return 0;
}

const uint64_t *contention_locks(const struct contention *c)
{
	return c->lock_of;
}

int contention_fill(const struct contention *c, struct locks_window *out)
{
	size_t bytes = (size_t)c->nrow * sizeof(*c->row);

	out->known = c->known;
	if (!bytes)
		return 0;
	out->row = malloc(bytes);
	if (!out->row)
		return -ENOMEM;
	memcpy(out->row, c->row, bytes);
	out->nrow = c->nrow;
	return 0;
}

static void add_hists(const struct trace_reading *r, struct trace_hist *sum,
		      uint64_t *max_window_ns)
{
	*max_window_ns = 0;
	for (size_t i = 0; r && i < r->ncall; i++) {
		const struct trace_call *call = &r->call[i];

		if (call->kind != CALL_LOCK)
			continue;
		sum->count += call->hist.count;
		if (call->hist.max_ns > sum->max_ns)
			sum->max_ns = call->hist.max_ns;
		for (int b = 0; b < TRACE_HIST_BUCKETS; b++)
			sum->bucket[b] += call->hist.bucket[b];
		if (call->max_ns_window > *max_window_ns)
			*max_window_ns = call->max_ns_window;
	}
}

/* Where they were counted in slices: how many there were. */
static bool sample_waits(const struct trace_reading *r, struct locks_window *out)
{
	double total = 0, margin = 0;

	if (!r->requests_sliced)
		return false;
	for (size_t i = 0; i < r->ncall; i++)
		if (r->call[i].kind == CALL_LOCK) {
			total += r->call[i].sample.total;
			margin += r->call[i].sample.margin;
		}
	out->waits = (uint64_t)(total + 0.5);
	out->margin = (uint64_t)ceil(margin);
	return true;
}

void contention_fill_waits(const struct trace_reading *base, const struct trace_reading *now,
			   double rate, struct locks_window *out)
{
	struct trace_hist before = { 0 }, after = { 0 };
	uint64_t max_ns;

	add_hists(base, &before, &max_ns);
	add_hists(now, &after, &max_ns);
	out->waits = out->timed = after.count - before.count;
	out->margin = 0;
	out->exactness = sample_waits(now, out) ? SAMPLED : EXACT;
	out->rate = rate;
	out->waits_known = rate > 0 || out->margin;
	if (!out->waits)
		return;
	out->p50_ns = trace_hist_percentile(&after, &before, 0.5);
	out->p99_ns = trace_hist_percentile(&after, &before, 0.99);
	out->max_ns = max_ns;
}

/* ---- life ---- */

int contention_new(struct contention **out, struct goruntime *rt)
{
	struct contention *c;
	struct gofunc fn;
	int err;

	*out = NULL;
	if (!goruntime_has(rt, FACT_STACKS) || !goruntime_has(rt, FACT_GOROUTINES))
		return -EOPNOTSUPP;
	err = pclntab_find_name(rt->gb->pcln, "runtime.semacquire1", &fn);
	if (err)
		return err == -ENOMEM ? err : -EOPNOTSUPP;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->rt = rt;
	c->semacquire = fn.entry;
	c->row = calloc(CONTENTION_MAX_ROWS, sizeof(*c->row));
	c->longest = calloc(CONTENTION_MAX_ROWS, sizeof(*c->longest));
	recall_init(&c->waits);
	recall_init(&c->rows);
	recall_init(&c->new_waits);
	recall_init(&c->new_rows);
	if (!c->row || !c->longest) {
		contention_free(c);
		return -ENOMEM;
	}
	*out = c;
	return 0;
}

void contention_free(struct contention *c)
{
	if (!c)
		return;
	recall_deinit(&c->waits);
	recall_deinit(&c->rows);
	recall_deinit(&c->new_waits);
	recall_deinit(&c->new_rows);
	free(c->row);
	free(c->longest);
	free(c->lock_of);
	free(c);
}
