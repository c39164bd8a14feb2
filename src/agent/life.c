/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/life.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/view_build.h"
#include "base/map.h"
#include "base/vec.h"

#define CLOSED_KEPT 1024 /* closed findings remembered: how often each came back */

/* A finding with all that it points to.  Counted: views have it. */
struct record {
	unsigned int refs;
	struct finding f;
	struct identity who;
	char function[256], file[128], path[512], in[256];
};

/* One finding of one process. */
struct kept {
	char id[LIFE_ID_SIZE];
	uint64_t key;
	pid_t pid;
	struct record *record;
	enum severity worst;
	uint64_t opened_ns, seen_ns;
	bool open, verdict;
	bool probed;            /* probes have seen it: only they can miss it */
	bool there, in_probed;  /* in the latest walk; in the latest window with probes */
	int hits, misses, need; /* walks in a row with it, and without; so many close it */
	double said;            /* its first number, when it was told last */
	char snapshot[SPOOL_ID_SIZE];
};

struct closed {
	uint64_t hash; /* of process and id */
	int need;
};

struct happened {
	enum view_event_kind kind;
	struct kept at;
	uint64_t real_ns, seq;
	const char *reason;
};

struct life {
	struct kept *kept; /* owned, all */
	size_t n, cap;
	struct happened *event;
	size_t nevent, event_cap;
	uint64_t seq, dropped;
	struct closed closed[CLOSED_KEPT]; /* the next goes where the oldest is */
	size_t next_closed;
};

char *life_id(const struct identity *who, const struct finding *f, char out[LIFE_ID_SIZE])
{
	uint64_t part[4] = {
		hash_bytes(who->service_namespace, strlen(who->service_namespace)),
		hash_bytes(who->service_name, strlen(who->service_name)),
		hash_bytes(f->kind, strlen(f->kind)),
		hash_bytes(f->id, strlen(f->id)),
	};

	snprintf(out, LIFE_ID_SIZE, "%016" PRIx64, hash_bytes(part, sizeof(part)));
	return out;
}

/* --- records -------------------------------------------------------------------- */

static void record_put(void *p)
{
	struct record *r = p;

	if (r && !--r->refs)
		free(r);
}

static const char *copy(const char *from, char *to, size_t size)
{
	if (!from)
		return NULL;
	snprintf(to, size, "%s", from);
	return to;
}

static struct record *record_new(const struct finding *f, const struct identity *who)
{
	struct record *r = calloc(1, sizeof(*r));
	struct place *p;

	if (!r)
		return NULL;
	r->refs = 1;
	r->f = *f;
	r->f.about.host = NULL; /* of the window */
	r->f.about.row = NULL;
	p = &r->f.place;
	p->function = copy(p->function, r->function, sizeof(r->function));
	p->file = copy(p->file, r->file, sizeof(r->file));
	p->path = copy(p->path, r->path, sizeof(r->path));
	p->in = copy(p->in, r->in, sizeof(r->in));
	identity_copy(who, &r->who);
	return r;
}

/* --- events ---------------------------------------------------------------------- */

static double first_number(const struct finding *f)
{
	return f->nnumber ? f->number[0].value : 0;
}

static void happen(struct life *l, enum view_event_kind kind, struct kept *k, uint64_t real_ns,
		   const char *reason)
{
	struct happened *e;

	k->said = first_number(&k->record->f);
	l->seq++;
	if (l->nevent == LIFE_MAX_EVENTS) {
		record_put(l->event[0].at.record);
		memmove(l->event, l->event + 1, --l->nevent * sizeof(*l->event));
		l->dropped++;
	}
	if (array_room(&l->event, l->nevent, &l->event_cap, sizeof(*l->event))) {
		l->dropped++;
		return;
	}
	e = &l->event[l->nevent++];
	*e = (struct happened){ kind, *k, real_ns, l->seq, reason };
	k->record->refs++;
}

/* How many walks without it close it: more when it has come back before. */
static uint64_t closed_hash(const struct kept *k)
{
	return hash_bytes(k->id, sizeof(k->id)) * 31 + hash_u64(k->key);
}

static struct closed *find_closed(struct life *l, uint64_t hash)
{
	for (size_t i = 0; i < CLOSED_KEPT; i++)
		if (l->closed[i].need && l->closed[i].hash == hash)
			return &l->closed[i];
	return NULL;
}

static void remember_closed(struct life *l, const struct kept *k)
{
	uint64_t hash = closed_hash(k);
	struct closed *c = find_closed(l, hash);

	if (!c) {
		c = &l->closed[l->next_closed];
		l->next_closed = (l->next_closed + 1) % CLOSED_KEPT;
	}
	c->hash = hash;
	c->need = k->need;
}

