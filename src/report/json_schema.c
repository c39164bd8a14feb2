/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/tables.h"
#include "report/document.h"
#include "report/lint.h"
#include "report/race.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "model/finding.h"
#include "report/report.h"

#define MAX_TABLES 96

/* ---- every table ---- */

struct visit {
	const struct table *seen[MAX_TABLES];
	int n;
	void (*fn)(const struct table *t, bool has_rest, void *arg);
	void *arg;
};

static void visit(struct visit *v, const struct table *t, bool has_rest)
{
	for (int i = 0; i < v->n; i++)
		if (v->seen[i] == t)
			return;
	if (v->n == MAX_TABLES || t->bare)
		return;
	v->seen[v->n++] = t;
	v->fn(t, has_rest, v->arg);
	for (int i = 0; i < t->ncolumn; i++) {
		const struct column *c = &t->column[i];

		if (c->key && c->sub)
			visit(v, c->sub,
			      c->type == COLUMN_ROWS && !(c->flags & COLUMN_STREAM) &&
				      !c->sub->total);
	}
}

void schema_tables(void (*fn)(const struct table *t, bool has_rest, void *arg), void *arg)
{
	struct visit v = { .fn = fn, .arg = arg };

	visit(&v, &report_document, false);
	visit(&v, &leaked_goroutines, false);
	visit(&v, &lint_document, false);
	visit(&v, &race_document, false);
}

bool schema_always(const struct column *c)
{
	switch (c->type) {
	case COLUMN_GOID:
	case COLUMN_TIME:
	case COLUMN_HOST:
	case COLUMN_AGE:
	case COLUMN_MOST:
	case COLUMN_LIMIT:
	case COLUMN_KNOWN:
	case COLUMN_PLACE:
		return false;
	default:
		return !c->known && !c->known_at && !c->timed_at &&
		       !(c->flags & (COLUMN_ABSENT_0 | COLUMN_SOMETIMES | COLUMN_POSITIVE));
	}
}

/* ---- types ---- */

static json_t *plain(const char *type)
{
	return json_pack("{s:s}", "type", type);
}

static json_t *positive(void)
{
	return json_pack("{s:s,s:i}", "type", "integer", "minimum", 0);
}

static json_t *ref(const char *name)
{
	return json_pack("{s:o}", "$ref", json_sprintf("#/$defs/%s", name));
}

static json_t *list_of(json_t *items)
{
	return json_pack("{s:s,s:o}", "type", "array", "items", items);
}

static json_t *words(const char *const *word, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_string(word[i]));
	return json_pack("{s:o}", "enum", list);
}

static json_t *rows_type(const struct column *c)
{
	const struct column *first = c->sub->column;

	if (!c->sub->bare)
		return list_of(ref(c->sub->name));
	return list_of(first->type == COLUMN_COUNT ? positive() : plain("string"));
}

static json_t *type_of(const struct column *c)
{
	switch (c->type) {
	case COLUMN_COUNT:
	case COLUMN_BYTES:
	case COLUMN_NS:
	case COLUMN_GOID:
	case COLUMN_MOST:
		return positive();
	case COLUMN_INTEGER:
	case COLUMN_INT:
		return c->flags & COLUMN_NULL ? json_pack("{s:[s,s]}", "type", "integer", "null")
					      : plain("integer");
	case COLUMN_REAL:
	case COLUMN_AGE:
		return plain("number");
	case COLUMN_LIMIT:
		return json_pack("{s:[s,s]}", "type", "number", "null");
	case COLUMN_FLAG:
		return c->flags & COLUMN_ABSENT_0 ? json_pack("{s:b}", "const", 1)
						  : plain("boolean");
	case COLUMN_KNOWN:
		return plain("boolean");
	case COLUMN_TIME:
		return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
	case COLUMN_ADDRESS:
		return json_pack("{s:s,s:s}", "type", "string", "pattern", "^0x[0-9a-f]+$");
	case COLUMN_WORD:
		return words(c->word, c->nword);
	case COLUMN_PLACE:
		return ref("place");
	case COLUMN_EXACTNESS:
		return words(exactness_word, OFF);
	case COLUMN_STACK:
		return list_of(ref("place"));
	case COLUMN_PAIRS:
		return json_pack("{s:s,s:{s:[s,s]}}", "type", "object", "additionalProperties",
				 "type", "number", "string");
	case COLUMN_OBJECT:
		return ref(c->sub->name);
	case COLUMN_ROWS:
		return rows_type(c);
	default:
		return plain("string");
	}
}

