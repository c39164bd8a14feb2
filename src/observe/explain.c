/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which finding explains which: with explain_rows.c the one place that knows
 * several subjects.  Of two findings one may be the cause of the other (the table
 * at the end): that one names it then, or is left out for it.
 */
#include "observe/detect.h"
#include "sql/subject.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "base/vec.h"
#include "goroutines/growth.h"
#include "model/place.h"
#include "model/words.h"
#include "net/subject.h"

/* ---- of two findings, which is the cause ---- */

#define MOST_PCT 80 /* of a site's goroutines that are accounted for */

static bool is_dial(int phase)
{
	return phase == NET_DNS || phase == NET_CONNECT || phase == NET_TLS;
}

static bool same_host(const struct finding *a, const struct finding *b)
{
	return a->about.host && b->about.host && !strcmp(a->about.host, b->about.host);
}

/* In that phase, of that host; the resolver's is about all hosts. */
static bool is_at(const struct finding *f, const char *host, int phase)
{
	return f->about.phase >= 0 && f->about.phase == phase && *host &&
	       (!f->about.host || !strcmp(f->about.host, host));
}

static double number_of(const struct finding *f, const char *name)
{
	for (int i = 0; i < f->nnumber; i++)
		if (!strcmp(f->number[i].name, name))
			return f->number[i].value;
	return 0;
}

/* Bodies that nobody closes hold half of the connections a host may have, and others wait for one. */
static bool bodies_hold_slots(const struct window *w, const struct finding *cause,
			      const struct finding *effect)
{
	const struct net_body_row *body = cause->about.row;

	if (!same_host(cause, effect) || effect->about.phase != NET_POOL_WAIT)
		return false;
	for (int i = 0; i < w->net->nconnection; i++) {
		const struct net_connections *c = &w->net->connection[i];

		if (!c->other && c->max_per_host > 0 && !strcmp(c->host, body->host))
			return body->count * 2 >= (uint64_t)c->max_per_host;
	}
	return false;
}

/* Connections that are being made count, too. */
static bool dials_hold_slots(const struct window *w, const struct finding *cause,
			     const struct finding *effect)
{
	(void)w;
	return effect->about.phase == NET_POOL_WAIT && effect->about.host &&
	       is_dial(cause->about.phase) && is_at(cause, effect->about.host, cause->about.phase);
}

static bool hang_there(const struct window *w, const struct finding *cause,
		       const struct finding *effect)
{
	(void)w;
	return effect->about.host && is_at(cause, effect->about.host, effect->about.phase);
}

/* The same requests: that they are stuck there is said of those that hang. */
static bool are_those_that_hang(const struct window *w, const struct finding *cause,
				const struct finding *effect)
{
	(void)w;
	return same_host(cause, effect) && cause->about.phase == effect->about.phase &&
	       place_equal(&cause->place, &effect->place) && !number_of(effect, "count") &&
	       !number_of(effect, "dials") &&
	       number_of(effect, "in_flight") <= number_of(cause, "hanging");
}

/* As many calls are on dead connections to that host. */
static bool are_on_dead(const struct window *w, const struct finding *cause,
			const struct finding *effect)
{
	double n = number_of(effect, "hanging");

	(void)w;
	return same_host(cause, effect) && effect->about.phase >= NET_REQUEST_WRITE &&
	       number_of(cause, "streams") >= (n > 0 ? n : number_of(effect, "in_flight"));
}

/* A request that gave up during its dial is seen to end in no phase. */
static bool gave_up_there(const struct window *w, const struct finding *cause,
			  const struct finding *effect)
{
	(void)w;
	return same_host(cause, effect) && is_dial(cause->about.phase) && effect->about.phase < 0;
}

/* Whether the goroutine is in the call that a finding is about. */
static bool is_in_call(const struct window *w, const struct finding *f, uint64_t goid)
{
	const struct net_request *r = w->net->in_flight;

	for (int i = 0; goid && w->net->known && i < w->net->nin_flight; i++) {
		if (r[i].goroutine != goid)
			continue;
		return f->about.phase >= 0 && strcmp(f->kind, "no-timeout")
			       ? is_at(f, r[i].host, r[i].phase)
			       : place_equal(&r[i].place, &f->place);
	}
	return false;
}

static bool holder_is_in_call(const struct window *w, const struct finding *cause,
			      const struct finding *effect)
{
	const struct sql_holder *h = effect->about.row;

	return h && is_in_call(w, cause, h->goroutine);
}

static bool locker_is_in_call(const struct window *w, const struct finding *cause,
			      const struct finding *effect)
{
	const struct lock_wait_row *r = effect->about.row;

	return r && is_in_call(w, cause, r->holder);
}