static void open_it(struct life *l, struct kept *k, uint64_t real_ns)
{
	const struct closed *c = find_closed(l, closed_hash(k));
	int least = k->probed ? LIFE_CLOSES_PROBED : LIFE_CLOSES;
	int most = k->probed ? LIFE_CLOSES_PROBED_MOST : LIFE_CLOSES_MOST;

	k->open = true;
	k->opened_ns = real_ns;
	k->need = !c ? least : 2 * c->need < most ? 2 * c->need : most;
	happen(l, VIEW_OPENED, k, real_ns, "");
}

static void drop(struct life *l, size_t i)
{
	record_put(l->kept[i].record);
	l->kept[i] = l->kept[--l->n];
}

static void close_it(struct life *l, size_t i, uint64_t real_ns, const char *why)
{
	struct kept *k = &l->kept[i];

	if (k->open) {
		happen(l, VIEW_CLOSED, k, real_ns, why);
		remember_closed(l, k);
	}
	drop(l, i);
}

/* --- walks ----------------------------------------------------------------------- */

static struct kept *find(struct life *l, uint64_t key, const char *id)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->kept[i].key == key && !strcmp(l->kept[i].id, id))
			return &l->kept[i];
	return NULL;
}

static struct kept *add(struct life *l, const char *id, const struct life_walk *w)
{
	struct kept *k;

	if (l->n == LIFE_MAX || array_room(&l->kept, l->n, &l->cap, sizeof(*l->kept))) {
		l->dropped++;
		return NULL;
	}
	k = &l->kept[l->n++];
	memset(k, 0, sizeof(*k));
	memcpy(k->id, id, LIFE_ID_SIZE);
	k->key = w->key;
	k->pid = w->pid;
	return k;
}

/* It is worse when it is more severe than it ever was, or twice of what was told. */
static void judge_open(struct life *l, struct kept *k, bool more_severe, uint64_t real_ns)
{
	const struct finding *f = &k->record->f;
	bool more = f->nnumber && f->number[0].is_integer && k->said > 0 &&
		    first_number(f) >= 2 * k->said;

	if (more_severe || more)
		happen(l, VIEW_WORSENED, k, real_ns, "");
}

/* Found by several passes over memory alone: what only they find only they can miss. */
static bool is_verdict(const struct life_walk *w, const struct finding *f)
{
	return w->verdict && (!strcmp(f->kind, "goroutine-leak") || !strcmp(f->kind, "deadlock"));
}

static bool *seen_in(struct kept *k, const struct life_walk *w)
{
	return w->probed ? &k->in_probed : &k->there;
}

static void see(struct life *l, const struct life_walk *w, const struct finding *f)
{
	char id[LIFE_ID_SIZE];
	struct record *r = record_new(f, w->who);
	struct kept *k;
	bool more_severe;

	life_id(w->who, f, id);
	k = r ? find(l, w->key, id) : NULL;
	if (r && !k)
		k = add(l, id, w);
	if (!k || *seen_in(k, w)) { /* or a second one of that name */
		record_put(r);
		return;
	}
	record_put(k->record);
	k->record = r;
	*seen_in(k, w) = true;
	if (w->probed && !k->probed) {
		k->probed = true;
		k->need = LIFE_CLOSES_PROBED;
	}
	k->hits++;
	k->misses = 0;
	k->seen_ns = w->real_ns;
	k->verdict = k->verdict || is_verdict(w, f);
	more_severe = f->severity > k->worst;
	if (more_severe)
		k->worst = f->severity;
	if (k->open)
		judge_open(l, k, more_severe, w->real_ns);
	else if (w->probed || k->hits >= LIFE_OPENS || f->severity >= SEVERITY_HIGH)
		open_it(l, k, w->real_ns);
}

/* It is not in this walk. */
static bool is_over(struct kept *k, const struct life_walk *w)
{
	k->hits = 0;
	if (!k->open)
		return true;
	k->misses++;
	if (k->verdict)
		return w->verdict;
	return k->misses >= k->need;
}

void life_judge(struct life *l, const struct life_walk *w)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->kept[i].key == w->key)
			*seen_in(&l->kept[i], w) = false;
	for (int i = 0; i < w->findings->n; i++)
		if (w->findings->f[i].severity >
		    SEVERITY_INFO) /* a remark is nothing to call for */
			see(l, w, &w->findings->f[i]);
	for (size_t i = l->n; !w->paused && i > 0; i--) {
		struct kept *k = &l->kept[i - 1];

		if (k->key == w->key && k->probed == w->probed && !*seen_in(k, w) && is_over(k, w))
			close_it(l, i - 1, w->real_ns, "gone");
	}
}

void life_end(struct life *l, uint64_t key, uint64_t real_ns, const char *why)
{
	for (size_t i = l->n; i > 0; i--)
		if (l->kept[i - 1].key == key)
			close_it(l, i - 1, real_ns, why);
}

