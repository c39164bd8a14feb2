/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/2's streams and connections, and who the latter are to.  A connection does
 * not say so itself: the requests on it do; else the name that TLS has asked for
 * and the port of the socket.
 */
#include "net/priv.h"

#include <arpa/inet.h>
#include <stdio.h>

#define MAX_NAME   255
#define ADDR_BYTES 32 /* of a net.TCPAddr: IP, Port */

/* ---- streams and connections ---- */

static void ask_stream(void *owner, void *item, struct readpiece *piece)
{
	const struct net_conn *c = item;

	if (c->h2)
		*piece = (struct readpiece){ c->addr, neth2_layout(owner, c->x)->stream_bytes };
}

static void take_stream(void *owner, void *item, const uint8_t *const *bytes)
{
	struct net_conn *c = item;
	const struct net_h2_layout *l = neth2_layout(owner, c->x);
	const uint8_t *b = bytes[0];

	c->dead = !b;
	if (!b)
		return;
	c->header_chan = load_u64(b + l->off[NET_H2_HEADER_RECV]);
	c->writing = b[l->off[NET_H2_SENT_END]] != 1;
	c->transport = load_u64(b + l->off[NET_H2_CC]); /* its connection */
	c->unborn = !load_u32(b + l->off[NET_H2_ID]);
	c->awaits_body = b[l->off[NET_H2_PAST_HEADERS]] == 1 && load_u64(b + l->off[NET_H2_RES]) &&
			 b[l->off[NET_H2_READ_CLOSED]] != 1 &&
			 b[l->off[NET_H2_READ_ABORTED]] != 1 &&
			 !load_u64(b + l->off[NET_H2_ABORT_ERR]);
	c->expects = !c->awaits_body;
	c->body = c->addr;
	c->progress[0] = load_u64(b + l->off[NET_H2_PIPE] + NET_H2_PIPE_B + 8);
}

static void take_h2conn(void *owner, void *item, const uint8_t *const *bytes)
{
	struct netwatch *nw = owner;
	struct net_h2conn *c = item;
	const struct net_h2_layout *l = neth2_layout(nw, c->x);
	const uint8_t *b = bytes[0];

	c->dead = !b;
	if (!b)
		return;
	c->closed = b[l->off[NET_H2_CLOSED]] == 1;
	c->tconn[0] = load_u64(b + l->off[NET_H2_TCONN]);
	c->tconn[1] = load_u64(b + l->off[NET_H2_TCONN] + 8);
	c->pending = load_u64(b + l->off[NET_H2_PENDING]);
	/* before the server's first SETTINGS it is what the client assumes */
	if (l->off[NET_H2_SEEN_SETTINGS] < 0 || b[l->off[NET_H2_SEEN_SETTINGS]] == 1)
		c->max_streams = load_u32(b + l->off[NET_H2_MAX_STREAMS]);
	c->streams_at = load_u64(b + l->off[NET_H2_STREAMS]);
	if (l->off[NET_H2_PINGS] >= 0)
		c->pings_at = load_u64(b + l->off[NET_H2_PINGS]);
	/* RST_STREAMs, with the first of which a PING is sent */
	if (l->off[NET_H2_PENDING_RESETS] >= 0)
		c->pings = load_u64(b + l->off[NET_H2_PENDING_RESETS]);
	if (l->off[NET_H2_READ_IDLE] >= 0)
		c->read_idle_ns = (int64_t)load_u64(b + l->off[NET_H2_READ_IDLE]);
	else
		c->t = load_u64(b + l->off[NET_H2_T]);
	net_put(nw, &nw->cur.h2conn_at, c->addr, (uint64_t)(c - nw->cur.h2conn));
}

/* The first word of a map is its size. */
static void ask_more(void *owner, void *item, struct readpiece *piece)
{
	const struct net_h2conn *c = item;
	const struct net_h2_layout *l = neth2_layout(owner, c->x);

	if (c->dead)
		return;
	if (c->streams_at)
		piece[0] = (struct readpiece){ c->streams_at, 8 };
	if (c->pings_at)
		piece[1] = (struct readpiece){ c->pings_at, 8 };
	if (c->t && l->transport_idle >= 0)
		piece[2] = (struct readpiece){ c->t + (uint64_t)l->transport_idle, 8 };
}

