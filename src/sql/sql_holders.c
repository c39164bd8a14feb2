/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/subject.h"

#include <string.h>

#include "model/place.h"

bool sql_holder_is_of(const struct sql_holder *h, const struct place *begin)
{
	return place_equal(&h->place, begin) ||
	       (h->what == SQL_TRANSACTION && h->place_is_now && h->place.function &&
		begin->function && !strcmp(h->place.function, begin->function));
}

/* Whether h is counted with `first`, a holder of its kind. */
static bool goes_with(const struct sql_holder *h, const struct sql_holder *first)
{
	return h->what == first->what &&
	       (place_equal(&h->place, &first->place) ||
		(!first->place_is_now && !first->waits && sql_holder_is_of(h, &first->place)));
}

/* Of all that it goes with, itself too, the first whose place is a call; else the first. */
static const struct sql_holder *counted_with(const struct sql_window *s, const struct sql_holder *h)
{
	const struct sql_holder *best = NULL;

	for (int i = 0; i < s->npool; i++)
		for (int k = 0; k < s->pool[i].nholder; k++) {
			const struct sql_holder *first = &s->pool[i].holder[k];

			if (!goes_with(h, first))
				continue;
			if (!first->place_is_now)
				return first;
			if (!best)
				best = first;
		}
	return best;
}

bool sql_holders_first(const struct sql_window *s, int pool, int holder, struct sql_held *out)
{
	const struct sql_holder *first = &s->pool[pool].holder[holder];

	*out = (struct sql_held){ .oldest = first };
	if (counted_with(s, first) != first)
		return false;
	for (int i = 0; i < s->npool; i++)
		for (int k = 0; k < s->pool[i].nholder; k++) {
			const struct sql_holder *h = &s->pool[i].holder[k];

			if (h != first && (!goes_with(h, first) || counted_with(s, h) != first))
				continue;
			out->count += h->count;
			if (h->place_is_now && !first->place_is_now)
				out->begun_before += h->count;
			if (h->age != AGE_UNKNOWN &&
			    (out->oldest->age == AGE_UNKNOWN || h->held_s > out->oldest->held_s))
				out->oldest = h;
		}
	return true;
}
