/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/probed.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define ROWS_MOST (PROBED_WHATS * (PROBED_ROWS + 1))
#define NAME_SIZE 40

const char *const probed_outcome_word[PROBED_OUTCOMES] = {
	[PROBED_ARMED] = "",
	[PROBED_ENDED] = "ended",
	[PROBED_NOT_PERMITTED] = "not-permitted",
	[PROBED_KERNEL] = "kernel",
	[PROBED_EXECUTABLE] = "executable",
	[PROBED_FAILED] = "failed",
};

const char *const probed_what_word[PROBED_WHATS] = {
	[PROBED_BIRTHS] = "goroutine_births",
	[PROBED_ALLOCS] = "large_allocations",
	[PROBED_CALLS] = "http_requests",
	[PROBED_PHASES] = "http_phases",
};

static const char *const kinds[] = {
	"connection-churn", "failing-phase", "goroutine-flood", "large-allocation", "slow-phase",
};

/* The same as a string that stays. */
static const char *known_kind(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i], kind))
			return kinds[i];
	return NULL;
}

bool probed_is_kind(const char *kind)
{
	return known_kind(kind) != NULL;
}

/* A finding with all that it points to. */
struct carried {
	struct finding f; /* its pointers mean nothing */
	char kind[NAME_SIZE], number[FINDING_MAX_NUMBERS][NAME_SIZE];
	uint8_t has_place, has_file, has_path, has_in;
	char function[256], file[128], path[512], in[256];
};

/* --- rows ------------------------------------------------------------------------- */

