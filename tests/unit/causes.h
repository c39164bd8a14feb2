/* SPDX-License-Identifier: BSD-2-Clause */
/* Two findings, of which one may be the cause of the other (observe/explain.c). */
#ifndef GOSPECT_TEST_CAUSES_H
#define GOSPECT_TEST_CAUSES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "net_window.h"
#include "observe/detect.h"
#include "observe/window.h"

#define AT_GO   PLACE("main.(*Hub).start", "hub.go", 41)
#define AT_KEEP PLACE("main.work", "work.go", 12)
#define HOLDER  31

struct fixture {
	struct window w;
	struct findings fs;
	struct finding *cause, *effect;
};

static inline struct finding *add(struct fixture *x, const char *kind, enum severity s,
				  struct place p)
{
	struct finding *f = findings_add(&x->fs, kind, kind, s, &p);

	assert_non_null(f);
	finding_title(f, "%s", kind);
	return f;
}

/* The effect comes first, and is worse. */
static inline void pair(struct fixture *x, const char *effect, const char *cause)
{
	net_window_init(&x->w);
	x->fs = (struct findings){ 0 };
	x->effect = add(x, effect, SEVERITY_HIGH, AT_GO);
	x->cause = add(x, cause, SEVERITY_MEDIUM, AT_CHARGE);
}

static inline void about(struct finding *f, const char *host, int phase)
{
	f->about.host = host;
	f->about.phase = phase;
}

static inline void explain(struct fixture *x)
{
	findings_sort(&x->fs);
	explain_findings(&x->w, &x->fs);
}

static inline void end(struct fixture *x)
{
	findings_deinit(&x->fs);
	window_deinit(&x->w);
}

/* The cause stands first, the effect names it. */
static inline void linked(struct fixture *x, const char *cause, const char *effect)
{
	explain(x);
	assert_int_equal(x->fs.n, 2);
	assert_string_equal(x->fs.f[0].kind, cause);
	assert_string_equal(x->fs.f[1].kind, effect);
	assert_string_equal(x->fs.f[1].caused_by, x->fs.f[0].id);
	assert_string_equal(x->fs.f[0].caused_by, "");
	assert_non_null(strstr(x->fs.f[1].evidence[0], "because of the "));
	assert_non_null(strstr(x->fs.f[1].evidence[0], cause));
	assert_int_equal(x->fs.f[0].severity, SEVERITY_MEDIUM);
	end(x);
}

/* Only the cause is left, as bad as both, and counts the goroutines. */
static inline void folded(struct fixture *x, const char *cause)
{
	explain(x);
	assert_int_equal(x->fs.n, 1);
	assert_string_equal(x->fs.f[0].kind, cause);
	assert_int_equal(x->fs.f[0].severity, SEVERITY_HIGH);
	assert_non_null(strstr(x->fs.f[0].evidence[0], "goroutines pile up in it: 90 created at"));
	end(x);
}

/* Two findings that have nothing to do with each other, the worst first. */
static inline void apart(struct fixture *x)
{
	explain(x);
	assert_int_equal(x->fs.n, 2);
	assert_int_equal(x->fs.f[0].severity, SEVERITY_HIGH);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(x->fs.f[i].caused_by, "");
		assert_int_equal(x->fs.f[i].nevidence, 0);
	}
	end(x);
}

/* So many of 100 that were created at AT_GO stand at that place. */
static inline struct site_row *standing(struct fixture *x, uint64_t there, struct place at)
{
	struct site_row *s = MORE(x->w.goroutines->site, x->w.goroutines->nsite);

	s->place = AT_GO;
	s->live = 100;
	s->wait = calloc(2, sizeof(*s->wait));
	assert_non_null(s->wait);
	s->nwait = 2;
	s->wait[0].count = there;
	s->wait[0].stack[0] = PLACE("net/http.(*Client).do", "client.go", 1);
	s->wait[0].stack[1] = at;
	s->wait[0].nstack = 2;
	s->wait[1].count = 100 - there;
	return s;
}

static inline void piled_up(struct fixture *x, const char *effect, const char *cause)
{
	pair(x, effect, cause);
	finding_count(x->effect, "count", 90);
	finding_number(x->effect, "per_minute", 600);
}

#endif
