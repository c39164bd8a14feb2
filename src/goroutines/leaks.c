/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/fill.h"
#include "base/vec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prove/prove.h"
#include "gort/gostacks.h"

#define MAX_ROWS (1u << 16)

void leaks_window_deinit(struct leaks_window *l)
{
	free(l->row);
	free(l->goroutine);
	free(l->running);
	stack_table_deinit(&l->stacks);
	memset(l, 0, sizeof(*l));
}

/* Stacks as of the moment when it was frozen. */
static int add_running(struct leaks_window *l, struct stack_builder *b,
		       const struct prove_result *r)
{
	int err = 0;

	l->running = calloc(r->nrunning + 1, sizeof(*l->running));
	if (!l->running)
		return -ENOMEM;
	for (size_t i = 0; i < r->nrunning && !err; i++) {
		const struct prove_running *g = &r->running[i];

		l->running[l->nrunning++] =
			(struct running_goroutine){ g->goid, (uint32_t)l->stacks.nstack };
		err = stack_builder_add(b, g->pc, (size_t)g->n, g->whole, false);
	}
	return err;
}

/* Those whose stack is not known from before are read, into w; of[] has whose they are. */
static int read_rest(struct sites *s, const struct prove_result *r, const struct gostacks *before,
		     struct gostacks *st, uint32_t *stack_of)
{
	struct gowalk w = { 0 };
	uint32_t *of = malloc((r->n + 1) * sizeof(*of)), *read = NULL;
	int err = of ? 0 : -ENOMEM;

	for (size_t i = 0; i < r->n && !err; i++) {
		if (before)
			stack_of[i] = gostacks_take_stood(st, before, s->rt, &r->v[i].g);
		if (stack_of[i] < GOSTACK_MAX)
			continue;
		err = array_room(&w.g, w.n, &w.cap, sizeof(*w.g));
		if (err)
			break;
		of[w.n] = (uint32_t)i;
		w.g[w.n++] = r->v[i].g;
	}
	if (!err && w.n && !(read = malloc(w.n * sizeof(*read))))
		err = -ENOMEM;
	if (!err && w.n)
		err = sites_learn(s, &w);
	if (!err && w.n)
		err = gostacks_read(st, s->rt, &w, read);
	for (size_t k = 0; k < w.n && !err; k++)
		stack_of[of[k]] = read[k];
	gowalk_deinit(&w);
	free(of);
	free(read);
	return err;
}

static int read_stacks(struct leaks_window *l, struct sites *s, const struct prove_result *r,
		       const struct gostacks *before, uint32_t *stack_of)
{
	struct stack_builder b;
	struct gostacks st;
	int err = gostacks_init(&st);

	for (size_t i = 0; i < r->n; i++)
		stack_of[i] = STACK_NONE;
	if (!err)
		err = read_rest(s, r, before, &st, stack_of);
	stack_builder_init(&b, &l->stacks, s->rt);
	for (size_t i = 0; !err && i < st.n; i++)
		err = stack_builder_add(&b, st.pc + st.stack[i].first, st.stack[i].n,
					st.stack[i].whole, false);
	if (!err)
		err = add_running(l, &b, r);
	stack_builder_deinit(&b);
	for (size_t i = 0; i < r->n; i++)
		if (err || stack_of[i] >= st.n)
			stack_of[i] = STACK_NONE;
	gostacks_deinit(&st);
	return err == -ENOMEM ? err : 0; /* without stacks when the process is gone */
}

static struct leak_row *row_of(struct leaks_window *l, struct bytesmap *rows, size_t *cap,
			       struct sites *s, const struct leaked *one, uint32_t stack)
{
	const struct site_track *t = sites_of_g(s, &one->g);
	const struct place *at = stack_table_at(&l->stacks, stack);
	struct {
		uint64_t track, by_design;
		struct place_key at;
		const char *reason;
	} key = { (uint64_t)(t - s->track), one->by_design,
		  place_key(at ? at : &(struct place){ 0 }), goroutine_state(s->rt, &one->g) };
	struct leak_row *row;
	bool made;
	uint64_t *k = bytesmap_put(rows, &key, sizeof(key), (uint64_t)l->nrow, &made);

