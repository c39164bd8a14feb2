/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections with nobody at the other end, by host. */
#include "net/fill.h"

static int by_silence(const void *a, const void *b)
{
	const struct net_dead *x = a, *y = b;

	return x->silent_s < y->silent_s ? 1 : x->silent_s > y->silent_s ? -1 : 0;
}

static struct net_dead *row_of(struct fill *f, struct rowset *s, const struct net_peer *p)
{
	uint64_t key = (uint64_t)p->host << 1 | p->h2;
	bool made, other;
	struct net_dead *r = rowset_put(s, &key, sizeof(key), &made, &other);

	if (r && made) {
		r->other = other;
		fill_host(f, other ? NET_OTHER_HOST : p->host, r->host);
		r->protocol = p->h2 ? "h2" : "grpc";
		r->pings = p->pings;
	}
	return r;
}

int fill_dead(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct rowset s;
	int err = 0;

	rowset_init(&s, sizeof(struct net_dead));
	for (size_t i = 0; i < l->npeer && !err; i++) {
		const struct net_peer *p = &l->peer[i];
		struct net_dead *r = p->dead ? row_of(f, &s, p) : NULL;

		if (!p->dead)
			continue;
		if (!r) {
			err = -ENOMEM;
			continue;
		}
		r->count++;
		r->streams += p->streams;
		if ((double)p->silent_ns / 1e9 > r->silent_s) {
			r->silent_s = (double)p->silent_ns / 1e9;
			r->resent = p->resent;
		}
	}
	return rowset_take(&s, err, &f->out->dead, &f->out->ndead, by_silence);
}
