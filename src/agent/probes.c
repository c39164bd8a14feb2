/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/probes.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/view_build.h"
#include "base/clock.h"

#define ANSWER_MAX (1u << 20)
#define ARMING_NS  (90 * NS_PER_S) /* on a busy machine; and for the report */
#define END_NS     NS_PER_S        /* for all to end */
#define YOUNG_NS   NS_PER_S        /* never younger */
#define AGAIN_NS   (60 * NS_PER_S) /* after a failure; twice as long after the next, … */
#define FAILURES   5               /* … until so many */
#define GROWTH_NS  (60 * NS_PER_S) /* growth is measured over so long, or more */
#define CPU_PCT    10              /* of one CPU: it is busy */

static const char *const suspicion_word[SUSPICIONS] = {
	[SUSPECT_NOT] = "",
	[SUSPECT_CPU] = "cpu",
	[SUSPECT_REQUESTS] = "requests-grow",
	[SUSPECT_GOROUTINES] = "goroutines-grow",
	[SUSPECT_FINDINGS] = "findings",
	[SUSPECT_CONFIGURED] = "configured",
};

/* A window under way. */
struct slot {
	int fd;       /* -1: none */
	uint64_t key; /* of the process; 0: it is gone, or unwanted */
	pid_t pid;
	const struct analysis *file; /* only compared */
	uint64_t end_ns;             /* it has failed when it is not over by then */
	uint64_t since_real_ns;      /* armed; 0: not yet */
	enum suspicion suspicion;
	struct probe_ask ask;
	struct probed_begin begin; /* of since_real_ns */
	struct buf got;
};

struct probes {
	int epoll_fd;
	struct life *life; /* borrowed */
	struct slot slot[PROBES_MOST];
	uint64_t failures[PROBED_OUTCOMES], windows, cpu_ns;
};

struct probes *probes_new(int epoll_fd, struct life *life)
{
	struct probes *p = calloc(1, sizeof(*p));

	for (int i = 0; p && i < PROBES_MOST; i++)
		p->slot[i].fd = -1;
	if (p) {
		p->epoll_fd = epoll_fd;
		p->life = life;
	}
	return p;
}

void probing_deinit(struct probing *g)
{
	free(g->why);
	probed_sums_put(g->sums);
	memset(g, 0, sizeof(*g));
}

/* --- windows ----------------------------------------------------------------------- */

static void stop(struct slot *s)
{
	if (s->fd >= 0)
		shutdown(s->fd, SHUT_WR);
}

static void close_slot(struct slot *s)
{
	close(s->fd); /* leaves the epoll, too */
	buf_deinit(&s->got);
	memset(s, 0, sizeof(*s));
	s->fd = -1;
}

void probes_leave(struct probes *p, uint64_t key)
{
	for (int i = 0; i < PROBES_MOST; i++)
		if (p->slot[i].fd >= 0 && p->slot[i].key == key) {
			p->slot[i].key = 0;
			stop(&p->slot[i]);
		}
}

/* Until all have ended, so that nothing is armed any more. */
static void wait_for_ends(struct probes *p)
{
	uint64_t end = clock_mono_ns() + END_NS;
	char bytes[4096];

	for (int i = 0; i < PROBES_MOST; i++) {
		struct pollfd f = { .fd = p->slot[i].fd, .events = POLLIN };

		while (f.fd >= 0) {
			uint64_t now = clock_mono_ns();
			int left = now < end ? (int)((end - now) / NS_PER_MS) + 1 : 0;

			if (poll(&f, 1, left) <= 0 || recv(f.fd, bytes, sizeof(bytes), 0) <= 0)
				f.fd = -1;
		}
	}
}

void probes_free(struct probes *p)
{
	if (!p)
		return;
	for (int i = 0; i < PROBES_MOST; i++)
		stop(&p->slot[i]);
	wait_for_ends(p);
	for (int i = 0; i < PROBES_MOST; i++)
		if (p->slot[i].fd >= 0)
			close_slot(&p->slot[i]);
	free(p);
}

