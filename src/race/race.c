/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/race.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "proc/process.h"
#include "race/hit_sites.h"
#include "race/locks.h"
#include "race/seen.h"

#define SLICE_NS    (50 * NS_PER_MS)
#define SHORT_NS    (8 * NS_PER_MS)  /* of one that looks at words which are touched all the time */
#define FLOOR_NS    (10 * NS_PER_MS) /* per second: what the budget is at least */
#define MOST_LEAST  4                /* hits of a thread on a word in a slice */
#define MOST_PER_MS 4
#define ENOUGH_NS   (5 * NS_PER_S) /* of a word that a sweep found to be written */
#define LOOK_NS     NS_PER_S       /* between looks at the values of candidates */
#define WAYS_MAX    16384
#define PAUSE_NS    (2 * NS_PER_S) /* at most, between two slices */

const char *const race_verdict_word[RACE_PROVEN + 1] = {
	[RACE_UNPROVEN] = "unproven",
	[RACE_SUSPECTED] = "suspected",
	[RACE_NO_LOCK] = "no common lock seen",
	[RACE_PROVEN] = "proven",
};

bool race_clocks_comparable(void)
{
	char name[16] = "";
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");

	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	return !strcmp(name, "tsc\n");
}

static int make_watches(struct race *r, struct err *err)
{
	r->watch = calloc(r->words.n + 1, sizeof(*r->watch));
	r->row = calloc(r->words.n + 1, sizeof(*r->row));
	if (!r->watch || !r->row)
		return err_set(err, -ENOMEM, "no memory for so many words");
	for (size_t i = 0; i < r->words.n; i++) {
		const struct race_word *w = &r->words.w[i];

		r->watch[i] = (struct word_watch){ .word = w,
						   .how = r->sweeps ? "code" : "named",
						   .via = w->via,
						   .offset = w->off,
						   .size = w->size };
	}
	return 0;
}

static int find_candidates(struct race *r, struct err *err)
{
	int e = race_words_scan(&r->words, r->rt, err);

	r->sweeps = true;
	if (e || race_words_look(&r->words, r->rt->mem) < 0)
		return e;
	clock_nap_ms(300);
	race_words_look(&r->words, r->rt->mem);
	race_words_order(&r->words);
	return 0;
}

int race_begin(struct race *r, struct watchpoints *wp, struct goruntime *rt,
	       const struct process *proc, const struct race_options *o, struct err *err)
{
	struct gs_watch_range stop[GS_WATCH_RANGES];
	size_t n = hit_sites_map_code(rt, stop, GS_WATCH_RANGES);
	int e = watchpoints_target(wp, proc->pid, rt->gb, stop, n, err);

	r->wp = wp;
	r->rt = rt;
	r->proc = proc;
	r->o = *o;
	r->registers = GS_WATCH_WORDS;
	r->slice_ns = SLICE_NS;
	r->clock = race_clock_of(watchpoints_costs(wp)->around_ns);
	r->comparable = race_clocks_comparable();
	r->sites = hit_sites_new(rt);
	u64map_init(&r->ways, WAYS_MAX);
	if (!e && !r->sites)
		e = err_set(err, -ENOMEM, "no memory for accesses");
	if (!e && !r->words.n)
		e = find_candidates(r, err);
	if (!e)
		e = make_watches(r, err);
	if (!e && r->sweeps && sweep_init(&r->sweep, &r->words))
		e = err_set(err, -ENOMEM, "no memory for so many words");
	r->begin_ns = clock_mono_ns();
	process_cpu_ns(proc, &r->cpu_ns);
	return e;
}

void race_deinit(struct race *r)
{
	for (size_t i = 0; r->watch && i < r->words.n; i++)
		free(r->watch[i].access);
	free(r->watch);
	free(r->row);
	hit_sites_free(r->sites);
	u64map_deinit(&r->ways);
	sweep_deinit(&r->sweep);
	race_words_deinit(&r->words);
}

/* ---- which words are next ---- */

struct turn {
	struct word_watch *word[GS_WATCH_WORDS];
	struct watch_slice slice;
	struct sweep_slice planned; /* of a sweep */
};

/* False: it is not there, or another word of the turn is the same. */
static bool add_word(struct race *r, struct turn *t, struct word_watch *w)
{
	struct watch_slice *s = &t->slice;
	uint64_t addr;

	w->is_gone = race_word_addr(w->word, r->rt->mem, &addr) != 0;
	if (w->is_gone)
		return false;
	for (int i = 0; i < s->nword; i++)
		if (s->word[i].addr == addr)
			return false;
	if (w->address != addr)
		locks_forget(w);
	w->address = addr;
	t->word[s->nword] = w;
	s->word[s->nword++] = (struct watch_word){ addr, w->word->size };
	return true;
}

/* Whether reads of it are to be watched. */
static bool is_worth(const struct race *r, size_t i)
{
	const struct word_watch *w = &r->watch[i];

	return r->sweeps ? sweep_is_live(&r->sweep, i) : !w->is_map && w->verdict != RACE_PROVEN;
}

