/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "goroutines/window.h"
#include "model/sentence.h"

#define WHAT_OLDEST "age of the oldest; `age` is at_least where only a lower bound is known"

/* ---- by site ---- */

static bool live_known(const struct row *r)
{
	return r->w->goroutines->known;
}

static bool births_known(const struct row *r)
{
	return r->w->goroutines->births_known;
}

static bool site_births_known(const struct row *r)
{
	return births_known(r) && ((const struct site_row *)r->row)->births_known;
}

#define S struct wait_row
static const struct column wait_column[] = {
	TEXT(S, reason, "reason", "the wait reason as the goroutine dump words it, or the state",
	     .flags = COLUMN_SOMETIMES),
	COUNT(S, count, "count", "goroutines"),
	STACK_INSIDE(S, stack, nstack, "of one of them, innermost first"),
};
#undef S

static const struct table waits =
	TABLE("wait", "What the goroutines of a site wait for; adds up to `live`.", struct wait_row,
	      wait_column);

static void rate_cell(const struct row *r, uint64_t n, struct buf *out)
{
	const struct site_row *s = r->row;

	if (site_births_known(r) && window_run_s(r->w) > 0)
		sentence_rate(out, exactness_mark(s->exactness), window_per_s(r->w, n), "");
	else
		buf_puts(out, "-");
}

static void born_cell(const struct row *r, struct buf *out)
{
	rate_cell(r, ((const struct site_row *)r->row)->births, out);
}

static void ended_cell(const struct row *r, struct buf *out)
{
	rate_cell(r, ((const struct site_row *)r->row)->deaths, out);
}

/* What most of the site's goroutines wait for: "chan receive", "IO wait 95%". */
static void wait_cell(const struct row *r, struct buf *out)
{
	const struct site_row *s = r->row;

	if (!s->nwait || !s->wait[0].reason) {
		buf_puts(out, "-");
		return;
	}
	sentence_name(out, "", s->wait[0].reason, 48);
	if (s->nwait > 1)
		sentence_percent(out, " ",
				 s->live ? 100.0 * (double)s->wait[0].count / (double)s->live : 0,
				 0, "");
}

static const struct place *wait_place(const struct wait_row *wait)
{
	if (wait->user >= 0 && wait->user < wait->nstack)
		return &wait->stack[wait->user];
	return &wait->stack[0]; /* all of it the runtime's */
}

static void wait_place_cell(const struct row *r, struct buf *out)
{
	const struct site_row *s = r->row;

	if (s->nwait && s->wait[0].nstack > 0)
		sentence_place(out, wait_place(&s->wait[0]), "?");
	else
		buf_puts(out, "-");
}

#define MAX_REASONS 64 /* in a sum: Go has about 50; what is beyond is summed in the last */

static int add_wait(struct site_row *sum, const struct wait_row *wait)
{
	int i;

	if (!sum->wait)
		sum->wait = calloc(MAX_REASONS, sizeof(*sum->wait));
	if (!sum->wait)
		return -ENOMEM;
	for (i = 0; i < sum->nwait; i++)
		if (!strcmp(sum->wait[i].reason, wait->reason))
			break;
	if (i == MAX_REASONS)
		sum->wait[--i].reason = "other";
	else if (i == sum->nwait)
		sum->wait[sum->nwait++].reason = wait->reason;
	sum->wait[i].count += wait->count;
	return 0;
}

static int add_site(void *to, const void *row, bool first)
{
	struct site_row *sum = to;
	const struct site_row *s = row;
	int err = 0;

	sum->births_known = s->births_known && (first || sum->births_known);
	for (int i = 0; i < s->nwait && !err; i++)
		if (s->wait[i].reason)
			err = add_wait(sum, &s->wait[i]);
	return err;
}

static void free_site(void *sum)
{
	free(((struct site_row *)sum)->wait);
}

