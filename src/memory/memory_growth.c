/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory growth: a place whose objects stay alive, and become more while we
 * look.  From the runtime's sampled heap profile at both ends of the window,
 * which says what was alive at a collection: without one in between there is
 * nothing to compare.
 *
 * A place is reported when what it has in use grew in the window by
 *
 * - MIN_GROWN or more, which is more than the sample's noise (a single sample
 *   stands for `rate` bytes or an object: NOISE_SAMPLES of them),
 * - MIN_SHARE of what it had at the start, and MIN_OF_HEAP of the whole heap.
 *
 * The heap as a whole says nothing here: one large buffer that comes and goes
 * hides what grows beside it.  Medium when the growth fills
 * the heap's present size again within SOON_S, else low: a warm-up looks the
 * same, and only a second snapshot (`gospect diff`) tells.
 */
#include "memory/subject.h"

#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "memory/window.h"

#define MIN_GROWN     (1.0 * 1024 * 1024)
#define NOISE_SAMPLES 6
#define MIN_SHARE     0.05
#define MIN_OF_HEAP   0.01
#define SOON_S        3600
#define MIN_WINDOW_S  0.9
#define MAX_FINDINGS  10

static bool grows(const struct window *w, const struct heap_row *r)
{
	const struct heap_window *h = &w->memory->heap;
	double before = (double)r->in_use_bytes - (double)r->grown_bytes, object;

	if (r->other || r->grown_bytes <= 0 || !r->place.function ||
	    !strncmp(r->place.function, "runtime.", 8))
		return false;
	/* one sample is at least one object */
	object = r->in_use_count ? (double)r->in_use_bytes / (double)r->in_use_count : 0;
	if ((double)r->grown_bytes < MIN_GROWN ||
	    (h->rate > 1 &&
	     (double)r->grown_bytes <
		     NOISE_SAMPLES * (object > (double)h->rate ? object : (double)h->rate)))
		return false;
	return (double)r->grown_bytes >= MIN_SHARE * before &&
	       (double)r->grown_bytes >= MIN_OF_HEAP * (double)h->in_use_bytes;
}

static void evidence(struct finding *f, const struct window *w, const struct heap_row *r)
{
	char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX];

	char n[HUMAN_MAX];

	finding_evidence(f, "from %s to %s in use in %s, %s objects now",
			 human_bytes((double)r->in_use_bytes - (double)r->grown_bytes, a),
			 human_bytes((double)r->in_use_bytes, b), human_seconds(w->window_s, c),
			 human_count(r->in_use_count, n));
	finding_evidence(f, "%s of everything it ever allocated is still alive",
			 r->alloc_bytes && r->in_use_bytes >= r->alloc_bytes ? "all"
			 : r->in_use_bytes * 10 >= r->alloc_bytes * 9        ? "nearly all"
									     : "a part");
	if (w->memory->gc.heap_known)
		finding_evidence(f, "the whole heap: %s live after the last collection",
				 human_bytes((double)w->memory->gc.heap_marked_bytes, a));
}

static void add_finding(const struct window *w, const struct heap_row *r, struct findings *out)
{
	double per_s = (double)r->grown_bytes / w->window_s;
	bool soon = per_s * SOON_S >= (double)w->memory->heap.in_use_bytes;
	struct finding *f = findings_add(out, "memory-growth", "memory",
					 soon ? SEVERITY_MEDIUM : SEVERITY_LOW, &r->place);
	char place[WORDS_PLACE_MAX], rate[HUMAN_MAX], now[HUMAN_MAX];

	if (!f)
		return;
	finding_title(f, "memory allocated at %s is kept and grows by %s a minute: %s now",
		      words_place(&r->place, place, sizeof(place)), human_bytes(per_s * 60, rate),
		      human_bytes((double)r->in_use_bytes, now));
	finding_count(f, "in_use_bytes", r->in_use_bytes);
	finding_count(f, "grown_bytes", (uint64_t)r->grown_bytes);
	finding_number(f, "bytes_per_minute", per_s * 60);
	finding_count(f, "in_use_count", r->in_use_count);
	evidence(f, w, r);
	finding_advice(f, "find what retains it (a map or slice that only grows, a cache without a "
			  "limit); bound it, or delete what is no longer needed");
	f->exactness = w->memory->heap.rate > 1 ? ESTIMATED : EXACT;
	f->since_s = w->window_s;
	f->weight = per_s;
}

static void judge(const struct window *w, struct findings *out)
{
	const struct heap_window *h = &w->memory->heap;
	int found = 0;

	if (!h->known || !h->collected || w->window_s < MIN_WINDOW_S)
		return;
	for (int i = 0; i < h->nrow && found < MAX_FINDINGS; i++)
		if (grows(w, &h->row[i])) {
			add_finding(w, &h->row[i], out);
			found++;
		}
}

const struct detector memory_growth_detector = {
	.name = "memory-growth",
	.sensors = SENSOR_ALL, /* from memory: whatever the probes cover */
	.judge = judge,
};
