/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report as one HTML file: findings, and the goroutines as an icicle
 * graph, coloured by what they wait for.  Nothing is loaded from anywhere (a
 * Content-Security-Policy says so to the browser); the graph is nested boxes
 * that need no script, which adds only zoom and search.
 *
 * Names are foreign: they are cleaned as everywhere (wording.h), then escaped.
 */
#include "report/report.h"

#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "cpu/tables.h"
#include "goroutines/tables.h"
#include "model/sentence.h"
#include "net/tables.h"
#include "net/window.h"
#include "report/flame.h"
#include "report/html.h"
#include "report/summary.h"
#include "report/cells.h"
#include "report/document.h"

#define NAME_COLUMNS 160
#define MAX_GROUPS   200
#define MAX_ROWS     200  /* of a table */
#define NARROW       2000 /* a box that is less than 1/NARROW of the whole is not drawn */

const char html_head[] = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
			 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
			 "'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
			 "<meta name=\"viewport\" content=\"width=device-width\">\n";

const char html_style[] =
	"<style>\n"
	"body{font:14px/1.45 system-ui,sans-serif;margin:1.2em;color:#1b1f24;background:#fff}\n"
	"h1{font-size:1.25em;margin:0}h2{font-size:1.05em;margin:1.4em 0 .4em}p{margin:.2em 0}\n"
	".dim{color:#656d76}code,td{font-family:ui-monospace,monospace;font-size:12.5px}\n"
	".finding{border-left:4px solid #8c959f;padding:.3em .8em;margin:.6em "
	"0;background:#f6f8fa}\n"
	".critical,.high{border-color:#cf222e}.medium{border-color:#bf8700}.low{border-color:#"
	"0969da}\n"
	".sev{font-weight:600;text-transform:uppercase;font-size:.8em;margin-right:.6em}\n"
	".finding ul{margin:.2em 0 .2em 1.2em;padding:0}\n"
	"table{border-collapse:collapse}td,th{padding:.15em .9em .15em "
	"0;text-align:left;vertical-align:top}\n"
	"td.n,th.n{text-align:right}h3{font-size:.95em;margin:1em 0 "
	".2em}th{font-weight:600;border-bottom:1px solid #d0d7de}\n"
	"#graph{font-size:12px;overflow:hidden}\n"
	".box{min-width:0;flex:1 1 0;overflow:hidden}\n"
	".box>span{display:block;height:18px;line-height:18px;padding:0 3px;margin:0 1px 1px "
	"0;overflow:hidden;white-space:nowrap;text-overflow:ellipsis;cursor:pointer;border-radius:"
	"2px}\n"
	".row{display:flex}.gone{display:none}.found>span{outline:2px solid "
	"#cf222e;outline-offset:-2px}\n"
	".key{display:inline-block;padding:0 .5em;margin:0 .5em .3em 0;border-radius:2px}\n"
	"details ol,details p{margin:.3em 0 .4em 1.2em}\n"
	".find{width:22em;padding:.2em .4em;margin-right:.6em}.js{display:none}\n";

/* Zoom: what is not on the way to the box clicked is hidden.  Search: by the box's text. */
static const char script[] =
	"<script>\n"
	"(function(){'use strict';\n"
	"var "
	"all=document.querySelectorAll('.graph');\n"
	"if(!all.length)return;\n"
	"document.querySelectorAll('.js').forEach(function(e){e.style.display='inline'});\n"
	"all.forEach(function(g){\n"
	"var c=g.previousElementSibling,q=c.querySelector('.find'),r=c.querySelector('.hits');\n"
	"function zoom(box){\n"
	" g.querySelectorAll('.gone').forEach(function(e){e.classList.remove('gone')});\n"
	" for(var e=box;e&&e!==g;e=e.parentElement){\n"
	"  if(!e.classList.contains('box'))continue;\n"
	"  for(var "
	"s=e.parentElement.firstElementChild;s;s=s.nextElementSibling)if(s!==e)s.classList.add('"
	"gone');\n"
	" }\n"
	"}\n"
	"g.addEventListener('click',function(ev){\n"
	" var s=ev.target.closest('.box > span');if(s)zoom(s.parentElement);\n"
	"});\n"
	"c.querySelector('.all').addEventListener('click',function(){zoom(null)});\n"
	"q.addEventListener('input',function(){\n"
	" var t=q.value.toLowerCase(),n=0,sum=0;\n"
	" g.querySelectorAll('.found').forEach(function(e){e.classList.remove('found')});\n"
	" if(t)g.querySelectorAll('.box').forEach(function(e){\n"
	"  if(e.firstElementChild.title.toLowerCase().indexOf(t)<0)return;\n"
	"  e.classList.add('found');n++;\n"
	"  if(!e.parentElement.closest('.found'))sum+=+e.dataset.n;\n"
	" });\n"
	" r.textContent=t?n+' boxes, '+sum+' '+g.dataset.what:'';\n"
	"});\n"
	"});\n"
	"})();\n"
	"</script>\n";

