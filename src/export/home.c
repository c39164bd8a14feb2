/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/home.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "report/html.h"

#define MAX_FINDINGS  200
#define MAX_PROCESSES 500
#define NAME_COLUMNS  60
#define SPARK_WIDTH   120
#define SPARK_HEIGHT  26
#define HOUR_NS       (3600 * NS_PER_S)

static const char style[] =
	".bar{display:flex;flex-wrap:wrap;gap:.2em 1.4em;margin:.3em 0 1em}\n"
	".process{display:grid;grid-template-columns:minmax(14em,2fr) repeat(3,minmax(9em,1fr));"
	"gap:.2em 1.2em;padding:.55em 0;border-top:1px solid #d0d7de;align-items:start}\n"
	".name{font-weight:600;overflow-wrap:anywhere}.sub{font-size:.86em;overflow-wrap:anywhere}"
	"\n"
	".number{display:flex;gap:.6em;align-items:center}\n"
	".number b{min-width:6.6em;font-weight:600;font-variant-numeric:tabular-nums}\n"
	".number span{display:block;font-size:.8em;font-weight:400}\n"
	"svg{width:120px;height:26px;flex:none}svg "
	"path{fill:none;stroke:#0969da;stroke-width:1.5}\n"
	".tag{display:inline-block;font-size:.8em;border-radius:2px;padding:0 .4em;margin-right:"
	".3em;background:#eaeef2}.tag.high,.tag.critical{background:#ffdce0}.tag.medium{background:"
	"#fff1c2}\n"
	"@media(max-width:700px){body{margin:.8em}.process{grid-template-columns:repeat(3,1fr);"
	"gap:.3em .8em}.process>:first-child{grid-column:1/-1}.number{display:block}"
	".number b{min-width:0}svg{width:100%;max-width:120px}}\n"
	"@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}.dim{color:#"
	"8b949e}"
	".finding{background:#161b22}.process{border-color:#30363d}.tag{background:#30363d}"
	".tag.high,.tag.critical{background:#67060c}.tag.medium{background:#5a4300}"
	"svg path{stroke:#58a6ff}a{color:#58a6ff}}\n";

/* ---- words ---- */

static const char *name_of(const struct identity *i)
{
	return *i->service_name ? i->service_name : "?";
}

static void ago(struct buf *out, const char *before, uint64_t now_ns, uint64_t then_ns,
		const char *after)
{
	char s[HUMAN_MAX];

	if (then_ns)
		buf_printf(out, "%s%s%s", before,
			   human_seconds(now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0,
					 s),
			   after);
}

static void summary(const struct view *v, struct buf *out)
{
	size_t n[DEPTHS] = { 0 };
	char s[HUMAN_MAX], time[40];
	int findings = 0;

	for (size_t i = 0; i < v->nprocess; i++) {
		n[v->process[i].depth]++;
		findings += v->process[i].nfinding;
	}
	clock_format_utc(v->real_ns, 0, time, sizeof(time));
	buf_printf(out, "<div class=\"bar\"><span><b>%s</b></span>",
		   human_counted(v->nprocess, "Go process", s));
	buf_printf(out, "<span>%zu watched</span>", n[DEPTH_TOTALS] + n[DEPTH_WALK]);
	if (n[DEPTH_WAITING])
		buf_printf(out, "<span>%zu just started</span>", n[DEPTH_WAITING]);
	if (n[DEPTH_NONE])
		buf_printf(out, "<span>%zu not watched</span>", n[DEPTH_NONE]);
	buf_printf(out, "<span><b>%s</b> open</span>",
		   human_counted((uint64_t)findings, "finding", s));
	buf_printf(out, "<span class=\"dim\">as of %s, every ", time);
	buf_printf(out, "%s</span></div>\n", human_seconds((double)v->interval_ns / 1e9, s));
}

/* ---- findings ---- */

struct found {
	const struct view_process *process;
	const struct view_finding *finding;
};

static int by_severity(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int d = (int)y->finding->finding->severity - (int)x->finding->finding->severity;

	if (!d)
		d = (y->finding->opened_real_ns > x->finding->opened_real_ns) -
		    (y->finding->opened_real_ns < x->finding->opened_real_ns);
	return d ? d : strcmp(x->finding->id, y->finding->id);
}

static void one_finding(const struct view *v, const struct found *at, struct buf *out)
{
	const struct finding *f = at->finding->finding;

	buf_printf(out, "<div class=\"finding %s\"><p><span class=\"sev\">%s</span>",
		   severity_word[f->severity], severity_word[f->severity]);
	html_text(out, "<b>", name_of(at->process->identity), NAME_COLUMNS, "</b> ");
	html_text(out, "", f->title, 300, "</p>\n");
	buf_printf(out, "<p class=\"dim sub\">pid %d", (int)at->process->pid);
	ago(out, ", open for ", v->real_ns, at->finding->opened_real_ns, "");
	ago(out, ", seen ", v->real_ns, at->finding->seen_real_ns, " ago");
	if (*at->finding->snapshot) /* an id: nothing in it has to be escaped */
		buf_printf(out, ", <a href=\"/snapshots/%s\">snapshot</a>", at->finding->snapshot);
	buf_puts(out, "</p><ul>");
	for (int k = 0; k < f->nevidence; k++)
		html_text(out, "<li>", f->evidence[k], 300, "</li>");
	buf_puts(out, "</ul>\n");
	if (f->advice[0])
		html_text(out, "<p><b>do:</b> ", f->advice, 320, "</p>");
	buf_puts(out, "</div>\n");
}

