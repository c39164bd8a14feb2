/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goroutine leak, as a suspicion: goroutines of one site that are parked on a
 * channel, lock, wait group or condition, are not seen to run, and become more.
 *
 * "Stuck" is a goroutine that is blocked, was there at the look before, and
 * has not run since.  Healthy goroutines of a busy site are hardly ever stuck,
 * so a few that stay for ever show clearly among thousands that come and go.
 * A site is suspected by one of two rules:
 *
 * A  The stuck ones keep growing (growth.c) by MIN_GROWN or more, and almost
 *    nobody leaves them: those that ran or ended meanwhile are at most one for
 *    LEFT_SHARE that came.  Tickers, slow traffic that drains, and pools whose
 *    workers take jobs leave the stuck state all the time.
 *
 * B  For sites where slow healthy goroutines and leaked ones are mixed, after
 *    at least two windows: more goroutines have been stuck for the whole window
 *    than were stuck at any look of the first quarter; the least number of
 *    stuck ones grew from quarter to quarter; and growing traffic does not
 *    explain it (with steady waiting times, twice the stuck means twice the
 *    leaving: Little's law).
 *
 * Both: the site's live goroutines grow with the stuck ones (a pool that falls
 * idle gets stuck, but not larger), and at least as many as that are blocked
 * now.  Steady populations do not grow.  Nor is it a leak where as many become
 * more that wait for I/O, by the same go statement: those are connections, each
 * with a reader and a writer.
 */
#include "goroutines/subject.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/vec.h"
#include "goroutines/growth.h"
#include "base/text.h"
#include "model/age.h"

#define MIN_GROWN_SHORT     3 /* in a run of less than SHORT_RUN_S */
#define MIN_GROWN           5
#define SHORT_RUN_S         2.5
#define LEFT_SHARE          4
#define FALL_SHARE          4 /* the growth is that many times the deepest fall */
#define FEW_OF_MANY         20
#define LIVE_SHARE          3 /* live grows by at least 1/3 of what the stuck ones do */
#define LOCK_LINES          8 /* who holds the lock is worth more than other findings' five */
#define MIXED_MIN_POINTS    12
#define MIXED_MIN_SURVIVORS 5
#define QUARTERS            4
#define PAIRED_SHARE        2 /* one of so many blocked ones, at least, has a reader */

bool goroutine_site_is_special(const struct site_row *s)
{
	if (s->other || s->explained)
		return true;
	if (s->start && !strncmp(s->start, "runtime.", 8))
		return true;
	if (s->place.function && !strncmp(s->place.function, "runtime.", 8))
		return true;
	/* iter.Pull: switched to and from by hand, with a wait reason of its own */
	return s->nwait && s->wait[0].reason && !strcmp(s->wait[0].reason, "coroutine");
}

const struct wait_row *goroutine_site_wait(const struct site_row *s, int klass)
{
	const struct wait_row *best = NULL;

	for (int i = 0; i < s->nwait; i++)
		if ((klass == WAIT_ANY || (int)s->wait[i].klass == klass) &&
		    (!best || s->wait[i].count > best->count))
			best = &s->wait[i];
	return best;
}

const struct place *goroutine_wait_place(const struct wait_row *wait)
{
	if (!wait || wait->user < 0 || wait->user >= wait->nstack ||
	    !wait->stack[wait->user].function)
		return NULL;
	return &wait->stack[wait->user];
}

static uint64_t count_now(const struct site_row *s, enum wait_class klass)
{
	uint64_t n = 0;

	for (int i = 0; i < s->nwait; i++)
		if (s->wait[i].klass == klass)
			n += s->wait[i].count;
	return n;
}

/*
 * Two for each connection, one that reads it and one that waits for something to
 * write, by one go statement (nats-server's startGoRoutine): connections become more.
 */
static bool grow_with_readers(const struct site_row *s, int first)
{
	/* a goroutine is stuck a look after its birth */
	const struct site_point *a = &s->point[first], *born = first ? a - 1 : a;
	const struct site_point *b = &s->point[s->npoint - 1];
	double stuck = (double)b->stuck - (double)a->stuck;
	double others = (double)b->live - (double)born->live - stuck;

	return count_now(s, WAIT_IO) * PAIRED_SHARE >= count_now(s, WAIT_BLOCKED) &&
	       others * PAIRED_SHARE >= stuck;
}

