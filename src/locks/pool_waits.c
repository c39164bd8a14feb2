/* SPDX-License-Identifier: BSD-2-Clause */
#include "locks/pool_waits.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gort/gostacks.h"
#include "model/age.h"
#include "model/place.h"

#define MAX_LINES   64 /* of one stack */
#define MAX_INLINED 32
#define MAX_ROWS    100
#define MAX_PCS     65536
#define MAX_NAME    256

/* A place where goroutines wait for something of a pool. */
struct waited {
	struct pool_wait_row row;
	struct since longest, quiet;
	uint64_t key;
};

struct waiter {
	uint64_t goid, stop, key;
};

struct pool_waits {
	struct goruntime *rt;
	struct u64map pool_pc; /* whether a pool's function is there */
	struct recall waits, new_waits;
	struct waited *at; /* owned; of the latest look */
	size_t n, cap;
	struct waited *before; /* owned; of the one before */
	size_t nbefore, before_cap;
	struct waiter *waiter, *waiter_before; /* owned */
	size_t nwaiter, waiter_cap, nwaiter_before, waiter_before_cap;
	uint64_t now_ns;
};

/* ---- names ---- */

enum kind { KIND_OTHER, KIND_POOL, KIND_INSIDE, KIND_KNOWN };

static bool begins_with(const char *name, const char *const *with, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strncmp(name, with[i], strlen(with[i])))
			return true;
	return false;
}

static bool contains(const char *name, const char *const *what, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(name, what[i]))
			return true;
	return false;
}

/* Takes something out of a pool, by its name.  Who waits in one of these for work is idle. */
static bool is_pool_name(const char *function)
{
	static const char *const verbs[] = { "acquire",  "get",    "borrow", "take",
					     "checkout", "obtain", "lease" };
	static const char *const pools[] = { "pool", "semaphore", "puddle" };
	static const char *const work[] = { "worker", "job", "task", "queue", "event" };
	char name[MAX_NAME];
	const char *last;
	size_t n = 0;

	for (; function[n] && n < sizeof(name) - 1; n++)
		name[n] = (char)tolower((unsigned char)function[n]);
	name[n] = '\0';
	last = strrchr(name, '.');
	return last && begins_with(last + 1, verbs, ARRAY_SIZE(verbs)) &&
	       contains(name, pools, ARRAY_SIZE(pools)) && !contains(name, work, ARRAY_SIZE(work));
}

static enum kind kind_of_name(const char *function)
{
	/* have rows of their own, or phases */
	static const char *const known[] = {
		"database/sql.",
		"net/http.",
		"golang.org/x/net/http2.",
		"google.golang.org/grpc",
		"github.com/jackc/pgx/v5/pgxpool.",
		"github.com/jackc/pgx/v4/pgxpool.",
		"github.com/redis/go-redis/",
		"github.com/go-redis/redis/",
	};
	static const char *const inside[] = { "runtime.", "sync.(*Cond).Wait",
					      "sync.runtime_notifyListWait" };

	if (begins_with(function, known, ARRAY_SIZE(known)))
		return KIND_KNOWN;
	if (begins_with(function, inside, ARRAY_SIZE(inside)))
		return KIND_INSIDE;
	return is_pool_name(function) ? KIND_POOL : KIND_OTHER;
}

/* Whether one of the functions at a pc, inlined ones too, looks like a pool's. */
static bool has_pool(struct pool_waits *p, uint64_t pc)
{
	uint64_t *at = u64map_find(&p->pool_pc, pc);
	struct goframe f[MAX_INLINED];
	bool injected = false, has = false;
	int n = at ? 0 : goruntime_frames_at(p->rt, pc, &injected, f, MAX_INLINED);

	if (at)
		return *at;
	for (int k = 0; k < n; k++)
		has = has || kind_of_name(f[k].function) == KIND_POOL;
	if (p->pool_pc.len >= MAX_PCS)
		u64map_clear(&p->pool_pc);
	u64map_put(&p->pool_pc, pc, has, NULL);
	return has;
}

