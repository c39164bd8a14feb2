/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/otlp.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "version.h"

#define PIECE_BYTES (1u << 20)
#define MAX_BYTES   (16u << 20) /* of a piece: one process alone may be large */
#define CUMULATIVE  2           /* AggregationTemporality */
#define SCOPE       "\"scope\":{\"name\":\"gospect\",\"version\":\"" GOSPECT_VERSION "\"}"

struct writer {
	struct metric_sink sink; /* first: put() finds the writer by it */
	struct buf out;
	const struct metric *metric;
	uint64_t time_ns, start_ns;
	int points; /* of this metric */
	enum otlp_signal signal;
	const char *between; /* resources */
	otlp_take_fn take;
	void *arg;
	int err;
};

/* ---- text ---- */

/* A string of JSON of foreign text: cleaned, so that quotes and backslashes are all there is. */
static void put_text(struct buf *out, const char *s)
{
	char clean[METRIC_MAX_COLUMNS * 8];

	words_fit(s, METRIC_MAX_COLUMNS, clean, sizeof(clean));
	buf_puts(out, "\"");
	for (const char *c = clean; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_puts(out, "\\");
		buf_add(out, c, 1);
	}
	buf_puts(out, "\"");
}

static bool is_number(const char *name, const char *value)
{
	return (!strcmp(name, "code.line.number") || !strcmp(name, "server.port")) &&
	       strspn(value, "0123456789") == strlen(value) && strlen(value) < 10;
}

static void put_attributes(struct buf *out, const struct metric_label *label, int n)
{
	const char *before = "";

	buf_puts(out, "\"attributes\":[");
	for (int i = 0; i < n; i++) {
		if (!*label[i].value)
			continue;
		buf_printf(out, "%s{\"key\":", before);
		put_text(out, label[i].name);
		if (is_number(label[i].name, label[i].value)) {
			buf_printf(out, ",\"value\":{\"intValue\":\"%s\"}}", label[i].value);
		} else {
			buf_puts(out, ",\"value\":{\"stringValue\":");
			put_text(out, label[i].value);
			buf_puts(out, "}}");
		}
		before = ",";
	}
	buf_puts(out, "]");
}

/* ---- pieces ---- */

static void piece_begin(struct writer *w)
{
	buf_reset(&w->out);
	buf_puts(&w->out,
		 w->signal == OTLP_METRICS ? "{\"resourceMetrics\":[" : "{\"resourceLogs\":[");
	w->between = "";
}

/* A piece with anything in it goes. */
static void piece_end(struct writer *w)
{
	bool any = *w->between;

	buf_puts(&w->out, "]}");
	if (w->out.err)
		w->err = w->out.err;
	else if (any)
		w->take(w->arg, w->signal, &w->out);
}

static void resource_begin(struct writer *w, const struct metric_label *label, int n)
{
	if (w->out.len > PIECE_BYTES) {
		piece_end(w);
		piece_begin(w);
	}
	buf_printf(&w->out, "%s{\"resource\":{", w->between);
	put_attributes(&w->out, label, n);
	buf_printf(&w->out, "},\"%s\":[{" SCOPE ",\"%s\":[",
		   w->signal == OTLP_METRICS ? "scopeMetrics" : "scopeLogs",
		   w->signal == OTLP_METRICS ? "metrics" : "logRecords");
	w->between = ",";
}

static void resource_end(struct writer *w)
{
	buf_puts(&w->out, "]}]}");
}

#define MAX_RESOURCE (METRIC_MAX_IDENTITY + METRIC_MAX_DESCRIPTION + IDENTITY_MAX_ATTRIBUTES + 2)

static bool is_there(const struct metric_label *label, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(label[i].name, name))
			return true;
	return false;
}

/* Who it is, what else is known, and what the program says of itself beside these. */
static int resource_of(const struct metric_target *t, const struct host_config *c,
		       struct metric_label *out)
{
	const struct identity *who = t->process->identity;
	int n = metric_identity(t, c, out);

	n += metric_description(t->process, out + n);
	out[n++] = (struct metric_label){ "process.runtime.name", "go" };
	for (int i = 0; i < who->nattribute; i++)
		if (!is_there(out, n, who->attribute[i].key))
			out[n++] = (struct metric_label){ who->attribute[i].key,
							  who->attribute[i].value };
	return n;
}

/* ---- metrics ---- */

