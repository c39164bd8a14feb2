/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections that are being made, by host and phase. */
#include "net/fill.h"

static int by_oldest(const void *a, const void *b)
{
	const struct net_dial_row *x = a, *y = b;

	if (x->oldest_s != y->oldest_s)
		return x->oldest_s < y->oldest_s ? 1 : -1;
	if (x->most_oldest_s != y->most_oldest_s)
		return x->most_oldest_s < y->most_oldest_s ? 1 : -1;
	return strcmp(x->host, y->host);
}

static struct net_dial_row *row_of(struct fill *f, struct rowset *s, uint32_t host, int phase,
				   const uint32_t *busiest)
{
	uint64_t key = net_dial_key(host, phase);
	bool made, other;
	struct net_dial_row *r = rowset_put(s, &key, sizeof(key), &made, &other);

	if (!r || !made)
		return r;
	r->other = other;
	r->exactness = EXACT;
	r->phase = (enum net_phase)phase;
	fill_host(f, other ? NET_OTHER_HOST : host, r->host);
	if (!other && busiest[host])
		r->busiest = f->nw->busy[busiest[host] - 1].place;
	return r;
}

/* Those that took long in the window, whether they go on or not. */
static int add_jams(struct fill *f, struct rowset *s, const uint32_t *busiest)
{
	for (size_t i = 0; i < f->nw->njam; i++) {
		const struct net_jam *j = &f->nw->jam[i];
		struct net_dial_row *r = row_of(f, s, j->host, j->phase, busiest);

		if (!r)
			return -ENOMEM;
		r->most += j->most;
		r->most_sum_s += (double)j->sum_ns / 1e9;
		if ((double)j->oldest_ns / 1e9 > r->most_oldest_s)
			r->most_oldest_s = (double)j->oldest_ns / 1e9;
	}
	return 0;
}

int fill_dials(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	uint32_t *busiest = fill_list_busiest(f->nw);
	int err = busiest ? 0 : -ENOMEM;
	struct rowset s;

	rowset_init(&s, sizeof(struct net_dial_row));
	for (size_t i = 0; i < l->ndial && !err; i++) {
		const struct net_dial *d = &l->dial[i];
		struct net_dial_row *r;
		enum age_kind age;
		double took_s = fill_age(f, d->start_ns, d->age, &age);

		if (d->phase < 0)
			continue;
		r = row_of(f, &s, d->host, d->phase, busiest);
		if (!r) {
			err = -ENOMEM;
			continue;
		}
		r->count++;
		r->given_up += !d->wanted;
		r->several += took_s > NET_DIAL_SEVERAL_S;
		r->stuck += took_s > NET_DIAL_STUCK_S;
		r->sum_s += took_s;
		age_max(&r->oldest_s, &r->age, took_s, age);
	}
	if (!err)
		err = add_jams(f, &s, busiest);
	free(busiest);
	return rowset_take(&s, err, &f->out->dial, &f->out->ndial, by_oldest);
}