static void set(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

static bool same_row(const struct probed_row *a, const struct probed_row *b)
{
	return a->what == b->what && a->phase == b->phase && a->sampled == b->sampled &&
	       a->line == b->line && !strcmp(a->name, b->name) && !strcmp(a->file, b->file);
}

static void add_to(struct probed_row *sum, const struct probed_row *r)
{
	sum->count += r->count;
	sum->errors += r->errors;
	sum->sum += r->sum;
}

static struct probed_row *find_row(struct probed_row *row, size_t n, const struct probed_row *r)
{
	for (size_t i = 0; i < n; i++)
		if (same_row(&row[i], r))
			return &row[i];
	return NULL;
}

/* To its own row, or to that of the others where there is no more room.  row has room for ROWS_MOST. */
static void merge(struct probed_row *row, size_t *n, const struct probed_row *r)
{
	struct probed_row rest = *r;
	struct probed_row *to = find_row(row, *n, r);
	size_t own = 0;

	for (size_t i = 0; i < *n; i++)
		own += row[i].what == r->what && *row[i].name;
	if (!to && own >= PROBED_ROWS) {
		rest.name[0] = rest.file[0] = '\0';
		rest.line = 0;
		rest.phase = 0;
		rest.sampled = true; /* one row of them */
		to = find_row(row, *n, &rest);
	}
	if (to)
		add_to(to, r);
	else if (*n < ROWS_MOST)
		row[(*n)++] = rest;
}

static int by_count(const void *a, const void *b)
{
	const struct probed_row *x = a, *y = b;

	return x->count > y->count ? -1 : x->count < y->count;
}

/* All rows of a window, the largest with names. */
struct collected {
	struct probed_row *row;
	size_t n, cap;
};

static struct probed_row *collect(struct collected *c, enum probed_what what, enum exactness e)
{
	struct probed_row *r;

	if (array_room(&c->row, c->n, &c->cap, sizeof(*c->row)))
		return NULL;
	r = &c->row[c->n++];
	memset(r, 0, sizeof(*r));
	r->what = what;
	r->sampled = e != EXACT;
	return r;
}

static void at_place(struct probed_row *r, const struct place *p, bool other)
{
	if (other || !p->function)
		return;
	set(r->name, sizeof(r->name), p->function);
	set(r->file, sizeof(r->file), p->file);
	r->line = p->line;
}

static void births(const struct goroutines_window *g, struct collected *c)
{
	for (int i = 0; g->known && i < g->nsite; i++) {
		const struct site_row *s = &g->site[i];
		struct probed_row *r;

		if (!s->births_known || !s->births)
			continue;
		r = collect(c, PROBED_BIRTHS, s->exactness);
		if (!r)
			return;
		at_place(r, &s->place, s->other);
		r->count = s->births;
	}
}

static void allocs(const struct memory_window *m, struct collected *c)
{
	for (int i = 0; m->alloc_known && i < m->nalloc; i++) {
		struct probed_row *r = collect(c, PROBED_ALLOCS, m->alloc[i].exactness);

		if (!r)
			return;
		at_place(r, &m->alloc[i].place, m->alloc[i].other);
		r->count = m->alloc[i].count;
		r->sum = m->alloc[i].bytes;
	}
}

static void calls(const struct net_window *n, struct collected *c)
{
	for (int i = 0; n->known && i < n->nclient; i++) {
		const struct net_client *k = &n->client[i];
		struct probed_row *r;

		if (!k->requests_known || !k->requests)
			continue;
		r = collect(c, PROBED_CALLS, k->exactness);
		if (!r)
			return;
		at_place(r, &k->place, k->other);
		r->count = k->requests;
		r->errors = k->errors;
	}
}

static void phases(const struct net_window *n, struct collected *c)
{
	for (int i = 0; n->phases_known && i < n->nphase; i++) {
		const struct net_phase_row *p = &n->phase[i];
		struct probed_row *r;

		if (!p->count)
			continue;
		r = collect(c, PROBED_PHASES, p->exactness);
		if (!r)
			return;
		set(r->name, sizeof(r->name), p->other ? "" : p->host);
		r->phase = p->phase;
		r->count = p->count;
		r->errors = p->errors;
		/* timed are those that were seen */
		r->sum = p->timed ? (uint64_t)((double)p->total_ns / (double)p->timed *
					       (double)p->count)
				  : 0;
	}
}

static bool births_known(const struct goroutines_window *g)
{
	for (int i = 0; g->known && i < g->nsite; i++)
		if (g->site[i].births_known)
			return true;
	return false;
}

/* hits × what each costs, as the governor has it. */
static uint64_t cost_of(const struct window *w)
{
	double ns = 0;

	for (int i = 0; i < w->nprobe; i++)
		if (w->probe[i].cost_ns > 0)
			ns += (double)w->probe[i].hits * w->probe[i].cost_ns;
	return (uint64_t)ns;
}

/* --- handing over ------------------------------------------------------------------- */

static void carry(struct carried *c, const struct finding *f)
{
	memset(c, 0, sizeof(*c));
	c->f = *f;
	set(c->kind, sizeof(c->kind), f->kind);
	for (int i = 0; i < f->nnumber; i++)
		set(c->number[i], sizeof(c->number[i]), f->number[i].name);
	c->has_place = f->place.function != NULL;
	c->has_file = f->place.file != NULL;
	c->has_path = f->place.path != NULL;
	c->has_in = f->place.in != NULL;
	set(c->function, sizeof(c->function), f->place.function);
	set(c->file, sizeof(c->file), f->place.file);
	set(c->path, sizeof(c->path), f->place.path);
	set(c->in, sizeof(c->in), f->place.in);
}

static uint32_t put_findings(const struct findings *fs, struct buf *out)
{
	struct carried *c = malloc(sizeof(*c));
	uint32_t n = 0;

	for (int i = 0; c && i < fs->n && n < PROBED_FINDINGS; i++) {
		if (!probed_is_kind(fs->f[i].kind) || fs->f[i].severity <= SEVERITY_INFO)
			continue;
		carry(c, &fs->f[i]);
		buf_add(out, c, sizeof(*c));
		n++;
	}
	free(c);
	return n;
}

static uint32_t put_rows(const struct window *w, struct buf *out)
{
	struct probed_row row[ROWS_MOST];
	struct collected c = { 0 };
	size_t n = 0;

	births(w->goroutines, &c);
	allocs(w->memory, &c);
	calls(w->net, &c);
	phases(w->net, &c);
	if (c.n)
		qsort(c.row, c.n, sizeof(*c.row), by_count);
	for (size_t i = 0; i < c.n; i++)
		merge(row, &n, &c.row[i]);
	free(c.row);
	buf_add(out, row, n * sizeof(*row));
	return (uint32_t)n;
}

void probed_write(const struct report *r, const struct probe_ask *q, uint64_t cpu_ns,
		  struct buf *out)
{
	const struct window *w = &r->window;
	struct probed p = {
		.end_real_ns = w->end_real_ns,
		.window_ns = (uint64_t)(w->window_s * 1e9),
		.asked_ns = q->time_ns,
		.cost_ns = cost_of(w),
		.cpu_ns = cpu_ns,
		.paused = w->process.paused_lately,
		.covered = { [PROBED_BIRTHS] = births_known(w->goroutines),
			     [PROBED_ALLOCS] = w->memory->alloc_known,
			     [PROBED_CALLS] = w->net->phases_known,
			     [PROBED_PHASES] = w->net->phases_known },
	};
	size_t at = out->len;

	p.begin_real_ns = p.end_real_ns - p.window_ns;
	buf_add(out, &p, sizeof(p));
	p.nrow = put_rows(w, out);
	p.nfinding = put_findings(&r->findings, out);
	if (!out->err)
		memcpy(out->data + at, &p, sizeof(p));
}

/* --- reading ------------------------------------------------------------------------- */

/* Names of numbers, which have to stay: some dozens in all. */
static const char *stay(const char *name)
{
	static char *names[128];
	size_t i;

	for (const char *s = name; *s; s++)
		if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s) && *s != '_')
			return NULL;
	if (!*name)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(names) && names[i]; i++)
		if (!strcmp(names[i], name))
			return names[i];
	if (i < ARRAY_SIZE(names))
		names[i] = strdup(name);
	return i < ARRAY_SIZE(names) ? names[i] : NULL;
}

#define END(array) ((array)[sizeof(array) - 1] = '\0')

