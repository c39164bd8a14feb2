/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	STORES_MS = 150,
	READS_MS = 100,
	LATER = 3, /* after the first round, reads get so many times the time of stores */
	QUIET = 10 /* slices without a hit, after which a word is as if never stored to */
};

struct sweep_word {
	uint64_t reads_ms;
	uint8_t quiet;
	bool live;  /* stored to, lately */
	bool ended; /* proven, or the runtime's */
	bool swept, stored, changed;
};

int sweep_init(struct sweep *s, const struct race_words *l)
{
	*s = (struct sweep){ .l = l, .w = calloc(l->n + 1, sizeof(*s->w)), .slots = SWEEP_SLOTS };
	return s->w ? 0 : -ENOMEM;
}

void sweep_deinit(struct sweep *s)
{
	free(s->w);
	memset(s, 0, sizeof(*s));
}

static void revive(struct sweep *s, size_t i)
{
	s->stored += !s->w[i].stored;
	s->w[i].stored = s->w[i].live = true;
	s->w[i].quiet = 0;
}

/* What memory has shown since. */
static void take_changes(struct sweep *s)
{
	for (size_t i = 0; i < s->l->n; i++)
		if (s->l->w[i].changed && !s->w[i].changed) {
			s->w[i].changed = true;
			revive(s, i);
		}
}

/* ---- reads ---- */

bool sweep_is_live(const struct sweep *s, size_t i)
{
	return s->w[i].live && !s->w[i].ended;
}

static bool is_before(const struct sweep *s, size_t a, size_t b)
{
	return s->w[a].reads_ms < s->w[b].reads_ms;
}

/* The live ones that have had the least time; in order. */
static bool next_reads(struct sweep *s, struct sweep_slice *out)
{
	*out = (struct sweep_slice){ .reads = true, .ms = READS_MS };
	for (size_t i = 0; i < s->l->n; i++) {
		size_t at = out->n;

		if (!sweep_is_live(s, i))
			continue;
		while (at && is_before(s, i, out->word[at - 1]))
			at--;
		if (at == s->slots)
			continue;
		out->n += out->n < s->slots;
		memmove(&out->word[at + 1], &out->word[at],
			(out->n - at - 1) * sizeof(out->word[0]));
		out->word[at] = i;
	}
	return out->n;
}

/* ---- stores ---- */

/* The next ones that are not known to be stored to; at the end of a round from the beginning. */
static bool next_stores(struct sweep *s, struct sweep_slice *out)
{
	*out = (struct sweep_slice){ .ms = STORES_MS };
	for (size_t tried = 0; tried < s->l->n && out->n < s->slots; tried++) {
		size_t i = s->next++;

		if (!s->w[i].live && !s->w[i].ended)
			out->word[out->n++] = i;
		if (s->next < s->l->n)
			continue;
		s->next = 0;
		s->rounds += s->begun || out->n;
		s->begun = false;
		if (out->n)
			return true; /* a slice does not reach into the next round */
	}
	s->begun |= out->n;
	return out->n;
}

static bool wants_reads(const struct sweep *s)
{
	return s->reads_ms < s->stores_ms * (s->rounds ? LATER : 1);
}

bool sweep_next(struct sweep *s, struct sweep_slice *out)
{
	take_changes(s);
	if (wants_reads(s) && next_reads(s, out))
		return true;
	return next_stores(s, out) || next_reads(s, out);
}

void sweep_saw(struct sweep *s, const struct sweep_slice *slice, const struct sweep_seen *seen)
{
	s->slices++;
	*(slice->reads ? &s->reads_ms : &s->stores_ms) += slice->ms;
	for (size_t i = 0; i < slice->n; i++) {
		struct sweep_word *w = &s->w[slice->word[i]];

		w->ended |= seen[i].proven || seen[i].owned;
		if (slice->reads)
			w->reads_ms += slice->ms;
		if (!seen[i].gone) {
			s->swept += !w->swept;
			w->swept = true;
		}
		if (seen[i].stored)
			revive(s, slice->word[i]);
		else if (slice->reads && seen[i].hits)
			w->quiet = 0;
		else if (slice->reads && ++w->quiet == QUIET)
			w->live = false;
	}
}

void sweep_paused(struct sweep *s, const struct sweep_slice *slice, uint64_t ms)
{
	*(slice->reads ? &s->reads_ms : &s->stores_ms) += ms;
}
