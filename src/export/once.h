/* SPDX-License-Identifier: BSD-2-Clause */
/* A view for people: a table of all processes, and what was found in each. */
#ifndef GOSPECT_EXPORT_ONCE_H
#define GOSPECT_EXPORT_ONCE_H

#include "agent/view.h"
#include "report/report.h"

/* Appends; out->err tells. */
void once_text(const struct view *v, const struct report_text_options *o, struct buf *out);
/* What happened to a finding, as one line. */
void once_event(const struct view_event *e, struct buf *out);

#endif
