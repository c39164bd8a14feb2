/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/subject.h"

bool sql_holders_first(const struct sql_window *s, int pool, int holder, struct sql_held *out)
{
	const struct sql_holder *first = &s->pool[pool].holder[holder];

	*out = (struct sql_held){ .oldest = first };
	for (int i = 0; i < s->npool; i++)
		for (int k = 0; k < s->pool[i].nholder; k++) {
			const struct sql_holder *h = &s->pool[i].holder[k];

			if (h->what != first->what ||
			    (h != first && !place_equal(&h->place, &first->place)))
				continue;
			if (i < pool || (i == pool && k < holder))
				return false;
			out->count += h->count;
			if (h->age != AGE_UNKNOWN &&
			    (out->oldest->age == AGE_UNKNOWN || h->held_s > out->oldest->held_s))
				out->oldest = h;
		}
	return true;
}
