/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report as one JSON object on one line, schema gospect.report/1, as its
 * description says (document.c): what is not known is absent.  Strings come
 * from hostile executables: broken UTF-8 becomes U+FFFD, and everything beyond
 * ASCII is written as \uXXXX, so that a terminal which shows the line cannot be
 * controlled by it (C1 and bidirectional control characters are legal inside
 * JSON strings).
 */
#include "report/report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "base/clock.h"
#include "base/text.h"
#include "report/document.h"

/* A function name longer than this is cut: linker limits are far below. */
#define JSON_STRING_MAX 16384

struct writer {
	struct buf *out;
	const char *before; /* what stands before the next member or element: "", "{", "[" or "," */
	bool failed;        /* out of memory: what is written is not complete */
};

/* ---- values ---- */

static int to_buf(const char *data, size_t size, void *arg)
{
	struct buf *out = arg;

	buf_add(out, data, size);
	return out->err ? -1 : 0;
}

/* Takes the value over. */
static void put_json(struct writer *wr, json_t *value)
{
	if (json_dump_callback(value, to_buf, wr->out,
			       JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY |
				       JSON_REAL_PRECISION(15)) &&
	    !wr->out->err)
		wr->failed = true;
	json_decref(value);
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
static json_t *string(const char *s)
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

static int64_t clamped(uint64_t v)
{
	return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

static json_t *real(double v, double step)
{
	return json_real(round(v / step) / (1 / step));
}

/* ---- members ---- */

static void next(struct writer *wr)
{
	buf_puts(wr->out, wr->before);
	wr->before = ",";
}

static void put_key(struct writer *wr, const char *key)
{
	next(wr);
	buf_printf(wr->out, "\"%s\":", key);
}

static void put_text(struct writer *wr, const char *key, const char *text)
{
	put_key(wr, key);
	put_json(wr, string(text));
}

static void put_real(struct writer *wr, const char *key, double v, double step)
{
	put_key(wr, key);
	put_json(wr, real(v, step));
}

static void put_place_members(struct writer *wr, const struct place *p)
{
	if (p->function)
		put_text(wr, "function", p->function);
	if (p->file)
		put_text(wr, "file", p->file);
	if (p->line > 0) {
		put_key(wr, "line");
		buf_printf(wr->out, "%d", p->line);
	}
	if (p->in)
		put_text(wr, "in", p->in);
}

/* Behind the last member or element. */
static void end(struct writer *wr, const char *begin, const char *finish)
{
	if (*wr->before == *begin)
		buf_puts(wr->out, begin);
	buf_puts(wr->out, finish);
	wr->before = ",";
}

static void put_place(struct writer *wr, const struct place *p)
{
	wr->before = "{";
	put_place_members(wr, p);
	end(wr, "{", "}");
}

static void put_stack(struct writer *wr, const struct column *c, const struct row *r)
{
	const struct place *line[SCHEMA_MAX_FRAMES];
	int n = schema_stack(c, r, line, SCHEMA_MAX_FRAMES);

	put_key(wr, c->key);
	wr->before = "[";
	for (int i = 0; i < n; i++) {
		next(wr);
		put_place(wr, line[i]);
	}
	end(wr, "[", "]");
}

static json_t *pair_value(const struct pair *p)
{
	if (p->type == COLUMN_COUNT)
		return json_integer(clamped(p->count));
	return p->type == COLUMN_REAL ? real(p->real, 0.001) : string(p->text);
}

/* What is said twice once its key is clean: counts are added, of others the last one stands. */
static void put_pairs(struct writer *wr, const struct column *c, const struct row *r)
{
	json_t *o = json_object();
	struct pair p;

	for (size_t i = 0; c->pair(r, i, &p); i++) {
		json_t *key = string(p.key), *value, *before;

		if (p.type == COLUMN_REAL && !isfinite(p.real)) {
			json_decref(key);
			continue;
		}
		before = key ? json_object_get(o, json_string_value(key)) : NULL;
		if (before && p.type == COLUMN_COUNT)
			p.count += (uint64_t)json_integer_value(before);
		value = pair_value(&p);
		if (!key || json_object_set_new(o, json_string_value(key), value))
			wr->failed = true;
		json_decref(key);
	}
	put_key(wr, c->key);
	put_json(wr, o);
}

static void put_age(struct writer *wr, const struct column *c, const struct value *v)
{
	if (!isfinite(v->real))
		return;
	put_real(wr, c->key, v->real, c->step);
	if (v->age == AGE_AT_LEAST || !(c->flags & COLUMN_BOUND))
		put_text(wr, c->age_key ? c->age_key : "age",
			 v->age == AGE_AT_LEAST ? "at_least" : "exact");
}

static void put_exactness(struct writer *wr, const struct column *c, const struct value *v)
{
	put_text(wr, c->key, exactness_word[v->exactness]);
	if (v->rate > 0)
		put_real(wr, "rate", v->rate, 0.0001);
}

static void put_time(struct writer *wr, const char *key, uint64_t ns)
{
	char text[40];

	clock_format_utc(ns, 1, text, sizeof(text));
	put_text(wr, key, text);
}

static void put_address(struct writer *wr, const char *key, uint64_t address)
{
	put_key(wr, key);
	buf_printf(wr->out, "\"0x%" PRIx64 "\"", address);
}

static void put_object(struct writer *wr, const struct table *t, const struct row *r);

static void put_row(struct writer *wr, const struct table *t, const struct row *r)
{
	const struct column *c = t->column;
	struct value v;

	next(wr);
	if (!t->bare) {
		put_object(wr, t, r);
		return;
	}
	schema_value(c, r, &v);
	if (c->type == COLUMN_COUNT)
		buf_printf(wr->out, "%" PRId64, clamped(v.count));
	else
		put_json(wr, string(v.text));
}

static void put_rows(struct writer *wr, const struct column *c, const struct row *owner,
		     const struct value *v)
{
	struct rows rows = { 0 };

	put_key(wr, c->key);
	wr->before = "[";
	if (!(c->flags & COLUMN_STREAM) &&
	    rows_init(&rows, c->sub, owner->w, owner->row, v, REPORT_MAX_ROWS))
		wr->failed = true;
	for (size_t i = 0; i < rows.n; i++)
		put_row(wr, c->sub, &rows.row[i]);
	for (size_t i = 0; c->flags & COLUMN_STREAM && i < v->rows.n && !wr->out->err; i++) {
		const char *first = v->rows.first;
		struct row r = { owner->w, first + i * c->sub->size, owner->row, 0 };

		put_row(wr, c->sub, &r);
	}
	rows_deinit(&rows);
	end(wr, "[", "]");
}

static void put_nested(struct writer *wr, const struct column *c, const struct row *owner,
		       const struct value *v)
{
	struct row r = { owner->w, v->rows.first, owner->row, 0 };

	put_key(wr, c->key);
	put_object(wr, c->sub, &r);
}

static void put_value(struct writer *wr, const struct column *c, const struct row *r,
		      const struct value *v)
{
	switch (c->type) {
	case COLUMN_COUNT:
	case COLUMN_BYTES:
	case COLUMN_NS:
	case COLUMN_GOID:
		put_key(wr, c->key);
		buf_printf(wr->out, "%" PRId64, clamped(v->count));
		break;
	case COLUMN_INTEGER:
	case COLUMN_INT:
	case COLUMN_MOST:
		put_key(wr, c->key);
		buf_printf(wr->out, "%" PRId64, v->integer);
		break;
	case COLUMN_ADDRESS:
		put_address(wr, c->key, v->count);
		break;
	case COLUMN_TIME:
		put_time(wr, c->key, v->count);
		break;
	case COLUMN_REAL:
	case COLUMN_LIMIT:
		if (isfinite(v->real))
			put_real(wr, c->key, v->real, c->step);
		break;
	case COLUMN_FLAG:
	case COLUMN_KNOWN:
		put_key(wr, c->key);
		buf_puts(wr->out, v->flag ? "true" : "false");
		break;
	case COLUMN_TEXT:
	case COLUMN_CHARS:
	case COLUMN_HOST:
	case COLUMN_WORD:
		put_text(wr, c->key, v->text);
		break;
	case COLUMN_PLACE:
		if (c->flat) {
			put_place_members(wr, v->place);
			break;
		}
		put_key(wr, c->key);
		put_place(wr, v->place);
		break;
	case COLUMN_AGE:
		put_age(wr, c, v);
		break;
	case COLUMN_EXACTNESS:
		put_exactness(wr, c, v);
		break;
	case COLUMN_STACK:
		put_stack(wr, c, r);
		break;
	case COLUMN_PAIRS:
		put_pairs(wr, c, r);
		break;
	case COLUMN_OBJECT:
		put_nested(wr, c, r, v);
		break;
	case COLUMN_ROWS:
		put_rows(wr, c, r, v);
		break;
	case COLUMN_NONE:
		break;
	}
}

static void put_object(struct writer *wr, const struct table *t, const struct row *r)
{
	struct value v;

	wr->before = "{";
	if (r->nrest) {
		put_key(wr, "other");
		buf_puts(wr->out, "true");
	}
	for (int i = 0; i < t->ncolumn && !wr->failed; i++) {
		const struct column *c = &t->column[i];

		if (!c->key)
			continue;
		schema_value(c, r, &v);
		if (v.is == VALUE_NULL) {
			put_key(wr, c->key);
			buf_puts(wr->out, "null");
		} else if (v.is == VALUE_THERE) {
			put_value(wr, c, r, &v);
		}
	}
	end(wr, "{", "}");
}

void report_json_row(const struct table *t, const struct row *r, struct buf *out)
{
	struct writer wr = { .out = out };
	size_t before = out->len;

	put_object(&wr, t, r);
	buf_puts(out, "\n");
	if (wr.failed && !out->err)
		out->err = -ENOMEM;
	if (out->err && out->data) { /* never half an object */
		out->len = before;
		out->data[before] = '\0';
	}
}

void report_json(const struct report *r, struct buf *out)
{
	report_json_row(&report_document, &(struct row){ .w = &r->window, .row = r }, out);
}
