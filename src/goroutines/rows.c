/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

/* Goroutines of one site in one state. */
struct wait_group {
	uint32_t site;
	const char *reason;
	enum wait_class klass;
	uint64_t count;
	const struct goroutine *oldest; /* of the walk: its stack is shown */
	uint64_t oldest_ns;
};

struct wait_groups {
	struct bytesmap index;
	struct wait_group *g;
	size_t n, cap;
};

static struct wait_group *group_of(struct wait_groups *ws, uint32_t site, const char *reason)
{
	struct {
		uint64_t site;
		const char *reason;
	} key = { site, reason };
	uint64_t *at;
	bool made;

	if (array_room(&ws->g, ws->n, &ws->cap, sizeof(*ws->g)))
		return NULL;
	at = bytesmap_put(&ws->index, &key, sizeof(key), ws->n, &made);
	if (!at)
		return NULL;
	if (made)
		ws->g[ws->n++] = (struct wait_group){ .site = site, .reason = reason };
	return &ws->g[*at];
}

static int group_all(struct sites *s, const struct gowalk *walk, struct wait_groups *ws)
{
	size_t at = 0;

	bytesmap_init(&ws->index, 1u << 20);
	for (size_t i = 0; i < walk->n; i++) {
		const struct goroutine *g = &walk->g[i];
		struct wait_group *wg;
		uint64_t born;

		if (g->system)
			continue;
		wg = group_of(ws, (uint32_t)(sites_of_g(s, g) - s->track),
			      goroutine_state(s->rt, g));
		if (!wg)
			return -ENOMEM;
		wg->klass = sites_wait_class(s, g);
		wg->count++;
		born = sites_born_ns(s, g, walk->mono_ns, &at);
		if (!wg->oldest || born < wg->oldest_ns) {
			wg->oldest = g;
			wg->oldest_ns = born;
		}
	}
	return 0;
}

static int by_count(const void *x, const void *y)
{
	const struct wait_group *a = x, *b = y;

	if (a->site != b->site)
		return a->site < b->site ? -1 : 1;
	return a->count < b->count ? 1 : a->count > b->count ? -1 : strcmp(a->reason, b->reason);
}

static int by_state_count(const void *x, const void *y)
{
	const struct state_count *a = x, *b = y;

	return a->count < b->count ? 1 : a->count > b->count ? -1 : strcmp(a->state, b->state);
}

static int states_fill(const struct wait_groups *ws, struct goroutines_window *g)
{
	g->state = calloc(ws->n + 1, sizeof(*g->state));
	if (!g->state)
		return -ENOMEM;
	for (size_t i = 0; i < ws->n; i++) {
		int j = 0;

		while (j < g->nstate && strcmp(g->state[j].state, ws->g[i].reason))
			j++;
		g->state[j].state = ws->g[i].reason;
		g->state[j].count += ws->g[i].count;
		if (j == g->nstate)
			g->nstate++;
	}
	qsort(g->state, (size_t)g->nstate, sizeof(*g->state), by_state_count);
	return 0;
}

/*
 * A select inside an HTTP round trip, a wait for a pooled connection: blocked on
 * a channel, but what it waits for is somebody else's answer.
 */
static bool is_slow_call(const struct place *line, int user)
{
	static const char *const packages[] = {
		"net.",          "net/",     "crypto/tls.",
		"database/sql.", "os/exec.", "google.golang.org/grpc",
	};

	for (int i = 0; i < user; i++)
		for (size_t k = 0; k < ARRAY_SIZE(packages); k++)
			if (!strncmp(line[i].function, packages[k], strlen(packages[k])))
				return true;
	return false;
}

static void stack_fill(struct sites *s, const struct goroutine *g, struct wait_row *row)
{
	uint64_t pcs[WINDOW_MAX_STACK];
	struct goframe f[WINDOW_MAX_STACK];
	const struct place *line[WINDOW_MAX_STACK];
	int npcs = goruntime_stack(s->rt, g, pcs, WINDOW_MAX_STACK), n;

	row->user = -1;
	if (npcs <= 0)
		return;
	n = goruntime_frames(s->rt, pcs, npcs, f, WINDOW_MAX_STACK);
	if (n <= 0)
		return;
	for (int i = 0; i < n; i++) {
		if (f[i].wrapper)
			continue;
		row->stack[row->nstack] = place_of_frame(&f[i]);
		line[row->nstack] = &row->stack[row->nstack];
		row->nstack++;
	}
	row->user = place_pick(line, row->nstack);
	if (row->klass == WAIT_BLOCKED && is_slow_call(row->stack, row->user))
		row->klass = WAIT_IO;
}

static int waits_fill(struct sites *s, const struct wait_group *g, size_t n, bool read_stacks,
		      struct site_row *row)
{
	row->wait = calloc(n ? n : 1, sizeof(*row->wait));
	if (!row->wait)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct wait_row *wr = &row->wait[row->nwait++];