	if (!k)
		return NULL;
	if (!made)
		return &l->row[*k];
	if (array_room(&l->row, (size_t)l->nrow, cap, sizeof(*l->row)))
		return NULL;
	row = &l->row[l->nrow++];
	*row = (struct leak_row){ .place = t->place,
				  .reason = key.reason,
				  .by_design = one->by_design,
				  .stack = stack,
				  .start = site_start(s, t, &one->g) };
	if (at)
		row->at = *at;
	return row;
}

static void add_leaked(struct leak_row *row, struct sites *s, const struct leaked *one,
		       struct leaked_goroutine *out, uint64_t now_ns, uint64_t begin_ns)
{
	out->goid = one->g.goid;
	out->primitive = one->primitive;
	out->seen_passes = one->seen_passes;
	out->age_s = sites_age_s(s, &one->g, now_ns, &out->age);
	row->count++;
	if (begin_ns && sites_born_ns(s, &one->g, now_ns, &(size_t){ 0 }) <= begin_ns)
		row->count_before++;
	age_max(&row->oldest_s, &row->age, out->age_s, out->age);
	if (row->nid < DUMP_MAX_IDS)
		row->id[row->nid++] = one->g.goid; /* they come by id */
}

/* "init", "init.0", "init.func1", "init.0.func1", "glob..func1" (up to 1.20) of a package. */
static bool is_init(const char *function)
{
	const char *slash = strrchr(function, '/'), *dot = strchr(slash ? slash : function, '.');

	return dot && ((!strncmp(dot, ".init", 5) && (!dot[5] || dot[5] == '.')) ||
		       !strncmp(dot, ".glob.", 6));
}

/*
 * A listener that a package began once, at the program's start, and never ends: the only
 * goroutine of its go statement, of an init function or of another module.
 */
static bool is_listener(const struct leaks_window *l, const struct leak_row *row,
			const struct goroutine *g)
{
	if (row->count != 1 || g->parent_goid > 1 || !row->place.function ||
	    (strcmp(row->reason, "chan receive") != 0 && strcmp(row->reason, "select") != 0))
		return false;
	for (int i = 0; i < l->nrow; i++)
		if (&l->row[i] != row && place_equal(&l->row[i].place, &row->place))
			return false;
	return row->place.of == FRAME_LIBRARY || row->place.of == FRAME_PLUMBING ||
	       is_init(row->place.function);
}

static int by_row(const void *x, const void *y)
{
	const struct leak_row *a = x, *b = y;

	if (a->by_design != b->by_design)
		return a->by_design ? 1 : -1;
	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return (a->id[0] > b->id[0]) - (a->id[0] < b->id[0]);
}

/* Rows are sorted; what the goroutines say of them follows by their lowest id. */
static int sort_rows(struct leaks_window *l)
{
	uint64_t *first;
	struct u64map at;
	int err = 0;

	if (!l->nrow)
		return 0;
	first = malloc((size_t)l->nrow * sizeof(*first));
	if (!first)
		return -ENOMEM;
	u64map_init(&at, MAX_ROWS);
	for (int i = 0; i < l->nrow; i++)
		first[i] = l->row[i].id[0];
	qsort(l->row, (size_t)l->nrow, sizeof(*l->row), by_row);
	for (int i = 0; i < l->nrow && !err; i++)
		if (!u64map_put(&at, l->row[i].id[0], (uint64_t)i, NULL))
			err = -ENOMEM;
	for (size_t i = 0; i < l->ngoroutine && !err; i++) {
		uint64_t *to = u64map_find(&at, first[l->goroutine[i].row]);

		if (to)
			l->goroutine[i].row = (uint32_t)*to;
	}
	u64map_deinit(&at);
	free(first);
	return err;
}

