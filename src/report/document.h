/* SPDX-License-Identifier: BSD-2-Clause */
/* The report as a whole, described (model/schema.h): the JSON object, and what people see of it. */
#ifndef GOSPECT_REPORT_DOCUMENT_H
#define GOSPECT_REPORT_DOCUMENT_H

#include "model/schema.h"

/* What an executable is, as struct S says it, in members of these names. */
/* IN: the member that they are in, with its dot; or nothing. */
#define EXECUTABLE_COLUMNS(S, IN)                                                             \
	TEXT(S, IN go, "go", "release of Go; absent where the build info is missing",         \
	     .flags = COLUMN_SOMETIMES),                                                      \
		TEXT(S, IN arch, "arch", "as GOARCH", .flags = COLUMN_SOMETIMES),             \
		FLAG(S, IN stripped, "stripped", "without symbols"),                          \
		FLAG(S, IN pie, "pie", "position-independent"),                               \
		TEXT(S, IN build_id, "build_id", "Go's build id", .flags = COLUMN_SOMETIMES), \
		TEXT(S, IN module, "module", "path of the main module",                       \
		     .flags = COLUMN_SOMETIMES),                                              \
		TEXT(S, IN module_version, "module_version", "its version",                   \
		     .flags = COLUMN_SOMETIMES)

extern const struct table report_document; /* struct report is its row */

extern const struct table report_findings; /* struct finding is its row */

/* What people see, in order: where one looks first comes first. */
extern const struct table *const report_parts[];
extern const int report_nparts;

/* Appends the JSON Schema (draft 2020-12) of the description; buf->err. */
void report_json_schema(struct buf *out);

/* Each table once, the report first, what `gospect leaks` and `lint` print last: fn is called before it goes into its columns. */
void schema_tables(void (*fn)(const struct table *t, bool has_rest, void *arg), void *arg);
/* Whether the member is in every row; in the sum of the rest, too. */
bool schema_always(const struct column *c);

#endif