static void take_more(void *owner, void *item, const uint8_t *const *bytes)
{
	struct net_h2conn *c = item;

	(void)owner;
	if (c->dead)
		return;
	c->streams = bytes[0] ? load_u64(bytes[0]) : 0;
	c->pings += bytes[1] ? load_u64(bytes[1]) : 0;
	if (bytes[2])
		c->read_idle_ns = (int64_t)load_u64(bytes[2]);
}

/* ---- names ---- */

struct step;

/* One connection while its net.Conn is followed. */
struct naming {
	uint32_t conn; /* index */
	const struct step *step;
	uint64_t at; /* what is followed */
	uint64_t name, name_len;
	bool tls, lost;
	char host[WINDOW_MAX_HOST + 1];
};

/* A step: reads len bytes of a field of what is followed, and takes them. */
struct step {
	int32_t field; /* enum layout_field; AT_START: from its start */
	uint32_t len;
	bool tls_only;
	void (*take)(struct netwatch *nw, struct naming *v, const uint8_t *b);
};
#define AT_START (-1)

static bool is_type(struct netwatch *nw, uint64_t itab, const char *name)
{
	const char *is = gotypes_of_itab(nw->types, itab);

	return is && !strcmp(is, name);
}

static void take_name(struct netwatch *nw, struct naming *v, const uint8_t *b)
{
	(void)nw;
	v->name = load_u64(b);
	v->name_len = load_u64(b + 8);
	if (v->name_len > MAX_NAME)
		v->name_len = 0;
}

static void take_plain_conn(struct netwatch *nw, struct naming *v, const uint8_t *b)
{
	v->lost = !is_type(nw, load_u64(b), "*net.TCPConn");
	v->at = load_u64(b + 8);
}

static void take_pointer(struct netwatch *nw, struct naming *v, const uint8_t *b)
{
	(void)nw;
	v->at = load_u64(b);
}

static void take_addr(struct netwatch *nw, struct naming *v, const uint8_t *b)
{
	v->lost = !is_type(nw, load_u64(b), "*net.TCPAddr");
	v->at = load_u64(b + 8);
}

/* net.TCPAddr: IP (a slice), Port.  The address's bytes come in the next stage. */
static void take_port(struct netwatch *nw, struct naming *v, const uint8_t *b)
{
	int32_t off = net_off(nw, LAYOUT_NET_TCPADDR_PORT);
	uint64_t port = off <= ADDR_BYTES - 8 ? load_u64(b + off) : 0, len = load_u64(b + 8);

	v->at = load_u64(b);
	v->lost = !port || port > 65535 || (len != 4 && len != 16);
	snprintf(v->host, sizeof(v->host), "%c:%u", len == 4 ? '4' : '6', (unsigned int)port);
}

static void take_ip(struct netwatch *nw, struct naming *v, const uint8_t *b)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char ip[INET6_ADDRSTRLEN] = "", port[8];

	(void)nw;
	snprintf(port, sizeof(port), "%.7s", v->host + 1);
	if (v->host[0] == '4')
		inet_ntop(AF_INET, b, ip, sizeof(ip));
	else if (!memcmp(b, mapped, sizeof(mapped)))
		inet_ntop(AF_INET, b + 12, ip, sizeof(ip));
	else
		inet_ntop(AF_INET6, b, ip, sizeof(ip));
	snprintf(v->host, sizeof(v->host), strchr(ip, ':') ? "[%s]%s" : "%s%s", ip, port);
}

/* net.Conn -> (tls.Conn ->) TCPConn -> netFD -> remote address. */
static const struct step steps[] = {
	{ LAYOUT_TLS_CONN_SERVERNAME, 16, true, take_name },
	{ LAYOUT_TLS_CONN_CONN, 16, true, take_plain_conn },
	{ LAYOUT_NET_TCPCONN_FD, 8, false, take_pointer },
	{ LAYOUT_NET_NETFD_RADDR, 16, false, take_addr },
	{ AT_START, ADDR_BYTES, false, take_port }, /* IP, Port */
	/* four bytes of an IPv4 address are in a size class of 16, too */
	{ AT_START, 16, false, take_ip },
};

