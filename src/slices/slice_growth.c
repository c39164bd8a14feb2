/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slice growth: an append that moves its slice again and again, where the copies are a real
 * share of what the program allocates.
 *
 * Each move makes a new array, so a place that copies a seventh of what the program allocates is
 * behind more than a quarter of it.  A finding is a place of the user's (appends inside the standard
 * library are left out) with MIN_BYTES_PER_S and MIN_PER_S that
 *
 * - moves a slice MANY times or more, of those that begin there, up to MIN_LENGTH elements and
 *   more, and copies MIN_SHARE;
 * - or copies MOST_SHARE, however often it moves one.
 *
 * No finding: a slice that grows once or twice, or stays short (the fields of a line), one that
 * grows for as long as the program runs (its moves become rare), a parser that appends little
 * beside what else it allocates, and any of it where what the program allocates is not known.
 */
#include "slices/subject.h"

#include "base/human.h"
#include "base/text.h"
#include "model/finding.h"
#include "model/sentence.h"
#include "model/words.h"
#include "slices/window.h"

#define MIN_BYTES_PER_S (1.0 * 1024 * 1024)
#define MIN_PER_S       100.0
#define MANY            4.0
#define MIN_LENGTH      32
#define MIN_SHARE       0.15
#define MOST_SHARE      0.25
#define MIN_WINDOW_S    0.5 /* shorter ones say nothing about a rate */
#define ELEMENT_COLUMNS 40

static double share_of(const struct window *w, const struct slice_row *r)
{
	double whole = (double)w->slices->alloc_bytes;

	/* counted and sampled apart: they may contradict each other a little */
	return whole > 0 ? (double)r->bytes / (whole > (double)r->bytes ? whole : (double)r->bytes)
			 : 0;
}

static bool is_heavy(const struct window *w, const struct slice_row *r)
{
	double share = share_of(w, r);

	if (r->other || window_per_s(w, r->bytes) < MIN_BYTES_PER_S ||
	    window_per_s(w, r->growths) < MIN_PER_S)
		return false;
	return share >= MOST_SHARE || (share >= MIN_SHARE && slice_row_per_slice(r) >= MANY &&
				       r->max_length >= MIN_LENGTH);
}

static void title(struct finding *f, const struct window *w, const struct slice_row *r,
		  const char *element)
{
	const char *about = r->exactness == EXACT ? "" : "about ";
	char place[WORDS_PLACE_MAX], rate[HUMAN_MAX];
	double n = slice_row_per_slice(r);

	words_place(&r->place, place, sizeof(place));
	human_bytes(window_per_s(w, r->bytes), rate);
	if (n >= MANY)
		finding_title(f,
			      "%s moves each []%s %s%.0f times as it grows: %s/s copied, %.0f%% of "
			      "what the program allocates",
			      place, element, about, n, rate, 100 * share_of(w, r));
	else
		finding_title(f,
			      "%s copies %s%s/s because a []%s has no room: %.0f%% of what the "
			      "program allocates",
			      place, about, rate, element, 100 * share_of(w, r));
}

static void add_finding(const struct window *w, const struct slice_row *r, struct findings *out)
{
	struct finding *f =
		findings_add(out, "slice-growth", "slice-growth", SEVERITY_LOW, &r->place);
	char element[ELEMENT_COLUMNS * 4 + 1], n[HUMAN_MAX], m[HUMAN_MAX], span[HUMAN_MAX];
	const char *about = r->exactness == EXACT ? "" : "about ";

	if (!f)
		return;
	words_fit(r->element ? r->element : "T", ELEMENT_COLUMNS, element, sizeof(element));
	title(f, w, r, element);
	finding_evidence(f, "%s%s in %s, %s of them of a slice that began here", about,
			 human_counted(r->growths, "reallocation", n),
			 human_seconds(w->window_s, span), human_count(r->begun, m));
	finding_evidence(f, "the longest was moved at a length of %s, and given room for %s",
			 human_count(r->max_length, n), human_count(r->capacity, m));
	finding_count(f, "growths", r->growths);
	finding_count(f, "bytes_copied", r->bytes);
	finding_number(f, "bytes_per_s", window_per_s(w, r->bytes));
	finding_number(f, "share_pct", 100 * share_of(w, r));
	if (r->begun)
		finding_number(f, "per_slice", slice_row_per_slice(r));
	finding_count(f, "capacity", r->capacity);
	finding_advice(f,
		       "make([]%s, 0, n) with the length it will have: n of %s would have sufficed "
		       "for about the longest; or keep the array and begin again with s[:0]",
		       element, human_count(r->capacity, n));
	f->exactness = r->exactness;
	f->since_s = w->window_s;
	f->weight = window_per_s(w, r->bytes);
}

static void judge(const struct window *w, struct findings *out)
{
	if (!w->slices->known || window_run_s(w) < MIN_WINDOW_S)
		return;
	for (int i = 0; i < w->slices->nrow; i++)
		if (is_heavy(w, &w->slices->row[i]))
			add_finding(w, &w->slices->row[i], out);
}

const struct detector slice_growth_detector = {
	.name = "slice-growth",
	.sensors = SENSOR_BIT(SENSOR_SLICES),
	.judge = judge,
};