/* What comes before the points of a metric: its description before the first one. */
static void point_begin(struct writer *w)
{
	const struct metric *m = w->metric;
	bool monotonic = m->type == METRIC_COUNTER;

	if (w->points++) {
		buf_puts(&w->out, ",");
		return;
	}
	buf_puts(&w->out, "{\"name\":");
	put_text(&w->out, m->otlp);
	buf_printf(&w->out, ",\"unit\":\"%s\",\"description\":", m->unit);
	put_text(&w->out, m->help);
	if (m->type == METRIC_GAUGE)
		buf_puts(&w->out, ",\"gauge\":{\"dataPoints\":[");
	else if (m->type == METRIC_HISTOGRAM)
		buf_printf(&w->out,
			   ",\"histogram\":{\"aggregationTemporality\":%d,\"dataPoints\":[",
			   CUMULATIVE);
	else
		buf_printf(&w->out,
			   ",\"sum\":{\"aggregationTemporality\":%d,\"isMonotonic\":%s,"
			   "\"dataPoints\":[",
			   CUMULATIVE, monotonic ? "true" : "false");
}

/* Of what span of time a point is. */
static void point_time(struct writer *w)
{
	if (w->metric->type != METRIC_GAUGE && w->start_ns)
		buf_printf(&w->out, ",\"startTimeUnixNano\":\"%" PRIu64 "\"", w->start_ns);
	buf_printf(&w->out, ",\"timeUnixNano\":\"%" PRIu64 "\"", w->time_ns);
}

static void put_point(struct metric_sink *to, double value, const struct metric_label *label, int n)
{
	struct writer *w = (struct writer *)to;
	const struct metric *m = w->metric;

	if (!isfinite(value))
		return;
	point_begin(w);
	buf_puts(&w->out, "{");
	put_attributes(&w->out, label, n);
	point_time(w);
	if (!strcmp(m->unit, "s")) /* the same kind in each push */
		buf_printf(&w->out, ",\"asDouble\":%.12g}", value);
	else
		buf_printf(&w->out, ",\"asInt\":\"%.0f\"}", value);
}

static void put_histogram(struct metric_sink *to, const struct golatency_folded *h)
{
	struct writer *w = (struct writer *)to;
	uint64_t n = 0;

	point_begin(w);
	buf_puts(&w->out, "{\"bucketCounts\":[");
	for (int i = 0; i <= GOLATENCY_FOLDS; i++) {
		n += h->count[i];
		buf_printf(&w->out, "%s\"%" PRIu64 "\"", i ? "," : "", h->count[i]);
	}
	buf_puts(&w->out, "],\"explicitBounds\":[");
	for (unsigned int i = 0; i < GOLATENCY_FOLDS; i++)
		buf_printf(&w->out, "%s%.12g", i ? "," : "", (double)golatency_fold_ns(i) / 1e9);
	buf_printf(&w->out, "],\"count\":\"%" PRIu64 "\",\"sum\":%.12g", n, h->least_s);
	point_time(w);
	buf_puts(&w->out, "}");
}

static void put_metrics(struct writer *w, const struct metric *metrics,
			const struct metric_from *from, const char **between)
{
	for (const struct metric *m = metrics; m->get; m++) {
		size_t at = w->out.len;

		if (!m->otlp)
			continue;
		w->metric = m;
		w->points = 0;
		buf_puts(&w->out, *between);
		m->get(from, &w->sink);
		if (w->points) {
			buf_puts(&w->out, "]}}");
			*between = ",";
		} else if (!w->out.err) {
			w->out.len = at;
		}
	}
}

static void of_process(struct writer *w, struct metric_from *from, const struct metric_target *t)
{
	struct metric_label label[MAX_RESOURCE];
	const struct view_process *p = t->process;
	const char *between = "";

	resource_begin(w, label, resource_of(t, from->config, label));
	from->process = p;
	w->start_ns = p->started_real_ns;
	w->time_ns = p->totals ? p->totals->real_ns : from->view->real_ns;
	put_metrics(w, metrics_process, from, &between);
	put_metrics(w, metrics_latency, from, &between);
	if (from->view->self.started_real_ns > w->start_ns)
		w->start_ns = from->view->self.started_real_ns; /* of what it counts itself */
	put_metrics(w, metrics_probes, from, &between);
	w->start_ns = p->started_real_ns;
	w->time_ns = p->walked_real_ns;
	if (p->walk)
		put_metrics(w, metrics_walk, from, &between);
	resource_end(w);
}

static int resource_of_self(const struct metric_from *from, struct metric_label *out)
{
	const struct config_pairs *labels = &from->config->labels;
	int n = 0;

	out[n++] = (struct metric_label){ "service.name", "gospect-host" };
	out[n++] = (struct metric_label){ "service.version", GOSPECT_VERSION };
	out[n++] = (struct metric_label){ "service.instance.id", from->view->host_name };
	out[n++] = (struct metric_label){ "host.name", from->view->host_name };
	for (size_t k = 0; k < labels->n; k++)
		out[n++] = (struct metric_label){ labels->pair[k].name, labels->pair[k].value };
	return n;
}

static void of_self(struct writer *w, const struct metric_from *from)
{
	struct metric_label label[MAX_RESOURCE];
	const char *between = "";

	resource_begin(w, label, resource_of_self(from, label));
	w->start_ns = from->view->self.started_real_ns;
	w->time_ns = from->view->real_ns;
	put_metrics(w, metrics_self, from, &between);
	resource_end(w);
}