static bool locker_waits_for_pool(const struct window *w, const struct finding *cause,
				  const struct finding *effect)
{
	const struct lock_wait_row *r = effect->about.row;
	const struct sql_pool *p = cause->about.row;

	(void)w;
	return r && p && r->holder && place_equal(&r->holder_at, &p->waits_at);
}

/* Half of what a pool has in use is held so, at that place; what: enum sql_holding. */
static bool hold_pool(const struct finding *cause, const struct sql_pool *p, enum sql_holding what)
{
	uint64_t held = 0;

	for (int i = 0; i < p->nholder; i++)
		if (p->holder[i].what == what && sql_holder_is_of(&p->holder[i], &cause->place))
			held += p->holder[i].count;
	if (what == SQL_TRANSACTION && !cause->place.function)
		held = p->transactions_open;
	return held * 2 >= p->in_use;
}

static bool transactions_hold_pool(const struct window *w, const struct finding *cause,
				   const struct finding *effect)
{
	(void)w;
	return hold_pool(cause, effect->about.row, SQL_TRANSACTION);
}

static bool rows_hold_pool(const struct window *w, const struct finding *cause,
			   const struct finding *effect)
{
	(void)w;
	return hold_pool(cause, effect->about.row, SQL_ROWS);
}

/* What waits for the transaction's end, which does not come. */
static bool awaits_transaction(const struct window *w, const struct finding *cause,
			       const struct finding *effect)
{
	(void)w;
	(void)cause;
	return effect->place.function &&
	       !strcmp(effect->place.function, "database/sql.(*DB).beginDC");
}

static bool is_member(const struct window *w, const struct finding *deadlock, uint64_t goid)
{
	const struct deadlocks_window *d = &w->goroutines->deadlocks;

	for (int i = 0; goid && i < d->ndeadlock; i++) {
		const struct deadlock_member *m = &d->member[d->deadlock[i].first];
		bool has_it = false, is_this = false;

		for (uint32_t k = 0; k < d->deadlock[i].n; k++) {
			has_it |= m[k].goid == goid;
			is_this |= place_equal(&m[k].at, &deadlock->place);
		}
		if (has_it && is_this)
			return true;
	}
	return false;
}

static bool holder_is_deadlocked(const struct window *w, const struct finding *cause,
				 const struct finding *effect)
{
	const struct sql_holder *h = effect->about.row;

	return h && is_member(w, cause, h->goroutine);
}

static bool pool_is_deadlocked(const struct window *w, const struct finding *cause,
			       const struct finding *effect)
{
	const struct sql_pool *p = effect->about.row;
	uint64_t held = 0;

	for (int i = 0; i < p->nholder; i++)
		if (is_member(w, cause, p->holder[i].goroutine))
			held += p->holder[i].count;
	return held && held * 2 >= p->in_use;
}

/* It is the loop that keeps the lock. */
static bool locker_loops(const struct window *w, const struct finding *cause,
			 const struct finding *effect)
{
	const struct lock_wait_row *r = effect->about.row;
	const struct cpu_goroutine *g = cause->about.row;

	(void)w;
	return r && g && g->lock_waiters && r->holder == g->goid;
}

/* The same goroutine's, or where it loops. */
static bool is_that_loop(const struct window *w, const struct finding *cause,
			 const struct finding *effect)
{
	const struct cpu_goroutine *g = cause->about.row;

	(void)w;
	return g && (effect->about.row == g || (effect->place.function && g->at.function &&
						!strcmp(effect->place.function, g->at.function)));
}

/* Its bytes are what the collector runs for. */
static bool drives_gc(const struct window *w, const struct finding *cause,
		      const struct finding *effect)
{
	const struct alloc_row *behind = effect->about.row;

	(void)w;
	for (int i = 0; behind && i < behind->nstack; i++)
		if (place_equal(&behind->stack[i], &cause->place))
			return true;
	return behind && place_equal(&behind->place, &cause->place);
}

/* ---- goroutines that pile up in what is found already ---- */

static bool stands_at(const struct wait_row *wait, const struct place *p)
{
	for (int i = 0; i < wait->nstack; i++)
		if (place_equal(&wait->stack[i], p))
			return true;
	return false;
}

static bool is_about(const struct finding *f, const struct site_row *s)
{
	const struct place *stuck = goroutine_site_handler(s),
			   *most = goroutine_wait_handler(goroutine_site_wait(s, WAIT_ANY));

	return place_equal(&s->place, &f->place) || (stuck && place_equal(stuck, &f->place)) ||
	       (most && place_equal(most, &f->place));
}

static const struct site_row *site_of(const struct window *w, const struct finding *f)
{
	for (int i = 0; i < w->goroutines->nsite; i++)
		if (!w->goroutines->site[i].other && is_about(f, &w->goroutines->site[i]))
			return &w->goroutines->site[i];
	return NULL;
}

