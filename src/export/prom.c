/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/prom.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/text.h"

#define IDENTITY_MAX_BYTES (256u << 10)
#define FAMILY_MAX_BYTES   (64u << 20)

const char *const prom_content_type[PROM_FORMATS] = {
	[PROM_TEXT] = "text/plain; version=0.0.4; charset=utf-8",
	[PROM_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/* One family while it is written. */
struct writer {
	struct metric_sink sink; /* first: put() finds the writer by it */
	enum prom_format format;
	const struct metric *metric;
	const char *identity; /* of the process, escaped, "" or ending with a comma */
	struct buf rows;      /* of this family */
	struct buf labels;    /* of this row */
	struct bytesmap seen; /* labels of this family's rows */
	uint64_t left;        /* series that may still be written */
	uint64_t dropped;
};

static void put_value(struct buf *out, double v)
{
	if (isnan(v))
		buf_puts(out, "NaN");
	else if (isinf(v))
		buf_puts(out, v > 0 ? "+Inf" : "-Inf");
	else if (v == floor(v) && fabs(v) < 9e15)
		buf_printf(out, "%.0f", v);
	else
		buf_printf(out, "%.12g", v);
}

/* name="value", — nothing for an empty value. */
static void put_label(struct buf *out, const struct metric_label *l)
{
	char clean[METRIC_MAX_COLUMNS * 8];

	if (!*l->value)
		return;
	for (const char *s = l->name; *s; s++)
		buf_add(out, *s == '.' ? "_" : s, 1);
	buf_puts(out, "=\"");
	words_fit(l->value, METRIC_MAX_COLUMNS, clean, sizeof(clean));
	for (const char *s = clean; *s; s++)
		if (*s == '\\' || *s == '"')
			buf_printf(out, "\\%c", *s);
		else if (*s == '\n')
			buf_puts(out, "\\n");
		else
			buf_add(out, s, 1);
	buf_puts(out, "\",");
}

static void put_row(struct metric_sink *to, double value, const struct metric_label *label, int n)
{
	struct writer *w = (struct writer *)to;
	bool made = false;

	buf_reset(&w->labels);
	buf_puts(&w->labels, w->identity);
	for (int i = 0; i < n; i++)
		put_label(&w->labels, &label[i]);
	if (w->labels.err) {
		w->dropped++;
		return;
	}
	if (!w->left ||
	    !bytesmap_put(&w->seen, w->labels.len ? w->labels.data : "", w->labels.len, 0, &made) ||
	    !made) {
		w->dropped++;
		return;
	}
	w->left--;
	buf_puts(&w->rows, w->metric->name);
	if (w->metric->type == METRIC_COUNTER)
		buf_puts(&w->rows, "_total");
	if (w->labels.len)
		buf_printf(&w->rows, "{%.*s}", (int)w->labels.len - 1, w->labels.data);
	buf_puts(&w->rows, " ");
	put_value(&w->rows, value);
	buf_puts(&w->rows, "\n");
}

static void put_bucket(struct writer *w, const char *le, uint64_t n)
{
	buf_printf(&w->rows, "%s_bucket{", w->metric->name);
	buf_add(&w->rows, w->labels.len ? w->labels.data : "", w->labels.len);
	buf_printf(&w->rows, "le=\"%s\"} %" PRIu64 "\n", le, n);
}

static void put_total(struct writer *w, const char *what, double value)
{
	buf_printf(&w->rows, "%s_%s", w->metric->name, what);
	if (w->labels.len)
		buf_printf(&w->rows, "{%.*s}", (int)w->labels.len - 1, w->labels.data);
	buf_puts(&w->rows, " ");
	put_value(&w->rows, value);
	buf_puts(&w->rows, "\n");
}

/* All of its series, or none. */
static void put_histogram(struct metric_sink *to, const struct golatency_folded *h)
{
	struct writer *w = (struct writer *)to;
	const uint64_t series = GOLATENCY_FOLDS + 3;
	uint64_t n = 0;
	char le[32];

	buf_reset(&w->labels);
	buf_puts(&w->labels, w->identity);
	if (w->labels.err || w->left < series) {
		w->dropped += series;
		return;
	}
	w->left -= series;
	for (unsigned int i = 0; i < GOLATENCY_FOLDS; i++) {
		n += h->count[i];
		snprintf(le, sizeof(le), "%.12g", (double)golatency_fold_ns(i) / 1e9);
		put_bucket(w, le, n);
	}
	n += h->count[GOLATENCY_FOLDS];
	put_bucket(w, "+Inf", n);
	put_total(w, "sum", h->least_s);
	put_total(w, "count", (double)n);
}

static void family_begin(struct writer *w, const struct metric *m)
{
	w->metric = m;
	buf_reset(&w->rows);
	bytesmap_deinit(&w->seen);
	bytesmap_init(&w->seen, 1u << 22);
}

/* A family without a row is not there. */
static void family_end(struct writer *w, struct buf *out)
{
	const struct metric *m = w->metric;
	/* a counter's family has no suffix in OpenMetrics, and has one in the older format */
	const char *total = m->type == METRIC_COUNTER && w->format == PROM_TEXT ? "_total" : "";

	if (w->rows.err && !out->err)
		out->err = w->rows.err;
	if (!w->rows.len)
		return;
	buf_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", m->name, total, m->help, m->name, total,
		   m->type == METRIC_COUNTER     ? "counter"
		   : m->type == METRIC_HISTOGRAM ? "histogram"
						 : "gauge");
	buf_add(out, w->rows.data, w->rows.len);
}

/* The labels of each process as text, each ended by a NUL. */
static int identities(const struct metric_target *t, size_t n, const struct host_config *c,
		      struct buf *text, size_t *at)
{
	struct metric_label label[METRIC_MAX_IDENTITY];

	for (size_t i = 0; i < n; i++) {
		int nlabel = metric_identity(&t[i], c, label);

		at[i] = text->len;
		for (int k = 0; k < nlabel; k++)
			put_label(text, &label[k]);
		buf_add(text, "", 1);
	}
	return text->err;
}

static void processes(struct writer *w, const struct metric *metrics, const struct metric_from *all,
		      const struct metric_target *t, size_t n, const struct buf *text,
		      const size_t *at, struct buf *out)
{
	for (const struct metric *m = metrics; m->get; m++) {
		if (!m->name)
			continue;
		family_begin(w, m);
		for (size_t i = 0; i < n; i++) {
			struct metric_from from = *all;

			from.process = t[i].process;
			w->identity = text->data + at[i];
			m->get(&from, &w->sink);
		}
		family_end(w, out);
	}
}

static void write_page(struct writer *w, const struct metric_from *from, struct metric_target *t,
		       size_t n, struct buf *out)
{
	struct buf text;
	size_t *at = calloc(n + 1, sizeof(*at));

	buf_init(&text, IDENTITY_MAX_BYTES + n * 4096);
	for (const struct metric *m = metrics_self; m->get; m++) {
		w->identity = "";
		family_begin(w, m);
		m->get(from, &w->sink);
		family_end(w, out);
	}
	if (!at || identities(t, n, from->config, &text, at))
		out->err = out->err ? out->err : -ENOMEM;
	if (!out->err && n) {
		processes(w, metrics_process, from, t, n, &text, at, out);
		processes(w, metrics_walk, from, t, n, &text, at, out);
		processes(w, metrics_probes, from, t, n, &text, at, out);
		processes(w, metrics_latency, from, t, n, &text, at, out);
	}
	if (w->format == PROM_OPENMETRICS)
		buf_puts(out, "# EOF\n");
	buf_deinit(&text);
	free(at);
}

void prom_page(enum prom_format format, const struct host_config *c, const struct view *v,
	       const struct export_stats *stats, struct buf *out, uint64_t *dropped)
{
	struct metric_from from = { .config = c, .view = v, .stats = stats };
	struct writer w = { .sink = { put_row, put_histogram },
			    .format = format,
			    .left = c->max_series };
	size_t n;
	struct metric_target *t = metric_targets(v, &n);

	if (n == SIZE_MAX) {
		out->err = -ENOMEM;
		return;
	}
	buf_init(&w.rows, FAMILY_MAX_BYTES);
	buf_init(&w.labels, 64u << 10);
	bytesmap_init(&w.seen, 16);
	write_page(&w, &from, t, n, out);
	*dropped = w.dropped;
	buf_deinit(&w.rows);
	buf_deinit(&w.labels);
	bytesmap_deinit(&w.seen);
	free(t);
}
