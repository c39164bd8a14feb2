/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports of a window written by hand (net_window.h), and readers of what came out. */
#ifndef GOSPECT_TESTS_NET_REPORT_H
#define GOSPECT_TESTS_NET_REPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/text.h"
#include "net_window.h"
#include "report/report.h"
#include "save_report.h"

#define OUTPUT_MAX (64u << 20)

struct fixture {
	struct report r;
	struct buf out;
};

static inline void set_up(struct fixture *x, void (*fill)(struct window *w))
{
	memset(x, 0, sizeof(*x));
	fill(&x->r.window);
	x->r.findings = (struct findings){ 0 };
	buf_init(&x->out, OUTPUT_MAX);
}

static inline void tear_down(struct fixture *x)
{
	buf_deinit(&x->out);
	report_deinit(&x->r);
}

static inline const char *text(struct fixture *x, int columns)
{
	struct report_text_options o = { .columns = columns };

	buf_reset(&x->out);
	report_text(&x->r, &o, &x->out);
	assert_int_equal(x->out.err, 0);
	return x->out.data;
}

static inline json_t *parsed(struct fixture *x)
{
	json_error_t err;
	json_t *o;

	buf_reset(&x->out);
	save_report(&x->r, &x->out);
	assert_int_equal(x->out.err, 0);
	o = json_loads(x->out.data, JSON_REJECT_DUPLICATES, &err);
	if (!o)
		fail_msg("not JSON: %s", err.text);
	return o;
}

/* "net.phases.0.host"; NULL when absent. */
static inline json_t *at(json_t *o, const char *path)
{
	char part[64];

	while (o && *path) {
		size_t n = strcspn(path, ".");

		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		o = json_is_array(o) ? json_array_get(o, (size_t)atoi(part))
				     : json_object_get(o, part);
		path += n + (path[n] == '.');
	}
	return o;
}

static inline void has(const char *all, const char *words)
{
	if (!strstr(all, words)) {
		printf("%s\n", all); /* fail_msg() cuts */
		fail_msg("'%s' is not in it", words);
	}
}

static inline void has_not(const char *all, const char *words)
{
	if (strstr(all, words))
		fail_msg("'%s' is in it", words);
}

/* Says where the two differ: they are longer than cmocka prints. */
static inline void same(const char *is, const char *want)
{
	size_t i = 0;

	while (is[i] && is[i] == want[i])
		i++;
	if (is[i] != want[i])
		fail_msg("at %zu: '%.200s', wanted '%.200s'", i, is + i, want + i);
}

static inline void expect_tidy(const char *s, int columns)
{
	char line[8192];
	int32_t code;

	while (*s) {
		size_t n = strcspn(s, "\n");

		assert_true(n < sizeof(line));
		memcpy(line, s, n);
		line[n] = '\0';
		if (words_columns(line) > columns)
			fail_msg("%d columns: '%s'", words_columns(line), line);
		for (const char *p = line; *p;) {
			p += utf8_next(p, &code);
			assert_true(code >= 0x20 && !(code >= 0x7f && code < 0xa0) &&
				    code != 0x202e);
		}
		assert_true(!n || line[n - 1] != ' ');
		s += n + 1;
	}
}

#endif