/* The package of a function, with its last dot: how long. */
static size_t package_of(const char *name)
{
	const char *slash = name, *dot;

	for (const char *c = name; *c && *c != '(' && *c != '['; c++)
		if (*c == '/')
			slash = c;
	dot = strchr(slash, '.');
	return dot ? (size_t)(dot - name) + 1 : 0;
}

static bool same_package(const char *a, const char *b)
{
	size_t n = package_of(a);

	return n == package_of(b) && !strncmp(a, b, n);
}

/* The frames of a stack, inlined ones too, innermost first: how many. */
static int frames_of(struct pool_waits *p, const struct gostacks *gs, const struct gostack *s,
		     struct place line[MAX_LINES])
{
	bool injected = false;
	int n = 0;

	for (uint32_t i = 0; i < s->n && n < MAX_LINES; i++) {
		struct goframe f[MAX_INLINED];
		int m = goruntime_frames_at(p->rt, gs->pc[s->first + i], &injected, f, MAX_INLINED);

		for (int k = 0; k < m && n < MAX_LINES; k++)
			if (!f[k].wrapper)
				line[n++] = place_of_frame(&f[k]);
	}
	return n;
}

/* The innermost frame that looks so, where nothing but its own package is further in; *last: the
 * outermost.  -1: it does not wait in a pool, or in one that is known. */
static int pool_frame(const struct place *line, int n, int *last)
{
	int first = -1;

	for (int i = 0; i < n; i++) {
		enum kind kind = kind_of_name(line[i].function);

		if (kind == KIND_KNOWN)
			return -1;
		if (kind != KIND_POOL)
			continue;
		*last = i;
		first = first < 0 ? i : first;
	}
	for (int i = 0; i < first; i++)
		if (kind_of_name(line[i].function) != KIND_INSIDE &&
		    !same_package(line[i].function, line[first].function))
			return -1;
	return first;
}

/* The function is the innermost that looks like a pool's, the place behind the outermost. */
static bool waits_in_pool(struct pool_waits *p, const struct gostacks *gs, const struct gostack *s,
			  struct pool_wait_row *out)
{
	struct place line[MAX_LINES];
	const struct place *user[MAX_LINES];
	bool any = false;
	int n, first, last = 0;

	for (uint32_t i = 0; i < s->n && !any; i++)
		any = has_pool(p, gs->pc[s->first + i]);
	n = any ? frames_of(p, gs, s, line) : 0;
	first = pool_frame(line, n, &last);
	if (first < 0)
		return false;
	for (int i = last + 1; i < n; i++)
		user[i - last - 1] = &line[i];
	*out = (struct pool_wait_row){ .function = line[first].function };
	if (!place_of_lines(user, n - last - 1, false, &out->place))
		out->place = line[last];
	return true;
}

/* ---- one look ---- */

static struct waited *find(struct waited *v, size_t n, uint64_t key)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].key == key)
			return &v[i];
	return NULL;
}

static struct waited *row_of(struct pool_waits *p, const struct pool_wait_row *r)
{
	const struct {
		struct place_key place;
		uint64_t function;
	} k = { place_key(&r->place), hash_bytes(r->function, strlen(r->function)) };
	uint64_t key = hash_bytes(&k, sizeof(k));
	struct waited *w = find(p->at, p->n, key), *before = find(p->before, p->nbefore, key);

	if (w || p->n >= MAX_ROWS || array_room(&p->at, p->n, &p->cap, sizeof(*p->at)))
		return w;
	w = &p->at[p->n++];
	*w = (struct waited){ .row = *r, .key = key };
	w->quiet = before ? before->quiet : (struct since){ p->now_ns, AGE_AT_LEAST };
	return w;
}

