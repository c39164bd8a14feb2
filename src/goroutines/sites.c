/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "goroutines/given.h"
#include "gort/gostacks.h"
#include "trace/trace.h"

#define FIRST_POINTS 4          /* doubled as long as there are more */
#define MAX_LEARNED  (1u << 16) /* stacks read at a look, to see what goroutines were given */

static struct site_track *track_new(struct sites *s)
{
	struct site_track *t;

	if (array_room(&s->track, s->n, &s->cap, sizeof(*s->track)))
		return NULL;
	t = &s->track[s->n++];
	*t = (struct site_track){ .start = "?" };
	return t;
}

int sites_init(struct sites *s, struct goruntime *rt)
{
	memset(s, 0, sizeof(*s));
	s->rt = rt;
	bytesmap_init(&s->index, 4 * SITES_MAX);
	bytesmap_init(&s->places, SITES_MAX);
	u64map_init(&s->given, GIVEN_MAX);
	u64map_init(&s->reason_class, 256);
	return track_new(s) ? 0 : -ENOMEM; /* SITES_OVERFLOW */
}

void sites_deinit(struct sites *s)
{
	bytesmap_deinit(&s->index);
	bytesmap_deinit(&s->places);
	u64map_deinit(&s->given);
	u64map_deinit(&s->reason_class);
	for (size_t i = 0; i < s->n; i++)
		free(s->track[i].point);
	free(s->track);
	free(s->seen);
	free(s->now);
	memset(s, 0, sizeof(*s));
}

/* The number of the track with this key, made where there is none. */
static size_t track_with(struct sites *s, const void *key, size_t len, bool *made)
{
	uint64_t *at = bytesmap_put(&s->places, key, len, s->n, made);

	if (!at)
		return SITES_OVERFLOW;
	if (*made && !track_new(s)) {
		*made = false;
		*at = SITES_OVERFLOW;
	}
	return *at;
}

/*
 * The track for a pair nobody asked for before.  One go statement has several
 * pcs (inlined into several callers) and may start several functions (a
 * function value): they are one site.  Without a place a pair stands alone.
 */
static size_t track_for(struct sites *s, uint64_t gopc, uint64_t startpc)
{
	struct {
		const char *function, *path;
		uint64_t line, system, gopc, startpc;
	} key = { 0 };
	struct go_site site;
	bool made;
	size_t at;

	go_site_of(s->rt, gopc, startpc, &site);
	key.system = goruntime_is_system(s->rt, startpc);
	if (site.place.function) {
		key.function = site.place.function;
		key.path = site.place.path;
		key.line = (uint64_t)site.place.line;
	} else {
		key.gopc = gopc;
		key.startpc = startpc;
	}
	at = track_with(s, &key, sizeof(key), &made);
	if (made) {
		s->track[at].system = key.system;
		s->track[at].start = site.start;
		s->track[at].place = site.place;
		s->track[at].given = site.given;
	}
	return at;
}

/* The track of the functions given to the goroutines of another one. */
static size_t track_of_given(struct sites *s, size_t of, const struct place *given)
{
	const struct {
		uint64_t of, line;
		const char *function, *path;
	} key = { of, (uint64_t)given->line, given->function, given->path };
	bool made;
	size_t at = track_with(s, &key, sizeof(key), &made);

	if (made) {
		s->track[at].place = *given;
		s->track[at].start = given->function;
		s->track[at].of = (uint32_t)of;
	}
	return at;
}

struct site_track *sites_of(struct sites *s, uint64_t gopc, uint64_t startpc)
{
	uint64_t key[2] = { gopc, startpc };
	uint64_t *at = bytesmap_find(&s->index, key, sizeof(key));

	if (!at) {
		size_t track = track_for(s, gopc, startpc);

		at = bytesmap_put(&s->index, key, sizeof(key), track, NULL);
		return &s->track[at ? *at : track];
	}
	return &s->track[*at];
}