/* Rule A. */
static bool cohort_grows(const struct site_row *s, int first, struct leak_signs *signs)
{
	struct growth g;
	uint64_t left;

	growth_measure(s, first, GROWTH_STUCK, &g);
	if (!g.goes_on || g.grown < (g.run_s < SHORT_RUN_S ? MIN_GROWN_SHORT : MIN_GROWN))
		return false;
	left = growth_left(s, g.begin);
	if ((double)left * LEFT_SHARE > g.grown || g.max_fall * FALL_SHARE > g.grown)
		return false;
	/* a goroutine is stuck a look or two after its birth: births may have ended */
	if (growth_live_at_rest_s(s, g.begin) > g.pause_s)
		return false;
	if (growth_of_live(s, g.begin) * LIVE_SHARE < g.grown)
		return false;
	*signs = (struct leak_signs){ .count = (uint64_t)g.to,
				      .from = (uint64_t)g.from,
				      .left = left,
				      .run_s = g.run_s,
				      .per_minute = g.per_minute };
	return true;
}

/* The points of one quarter of the time that was watched. */
struct quarter {
	double min, max, sum;
	double left;
	int n;
};

static bool split(const struct site_row *s, int first, struct quarter *q)
{
	double begin = s->point[first].t_s, span = s->point[s->npoint - 1].t_s - begin;

	memset(q, 0, QUARTERS * sizeof(*q));
	for (int i = first; i < s->npoint && span > 0; i++) {
		int k = (int)((s->point[i].t_s - begin) / span * QUARTERS);
		struct quarter *at = &q[k < QUARTERS ? k : QUARTERS - 1];
		double v = (double)s->point[i].stuck;

		at->min = !at->n || v < at->min ? v : at->min;
		at->max = v > at->max ? v : at->max;
		at->sum += v;
		at->left += (double)s->point[i].stuck_left;
		at->n++;
	}
	for (int k = 0; k < QUARTERS; k++)
		if (!q[k].n)
			return false;
	return true;
}

/* How many of the stuck ones in the second half the traffic does not explain. */
static double unexplained(const struct quarter *q)
{
	double early = (q[0].sum + q[1].sum) / (q[0].n + q[1].n);
	double late = (q[2].sum + q[3].sum) / (q[2].n + q[3].n);
	double traffic = (q[2].left + q[3].left + 1) / (q[0].left + q[1].left + 1);

	return late - early * (traffic > 1 ? traffic : 1);
}

/* Rule B. */
static bool survivors_grow(const struct window *w, const struct site_row *s, int first,
			   struct leak_signs *signs)
{
	double grown, span, survivors;
	struct quarter q[QUARTERS];
	uint64_t left = growth_left(s, first);

	if (w->observed_s < 1.99 * w->window_s || s->npoint - first < MIXED_MIN_POINTS ||
	    !split(s, first, q))
		return false;
	grown = q[QUARTERS - 1].min - q[0].min;
	for (int k = 1; k < QUARTERS; k++)
		if (q[k].min - q[k - 1].min < grown / (QUARTERS - 1) / 4)
			return false;
	if ((double)left * LEFT_SHARE <= grown)
		return false; /* not mixed: rule A decides */
	survivors = (double)s->stuck_window - q[0].max;
	if (survivors < MIXED_MIN_SURVIVORS || grown < MIXED_MIN_SURVIVORS)
		return false;
	if (unexplained(q) < MIXED_MIN_SURVIVORS || unexplained(q) * 3 < grown)
		return false;
	if (growth_of_live(s, first) * LIVE_SHARE < grown)
		return false;
	span = s->point[s->npoint - 1].t_s - s->point[first].t_s;
	*signs = (struct leak_signs){ .count = s->stuck_window,
				      .from = (uint64_t)q[0].min,
				      .left = left,
				      .run_s = span,
				      .per_minute =
					      grown / (span * (QUARTERS - 1) / QUARTERS) * 60 };
	return true;
}