/* What nobody can wake is another matter than a call that takes long. */
static bool sit_at(const struct window *w, const struct finding *effect, const struct place *p)
{
	const struct site_row *s = p->function ? site_of(w, effect) : NULL;
	uint64_t there = 0;

	if (!s || goroutine_leaked_at(w, &s->place))
		return false;
	for (int i = 0; i < s->nwait; i++)
		there += stands_at(&s->wait[i], p) ? s->wait[i].count : 0;
	return there && there * 100 >= s->live * MOST_PCT;
}

static bool sit_in_call(const struct window *w, const struct finding *cause,
			const struct finding *effect)
{
	return sit_at(w, effect, &cause->place);
}

static bool sit_in_pool(const struct window *w, const struct finding *cause,
			const struct finding *effect)
{
	const struct sql_pool *p = cause->about.row;

	return sit_at(w, effect, &p->waits_at);
}

/* Client and server in one process: as many calls are served as streams are open that nobody ends. */
static bool streams_hold_handlers(const struct window *w, const struct finding *cause,
				  const struct finding *effect)
{
	static const char streams[] = "google.golang.org/grpc.newClientStream",
			  server[] = "google.golang.org/grpc.(*Server).";
	const struct site_row *s = site_of(w, effect);
	double n = number_of(cause, "count");

	return s && cause->place.function &&
	       !strncmp(cause->place.function, streams, sizeof(streams) - 1) &&
	       !strncmp(s->place.function, server, sizeof(server) - 1) &&
	       n * 100 >= (double)s->live * MOST_PCT;
}

static bool serve_who_sends_nothing(const struct window *w, const struct finding *cause,
				    const struct finding *effect)
{
	const struct site_row *s = site_of(w, effect);

	return s && !strcmp(s->place.function, "net/http.(*Server).Serve") &&
	       number_of(cause, "hanging") * 100 >= (double)s->live * MOST_PCT;
}

/* The function that keeps the memory is one that they are in. */
static bool memory_is_theirs(const struct window *w, const struct finding *cause,
			     const struct finding *effect)
{
	const struct site_row *s = site_of(w, cause);
	const char *function = effect->place.function;
	uint64_t there = 0;

	for (int i = 0; s && function && i < s->nwait; i++)
		for (int k = 0; k < s->wait[i].nstack; k++)
			if (s->wait[i].stack[k].function &&
			    !strcmp(s->wait[i].stack[k].function, function)) {
				there += s->wait[i].count;
				break;
			}
	return there && there * 100 >= s->live * MOST_PCT;
}

/* ---- the table: which kind is the cause of which, and when ---- */

enum link_how {
	LINK, /* the effect names its cause */
	SAME, /* the effect is left out: the cause says all of it */
	FOLD  /* likewise, and the cause says how many goroutines there are */
};

static const struct link {
	const char *cause, *effect;
	enum link_how how;
	bool (*holds)(const struct window *w, const struct finding *cause,
		      const struct finding *effect);
} links[] = {
	{ "connection-leak", "slow-phase", LINK, bodies_hold_slots },
	{ "failing-phase", "slow-phase", LINK, dials_hold_slots },
	{ "slow-phase", "failing-phase", LINK, gave_up_there },
	{ "goroutine-leak", "goroutine-flood", LINK, streams_hold_handlers },
	{ "lost-slot", "no-timeout", LINK, hang_there },
	{ "dead-connection", "no-timeout", LINK, are_on_dead },
	{ "dead-connection", "slow-phase", LINK, are_on_dead },
	{ "dead-connection", "failing-phase", LINK, are_on_dead },
	{ "slow-phase", "no-timeout", LINK, hang_there },
	{ "failing-phase", "no-timeout", LINK, hang_there },
	{ "deadlock", "pool-exhausted", LINK, pool_is_deadlocked },
	{ "deadlock", "transaction-open", LINK, holder_is_deadlocked },
	{ "deadlock", "rows-open", LINK, holder_is_deadlocked },
	{ "transaction-open", "pool-exhausted", LINK, transactions_hold_pool },
	{ "rows-open", "pool-exhausted", LINK, rows_hold_pool },
	{ "no-timeout", "transaction-open", LINK, holder_is_in_call },
	{ "slow-phase", "transaction-open", LINK, holder_is_in_call },
	{ "failing-phase", "transaction-open", LINK, holder_is_in_call },
	{ "no-timeout", "lock-contention", LINK, locker_is_in_call },
	{ "slow-phase", "lock-contention", LINK, locker_is_in_call },
	{ "failing-phase", "lock-contention", LINK, locker_is_in_call },
	{ "pool-exhausted", "lock-contention", LINK, locker_waits_for_pool },
	{ "endless-loop", "lock-contention", LINK, locker_loops },
	{ "large-allocation", "gc-pressure", LINK, drives_gc },
	{ "goroutine-leak", "memory-growth", LINK, memory_is_theirs },
	{ "goroutine-flood", "memory-growth", LINK, memory_is_theirs },
	{ "lost-slot", "slow-phase", SAME, hang_there },
	{ "lost-slot", "failing-phase", SAME, hang_there },
	{ "no-timeout", "slow-phase", SAME, are_those_that_hang },
	{ "endless-loop", "cpu-hot", SAME, is_that_loop },
	{ "no-timeout", "goroutine-flood", FOLD, sit_in_call },
	{ "no-timeout", "goroutine-leak", FOLD, sit_in_call },
	{ "slow-phase", "goroutine-flood", FOLD, sit_in_call },
	{ "slow-phase", "goroutine-leak", FOLD, sit_in_call },
	{ "failing-phase", "goroutine-flood", FOLD, sit_in_call },
	{ "failing-phase", "goroutine-leak", FOLD, sit_in_call },
	{ "pool-exhausted", "goroutine-flood", FOLD, sit_in_pool },
	{ "pool-exhausted", "goroutine-leak", FOLD, sit_in_pool },
	{ "transaction-open", "goroutine-flood", SAME, awaits_transaction },
	{ "transaction-open", "goroutine-leak", SAME, awaits_transaction },
	{ "server-no-timeout", "goroutine-flood", FOLD, serve_who_sends_nothing },
	{ "server-no-timeout", "goroutine-leak", FOLD, serve_who_sends_nothing },
};