struct site_track *sites_of_g(struct sites *s, const struct goroutine *g)
{
	struct site_track *t = sites_of(s, g->gopc, g->startpc);
	uint64_t *at = t->given ? u64map_find(&s->given, g->goid) : NULL;

	return at ? &s->track[*at] : t;
}

const char *site_start(const struct sites *s, const struct site_track *t, const struct goroutine *g)
{
	return t->of ? t->start : gobin_start_name(s->rt->gb, g->startpc - s->rt->bias);
}

/* What is asked of one distinct stack: the same for all that have it. */
static size_t track_of_stack(struct sites *s, const struct gostacks *st, uint32_t stack, size_t of)
{
	const struct gostack *k = &st->stack[stack];
	struct go_site site = { .place = s->track[of].place, .start = s->track[of].start };
	struct place given;

	if (!k->whole || !given_place(s->rt, st->pc + k->first, (int)k->n, &site, &given))
		return of;
	return track_of_given(s, of, &given);
}

static int learn_from(struct sites *s, const struct gowalk *w, const struct gostacks *st,
		      const uint32_t *stack_of)
{
	size_t *track = calloc(st->n + 1, sizeof(*track));

	if (!track)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++) {
		size_t of = (size_t)(sites_of(s, w->g[i].gopc, w->g[i].startpc) - s->track), *at;

		if (stack_of[i] >= st->n || !s->track[of].given)
			continue;
		at = &track[stack_of[i]];
		if (!*at)
			*at = track_of_stack(s, st, stack_of[i], of);
		if (*at != of && !u64map_put(&s->given, w->g[i].goid, *at, NULL))
			break; /* full: the rest stays where it is */
	}
	free(track);
	return 0;
}

int sites_learn(struct sites *s, const struct gowalk *w)
{
	struct gowalk of = { 0 };
	struct gostacks st;
	uint32_t *stack_of = NULL;
	int err = gostacks_init(&st);

	for (size_t i = 0; i < w->n && !err && of.n < MAX_LEARNED; i++) {
		const struct goroutine *g = &w->g[i];

		if (g->system || g->status == GO_RUNNING ||
		    !sites_of(s, g->gopc, g->startpc)->given || u64map_find(&s->given, g->goid))
			continue;
		if (array_room(&of.g, of.n, &of.cap, sizeof(*of.g)))
			err = -ENOMEM;
		else
			of.g[of.n++] = *g;
	}
	if (of.n && !err && !(stack_of = malloc(of.n * sizeof(*stack_of))))
		err = -ENOMEM;
	if (of.n && !err)
		err = gostacks_read(&st, s->rt, &of, stack_of);
	if (of.n && !err)
		err = learn_from(s, &of, &st, stack_of);
	free(stack_of);
	gowalk_deinit(&of);
	gostacks_deinit(&st);
	return err == -ENOMEM ? err : 0;
}

static enum wait_class class_of_words(const char *words)
{
	static const char *const blocked[] = {
		"chan receive",
		"chan send",
		"select",
		"chan receive (nil chan)",
		"chan send (nil chan)",
		"select (no cases)",
		/* locks and wait groups had this one name up to 1.19 (1.23) */
		"semacquire",
	};

	for (size_t i = 0; i < ARRAY_SIZE(blocked); i++)
		if (!strcmp(words, blocked[i]))
			return WAIT_BLOCKED;
	if (!strncmp(words, "sync.", 5) && !strstr(words, "(durable)"))
		return WAIT_BLOCKED;
	if (!strcmp(words, "IO wait"))
		return WAIT_IO;
	if (!strcmp(words, "sleep"))
		return WAIT_SLEEP;
	return WAIT_OTHER;
}

enum wait_class sites_wait_class(struct sites *s, const struct goroutine *g)
{
	const char *words;
	uint64_t *c;
	bool made;

	if (g->status != GO_WAITING && g->status != GO_LEAKED)
		return WAIT_NOT;
	words = goroutine_state(s->rt, g);
	c = u64map_put(&s->reason_class, (uint64_t)(uintptr_t)words, 0, &made);
	if (!c)
		return class_of_words(words);
	if (made)
		*c = class_of_words(words);
	return (enum wait_class) * c;
}

