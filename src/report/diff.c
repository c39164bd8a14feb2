/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/map.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/place.h"
#include "model/sentence.h"
#include "report/diff.h"
#include "report/document.h"
#include "report/grid.h"

#define MAX_ITEMS 65536
#define MAX_ROWS  40 /* of each part */
#define INDENT    12
/* Rates that differ by less than this share of the larger are the same. */
#define RATE_SHARE 0.2

struct items {
	struct diff_item *v; /* owned */
	size_t n, cap;
	struct bytesmap index;
};

/* ---- reading ---- */

static json_t *load_last(const char *which, const char *text, size_t len, struct err *err)
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
	if (o && !strcmp(diff_text(o, "schema"), REPORT_SCHEMA))
		return o;
	if (o)
		err_set(err, -EBADMSG, "not a report of schema '%s'", REPORT_SCHEMA);
	else
		err_set(err, -EBADMSG, "not JSON: %s", why.text);
	err_hint(err, "the %s file: 'gospect snapshot PID --format json -o FILE' makes one", which);
	json_decref(o);
	return NULL;
}

static int add(struct items *s, const char *key, size_t len, const json_t *o, double value,
	       bool second)
{
	uint64_t *at;
	bool made;

	at = bytesmap_put(&s->index, key, len, s->n, &made);
	if (!at)
		return -ENOSPC;
	if (made && array_room(&s->v, s->n, &s->cap, sizeof(*s->v)))
		return -ENOMEM;
	if (made)
		s->v[s->n++] = (struct diff_item){ 0 };
	if (second) {
		s->v[*at].b = o;
		s->v[*at].after += value;
	} else {
		s->v[*at].a = o;
		s->v[*at].before += value;
	}
	return 0;
}