static void take_numbers(struct carried *c, struct finding *f)
{
	f->nnumber = 0;
	for (int i = 0; i < c->f.nnumber && i < FINDING_MAX_NUMBERS; i++) {
		struct finding_number *n = &f->number[f->nnumber];
		uint8_t is_integer; /* any byte */

		memcpy(&is_integer, &c->f.number[i].is_integer, 1);
		END(c->number[i]);
		n->name = stay(c->number[i]);
		n->value = c->f.number[i].value;
		n->is_integer = is_integer != 0;
		f->nnumber += n->name != NULL;
	}
}

/* False: it is none. */
static bool take_finding(struct carried *c, struct finding *f)
{
	*f = c->f;
	END(c->kind);
	f->kind = known_kind(c->kind);
	if (!f->kind || f->severity < SEVERITY_INFO || f->severity > SEVERITY_CRITICAL ||
	    f->exactness < EXACT || f->exactness > OFF || f->nevidence < 0 ||
	    f->nevidence > FINDING_MAX_EVIDENCE)
		return false;
	END(f->id);
	END(f->title);
	END(f->advice);
	END(f->caused_by);
	for (int i = 0; i < FINDING_MAX_EVIDENCE; i++)
		END(f->evidence[i]);
	take_numbers(c, f);
	END(c->function);
	END(c->file);
	END(c->path);
	END(c->in);
	f->place.function = c->has_place ? c->function : NULL;
	f->place.file = c->has_file ? c->file : NULL;
	f->place.path = c->has_path ? c->path : NULL;
	f->place.in = c->has_in ? c->in : NULL;
	f->about.host = NULL;
	f->about.row = NULL;
	return true;
}

static bool take_row(struct probed_row *r)
{
	END(r->name);
	END(r->file);
	return r->what < PROBED_WHATS && r->phase < NET_PHASES;
}

static int take(struct probed *p, const char *bytes)
{
	size_t rows = p->nrow * sizeof(*p->row), texts = p->nfinding * sizeof(struct carried);

	p->row = malloc(rows + 1);
	p->texts = malloc(texts + sizeof(struct carried));
	p->findings.f = calloc(p->nfinding + 1, sizeof(*p->findings.f));
	if (!p->row || !p->texts || !p->findings.f)
		return -ENOMEM;
	memcpy(p->row, bytes, rows);
	memcpy(p->texts, bytes + rows, texts);
	for (uint32_t i = 0; i < p->nrow; i++)
		if (!take_row(&p->row[i]))
			return -EBADMSG;
	for (uint32_t i = 0; i < p->nfinding; i++)
		if (!take_finding((struct carried *)p->texts + i, &p->findings.f[i]))
			return -EBADMSG;
	p->findings.n = (int)p->nfinding;
	return 0;
}

int probed_read(struct probed *out, const char *bytes, size_t n)
{
	int r;

	memset(out, 0, sizeof(*out));
	if (n < sizeof(*out))
		return -EBADMSG;
	memcpy(out, bytes, sizeof(*out));
	out->row = NULL;
	out->texts = NULL;
	memset(&out->findings, 0, sizeof(out->findings));
	if (out->nrow > ROWS_MOST || out->nfinding > PROBED_FINDINGS ||
	    n != sizeof(*out) + out->nrow * sizeof(*out->row) +
			    out->nfinding * sizeof(struct carried))
		return -EBADMSG;
	r = take(out, bytes + sizeof(*out));
	if (r)
		probed_deinit(out);
	return r;
}

void probed_deinit(struct probed *p)
{
	free(p->row);
	free(p->texts);
	free(p->findings.f);
	memset(p, 0, sizeof(*p));
}

/* --- sums ---------------------------------------------------------------------------- */

struct probed_sums *probed_add(const struct probed_sums *before, const struct probed *p)
{
	size_t most = (before ? before->nrow : 0) + p->nrow;
	struct probed_sums *s, *exact;

	s = calloc(1, sizeof(*s) + (most < ROWS_MOST ? ROWS_MOST : most) * sizeof(s->row[0]));
	if (!s)
		return NULL;
	if (before)
		memcpy(s, before, sizeof(*s) + before->nrow * sizeof(s->row[0]));
	s->refs = 1;
	s->windows++;
	s->cost_ns += p->cost_ns;
	s->last_real_ns = p->end_real_ns;
	for (int i = 0; i < PROBED_WHATS; i++)
		s->covered_ns[i] += p->covered[i] ? p->window_ns : 0;
	for (uint32_t i = 0; i < p->nrow; i++)
		merge(s->row, &s->nrow, &p->row[i]);
	exact = realloc(s, sizeof(*s) + s->nrow * sizeof(s->row[0]));
	return exact ? exact : s;
}

struct probed_sums *probed_sums_get(struct probed_sums *s)
{
	s->refs++;
	return s;
}

void probed_sums_put(void *p)
{
	struct probed_sums *s = p;

	if (s && !--s->refs)
		free(s);
}
