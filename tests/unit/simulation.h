/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small simulation of goroutines: each has a birth, an end, and times at which
 * it runs; looks are taken as the observer takes them (struct site_point).
 */
#ifndef GOSPECT_TESTS_SIMULATION_H
#define GOSPECT_TESTS_SIMULATION_H

#include <stdlib.h>
#include <string.h>

#include "observe/detect.h"
#include "parts.h"

#define NEVER 1e9
#define MIB   (1024 * 1024)

/* ---- the simulation ---- */

struct g {
	double born, ends;
	double period;     /* runs every so often, from birth; NEVER: not again */
	double busy_until; /* runs all the time until then */
	enum wait_class klass;
};

struct sim {
	struct g *g;
	int n, cap;
	uint32_t seed;
	struct window w;
	struct parts_by_hand parts;
	struct site_row site;
	struct site_point point[WINDOW_MAX_POINTS];
	struct wait_row wait[4];
};

static inline void sim_init(struct sim *m)
{
	memset(m, 0, sizeof(*m));
	m->seed = 1;
}

static inline void sim_deinit(struct sim *m)
{
	free(m->g);
}

static inline void add(struct sim *m, struct g g)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 256;
		m->g = realloc(m->g, (size_t)m->cap * sizeof(*m->g));
		assert_non_null(m->g);
	}
	m->g[m->n++] = g;
}

static inline double uniform(struct sim *m)
{
	m->seed = m->seed * 1664525u + 1013904223u;
	return (double)(m->seed >> 8) / (1 << 24);
}

/* From `from` to `to`, evenly, `rate` a second, each living `life_s`. */
static inline void flow(struct sim *m, double from, double to, double rate, double life_s,
			double period, enum wait_class klass)
{
	for (double t = from; t < to; t += 1 / rate)
		add(m, (struct g){ t, t + life_s, period, 0, klass });
}

/* The same at random times and with random lives, half to one and a half. */
static inline void random_flow(struct sim *m, double from, double to, double rate, double life_s,
			       enum wait_class klass)
{
	for (double t = from; t < to; t += 2 * uniform(m) / rate)
		add(m, (struct g){ t, t + life_s * (0.5 + uniform(m)), NEVER, 0, klass });
}

static inline bool alive(const struct g *g, double t)
{
	return g->born <= t && t < g->ends;
}

static inline bool ran(const struct g *g, double before, double now)
{
	if (g->busy_until > before)
		return true;
	return g->period < NEVER &&
	       (int64_t)((now - g->born) / g->period) > (int64_t)((before - g->born) / g->period);
}

static inline bool is_stuck(const struct g *g, double before, double now)
{
	return alive(g, before) && alive(g, now) && g->klass == WAIT_BLOCKED &&
	       !ran(g, before, now);
}

/* As the observer does it: what flowed through a dropped point goes to the next. */
static inline void thin(struct site_row *s)
{
	uint64_t left = 0, did_run = 0;
	int n = 0;

	for (int i = 0; i < s->npoint; i++) {
		struct site_point p = s->point[i];

		p.stuck_left += left;
		p.ran += did_run;
		left = did_run = 0;
		if (i % 2 && i != s->npoint - 1) {
			left = p.stuck_left;
			did_run = p.ran;
			continue;
		}
		s->point[n++] = p;
	}
	s->npoint = n;
}

static inline struct site_point look(const struct sim *m, double before2, double before, double now,
				     bool first)
{
	struct site_point p = { .t_s = now };

	for (int i = 0; i < m->n; i++) {
		const struct g *g = &m->g[i];

		p.live += alive(g, now);
		if (first)
			continue;
		p.stuck += is_stuck(g, before, now);
		p.ran += alive(g, before) && alive(g, now) && ran(g, before, now);
		p.stuck_left +=
			before2 >= 0 && is_stuck(g, before2, before) && !is_stuck(g, before, now);
	}
	return p;
}