static bool is_one_of(const char *function, const char *const *names, size_t n)
{
	for (size_t i = 0; function && i < n; i++)
		if (!strcmp(function, names[i]))
			return true;
	return false;
}

bool goroutine_site_is_dial(const struct site_row *s)
{
	static const char *const creators[] = {
		"net/http.(*Transport).startDialConnForLocked",
		"net/http.(*Transport).queueForDial",
		"net/http.(*persistConn).addTLS",
		"crypto/tls.(*Conn).handshakeContext",
		"net.(*Resolver).",
		"net.doBlockingWithCtx", /* a look-up by cgo; up to 1.20 cgoLookup… */
		"net.cgoLookup",
		"net.(*Dialer).",
		"net.(*sysDialer).dialParallel",
		"net.(*netFD).connect", /* waits for the dial to be cancelled */
	};

	for (size_t i = 0; s->place.function && i < ARRAY_SIZE(creators); i++)
		if (!strncmp(s->place.function, creators[i], strlen(creators[i])))
			return true;
	return false;
}

bool goroutine_site_dials(const struct site_row *s)
{
	static const char *const frames[] = {
		"net/http.(*Transport).dialConn",      "net.(*Resolver).lookupIPAddr",
		"net.(*Dialer).DialContext",           "net/http.(*persistConn).addTLS",
		"crypto/tls.(*Conn).handshakeContext",
	};
	const struct wait_row *wait = goroutine_site_wait(s, WAIT_ANY);

	if (goroutine_site_is_dial(s))
		return true;
	for (int i = 0; wait && i < wait->nstack; i++)
		if (is_one_of(wait->stack[i].function, frames, ARRAY_SIZE(frames)))
			return true;
	return false;
}

bool goroutine_leak_suspected(const struct window *w, const struct site_row *s,
			      struct leak_signs *signs)
{
	uint64_t blocked = count_now(s, WAIT_BLOCKED);
	int first = growth_first(s);

	if (!w->goroutines->known || goroutine_site_is_special(s) || goroutine_site_dials(s) ||
	    s->npoint - first < 2)
		return false;
	if (!cohort_grows(s, first, signs) && !survivors_grow(w, s, first, signs))
		return false;
	if (blocked < signs->count - signs->from || grow_with_readers(s, first))
		return false;
	/* All of them blocked, and none ended: the newest are of the same kind. */
	if (!signs->left && blocked == s->live && s->births_known && !s->deaths)
		signs->count = blocked;
	return true;
}

static const char *advice_for(const char *reason)
{
	static const struct {
		const char *reason, *advice;
	} table[] = {
		{ "chan receive (nil chan)",
		  "a receive from a nil channel never returns: make the channel first" },
		{ "chan send (nil chan)",
		  "a send to a nil channel never returns: make the channel first" },
		{ "chan receive",
		  "let it end: select on ctx.Done() as well, or close the channel on every path" },
		{ "chan send", "nobody receives: buffer the channel (make(chan T, 1)), or select "
			       "on ctx.Done() as well" },
		{ "select", "no case becomes ready: add ctx.Done() or a timeout, and make sure "
			    "that callers cancel" },
		{ "sync.Mutex", "the lock is never released: look for a path without Unlock, or a "
				"lock taken twice" },
		{ "sync.RWMutex", "the lock is never released: look for a path without (R)Unlock, "
				  "or a lock taken twice" },
		{ "sync.WaitGroup", "the wait group never reaches zero: look for an Add without a "
				    "Done on every path" },
		{ "sync.Cond", "nobody signals the condition: Signal or Broadcast on every path" },
		{ "semacquire", "look for a missing Unlock or Done: a lock is never released, or a "
				"wait group stays above zero" },
	};

	for (size_t i = 0; reason && i < ARRAY_SIZE(table); i++)
		if (!strncmp(reason, table[i].reason, strlen(table[i].reason)))
			return table[i].advice;
	return "let it end: a context that is cancelled, or a channel that is closed";
}

