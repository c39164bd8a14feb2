/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of what watchpoints showed, described (model/schema.h). */
#ifndef GOSPECT_RACE_TABLES_H
#define GOSPECT_RACE_TABLES_H

#include "model/schema.h"

extern const struct table shared_memory_rows; /* struct word_watch * */
extern const struct table shared_access_rows; /* struct shared_access; a table for people */
extern const struct table watched_object;     /* struct race */

#endif
