/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large allocations: a site whose objects of more than 32 KiB make up much of
 * the bytes that drive the garbage collector.
 *
 * The share is of all bytes that the program allocated in the window; where
 * these are not known, of the bytes in large objects, and the finding says so.
 * A site is reported from MIN_COUNT allocations in the window on (a table that
 * grows once is no finding) when it allocates
 *
 * - MIN_SHARE of all and MIN_BYTES_PER_S: with the least heap that Go collects
 *   at (4 MiB) that is a collection per second of its own,
 * - or HIGH_BYTES_PER_S, whatever its share.
 */
#include "memory/subject.h"

#include "base/human.h"
#include "base/text.h"
#include "memory/window.h"

#define MIN_COUNT        3
#define MIN_SHARE        0.10
#define MIN_BYTES_PER_S  (4.0 * 1024 * 1024)
#define HIGH_BYTES_PER_S (64.0 * 1024 * 1024)
#define MIN_WINDOW_S     0.5 /* shorter ones say nothing about a rate */

struct weight {
	double per_s; /* bytes */
	double share; /* 0..1 */
	bool of_all;  /* the share is of all allocation, else of the large bytes */
};

static struct weight weigh(const struct window *w, const struct alloc_row *a)
{
	struct weight x = { .per_s = (double)a->bytes / w->window_s };
	uint64_t whole = w->memory->total_alloc_bytes;

	/* sampled and exact numbers may contradict each other a little */
	x.of_all = whole != 0;
	if (!whole)
		whole = w->memory->large_bytes;
	if (whole < a->bytes)
		whole = a->bytes;
	x.share = whole ? (double)a->bytes / (double)whole : 0;
	return x;
}

static bool is_heavy(const struct alloc_row *a, const struct weight *x)
{
	if (a->other || a->count < MIN_COUNT)
		return false;
	return (x->share >= MIN_SHARE && x->per_s >= MIN_BYTES_PER_S) ||
	       x->per_s >= HIGH_BYTES_PER_S;
}

static void evidence(struct finding *f, const struct window *w, const struct alloc_row *a,
		     const char *mark)
{
	char count[HUMAN_MAX], mean[HUMAN_MAX], most[HUMAN_MAX], span[HUMAN_MAX],
		place[WORDS_PLACE_MAX];
	const struct place *from = alloc_caller(a);
	double average = (double)a->bytes / (double)a->count;

	if (average > (double)a->max_bytes) /* count and bytes were scaled apart */
		average = (double)a->max_bytes;
	finding_evidence(f, "%s%s allocations of %s on average in %s, the largest %s", mark,
			 human_count(a->count, count), human_bytes(average, mean),
			 human_seconds(w->window_s, span), human_bytes((double)a->max_bytes, most));
	if (from && from->function)
		finding_evidence(f, "called from %s", words_place(from, place, sizeof(place)));
	if (w->memory->gc.known && w->memory->gc.cycles)
		finding_evidence(f, "the garbage collector ran %s times meanwhile",
				 human_count(w->memory->gc.cycles, count));
}

static void add_finding(const struct window *w, const struct alloc_row *a, const struct weight *x,
			struct findings *out)
{
	const char *mark = w->memory->alloc_exactness == EXACT ? "" : "about ";
	char place[WORDS_PLACE_MAX], rate[HUMAN_MAX];
	struct finding *f = findings_add(out, "large-allocation", "alloc", SEVERITY_LOW, &a->place);

	if (!f)
		return;
	finding_title(f, "%s allocates %s%s/s in large objects: %.0f%% of %s",
		      words_place(&a->place, place, sizeof(place)), mark,
		      human_bytes(x->per_s, rate), x->share * 100,
		      x->of_all ? "what drives the GC" : "the bytes in large objects");
	finding_count(f, "count", a->count);
	finding_count(f, "bytes", a->bytes);
	finding_number(f, "bytes_per_s", x->per_s);
	finding_count(f, "max_bytes", a->max_bytes);
	finding_number(f, x->of_all ? "share_pct" : "share_of_large_pct", x->share * 100);
	evidence(f, w, a, mark);
	finding_advice(
		f,
		"reuse the buffer (sync.Pool, one per worker), or work in chunks (io.Copy, bufio)");
	f->exactness = w->memory->alloc_exactness;
	f->since_s = w->window_s;
	f->weight = x->per_s;
}

static void judge(const struct window *w, struct findings *out)
{
	struct weight x;

	if (!w->memory->alloc_known || w->window_s < MIN_WINDOW_S)
		return;
	for (int i = 0; i < w->memory->nalloc; i++) {
		x = weigh(w, &w->memory->alloc[i]);
		if (is_heavy(&w->memory->alloc[i], &x))
			add_finding(w, &w->memory->alloc[i], &x, out);
	}
}

const struct detector large_allocation_detector = {
	.name = "large-allocation",
	.sensors = SENSOR_BIT(SENSOR_ALLOC),
	.judge = judge,
};