static int by_change(const void *x, const void *y)
{
	const struct diff_item *a = x, *b = y;
	enum diff_change p = diff_change_of(a), q = diff_change_of(b);
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

/* What counts in the window, however long that was: by the second it is compared. */
static const struct {
	const char *kind, *name;
} of_window[] = {
	{ "failing-phase", "errors" },    { "slow-phase", "count" },
	{ "gc-pressure", "count" },       { "connection-churn", "dials" },
	{ "connection-churn", "closed" },
};

static const char *window_name(const json_t *finding)
{
	const json_t *numbers = json_object_get(finding, "numbers");

	for (size_t i = 0; i < ARRAY_SIZE(of_window); i++)
		if (!strcmp(diff_text(finding, "kind"), of_window[i].kind) &&
		    json_object_get(numbers, of_window[i].name))
			return of_window[i].name;
	return NULL;
}

/* The member that tells how bad it is; bytes stand in the title, where it has them. */
static const char *weight_name(const json_t *finding)
{
	static const char *const names[] = { "in_use_bytes", "bytes_per_s", "count", "in_flight",
					     "waiters",      "hanging",     "dials", "in_use" };
	const json_t *numbers = json_object_get(finding, "numbers");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (json_object_get(numbers, names[i]))
			return names[i];
	return "";
}

/* 0: of a window without a length nothing is known by the second. */
static double weight_of(const json_t *report, const json_t *finding)
{
	const json_t *numbers = json_object_get(finding, "numbers");
	double s = diff_number(report, "window_s");

	if (!window_name(finding))
		return diff_number(numbers, weight_name(finding));
	return s > 0 ? diff_number(numbers, window_name(finding)) / s : 0;
}

/* In the unit that it has. */
static void put_weight(struct buf *out, const json_t *finding, double v)
{
	const char *name = weight_name(finding);
	char n[HUMAN_MAX];

	if (window_name(finding))
		buf_printf(out, v < 10 ? "%.2g/s" : "%.0f/s", v);
	else if (!strstr(name, "bytes"))
		buf_puts(out, human_count((uint64_t)v, n));
	else
		buf_printf(out, "%s%s", human_bytes(v, n), strstr(name, "_per_s") ? "/s" : "");
}

static int add_findings(struct items *s, const json_t *report, bool second)
{
	const json_t *f;
	size_t i;
	int err = 0;

	json_array_foreach(json_object_get(report, "findings"), i, f)
	{
		const char *id = diff_text(f, "id");

		if (!err && *id)
			err = add(s, id, strlen(id), f, weight_of(report, f), second);
	}
	return err;
}

/* What is counted by the second is never twice the same. */
static enum diff_change finding_change(const struct diff_item *i)
{
	double by = fabs(i->after - i->before), most = fmax(i->after, i->before);

	if (i->a && i->b && window_name(i->b) &&
	    (!i->before || !i->after || by <= RATE_SHARE * most))
		return SAME;
	return diff_change_of(i);
}

static void print_finding(const struct diff_item *i, int columns, struct buf *out)
{
	const json_t *f = i->b ? i->b : i->a;
	enum diff_change c = finding_change(i);
	char head[32];
	struct buf line;

	buf_init(&line, 4096);
	snprintf(head, sizeof(head), "%s", c == SAME ? "still there" : diff_change_word[c]);
	buf_printf(out, "%-*s", INDENT, head);
	buf_printf(&line, "%s %s: %s", diff_text(f, "severity"), diff_text(f, "kind"),
		   diff_text(f, "title"));
	if (c == GREW || c == SHRANK) {
		buf_puts(&line, " (was ");
		put_weight(&line, f, i->before);
		buf_puts(&line, ")");
	}
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

/* ---- tables ---- */

/* Durations that differ by less than this share of the longer are the same. */
#define NS_SHARE 0.2

static const char *member_of(const struct table *object, const struct table *member)
{
	for (int i = 0; i < object->ncolumn; i++)
		if (object->column[i].sub == member)
			return object->column[i].key;
	return "";
}

static struct diff_part part_of(const struct table *t)
{
	struct diff_part p = { .table = t,
			       .object = member_of(&report_document, t->of),
			       .list = member_of(t->of, t) };

	for (int i = 0; i < t->ncolumn; i++)
		if (t->column[i].key && !strcmp(t->column[i].key, t->diff_key))
			p.value = &t->column[i];
	return p;
}

/* The column that is the id-th of those that name a row; NULL: there are no more. */
static const struct column *name_column(const struct table *t, int id)
{
	for (int i = 0; i < t->ncolumn; i++)
		if (t->column[i].id == id)
			return &t->column[i];
	return NULL;
}

static void add_key(const struct column *c, const json_t *row, struct buf *key)
{
	const json_t *frame, *o = c->flat ? row : json_object_get(row, c->key);
	size_t i;

	if (c->flags & COLUMN_FUNCTION)
		buf_printf(key, "%s|", diff_text(o, "function"));
	else if (c->type == COLUMN_PLACE)
		buf_printf(key, "%s|%s|%lld|", diff_text(o, "function"), diff_text(o, "file"),
			   (long long)json_integer_value(json_object_get(o, "line")));
	else if (c->type != COLUMN_STACK)
		buf_printf(key, "%s|", diff_text(row, c->key));
	else
		json_array_foreach(o, i, frame)
			buf_printf(key, "%s:%lld|", diff_text(frame, "function"),
				   (long long)json_integer_value(json_object_get(frame, "line")));
}

/* span_s: what the number is of, where it is compared per second. */
static int add_row(struct items *s, const json_t *row, const struct diff_part *p, double span_s,
		   bool second)
{
	double value = diff_number(row, p->value->key) / (p->table->diff_per_s ? span_s : 1);
	const struct column *c;
	struct buf key;
	int err;

	buf_init(&key, 1u << 20);
	for (int id = 1; (c = name_column(p->table, id)); id++)
		add_key(c, row, &key);
	err = key.err ? key.err : add(s, key.data, key.len, row, value, second);
	buf_deinit(&key);
	return err;
}

/* A list of the report's own, or of an object of it. */
static const json_t *list_of(const json_t *report, const struct diff_part *p)
{
	return json_object_get(*p->object ? json_object_get(report, p->object) : report, p->list);
}

static int add_rows(struct items *s, const json_t *report, const struct diff_part *p, bool second)
{
	double span_s = diff_number(report, "window_s");
	const json_t *row;
	size_t i;
	int err = 0;

	json_array_foreach(list_of(report, p), i,
			   row) if (!err && (span_s > 0 || !p->table->diff_per_s) &&
				    !json_is_true(json_object_get(row, "other"))) err =
		add_row(s, row, p, span_s, second);
	return err;
}

static struct place place_json(const json_t *o)
{
	return (struct place){ .function =
				       *diff_text(o, "function") ? diff_text(o, "function") : NULL,
			       .file = diff_text(o, "file"),
			       .line = (int)json_integer_value(json_object_get(o, "line")) };
}

static void cell_number(struct grid *t, enum column_type unit, double v, const char *sign)
{
	char text[HUMAN_MAX], cell[HUMAN_MAX + 2];

	snprintf(cell, sizeof(cell), "%s%s", sign,
		 unit == COLUMN_BYTES ? human_bytes(v, text)
		 : unit == COLUMN_NS  ? human_seconds(v / 1e9, text)
				      : human_count((uint64_t)ceil(v), text));
	grid_cell(t, cell);
}

/* Of so few durations there is no percentile to compare with. */
static bool has_value(const struct diff_part *p, const json_t *row)
{
	return !row || !p->value->timed_at || json_object_get(row, p->value->key);
}

static bool is_change(const struct diff_part *p, const struct diff_item *i)
{
	double by = fabs(i->after - i->before), most = fmax(i->after, i->before);

	if (p->table->diff_of)
		return diff_is_share_change(p, i);
	return has_value(p, i->a) && has_value(p, i->b) && diff_change_of(i) != SAME &&
	       by > (p->value->type == COLUMN_NS ? NS_SHARE
		     : p->table->diff_per_s      ? RATE_SHARE
						 : 0) *
			       most;
}

#define MAX_FRAMES 128 /* of a stack that are looked at */

/* A stack's place: its first frame in the program's own code, as in the report. */
static struct place stack_place(const json_t *stack)
{
	struct place frame[MAX_FRAMES];
	const struct place *line[MAX_FRAMES];
	int n = 0, at;

	while (n < MAX_FRAMES && (size_t)n < json_array_size(stack)) {
		frame[n] = place_json(json_array_get(stack, (size_t)n));
		line[n] = &frame[n];
		n++;
	}
	at = place_pick(line, n);
	return at >= 0 ? frame[at] : n ? frame[0] : (struct place){ 0 };
}

static void add_name(struct buf *out, const char *name)
{
	char clean[240];

	if (*name)
		buf_printf(out, "%s%s", out->len ? " " : "",
			   words_fit(name, 48, clean, sizeof(clean)));
}

/* "dns api:443", "chan receive at main.worker work.go:57" */
static void name_row(const struct table *t, const json_t *row, struct buf *out)
{
	struct place place = { 0 };
	const struct column *c;

	for (int id = 1; (c = name_column(t, id)); id++) {
		if (c->type == COLUMN_PLACE)
			place = place_json(c->flat ? row : json_object_get(row, c->key));
		else if (c->type == COLUMN_STACK)
			place = stack_place(json_object_get(row, c->key));
		else
			add_name(out, diff_text(row, c->key));
	}
	if (place.function || !out->len) {
		buf_puts(out, out->len ? " at " : "");
		sentence_place(out, &place, "?");
	}
}

static void print_numbers(struct grid *t, const struct diff_part *p, const struct diff_item *i)
{
	double by = i->after - i->before;

	grid_cell(t, diff_change_word[diff_change_of(i)]);
	cell_number(t, p->value->type, i->before, "");
	cell_number(t, p->value->type, i->after, "");
	cell_number(t, p->value->type, fabs(by), by < 0 ? "-" : "+");
}

static void print_row(struct grid *t, const struct diff_part *p, const struct diff_item *i)
{
	struct buf at;

	(p->table->diff_of ? diff_print_shares : print_numbers)(t, p, i);
	buf_init(&at, 4096);
	name_row(p->table, i->b ? i->b : i->a, &at);
	grid_cell(t, at.data ? at.data : "");
	buf_deinit(&at);
}

static void print_head(const struct diff_part *p, size_t changed, size_t n, struct buf *out)
{
	buf_printf(out, "\n%s", p->table->diff_title);
	if (p->table->diff_of)
		buf_printf(out, " (shares of %.0f and %.0f samples)", p->of[0], p->of[1]);
	buf_printf(out, ": %zu of %zu changed\n", changed, n);
}

static int table(const json_t *a, const json_t *b, struct diff_part *p, int columns,
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
	if (p->table->diff_of) {
		diff_read_shares(p, a, 0);
		diff_read_shares(p, b, 1);
	}
	err = add_rows(&s, a, p, false);
	if (!err)
		err = add_rows(&s, b, p, true);
	if (s.n)
		qsort(s.v, s.n, sizeof(*s.v), by_change);
	for (size_t i = 0; i < s.n; i++)
		changed += is_change(p, &s.v[i]);
	if (s.n)
		print_head(p, changed, s.n, out);
	grid_init(&t, column, ARRAY_SIZE(column));
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
	buf_printf(&line, "%s pid %lld at %s, and pid %lld at %s", diff_text(tb, "exe"),
		   (long long)json_integer_value(json_object_get(ta, "pid")), diff_text(a, "time"),
		   (long long)json_integer_value(json_object_get(tb, "pid")), diff_text(b, "time"));
	wrap_text(out, line.data ? line.data : "", 0, 2, columns, 2);
	buf_reset(&line);
	if (strcmp(diff_text(ta, "module"), diff_text(tb, "module")))
		buf_printf(&line, "different programs: '%s' and '%s'", diff_text(ta, "module"),
			   diff_text(tb, "module"));
	else if (strcmp(diff_text(ta, "build_id"), diff_text(tb, "build_id")))
		buf_puts(&line, "different builds of the program: lines may have moved, and what "
				"moved is shown as gone and new");
	if (line.len)
		wrap_text(out, line.data, 0, 2, columns, 2);
	buf_puts(out, "\n");
	buf_deinit(&line);
}

static int compare(const json_t *a, const json_t *b, int columns, struct buf *out)
{
	int err;

	title(a, b, columns, out);
	err = findings(a, b, columns, out);
	for (int i = 0; !err && i < report_nparts; i++) {
		struct diff_part p;

		if (!report_parts[i]->diff_title)
			continue;
		p = part_of(report_parts[i]);
		if (list_of(a, &p) && list_of(b, &p))
			err = table(a, b, &p, columns, out);
	}
	return err ? err : out->err;
}

int report_diff(const char *a, size_t a_len, const char *b, size_t b_len, int columns,
		struct buf *out, struct err *err)
{
	json_t *x = load_last("first", a, a_len, err);
	json_t *y = x ? load_last("second", b, b_len, err) : NULL;
	int code = y ? compare(x, y, columns, out) : -EBADMSG;

	if (y && code)
		err_set(err, code, "the reports cannot be compared: %s", strerror(-code));
	json_decref(x);
	json_decref(y);
	return code;
}