/* Colours that can be told apart, by rank of the reason; black text is readable on all. */
static const char *const colors[FLAME_MAX_REASONS] = {
	"#f4a261", "#8ecae6", "#b5d99c", "#e5989b", "#cdb4db", "#ffd166", "#90dbc5", "#d4a373",
	"#a3b8f0", "#f2c6de", "#c9d36a", "#9fd3d3", "#e6b8a2", "#bdb2ff", "#caffbf", "#ffc6ff",
	"#d6ccc2", "#b8c0ff", "#f9dcc4", "#a9def9", "#e4c1f9", "#d0f4de", "#fcf6bd", "#cccccc",
};

/* ---- text ---- */

/* Text between tags, or in an attribute. */
static void escaped(struct buf *out, const char *s)
{
	static const char special[] = "&<>\"'";
	static const char *const entity[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };

	while (*s) {
		size_t plain = strcspn(s, special);

		buf_add(out, s, plain);
		s += plain;
		if (*s)
			buf_puts(out, entity[strchr(special, *s++) - special]);
	}
}

/* Foreign text, without control and format characters, and escaped; between tags. */
void html_text(struct buf *out, const char *before, const char *s, int columns, const char *after)
{
	char clean[NAME_COLUMNS * 8];

	buf_puts(out, before);
	escaped(out, words_fit(s, columns, clean, sizeof(clean)));
	buf_puts(out, after);
}

static void place(struct buf *out, const char *before, const struct place *p, const char *after)
{
	char words[WORDS_PLACE_MAX];

	buf_puts(out, before);
	escaped(out, words_place_short(p, words, sizeof(words)));
	buf_puts(out, after);
}

static void sentence(struct buf *out, const struct window *w, const char *label, summary_fn fn)
{
	struct buf line;

	buf_init(&line, 8192);
	fn(w, &line);
	if (line.len) {
		buf_printf(out, "<p>%s%s", label, *label ? ": " : "");
		escaped(out, line.data);
		buf_puts(out, "</p>\n");
	}
	buf_deinit(&line);
}

/* ---- parts ---- */

static void title(const struct window *w, struct buf *out)
{
	struct buf line;

	buf_init(&line, 4096);
	summary_target(w, 200, 40, &line);
	html_text(out, "<title>gospect: ", w->exe ? w->exe : "?", 80, "</title>\n");
	buf_puts(out, html_style);
	for (int i = 0; i < FLAME_MAX_REASONS; i++)
		buf_printf(out, ".r%d{background:%s}", i, colors[i]);
	buf_puts(out, "\n");
	buf_puts(out, waterfall_style);
	buf_puts(out, "</style></head><body>\n<h1>");
	escaped(out, line.data ? line.data : "");
	buf_puts(out, "</h1>\n<div class=\"dim\">");
	sentence(out, w, "", summary_agent);
	buf_puts(out, "</div>\n");
	buf_deinit(&line);
}

void html_findings(const struct findings *fs, struct buf *out)
{
	buf_puts(out, "<h2>Findings</h2>\n");
	if (!fs->n)
		buf_puts(out, "<p>Nothing found.</p>\n");
	for (int i = 0; i < fs->n; i++) {
		const struct finding *f = &fs->f[i];

		buf_printf(out, "<div class=\"finding %s\"><p><span class=\"sev\">%s</span>",
			   severity_word[f->severity], severity_word[f->severity]);
		html_text(out, "", f->title, NAME_COLUMNS * 2, "</p>\n<ul>");
		for (int k = 0; k < f->nevidence; k++)
			html_text(out, "<li>", f->evidence[k], NAME_COLUMNS * 2, "</li>");
		buf_puts(out, "</ul>\n");
		if (f->advice[0])
			html_text(out, "<p><b>do:</b> ", f->advice, NAME_COLUMNS * 2, "</p>");
		buf_puts(out, "</div>\n");
	}
}

