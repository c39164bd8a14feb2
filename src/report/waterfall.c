/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per host, where the time of its requests goes, as bars of one scale:
 *
 * slowest   the request that looks have seen for longest, by phase.  Looks come about
 *           once a second: what none has seen of it is a part of its own, and one that has
 *           ended took at least so long.
 * median    of each phase that ends with every request, put one behind the other: no single
 *           request took so.  Likewise of the phases of a new connection.
 * failed    how many, in which phase and how; how long they took is not known.
 */
#include "report/html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/vec.h"
#include "net/failures.h"
#include "net/window.h"
#include "plan/phase.h"

#define MAX_HOSTS    20
#define MAX_FAILURES 4
#define LEAST_TIMED  3 /* as in the table of phases */

const char waterfall_style[] =
	".wf{display:grid;grid-template-columns:max-content 1fr max-content;gap:.15em .8em;"
	"align-items:center;max-width:70em;margin:0 0 .6em}\n"
	".bar{display:flex;height:14px;background:#8c959f22;border-radius:2px;overflow:hidden}\n"
	".bar>i{display:block;height:100%;min-width:1px}\n"
	".w0{background:#8250df}.w1{background:#1a7f37}.w2{background:#bf8700}.w3{background:#"
	"cf222e}"
	".w4{background:#57606a}.w5{background:#0969da}.w6{background:#6cb6ff}\n"
	".w7{background:repeating-linear-gradient(45deg,#8c959f88 0 4px,transparent 4px 8px)}\n"
	".est{opacity:.65}.wk{display:inline-block;width:.9em;height:.9em;margin:0 .3em 0 .8em;"
	"vertical-align:-.1em;border-radius:2px}\n"
	"@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}"
	".dim{color:#9198a1}.finding{background:#161b22}th{border-color:#3d444d}"
	".box>span,.key{color:#1b1f24}.w4{background:#9198a1}}\n";

/* The bars of one host, in seconds; NET_PHASES: what nobody saw. */
struct bars {
	const char *host;
	uint64_t count; /* phases that ended: the busiest hosts come first */
	const struct net_slow *slowest;
	double median[NET_PHASES];
	uint64_t timed[NET_PHASES];
};

static struct bars *bars_of(struct bars *b, int *n, int max, const char *host)
{
	for (int i = 0; i < *n; i++)
		if (!strcmp(b[i].host, host))
			return &b[i];
	if (*n == max)
		return NULL;
	b[*n] = (struct bars){ .host = host };
	return &b[(*n)++];
}

static int collect(const struct net_window *w, struct bars *b, int max)
{
	int n = 0;

	for (int i = 0; i < w->nphase; i++) {
		const struct net_phase_row *p = &w->phase[i];
		struct bars *of = p->other ? NULL : bars_of(b, &n, max, p->host);

		if (!of)
			continue;
		of->count += p->count;
		of->median[p->phase] = (double)p->p50_ns / 1e9;
		of->timed[p->phase] = p->timed;
	}
	for (int i = 0; i < w->nslow; i++) { /* the longest first */
		const struct net_slow *s = &w->slow[i];
		struct bars *of = s->host[0] ? bars_of(b, &n, max, s->host) : NULL;

		if (of && !of->slowest)
			of->slowest = s;
	}
	for (int i = 0; i < w->nfailure; i++)
		if (!w->failure[i].other && w->failure[i].host[0])
			bars_of(b, &n, max, w->failure[i].host);
	return n;
}

/* A median of few is none, and most requests have not come by a phase that is half as common. */
static void drop_rare(struct bars *b, int first, int last)
{
	uint64_t most = 0;

	for (int i = first; i <= last; i++)
		most = b->timed[i] > most ? b->timed[i] : most;
	for (int i = first; i <= last; i++)
		if (b->timed[i] < LEAST_TIMED || 2 * b->timed[i] < most)
			b->median[i] = 0;
}

static int by_length(const void *a, const void *b)
{
	const struct bars *x = a, *y = b;
	double d = (y->slowest ? y->slowest->took_s : 0) - (x->slowest ? x->slowest->took_s : 0);

	if (d > 0 || d < 0)
		return d > 0 ? 1 : -1;
	return x->count < y->count ? 1 : -(x->count > y->count);
}

static double sum(const double *s, int from, int to)
{
	double all = 0;

	for (int i = from; i <= to; i++)
		all += s[i];
	return all;
}

static void seconds(struct buf *out, double s)
{
	char text[HUMAN_MAX];

	buf_puts(out, human_seconds(s, text));
}

static void piece(struct buf *out, int kind, double s, double scale)
{
	const char *name = kind < NET_PHASES ? net_phase_name((enum net_phase)kind) : "not seen";

	if (s <= 0)
		return;
	buf_printf(out, "<i class=\"w%d\" style=\"width:%.2f%%\" title=\"%s ", kind,
		   100 * s / scale, name);
	seconds(out, s);
	buf_puts(out, "\"></i>");
}