#define S struct lifetime
static const struct column lifetime_column[] = {
	COUNT(S, count, "count", "that ended in this window and whose birth was seen"),
	P50_NS(S, p50_ns, timed, "p50_ns", "half of them lived no longer"),
	P99_NS(S, p99_ns, timed, "p99_ns", "99 of 100 lived no longer"),
	NS(S, max_ns, "max_ns", "the longest"),
	EXACTNESS(S, exactness, RATE(S, rate)),
};
#undef S

static const struct table lifetimes =
	TABLE("lifetime", "How long goroutines of a site had lived when they ended.",
	      struct lifetime, lifetime_column);

static bool lifetime_known(const struct row *r)
{
	return ((const struct site_row *)r->row)->lifetime.count;
}

static bool no_lifetimes(const struct window *w)
{
	for (int i = 0; i < w->goroutines->nsite; i++)
		if (w->goroutines->site[i].lifetime.count)
			return false;
	return true;
}

static void lived_cell(const struct row *r, struct buf *out)
{
	const struct lifetime *life = &((const struct site_row *)r->row)->lifetime;

	if (life->timed >= LEAST_FOR_P50)
		sentence_ns(out, life->exactness == SAMPLED ? "~" : "", life->p50_ns);
	else
		buf_puts(out, "-");
}

#define S struct site_row
static const struct column site_column[] = {
	PLACE_FLAT(S, place, "the go statement", SHOWN(1, "created at"), .min = 22,
		   .flags = COLUMN_NAME_REST, .id = 1),
	TEXT(S, start, "start", "the function that it names, looked for behind wrappers",
	     .flags = COLUMN_NO_REST | COLUMN_SOMETIMES),
	COUNT(S, births, "births", "begun in this window", .known = site_births_known),
	COUNT(S, deaths, "deaths", "ended in this window", .known = site_births_known),
	COUNT(S, live, "live", "alive at `time`", .known = live_known, SHOWN(2, "live")),
	COUNT(S, live_at_start, "live_at_start", "alive when the window began",
	      .known = live_known),
	COUNT(S, stuck_window, "stuck", "blocked, and not seen to run in the whole window",
	      .known = live_known),
	AGE(S, oldest_s, age, "oldest_s", WHAT_OLDEST, SHOWN(5, "oldest"), .flags = COLUMN_BOUND),
	EXACTNESS(S, exactness, .known = site_births_known),
	COLUMN(COLUMN_OBJECT, "lifetime", offsetof(S, lifetime),
	       "of goroutines that ended; sensor `lifetimes`", .sub = &lifetimes,
	       .flags = COLUMN_INSIDE | COLUMN_NO_REST, .known = lifetime_known),
	ROWS(S, wait, nwait, "waits", &waits, "what they wait for, most frequent first"),
	CELL("born/s", 3, born_cell, .flags = COLUMN_RIGHT),
	CELL("ended/s", 4, ended_cell, .flags = COLUMN_RIGHT),
	CELL("lived", 6, lived_cell, .left_out = no_lifetimes,
	     .flags = COLUMN_RIGHT | COLUMN_NO_REST),
	CELL("waiting for", 7, wait_cell, .min = 16, .flags = COLUMN_NO_REST),
	CELL("at", 8, wait_place_cell, .min = 16, .flags = COLUMN_NO_REST | COLUMN_END),
};
#undef S

void goroutines_sentence(const struct window *w, struct buf *out)
{
	const struct goroutines_window *g = w->goroutines;
	const char *m = exactness_mark(g->births_exactness);

	if (g->known) {
		sentence_count(out, "", g->live, " live");
		if (w->window_s > 0)
			sentence_count(out, " (from ", g->live_at_start, ")");
	} else {
		buf_puts(out, "live not known");
	}
	if (g->births_known && window_run_s(w) > 0) {
		buf_printf(out, ", %s", m);
		sentence_count(out, "", g->births, " born");
		sentence_rate(out, " (", window_per_s(w, g->births), "/s)");
		buf_printf(out, ", %s", m);
		sentence_count(out, "", g->deaths, " ended");
		sentence_rate(out, " (", window_per_s(w, g->deaths), "/s)");
	}
	if (g->created_known)
		sentence_count(out, ", ", g->created_total, " created in total");
	if (g->known)
		sentence_count(out, ", ", g->system, " system");
}

