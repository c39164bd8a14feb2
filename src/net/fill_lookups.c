/* SPDX-License-Identifier: BSD-2-Clause */
/* Look-ups of the program's own, by place. */
#include "net/fill.h"

static int by_count(const void *a, const void *b)
{
	const struct net_own_lookup *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

int fill_lookups(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct rowset s;
	int err = 0;

	rowset_init(&s, sizeof(struct net_own_lookup));
	for (size_t i = 0; i < l->nlookup && !err; i++) {
		const struct place *place = &f->nw->stacks.stack[l->lookup[i].stack].lookup_place;
		struct place_key key = place_key(place);
		bool made, other;
		struct net_own_lookup *r = rowset_put(&s, &key, sizeof(key), &made, &other);

		if (!r) {
			err = -ENOMEM;
			continue;
		}
		if (made)
			r->other = other;
		if (made && !other)
			r->place = *place;
		r->count++;
		r->hanging += fill_age_s(f, l->lookup[i].start_ns) > NET_LOOKUP_S;
		fill_oldest(f, l->lookup[i].start_ns, AGE_AT_LEAST, &r->oldest_s, &r->age);
	}
	return rowset_take(&s, err, &f->out->own_lookup, &f->out->nown_lookup, by_count);
}