static void legend(const struct flame *f, struct buf *out)
{
	char n[HUMAN_MAX];

	buf_puts(out, "<p>");
	for (int i = 0; i < f->nreason; i++) {
		buf_printf(out, "<span class=\"key r%d\">", i);
		html_text(out, "", f->reason[i], 48, " ");
		buf_printf(out, "%s</span>", human_count(f->reason_count[i], n));
	}
	buf_puts(out, "</p>\n<p><span class=\"js\"><input class=\"find\" placeholder=\"find a "
		      "function, file or reason\"><button class=\"all\">whole graph</button> <span "
		      "class=\"hits\"></span></span></p>\n");
}

static void box_name(const struct flame_node *n, struct buf *out)
{
	if (n->place)
		place(out, "", n->place, "");
	else
		html_text(out, "", n->reason ? n->reason : "all", 48, "");
}

/* A box and the boxes under it; the width is the browser's to work out, by flex. */
static void box(const struct flame *f, int i, int depth, struct buf *out)
{
	const struct flame_node *n = &f->node[i];
	uint64_t narrow = f->node[0].count / NARROW, drawn = 0;
	char count[HUMAN_MAX];

	buf_printf(out,
		   "<div class=\"box\" style=\"flex-grow:%llu\" data-n=\"%llu\"><span "
		   "class=\"r%d\" title=\"",
		   (unsigned long long)n->count, (unsigned long long)n->count, flame_reason(f, n));
	box_name(n, out);
	buf_printf(out, " — %s\">", human_count(n->count, count));
	box_name(n, out);
	buf_printf(out, " <b>%s</b></span>", count);
	if (n->child >= 0 && depth <= FLAME_MAX_DEPTH) {
		buf_puts(out, "<div class=\"row\">");
		for (int c = n->child; c >= 0; c = f->node[c].next)
			if (f->node[c].count > narrow || f->node[c].count == n->count) {
				box(f, c, depth + 1, out);
				drawn += f->node[c].count;
			}
		if (drawn < n->count) /* keeps the widths of the others true */
			buf_printf(out,
				   "<div class=\"box\" style=\"flex-grow:%llu\" data-n=\"0\"><span "
				   "title=\"\"></span></div>",
				   (unsigned long long)(n->count - drawn));
		buf_puts(out, "</div>");
	}
	buf_puts(out, "</div>");
}

static int graph(const struct flame_source *from, const char *title, const char *what,
		 struct buf *out)
{
	struct flame f;
	int err = flame_make(&f, from);

	if (err)
		return err;
	buf_puts(out, title);
	legend(&f, out);
	buf_printf(out, "<div class=\"graph\" data-what=\"%s\"><div class=\"row\">", what);
	if (f.node[0].count)
		box(&f, 0, 0, out);
	buf_puts(out, "</div></div>\n");
	if (f.cut)
		buf_puts(out, "<p class=\"dim\">Rare stacks are cut off.</p>\n");
	flame_deinit(&f);
	return 0;
}

static struct flame_item group_item(const struct flame_source *from, size_t i)
{
	const struct dump_group *g = &((const struct goroutine_dump *)from->of)->group[i];

	return (struct flame_item){ g->stack, g->count, g->reason };
}

static int goroutines_graph(const struct goroutine_dump *d, struct buf *out)
{
	struct flame_source from = {
		.stacks = &d->stacks, .n = d->ngroup, .item = group_item, .of = d, .waits = true
	};

	return graph(
		&from,
		"<h2>Goroutines by stack</h2>\n<p class=\"dim\">Width: how many. The outermost "
		"function is on top; the lowest box is what they wait for. Click to "
		"zoom.</p>\n",
		"goroutines", out);
}

static struct flame_item cpu_item(const struct flame_source *from, size_t i)
{
	const struct cpu_sample *s = &((const struct cpu_window *)from->of)->sample[i];

	return (struct flame_item){ s->stack, s->count, cpu_kind_word[s->kind] };
}

static int cpu_graph(const struct cpu_window *c, struct buf *out)
{
	struct flame_source from = {
		.stacks = &c->stacks, .n = c->nsample, .item = cpu_item, .of = c
	};

	return graph(&from,
		     "<h2>CPU time by stack</h2>\n<p class=\"dim\">Width: how many samples. The "
		     "outermost function is on top. Click to zoom.</p>\n",
		     "samples", out);
}

static void group_labels(const struct goroutine_dump *d, const struct dump_group *g,
			 struct buf *out)
{
	for (uint32_t k = 0; g->labels < d->nlabel_set && k < d->label_set[g->labels].n; k++) {
		const struct dump_label *l = &d->label[d->label_set[g->labels].first + k];

		html_text(out, " <code>", l->key, 40, "=");
		html_text(out, "", l->value, 40, "</code>");
	}
}