void states_sentence(const struct window *w, struct buf *out)
{
	const struct goroutines_window *g = w->goroutines;

	if (!g->known)
		return;
	if (!g->nstate)
		buf_puts(out, "none");
	for (int i = 0; i < g->nstate; i++) {
		sentence_name(out, i ? ", " : "", g->state[i].state, 40);
		sentence_count(out, " ", g->state[i].count, "");
	}
}

const struct table goroutine_sites = {
	.name = "site",
	.what = "Goroutines by the go statement that created them.",
	TABLE_ROWS(struct site_row, site_column),
	.other_at = OFFSET(struct site_row, other, bool),
	.add = add_site,
	.free_sum = free_site,
	.of = &goroutines_object,
	.label = "goroutines",
	.title = "Goroutines by site",
	.with_part = true,
	.sentence = goroutines_sentence,
	.label2 = "  states",
	.sentence2 = states_sentence,
	.diff_title = "goroutines by creation site",
	.diff_key = "live",
};

/* ---- by stack, and one by one ---- */

static bool labels_known(const struct goroutine_dump *d, uint32_t set)
{
	return set != DUMP_LABELS_UNKNOWN && set < d->nlabel_set;
}

static bool label(const struct goroutine_dump *d, uint32_t set, size_t i, struct pair *out)
{
	const struct dump_label *l = &d->label[d->label_set[set].first + i];

	if (i >= d->label_set[set].n)
		return false;
	out->key = l->key;
	out->type = COLUMN_TEXT;
	out->text = l->value;
	return true;
}

void goroutine_labels(const struct goroutine_dump *d, uint32_t set, struct buf *out)
{
	struct pair p;

	for (size_t i = 0; labels_known(d, set) && label(d, set, i, &p); i++) {
		sentence_name(out, i ? " " : "", p.key, 40);
		sentence_name(out, "=", p.text, 40);
	}
}

static const struct dump_group *group_of(const struct row *r)
{
	return r->row;
}

static bool group_labels_known(const struct row *r)
{
	return labels_known(r->w->goroutines->dump, group_of(r)->labels);
}

static bool group_label(const struct row *r, size_t i, struct pair *out)
{
	return label(r->w->goroutines->dump, group_of(r)->labels, i, out);
}

static const struct stack_table *dump_stacks(const struct window *w)
{
	return &w->goroutines->dump->stacks;
}

static void stack_cut(const struct row *r, struct value *v)
{
	const struct stack_table *t = dump_stacks(r->w);

	v->flag = group_of(r)->stack < t->nstack && !t->stack[group_of(r)->stack].whole;
}

static void groups_in_rest(const struct row *r, struct value *v)
{
	v->count = r->nrest;
}

#define CALLERS 4 /* functions of a stack that one line shows */

/* "main.worker notify.go:57 < main.run notify.go:30": the user's functions, innermost first. */
static void stack_cell(const struct row *r, struct buf *out)
{
	const struct place *line[SCHEMA_MAX_FRAMES];
	int n = stack_lines(dump_stacks(r->w), group_of(r)->stack, line, SCHEMA_MAX_FRAMES),
	    from = place_pick(line, n);

	if (from < 0)
		from = 0;
	for (int i = from; i < n && i < from + CALLERS; i++) {
		buf_puts(out, i > from ? " < " : "");
		sentence_place(out, line[i], "?");
	}
	if (n > from + CALLERS)
		buf_puts(out, " < …");
	if (!n)
		buf_puts(out, "-");
}

