/* SPDX-License-Identifier: BSD-2-Clause */
/* What the findings on the network, pools and locks are told by in tests: a window with
 * every fault, and what was found in it. */
#ifndef GOSPECT_TESTS_DETECT_NET_H
#define GOSPECT_TESTS_DETECT_NET_H

#include <string.h>

#include "observe/detect.h"
#include "net_window.h"
#include "observe/window.h"

struct fixture {
	struct window w;
	struct findings fs;
};

static inline void set_up(struct fixture *x)
{
	net_window_init(&x->w);
	x->fs = (struct findings){ 0 };
}

static inline void tear_down(struct fixture *x)
{
	findings_deinit(&x->fs);
	window_deinit(&x->w);
}

static inline void detect(struct fixture *x)
{
	findings_deinit(&x->fs);
	x->fs = (struct findings){ 0 };
	detect_all(&x->w, &x->fs);
}

static inline const struct finding *only(struct fixture *x, const char *kind, enum severity s)
{
	const struct finding *f;

	detect(x);
	if (x->fs.n != 1)
		fail_msg("%d findings, the first: %s", x->fs.n, x->fs.n ? x->fs.f[0].title : "");
	f = &x->fs.f[0];
	assert_string_equal(f->kind, kind);
	assert_int_equal(f->severity, s);
	assert_true(f->title[0] && f->advice[0]);
	return f;
}

/* Nothing, and then the window is thrown away. */
static inline void nothing(struct fixture *x)
{
	detect(x);
	if (x->fs.n)
		fail_msg("found '%s'", x->fs.f[0].title);
	tear_down(x);
}

static inline double number(const struct finding *f, const char *name)
{
	for (int i = 0; i < f->nnumber; i++)
		if (!strcmp(f->number[i].name, name))
			return f->number[i].value;
	fail_msg("no number '%s'", name);
	return 0;
}

static inline bool has_number(const struct finding *f, const char *name)
{
	for (int i = 0; i < f->nnumber; i++)
		if (!strcmp(f->number[i].name, name))
			return true;
	return false;
}

static inline bool says(const struct finding *f, const char *words)
{
	bool found = strstr(f->title, words) || strstr(f->advice, words);

	for (int i = 0; i < f->nevidence; i++)
		found |= strstr(f->evidence[i], words) != NULL;
	return found;
}

static inline void expect_says(const struct finding *f, const char *words)
{
	if (!says(f, words))
		fail_msg("'%s' is not in the finding '%s'", words, f->title);
}

#endif
