/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of what the machine code shows, described (model/schema.h). */
#ifndef GOSPECT_LINT_TABLES_H
#define GOSPECT_LINT_TABLES_H

#include "model/schema.h"

extern const struct table no_timeout_rows; /* struct no_timeout */
extern const struct table typed_nil_rows;  /* struct typed_nil */

#endif
