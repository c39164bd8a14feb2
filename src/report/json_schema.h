/* SPDX-License-Identifier: BSD-2-Clause */
/* The report's JSON Schema (draft 2020-12), from its description. */
#ifndef GOSPECT_REPORT_JSON_SCHEMA_H
#define GOSPECT_REPORT_JSON_SCHEMA_H

#include "base/buf.h"
#include "model/schema.h"

/* Appends the schema; buf->err. */
void report_json_schema(struct buf *out);

/* Each table once, the report first: fn is called before it goes into its columns. */
void schema_tables(void (*fn)(const struct table *t, bool has_rest, void *arg), void *arg);
/* Whether the member is in every row; in the sum of the rest, too. */
bool schema_always(const struct column *c);

#endif
