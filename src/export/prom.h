/* SPDX-License-Identifier: BSD-2-Clause */
/* The page of metrics: Prometheus' text format 0.0.4, or OpenMetrics 1.0. */
#ifndef GOSPECT_EXPORT_PROM_H
#define GOSPECT_EXPORT_PROM_H

#include "base/buf.h"
#include "export/metric.h"

enum prom_format { PROM_TEXT, PROM_OPENMETRICS, PROM_FORMATS };
extern const char *const prom_content_type[PROM_FORMATS];

/* Appends the page; out->err tells.  *dropped: series beyond config->max_series, and those
 * that another one has the very labels of. */
void prom_page(enum prom_format format, const struct host_config *c, const struct view *v,
	       const struct export_stats *stats, struct buf *out, uint64_t *dropped);

#endif