static inline void fill_waits(struct sim *m, double end)
{
	static const char *const reason[] = { "running", "chan receive", "IO wait", "sleep",
					      "finalizer wait" };
	struct site_row *s = &m->site;

	for (int k = WAIT_NOT; k <= WAIT_OTHER; k++) {
		struct wait_row w = { .reason = reason[k],
				      .klass = (enum wait_class)k,
				      .user = -1 };

		for (int i = 0; i < m->n; i++)
			w.count += alive(&m->g[i], end) && m->g[i].klass == (enum wait_class)k;
		if (!w.count)
			continue;
		w.nstack = 2;
		w.user = 1;
		w.stack[0] = (struct place){ "runtime.gopark", "proc.go", NULL, 435 };
		w.stack[1] = (struct place){ "main.worker", "notify.go", NULL, 57 };
		m->wait[s->nwait++] = w;
	}
	s->wait = m->wait;
}

/* Looks from 0 to `end` every `step`; the window is the last `window_s`. */
static inline void observe(struct sim *m, double end, double step, double window_s)
{
	struct site_row *s = &m->site;
	double before = 0, before2 = -1, start = end - window_s;

	s->place = (struct place){ "main.(*Shop).notify", "notify.go", NULL, 41 };
	s->start = "main.(*Shop).notify.func1";
	s->point = m->point;
	for (double t = 0; t < end + step / 2; t += step) {
		if (s->npoint == WINDOW_MAX_POINTS)
			thin(s);
		s->point[s->npoint++] = look(m, before2, before, t, t == 0);
		before2 = t == 0 ? -1 : before;
		before = t;
	}
	for (int i = 0; i < m->n; i++) {
		const struct g *g = &m->g[i];

		s->live += alive(g, end);
		s->live_at_start += alive(g, start);
		s->births += g->born > start && g->born <= end;
		s->deaths += g->ends > start && g->ends <= end;
		s->stuck_window += is_stuck(g, start, end);
	}
	s->births_known = true;
	s->oldest_s = end;
	s->age = AGE_AT_LEAST;
	fill_waits(m, end);
	parts_use(&m->parts, &m->w);
	m->w.window_s = window_s;
	m->w.observed_s = end;
	m->w.ncoverage = 1;
	m->w.coverage[0] = (struct coverage){ .sensor = SENSOR_GOROUTINES, .state = EXACT };
	m->parts.goroutines = (struct goroutines_window){
		.known = true,
		.births_known = true,
		.live = s->live,
		.site = s,
		.nsite = 1,
	};
}

/* ---- what is found ---- */

static inline int count_kind(const struct findings *fs, const char *kind)
{
	int n = 0;

	for (int i = 0; i < fs->n; i++)
		n += !strcmp(fs->f[i].kind, kind);
	return n;
}

static inline const struct finding *only_finding(const struct findings *fs, const char *kind)
{
	assert_int_equal(fs->n, 1);
	assert_string_equal(fs->f[0].kind, kind);
	return &fs->f[0];
}

static inline double number(const struct finding *f, const char *name)
{
	for (int i = 0; i < f->nnumber; i++)
		if (!strcmp(f->number[i].name, name))
			return f->number[i].value;
	fail_msg("no number '%s'", name);
	return 0;
}

static inline void expect_nothing(struct sim *m)
{
	struct findings fs;

	fs = (struct findings){ 0 };
	detect_all(&m->w, &fs);
	if (fs.n)
		fail_msg("found '%s'", fs.f[0].title);
	findings_deinit(&fs);
	sim_deinit(m);
}

static inline void expect_kind(struct sim *m, const char *kind, double least, double most,
			       double per_minute)
{
	const struct finding *f;
	struct findings fs;

	fs = (struct findings){ 0 };
	detect_all(&m->w, &fs);
	f = only_finding(&fs, kind);
	assert_int_equal(f->severity, SEVERITY_MEDIUM);
	assert_true(number(f, "count") >= least && number(f, "count") <= most);
	assert_true(number(f, "per_minute") > per_minute * 0.7 &&
		    number(f, "per_minute") < per_minute * 1.4);
	assert_true(f->title[0] && f->advice[0] && f->nevidence >= 1);
	findings_deinit(&fs);
	sim_deinit(m);
}

#endif
