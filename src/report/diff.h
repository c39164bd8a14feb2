/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two reports of one program compared: what appeared, grew, shrank, went away.
 * Findings are matched by id, goroutines by creation site, stacks, and memory
 * by place.
 */
#ifndef GOSPECT_REPORT_DIFF_H
#define GOSPECT_REPORT_DIFF_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * The last report in the text of each file (one object a line), compared, as
 * text of `columns` columns.  0; -EBADMSG with err when one is no report;
 * -ENOMEM, -ENOSPC.
 */
int report_diff(const char *a, size_t a_len, const char *b, size_t b_len, int columns,
		struct buf *out, struct err *err);

#endif