static void findings(const struct view *v, struct buf *out)
{
	struct found *found;
	size_t n = 0;

	for (size_t i = 0; i < v->nprocess; i++)
		n += (size_t)v->process[i].nfinding;
	buf_puts(out, "<h2>Findings</h2>\n");
	found = calloc(n + 1, sizeof(*found));
	if (!found) {
		out->err = out->err ? out->err : -ENOMEM;
		return;
	}
	n = 0;
	for (size_t i = 0; i < v->nprocess; i++)
		for (int k = 0; k < v->process[i].nfinding; k++)
			found[n++] = (struct found){ &v->process[i], &v->process[i].finding[k] };
	qsort(found, n, sizeof(*found), by_severity);
	for (size_t i = 0; i < n && i < MAX_FINDINGS; i++)
		one_finding(v, &found[i], out);
	if (!n)
		buf_puts(out, "<p>Nothing found.</p>\n");
	if (n > MAX_FINDINGS)
		buf_printf(out,
			   "<p>and %zu more: <a href=\"/api/v1/findings\">all of them</a></p>\n",
			   n - MAX_FINDINGS);
	free(found);
}

/* ---- processes ---- */

static char *value_words(enum history_line line, double v, char *out)
{
	if (line == HISTORY_HEAP)
		return human_bytes(v, out);
	return human_count((uint64_t)v, out);
}

/* How far back: all that there is, at most an hour. */
static uint64_t span_ns(const struct view *v, const struct history_of *h)
{
	uint64_t span = v->mono_ns - history_time(h, 0);

	return span > HOUR_NS ? HOUR_NS : span;
}

/* From the least to the most; a gap where it is not known. */
static void spark_path(const struct view *v, const struct history_of *h, enum history_line line,
		       float least, float most, struct buf *out)
{
	double span = (double)span_ns(v, h), range = (double)(most - least);
	bool drawing = false;

	for (uint32_t i = 0; i < h->n; i++) {
		double age = (double)(v->mono_ns - history_time(h, i)) / span;
		float p = history_point(h, line, i);

		if (isnan(p) || age > 1) {
			drawing = false;
			continue;
		}
		buf_printf(out, "%s%.1f %.1f", drawing ? "L" : "M", (1 - age) * SPARK_WIDTH,
			   2 + (range > 0 ? (double)(most - p) / range : 0.5) * (SPARK_HEIGHT - 4));
		drawing = true;
	}
}

static void spark(const struct view *v, const struct history_of *h, enum history_line line,
		  struct buf *out)
{
	float least = INFINITY, most = -INFINITY;
	char a[HUMAN_MAX], b[HUMAN_MAX], ago[HUMAN_MAX];
	uint32_t known = 0;

	for (uint32_t i = 0; h && i < h->n; i++) {
		float p = history_point(h, line, i);

		if (isnan(p))
			continue;
		known++;
		least = fminf(least, p);
		most = fmaxf(most, p);
	}
	if (known < 2 || !span_ns(v, h))
		return;
	buf_printf(out,
		   "<svg viewBox=\"0 0 120 26\"><title>%s to %s in the last %s</title><path d=\"",
		   value_words(line, least, a), value_words(line, most, b),
		   human_seconds((double)span_ns(v, h) / 1e9, ago));
	spark_path(v, h, line, least, most, out);
	buf_puts(out, "\"/></svg>");
}

static void number(const struct view *v, const struct history_of *h, enum history_line line,
		   bool known, double value, const char *what, struct buf *out)
{
	char s[HUMAN_MAX];

	buf_printf(out, "<div class=\"number\"><b>%s<span class=\"dim\">%s</span></b>",
		   known ? value_words(line, value, s) : "–", what);
	spark(v, h, line, out);
	buf_puts(out, "</div>");
}

static void tags(const struct view_process *p, struct buf *out)
{
	for (int s = SEVERITY_CRITICAL; s >= 0; s--) {
		int n = 0;

		for (int i = 0; i < p->nfinding; i++)
			n += p->finding[i].finding->severity == (enum severity)s;
		if (n)
			buf_printf(out, "<span class=\"tag %s\">%d %s</span>", severity_word[s], n,
				   severity_word[s]);
	}
}

/* Armed just now, and since when; or not, and why. */
static void probes(const struct view *v, const struct view_process *p, struct buf *out)
{
	if (!p->has_probes || p->shallow != SHALLOW_NOT)
		return;
	if (p->probes_since_real_ns) {
		buf_printf(out, "<div class=\"sub\">%u probes", p->probes);
		ago(out, " for ", v->real_ns, p->probes_since_real_ns, "");
		html_text(out, " (", p->probes_why, 40, ")</div>");
	} else if (*p->probes_why) {
		html_text(out, "<div class=\"sub dim\">no probes: ", p->probes_why, 160, "</div>");
	}
}

