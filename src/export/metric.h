/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metrics, described once: name, unit, meaning, and a function that takes the
 * values out of a view.  The page (prom.h) and the push (otlp.h) walk the same
 * descriptions.
 *
 * What is not known has no series; zero is zero.
 */
#ifndef GOSPECT_EXPORT_METRIC_H
#define GOSPECT_EXPORT_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/view.h"
#include "export/config.h"

enum metric_type {
	METRIC_GAUGE,
	METRIC_COUNTER, /* since the start of what it is about; "_total" is added to its name */
	METRIC_AMOUNT, /* a gauge whose sum makes sense: an UpDownCounter by OpenTelemetry's word */
	METRIC_HISTOGRAM /* of seconds, since the start of what it is about */
};

#define METRIC_MAX_COLUMNS 200 /* of a label's value: what is longer loses its middle */

/* By OpenTelemetry's spelling; '.' becomes '_' for Prometheus.  The value is foreign text;
 * "" is no label. */
struct metric_label {
	const char *name, *value;
};

/* Where values go. */
struct metric_sink {
	void (*put)(struct metric_sink *to, double value, const struct metric_label *label, int n);
	void (*histogram)(struct metric_sink *to, const struct golatency_folded *h);
};

/* What went out, and what did not (push.h). */
struct export_stats {
	uint64_t queue_bytes, queue_dropped; /* dropped: requests, since the start */
	uint64_t sent, failed, retried;      /* requests: accepted, given up, tried again */
	uint64_t series_dropped;             /* of the page before */
	bool pushing;
};

/* What values are taken out of. */
struct metric_from {
	const struct host_config *config;
	const struct view *view;
	const struct export_stats *stats;
	const struct view_process *process; /* NULL: of gospect itself */
};

struct metric {
	const char *name; /* of Prometheus, without "_total"; NULL: it is only pushed */
	const char *otlp; /* NULL: it is not pushed */
	enum metric_type type;
	const char *unit; /* of OTLP, UCUM */
	const char *help;
	void (*get)(const struct metric_from *from, struct metric_sink *to);
};

/* In the order of the page: what matters most first, should there be too many series.
 * Each ends with get NULL. */
extern const struct metric metrics_self[];    /* of gospect and the machine: no process */
extern const struct metric metrics_process[]; /* of a process, a few words */
extern const struct metric metrics_walk[];    /* of a process, its goroutines and so on */
extern const struct metric metrics_probes[];  /* of a process, while probes were armed */
extern const struct metric metrics_latency[]; /* of a process, its histograms */

static inline void metric_put(struct metric_sink *to, double value)
{
	to->put(to, value, NULL, 0);
}

static inline void metric_put1(struct metric_sink *to, double value, const char *name,
			       const char *label)
{
	struct metric_label l = { name, label };

	to->put(to, value, &l, 1);
}

/* ---- who it is about ---- */

#define METRIC_INSTANCE_MAX 680

/* A process with the id by which its series are told apart: where several have the same one,
 * all but the oldest have their pid behind it. */
struct metric_target {
	const struct view_process *process;
	char instance[METRIC_INSTANCE_MAX];
};

/* One for each process with totals or findings, in the view's order; owned by the caller.  NULL with *n 0:
 * none, or no memory (*n SIZE_MAX). */
struct metric_target *metric_targets(const struct view *v, size_t *n);
/* Its identity and the configured labels; returns how many, at most METRIC_MAX_IDENTITY. */
#define METRIC_MAX_IDENTITY (6 + CONFIG_MAX_PAIRS)
int metric_identity(const struct metric_target *t, const struct host_config *c,
		    struct metric_label *out);
/* What else is known of it: of no series, but in gospect_target_info and in OTLP's resource. */
#define METRIC_MAX_DESCRIPTION 8
int metric_description(const struct view_process *p, struct metric_label *out);

#endif
