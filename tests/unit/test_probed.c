/* SPDX-License-Identifier: BSD-2-Clause */
/* src/agent/probed: what a window with probes has shown, handed over, read and summed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/probed.h"
#include "parts.h"

#define MANY 100 /* sites: more than have rows of their own */

struct fixture {
	struct report r;
	struct parts_by_hand parts;
	struct site_row site[MANY];
	char function[MANY][32];
	struct alloc_row alloc;
	struct net_client client;
	struct net_phase_row phase;
	struct probe_row probe[2];
};

static void fill(struct fixture *f, int nsite)
{
	struct window *w = &f->r.window;

	memset(f, 0, sizeof(*f));
	parts_use(&f->parts, w);
	w->end_real_ns = 100000000000ull;
	w->window_s = 60;
	f->probe[0] = (struct probe_row){ .hits = 1000, .cost_ns = 1500 };
	f->probe[1] = (struct probe_row){ .hits = 1000, .cost_ns = -1 }; /* not measured */
	w->probe = f->probe;
	w->nprobe = 2;
	w->goroutines->known = true;
	w->goroutines->site = f->site;
	w->goroutines->nsite = nsite;
	for (int i = 0; i < nsite; i++) {
		snprintf(f->function[i], sizeof(f->function[i]), "main.f%d", i);
		f->site[i] = (struct site_row){
			.place = { .function = f->function[i], .file = "main.go", .line = i + 1 },
			.births = (uint64_t)i + 1,
			.births_known = true
		};
	}
	f->alloc = (struct alloc_row){
		.place = { .function = "main.big", .file = "big.go", .line = 7 },
		.count = 3,
		.bytes = 3 << 20
	};
	w->memory->alloc_known = true;
	w->memory->alloc = &f->alloc;
	w->memory->nalloc = 1;
	f->client = (struct net_client){ .place = { .function = "main.ask", .file = "ask.go" },
					 .requests_known = true,
					 .requests = 10,
					 .errors = 4,
					 .exactness = SAMPLED };
	f->phase = (struct net_phase_row){ .host = "a:80",
					   .phase = NET_TTFB,
					   .count = 10,
					   .errors = 1,
					   .timed = 5,
					   .total_ns = 500,
					   .exactness = SAMPLED };
	w->net->known = w->net->phases_known = true;
	w->net->client = &f->client;
	w->net->nclient = 1;
	w->net->phase = &f->phase;
	w->net->nphase = 1;
}

static void find(struct fixture *f, const char *kind, enum severity severity)
{
	struct finding *g = findings_add(&f->r.findings, kind, "alloc", severity, &f->alloc.place);

	finding_title(g, "it is so");
	finding_count(g, "count", 3);
	finding_number(g, "share_pct", 97.5);
	finding_evidence(g, "seen");
}

static struct buf written(struct fixture *f)
{
	const struct probe_ask q = { .pid = 1, .time_ns = 60000000000ull };
	struct buf b;

	buf_init(&b, 1 << 20);
	probed_write(&f->r, &q, 42, &b);
	assert_int_equal(b.err, 0);
	findings_deinit(&f->r.findings);
	return b;
}

static const struct probed_row *row(const struct probed_row *r, size_t n, enum probed_what what,
				    const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].what == what && !strcmp(r[i].name, name))
			return &r[i];
	return NULL;
}

static void test_whole(void **state)
{
	static struct fixture f;
	const struct probed_row *r;
	struct probed p;
	struct buf b;

	(void)state;
	fill(&f, 2);
	find(&f, "large-allocation", SEVERITY_LOW);
	find(&f, "large-allocation", SEVERITY_INFO); /* a remark */
	find(&f, "goroutine-leak", SEVERITY_HIGH);   /* walks see it */
	b = written(&f);
	assert_int_equal(probed_read(&p, b.data, b.len), 0);
	memset(&f, 0xff, sizeof(f)); /* nothing points to it */
	buf_deinit(&b);
	assert_int_equal(p.cost_ns, 1500000);
	assert_int_equal(p.cpu_ns, 42);
	assert_int_equal(p.window_ns, 60000000000ull);
	assert_int_equal(p.begin_real_ns, 40000000000ull);
	for (int i = 0; i < PROBED_WHATS; i++)
		assert_true(p.covered[i]);
	r = row(p.row, p.nrow, PROBED_BIRTHS, "main.f1");
	assert_int_equal(r->count, 2);
	assert_int_equal(r->line, 2);
	assert_false(r->sampled);
	r = row(p.row, p.nrow, PROBED_ALLOCS, "main.big");
	assert_int_equal(r->sum, 3 << 20);
	r = row(p.row, p.nrow, PROBED_CALLS, "main.ask");
	assert_int_equal(r->errors, 4);
	assert_true(r->sampled);
	r = row(p.row, p.nrow, PROBED_PHASES, "a:80");
	assert_int_equal(r->phase, NET_TTFB);
	assert_int_equal(r->sum, 1000); /* of all, by those that were timed */
	assert_int_equal(p.findings.n, 1);
	assert_string_equal(p.findings.f[0].kind, "large-allocation");
	assert_string_equal(p.findings.f[0].title, "it is so");
	assert_string_equal(p.findings.f[0].place.function, "main.big");
	assert_null(p.findings.f[0].place.path);
	assert_int_equal(p.findings.f[0].nnumber, 2);
	assert_string_equal(p.findings.f[0].number[1].name, "share_pct");
	assert_true(p.findings.f[0].number[1].value == 97.5);
	probed_deinit(&p);
}

