/* SPDX-License-Identifier: BSD-2-Clause */
/* Every reader on recorded memory, and what it says when nothing is wrong. */
#ifndef GOSPECT_TESTS_FAULTS_H
#define GOSPECT_TESTS_FAULTS_H

#include "faulty.h"
#include "prove/prove.h"
#include "recorded.h"
#include "gort/golabels.h"
#include "gort/golocks.h"
#include "gort/goruntime_priv.h"
#include "gort/gostacks.h"
#include "gort/heapprof.h"

#define MAX_G         (2 * TRUTH_MAX)
#define MAX_POSITIONS 250 /* of a single failure that are tried, for each reader */
#define MAX_COPY      (256u << 20)
#define MAX_PIECES    2000000 /* asked for by one reader, whatever is damaged */

/* What the readers say when nothing is wrong. */
struct sound {
	struct recorded r;
	struct gowalk walk;
	struct gototals totals;
	struct gostacks stacks;
	uint32_t stack_of[MAX_G];
	struct golabels labels;
	uint32_t set_of[MAX_G];
	struct heapprof heap;
	struct golocks locks;
	size_t leaked;
};

static inline void sound_open(struct sound *s, const char *release)
{
	struct prove_result leaks;
	char why[200];

	memset(s, 0, sizeof(*s));
	recorded_open(&s->r, release);
	assert_int_equal(goruntime_walk(&s->r.rt, &s->walk, NULL), 0);
	assert_true(s->walk.n < MAX_G);
	assert_int_equal(goruntime_totals(&s->r.rt, &s->totals), 0);
	assert_int_equal(gostacks_init(&s->stacks), 0);
	assert_int_equal(gostacks_read(&s->stacks, &s->r.rt, &s->walk, s->stack_of), 0);
	assert_int_equal(golabels_init(&s->labels), 0);
	assert_int_equal(golabels_read(&s->labels, &s->r.rt, &s->walk, s->set_of), 0);
	assert_int_equal(heapprof_read(&s->heap, &s->r.rt, why, sizeof(why)), 0);
	assert_int_equal(golocks_read(&s->locks, &s->r.rt, &s->walk, 0), 0);
	assert_int_equal(
		prove_run(&(struct prove_config){ .rt = &s->r.rt, .passes = 1 }, &leaks, NULL), 0);
	s->leaked = leaks.n;
	prove_result_deinit(&leaks);
}

static inline void sound_close(struct sound *s)
{
	golocks_deinit(&s->locks);
	heapprof_deinit(&s->heap);
	golabels_deinit(&s->labels);
	gostacks_deinit(&s->stacks);
	gowalk_deinit(&s->walk);
	recorded_close(&s->r);
}

/* A copy that a reader may change. */
static inline struct gowalk copy_of(const struct gowalk *w)
{
	struct gowalk c = *w;

	c.g = malloc(w->n * sizeof(*w->g));
	assert_non_null(c.g);
	memcpy(c.g, w->g, w->n * sizeof(*w->g));
	c.cap = w->n;
	return c;
}

static inline const struct goroutine *same_g(const struct sound *s, uint64_t addr)
{
	for (size_t i = 0; i < s->walk.n; i++)
		if (s->walk.g[i].addr == addr)
			return &s->walk.g[i];
	return NULL;
}

/* ---- one reader each: 0, or what it returned ---- */

static inline int try_walk(struct sound *s)
{
	struct gowalk w = { 0 };
	int code;

	s->r.rt.cache->naddr = s->r.rt.cache->list_seen = 0; /* the list again, too */
	code = goruntime_walk(&s->r.rt, &w, NULL);
	for (size_t i = 0; !code && i < w.n; i++) {
		const struct goroutine *g = same_g(s, w.g[i].addr);

		assert_non_null(g);
		assert_int_equal(w.g[i].goid, g->goid);
		assert_int_equal(w.g[i].status, g->status);
		assert_int_equal(w.g[i].wait_reason, g->wait_reason);
		assert_int_equal(w.g[i].gopc, g->gopc);
		assert_int_equal(w.g[i].sched_sp, g->sched_sp);
		assert_int_equal(w.g[i].labels, g->labels);
		assert_int_equal(w.g[i].waiting, g->waiting);
		assert_int_equal(w.g[i].system, g->system);
	}
	if (!code)
		assert_true(w.n <= s->walk.n && s->walk.n - w.n <= w.failures);
	gowalk_deinit(&w);
	return code;
}