/* Words that were named: those that were watched least come first. */
static void next_of_named(struct race *r, struct turn *t)
{
	uint32_t least = UINT32_MAX;

	for (size_t i = 0; i < r->words.n; i++)
		if (is_worth(r, i) && r->watch[i].slices < least)
			least = r->watch[i].slices;
	for (int more = 0; more < 2; more++)
		for (size_t i = 0; i < r->words.n && t->slice.nword < r->registers; i++)
			if (is_worth(r, i) && (r->watch[i].slices > least) == more)
				add_word(r, t, &r->watch[i]);
}

/* As src/race/sweep.h has it; what is not there is gone. */
static void next_of_sweep(struct race *r, struct turn *t)
{
	if (clock_mono_ns() - r->looked_ns > LOOK_NS) {
		race_words_look(&r->words, r->rt->mem);
		r->looked_ns = clock_mono_ns();
	}
	r->sweep.slots = (size_t)r->registers;
	if (!sweep_next(&r->sweep, &t->planned))
		return;
	for (size_t i = 0; i < t->planned.n; i++)
		add_word(r, t, &r->watch[t->planned.word[i]]);
	t->slice.writes = !t->planned.reads;
	if (t->planned.reads)
		t->planned.ms = (uint32_t)(t->slice.ns / NS_PER_MS);
	else
		t->slice.ns = t->planned.ms * NS_PER_MS;
}

static bool was_watched(const struct turn *t, const struct word_watch *w)
{
	for (int i = 0; i < t->slice.nword; i++)
		if (t->word[i] == w)
			return true;
	return false;
}

/* hits: of each word before. */
static void tell_sweep(struct race *r, const struct turn *t, const uint64_t *hits)
{
	struct sweep_seen seen[SWEEP_SLOTS];

	for (size_t i = 0; i < t->planned.n; i++) {
		const struct word_watch *w = &r->watch[t->planned.word[i]];

		seen[i] = (struct sweep_seen){ .hits = (uint32_t)(w->hits - hits[i]),
					       .stored = w->written && w->hits != hits[i],
					       .proven = w->verdict == RACE_PROVEN,
					       .owned = w->is_map,
					       .gone = !was_watched(t, w) };
	}
	sweep_saw(&r->sweep, &t->planned, seen);
	r->swept = r->sweep.swept;
}

/* ---- the budget ---- */

/* What may be taken of the process's time, per second. */
static double allowed_ns(const struct race *r)
{
	uint64_t cpu = r->cpu_ns, took = clock_mono_ns() - r->begin_ns;
	double rate;

	process_cpu_ns(r->proc, &cpu);
	rate = took ? (double)(cpu - r->cpu_ns) / (double)took * (double)NS_PER_S : 0;
	rate *= r->o.budget_pct / 100;
	return rate > FLOOR_NS ? rate : FLOOR_NS;
}

/* A slice may take what a second allows; where there are many threads, each a little. */
static void limit(const struct race *r, struct watch_slice *s, int threads)
{
	double hits = allowed_ns(r) / (double)watchpoints_costs(r->wp)->hit_ns;
	int most = (int)(s->ns / NS_PER_MS * MOST_PER_MS);
	int each = (int)(hits / (s->nword * (threads < 1 ? 1 : threads)));

	s->most_all = hits < GS_WATCH_HITS ? (uint32_t)hits : GS_WATCH_HITS;
	each = each > most ? most : each;
	s->most = (uint32_t)(each < MOST_LEAST ? MOST_LEAST : each);
}

/* Behind the plain stores that are known: as often as a second allows. */
static void hold(const struct race *r, struct turn *t)
{
	struct watch_slice *s = &t->slice;
	int n = 0;

	if (!r->o.hold_ns)
		return;
	for (int i = 0; i < s->nword; i++)
		for (int k = 0; k < t->word[i]->naccess && n < GS_WATCH_HOLDS; k++) {
			const struct shared_access *a = &t->word[i]->access[k];

			if (a->stores && !a->atomic)
				s->hold[n++] = r->sites->site[a->site].pc;
		}
	s->most_held = (uint32_t)(allowed_ns(r) / (double)r->o.hold_ns);
}

/* Until what was taken is within what is allowed. */
static uint64_t pause_ns(const struct race *r)
{
	double due = (double)r->cost_ns / allowed_ns(r) * (double)NS_PER_S;
	uint64_t took = clock_mono_ns() - r->begin_ns;

	if (due <= (double)took)
		return 0;
	return due - (double)took < PAUSE_NS ? (uint64_t)(due - (double)took) : PAUSE_NS;
}

/* ---- slices ---- */

/* Each word is proven; of a sweep, all were watched, and those that are stored to long enough. */
static bool all_done(const struct race *r)
{
	bool proven = !r->words.n;

	if (r->words.n && r->sweeps && !r->sweep.rounds)
		return false;
	for (size_t i = 0; i < r->words.n; i++) {
		proven |= r->watch[i].verdict == RACE_PROVEN;
		if (is_worth(r, i) &&
		    (!r->sweeps || r->o.for_ns || r->watch[i].watched_ns < ENOUGH_NS))
			return false;
	}
	return !r->sweeps || !r->o.for_ns || proven;
}