/* One bar: the phases from first to last, and what is not seen of it. */
static void bar(struct buf *out, const char *label, const double *s, int first, int last,
		double unseen_s, double scale, const char *sign)
{
	double all = sum(s, first, last) + unseen_s;

	if (all <= 0)
		return;
	buf_printf(out, "<span>%s</span><span class=\"bar%s\">", label,
		   sign[0] == '~' ? " est" : "");
	for (int i = first; i <= last; i++)
		piece(out, i, s[i], scale);
	piece(out, NET_PHASES, unseen_s, scale);
	buf_printf(out, "</span><span>%s", sign);
	seconds(out, all);
	buf_puts(out, "</span>\n");
}

static void failed(struct buf *out, const struct net_window *w, const char *host)
{
	int shown = 0;

	for (int i = 0; i < w->nfailure && shown < MAX_FAILURES; i++) {
		const struct net_failure_row *f = &w->failure[i];

		if (f->other || strcmp(f->host, host))
			continue;
		buf_puts(out, shown++ ? ", " : "<span>failed</span><span>");
		buf_printf(out, "%s%" PRIu64 " %s", f->exactness == EXACT ? "" : "~", f->count,
			   net_failure_words(f->kind));
		if (f->phase >= 0 && f->phase < NET_PHASES)
			buf_printf(out, " in %s", net_phase_name((enum net_phase)f->phase));
	}
	for (int i = 0, any = shown; i < w->nphase && !any && shown < MAX_FAILURES; i++) {
		const struct net_phase_row *p = &w->phase[i];

		if (p->other || !p->errors || strcmp(p->host, host))
			continue;
		buf_puts(out, shown++ ? ", " : "<span>failed</span><span>");
		buf_printf(out, "%s%" PRIu64 " in %s", p->exactness == EXACT ? "" : "~", p->errors,
			   net_phase_name(p->phase));
	}
	if (shown)
		buf_puts(out, "</span><span class=\"dim\">how long is not known</span>\n");
}

static void host(struct buf *out, const struct net_window *w, const struct bars *b)
{
	const struct net_slow *s = b->slowest;
	double scale = s ? sum(s->in_phase_s, 0, NET_PHASES - 1) + s->unseen_s : 0;
	double request = sum(b->median, NET_REQUEST_WRITE, NET_BODY),
	       dial = sum(b->median, NET_POOL_WAIT, NET_TLS);

	scale = scale > request ? scale : request;
	scale = scale > dial ? scale : dial;
	html_text(out, "<h3>", b->host, 120, "</h3>\n<div class=\"wf\">");
	if (s)
		bar(out, s->ended ? "slowest seen" : "slowest seen, under way", s->in_phase_s, 0,
		    NET_PHASES - 1, s->unseen_s, scale, s->age == AGE_EXACT ? "" : "&gt;");
	bar(out, "median request (estimated)", b->median, NET_REQUEST_WRITE, NET_BODY, 0, scale,
	    "~");
	bar(out, "median new connection (estimated)", b->median, NET_POOL_WAIT, NET_TLS, 0, scale,
	    "~");
	failed(out, w, b->host);
	buf_puts(out, "</div>\n");
}

void html_waterfall(struct buf *out, const struct net_window *w)
{
	int max = w->nphase + w->nslow + w->nfailure, n;
	struct bars *b = max ? calloc((size_t)max, sizeof(*b)) : NULL;

	if (!b)
		return;
	n = collect(w, b, max);
	for (int i = 0; i < n; i++) {
		drop_rare(&b[i], NET_POOL_WAIT, NET_TLS);
		drop_rare(&b[i], NET_REQUEST_WRITE, NET_BODY);
	}
	if (n)
		qsort(b, (size_t)n, sizeof(*b), by_length);
	if (n) {
		buf_puts(
			out,
			"<h2>Where requests spend their time</h2>\n<p class=\"dim\">The slowest "
			"is what looks, about one a second, have seen of one request. Estimated: "
			"the "
			"median of each phase, one behind the other; no request took just so. Each "
			"host has a scale of its own.</p>\n<p>");
		for (int i = 0; i <= NET_PHASES; i++)
			buf_printf(out, "<span class=\"wk w%d\"></span>%s", i,
				   i < NET_PHASES ? net_phase_name((enum net_phase)i) : "not seen");
		buf_puts(out, "</p>\n");
	}
	for (int i = 0; i < n && i < MAX_HOSTS; i++)
		host(out, w, &b[i]);
	if (n > MAX_HOSTS)
		buf_printf(out, "<p>and %d more hosts</p>\n", n - MAX_HOSTS);
	free(b);
}
