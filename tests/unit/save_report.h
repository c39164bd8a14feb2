/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports of unit tests, for tests/e2e/test_schema.py to validate: no C library does. */
#ifndef TESTS_SAVE_REPORT_H
#define TESTS_SAVE_REPORT_H

#include <stdio.h>
#include <stdlib.h>

#include "report/report.h"

/* As report_json(), and appended to the file that GOSPECT_REPORTS names. */
static void save_report(const struct report *r, struct buf *out)
{
	const char *path = getenv("GOSPECT_REPORTS");
	size_t before = out->len;
	FILE *f;

	report_json(r, out);
	if (!path || out->err)
		return;
	f = fopen(path, "a");
	if (!f || fwrite(out->data + before, 1, out->len - before, f) != out->len - before ||
	    fclose(f))
		abort();
}

#endif
