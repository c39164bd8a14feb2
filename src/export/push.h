/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to an OpenTelemetry collector, by libcurl in a thread of its own: one at a
 * time, in order, over one connection that is kept.  What may be tried again (429, 502,
 * 503, 504, no connection, no answer) is, later and later, or when Retry-After says; what else is
 * refused is given up.  What waits is bounded: the oldest is dropped, and counted.
 *
 * A back end that is gone costs that much memory and nothing more.
 */
#ifndef GOSPECT_EXPORT_PUSH_H
#define GOSPECT_EXPORT_PUSH_H

#include "base/buf.h"
#include "base/err.h"
#include "export/metric.h"
#include "export/otlp.h"

#define PUSH_MAX_WAIT_S 300 /* also when Retry-After says more */

struct push;

/* To config->otlp.endpoint, with its headers; nothing is borrowed. */
int push_open(struct push **out, const struct host_config *c, struct err *err);
/* Compresses and queues; it is dropped and counted when there is no memory. */
void push_add(struct push *p, enum otlp_signal signal, const struct buf *body);
void push_stats(struct push *p, struct export_stats *out);
/* Sends what waits, each once, for at most so long; NULL is fine. */
void push_close(struct push *p, unsigned int wait_ms);

/* "120", or a date of HTTP: seconds from now, at most PUSH_MAX_WAIT_S; < 0: neither. */
double push_retry_after(const char *header, uint64_t real_ns);

#endif