static int fill(struct leaks_window *l, struct sites *s, const struct prove_result *r,
		const uint32_t *stack_of, uint64_t now_ns, uint64_t begin_ns)
{
	struct bytesmap rows;
	size_t cap = 0;
	int err = 0;

	l->goroutine = calloc(r->n + 1, sizeof(*l->goroutine));
	if (!l->goroutine)
		return -ENOMEM;
	bytesmap_init(&rows, MAX_ROWS);
	for (size_t i = 0; i < r->n && !err; i++) {
		struct leak_row *row = row_of(l, &rows, &cap, s, &r->v[i], stack_of[i]);
		struct leaked_goroutine *out = &l->goroutine[l->ngoroutine];

		if (!row) {
			err = -ENOMEM;
			break;
		}
		out->row = (uint32_t)(row - l->row);
		out->stack = stack_of[i];
		l->ngoroutine++;
		add_leaked(row, s, &r->v[i], out, now_ns, begin_ns);
	}
	bytesmap_deinit(&rows);
	for (size_t i = 0; i < l->ngoroutine; i++)
		if (is_listener(l, &l->row[l->goroutine[i].row], &r->v[i].g))
			l->row[l->goroutine[i].row].by_design = true;
	return err ? err : sort_rows(l);
}

int leaks_fill(struct leaks_window *l, struct sites *s, const struct prove_result *r,
	       const struct gostacks *before, uint64_t now_ns, uint64_t begin_ns)
{
	uint32_t *stack_of = malloc((r->n + 1) * sizeof(*stack_of));
	int err;

	memset(l, 0, sizeof(*l));
	l->asked = true;
	l->verdict = r->verdict == LEAKS_PROVEN   ? LEAKS_VERDICT_PROVEN
		     : r->verdict == LEAKS_PASSES ? LEAKS_VERDICT_PASSES
						  : LEAKS_VERDICT_OFF;
	snprintf(l->why, sizeof(l->why), "%s", r->why);
	l->passes = r->passes;
	l->stop_ms = r->stop_ns ? (double)r->stop_ns / 1e6 : -1;
	l->candidates = r->candidates;
	l->heap_bytes = r->heap_bytes;
	l->before_known = begin_ns != 0;
	if (r->as_of_ns > now_ns)
		l->late_s = (double)(r->as_of_ns - now_ns) / 1e9;
	if (!stack_of)
		return -ENOMEM;
	err = l->verdict == LEAKS_VERDICT_OFF ? 0 : read_stacks(l, s, r, before, stack_of);
	if (!err && l->verdict != LEAKS_VERDICT_OFF)
		err = fill(l, s, r, stack_of, now_ns, begin_ns);
	free(stack_of);
	return err;
}

void leaks_cover(const struct prove_result *r, struct window *w)
{
	enum exactness state = r->verdict == LEAKS_PROVEN   ? EXACT
			       : r->verdict == LEAKS_PASSES ? ESTIMATED
							    : OFF;
	char why[WINDOW_MAX_WHY], missing[64] = "", agree[64];

	if (r->passes == 1)
		snprintf(agree, sizeof(agree), "one pass over a running process");
	else
		snprintf(agree, sizeof(agree), "%d passes over a running process agree", r->passes);
	if (state != OFF && r->losses)
		snprintf(missing, sizeof(missing), "missing: what could not be read (%llu)",
			 (unsigned long long)r->losses);
	if (state == EXACT && r->losses)
		state = PARTIAL;
	if (state == ESTIMATED && !r->why[0])
		snprintf(why, sizeof(why),
			 "%s; --prove freezes it for some milliseconds and is certain%s%s", agree,
			 missing[0] ? "; " : "", missing);
	else
		snprintf(why, sizeof(why), "%.190s%s%s", r->why,
			 r->why[0] && missing[0] ? "; " : "", missing);
	window_cover_named(w, "leaks", state, why);
}