static int take_waiter(struct pool_waits *p, const struct goroutine *g,
		       const struct pool_wait_row *r)
{
	struct waited *w = row_of(p, r);
	uint64_t since;

	if (!w)
		return 0;
	if (array_room(&p->waiter, p->nwaiter, &p->waiter_cap, sizeof(*p->waiter)))
		return -ENOMEM;
	p->waiter[p->nwaiter++] = (struct waiter){ g->goid, goroutine_stop(g), w->key };
	since = recall_keep_stop(&p->waits, &p->new_waits, g, w->key, p->now_ns);
	w->row.waiting++;
	w->longest = since_earlier(w->longest, since_parked(g, since));
	return 0;
}

static int by_goid(const void *a, const void *b)
{
	const struct waiter *x = a, *y = b;

	return (x->goid > y->goid) - (x->goid < y->goid);
}

/* Who has waited at the look before and does so no more has come through, or given up. */
static void see_who_left(struct pool_waits *p)
{
	if (p->nwaiter)
		qsort(p->waiter, p->nwaiter, sizeof(*p->waiter), by_goid);
	for (size_t i = 0; i < p->nwaiter_before; i++) {
		const struct waiter *b = &p->waiter_before[i];
		const struct waiter *w =
			p->nwaiter ? bsearch(b, p->waiter, p->nwaiter, sizeof(*p->waiter), by_goid)
				   : NULL;
		struct waited *at = find(p->at, p->n, b->key);

		if (at && (!w || w->stop != b->stop || w->key != b->key))
			at->quiet = (struct since){ p->now_ns, AGE_AT_LEAST };
	}
}

static void begin(struct pool_waits *p, const struct look *l)
{
	struct waited *at = p->before;
	struct waiter *waiter = p->waiter_before;
	size_t cap = p->before_cap, waiter_cap = p->waiter_before_cap;

	p->before = p->at;
	p->nbefore = p->n;
	p->before_cap = p->cap;
	p->at = at;
	p->cap = cap;
	p->waiter_before = p->waiter;
	p->nwaiter_before = p->nwaiter;
	p->waiter_before_cap = p->waiter_cap;
	p->waiter = waiter;
	p->waiter_cap = waiter_cap;
	p->n = p->nwaiter = 0;
	p->now_ns = l->now_ns;
}

int pool_waits_look(struct pool_waits *p, const struct look *l)
{
	struct pool_wait_row *of = calloc(l->stacks->n + 1, sizeof(*of));
	int err = of ? 0 : -ENOMEM;

	if (err)
		return err;
	begin(p, l);
	for (size_t i = 0; i < l->stacks->n; i++)
		if (!waits_in_pool(p, l->stacks, &l->stacks->stack[i], &of[i]))
			of[i].function = NULL;
	for (size_t i = 0; i < l->walk->n && !err; i++)
		if (l->stack_of[i] < l->stacks->n && of[l->stack_of[i]].function)
			err = take_waiter(p, &l->walk->g[i], &of[l->stack_of[i]]);
	see_who_left(p);
	recall_swap(&p->waits, &p->new_waits);
	free(of);
	return err;
}

int pool_waits_fill(const struct pool_waits *p, struct locks_window *out)
{
	enum age_kind ignored;

	out->pool_wait = calloc(p->n + 1, sizeof(*out->pool_wait));
	if (!out->pool_wait)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++) {
		struct pool_wait_row *r = &out->pool_wait[out->npool_wait++];

		*r = p->at[i].row;
		r->longest_s = since_age_s(p->at[i].longest, p->now_ns, &r->age);
		r->quiet_s = since_age_s(p->at[i].quiet, p->now_ns, &ignored);
	}
	return 0;
}

int pool_waits_new(struct pool_waits **out, struct goruntime *rt)
{
	struct pool_waits *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->rt = rt;
	u64map_init(&p->pool_pc, MAX_PCS + 1);
	recall_init(&p->waits);
	recall_init(&p->new_waits);
	*out = p;
	return 0;
}

void pool_waits_free(struct pool_waits *p)
{
	if (!p)
		return;
	u64map_deinit(&p->pool_pc);
	recall_deinit(&p->waits);
	recall_deinit(&p->new_waits);
	free(p->at);
	free(p->before);
	free(p->waiter);
	free(p->waiter_before);
	free(p);
}