/* at: NULL or without a function where it is not known. */
static void evidence_where(struct finding *f, const char *why, const struct place *at,
			   enum age_kind kind, double oldest_s)
{
	char place[WORDS_PLACE_MAX], reason[200], age[HUMAN_MAX];
	bool has_place = at && at->function, has_age = kind != AGE_UNKNOWN;

	finding_evidence(f, "blocked in %s%s%s%s%s%s", words_fit(why, 48, reason, sizeof(reason)),
			 has_place ? " at " : "",
			 has_place ? words_place(at, place, sizeof(place)) : "",
			 has_age ? ", the oldest for " : "",
			 kind == AGE_AT_LEAST ? "at least " : "",
			 has_age ? human_seconds(oldest_s, age) : "");
}

static void evidence_growth(struct finding *f, const struct leak_signs *signs)
{
	char from[HUMAN_MAX], to[HUMAN_MAX], left[HUMAN_MAX], span[HUMAN_MAX];

	finding_evidence(f, "blocked ones grew from %s to %s in %s; %s%s",
			 human_count(signs->from, from), human_count(signs->count, to),
			 human_seconds(signs->run_s, span),
			 signs->left ? human_count(signs->left, left) : "none of them",
			 signs->left ? " resumed or ended meanwhile" : " ran or ended");
}

void goroutine_evidence_births(struct finding *f, const struct window *w, const struct site_row *s)
{
	char births[HUMAN_MAX], deaths[HUMAN_MAX], span[HUMAN_MAX];

	if (s->births_known && w->window_s > 0)
		finding_evidence(f, "%s%s started and %s ended there in the last %s",
				 s->exactness == EXACT ? "" : "about ",
				 human_count(s->births, births), human_count(s->deaths, deaths),
				 human_seconds(w->window_s, span));
}

void goroutine_evidence_lock(struct finding *f, const struct site_row *s)
{
	char place[WORDS_PLACE_MAX];
	bool has_place = s->lock.at.function;

	if (s->lock.known)
		f->lines = LOCK_LINES;
	if (s->lock.holder)
		finding_evidence(f, "goroutine %llu holds the lock (inferred) and %s%s%s",
				 (unsigned long long)s->lock.holder, s->lock.does,
				 has_place ? ", at " : "",
				 has_place ? words_place(&s->lock.at, place, sizeof(place)) : "");
	else if (s->lock.known)
		finding_evidence(f, "who holds the lock is not known");
}

/* What to do about a lock that somebody holds; NULL: look at the code that waits. */
static const char *advice_on_lock(const struct site_lock *l)
{
	if (!l->known || (!l->holder && l->is_sought))
		return NULL;
	if (!l->holder)
		return "look for a path without Unlock; 'gospect snapshot PID' looks for "
		       "deadlocks";
	if (!strcmp(l->does, "writes to a pipe"))
		return "find out who should read that pipe and does not; do not write to it with "
		       "the lock held, or give the write a deadline";
	if (!strstr(l->does, "lock"))
		return "do not keep the lock during slow work: copy what is needed, unlock, then "
		       "do it; or give that a deadline";
	return l->is_sought ? "let go of one lock before the next is taken"
			    : "perhaps a deadlock: 'gospect snapshot PID' looks for it";
}

/* "63 requests in handler main.wait (main.go:97)", "63 goroutines created at …" */
static void who_leaks(const struct site_row *s, const struct wait_row *wait, uint64_t count,
		      char *out, size_t size)
{
	const struct place *handler = goroutine_site_handler(s);
	char n[HUMAN_MAX], most[HUMAN_MAX], place[WORDS_PLACE_MAX];

	words_place(handler ? handler : &s->place, place, sizeof(place));
	human_count(count, n);
	if (!handler)
		snprintf(out, size, "%s goroutines created at %s", n, place);
	else if (wait->count >= count)
		snprintf(out, size, "%s requests in handler %s", n, place);
	else
		snprintf(out, size, "%s requests, %s of them in handler %s,", n,
			 human_count(wait->count, most), place);
}