static void who(const struct view *v, const struct view_process *p, struct buf *out)
{
	const struct identity *i = p->identity;

	html_text(out, "<div><div class=\"name\">", name_of(i), NAME_COLUMNS, "</div>");
	buf_printf(out, "<div class=\"sub dim\">pid %d", (int)p->pid);
	ago(out, ", up ", v->real_ns, p->started_real_ns, "");
	if (*p->go)
		html_text(out, ", ", p->go, 20, "");
	if (*i->pod_name) {
		html_text(out, ", pod ", i->pod_namespace, 60, "/");
		html_text(out, "", i->pod_name, 80, "");
	} else if (*i->unit) {
		html_text(out, ", ", i->unit, 60, "");
	} else if (*i->container_id) {
		html_text(out, ", container ", i->container_id, 14, "");
	}
	buf_puts(out, "</div>");
	html_text(out, "<div class=\"sub dim\">", p->exe, 100, "</div>");
	if (p->shallow != SHALLOW_NOT)
		html_text(out, "<div class=\"sub\">", *p->why ? p->why : shallow_word[p->shallow],
			  160, "</div>");
	probes(v, p, out);
	tags(p, out);
	if (p->walk)
		buf_printf(out, " <a class=\"sub\" href=\"/api/v1/processes/%llu\">report</a>",
			   (unsigned long long)p->key);
	buf_puts(out, "</div>");
}

static double in_flight(const struct view_process *p, bool *known)
{
	const struct net_window *n = p->walk ? p->walk->window.net : NULL;
	double sum = 0;

	*known = n && n->known;
	if (!*known)
		return 0;
	for (int i = 0; i < n->nserver; i++)
		sum += (double)n->server[i].in_flight;
	return sum + (double)n->in_flight_total;
}

static void one_process(const struct view *v, const struct history *hs,
			const struct view_process *p, struct buf *out)
{
	const struct history_of *h = history_find(hs, p->key);
	const struct view_totals *t = p->totals;
	bool known;
	double requests = in_flight(p, &known);

	buf_puts(out, "<div class=\"process\">");
	who(v, p, out);
	if (t) {
		number(v, h, HISTORY_GOROUTINES, t->has_live, (double)t->live, "goroutines", out);
		number(v, h, HISTORY_HEAP, t->has_heap, (double)t->heap_live_bytes, "heap", out);
		number(v, h, HISTORY_REQUESTS, known, requests, "requests", out);
	}
	buf_puts(out, "</div>\n");
}

/* Those with findings first, the worst of them first; then by name. */
static int by_trouble(const void *a, const void *b)
{
	const struct view_process *x = *(const struct view_process *const *)a,
				  *y = *(const struct view_process *const *)b;
	int p = x->nfinding ? (int)x->finding[0].finding->severity : -1,
	    q = y->nfinding ? (int)y->finding[0].finding->severity : -1, d;

	if (p != q)
		return q - p;
	d = strcmp(x->identity->service_name, y->identity->service_name);
	return d ? d : (x->pid > y->pid) - (x->pid < y->pid);
}

static void processes(const struct view *v, const struct history *h, struct buf *out)
{
	const struct view_process **order = calloc(v->nprocess + 1, sizeof(*order));

	buf_puts(out, "<h2>Processes</h2>\n");
	if (!order) {
		out->err = out->err ? out->err : -ENOMEM;
		return;
	}
	for (size_t i = 0; i < v->nprocess; i++)
		order[i] = &v->process[i];
	qsort(order, v->nprocess, sizeof(*order), by_trouble);
	for (size_t i = 0; i < v->nprocess && i < MAX_PROCESSES; i++)
		one_process(v, h, order[i], out);
	if (!v->nprocess)
		buf_puts(out, "<p>No Go process runs here.</p>\n");
	if (v->nprocess > MAX_PROCESSES)
		buf_printf(out,
			   "<p>and %zu more: <a href=\"/api/v1/processes\">all of them</a></p>\n",
			   v->nprocess - MAX_PROCESSES);
	free(order);
}

void home_page(const struct view *v, const struct history *h, struct buf *out)
{
	buf_puts(out, html_head);
	buf_puts(out, "<meta http-equiv=\"refresh\" content=\"30\">\n");
	html_text(out, "<title>gospect: ", v->host_name, 80, "</title>\n");
	buf_puts(out, html_style);
	buf_puts(out, style);
	buf_puts(out, "</style></head><body>\n");
	html_text(out, "<h1>", *v->host_name ? v->host_name : "this machine", 100, "</h1>\n");
	summary(v, out);
	findings(v, out);
	processes(v, h, out);
	buf_puts(out, "<p class=\"dim sub\"><a href=\"/metrics\">metrics</a> · <a "
		      "href=\"/api/v1/processes\">processes</a> · <a "
		      "href=\"/api/v1/findings\">findings</a></p>\n</body></html>\n");
}
