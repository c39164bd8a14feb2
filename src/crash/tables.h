/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables about the end of the process, described (model/schema.h). */
#ifndef GOSPECT_CRASH_TABLES_H
#define GOSPECT_CRASH_TABLES_H

#include "model/schema.h"

extern const struct table crash_object, crash_summary, shutdown_object, shutdown_summary,
	panic_sites;

#endif