void life_unprobed(struct life *l, uint64_t key, uint64_t real_ns)
{
	for (size_t i = l->n; i > 0; i--)
		if (l->kept[i - 1].key == key && l->kept[i - 1].probed)
			close_it(l, i - 1, real_ns, "unprobed");
}

/* --- what is asked of it ----------------------------------------------------------- */

bool life_is_undecided(const struct life *l, uint64_t key)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->kept[i].key == key && !l->kept[i].probed &&
		    (!l->kept[i].open || l->kept[i].misses))
			return true;
	return false;
}

bool life_wants_verdict(const struct life *l, uint64_t key)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->kept[i].key == key && l->kept[i].verdict && l->kept[i].misses)
			return true;
	return false;
}

/* Open, severe, and without one. */
static bool lacks_snapshot(const struct kept *k, uint64_t key)
{
	return k->key == key && k->open && k->worst >= SEVERITY_HIGH && !*k->snapshot;
}

bool life_wants_snapshot(const struct life *l, uint64_t key)
{
	for (size_t i = 0; i < l->n; i++)
		if (lacks_snapshot(&l->kept[i], key) && l->kept[i].there)
			return true;
	return false;
}

static void keep_for_events(struct life *l, const struct kept *k)
{
	for (size_t i = 0; i < l->nevent; i++)
		if (l->event[i].at.key == k->key && !strcmp(l->event[i].at.id, k->id))
			memcpy(l->event[i].at.snapshot, k->snapshot, SPOOL_ID_SIZE);
}

void life_keep(struct life *l, uint64_t key, const char *snapshot)
{
	for (size_t i = 0; i < l->n; i++) {
		struct kept *k = &l->kept[i];

		if (!lacks_snapshot(k, key) || !k->there)
			continue;
		snprintf(k->snapshot, SPOOL_ID_SIZE, "%s", snapshot);
		keep_for_events(l, k);
	}
}

int life_open(const struct life *l, uint64_t key, int *probed)
{
	int n = 0;

	*probed = 0;
	for (size_t i = 0; i < l->n; i++) {
		if (l->kept[i].key != key || !l->kept[i].open)
			continue;
		n++;
		*probed += l->kept[i].probed;
	}
	return n;
}

size_t life_open_all(const struct life *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->kept[i].open;
	return n;
}

size_t life_events(const struct life *l)
{
	return l->nevent;
}

uint64_t life_events_all(const struct life *l)
{
	return l->seq;
}

uint64_t life_dropped(const struct life *l)
{
	return l->dropped;
}

static int by_severity(const void *a, const void *b)
{
	const struct view_finding *x = a, *y = b;

	if (x->finding->severity != y->finding->severity)
		return x->finding->severity > y->finding->severity ? -1 : 1;
	if (x->finding->weight != y->finding->weight)
		return x->finding->weight > y->finding->weight ? -1 : 1;
	return strcmp(x->id, y->id);
}

/* The view has the record. */
static void fill(const struct kept *k, struct view *v, struct view_finding *f)
{
	memcpy(f->id, k->id, LIFE_ID_SIZE);
	f->finding = &k->record->f;
	f->worst = k->worst;
	f->opened_real_ns = k->opened_ns;
	f->seen_real_ns = k->seen_ns;
	memcpy(f->snapshot, k->snapshot, SPOOL_ID_SIZE);
	k->record->refs++;
	view_hold(v, k->record, record_put);
}

void life_fill(struct life *l, uint64_t key, struct view *v)
{
	struct view_finding *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct view_finding *f;

		if (l->kept[i].key != key || !l->kept[i].open)
			continue;
		f = view_add_finding(v);
		first = first ? first : f;
		fill(&l->kept[i], v, f);
		n++;
	}
	if (n > 1)
		qsort(first, n, sizeof(*first), by_severity);
}

void life_take_events(struct life *l, struct view *v)
{
	for (size_t i = 0; i < l->nevent; i++) {
		const struct happened *h = &l->event[i];
		struct view_event *e = view_add_event(v);

		e->seq = h->seq;
		e->kind = h->kind;
		e->real_ns = h->real_ns;
		e->reason = h->reason;
		e->identity = &h->at.record->who;
		e->pid = h->at.pid;
		e->process_key = h->at.key;
		fill(&h->at, v, &e->finding);
		record_put(h->at.record);
	}
	l->nevent = 0;
}

struct life *life_new(void)
{
	return calloc(1, sizeof(struct life));
}

void life_free(struct life *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		record_put(l->kept[i].record);
	for (size_t i = 0; i < l->nevent; i++)
		record_put(l->event[i].at.record);
	free(l->kept);
	free(l->event);
	free(l);
}