/* Mask of the words whose pointer leads elsewhere now. */
static uint32_t moved(const struct race *r, const struct turn *t)
{
	uint32_t mask = 0;

	for (int i = 0; i < t->slice.nword; i++) {
		uint64_t addr;

		if (race_word_addr(t->word[i]->word, r->rt->mem, &addr) ||
		    addr != t->slice.word[i].addr)
			mask |= 1u << i;
	}
	return mask;
}

/* Who calls tells which of the two. */
static int check_process(const struct race *r, struct err *err)
{
	return process_check(r->proc)
		       ? err_set(err, -ESRCH, "the process has ended, or called exec")
		       : 0;
}

static int watch_turn(struct race *r, struct turn *t, struct err *err)
{
	struct watch_seen seen;
	int e = watchpoints_slice(r->wp, &t->slice, &seen, err);

	if (e)
		return e;
	e = check_process(r, err);
	if (e)
		return e;
	if (seen.nword < t->slice.nword)
		r->registers = seen.nword;
	r->missed = seen.missed;
	r->slices++;
	r->hits += seen.n;
	r->held += seen.held;
	r->cost_ns += seen.cost_ns;
	r->watched_ns += seen.end_ns - seen.begin_ns;
	return race_seen(r, t->word, &t->slice, &seen, moved(r, t));
}

/* Where threads are disarmed at once, more and shorter slices meet more of them at a time. */
static void adapt(struct race *r, bool cut)
{
	r->slice_ns = cut ? r->slice_ns / 2 : r->slice_ns * 2;
	if (r->slice_ns < SHORT_NS || r->slice_ns > SLICE_NS)
		r->slice_ns = cut ? SHORT_NS : SLICE_NS;
}

/* A signal ends it. */
static void rest(const struct race *r, uint64_t ns)
{
	struct pollfd p = { .fd = r->o.wake_fd, .events = POLLIN };

	if (ns)
		poll(&p, 1, (int)(ns / NS_PER_MS));
}

static int take_turn(struct race *r, struct turn *t, struct err *err)
{
	uint64_t hits[SWEEP_SLOTS] = { 0 };
	int threads = 0, e;

	for (size_t i = 0; i < t->planned.n; i++)
		hits[i] = r->watch[t->planned.word[i]].hits;
	if (t->slice.nword) {
		process_usage(r->proc, &(uint64_t){ 0 }, &threads);
		limit(r, &t->slice, threads);
		hold(r, t);
		for (int i = 0; i < t->slice.nword; i++)
			locks_ask(t->word[i], i, &t->slice);
		e = watch_turn(r, t, err);
	} else { /* nil pointers: they may be set yet */
		rest(r, 20 * NS_PER_MS);
		e = check_process(r, err);
	}
	if (!e && r->sweeps)
		tell_sweep(r, t, hits);
	if (t->slice.nword && !t->slice.writes)
		adapt(r, r->cut);
	return e;
}

int race_step(struct race *r, struct err *err)
{
	uint64_t for_ns = r->o.for_ns ? r->o.for_ns : RACE_FOR_NS;
	struct turn t = { .slice = { .ns = r->slice_ns, .wake_fd = r->o.wake_fd } };
	uint64_t pause;
	int e;

	if (clock_mono_ns() - r->begin_ns >= for_ns || all_done(r))
		return 1;
	if (r->sweeps)
		next_of_sweep(r, &t);
	else
		next_of_named(r, &t);
	e = take_turn(r, &t, err);
	if (e)
		return e;
	pause = pause_ns(r);
	rest(r, pause);
	if (r->sweeps)
		sweep_paused(&r->sweep, &t.planned, pause / NS_PER_MS);
	return 0;
}

/* ---- the end ---- */

static int by_verdict(const void *a, const void *b)
{
	const struct word_watch *x = a, *y = b;

	if (x->verdict != y->verdict)
		return (int)y->verdict - (int)x->verdict;
	if (x->hits != y->hits)
		return x->hits < y->hits ? 1 : -1;
	return (x->word > y->word) - (x->word < y->word);
}

/* An access at its word, and its locks; once both stay where they are. */
static void point(struct word_watch *w, struct shared_access *a)
{
	a->word = w;
	a->locks = a->lock;
	for (int i = 0; i < w->nlock && a->lock[i].sampled; i++, a->nlock++)
		a->lock[i].lock = &w->lock[i];
}

/* Of a sweep, those with something to say; what was named always. */
void race_sum(struct race *r)
{
	r->for_s = (double)(clock_mono_ns() - r->begin_ns) / (double)NS_PER_S;
	r->nrow = 0;
	for (size_t i = 0; i < r->words.n; i++) {
		struct word_watch *w = &r->watch[i];

		if (r->sweeps && !w->naccess)
			continue;
		word_watch_finish(w);
		r->row[r->nrow++] = *w;
	}
	qsort(r->row, (size_t)r->nrow, sizeof(*r->row), by_verdict);
	for (int i = 0; i < r->nrow; i++)
		for (int k = 0; k < r->row[i].naccess; k++)
			point(&r->row[i], &r->row[i].access[k]);
}