static void labels_cell(const struct row *r, struct buf *out)
{
	size_t before = out->len;

	goroutine_labels(r->w->goroutines->dump, group_of(r)->labels, out);
	if (out->len == before)
		buf_puts(out, group_of(r)->labels == DUMP_LABELS_UNKNOWN ? "?" : "-");
}

static bool no_labels(const struct window *w)
{
	const struct goroutine_dump *d = w->goroutines->dump;

	for (size_t i = 0; i < d->ngroup; i++)
		if (d->group[i].labels)
			return false;
	return true;
}

#define S struct dump_group
static const struct column group_column[] = {
	COUNT(S, count, "count", "goroutines", SHOWN(1, "count")),
	GOT(COLUMN_COUNT, "groups", groups_in_rest, "in the row of the rest: how many groups",
	    .flags = COLUMN_ABSENT_0),
	TEXT(S, reason, "reason", "wait reason, else running, runnable or syscall",
	     SHOWN(3, "waiting for"), .min = 10, .flags = COLUMN_NO_REST | COLUMN_SOMETIMES,
	     .id = 1),
	TEXT(S, state, "state", "waiting, running, runnable, syscall, …",
	     .flags = COLUMN_NO_REST | COLUMN_SOMETIMES),
	AGE(S, oldest_s, age, "oldest_s", WHAT_OLDEST, SHOWN(2, "oldest"),
	    .flags = COLUMN_NO_REST | COLUMN_BOUND),
	PAIRS("labels", group_label, "pprof labels; absent is not known",
	      .known = group_labels_known, .cell = labels_cell, SHOWN(5, "labels"), .min = 10,
	      .left_out = no_labels, .flags = COLUMN_NO_REST),
	PLACE(S, created, "created", "the go statement of all of them", .flags = COLUMN_NO_REST),
	STACK(S, stack, dump_stacks, "innermost first, inlined frames included", .cell = stack_cell,
	      SHOWN(4, "stack, innermost first"), .min = 40,
	      .flags = COLUMN_NO_REST | COLUMN_NAME_REST, .id = 2),
	GOT(COLUMN_FLAG, "stack_cut", stack_cut, "the stack was not read to its end",
	    .flags = COLUMN_NO_REST | COLUMN_ABSENT_0),
	FLAG(S, unread, "unread", "changed each time it was read: there is no stack",
	     .flags = COLUMN_NO_REST | COLUMN_ABSENT_0),
	IDS(S, id, nid, "ids", "of some of the goroutines, the lowest"),
};
#undef S

static bool has_dump(const struct window *w)
{
	return w->goroutines->dump;
}

static void groups_sentence(const struct window *w, struct buf *out)
{
	const struct goroutine_dump *d = w->goroutines->dump;

	sentence_count(out, "", d->ngroup, " distinct");
	if (d->nall)
		buf_puts(out, "; each goroutine is listed at the end");
}

const struct table goroutine_groups = {
	.name = "group",
	.what = "Goroutines with the same stack, state and labels.",
	TABLE_ROWS(struct dump_group, group_column),
	.of = &goroutines_object,
	.label = "stacks",
	.title = "Goroutines by stack",
	.any = has_dump,
	.sentence = groups_sentence,
	.lines = 1,
	.max_rows = 10,
	.diff_title = "goroutines by stack",
	.diff_key = "count",
};

static const struct dump_goroutine *one_of(const struct row *r)
{
	return r->row;
}

static bool one_labels_known(const struct row *r)
{
	return labels_known(r->w->goroutines->dump, one_of(r)->labels);
}

static bool one_label(const struct row *r, size_t i, struct pair *out)
{
	return label(r->w->goroutines->dump, one_of(r)->labels, i, out);
}

