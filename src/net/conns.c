/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections of clients: who they are to, what they wait for, and since when. */
#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

#define MAX_STRING  512 /* of a host that is read; the rest is cut off */
#define BUFIO_BYTES 56  /* buf, rd, r, w: the same in 1.18 to 1.27 */
#define BUFIO_R     40
#define BUFIO_W     48

/* ---- channels of selects ---- */

/* Up to NET_MAX_CHAN channels that goroutine walk[i] waits on into chan[i]. */
int net_read_chans(struct netwatch *nw, const struct gowalk *w, const uint32_t *walk, size_t n,
		   uint64_t (*chan)[NET_MAX_CHAN], int *nchan)
{
	int32_t size = net_off(nw, LAYOUT_SUDOG_SIZE), off_c = net_off(nw, LAYOUT_SUDOG_C);
	int32_t off_next = net_off(nw, LAYOUT_SUDOG_WAITLINK), off_g = net_off(nw, LAYOUT_SUDOG_G);
	uint64_t *at = malloc((n + 1) * sizeof(*at));
	uint32_t *piece = malloc((n + 1) * sizeof(*piece));
	int err = at && piece ? 0 : -ENOMEM;

	memset(nchan, 0, n * sizeof(*nchan));
	if (size <= 0 || off_c < 0 || off_next < 0 || off_g < 0)
		goto out;
	for (size_t i = 0; !err && i < n; i++)
		at[i] = w->g[walk[i]].waiting;
	for (int level = 0; !err && level < NET_MAX_CHAN; level++) {
		readbatch_reset(&nw->batch);
		for (size_t i = 0; i < n; i++)
			piece[i] = at[i] ? readbatch_add(&nw->batch, at[i], (uint32_t)size)
					 : READBATCH_NONE;
		if (!nw->batch.n)
			break;
		err = readbatch_read(&nw->batch, nw->rt->mem);
		for (size_t i = 0; !err && i < n; i++) {
			const uint8_t *b = readbatch_get(&nw->batch, piece[i]);

			at[i] = 0;
			if (!b || load_u64(b + off_g) != w->g[walk[i]].addr)
				continue;
			chan[i][nchan[i]++] = load_u64(b + off_c);
			at[i] = load_u64(b + off_next);
		}
	}
out:
	free(at);
	free(piece);
	return err;
}

/* ---- connections ---- */

int netconns_add_transport(struct net_look *l, uint64_t addr)
{
	bool made;

	if (!addr || !u64map_put(&l->transport_at, addr, l->ntransport, &made) || !made)
		return 0;
	return NET_ADD(l, transport,
		       (struct net_transport){
			       .addr = addr, .max_per_host = -1, .max_idle_per_host = -1 });
}

/* A string's header: address and a length that is believed. */
static uint32_t add_string(struct netwatch *nw, const uint8_t *header, uint32_t *len)
{
	uint64_t n = load_u64(header + 8);

	*len = n < MAX_STRING ? (uint32_t)n : MAX_STRING;
	return n && n < (1u << 20) ? readbatch_add(&nw->batch, load_u64(header), *len)
				   : READBATCH_NONE;
}

/* What was known of it at the look before. */
static void inherit_conn(struct netwatch *nw, struct net_conn *c)
{
	uint64_t *at = u64map_find(&nw->prev.conn_at, c->goid);
	const struct net_conn *p = at ? &nw->prev.conn[*at] : NULL;

	if (!p || p->addr != c->addr || p->dead)
		return;
	c->host = p->host;
	c->known = p->known;
	c->request = p->request;
	c->request_start_ns = p->request_start_ns;
	c->request_age = p->request_age;
	c->request_host = p->request_host;
	c->place = p->place;
}

static void take_conn(struct netwatch *nw, struct net_conn *c, const uint8_t *b)
{
	if (!b) {
		c->dead = true;
		return;
	}
	c->transport = load_u64(b + net_off(nw, LAYOUT_HTTP_PERSISTCONN_T));
	c->expects = (int64_t)load_u64(
			     b + net_off(nw, LAYOUT_HTTP_PERSISTCONN_NUMEXPECTEDRESPONSES)) > 0;
	c->closed = load_u64(b + net_off(nw, LAYOUT_HTTP_PERSISTCONN_CLOSED)) != 0;
	c->progress[0] = load_u64(b + net_off(nw, LAYOUT_HTTP_PERSISTCONN_READLIMIT));
}

/* Its bufio.Reader must read from this very connection. */
static void check_conn(struct netwatch *nw, struct net_conn *c, const uint8_t *b)
{
	int32_t rd = net_off(nw, LAYOUT_BUFIO_READER_RD);

	if (!b || load_u64(b + rd + 8) != c->addr) {
		c->dead = true;
		nw->doubtful++;
		return;
	}
	c->progress[1] = load_u64(b + BUFIO_R);
	c->progress[2] = load_u64(b + BUFIO_W);
}

static void name_conn(struct netwatch *nw, struct net_conn *c, const uint8_t *addr,
		      uint32_t addr_len, const uint8_t *proxy, uint32_t proxy_len)
{
	char host[WINDOW_MAX_HOST + 1] = "";

	if (addr)
		net_host_format((const char *)addr, addr_len, NULL, host);
	else if (proxy)
		net_host_of_url((const char *)proxy, proxy_len, host);
	c->host = net_host_number(nw, host);
	c->known = true;
}

