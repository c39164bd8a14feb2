/* SPDX-License-Identifier: BSD-2-Clause */
/* A report and what was made of it, and readers of that. */
#ifndef GOSPECT_TESTS_REPORT_OUT_H
#define GOSPECT_TESTS_REPORT_OUT_H

#include <jansson.h>

#include "base/text.h"
#include "report/report.h"
#include "save_report.h"

#define OUTPUT_MAX (64u << 20)

struct fixture {
	struct report r;
	struct buf out;
};

static inline void tear_down(struct fixture *x)
{
	buf_deinit(&x->out);
	report_deinit(&x->r);
}

static inline const char *text(struct fixture *x, bool color, int columns)
{
	struct report_text_options o = { .color = color, .columns = columns };

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
	assert_true(x->out.len > 2 && x->out.data[x->out.len - 1] == '\n');
	assert_ptr_equal(strchr(x->out.data, '\n'), x->out.data + x->out.len - 1);
	o = json_loads(x->out.data, JSON_REJECT_DUPLICATES, &err);
	if (!o)
		fail_msg("not JSON: %s", err.text);
	return o;
}

/* "goroutines.by_site.0.live"; NULL when absent. */
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

/* Every line at most `columns` wide, nothing unprintable, valid UTF-8. */
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