static struct entry *by_key(const struct entries *all, const struct slot *s)
{
	struct entry *e = s->key ? entries_find(all, s->pid) : NULL;

	return e && e->key == s->key ? e : NULL;
}

/* It could not be: later again, and later each time. */
static void failed(struct probes *p, struct entry *e, enum probed_outcome o, const char *why)
{
	struct probing *g = &e->probing;
	uint64_t pause;

	p->failures[o]++;
	pause = AGAIN_NS << (g->failures < FAILURES ? g->failures : FAILURES);
	g->failures++;
	g->not_before_ns = clock_mono_ns() + pause;
	free(g->why);
	g->why = strdup(why);
}

static void learn(struct probes *p, struct entry *e, const struct probed *w)
{
	struct probing *g = &e->probing;
	struct probed_sums *sums = probed_add(g->sums, w);
	const struct life_walk lw = {
		.key = e->key,
		.pid = e->pid,
		.who = &e->target->who->id,
		.findings = &w->findings,
		.real_ns = w->end_real_ns,
		/* of a part of the window absence says nothing */
		.paused = w->paused || w->window_ns < w->asked_ns / 2,
		.probed = true,
	};

	p->windows++;
	p->cpu_ns += w->cpu_ns;
	if (sums) {
		probed_sums_put(g->sums);
		g->sums = sums;
	}
	g->failures = 0;
	free(g->why);
	g->why = NULL;
	life_judge(p->life, &lw);
}

/* All has come of a window. */
static void over(struct probes *p, struct slot *s, const struct entries *all)
{
	struct entry *e = by_key(all, s);
	size_t at = sizeof(struct probed_begin);
	struct probed w;
	int r = -EBADMSG;

	if (e && e->target) {
		e->probing.ended_ns = clock_mono_ns();
		if (s->since_real_ns)
			r = probed_read(&w, s->got.data + at, s->got.len - at);
		if (!r)
			learn(p, e, &w);
		else if (s->since_real_ns || s->begin.outcome == PROBED_ARMED)
			failed(p, e, PROBED_FAILED, "who probes has ended before the window did");
		else
			failed(p, e, s->begin.outcome, s->begin.why);
		if (!r)
			probed_deinit(&w);
	}
	close_slot(s);
}

/* The beginning is there. */
static void begun(struct slot *s)
{
	memcpy(&s->begin, s->got.data, sizeof(s->begin));
	s->begin.why[sizeof(s->begin.why) - 1] = '\0';
	if (s->begin.outcome >= PROBED_OUTCOMES)
		s->begin.outcome = PROBED_FAILED;
	if (s->begin.outcome == PROBED_ARMED)
		s->since_real_ns = clock_real_ns();
}

bool probes_is_event(uint64_t event)
{
	return event <= PROBES_EVENT && event > PROBES_EVENT - PROBES_MOST;
}