static struct finding *cause_by(const struct window *w, const struct findings *fs,
				const struct link *l, const struct finding *effect)
{
	for (int i = 0; i < fs->n; i++)
		if (&fs->f[i] != effect && !strcmp(fs->f[i].kind, l->cause) &&
		    l->holds(w, &fs->f[i], effect))
			return &fs->f[i];
	return NULL;
}

/* The first of the table that holds. */
static struct finding *cause_of(const struct window *w, const struct findings *fs,
				const struct finding *effect, enum link_how how)
{
	struct finding *cause = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(links) && !cause; i++)
		if (links[i].how == how && !strcmp(links[i].effect, effect->kind))
			cause = cause_by(w, fs, &links[i], effect);
	return cause;
}

/* What the cause is about, in a few words. */
static const char *about(const struct finding *cause, char out[WORDS_PLACE_MAX])
{
	if (cause->about.host)
		return net_words_host(cause->about.host, out);
	if (cause->place.function)
		return words_place_short(&cause->place, out, WORDS_PLACE_MAX);
	return "this process";
}

static void name_cause(struct finding *effect, const struct finding *cause)
{
	char what[WORDS_PLACE_MAX > NET_WORDS_HOST ? WORDS_PLACE_MAX : NET_WORDS_HOST];

	snprintf(effect->caused_by, sizeof(effect->caused_by), "%s", cause->id);
	finding_evidence_first(effect, "because of the %s above: %s", cause->kind,
			       about(cause, what));
}

/* It is as bad as what it causes. */
static void take_in(struct finding *cause, const struct finding *effect)
{
	char place[WORDS_PLACE_MAX], n[HUMAN_MAX], rate[HUMAN_MAX];

	if (effect->severity > cause->severity)
		cause->severity = effect->severity;
	cause->weight += effect->weight;
	finding_evidence_first(cause,
			       "goroutines pile up in it: %s created at %s, %s more a minute",
			       human_count((uint64_t)number_of(effect, "count"), n),
			       words_place_short(&effect->place, place, sizeof(place)),
			       human_rate(number_of(effect, "per_minute"), rate));
}

static void leave_out(struct findings *fs, int at)
{
	fs->n--;
	memmove(&fs->f[at], &fs->f[at + 1], (size_t)(fs->n - at) * sizeof(*fs->f));
}

void explain_findings(const struct window *w, struct findings *fs)
{
	struct finding *cause;

	for (int i = 0; i < fs->n; i++)
		if (cause_of(w, fs, &fs->f[i], SAME))
			leave_out(fs, i--);
	for (int i = 0; i < fs->n; i++)
		if ((cause = cause_of(w, fs, &fs->f[i], FOLD))) {
			take_in(cause, &fs->f[i]);
			leave_out(fs, i--);
		}
	for (int i = 0; i < fs->n; i++)
		if ((cause = cause_of(w, fs, &fs->f[i], LINK)))
			name_cause(&fs->f[i], cause);
	findings_sort(fs);
}
