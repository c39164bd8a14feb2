/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/age.h"

/* ---- values ---- */

static uint64_t count_at(const void *row, size_t at)
{
	return *(const uint64_t *)((const char *)row + at);
}

static int int_at(const void *row, size_t at)
{
	return *(const int *)((const char *)row + at);
}

static double real_at(const void *row, size_t at)
{
	return *(const double *)((const char *)row + at);
}

static void age_value(const struct column *c, const void *row, struct value *v)
{
	v->age = *(const enum age_kind *)((const char *)row + c->kind_at - 1);
	v->real = real_at(row, c->at);
	if (c->of_at && !count_at(row, c->of_at - 1)) {
		v->age = AGE_EXACT;
		v->real = 0;
	}
	if (v->age == AGE_UNKNOWN)
		v->is = VALUE_ABSENT;
}

static void exactness_value(const struct column *c, const void *row, struct value *v)
{
	v->exactness = *(const enum exactness *)((const char *)row + c->at);
	if (c->kind_at && v->exactness == SAMPLED)
		v->rate = real_at(row, c->kind_at - 1);
}

static void known_value(enum known k, bool none_is_null, struct value *v)
{
	if (!none_is_null)
		v->flag = k == KNOWN_YES;
	if (k == UNKNOWN || (none_is_null && k == KNOWN_NO))
		v->is = k == UNKNOWN ? VALUE_ABSENT : VALUE_NULL;
}

int schema_stack(const struct column *c, const struct row *r, const struct place **line, int max)
{
	const char *at = (const char *)r->row + c->at;
	int n = 0, have;

	if (r->nrest)
		return 0;
	if (c->stacks)
		return stack_lines(c->stacks(r->w), *(const uint32_t *)at, line, max);
	have = int_at(r->row, c->kind_at - 1);
	for (; n < have && n < max && n < WINDOW_MAX_STACK; n++)
		line[n] = (const struct place *)at + n;
	return n;
}

/* The part of the window that an object is. */
static void part_value(const struct table *t, const struct row *r, struct value *v)
{
	v->rows.first = t->part(r->w);
	v->rows.n = 1;
	if (!v->rows.first)
		v->is = VALUE_ABSENT;
}

static void word_value(const struct column *c, int n, struct value *v)
{
	v->text = n >= 0 && n < c->nword ? c->word[n] : NULL;
}

static void rows_value(const struct column *c, const void *at, const void *row, struct value *v)
{
	bool inside = c->flags & COLUMN_INSIDE;

	v->rows.first = inside ? at : *(const void *const *)at;
	v->rows.n = c->type == COLUMN_OBJECT ? (v->rows.first != NULL)
					     : (size_t)int_at(row, c->kind_at - 1);
	if (c->type == COLUMN_OBJECT && !v->rows.first)
		v->is = VALUE_ABSENT;
}

static void value_at(const struct column *c, const void *row, struct value *v)
{
	const char *at = (const char *)row + c->at;

	switch (c->type) {
	case COLUMN_COUNT:
	case COLUMN_BYTES:
	case COLUMN_NS:
	case COLUMN_GOID:
	case COLUMN_ADDRESS:
	case COLUMN_TIME:
		v->count = count_at(row, c->at);
		break;
	case COLUMN_INTEGER:
	case COLUMN_MOST:
		v->integer = *(const int64_t *)at;
		break;
	case COLUMN_INT:
		v->integer = int_at(row, c->at);
		break;
	case COLUMN_LIMIT:
		known_value((enum known)int_at(row, c->kind_at - 1), true, v);
		v->real = real_at(row, c->at);
		break;
	case COLUMN_REAL:
		v->real = real_at(row, c->at);
		break;
	case COLUMN_KNOWN:
		known_value((enum known)int_at(row, c->at), false, v);
		break;
	case COLUMN_FLAG:
		v->flag = *(const bool *)at;
		break;
	case COLUMN_TEXT:
		v->text = *(const char *const *)at;
		break;
	case COLUMN_CHARS:
	case COLUMN_HOST:
		v->text = at;
		break;
	case COLUMN_WORD:
		word_value(c, int_at(row, c->at), v);
		break;
	case COLUMN_PLACE:
		v->place = (const struct place *)at;
		break;
	case COLUMN_AGE:
		age_value(c, row, v);
		break;
	case COLUMN_EXACTNESS:
		exactness_value(c, row, v);
		break;
	case COLUMN_OBJECT:
	case COLUMN_ROWS:
		rows_value(c, at, row, v);
		break;
	case COLUMN_NONE:
	case COLUMN_STACK:
	case COLUMN_PAIRS:
		break;
	}
}