static int by_addr(const void *key, const void *member)
{
	const struct seen *p = member;
	uint64_t addr = *(const uint64_t *)key;

	return addr < p->addr ? -1 : addr > p->addr;
}

static const struct seen *seen_find(const struct sites *s, const struct goroutine *g)
{
	const struct seen *p =
		s->nseen ? bsearch(&g->addr, s->seen, s->nseen, sizeof(*s->seen), by_addr) : NULL;

	return p && p->goid == g->goid ? p : NULL;
}

/* The same for one after the other of a walk, which come by address. */
static const struct seen *seen_next(const struct sites *s, const struct goroutine *g, size_t *at)
{
	if (*at && *at <= s->nseen && s->seen[*at - 1].addr >= g->addr)
		return seen_find(s, g);
	while (*at < s->nseen && s->seen[*at].addr < g->addr)
		++*at;
	if (*at < s->nseen && s->seen[*at].addr == g->addr)
		return s->seen[(*at)++].goid == g->goid ? &s->seen[*at - 1] : NULL;
	return NULL;
}

uint64_t sites_born_ns(const struct sites *s, const struct goroutine *g, uint64_t now_ns,
		       size_t *at)
{
	const struct seen *p = seen_next(s, g, at);

	return p ? p->born_ns : now_ns;
}

double sites_age_s(const struct sites *s, const struct goroutine *g, uint64_t now_ns,
		   enum age_kind *kind)
{
	const struct seen *p = seen_find(s, g);
	struct since born = { p ? p->born_ns : now_ns,
			      p && p->born_exact ? AGE_EXACT : AGE_AT_LEAST };
	struct since parked = since_parked(g, born.ns);

	return since_age_s(parked.ns < born.ns ? parked : born, now_ns, kind);
}

