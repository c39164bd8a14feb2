/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections of HTTP/2 on which requests wait, and nothing comes. */
#include "net/fill.h"

#define MAX_SILENT 100

static void put(const struct fill *f, const struct net_h2conn *h, struct net_silent *out)
{
	*out = (struct net_silent){
		.waiting = h->waiting,
		.heard_s = fill_age_s(f, h->heard_ns),
		.age = AGE_AT_LEAST, /* the kernel counts in ticks */
		.place = f->nw->cur.inflight[h->oldest - 1].place,
		.read_idle = h->read_idle_ns < 0 ? UNKNOWN
			     : h->read_idle_ns   ? KNOWN_YES
						 : KNOWN_NO,
		.read_idle_s = (double)h->read_idle_ns / 1e9,
	};
	/* a healthy peer answers at once: whichever it is, nothing has come since it was seen */
	if (h->pings && h->pinged_ns > h->heard_ns)
		out->ping_s = fill_age_s(f, h->pinged_ns);
	fill_host(f, h->host, out->host);
}

static int by_silence(const void *a, const void *b)
{
	const struct net_silent *x = a, *y = b;

	if (x->heard_s != y->heard_s)
		return x->heard_s < y->heard_s ? 1 : -1;
	return strcmp(x->host, y->host);
}

int fill_silent(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct net_window *w = f->out;
	int n = 0;

	w->silent = calloc(l->nh2conn + 1, sizeof(*w->silent));
	if (!w->silent)
		return -ENOMEM;
	for (size_t i = 0; i < l->nh2conn; i++) {
		const struct net_h2conn *h = &l->h2conn[i];

		if (h->heard_ns && h->oldest && !h->dead && !h->closed &&
		    fill_age_s(f, h->heard_ns) > NET_SILENT_S)
			put(f, h, &w->silent[n++]);
	}
	qsort(w->silent, (size_t)n, sizeof(*w->silent), by_silence);
	w->nsilent = n < MAX_SILENT ? n : MAX_SILENT;
	return 0;
}