/* A connection while it is read. */
struct conn_read {
	uint32_t conn, br, addr, proxy; /* pieces */
	uint32_t addr_len, proxy_len;
	uint64_t br_addr;
	uint8_t key[2][16]; /* strings' headers */
};

/* Connections c[0..n): the structures themselves. */
static int read_heads(struct netwatch *nw, struct net_conn *c, struct conn_read *p, size_t n)
{
	uint32_t size = (uint32_t)net_off(nw, LAYOUT_HTTP_PERSISTCONN_SIZE);
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < n; i++)
		p[i].conn = c[i].h2 ? READBATCH_NONE : readbatch_add(&nw->batch, c[i].addr, size);
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, p[i].conn);

		inherit_conn(nw, &c[i]);
		if (c[i].h2)
			continue;
		take_conn(nw, &c[i], b);
		if (c[i].dead)
			continue;
		memcpy(p[i].key[0], b + net_off(nw, LAYOUT_HTTP_PERSISTCONN_KEY_ADDR), 16);
		memcpy(p[i].key[1], b + net_off(nw, LAYOUT_HTTP_PERSISTCONN_KEY_PROXY), 16);
		p[i].br_addr = load_u64(b + net_off(nw, LAYOUT_HTTP_PERSISTCONN_BR));
	}
	return err;
}

/* What they lead to: readers that point back, and who they are to. */
static int read_tails(struct netwatch *nw, struct net_conn *c, struct conn_read *p, size_t n)
{
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < n; i++) {
		p[i].br = p[i].addr = p[i].proxy = READBATCH_NONE;
		if (c[i].dead || c[i].h2)
			continue;
		/* once it is checked, only what is read of a body matters */
		if (!c[i].known || c[i].awaits_body)
			p[i].br = readbatch_add(&nw->batch, p[i].br_addr, BUFIO_BYTES);
		if (c[i].known)
			continue;
		p[i].addr = add_string(nw, p[i].key[0], &p[i].addr_len);
		p[i].proxy = add_string(nw, p[i].key[1], &p[i].proxy_len);
	}
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++) {
		if (c[i].dead || c[i].h2)
			continue;
		if (!c[i].known || c[i].awaits_body)
			check_conn(nw, &c[i], readbatch_get(&nw->batch, p[i].br));
		if (c[i].dead)
			continue;
		if (!c[i].known)
			name_conn(nw, &c[i], readbatch_get(&nw->batch, p[i].addr), p[i].addr_len,
				  readbatch_get(&nw->batch, p[i].proxy), p[i].proxy_len);
		err = netconns_add_transport(&nw->cur, c[i].transport);
	}
	return err;
}

/* Some at a time: what is read of them stays in the cache. */
int netconns_read(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct conn_read *p = malloc(NET_AT_ONCE * sizeof(*p));
	int err = p ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < l->nconn; i += NET_AT_ONCE) {
		size_t n = l->nconn - i < NET_AT_ONCE ? l->nconn - i : NET_AT_ONCE;

		err = read_heads(nw, l->conn + i, p, n);
		if (!err)
			err = read_tails(nw, l->conn + i, p, n);
	}
	free(p);
	return err;
}

/* ---- joins ---- */

/* Who reads the body of which connection, and which request each has. */
int netconns_join(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct u64map by_body;

	u64map_init(&by_body, NET_MAX_CONNS);
	for (size_t i = 0; i < l->nconn; i++) {
		struct net_conn *c = &l->conn[i];
		uint64_t *writes = c->h2 ? NULL : u64map_find(&l->writer, c->addr);

		if (c->dead)
			continue;
		u64map_put(&l->conn_at, c->goid, i, NULL);
		u64map_put(&l->conn_by_addr, c->addr, i, NULL);
		if (c->body)
			u64map_put(&by_body, c->body, i, NULL);
		if (!c->h2)
			c->writing = writes && *writes;
	}
	for (size_t i = 0; i < l->nflight; i++) {
		struct net_flight *f = &l->flight[i];
		uint64_t *at;

		if (nw->stacks.stack[f->stack].roles & NETROLE_REQUEST)
			continue;
		at = u64map_find(&by_body, f->request);
		if (!at) /* of no connection that was seen */
			continue;
		f->conn = l->conn[*at].addr;
		l->conn[*at].reader = (uint32_t)i + 1;
	}
	u64map_deinit(&by_body);
	return 0;
}

/* Since when a connection waits for its body's end, and nothing was read of it. */
void netconns_date(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->nconn; i++) {
		struct net_conn *c = &l->conn[i];
		uint64_t *at = u64map_find(&nw->prev.conn_at, c->goid);
		const struct net_conn *p = at ? &nw->prev.conn[*at] : NULL;

		if (!c->awaits_body || c->dead)
			continue;
		c->awaits_ns = c->quiet_ns = l->now_ns;
		/* a body that was collected has no channel to compare any more */
		if (p && p->awaits_body && p->addr == c->addr &&
		    (p->wait_chan == c->wait_chan || !p->wait_chan || !c->wait_chan)) {
			c->awaits_ns = p->awaits_ns;
			if (!c->reader && !memcmp(p->progress, c->progress, sizeof(c->progress)))
				c->quiet_ns = p->quiet_ns;
		} else if (c->waitsince_ns) {
			c->quiet_ns = c->waitsince_ns;
		}
		if (c->waitsince_ns && c->waitsince_ns < c->awaits_ns)
			c->awaits_ns = c->waitsince_ns;
	}
}