static inline int try_totals(struct sound *s)
{
	const struct gototals *is = &s->totals;
	struct gototals t;
	int code = goruntime_totals(&s->r.rt, &t);

	if (code)
		return code;
	assert_true(!t.has_created || t.created == is->created);
	assert_true(!t.has_live || (t.live == is->live && t.system == is->system));
	assert_true(!t.has_gc || (t.numgc == is->numgc && t.numforcedgc == is->numforcedgc &&
				  t.pause_total_ns == is->pause_total_ns &&
				  !memcmp(t.pause_ns, is->pause_ns, sizeof(t.pause_ns))));
	assert_true(!t.has_heap || (t.heap_live == is->heap_live && t.heap_goal == is->heap_goal &&
				    t.gogc == is->gogc && t.memory_limit == is->memory_limit));
	assert_true(!t.has_total_alloc ||
		    (t.total_alloc == is->total_alloc && t.total_free == is->total_free));
	return 0;
}

static inline void check_stack(const struct sound *s, const struct gostacks *got, uint32_t number,
			       size_t i)
{
	const struct gostack *a = &got->stack[number], *b = &s->stacks.stack[s->stack_of[i]];

	assert_true(number < got->n);
	assert_int_equal(a->whole, b->whole);
	assert_int_equal(a->n, b->n);
	assert_memory_equal(got->pc + a->first, s->stacks.pc + b->first, a->n * sizeof(*got->pc));
}

static inline int try_stacks(struct sound *s)
{
	struct gowalk w = copy_of(&s->walk);
	struct gostacks got;
	uint32_t of[MAX_G];
	uint64_t unread = 0;
	int code;

	assert_int_equal(gostacks_init(&got), 0);
	code = gostacks_read(&got, &s->r.rt, &w, of);
	for (size_t i = 0; !code && i < w.n; i++) {
		assert_true(of[i] != GOSTACK_RUNNING && of[i] != GOSTACK_ENDED);
		unread += of[i] == GOSTACK_UNREAD;
		if (of[i] != GOSTACK_UNREAD)
			check_stack(s, &got, of[i], i);
	}
	if (!code)
		assert_int_equal(unread, got.unread);
	gostacks_deinit(&got);
	gowalk_deinit(&w);
	return code;
}

static inline void check_labels(const struct sound *s, const struct golabels *got, uint32_t set,
				size_t i)
{
	const struct golabel_set *a = &got->set[set], *b = &s->labels.set[s->set_of[i]];

	assert_int_equal(a->n, b->n);
	for (uint32_t k = 0; k < a->n; k++) {
		assert_string_equal(got->label[a->first + k].key,
				    s->labels.label[b->first + k].key);
		assert_string_equal(got->label[a->first + k].value,
				    s->labels.label[b->first + k].value);
	}
}

static inline int try_labels(struct sound *s)
{
	struct golabels got;
	uint32_t set[MAX_G];
	uint64_t unknown = 0;
	int code;

	assert_int_equal(golabels_init(&got), 0);
	code = golabels_read(&got, &s->r.rt, &s->walk, set);
	for (size_t i = 0; !code && i < s->walk.n; i++) {
		unknown += set[i] == GOLABELS_UNKNOWN;
		if (set[i] != GOLABELS_UNKNOWN)
			check_labels(s, &got, set[i], i);
	}
	if (!code)
		assert_int_equal(unknown, got.unknown);
	golabels_deinit(&got);
	return code;
}

