/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "trace/trace.h"

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
	u64map_init(&s->seen_at, SEEN_MAX);
	u64map_init(&s->reason_class, 256);
	return track_new(s) ? 0 : -ENOMEM; /* SITES_OVERFLOW */
}

void sites_deinit(struct sites *s)
{
	bytesmap_deinit(&s->index);
	bytesmap_deinit(&s->places);
	u64map_deinit(&s->seen_at);
	u64map_deinit(&s->reason_class);
	free(s->track);
	free(s->seen);
	memset(s, 0, sizeof(*s));
}

/* The go statement's place.  The main goroutine is started by assembly, without
 * one (its gopc lies in a wrapper): it is at home where it begins. */
static bool place_of_start(struct gobin *gb, uint64_t go_addr, uint64_t start_addr,
			   struct goframe *f)
{
	struct gofunc fn;

	if (!pclntab_find_pc(gb->pcln, start_addr, &fn) && !strcmp(fn.name, "runtime.main"))
		return pclntab_frames(gb->pcln, start_addr, false, f, 1) > 0;
	return !gobin_go_place(gb, go_addr, f);
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
	struct gobin *gb = s->rt->gb;
	struct site_track *t;
	struct goframe f;
	bool placed = place_of_start(gb, gopc - s->rt->bias, startpc - s->rt->bias, &f), made;
	uint64_t *at;

	key.system = goruntime_is_system(s->rt, startpc);
	if (placed) {
		key.function = f.function;
		key.path = f.path;
		key.line = (uint64_t)f.line;
	} else {
		key.gopc = gopc;
		key.startpc = startpc;
	}
	at = bytesmap_put(&s->places, &key, sizeof(key), s->n, &made);
	if (!at)
		return SITES_OVERFLOW;
	if (!made)
		return *at;
	t = track_new(s);
	if (!t)
		return *at = SITES_OVERFLOW;
	t->system = key.system;
	t->start = gobin_start_name(gb, startpc - s->rt->bias);
	if (placed)
		t->place = place_of_frame(&f);
	return *at;
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

static const struct seen *seen_find(const struct sites *s, uint64_t goid)
{
	uint64_t *at = u64map_find(&s->seen_at, goid);

	return at ? &s->seen[*at] : NULL;
}

uint64_t sites_born_ns(const struct sites *s, const struct goroutine *g, uint64_t now_ns)
{
	const struct seen *p = seen_find(s, g->goid);

	return p ? p->born_ns : now_ns;
}

double sites_age_s(const struct sites *s, const struct goroutine *g, uint64_t now_ns,
		   enum age_kind *kind)
{
	const struct seen *p = seen_find(s, g->goid);
	struct since born = { p ? p->born_ns : now_ns,
			      p && p->born_exact ? AGE_EXACT : AGE_AT_LEAST };
	struct since parked = since_parked(g, born.ns);

	return since_age_s(parked.ns < born.ns ? parked : born, now_ns, kind);
}

/* When a history is full every second point in its middle goes; what flowed
 * through a dropped point is added to the next one kept. */
static void points_thin(struct site_track *t)
{
	struct site_point kept[WINDOW_MAX_POINTS];
	uint64_t left = 0, ran = 0;
	int n = 0;

	for (int i = 0; i < t->npoint; i++) {
		struct site_point p = t->point[i];

		p.stuck_left += left;
		p.ran += ran;
		if (i % 2 && i != t->npoint - 1) {
			left = p.stuck_left;
			ran = p.ran;
			continue;
		}
		left = ran = 0;
		kept[n++] = p;
	}
	memcpy(t->point, kept, (size_t)n * sizeof(*kept));
	t->npoint = n;
}

static void point_add(struct site_track *t, double t_s)
{
	if (t->npoint == WINDOW_MAX_POINTS)
		points_thin(t);
	t->point[t->npoint++] = (struct site_point){
		.t_s = t_s,
		.live = t->live,
		.stuck = t->stuck,
		.stuck_left = t->stuck_left,
		.ran = t->ran,
	};
}

/* One goroutine of a walk: what it adds to its site, and how it is remembered. */
static void look_at(struct sites *s, const struct goroutine *g, const struct trace_births *births,
		    uint64_t now_ns, struct seen *out)
{
	const struct seen *p = seen_find(s, g->goid);
	struct site_track *t = sites_of(s, g->gopc, g->startpc);
	bool blocked = sites_wait_class(s, g) == WAIT_BLOCKED;
	bool ran = p && p->seq != g->tracking_seq;

	*out = (struct seen){ .goid = g->goid, .seq = g->tracking_seq, .blocked = blocked };
	if (p) {
		out->born_ns = p->born_ns;
		out->born_exact = p->born_exact;
	} else {
		uint64_t born = trace_births_find(births, g->goid);

		out->born_ns = born ? born : now_ns;
		out->born_exact = born != 0;
	}
	out->stuck = p && blocked && !ran;
	out->window_stuck = out->stuck && p->window_stuck;
	t->live++;
	t->ran += ran;
	t->stuck += out->stuck;
	t->stuck_still += out->stuck && p->stuck;
	t->stuck_window += out->window_stuck;
	if (!t->oldest.ns || out->born_ns < t->oldest.ns)
		t->oldest =
			(struct since){ out->born_ns, out->born_exact ? AGE_EXACT : AGE_AT_LEAST };
}

/* A collection can only make a lower bound older, never an exact birth. */
static void older_by_collection(struct sites *s, const struct goroutine *g)
{
	struct site_track *t = sites_of(s, g->gopc, g->startpc);

	if (g->parked_ns && g->parked_ns < t->oldest.ns)
		t->oldest = (struct since){ g->parked_ns, AGE_AT_LEAST };
}

static void look_reset(struct sites *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct site_track *t = &s->track[i];

		t->stuck_before = t->stuck;
		t->births_looked = t->births;
		t->live = t->stuck = t->stuck_still = t->ran = t->stuck_window = 0;
		t->oldest = (struct since){ 0 };
	}
}