int otlp_metrics(const struct host_config *c, const struct view *v,
		 const struct export_stats *stats, otlp_take_fn take, void *arg)
{
	struct metric_from from = { .config = c, .view = v, .stats = stats };
	struct writer w = { .sink = { put_point, put_histogram },
			    .signal = OTLP_METRICS,
			    .take = take,
			    .arg = arg };
	size_t n;
	struct metric_target *t = metric_targets(v, &n);

	if (n == SIZE_MAX)
		return -ENOMEM;
	buf_init(&w.out, MAX_BYTES);
	piece_begin(&w);
	of_self(&w, &from);
	for (size_t i = 0; i < n; i++)
		of_process(&w, &from, &t[i]);
	piece_end(&w);
	buf_deinit(&w.out);
	free(t);
	return w.err;
}

/* ---- findings ---- */

static const int severity_number[SEVERITY_CRITICAL + 1] = {
	[SEVERITY_INFO] = 5,  [SEVERITY_LOW] = 9,       [SEVERITY_MEDIUM] = 13,
	[SEVERITY_HIGH] = 17, [SEVERITY_CRITICAL] = 21,
};

static void put_record(struct writer *w, const struct view *v, const struct view_event *e)
{
	const struct finding *f = e->finding.finding;
	char line[16] = "";
	const struct metric_label label[] = {
		{ "gospect.finding.id", e->finding.id },
		{ "gospect.finding.kind", f->kind },
		{ "gospect.finding.severity", severity_word[f->severity] },
		{ "gospect.finding.state", view_event_word[e->kind] },
		{ "gospect.finding.reason", e->reason },
		{ "gospect.finding.snapshot", e->finding.snapshot },
		{ "code.function.name", f->place.function ? f->place.function : "" },
		{ "code.file.path", f->place.file ? f->place.file : "" },
		{ "code.line.number", line },
	};

	if (f->place.line > 0)
		snprintf(line, sizeof(line), "%d", f->place.line);
	buf_printf(&w->out,
		   "{\"timeUnixNano\":\"%" PRIu64 "\",\"observedTimeUnixNano\":\"%" PRIu64
		   "\",\"severityNumber\":%d,\"eventName\":\"gospect.finding\",\"body\":{"
		   "\"stringValue\":",
		   e->real_ns, v->real_ns, severity_number[f->severity]);
	put_text(&w->out, f->title);
	buf_puts(&w->out, "},");
	put_attributes(&w->out, label, (int)(sizeof(label) / sizeof(label[0])));
	if (!w->out.err && f->nnumber) { /* the bracket: numbers go in */
		w->out.len--;
		for (int i = 0; i < f->nnumber; i++) {
			buf_puts(&w->out, ",{\"key\":\"gospect.finding.");
			buf_printf(&w->out, "%s\",\"value\":{\"doubleValue\":%.12g}}",
				   f->number[i].name,
				   isfinite(f->number[i].value) ? f->number[i].value : 0);
		}
		buf_puts(&w->out, "]");
	}
	buf_puts(&w->out, "}");
}

/* Its process may be gone: then its identity is all that is known. */
static int resource_of_event(const struct metric_target *t, size_t n, const struct view_event *e,
			     const struct host_config *c, struct metric_label *out)
{
	struct view_process gone = { .identity = e->identity };
	struct metric_target of_gone = { .process = &gone };

	for (size_t i = 0; i < n; i++)
		if (t[i].process->key == e->process_key)
			return resource_of(&t[i], c, out);
	snprintf(of_gone.instance, sizeof(of_gone.instance), "%s",
		 e->identity->service_instance_id);
	n = (size_t)metric_identity(&of_gone, c, out);
	for (size_t i = 0; i < n; i++) /* that one is of this function's stack */
		if (out[i].value == of_gone.instance)
			out[i].value = e->identity->service_instance_id;
	out[n++] = (struct metric_label){ "host.name", e->identity->host_name };
	return (int)n;
}

int otlp_events(const struct host_config *c, const struct view *v, otlp_take_fn take, void *arg)
{
	struct writer w = { .signal = OTLP_LOGS, .take = take, .arg = arg };
	struct metric_target *t;
	size_t n;

	if (!v->nevent)
		return 0;
	t = metric_targets(v, &n);
	if (n == SIZE_MAX)
		return -ENOMEM;
	buf_init(&w.out, MAX_BYTES);
	piece_begin(&w);
	for (size_t i = 0; i < v->nevent; i++) {
		struct metric_label label[MAX_RESOURCE];

		resource_begin(&w, label, resource_of_event(t, n, &v->event[i], c, label));
		put_record(&w, v, &v->event[i]);
		resource_end(&w);
	}
	piece_end(&w);
	buf_deinit(&w.out);
	free(t);
	return w.err;
}