static uint32_t capped(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* When a history is full every second point in its middle goes; what flowed
 * through a dropped point is added to the next one kept. */
static void points_thin(struct site_track *t)
{
	uint32_t left = 0, ran = 0;
	int n = 0;

	for (int i = 0; i < t->npoint; i++) {
		struct site_point p = t->point[i];

		p.stuck_left = capped((uint64_t)p.stuck_left + left);
		p.ran = capped((uint64_t)p.ran + ran);
		if (i % 2 && i != t->npoint - 1) {
			left = p.stuck_left;
			ran = p.ran;
			continue;
		}
		left = ran = 0;
		t->point[n++] = p;
	}
	t->npoint = n;
}

/* Room for one more: most sites of most processes are looked at a few times. */
static bool point_room(struct site_track *t)
{
	int cap = t->point_cap ? 2 * t->point_cap : FIRST_POINTS;
	struct site_point *p;

	if (t->npoint < t->point_cap)
		return true;
	p = realloc(t->point, (size_t)cap * sizeof(*p));
	if (!p)
		return false;
	t->point = p;
	t->point_cap = cap;
	return true;
}

static int point_add(struct site_track *t, struct site_point p)
{
	if (t->npoint == WINDOW_MAX_POINTS)
		points_thin(t);
	if (!point_room(t))
		return -ENOMEM;
	t->point[t->npoint++] = p;
	return 0;
}

static int point_of_look(struct site_track *t, double t_s)
{
	return point_add(t, (struct site_point){
				    .t_s = t_s,
				    .live = capped(t->live),
				    .stuck = capped(t->stuck),
				    .stuck_left = capped(t->stuck_left),
				    .ran = capped(t->ran),
			    });
}

/* The track that it counts in.  Who was seen before has the go statement it had. */
static struct site_track *track_at(struct sites *s, const struct goroutine *g, struct seen *out)
{
	struct site_track *t = &s->track[out->track];
	uint64_t *at = t->given ? u64map_find(&s->given, g->goid) : NULL;

	if (t->given && !at && g->status != GO_RUNNING)
		s->unlearned = true;
	return at ? &s->track[*at] : t;
}

static void meet(struct sites *s, const struct goroutine *g, const struct seen *p,
		 const struct trace_births *births, uint64_t now_ns, struct seen *out)
{
	uint64_t born = p ? 0 : trace_births_find(births, g->goid);

	*out = (struct seen){ .addr = g->addr,
			      .goid = g->goid,
			      .seq = g->tracking_seq,
			      .status = g->status,
			      .reason = g->wait_reason };
	if (p) {
		out->born_ns = p->born_ns;
		out->born_exact = p->born_exact;
		out->track = p->track;
	} else {
		out->born_ns = born ? born : now_ns;
		out->born_exact = born != 0;
		out->track = (uint32_t)(sites_of(s, g->gopc, g->startpc) - s->track);
	}
	if (p && p->status == g->status && p->reason == g->wait_reason)
		out->blocked = p->blocked;
	else
		out->blocked = sites_wait_class(s, g) == WAIT_BLOCKED;
}

/* One goroutine of a walk: what it adds to its site, and how it is remembered. */
static void look_at(struct sites *s, const struct goroutine *g, const struct seen *p,
		    struct seen *out)
{
	struct site_track *t = track_at(s, g, out);
	bool ran = p && p->seq != g->tracking_seq;

	out->stuck = p && out->blocked && !ran;
	out->window_stuck = out->stuck && p->window_stuck;
	t->live++;
	if (t->of)
		s->track[t->of].given_live++;
	t->ran += ran;
	t->stuck += out->stuck;
	t->stuck_still += out->stuck && p->stuck;
	t->stuck_window += out->window_stuck;
	if (!t->oldest.ns || out->born_ns < t->oldest.ns)
		t->oldest =
			(struct since){ out->born_ns, t->oldest.ns ? t->oldest.kind : AGE_EXACT };
	if (!out->born_exact) /* born before the first look: before any that was seen, too */
		t->oldest.kind = AGE_AT_LEAST;
	if (g->parked_ns && (!t->parked_ns || g->parked_ns < t->parked_ns))
		t->parked_ns = g->parked_ns;
}

static void look_begin(struct sites *s, size_t live)
{
	if (s->given.len > 2 * live + 4096) /* most of them have ended */
		u64map_clear(&s->given);
	for (size_t i = 0; i < s->n; i++) {
		s->track[i].stuck_before = s->track[i].stuck;
		s->track[i].births_looked = s->track[i].births;
	}
}

/* Counts what a walk has by site, anew; into s->now if it is to be remembered.  How many these are. */
static size_t look_over(struct sites *s, const struct gowalk *w, const struct trace_births *births,
			bool record)
{
	struct seen one;
	size_t n = 0, at = 0;

	s->unlearned = false;
	for (size_t i = 0; i < s->n; i++) {
		struct site_track *t = &s->track[i];

		t->live = t->given_live = t->stuck = t->stuck_still = t->ran = t->stuck_window = 0;
		t->oldest = (struct since){ 0 };
		t->parked_ns = 0;
	}
	for (size_t i = 0; i < w->n; i++) {
		const struct goroutine *g = &w->g[i];
		const struct seen *p = g->system ? NULL : seen_next(s, g, &at);
		struct seen *now = record ? &s->now[n] : &one;

		if (g->system)
			continue;
		n++;
		meet(s, g, p, births, w->mono_ns, now);
		look_at(s, g, p, now);
	}
	/* a collection can only make a lower bound older, never an exact birth */
	for (size_t i = 0; i < s->n; i++)
		if (s->track[i].parked_ns && s->track[i].parked_ns < s->track[i].oldest.ns)
			s->track[i].oldest = (struct since){ s->track[i].parked_ns, AGE_AT_LEAST };
	return n;
}

/* The look becomes the one the next is compared with.  run_ns: the time without pauses. */
static int remember(struct sites *s, size_t n, uint64_t run_ns)
{
	struct seen *before = s->seen;
	size_t cap = s->seen_cap;

	s->seen = s->now;
	s->seen_cap = s->now_cap;
	s->nseen = n;
	s->now = before;
	s->now_cap = cap;
	for (size_t i = 0; i < s->n; i++) {
		struct site_track *t = &s->track[i];

		t->stuck_left = t->stuck_before - t->stuck_still;
		/* A site that was not there before began at none. */
		if (!t->npoint && s->look_ns && s->look_ns != run_ns)
			point_add(t, (struct site_point){
					     .t_s = (double)(s->look_ns - s->begin_ns) / 1e9 });
		if (!s->begin_ns)
			s->begin_ns = run_ns;
		if (point_of_look(t, (double)(run_ns - s->begin_ns) / 1e9))
			s->dropped++;
	}
	s->begin_ns = s->begin_ns ? s->begin_ns : run_ns;
	s->look_ns = run_ns;
	return 0;
}

int sites_look(struct sites *s, const struct gowalk *w, const struct trace_births *births,
	       bool record)
{
	size_t n;

	if (record && array_grow(&s->now, w->n + 1, &s->now_cap, sizeof(*s->now)))
		return -ENOMEM;
	look_begin(s, w->n);
	s->system = w->system;
	n = look_over(s, w, births, record);
	if (s->unlearned) {
		if (sites_learn(s, w))
			return -ENOMEM;
		n = look_over(s, w, births, record);
	}
	if (record)
		return remember(s, n, w->mono_ns - s->paused_ns);
	/* Not recorded: what was stuck at the look before stays so for the next. */
	for (size_t i = 0; i < s->n; i++)
		s->track[i].stuck = s->track[i].stuck_before;
	return 0;
}

void sites_count(struct sites *s, const struct trace_reading *r)
{
	for (size_t i = 0; i < s->n; i++)
		s->track[i].births = s->track[i].births_gone;
	for (size_t i = 0; i < r->nsite; i++) {
		struct site_track *t = sites_of(s, r->site[i].gopc, r->site[i].startpc);

		t->births += r->site[i].births;
		if (r->site[i].gone)
			t->births_gone += r->site[i].births;
	}
	s->track[SITES_OVERFLOW].births += r->births_other;
}

uint64_t sites_inferred(const struct sites *s)
{
	uint64_t n = 0, system = s->system_base, births, deaths;

	for (size_t i = 0; i < s->n; i++) {
		site_flow(&s->track[i], 1, &births, &deaths);
		if (s->track[i].system)
			system += births;
		else if (i != SITES_OVERFLOW && !s->track[i].births_looked)
			n += births;
	}
	return n + (s->system > system ? s->system - system : 0);
}

/*
 * A goroutine that was seen alive has been born.  Births are counted before the
 * look, so one born in between is alive and not counted yet; with its birth it
 * is not taken for the end of another, which would make the leak of a busy site
 * look like coming and going.
 */
void site_flow(const struct site_track *t, double scale, uint64_t *births, uint64_t *deaths)
{
	uint64_t live = t->live + t->given_live, base = t->live_base + t->given_base;
	uint64_t grown = live > base ? live - base : 0;

	*births = 0;
	if (t->births_looked > t->births_base)
		*births = scale_count(t->births_looked - t->births_base, scale);
	if (*births < grown)
		*births = grown;
	*deaths = *births + base - live;
}

void sites_begin_window(struct sites *s, bool follows)
{
	s->system_base = s->system;
	for (size_t i = 0; i < s->n; i++) {
		struct site_track *t = &s->track[i];

		if (follows) {
			uint64_t births, deaths;

			site_flow(t, 1, &births, &deaths);
			t->births_base += births;
		} else {
			t->births_base = t->births;
		}
		t->live_base = t->live;
		t->given_base = t->given_live;
	}
	for (size_t i = 0; i < s->nseen; i++)
		s->seen[i].window_stuck = s->seen[i].blocked;
}
