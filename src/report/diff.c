/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/diff.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/map.h"
#include "base/text.h"
#include "observe/window.h"
#include "report/report.h"
#include "report/grid.h"
#include "report/wrap.h"

#define MAX_ITEMS 65536
#define MAX_ROWS  40 /* of each part */
#define INDENT    12

/* Something that both reports may have. */
struct item {
	const json_t *a, *b; /* borrowed from the reports */
	double before, after;
};

struct items {
	struct item *v; /* owned */
	size_t n;
	struct bytesmap index;
};

enum change { APPEARED, GREW, SHRANK, WENT, SAME };

static const char *const change_word[] = { "appeared", "grew", "shrank", "went away", "" };

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static double number_of(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* ---- reading ---- */

static json_t *load_last(const char *text, size_t len, struct err *err)
{
	json_error_t why;
	json_t *o;
	size_t begin;

	while (len && strchr("\n\r ", text[len - 1]))
		len--;
	for (begin = len; begin && text[begin - 1] != '\n'; begin--)
		;
	o = json_loadb(text + begin, len - begin, JSON_DISABLE_EOF_CHECK, &why);
	if (!o && begin) /* one object over many lines: somebody made it readable */
		o = json_loadb(text, len, 0, &why);
	if (!o) {
		err_set(err, -EBADMSG, "not JSON: %s", why.text);
		return NULL;
	}
	if (strcmp(text_of(o, "schema"), REPORT_SCHEMA)) {
		err_set(err, -EBADMSG, "not a report of schema '%s'", REPORT_SCHEMA);
		json_decref(o);
		return NULL;
	}
	return o;
}

static int add(struct items *s, const char *key, size_t len, const json_t *o, double value,
	       bool second)
{
	uint64_t *at;
	bool made;

	at = bytesmap_put(&s->index, key, len, s->n, &made);
	if (!at)
		return -ENOSPC;
	if (made && !(s->n & (s->n - 1))) { /* at a power of two */
		struct item *v = realloc(s->v, (s->n ? 2 * s->n : 1) * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
	}
	if (made)
		s->v[s->n++] = (struct item){ 0 };
	if (second) {
		s->v[*at].b = o;
		s->v[*at].after += value;
	} else {
		s->v[*at].a = o;
		s->v[*at].before += value;
	}
	return 0;
}

static enum change change_of(const struct item *i)
{
	if (!i->a)
		return APPEARED;
	if (!i->b)
		return WENT;
	return i->after > i->before ? GREW : i->after < i->before ? SHRANK : SAME;
}

static int by_change(const void *x, const void *y)
{
	const struct item *a = x, *b = y;
	enum change p = change_of(a), q = change_of(b);
	double da = fabs(a->after - a->before), db = fabs(b->after - b->before);

	if (p != q)
		return p < q ? -1 : 1;
	return da < db ? 1 : da > db ? -1 : 0;
}

static void items_init(struct items *s)
{
	memset(s, 0, sizeof(*s));
	bytesmap_init(&s->index, MAX_ITEMS);
}

static void items_deinit(struct items *s)
{
	bytesmap_deinit(&s->index);
	free(s->v);
}

/* ---- findings ---- */

/* The number that tells how bad it is. */
static double weight_of(const json_t *finding)
{
	static const char *const names[] = { "count",   "in_use_bytes", "bytes_per_s", "in_flight",
					     "waiters", "hanging",      "dials",       "in_use" };
	const json_t *numbers = json_object_get(finding, "numbers");

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (json_object_get(numbers, names[i]))
			return number_of(numbers, names[i]);
	return 0;
}

static int add_findings(struct items *s, const json_t *report, bool second)
{
	const json_t *f;
	size_t i;
	int err = 0;

	json_array_foreach(json_object_get(report, "findings"), i, f)
	{
		const char *id = text_of(f, "id");

		if (!err && *id)
			err = add(s, id, strlen(id), f, weight_of(f), second);
	}
	return err;
}

static void print_finding(const struct item *i, int columns, struct buf *out)
{
	const json_t *f = i->b ? i->b : i->a;
	enum change c = change_of(i);
	char head[32], n[HUMAN_MAX];
	struct buf line;

	buf_init(&line, 4096);
	snprintf(head, sizeof(head), "%s", c == SAME ? "still there" : change_word[c]);
	buf_printf(out, "%-*s", INDENT, head);
	buf_printf(&line, "%s %s: %s", text_of(f, "severity"), text_of(f, "kind"),
		   text_of(f, "title"));
	if (c == GREW || c == SHRANK)
		buf_printf(&line, " (was %s)", human_count((uint64_t)i->before, n));
	wrap_text(out, line.data ? line.data : "", INDENT, INDENT, columns, 3);
	buf_deinit(&line);
}

static int findings(const json_t *a, const json_t *b, int columns, struct buf *out)
{
	struct items s;
	int err;

	items_init(&s);
	err = add_findings(&s, a, false);
	if (!err)
		err = add_findings(&s, b, true);
	if (!err && !s.n)
		buf_puts(out, "findings:   none in either\n");
	if (s.n)
		qsort(s.v, s.n, sizeof(*s.v), by_change);
	for (size_t i = 0; !err && i < s.n; i++)
		print_finding(&s.v[i], columns, out);
	items_deinit(&s);
	return err;
}

/* ---- tables: sites, stacks, memory ---- */

enum unit { UNIT_COUNT, UNIT_BYTES, UNIT_NS };

struct part {
	const char *title, *object, *list, *value;
	enum unit unit;
};

/* Durations that differ by less than this share of the longer are the same. */
#define NS_SHARE 0.2

/* A row is about a place, a stack, or something with a name of its own. */
static size_t row_key(const json_t *row, char *out, size_t size)
{
	const json_t *frame, *place = json_object_get(row, "place");
	const char *host = text_of(row, "host"), *driver = text_of(row, "driver"), *name;
	size_t i, n;

	if (!place)
		place = row;
	name = *host ? host : *driver ? driver : text_of(row, "reason");
	n = (size_t)snprintf(out, size, "%s|%s|%lld|%s|%s%s", text_of(place, "function"),
			     text_of(place, "file"),
			     (long long)json_integer_value(json_object_get(place, "line")), name,
			     text_of(row, "phase"), text_of(row, "protocol"));
	if (*text_of(place, "function") || *host || *driver)
		return n < size ? n : size - 1;
	json_array_foreach(json_object_get(row, "stack"), i, frame)
	{
		if (n >= size)
			break;
		n += (size_t)snprintf(
			out + n, size - n, "|%s:%lld", text_of(frame, "function"),
			(long long)json_integer_value(json_object_get(frame, "line")));
	}
	return n < size ? n : size - 1;
}

static int add_rows(struct items *s, const json_t *report, const struct part *p, bool second)
{
	const json_t *row;
	char key[16384];
	size_t i;
	int err = 0;

	json_array_foreach(json_object_get(json_object_get(report, p->object), p->list), i,
			   row) if (!err && !json_is_true(json_object_get(row, "other"))) err =
		add(s, key, row_key(row, key, sizeof(key)), row, number_of(row, p->value), second);
	return err;
}

static struct place place_json(const json_t *o)
{
	return (struct place){ .function = *text_of(o, "function") ? text_of(o, "function") : NULL,
			       .file = text_of(o, "file"),
			       .line = (int)json_integer_value(json_object_get(o, "line")) };
}

static void cell_number(struct grid *t, enum unit unit, double v, const char *sign)
{
	char text[HUMAN_MAX], cell[HUMAN_MAX + 2];

	snprintf(cell, sizeof(cell), "%s%s", sign,
		 unit == UNIT_BYTES ? human_bytes(v, text)
		 : unit == UNIT_NS  ? human_seconds(v / 1e9, text)
				    : human_count((uint64_t)v, text));
	grid_cell(t, cell);
}

static bool is_change(const struct part *p, const struct item *i)
{
	double by = fabs(i->after - i->before), most = fmax(i->after, i->before);

	return change_of(i) != SAME && by > (p->unit == UNIT_NS ? NS_SHARE * most : 0);
}

/* A row's place; a stack's: its first frame outside the runtime. */
static struct place row_place(const json_t *row)
{
	const json_t *frame, *place = json_object_get(row, "place");
	struct place p = place_json(place ? place : row);
	size_t i;

	if (p.function)
		return p;
	json_array_foreach(json_object_get(row, "stack"), i, frame)
	{
		p = place_json(frame);
		if (p.function && strncmp(p.function, "runtime.", 8) &&
		    strncmp(p.function, "internal/", 9))
			break;
	}
	return p;
}

static void add_name(struct buf *out, const char *name)
{
	char clean[240];

	if (*name)
		buf_printf(out, "%s%s", out->len ? " " : "",
			   words_fit(name, 48, clean, sizeof(clean)));
}

static void print_row(struct grid *t, const struct part *p, const struct item *i)
{
	const json_t *row = i->b ? i->b : i->a;
	double by = i->after - i->before;
	char text[WORDS_PLACE_MAX];
	struct place place = row_place(row);
	struct buf at;

	grid_cell(t, change_word[change_of(i)]);
	cell_number(t, p->unit, i->before, "");
	cell_number(t, p->unit, i->after, "");
	cell_number(t, p->unit, fabs(by), by < 0 ? "-" : "+");
	buf_init(&at, 4096);
	add_name(&at, text_of(row, "reason"));
	add_name(&at, text_of(row, "driver"));
	add_name(&at, text_of(row, "phase"));
	add_name(&at, text_of(row, "host"));
	add_name(&at, text_of(row, "protocol"));
	if (place.function || !at.len)
		buf_printf(&at, "%s%s", at.len ? " at " : "",
			   words_place_short(&place, text, sizeof(text)));
	grid_cell(t, at.data ? at.data : "");
	buf_deinit(&at);
}

static int table(const json_t *a, const json_t *b, const struct part *p, int columns,
		 struct buf *out)
{
	static const struct grid_column column[] = {
		{ .head = "" },
		{ .head = "before", .right = true },
		{ .head = "after", .right = true },
		{ .head = "by", .right = true },
		{ .head = "at", .min = 24, .keep_end = true },
	};
	size_t changed = 0, shown = 0;
	struct items s;
	struct grid t;
	int err;

	items_init(&s);
	err = add_rows(&s, a, p, false);
	if (!err)
		err = add_rows(&s, b, p, true);
	if (s.n)
		qsort(s.v, s.n, sizeof(*s.v), by_change);
	for (size_t i = 0; i < s.n; i++)
		changed += is_change(p, &s.v[i]);
	if (s.n)
		buf_printf(out, "\n%s: %zu of %zu changed\n", p->title, changed, s.n);
	grid_init(&t, column, sizeof(column) / sizeof(*column));
	for (size_t i = 0; i < s.n && shown < MAX_ROWS; i++)
		if (is_change(p, &s.v[i])) {
			print_row(&t, p, &s.v[i]);
			shown++;
		}
	if (shown)
		grid_print(&t, 2, columns, out);
	if (changed > shown)
		buf_printf(out, "  and %zu more\n", changed - shown);
	grid_deinit(&t);
	items_deinit(&s);
	return err;
}

/* ---- the whole ---- */

static void title(const json_t *a, const json_t *b, int columns, struct buf *out)
{
	const json_t *ta = json_object_get(a, "target"), *tb = json_object_get(b, "target");
	struct buf line;

	buf_init(&line, 4096);
	buf_printf(&line, "%s pid %lld at %s, and pid %lld at %s", text_of(tb, "exe"),
		   (long long)json_integer_value(json_object_get(ta, "pid")), text_of(a, "time"),
		   (long long)json_integer_value(json_object_get(tb, "pid")), text_of(b, "time"));
	wrap_text(out, line.data ? line.data : "", 0, 2, columns, 2);
	buf_reset(&line);
	if (strcmp(text_of(ta, "module"), text_of(tb, "module")))
		buf_printf(&line, "different programs: '%s' and '%s'", text_of(ta, "module"),
			   text_of(tb, "module"));
	else if (strcmp(text_of(ta, "build_id"), text_of(tb, "build_id")))
		buf_puts(&line, "different builds of the program: lines may have moved, and what "
				"moved shows as gone "
				"and come");
	if (line.len)
		wrap_text(out, line.data, 0, 2, columns, 2);
	buf_puts(out, "\n");
	buf_deinit(&line);
}

static int compare(const json_t *a, const json_t *b, int columns, struct buf *out)
{
	static const struct part parts[] = {
		{ "goroutines by creation site", "goroutines", "by_site", "live", UNIT_COUNT },
		{ "goroutines by stack", "goroutines", "groups", "count", UNIT_COUNT },
		{ "memory in use", "heap", "by_site", "in_use_bytes", UNIT_BYTES },
		{ "network phases (p50)", "net", "phases", "p50_ns", UNIT_NS },
		{ "requests in flight by call", "net", "clients", "in_flight", UNIT_COUNT },
		{ "unclosed response bodies", "net", "unclosed_bodies", "count", UNIT_COUNT },
		{ "connections", "net", "connections", "open", UNIT_COUNT },
		{ "database connections in use", "sql", "pools", "in_use", UNIT_COUNT },
	};
	int err;

	title(a, b, columns, out);
	err = findings(a, b, columns, out);
	for (size_t i = 0; !err && i < sizeof(parts) / sizeof(*parts); i++)
		if (json_object_get(json_object_get(a, parts[i].object), parts[i].list) &&
		    json_object_get(json_object_get(b, parts[i].object), parts[i].list))
			err = table(a, b, &parts[i], columns, out);
	return err ? err : out->err;
}

int report_diff(const char *a, size_t a_len, const char *b, size_t b_len, int columns,
		struct buf *out, struct err *err)
{
	json_t *x = load_last(a, a_len, err), *y = NULL;
	int code = -EBADMSG;

	if (!x) {
		err_hint(err,
			 "the first file: 'gospect snapshot PID --format json -o FILE' makes one");
		return code;
	}
	y = load_last(b, b_len, err);
	if (y) {
		code = compare(x, y, columns, out);
		if (code)
			err_set(err, code, "the reports cannot be compared: %s", strerror(-code));
	} else {
		err_hint(err,
			 "the second file: 'gospect snapshot PID --format json -o FILE' makes one");
	}
	json_decref(x);
	json_decref(y);
	return code;
}
