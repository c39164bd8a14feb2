/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections of clients: who they are to, what they wait for, and since when. */
#include "net/priv.h"

#define MAX_STRING  512 /* of a host that is read; the rest is cut off */
#define BUFIO_BYTES 56  /* buf, rd, r, w: the same in 1.18 to 1.27 */
#define BUFIO_R     40
#define BUFIO_W     48

/* ---- channels of selects ---- */

static void ask_sudog(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct net_wait *v = item;

	if (v->sudog)
		*piece = net_whole(nw, v->sudog, LAYOUT_SUDOG_SIZE);
}

static void take_sudog(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct netwatch *nw = owner;
	const uint8_t *b = bytes[0];
	struct net_wait *v = item;

	v->sudog = 0;
	if (!b || net_u64(nw, b, LAYOUT_SUDOG_G) != v->g)
		return;
	v->chan[v->n++] = net_u64(nw, b, LAYOUT_SUDOG_C);
	v->sudog = net_u64(nw, b, LAYOUT_SUDOG_WAITLINK);
}

int net_read_waits(struct netwatch *nw, struct net_wait *first, size_t n, size_t size)
{
	struct readstage s = { nw, first, n, size, ask_sudog, take_sudog, false };
	int err = 0;

	for (int level = 0; !err && level < NET_MAX_CHAN; level++) {
		err = readbatch_stage(&nw->batch, nw->rt->mem, &s);
		if (!nw->batch.n)
			break;
	}
	return err;
}

/* ---- connections ---- */

static int add_transport(struct netwatch *nw, uint64_t addr)
{
	struct net_look *l = &nw->cur;
	bool made;

	if (!addr)
		return 0;
	if (!u64map_put(&l->transport_at, addr, l->ntransport, &made)) {
		nw->no_room++;
		return 0;
	}
	if (!made)
		return 0;
	return NET_ADD(nw, transport, NET_MAX_HOSTS,
		       (struct net_transport){
			       .addr = addr, .max_per_host = -1, .max_idle_per_host = -1 });
}

/* What was known of it at the look before. */
static void inherit_conn(struct netwatch *nw, struct net_conn *c)
{
	const struct net_conn *p = NET_FIND(&nw->prev, conn, conn_at, c->goid);

	if (!p || p->addr != c->addr || p->dead)
		return;
	c->host = p->host;
	c->known = p->known;
	c->seen = p->seen;
	/* of a response that its readLoop waited for then, or is still at; else of one before */
	if (!c->h2 && !(p->expects && !p->awaits_body) && p->stop != c->stop)
		c->seen.request = 0;
}

/* A connection while it is read. */
struct conn_read {
	struct readpiece next; /* first: net_ask_next() */
	struct net_conn *c;
	uint64_t reader;
	uint8_t key[2][16]; /* strings' headers: address, proxy */
};

static void take_head(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct netwatch *nw = owner;
	struct conn_read *p = item;
	struct net_conn *c = p->c;
	const uint8_t *b = bytes[0];

	c->dead = !b;
	if (!b)
		return;
	c->transport = net_u64(nw, b, LAYOUT_HTTP_PERSISTCONN_T);
	c->expects = (int64_t)net_u64(nw, b, LAYOUT_HTTP_PERSISTCONN_NUMEXPECTEDRESPONSES) > 0;
	c->closed = net_u64(nw, b, LAYOUT_HTTP_PERSISTCONN_CLOSED) != 0;
	c->progress[0] = net_u64(nw, b, LAYOUT_HTTP_PERSISTCONN_READLIMIT);
	memcpy(p->key[0], b + net_off(nw, LAYOUT_HTTP_PERSISTCONN_KEY_ADDR), 16);
	memcpy(p->key[1], b + net_off(nw, LAYOUT_HTTP_PERSISTCONN_KEY_PROXY), 16);
	p->reader = net_u64(nw, b, LAYOUT_HTTP_PERSISTCONN_BR);
}

/* The string of a header with a length that is believed. */
static struct readpiece host_string(const uint8_t header[16])
{
	uint64_t n = load_u64(header + 8);

	return (struct readpiece){ load_u64(header), n >= (1u << 20)  ? 0
						     : n < MAX_STRING ? (uint32_t)n
								      : MAX_STRING };
}