bool probes_take(struct probes *p, uint64_t event, const struct entries *all)
{
	struct slot *s = &p->slot[PROBES_EVENT - event];
	bool there = s->got.len >= sizeof(s->begin);
	char bytes[65536];
	ssize_t n = s->fd >= 0 ? recv(s->fd, bytes, sizeof(bytes), 0) : -EAGAIN;

	if (s->fd < 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return false;
	if (n > 0)
		buf_add(&s->got, bytes, (size_t)n);
	if (!there && s->got.len >= sizeof(s->begin))
		begun(s);
	if (n > 0 && !s->got.err)
		return false;
	over(p, s, all);
	return true;
}

/* --- whose turn it is ----------------------------------------------------------------- */

static uint64_t requests_of(const struct entry *e)
{
	const struct walk *w = e->target->walk;
	const struct net_window *n = w ? w->report.window.net : NULL;

	return n && n->known ? n->in_flight_total : 0;
}

/* A fifth more, and ten. */
static bool grew(uint64_t now, uint64_t then)
{
	return now > then + then / 5 + 10;
}

static enum suspicion by_totals(const struct entry *e, uint64_t now)
{
	const struct probing *g = &e->probing;
	const struct view_totals *t = &e->target->totals;
	uint64_t passed = now - g->base_ns;

	if (!g->base_ns || passed < NS_PER_S)
		return SUSPECT_NOT;
	if (t->has_live && grew(t->live, g->base_live))
		return SUSPECT_GOROUTINES;
	if (grew(requests_of(e), g->base_requests))
		return SUSPECT_REQUESTS;
	if (t->has_cpu && t->cpu_ns > g->base_cpu_ns &&
	    (t->cpu_ns - g->base_cpu_ns) * 100 > passed * CPU_PCT)
		return SUSPECT_CPU;
	return SUSPECT_NOT;
}

void probes_note(struct entry *e, struct life *life)
{
	struct probing *g = &e->probing;
	uint64_t now = clock_mono_ns();
	int probed;

	if (g->when == PROBE_ALWAYS)
		g->suspicion = SUSPECT_CONFIGURED;
	else if (life_open(life, e->key, &probed))
		g->suspicion = SUSPECT_FINDINGS;
	else
		g->suspicion = by_totals(e, now);
	if (g->base_ns && now - g->base_ns < GROWTH_NS)
		return;
	g->base_ns = now;
	g->base_live = e->target->totals.live;
	g->base_cpu_ns = e->target->totals.cpu_ns;
	g->base_requests = requests_of(e);
}

/* Findings that only probes can close are not left open for long. */
static uint64_t rest_ns(const struct probes *p, const struct entry *e,
			const struct agent_config *cfg)
{
	int probed;

	life_open(p->life, e->key, &probed);
	return e->probing.when == PROBE_ALWAYS                    ? 0
	       : probed && 2 * cfg->probe_ns < cfg->probe_rest_ns ? 2 * cfg->probe_ns
								  : cfg->probe_rest_ns;
}

static bool is_busy(const struct probes *p, const struct entry *e)
{
	for (int i = 0; i < PROBES_MOST; i++)
		if (p->slot[i].fd >= 0 &&
		    (p->slot[i].pid == e->pid || p->slot[i].file == e->analysis))
			return true;
	return false;
}

static bool is_wanted(const struct entry *e, const struct agent_config *cfg)
{
	return e && e->target && e->most >= DEPTH_WALK && e->probing.when != PROBE_NEVER &&
	       cfg->probe && cfg->probes_at_once;
}

static bool may_be_probed(const struct probes *p, const struct entry *e,
			  const struct agent_config *cfg, uint64_t now)
{
	const struct probing *g = &e->probing;
	uint64_t young = cfg->young_ns > YOUNG_NS ? cfg->young_ns : YOUNG_NS;

	return is_wanted(e, cfg) && g->suspicion && now >= g->not_before_ns &&
	       (!g->ended_ns || now >= g->ended_ns + rest_ns(p, e, cfg)) && !is_busy(p, e) &&
	       clock_real_ns() >= e->target->proc.start_real_ns + young;
}

/* Who has waited long, the longer the more suspicious: so each has its turn. */
static struct entry *next(const struct probes *p, const struct entries *all,
			  const struct agent_config *cfg)
{
	uint64_t now = clock_mono_ns(), most = 0;
	struct entry *best = NULL;

	for (size_t i = 0; i < all->n; i++) {
		struct entry *e = all->e[i];
		const struct probing *g = &e->probing;
		uint64_t waits;

		if (!may_be_probed(p, e, cfg, now))
			continue;
		waits = (now - (g->ended_ns ? g->ended_ns : g->known_ns) + NS_PER_S) *
			(uint64_t)g->suspicion;
		if (waits > most) {
			most = waits;
			best = e;
		}
	}
	return best;
}

static int begin(struct probes *p, int at, struct entry *e, const struct agent_config *cfg)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = PROBES_EVENT - (uint64_t)at };
	struct slot *s = &p->slot[at];

	memset(s, 0, sizeof(*s));
	s->ask = (struct probe_ask){ .pid = e->pid,
				     .start_ticks = e->target->proc.start_ticks,
				     .time_ns = cfg->probe_ns };
	s->fd = cfg->probe(cfg->probe_arg, &s->ask);
	if (s->fd < 0) {
		int r = s->fd;

		s->fd = -1;
		failed(p, e, PROBED_FAILED, "who probes cannot be asked");
		return r;
	}
	s->key = e->key;
	s->pid = e->pid;
	s->file = e->analysis;
	s->suspicion = e->probing.suspicion;
	s->end_ns = clock_mono_ns() + cfg->probe_ns + ARMING_NS;
	buf_init(&s->got, ANSWER_MAX);
	epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev);
	return 0;
}