/* The same as a list: what one reads, copies, and has without the graph. */
static void stacks(const struct goroutine_dump *d, struct buf *out)
{
	const struct place *line[SCHEMA_MAX_FRAMES];
	char n[HUMAN_MAX];

	buf_puts(out, "<h2>Stacks</h2>\n");
	for (size_t i = 0; i < d->ngroup && i < MAX_GROUPS; i++) {
		const struct dump_group *g = &d->group[i];
		int lines = stack_lines(&d->stacks, g->stack, line, SCHEMA_MAX_FRAMES),
		    user = place_pick(line, lines);

		buf_printf(out, "<details%s><summary><b>%s</b> ", i < 3 ? " open" : "",
			   human_count(g->count, n));
		html_text(out, "", g->reason, 48, "");
		if (user >= 0 && line[user]->function)
			place(out, " at <code>", line[user], "</code>");
		if (g->age != AGE_UNKNOWN)
			sentence_seconds(out,
					 g->age == AGE_AT_LEAST ? ", the oldest at least "
								: ", the oldest ",
					 g->oldest_s, "");
		group_labels(d, g, out);
		buf_puts(out, "</summary><ol>");
		for (int k = 0; k < lines; k++)
			place(out, "<li><code>", line[k], "</code></li>");
		buf_puts(out, "</ol>");
		if (g->created.function)
			place(out, "<p>created at <code>", &g->created, "</code></p>");
		buf_puts(out, "</details>\n");
	}
	if (d->ngroup > MAX_GROUPS)
		buf_printf(out, "<p>and %s more</p>\n", human_count(d->ngroup - MAX_GROUPS, n));
}

void html_table(const struct grid *t, struct buf *out)
{
	const char *cell = t->cell.data;
	int rows = t->ncell / t->ncolumn;

	buf_puts(out, "<table><tr>");
	for (int i = 0; i < t->ncolumn; i++)
		buf_printf(out, t->column[i].right ? "<th class=\"n\">%s</th>" : "<th>%s</th>",
			   t->column[i].head);
	buf_puts(out, "</tr>\n");
	for (int row = 0; row < rows; row++) {
		buf_puts(out, "<tr>");
		for (int i = 0; i < t->ncolumn; i++) {
			buf_puts(out, t->column[i].right ? "<td class=\"n\">" : "<td>");
			escaped(out, cell);
			buf_puts(out, "</td>");
			cell += strlen(cell) + 1;
		}
		buf_puts(out, "</tr>\n");
	}
	buf_puts(out, "</table>\n");
}

static void lines_below(const struct window *w, const struct table *t, struct buf *out)
{
	struct buf lines;

	buf_init(&lines, 65536);
	t->below(w, &lines);
	if (lines.len) {
		buf_puts(out, "<pre>");
		escaped(out, lines.data);
		buf_puts(out, "</pre>\n");
	}
	buf_deinit(&lines);
}

/* A table and its sentences; goroutines by stack are a graph and a list. */
static int part(const struct window *w, const struct table *t, struct buf *out)
{
	struct cells cells;
	int err = 0;

	if (t == &net_phases && w->net)
		html_waterfall(out, w->net);
	if (!table_any(t, w))
		return 0;
	if (t == &goroutine_groups) {
		err = goroutines_graph(w->goroutines->dump, out);
		if (!err)
			stacks(w->goroutines->dump, out);
		return err;
	}
	if (t == &cpu_functions && w->cpu->profile)
		err = cpu_graph(w->cpu, out);
	if (err)
		return err;
	buf_printf(out, "<h2>%s</h2>\n", t->title);
	if (t->sentence)
		sentence(out, w, "", t->sentence);
	if (t->sentence2)
		sentence(out, w, t->label2 + strspn(t->label2, " "), t->sentence2);
	err = cells_of_window(&cells, t, w, MAX_ROWS);
	if (cells.grid.ncell)
		html_table(&cells.grid, out);
	cells_deinit(&cells);
	if (t->below)
		lines_below(w, t, out);
	return err;
}

int report_html(const struct report *r, struct buf *out)
{
	const struct window *w = &r->window;
	int err = 0;

	buf_puts(out, html_head);
	title(w, out);
	html_findings(&r->findings, out);
	for (int i = 0; i < report_nparts && !err; i++)
		err = part(w, report_parts[i], out);
	buf_puts(out, "<h2>Coverage</h2>\n");
	sentence(out, w, "", summary_coverage);
	sentence(out, w, "", summary_losses);
	buf_puts(out, script);
	buf_puts(out, "</body></html>\n");
	return err ? err : out->err;
}