static inline int try_heap(struct sound *s)
{
	struct heapprof h;
	char why[200] = "";
	int code = heapprof_read(&h, &s->r.rt, why, sizeof(why));

	assert_true(!code || *why);
	for (size_t i = 0, k = 0; !code && i < h.n; i++) {
		const struct heap_bucket *a = &h.bucket[i], *b;

		while (k < s->heap.n && s->heap.bucket[k].addr != a->addr)
			k++;
		assert_true(k < s->heap.n);
		b = &s->heap.bucket[k];
		assert_int_equal(h.rate, s->heap.rate);
		assert_int_equal(a->alloc_count, b->alloc_count);
		assert_int_equal(a->alloc_bytes, b->alloc_bytes);
		assert_int_equal(a->in_use_count, b->in_use_count);
		assert_int_equal(a->in_use_bytes, b->in_use_bytes);
		assert_int_equal(a->n, b->n);
		assert_memory_equal(h.pc + a->first, s->heap.pc + b->first, a->n * sizeof(*h.pc));
	}
	if (!code && h.n < s->heap.n)
		assert_true(h.cut || h.bad);
	heapprof_deinit(&h);
	return code;
}

static inline int try_locks(struct sound *s)
{
	struct golocks got;
	int code = golocks_read(&got, &s->r.rt, &s->walk, 0);

	assert_int_equal(got.waiter == NULL, code != 0); /* after a failure nothing is owned */
	for (size_t i = 0; !code && i < got.n; i++) {
		const struct golock_waiter *a = &got.waiter[i], *b = NULL;

		for (size_t k = 0; k < s->locks.n; k++)
			if (s->locks.waiter[k].g == a->g)
				b = &s->locks.waiter[k];
		assert_non_null(b);
		assert_int_equal(a->lock, b->lock);
	}
	golocks_deinit(&got);
	return code;
}

static inline int try_leaks(struct sound *s)
{
	struct prove_config cfg = { .rt = &s->r.rt, .passes = 1, .max_bytes = MAX_COPY };
	struct prove_result out;
	int code = prove_run(&cfg, &out, NULL);

	if (!code && out.verdict == LEAKS_OFF)
		assert_true(!out.n && *out.why);
	for (size_t i = 0; !code && i < out.n; i++) {
		const struct truth_goroutine *t = truth_of(s->r.truth, out.v[i].g.goid);

		assert_non_null(t);
		if (!truth_is_leaked(t))
			fail_msg("goroutine %lu of %s is not leaked", t->id, truth_start(t));
	}
	/* who is missing is missing because something is said to be */
	if (!code && out.verdict != LEAKS_OFF && out.n < s->leaked)
		assert_true(out.losses || out.unknown_bytes);
	prove_result_deinit(&out);
	return code;
}

/* Opened anew: what does not pass is off, the rest works as ever on sound memory. */
static inline int try_opening(struct sound *s)
{
	struct goruntime before = s->r.rt, now;
	int code = goruntime_init(&now, s->r.gb, before.mem, 0, 0, NULL);

	if (code)
		return code;
	now.mem = s->r.mem;
	s->r.rt = now;
	if (goruntime_has(&now, FACT_GOROUTINES))
		assert_int_equal(try_walk(s), 0);
	if (goruntime_has(&now, FACT_STACKS))
		assert_int_equal(try_stacks(s), 0);
	try_totals(s);
	goruntime_deinit(&s->r.rt);
	s->r.rt = before;
	return 0;
}

/*
 * When a process that has ended is an error, other than a fact that is off or
 * something that is unknown: whenever it is noticed, or at the first call only.
 */
enum ends { NEVER, AT_FIRST, ALWAYS };

static const struct reader {
	const char *name;
	int (*try)(struct sound *s);
	enum ends ends;
} readers[] = {
	{ "opening", try_opening, NEVER },  { "walk", try_walk, ALWAYS },
	{ "totals", try_totals, NEVER },    { "stacks", try_stacks, ALWAYS },
	{ "labels", try_labels, AT_FIRST }, { "heap", try_heap, ALWAYS },
	{ "locks", try_locks, AT_FIRST },   { "leaks", try_leaks, ALWAYS },
};

#define NREADERS (sizeof(readers) / sizeof(*readers))

static inline int with(struct sound *s, const struct reader *r, struct faulty *f)
{
	int code;

	s->r.rt.mem = &f->base;
	code = r->try(s);
	s->r.rt.mem = s->r.mem;
	assert_true(f->pieces < MAX_PIECES);
	switch (code) {
	case 0:
	case -EFAULT:
	case -ESRCH:
	case -EBADMSG:
	case -ENOEXEC:
	case -EOPNOTSUPP:
		return code;
	default:
		fail_msg("%s: returned %d", r->name, code);
		return code;
	}
}

#endif
