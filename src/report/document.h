/* SPDX-License-Identifier: BSD-2-Clause */
/* The report as a whole, described (model/schema.h): the JSON object, and what people see of it. */
#ifndef GOSPECT_REPORT_DOCUMENT_H
#define GOSPECT_REPORT_DOCUMENT_H

#include "model/schema.h"

extern const struct table report_document; /* struct report is its row */

/* What people see, in order: where one looks first comes first. */
extern const struct table *const report_parts[];
extern const int report_nparts;

/* "exact", …, "off"; static. */
extern const char *const coverage_word[5];

#endif