static void ask_step(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct naming *v = item;
	const struct step *s = v->step;
	int32_t off = s->field == AT_START ? 0 : net_off(nw, (enum layout_field)s->field);

	if (!v->lost && (v->tls || !s->tls_only))
		*piece = (struct readpiece){ off < 0 ? 0 : v->at + (uint64_t)off, s->len };
}

static void take_step(void *owner, void *item, const uint8_t *const *bytes)
{
	struct naming *v = item;

	v->lost = !bytes[0];
	if (bytes[0])
		v->step->take(owner, v, bytes[0]);
}

/* The name that TLS has asked for instead of the address. */
static void ask_tls_name(void *owner, void *item, struct readpiece *piece)
{
	const struct naming *v = item;

	(void)owner;
	if (!v->lost)
		*piece = (struct readpiece){ v->name, (uint32_t)v->name_len };
}

static void take_tls_name(void *owner, void *item, const uint8_t *const *bytes)
{
	struct naming *v = item;
	const char *port = strrchr(v->host, ':');
	char number[8];

	(void)owner;
	if (!bytes[0] || !port)
		return;
	snprintf(number, sizeof(number), "%.7s", port + 1);
	net_host_format((const char *)bytes[0], v->name_len, number, v->host);
}

static int follow(struct netwatch *nw, struct naming *v, size_t n)
{
	int err = 0;

	for (size_t k = 0; k < ARRAY_SIZE(steps) && !err; k++) {
		for (size_t i = 0; i < n; i++)
			v[i].step = &steps[k];
		err = NET_STAGES(nw, v, n, { ask_step, take_step });
	}
	return err ? err : NET_STAGES(nw, v, n, { ask_tls_name, take_tls_name });
}

static int name_conns(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct naming *v = calloc(l->nh2conn + 1, sizeof(*v));
	size_t n = 0;
	int err;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < l->nh2conn; i++) {
		struct net_h2conn *c = &l->h2conn[i];
		const struct net_h2conn *p = NET_FIND(&nw->prev, h2conn, h2conn_at, c->addr);

		if (p && p->goid == c->goid && p->named) {
			c->host = p->host;
			c->named = true;
			continue;
		}
		v[n] = (struct naming){ .conn = (uint32_t)i, .at = c->tconn[1] };
		v[n].tls = is_type(nw, c->tconn[0], "*tls.Conn");
		v[n].lost = c->dead || (!v[n].tls && !is_type(nw, c->tconn[0], "*net.TCPConn"));
		n++;
	}
	err = n && net_off(nw, LAYOUT_NET_TCPADDR_PORT) >= 0 ? follow(nw, v, n) : 0;
	for (size_t i = 0; i < n && !err; i++)
		if (!v[i].lost && v[i].host[0]) {
			l->h2conn[v[i].conn].host = net_host_number(nw, v[i].host);
			l->h2conn[v[i].conn].named = true;
		}
	free(v);
	return err;
}

int neth2_read(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int err = NET_STAGES(nw, l->conn, l->nconn, { ask_stream, take_stream });

	if (!err)
		err = NET_STAGES(nw, l->h2conn, l->nh2conn, { net_ask_next, take_h2conn },
				 { ask_more, take_more });
	return err ? err : name_conns(nw);
}

void neth2_join(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->ninflight; i++) {
		const struct net_inflight *f = &l->inflight[i];
		const struct net_conn *c = NET_FIND(l, conn, conn_by_addr, f->conn);
		struct net_h2conn *h =
			c && c->h2 ? NET_FIND(l, h2conn, h2conn_at, c->transport) : NULL;

		if (!h || f->dead || f->host == NET_NO_HOST || f->phase == NET_BODY)
			continue;
		h->host = f->host;
		h->named = true;
	}
}
