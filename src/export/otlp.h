/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metrics and findings as OTLP writes them in JSON: for each process a resource, with
 * names of the semantic conventions; findings as log records "gospect.finding".
 * In pieces of about a megabyte each.  Knows nothing of sending.
 */
#ifndef GOSPECT_EXPORT_OTLP_H
#define GOSPECT_EXPORT_OTLP_H

#include "base/buf.h"
#include "export/metric.h"

enum otlp_signal { OTLP_METRICS, OTLP_LOGS, OTLP_SIGNALS };

/* Takes one piece, whole: a request's body. */
typedef void (*otlp_take_fn)(void *arg, enum otlp_signal signal, const struct buf *body);

/* All metrics of the view: 0, or -ENOMEM, and then some are missing. */
int otlp_metrics(const struct host_config *c, const struct view *v,
		 const struct export_stats *stats, otlp_take_fn take, void *arg);
/* What happened to findings since the view before; takes nothing when nothing did. */
int otlp_events(const struct host_config *c, const struct view *v, otlp_take_fn take, void *arg);

#endif