/* What was not counted is not zero. */
static void test_not_known(void **state)
{
	static struct fixture f;
	struct probed p;
	struct buf b;

	(void)state;
	fill(&f, 1);
	f.site[0].births_known = false;
	f.r.window.memory->alloc_known = false;
	f.r.window.net->phases_known = false;
	f.client.requests_known = false;
	b = written(&f);
	assert_int_equal(probed_read(&p, b.data, b.len), 0);
	assert_int_equal(p.nrow, 0);
	for (int i = 0; i < PROBED_WHATS; i++)
		assert_false(p.covered[i]);
	probed_deinit(&p);
	buf_deinit(&b);
}

/* Who wrote it may have been taken over: any length, any byte. */
static void test_hostile(void **state)
{
	static struct fixture f;
	struct probed p;
	struct buf b;
	char *copy;

	(void)state;
	fill(&f, 2);
	find(&f, "large-allocation", SEVERITY_LOW);
	b = written(&f);
	for (size_t n = 0; n < b.len; n += 7)
		assert_true(probed_read(&p, b.data, n) < 0);
	copy = malloc(b.len);
	assert_non_null(copy);
	srand(7);
	for (int i = 0; i < 3000; i++) {
		memcpy(copy, b.data, b.len);
		for (int k = rand() % 400; k >= 0; k--)
			copy[(size_t)rand() % b.len] = (char)(rand() % 2 ? 0xff : rand());
		if (probed_read(&p, copy, b.len))
			continue;
		for (int k = 0; k < p.findings.n; k++) {
			const struct finding *g = &p.findings.f[k];

			assert_true(probed_is_kind(g->kind));
			assert_true(strlen(g->id) < sizeof(g->id));
			for (int m = 0; m < g->nnumber; m++)
				assert_true(strlen(g->number[m].name) > 0);
		}
		for (uint32_t k = 0; k < p.nrow; k++)
			assert_true(strlen(p.row[k].name) < sizeof(p.row[k].name));
		probed_deinit(&p);
	}
	free(copy);
	buf_deinit(&b);
}

/* Sums only grow, also where others have more meanwhile. */
static void test_sums(void **state)
{
	static struct fixture f;
	struct probed_sums *s = NULL, *more;
	uint64_t before = 0, all;
	struct probed p;
	struct buf b;

	(void)state;
	for (int i = 0; i < 3; i++) {
		fill(&f, MANY);
		if (i == 1)
			f.site[0].births = 1000; /* once the least */
		b = written(&f);
		assert_int_equal(probed_read(&p, b.data, b.len), 0);
		assert_int_equal(p.nrow, PROBED_ROWS + 1 + 3);
		more = probed_add(s, &p);
		assert_non_null(more);
		probed_sums_put(s);
		s = more;
		probed_deinit(&p);
		buf_deinit(&b);
		assert_int_equal(row(s->row, s->nrow, PROBED_BIRTHS, "main.f99")->count,
				 100 * (i + 1));
		assert_int_equal(s->nrow, PROBED_ROWS + 1 + 3);
		assert_true(row(s->row, s->nrow, PROBED_BIRTHS, "")->count > before);
		before = row(s->row, s->nrow, PROBED_BIRTHS, "")->count;
	}
	all = 0;
	for (size_t i = 0; i < s->nrow; i++)
		all += s->row[i].what == PROBED_BIRTHS ? s->row[i].count : 0;
	assert_int_equal(all, 3 * MANY * (MANY + 1) / 2 + 999);
	assert_int_equal(s->windows, 3);
	assert_int_equal(s->covered_ns[PROBED_ALLOCS], 180000000000ull);
	assert_int_equal(s->cost_ns, 4500000);
	probed_sums_put(probed_sums_get(s));
	probed_sums_put(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_not_known),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