		wr->reason = g[i].reason;
		wr->klass = g[i].klass;
		wr->count = g[i].count;
		wr->user = -1;
		if (read_stacks)
			stack_fill(s, g[i].oldest, wr);
	}
	return 0;
}

static int by_live(const void *x, const void *y)
{
	const struct site_row *a = x, *b = y;

	if (a->live != b->live)
		return a->live < b->live ? 1 : -1;
	if (a->births != b->births)
		return a->births < b->births ? 1 : -1;
	return 0;
}

static int row_fill(const struct site_track *t, uint64_t now_ns, double births_scale,
		    bool births_known, bool ended, struct site_row *row)
{
	uint64_t looked = t->births_looked > t->births_base ? t->births_looked : t->births_base;

	row->place = t->place;
	row->start = t->start;
	row->live = t->live;
	row->live_at_start = t->live_base;
	births_known = births_known && t->of == SITES_OVERFLOW;
	row->births_known = births_known;
	row->stuck_window = t->stuck_window;
	if (births_known)
		site_flow(t, births_scale, &row->births, &row->deaths);
	/* Which of these had ended when the process did nobody knows. */
	if (births_known && ended && t->births > looked)
		row->births += scale_count(t->births - looked, births_scale);
	row->oldest_s = since_age_s(t->oldest, now_ns, &row->age);
	if (!t->npoint)
		return 0;
	row->point = malloc((size_t)t->npoint * sizeof(*row->point));
	if (!row->point)
		return -ENOMEM;
	memcpy(row->point, t->point, (size_t)t->npoint * sizeof(*row->point));
	row->npoint = t->npoint;
	return 0;
}

/* Of each site the number of its first group: they are sorted by site. */
static int first_groups(const struct sites *s, const struct wait_groups *ws, size_t **out)
{
	size_t *first = malloc((s->n + 1) * sizeof(*first));

	if (!first)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		first[i] = ws->n;
	for (size_t i = ws->n; i-- > 0;)
		first[ws->g[i].site] = i;
	*out = first;
	return 0;
}

/* The row of the others: who is alive, and was born without a site, is at his own. */
static void without_inferred(const struct sites *s, struct site_row *row)
{
	uint64_t n = sites_inferred(s);

	row->other = true;
	n = n < row->births ? n : row->births;
	n = n < row->deaths ? n : row->deaths;
	row->births -= n;
	row->deaths -= n;
}

/* The rows, most live first, without what they wait for. */
static int sites_fill(struct sites *s, const size_t *first, uint64_t now_ns, double births_scale,
		      bool births_known, bool ended, struct goroutines_window *g)
{
	g->site = calloc(s->n + 1, sizeof(*g->site));
	if (!g->site)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		struct site_row *row = &g->site[g->nsite];

		if (s->track[i].system)
			continue;
		if (row_fill(&s->track[i], now_ns, births_scale, births_known, ended, row))
			return -ENOMEM;
		if (i == SITES_OVERFLOW)
			without_inferred(s, row);
		row->wait_at = first[i];
		row->track = (uint32_t)i;
		if (row->live || row->live_at_start || row->births) {
			g->nsite++;
			continue;
		}
		free(row->point);
		memset(row, 0, sizeof(*row));
	}
	qsort(g->site, (size_t)g->nsite, sizeof(*g->site), by_live);
	return 0;
}

static int all_waits_fill(struct sites *s, const struct wait_groups *ws, bool ended,
			  struct goroutines_window *g)
{
	int err = 0;

	for (int r = 0; r < g->nsite && !err; r++) {
		size_t from = g->site[r].wait_at, to = from;

		while (from < ws->n && to < ws->n && ws->g[to].site == ws->g[from].site)
			to++;
		err = waits_fill(s, ws->g + from, to - from, !ended && r < ROWS_WITH_STACKS,
				 &g->site[r]);
	}
	return err;
}

int rows_fill(struct sites *s, const struct gowalk *walk, double births_scale, bool births_known,
	      bool ended, struct window *w)
{
	struct goroutines_window *g = w->goroutines;
	struct wait_groups ws = { 0 };
	size_t *first = NULL;
	int err = group_all(s, walk, &ws);

	if (!err && ws.n)
		qsort(ws.g, ws.n, sizeof(*ws.g), by_count);
	if (!err)
		err = states_fill(&ws, g);
	if (!err)
		err = first_groups(s, &ws, &first);
	if (!err)
		err = sites_fill(s, first, walk->mono_ns, births_scale, births_known, ended, g);
	if (!err)
		err = all_waits_fill(s, &ws, ended, g);
	bytesmap_deinit(&ws.index);
	free(ws.g);
	free(first);
	return err;
}
