/* SPDX-License-Identifier: BSD-2-Clause */
/* What is served as JSON under /api/v1: processes, and findings that are open or were. */
#ifndef GOSPECT_EXPORT_API_H
#define GOSPECT_EXPORT_API_H

#include "base/buf.h"
#include "agent/view.h"

#define CLOSED_MAX    1000
#define CLOSED_MAX_NS (24ull * 3600 * 1000000000) /* a day */

/* Findings that were closed, as JSON, the latest last. */
struct closed_findings {
	struct {
		uint64_t real_ns;
		char *json; /* owned */
	} row[CLOSED_MAX];
	size_t n;
};

void closed_deinit(struct closed_findings *c);
/* Those that the view closes; the oldest, and those from before a day, give way. */
void closed_add(struct closed_findings *c, const struct view *v);

/* Each appends one document; out->err tells. */
void api_processes(const struct view *v, struct buf *out);
void api_findings(const struct view *v, const struct closed_findings *closed, struct buf *out);
/* Both, without those that were closed. */
void api_all(const struct view *v, struct buf *out);
/* What happened to a finding, on a line. */
void api_event(const struct view_event *e, struct buf *out);
/* The last walk of a process, as gospect.report/1: 0, -ENOENT: no such process, -ENODATA:
 * it was not walked yet. */
int api_process(const struct view *v, uint64_t key, struct buf *out);

#endif
