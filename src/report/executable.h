/* SPDX-License-Identifier: BSD-2-Clause */
/* What reports on an executable's code say of it: EXECUTABLE_COLUMNS(). */
#ifndef GOSPECT_REPORT_EXECUTABLE_H
#define GOSPECT_REPORT_EXECUTABLE_H

#include <stdbool.h>

struct gobin;

/* Strings are the executable's; NULL: not known. */
struct executable_facts {
	const char *go, *arch, *build_id, *module, *module_version;
	bool stripped, pie;
};

struct executable_facts executable_facts(const struct gobin *gb);

#endif