/* A value that says by itself that it is not known, or that is not worth saying. */
static bool is_absent(const struct column *c, const struct value *v)
{
	bool absent_0 = c->flags & COLUMN_ABSENT_0;

	switch (c->type) {
	case COLUMN_GOID:
	case COLUMN_TIME:
		return !v->count;
	case COLUMN_COUNT:
	case COLUMN_BYTES:
	case COLUMN_NS:
		return absent_0 && !v->count;
	case COLUMN_INTEGER:
	case COLUMN_INT:
		return absent_0 && !v->integer;
	case COLUMN_MOST:
		return v->integer < 0;
	case COLUMN_REAL:
		return (absent_0 && !v->real) || (c->flags & COLUMN_POSITIVE && v->real < 0);
	case COLUMN_FLAG:
		return absent_0 && !v->flag;
	case COLUMN_HOST:
		return !*v->text;
	case COLUMN_TEXT:
	case COLUMN_CHARS:
	case COLUMN_WORD:
		return !v->text || (absent_0 && !*v->text);
	case COLUMN_PLACE:
		return !c->flat && !v->place->function;
	default:
		return false;
	}
}

static bool flag_at(const void *row, size_t at)
{
	return *(const bool *)((const char *)row + at);
}

static bool is_known(const struct column *c, const struct row *r)
{
	return (!c->known || c->known(r)) && (!c->known_at || flag_at(r->row, c->known_at - 1)) &&
	       (!c->timed_at || count_at(r->row, c->timed_at - 1) >= c->least) &&
	       !(r->nrest && c->flags & COLUMN_NO_REST);
}

void schema_value(const struct column *c, const struct row *r, struct value *v)
{
	memset(v, 0, sizeof(*v));
	if (!is_known(c, r))
		return;
	v->is = VALUE_THERE;
	if (c->get)
		c->get(r, v);
	else if (c->type == COLUMN_OBJECT && c->sub->part)
		part_value(c->sub, r, v);
	else
		value_at(c, r->row, v);
	if (v->is == VALUE_THERE && is_absent(c, v))
		v->is = VALUE_ABSENT;
}

static const struct column id_column[] = {
	{ .type = COLUMN_COUNT, .what = "id" },
};

const struct table schema_ids = {
	.name = "id",
	.bare = true,
	TABLE_ROWS(uint64_t, id_column),
};

void schema_exact(const struct row *r, struct value *v)
{
	(void)r;
	v->exactness = EXACT;
}

/* ---- sums ---- */

static void add_age(const struct column *c, char *sum, const void *row)
{
	age_max((double *)(sum + c->at), (enum age_kind *)(sum + c->kind_at - 1),
		real_at(row, c->at), (enum age_kind)int_at(row, c->kind_at - 1));
}

/* The worst of them; the rate of a sum is that of its least sampled part. */
static void add_exactness(const struct column *c, char *sum, const void *row)
{
	enum exactness *e = (enum exactness *)(sum + c->at);
	enum exactness other = *(const enum exactness *)((const char *)row + c->at);

	if (c->kind_at && other == SAMPLED) {
		double *rate = (double *)(sum + c->kind_at - 1),
		       other_rate = real_at(row, c->kind_at - 1);

		if (*e != SAMPLED || other_rate < *rate)
			*rate = other_rate;
	}
	if (other > *e)
		*e = other;
}