static void add_finding(const struct window *w, const struct site_row *s,
			const struct leak_signs *signs, struct findings *out)
{
	const struct wait_row *wait = goroutine_site_wait(s, WAIT_BLOCKED);
	const struct place *handler = goroutine_site_handler(s);
	char who[WORDS_PLACE_MAX + 2 * HUMAN_MAX], rate[HUMAN_MAX], reason[200];
	struct finding *f =
		findings_add(out, "goroutine-leak", "leak", growth_severity(w, signs->run_s),
			     handler ? handler : &s->place);

	if (!f)
		return;
	words_fit(wait ? wait->reason : "a wait", 48, reason, sizeof(reason));
	who_leaks(s, wait, signs->count, who, sizeof(who));
	finding_title(f, "%s look leaked: stuck in %s, and growing by %s a minute", who, reason,
		      human_rate(signs->per_minute, rate));
	finding_count(f, "count", signs->count);
	finding_number(f, "per_minute", signs->per_minute);
	finding_count(f, "live", s->live);
	if (s->age != AGE_UNKNOWN)
		finding_number(f, "oldest_s", s->oldest_s);
	if (wait)
		evidence_where(f, wait->reason, goroutine_wait_place(wait), s->age, s->oldest_s);
	goroutine_evidence_lock(f, s);
	evidence_growth(f, signs);
	goroutine_evidence_births(f, w, s);
	finding_advice(f, "%s",
		       advice_on_lock(&s->lock) ? advice_on_lock(&s->lock)
						: advice_for(wait ? wait->reason : NULL));
	f->since_s = signs->run_s;
	f->weight = (double)signs->count + signs->per_minute;
}

/* ---- verdicts: nothing that can still run reaches what they wait for ---- */

uint64_t goroutine_leaked_at(const struct window *w, const struct place *p)
{
	uint64_t n = 0;

	for (int i = 0; i < w->goroutines->leaks.nrow; i++)
		if (!w->goroutines->leaks.row[i].by_design &&
		    place_equal(&w->goroutines->leaks.row[i].place, p))
			n += w->goroutines->leaks.row[i].count;
	return n;
}

/* Rows without a place (foreign code, sites beyond those told apart) go together. */
static bool same_site(const struct leak_row *a, const struct leak_row *b)
{
	return place_equal(&a->place, &b->place) || (!a->place.function && !b->place.function);
}

/* All rows of a place: they differ in what they wait for. */
struct verdict {
	const struct leak_row *most; /* the row with most goroutines; never NULL */
	uint64_t count, grown;
	double oldest_s, per_minute;
	enum age_kind age;
};

static struct verdict verdict_on(const struct window *w, const struct leak_row *row)
{
	const struct leaks_window *l = &w->goroutines->leaks;
	struct verdict v = { .most = row };

	for (int i = 0; i < l->nrow; i++) {
		const struct leak_row *r = &l->row[i];

		if (r->by_design || !same_site(r, row))
			continue;
		if (r->count > v.most->count)
			v.most = r;
		v.count += r->count;
		if (l->before_known && r->count > r->count_before)
			v.grown += r->count - r->count_before;
		age_max(&v.oldest_s, &v.age, r->oldest_s, r->age);
	}
	if (window_run_s(w) > 0)
		v.per_minute = (double)v.grown / (window_run_s(w) + l->late_s) * 60;
	return v;
}

static const char *awaited(const char *reason)
{
	if (!strncmp(reason, "chan", 4))
		return strstr(reason, "(nil chan)") ? NULL : "the channel they wait on";
	if (!strncmp(reason, "select", 6))
		return strstr(reason, "(no cases)") ? NULL : "a channel of their select";
	if (strstr(reason, "WaitGroup"))
		return "the wait group they wait for";
	if (strstr(reason, "Cond"))
		return "the condition they wait for";
	return "the lock they wait for";
}

static void evidence_verdict(struct finding *f, const struct window *w, const struct verdict *v)
{
	const char *what = awaited(v->most->reason);
	char span[HUMAN_MAX];

	evidence_where(f, v->most->reason, &v->most->at, v->age, v->oldest_s);
	if (what)
		finding_evidence(f, "no goroutine that can still run reaches %s", what);
	else
		finding_evidence(f, "nothing ever wakes that up");
	if (w->goroutines->leaks.verdict == LEAKS_VERDICT_PROVEN)
		finding_evidence(f, "proven on a copy of the process's memory, frozen for %s",
				 human_seconds(w->goroutines->leaks.stop_ms / 1e3, span));
	else
		finding_evidence(f,
				 "leaked in %d of %d passes over the running process; --prove "
				 "makes it certain",
				 w->goroutines->leaks.passes, w->goroutines->leaks.passes);
}

