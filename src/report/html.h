/* SPDX-License-Identifier: BSD-2-Clause */
/* The report as one self-contained HTML file with a graph of the goroutines. */
#ifndef GOSPECT_REPORT_HTML_H
#define GOSPECT_REPORT_HTML_H

#include "report/report.h"

/* Appends the file.  0, -ENOMEM, -ENOSPC. */
int report_html(const struct report *r, struct buf *out);

#endif