static void add_count(const struct column *c, char *sum, const void *row)
{
	uint64_t *n = (uint64_t *)(sum + c->at), other = count_at(row, c->at);

	if (!(c->flags & COLUMN_MAX_REST))
		*n += other;
	else if (other > *n)
		*n = other;
}

static void add_column(const struct column *c, char *sum, const void *row)
{
	if (c->known_at)
		*(bool *)(sum + c->known_at - 1) |= flag_at(row, c->known_at - 1);
	if (c->get || c->flags & COLUMN_NO_REST)
		return;
	switch (c->type) {
	case COLUMN_COUNT:
	case COLUMN_BYTES:
	case COLUMN_NS:
		add_count(c, sum, row);
		break;
	case COLUMN_INTEGER:
		*(int64_t *)(sum + c->at) += *(const int64_t *)((const char *)row + c->at);
		break;
	case COLUMN_FLAG:
		*(bool *)(sum + c->at) |= flag_at(row, c->at);
		break;
	case COLUMN_AGE:
		add_age(c, sum, row);
		break;
	case COLUMN_EXACTNESS:
		add_exactness(c, sum, row);
		break;
	default: /* names and places of many rows are none of the sum's */
		break;
	}
}

static int add_row(struct rows *rows, struct row *rest, const struct row *r)
{
	const struct table *t = rows->table;
	bool first = !rows->sum;

	if (first)
		rows->sum = calloc(1, t->size);
	if (!rows->sum)
		return -ENOMEM;
	for (int i = 0; i < t->ncolumn; i++)
		add_column(&t->column[i], rows->sum, r->row);
	*rest = (struct row){ r->w, rows->sum, r->owner, rest->nrest + 1 };
	return t->add ? t->add(rows->sum, r->row, first) : 0;
}

/* ---- rows ---- */

static bool is_other(const struct table *t, const void *row)
{
	return t->other_at && flag_at(row, t->other_at - 1);
}

/* How many rows are shown one by one. */
static size_t fitting(const struct rows *rows, size_t max, uint64_t more)
{
	size_t nother = more > 0, n;

	for (size_t i = 0; i < rows->n; i++)
		nother += is_other(rows->table, rows->row[i].row);
	n = rows->n - (nother - (more > 0));
	return n > max || (nother && n == max) ? max - 1 : n;
}

/* Leaves max rows, the sum of the others the last of them; `more` are not even here. */
static int cut(struct rows *rows, size_t max, uint64_t more)
{
	size_t fit = fitting(rows, max, more), taken = 0;
	struct row rest = { .nrest = more };
	int err = 0;

	for (size_t i = 0; i < rows->n && !err; i++) {
		if (taken < fit && !is_other(rows->table, rows->row[i].row))
			rows->row[taken++] = rows->row[i];
		else
			err = add_row(rows, &rest, &rows->row[i]);
	}
	if (more && !rest.row && !err) {
		rest.w = rows->row[0].w;
		rest.row = rows->sum = calloc(1, rows->table->size);
		err = rest.row ? 0 : -ENOMEM;
	}
	if (rest.nrest && !err)
		rows->row[taken++] = rest;
	rows->n = taken;
	return err;
}

static void take(struct rows *rows, const struct window *w, const void *owner,
		 const struct value *v)
{
	for (size_t i = 0; i < v->rows.n; i++)
		rows->row[rows->n++] = (struct row){
			.w = w,
			.row = (const char *)v->rows.first + i * rows->table->size,
			.owner = owner,
		};
}

static int room(struct rows *rows, const struct table *t, size_t n)
{
	memset(rows, 0, sizeof(*rows));
	rows->table = t;
	rows->row = n ? calloc(n, sizeof(*rows->row)) : NULL;
	return n && !rows->row ? -ENOMEM : 0;
}