/* Passes over a busy machine may all miss a move: few of many that live are a suspicion. */
static enum severity severity_of(const struct window *w, const struct verdict *v)
{
	uint64_t live = 0;

	if (w->goroutines->leaks.verdict == LEAKS_VERDICT_PROVEN)
		return v->grown ? SEVERITY_CRITICAL : SEVERITY_HIGH;
	for (int i = 0; i < w->goroutines->nsite; i++)
		if (place_equal(&w->goroutines->site[i].place, &v->most->place))
			live = w->goroutines->site[i].live;
	return !v->grown && live >= FEW_OF_MANY * v->count ? SEVERITY_LOW : SEVERITY_MEDIUM;
}

static void add_verdict(const struct window *w, const struct leak_row *row, struct findings *out)
{
	struct verdict v = verdict_on(w, row);
	bool proven = w->goroutines->leaks.verdict == LEAKS_VERDICT_PROVEN;
	const struct place *line[WINDOW_MAX_STACK],
		*handler = goroutine_handler_in(line,
						stack_lines(&w->goroutines->leaks.stacks,
							    v.most->stack, line, WINDOW_MAX_STACK));
	bool one = v.most->count == v.count;
	struct finding *f = findings_add(out, "goroutine-leak", "leak", severity_of(w, &v),
					 handler && one ? handler : &row->place);
	char count[HUMAN_MAX], place[WORDS_PLACE_MAX], rate[HUMAN_MAX];

	if (!f)
		return;
	if (v.count == 1 && row->place.function && !strcmp(row->place.function, "runtime.main"))
		finding_title(f, "the main goroutine can never run again");
	else
		finding_title(f, "%s %s %s can never run again%s%s%s",
			      human_counted(v.count, handler ? "request" : "goroutine", count),
			      handler && one ? "in handler" : "created at",
			      words_place(f->place.function ? &f->place : &row->place, place,
					  sizeof(place)),
			      v.grown ? ", and " : "",
			      v.grown ? human_rate(v.per_minute, rate) : "",
			      v.grown ? " more come every minute" : "");
	finding_count(f, "count", v.count);
	if (w->goroutines->leaks.before_known)
		finding_number(f, "per_minute", v.per_minute);
	if (v.age != AGE_UNKNOWN)
		finding_number(f, "oldest_s", v.oldest_s);
	evidence_verdict(f, w, &v);
	finding_advice(f, "%s", advice_for(v.most->reason));
	f->exactness = proven ? EXACT : ESTIMATED;
	f->since_s = v.age != AGE_UNKNOWN ? v.oldest_s : -1;
	f->weight = (double)v.count + v.per_minute;
}

/* A row before this one has the same place. */
static bool is_repeated(const struct leaks_window *l, int row)
{
	for (int i = 0; i < row; i++)
		if (!l->row[i].by_design && same_site(&l->row[i], &l->row[row]))
			return true;
	return false;
}

static void judge(const struct window *w, struct findings *out)
{
	struct leak_signs signs;

	for (int i = 0; i < w->goroutines->leaks.nrow && i < FINDINGS_MAX; i++)
		if (!w->goroutines->leaks.row[i].by_design &&
		    !is_repeated(&w->goroutines->leaks, i) &&
		    !w->goroutines->leaks.row[i].explained)
			add_verdict(w, &w->goroutines->leaks.row[i], out);
	for (int i = 0; i < w->goroutines->nsite; i++)
		if (goroutine_leak_suspected(w, &w->goroutines->site[i], &signs) &&
		    !goroutine_leaked_at(w, &w->goroutines->site[i].place))
			add_finding(w, &w->goroutines->site[i], &signs, out);
}

const struct detector goroutine_leak_detector = {
	.name = "goroutine-leak",
	.sensors = SENSOR_BIT(SENSOR_GOROUTINES),
	.judge = judge,
};