/* What is not wanted any more, as by another configuration or name.  One that does not end is left: it
 * ends when it sees that nobody reads. */
static void end_some(struct probes *p, const struct entries *all, const struct agent_config *cfg)
{
	uint64_t now = clock_mono_ns();

	for (int i = 0; i < PROBES_MOST; i++) {
		struct slot *s = &p->slot[i];

		if (s->fd >= 0 && s->key && !is_wanted(by_key(all, s), cfg))
			probes_leave(p, s->key);
		if (s->fd >= 0 && now >= s->end_ns)
			over(p, s, all);
	}
}

static uint32_t under_way(const struct probes *p)
{
	uint32_t n = 0;

	for (int i = 0; i < PROBES_MOST; i++)
		n += p->slot[i].fd >= 0;
	return n;
}

void probes_turn(struct probes *p, const struct entries *all, const struct agent_config *cfg)
{
	end_some(p, all, cfg);
	while (cfg->probe && under_way(p) < cfg->probes_at_once) {
		struct entry *e = next(p, all, cfg);
		int at = 0;

		while (at < PROBES_MOST && p->slot[at].fd >= 0)
			at++;
		if (!e || at == PROBES_MOST || begin(p, at, e, cfg))
			break;
	}
}

uint64_t probes_due_ns(const struct probes *p)
{
	uint64_t due = UINT64_MAX;

	for (int i = 0; i < PROBES_MOST; i++)
		if (p->slot[i].fd >= 0 && p->slot[i].end_ns < due)
			due = p->slot[i].end_ns;
	return due;
}

/* --- views ----------------------------------------------------------------------------- */

static const char *why_not(const struct entry *e, const struct agent_config *cfg)
{
	const struct probing *g = &e->probing;

	if (!cfg->probe || !cfg->probes_at_once)
		return ""; /* of all of them: view.self says why */
	if (g->when == PROBE_NEVER || e->most < DEPTH_WALK)
		return "configured";
	return g->suspicion ? "waits for its turn" : "nothing is suspicious";
}

void probes_fill(const struct probes *p, const struct entry *e, const struct agent_config *cfg,
		 struct view *v)
{
	struct view_process *to = view_last(v);
	const struct probing *g = &e->probing;

	if (!e->target)
		return;
	to->has_probes = true;
	to->probes_why = why_not(e, cfg);
	if (g->why && cfg->probe && cfg->probes_at_once)
		to->probes_why = view_text(v, g->why);
	if (g->sums && !view_hold(v, probed_sums_get(g->sums), probed_sums_put))
		to->probed = g->sums;
	for (int i = 0; i < PROBES_MOST; i++) {
		const struct slot *s = &p->slot[i];

		if (s->fd < 0 || s->key != e->key || !s->since_real_ns)
			continue;
		to->depth = DEPTH_PROBES;
		to->probes = s->begin.probes;
		to->probes_since_real_ns = s->since_real_ns;
		to->probes_why = suspicion_word[s->suspicion];
	}
}

void probes_fill_self(const struct probes *p, struct view_self *s)
{
	memcpy(s->probe_failures, p->failures, sizeof(s->probe_failures));
	s->looks[DEPTH_PROBES] = p->windows;
	s->look_ns[DEPTH_PROBES] = p->cpu_ns;
	s->probes_rss_bytes = 0;
	for (int i = 0; i < PROBES_MOST; i++)
		if (p->slot[i].fd >= 0 && p->slot[i].since_real_ns) {
			s->probes_rss_bytes += p->slot[i].begin.rss_bytes;
			s->bpf_bytes += p->slot[i].begin.bpf_bytes;
		}
}