/* ---- objects ---- */

static void put_place(json_t *properties)
{
	json_object_set_new(properties, "function", plain("string"));
	json_object_set_new(properties, "in", plain("string"));
	json_object_set_new(properties, "file", plain("string"));
	json_object_set_new(properties, "line",
			    json_pack("{s:s,s:i}", "type", "integer", "minimum", 1));
}

static void put_column(json_t *properties, const struct column *c)
{
	static const char *const age[] = { "exact", "at_least" };
	json_t *type;

	if (c->flat) {
		put_place(properties);
		return;
	}
	type = type_of(c);
	json_object_set_new(type, "description", json_string(c->what));
	json_object_set_new(properties, c->key, type);
	if (c->type == COLUMN_AGE)
		json_object_set_new(properties, c->age_key ? c->age_key : "age", words(age, 2));
	if (c->type == COLUMN_EXACTNESS && c->kind_at)
		json_object_set_new(properties, "rate",
				    json_pack("{s:s,s:i,s:i}", "type", "number", "minimum", 0,
					      "maximum", 1));
}

/* What every row has; rows that are no sum have `whole`, too. */
static void put_required(json_t *def, json_t *always, json_t *whole, bool has_rest)
{
	if (!has_rest)
		json_array_extend(always, whole);
	else if (json_array_size(whole))
		json_object_set_new(def, "anyOf",
				    json_pack("[{s:[s]},{s:O}]", "required", "other", "required",
					      whole));
	json_object_set(def, "required", always);
}

static json_t *definition(const struct table *t, bool has_rest)
{
	json_t *def = plain("object"), *properties = json_object(), *always = json_array(),
	       *whole = json_array();

	if (t->what)
		json_object_set_new(def, "description", json_string(t->what));
	if (has_rest)
		json_object_set_new(properties, "other",
				    json_pack("{s:b,s:s}", "const", 1, "description",
					      "the sum of the rows beyond 1,000"));
	for (int i = 0; i < t->ncolumn; i++) {
		const struct column *c = &t->column[i];

		if (!c->key)
			continue;
		put_column(properties, c);
		if (schema_always(c))
			json_array_append_new(c->flags & COLUMN_NO_REST ? whole : always,
					      json_string(c->key));
	}
	json_object_set_new(def, "properties", properties);
	put_required(def, always, whole, has_rest);
	json_decref(always);
	json_decref(whole);
	return def;
}

static void put_definition(const struct table *t, bool has_rest, void *arg)
{
	json_object_set_new(arg, t->name, definition(t, has_rest));
}

void report_json_schema(struct buf *out)
{
	json_t *defs = json_object(), *properties = json_object(), *root;
	char *text;

	put_place(properties);
	json_object_set_new(defs, "place",
			    json_pack("{s:s,s:o}", "type", "object", "properties", properties));
	schema_tables(put_definition, defs);
	root = json_pack("{s:s,s:s,s:s,s:s,s:o}", "$schema",
			 "https://json-schema.org/draft/2020-12/schema", "$id",
			 "urn:" REPORT_SCHEMA, "title", REPORT_SCHEMA, "$ref", "#/$defs/report",
			 "$defs", defs);
	text = json_dumps(root, JSON_INDENT(1));
	if (text)
		buf_printf(out, "%s\n", text);
	else
		out->err = -ENOMEM;
	free(text);
	json_decref(root);
}
