/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/json_build.h"

#include <errno.h>
#include <math.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "observe/window.h"

/* A function name longer than this is cut: linker limits are far below. */
#define JSON_STRING_MAX 16384

void jb_put(struct json_builder *b, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value))
		b->failed = true;
}

void jb_append(struct json_builder *b, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value))
		b->failed = true;
}

/* The length of s when it is valid UTF-8 of a sane length, else 0. */
static size_t valid_length(const char *s)
{
	const char *p = s;
	int32_t code = 0;

	while (*p && code >= 0 && p - s < JSON_STRING_MAX)
		p += utf8_next(p, &code);
	return *p || code < 0 ? 0 : (size_t)(p - s);
}

/* Valid UTF-8 from any bytes, cut at the maximum. */
json_t *jb_string(const char *s)
{
	size_t n = valid_length(s);
	struct buf clean;
	json_t *value;
	int32_t code;

	if (n || !*s)
		return json_stringn_nocheck(s, n);
	buf_init(&clean, JSON_STRING_MAX);
	while (*s && !clean.err) {
		n = utf8_next(s, &code);
		if (code < 0)
			buf_puts(&clean, "\xef\xbf\xbd");
		else
			buf_add(&clean, s, n);
		s += n;
	}
	value = clean.err == -ENOMEM ? NULL : json_stringn_nocheck(clean.data, clean.len);
	buf_deinit(&clean);
	return value;
}

void jb_put_string(struct json_builder *b, json_t *o, const char *key, const char *s)
{
	if (s)
		jb_put(b, o, key, jb_string(s));
}

void jb_put_count(struct json_builder *b, json_t *o, const char *key, uint64_t v)
{
	jb_put(b, o, key, json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v));
}

/* Rounded to `step` (0.001: milliseconds); not a number is not known. */
void jb_put_real(struct json_builder *b, json_t *o, const char *key, double v, double step)
{
	if (isfinite(v))
		jb_put(b, o, key, json_real(round(v / step) / (1 / step)));
}

void jb_put_time(struct json_builder *b, json_t *o, const char *key, uint64_t real_ns)
{
	char text[40];

	if (!real_ns)
		return;
	clock_format_utc(real_ns, 1, text, sizeof(text));
	jb_put(b, o, key, json_string(text));
}

void jb_put_place(struct json_builder *b, json_t *o, const struct place *p)
{
	jb_put_string(b, o, "function", p->function);
	jb_put_string(b, o, "file", p->file);
	if (p->line > 0)
		jb_put(b, o, "line", json_integer(p->line));
}