static int cut_or_none(struct rows *rows, size_t max, uint64_t more)
{
	int err = max && rows->n ? cut(rows, max, more) : 0;

	if (err || !max)
		rows_deinit(rows);
	return err;
}

int rows_init(struct rows *rows, const struct table *t, const struct window *w, const void *owner,
	      const struct value *v, size_t max)
{
	int err = room(rows, t, v->rows.n);

	if (err)
		return err;
	take(rows, w, owner, v);
	if (t->most && t->most(w) < max)
		max = t->most(w);
	if (t->total && rows->n > max)
		rows->n = max; /* the total says how many there are */
	return cut_or_none(rows, max, 0);
}

/* The list t in a row of what it is a member of. */
static void list_value(const struct table *t, const struct row *r, struct value *v)
{
	for (int i = 0; i < t->of->ncolumn; i++) {
		if (t->of->column[i].sub != t)
			continue;
		schema_value(&t->of->column[i], r, v);
		if (v->is != VALUE_THERE)
			v->rows.n = 0;
		return;
	}
}

/* The window's rows of the list. */
static void window_value(const struct table *t, const struct window *w, struct value *v)
{
	const struct row r = { .w = w, .row = t->of->part(w) };

	memset(v, 0, sizeof(*v));
	if (r.row)
		list_value(t, &r, v);
}

bool table_any(const struct table *t, const struct window *w)
{
	struct value v = { 0 };

	if (t->any)
		return t->any(w);
	if (t->with_part)
		return t->of->part(w);
	window_value(t, w, &v);
	return v.rows.n;
}

/* The rows of each row's own list. */
static int rows_of_lists(struct rows *rows, const struct table *t, const struct window *w)
{
	struct value owners, v;
	size_t n = 0;
	int err;

	window_value(t->of, w, &owners);
	for (int fill = 0; fill < 2; fill++) {
		err = fill ? room(rows, t, n) : 0;
		for (size_t i = 0; !err && i < owners.rows.n; i++) {
			struct row r = { .w = w,
					 .row = (const char *)owners.rows.first + i * t->of->size };

			list_value(t, &r, &v);
			n += v.rows.n;
			if (fill)
				take(rows, w, r.row, &v);
		}
	}
	return err;
}

static int rows_of_object(struct rows *rows, const struct table *t, const struct window *w)
{
	struct value v;
	int err;

	window_value(t, w, &v);
	err = room(rows, t, v.rows.n + 1);
	if (!err)
		take(rows, w, NULL, &v);
	return err;
}

int rows_of_window(struct rows *rows, const struct table *t, const struct window *w, size_t max)
{
	uint64_t total;
	int err;

	err = t->of->part ? rows_of_object(rows, t, w) : rows_of_lists(rows, t, w);
	if (err)
		return err;
	if (t->sort && rows->n)
		t->sort(rows->row, rows->n);
	total = t->total ? t->total(w) : 0;
	return cut_or_none(rows, max, total > rows->n ? total - rows->n : 0);
}

void rows_deinit(struct rows *rows)
{
	if (rows->sum && rows->table->free_sum)
		rows->table->free_sum(rows->sum);
	free(rows->sum);
	free(rows->row);
	memset(rows, 0, sizeof(*rows));
}

/* ---- redaction ---- */

void schema_hosts(const struct table *t, void *row, void (*fn)(char *host, const void *arg),
		  const void *arg)
{
	for (int i = 0; i < t->ncolumn; i++) {
		const struct column *c = &t->column[i];
		struct value v = { .is = VALUE_THERE };

		if (c->type == COLUMN_HOST)
			fn((char *)row + c->at, arg);
		if ((c->type != COLUMN_ROWS && c->type != COLUMN_OBJECT) || c->get || c->sub->part)
			continue;
		value_at(c, row, &v);
		for (size_t k = 0; k < v.rows.n; k++)
			schema_hosts(c->sub, (char *)v.rows.first + k * c->sub->size, fn, arg);
	}
}