/* The look becomes the one the next is compared with. */
static int remember(struct sites *s, struct seen *now, size_t n, uint64_t mono_ns)
{
	free(s->seen);
	s->seen = now;
	s->nseen = n;
	u64map_clear(&s->seen_at);
	for (size_t i = 0; i < n; i++)
		if (!u64map_put(&s->seen_at, now[i].goid, i, NULL))
			s->dropped++;
	for (size_t i = 0; i < s->n; i++) {
		struct site_track *t = &s->track[i];

		t->stuck_left = t->stuck_before - t->stuck_still;
		/* A site that was not there before began at none. */
		if (!t->npoint && s->look_ns && s->look_ns != mono_ns)
			t->point[t->npoint++] =
				(struct site_point){ .t_s = (double)(s->look_ns - s->begin_ns) /
							    1e9 };
		if (!s->begin_ns)
			s->begin_ns = mono_ns;
		point_add(t, (double)(mono_ns - s->begin_ns) / 1e9);
	}
	s->begin_ns = s->begin_ns ? s->begin_ns : mono_ns;
	s->look_ns = mono_ns;
	return 0;
}

int sites_look(struct sites *s, const struct gowalk *w, const struct trace_births *births,
	       bool record)
{
	struct seen *now = malloc((w->n + 1) * sizeof(*now));
	size_t n = 0;

	if (!now)
		return -ENOMEM;
	look_reset(s);
	for (size_t i = 0; i < w->n; i++)
		if (!w->g[i].system)
			look_at(s, &w->g[i], births, w->mono_ns, &now[n++]);
	for (size_t i = 0; i < w->n; i++)
		if (!w->g[i].system)
			older_by_collection(s, &w->g[i]);
	if (record)
		return remember(s, now, n, w->mono_ns);
	/* Not recorded: what was stuck at the look before stays so for the next. */
	for (size_t i = 0; i < s->n; i++)
		s->track[i].stuck = s->track[i].stuck_before;
	free(now);
	return 0;
}

void sites_count(struct sites *s, const struct trace_reading *r)
{
	for (size_t i = 0; i < s->n; i++)
		s->track[i].births = 0;
	for (size_t i = 0; i < r->nsite; i++) {
		struct site_track *t = sites_of(s, r->site[i].gopc, r->site[i].startpc);

		t->births += r->site[i].births;
	}
}

/*
 * A goroutine that was seen alive has been born.  Births are counted before the
 * look, so one born in between is alive and not counted yet; with its birth it
 * is not taken for the end of another, which would make the leak of a busy site
 * look like coming and going.
 */
void site_flow(const struct site_track *t, double scale, uint64_t *births, uint64_t *deaths)
{
	uint64_t grown = t->live > t->live_base ? t->live - t->live_base : 0;

	*births = 0;
	if (t->births_looked > t->births_base)
		*births = scale_count(t->births_looked - t->births_base, scale);
	if (*births < grown)
		*births = grown;
	*deaths = *births + t->live_base - t->live;
}

void sites_begin_window(struct sites *s, bool follows)
{
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
	}
	for (size_t i = 0; i < s->nseen; i++)
		s->seen[i].window_stuck = s->seen[i].blocked;
}
