/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that are being made: to whom, and since when.
 *
 * Up to Go 1.22 a dial ends with the request that wants it.  From 1.23 on it goes
 * on by itself (net/http's startDialConnForLocked), so that what never ends is
 * seen nowhere else when callers give up sooner.  Each has a goroutine of its own.
 */
#include "net/priv.h"

#include "trace/opens.h"

#define MAX_ADDR 512 /* of a host that is read; the rest is cut off */

/* A dial while its key is read: strings' headers of the address and the proxy. */
struct dial_read {
	struct net_dial *d;
	uint8_t addr[16], proxy[16];
};

static struct readpiece string_of(const uint8_t header[16])
{
	uint64_t n = load_u64(header + 8);

	return (struct readpiece){ load_u64(header), n >= (1u << 20) ? 0
						     : n < MAX_ADDR  ? (uint32_t)n
								     : MAX_ADDR };
}

/* The look before knows who it is to. */
static bool inherit(struct netwatch *nw, struct net_dial *d)
{
	const struct net_dial *p = NET_FIND(&nw->prev, dial, dial_at, d->goid);

	if (!p || p->want != d->want)
		return false;
	d->start_ns = p->start_ns;
	d->age = p->age;
	d->host = p->host;
	/* behind a proxy the handshake is with another host than the rest */
	return p->host != NET_NO_HOST && p->phase == d->phase;
}

static void ask_key(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct dial_read *r = item;

	if (!r->d->want || net_off(nw, LAYOUT_HTTP_WANTCONN_KEY_PROXY) < 0 ||
	    net_off(nw, LAYOUT_HTTP_WANTCONN_KEY_ADDR) < 0)
		return;
	piece[0] = net_part(nw, r->d->want, LAYOUT_HTTP_WANTCONN_KEY_PROXY, 16);
	piece[1] = net_part(nw, r->d->want, LAYOUT_HTTP_WANTCONN_KEY_ADDR, 16);
}

static void take_key(void *owner, void *item, const uint8_t *const *bytes)
{
	struct dial_read *r = item;

	(void)owner;
	if (bytes[0])
		memcpy(r->proxy, bytes[0], 16);
	if (bytes[1])
		memcpy(r->addr, bytes[1], 16);
}

static void ask_strings(void *owner, void *item, struct readpiece *piece)
{
	const struct dial_read *r = item;

	(void)owner;
	piece[0] = string_of(r->proxy);
	piece[1] = string_of(r->addr);
}

static void take_strings(void *owner, void *item, const uint8_t *const *bytes)
{
	struct netwatch *nw = owner;
	struct dial_read *r = item;
	char host[WINDOW_MAX_HOST + 1] = "";

	if (bytes[0] && (r->d->phase != NET_TLS || !bytes[1]))
		net_host_of_url((const char *)bytes[0], string_of(r->proxy).len, host);
	else if (bytes[1])
		net_host_format((const char *)bytes[1], string_of(r->addr).len, NULL, host);
	r->d->host = net_host_number(nw, host);
}

static void date(struct netwatch *nw, struct net_dial *d)
{
	uint64_t born = trace_births_find(nw->look->births, d->goid);
	uint64_t parked = net_parked_ns(nw, d->walk);

	if (d->age == AGE_EXACT)
		return;
	if (born && born <= nw->cur.now_ns) {
		d->start_ns = born;
		d->age = AGE_EXACT;
		return;
	}
	if (d->age == AGE_UNKNOWN)
		d->start_ns = nw->cur.now_ns;
	d->age = AGE_AT_LEAST;
	if (parked && parked < d->start_ns)
		d->start_ns = parked;
}

int netdials_read(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct dial_read *r = calloc(l->ndial + 1, sizeof(*r));
	size_t n = 0;
	int err;

	if (!r)
		return -ENOMEM;
	for (size_t i = 0; i < l->ndial; i++)
		if (!inherit(nw, &l->dial[i]))
			r[n++].d = &l->dial[i];
	err = n ? NET_STAGES(nw, r, n, { ask_key, take_key }, { ask_strings, take_strings }) : 0;
	for (size_t i = 0; !err && i < l->ndial; i++)
		date(nw, &l->dial[i]);
	free(r);
	return err;
}

/* ---- those that take long, over the looks of a window ---- */

static struct net_jam *jam_of(struct netwatch *nw, const struct net_dial *d)
{
	uint64_t *at;
	bool made;

	if (array_room(&nw->jam, nw->njam, &nw->jam_cap, sizeof(*nw->jam)))
		return NULL;
	at = u64map_put(&nw->jam_at, net_dial_key(d->host, d->phase), nw->njam, &made);
	if (at && made)
		nw->jam[nw->njam++] = (struct net_jam){ .host = d->host, .phase = d->phase };
	return at ? &nw->jam[*at] : NULL;
}

static void count_jam(struct net_jam *j, uint64_t look_ns, uint64_t age_ns)
{
	if (j->look_ns != look_ns)
		j->now = j->now_sum_ns = 0;
	j->look_ns = look_ns;
	j->now++;
	j->now_sum_ns += age_ns;
	if (j->now > j->most)
		j->most = j->now;
	if (j->now_sum_ns > j->sum_ns)
		j->sum_ns = j->now_sum_ns;
	if (age_ns > j->oldest_ns)
		j->oldest_ns = age_ns;
}

void netdials_tally(struct netwatch *nw)
{
	const struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->ndial; i++) {
		const struct net_dial *d = &l->dial[i];
		uint64_t age_ns = l->now_ns > d->start_ns ? l->now_ns - d->start_ns : 0;
		struct net_jam *j;

		if (d->phase < 0 || (double)age_ns <= NET_DIAL_SEVERAL_S * 1e9)
			continue;
		j = jam_of(nw, d);
		if (j)
			count_jam(j, l->now_ns, age_ns);
		else
			nw->no_room++;
	}
}

void netdials_begin_window(struct netwatch *nw)
{
	nw->njam = 0;
	u64map_deinit(&nw->jam_at);
	u64map_init(&nw->jam_at, (NET_MAX_HOSTS + 2) * NET_PHASES);
}
