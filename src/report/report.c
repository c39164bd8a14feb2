/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <string.h>

void report_deinit(struct report *r)
{
	window_deinit(&r->window);
	findings_deinit(&r->findings);
}

struct report report_move(struct report *from)
{
	struct report to = *from;

	memset(from, 0, sizeof(*from));
	return to;
}