/* Its reader, which must point back; and who it is to. */
static void ask_tail(void *owner, void *item, struct readpiece *piece)
{
	const struct conn_read *p = item;
	const struct net_conn *c = p->c;

	(void)owner;
	if (c->dead || c->h2)
		return;
	/* once it is checked, only what is read of a body matters */
	if (!c->known || c->awaits_body)
		piece[0] = (struct readpiece){ p->reader, BUFIO_BYTES };
	if (c->known)
		return;
	piece[1] = host_string(p->key[0]);
	piece[2] = host_string(p->key[1]);
}

/* Its bufio.Reader must read from this very connection. */
static void check_reader(struct netwatch *nw, struct net_conn *c, const uint8_t *b)
{
	int32_t rd = net_off(nw, LAYOUT_BUFIO_READER_RD);

	if (!b || load_u64(b + rd + 8) != c->addr) {
		c->dead = true;
		net_lose(nw, c->walk);
		return;
	}
	c->progress[1] = load_u64(b + BUFIO_R);
	c->progress[2] = load_u64(b + BUFIO_W);
}

static void take_tail(void *owner, void *item, const uint8_t *const *bytes)
{
	struct netwatch *nw = owner;
	struct conn_read *p = item;
	struct net_conn *c = p->c;
	char host[WINDOW_MAX_HOST + 1] = "";

	check_reader(nw, c, bytes[0]);
	if (c->dead || c->known)
		return;
	if (bytes[1])
		net_host_format((const char *)bytes[1], host_string(p->key[0]).len, NULL, host);
	else if (bytes[2])
		net_host_of_url((const char *)bytes[2], host_string(p->key[1]).len, host);
	c->host = net_host_number(nw, host);
	c->known = true;
}

static int read_some(struct netwatch *nw, struct net_conn *c, size_t n)
{
	struct conn_read p[NET_AT_ONCE] = { 0 };
	int err;

	for (size_t i = 0; i < n; i++) {
		p[i].c = &c[i];
		if (!c[i].h2)
			p[i].next = net_whole(nw, c[i].addr, LAYOUT_HTTP_PERSISTCONN_SIZE);
		inherit_conn(nw, &c[i]);
	}
	err = NET_STAGES(nw, p, n, { net_ask_next, take_head }, { ask_tail, take_tail });
	for (size_t i = 0; !err && i < n; i++)
		if (!c[i].dead && !c[i].h2)
			err = add_transport(nw, c[i].transport);
	return err;
}

int netconns_read(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int err = 0;

	for (size_t i = 0; !err && i < l->nconn; i += NET_AT_ONCE)
		err = read_some(nw, l->conn + i,
				l->nconn - i < NET_AT_ONCE ? l->nconn - i : NET_AT_ONCE);
	return err;
}

int netconns_add_transports(struct netwatch *nw)
{
	int err = 0;

	for (size_t i = 0; !err && i < nw->cur.ninflight; i++)
		err = add_transport(nw, nw->cur.inflight[i].transport);
	return err;
}

/* ---- joins ---- */

void netconns_join(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct u64map by_body;

	u64map_init(&by_body, NET_MAX_CONNS);
	for (size_t i = 0; i < l->nconn; i++) {
		struct net_conn *c = &l->conn[i];
		uint64_t *writes = c->h2 ? NULL : u64map_find(&l->writer, c->addr);

		if (c->dead)
			continue;
		net_put(nw, &l->conn_at, c->goid, i);
		net_put(nw, &l->conn_by_addr, c->addr, i);
		if (c->body)
			net_put(nw, &by_body, c->body, i);
		if (!c->h2)
			c->writing = writes && *writes;
	}
	for (size_t i = 0; i < l->ninflight; i++) {
		struct net_inflight *f = &l->inflight[i];
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
}

void netconns_date(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->nconn; i++) {
		struct net_conn *c = &l->conn[i];
		const struct net_conn *p = NET_FIND(&nw->prev, conn, conn_at, c->goid);

		if (!c->awaits_body || c->dead)
			continue;
		c->awaits_ns = c->quiet_ns = l->now_ns;
		/* a body that was collected has no channel to compare any more */
		if (p && p->awaits_body && p->addr == c->addr && (c->h2 || p->stop == c->stop) &&
		    (p->wait_chan == c->wait_chan || !p->wait_chan || !c->wait_chan)) {
			c->awaits_ns = p->awaits_ns;
			if (!c->reader && !memcmp(p->progress, c->progress, sizeof(c->progress)))
				c->quiet_ns = p->quiet_ns;
		} else if (c->parked_ns) {
			c->quiet_ns = c->parked_ns;
		}
		if (c->parked_ns && c->parked_ns < c->awaits_ns)
			c->awaits_ns = c->parked_ns;
	}
}