#define S struct dump_goroutine
static const struct column one_column[] = {
	COUNT(S, goid, "id", "as the runtime numbers it"),
	TEXT(S, state, "state", "waiting, running, runnable, syscall, …",
	     .flags = COLUMN_SOMETIMES),
	TEXT(S, reason, "reason", "wait reason, else running, runnable or syscall",
	     .flags = COLUMN_SOMETIMES),
	AGE(S, age_s, age, "age_s", "since when; at_least where only a lower bound is known",
	    .flags = COLUMN_BOUND),
	GOID(S, creator, "creator", "the goroutine that created it"),
	PLACE(S, created, "created", "the go statement"),
	TEXT(S, start, "start", "the function that it names", .flags = COLUMN_SOMETIMES),
	PAIRS("labels", one_label, "pprof labels; absent is not known", .known = one_labels_known),
	FLAG(S, locked, "locked", "to a thread"),
	STACK(S, stack, dump_stacks, "innermost first, inlined frames included"),
};
#undef S

static const struct table goroutine_all = {
	.name = "goroutine",
	.what = "Every goroutine; only with --goroutines.",
	TABLE_ROWS(struct dump_goroutine, one_column),
	.of = &goroutines_object,
};

/* ---- the object ---- */

static bool state_pair(const struct row *r, size_t i, struct pair *out)
{
	const struct goroutines_window *g = r->row;

	if (i >= (size_t)g->nstate)
		return false;
	/* the words may come from the target's own table: a key has to be clean */
	out->key = words_fit(g->state[i].state, 64, out->words, sizeof(out->words));
	out->type = COLUMN_COUNT;
	out->count = g->state[i].count;
	return true;
}

static void groups(const struct row *r, struct value *v)
{
	const struct goroutine_dump *d = ((const struct goroutines_window *)r->row)->dump;

	v->is = d ? VALUE_THERE : VALUE_ABSENT;
	v->rows.first = d ? d->group : NULL;
	v->rows.n = d ? d->ngroup : 0;
}

static void all(const struct row *r, struct value *v)
{
	const struct goroutine_dump *d = ((const struct goroutines_window *)r->row)->dump;

	v->is = d && d->all ? VALUE_THERE : VALUE_ABSENT;
	v->rows.first = d ? d->all : NULL;
	v->rows.n = d ? d->nall : 0;
}

#define S struct goroutines_window
static const struct column goroutines_column[] = {
	COUNT(S, created_total, "created_total",
	      "created since the process started, by the runtime's own count",
	      .known_at = OFFSET(S, created_known, bool)),
	COUNT(S, live_at_start, "live_at_start", "alive when the window began",
	      .known_at = OFFSET(S, known, bool)),
	COUNT(S, live, "live", "alive at `time`, as runtime.NumGoroutine() says",
	      .known_at = OFFSET(S, known, bool)),
	COUNT(S, system, "system", "the runtime's own, not in `live`",
	      .known_at = OFFSET(S, known, bool)),
	COUNT(S, births, "births", "begun in this window", .known = births_known),
	COUNT(S, deaths, "deaths", "ended in this window", .known = births_known),
	EXACTNESS(S, births_exactness, .known = births_known),
	PAIRS("by_state", state_pair, "goroutines by wait reason, else state; adds up to `live`",
	      .known_at = OFFSET(S, known, bool)),
	ROWS(S, site, nsite, "by_site", &goroutine_sites, "by the go statement"),
	GOT(COLUMN_ROWS, "groups", groups, "by stack; snapshots only", .sub = &goroutine_groups,
	    .flags = COLUMN_SOMETIMES),
	GOT(COLUMN_ROWS, "all", all, "one by one", .sub = &goroutine_all,
	    .flags = COLUMN_SOMETIMES | COLUMN_STREAM),
};
#undef S

static const void *goroutines_part(const struct window *w)
{
	const struct goroutines_window *g = w->goroutines;

	return g->known || g->births_known || g->created_known ? g : NULL;
}

const struct table goroutines_object =
	TABLE("goroutines",
	      "Goroutines. live_at_start + births - deaths = live on a target that is quiet at "
	      "both ends; the runtime's own (system) goroutines are not in them.",
	      struct goroutines_window, goroutines_column, .part = goroutines_part);
