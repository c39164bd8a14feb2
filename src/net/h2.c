/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who an HTTP/2 connection is to.  It does not say so itself: the requests on
 * it do; else the name that TLS has asked for and the port of the socket.
 */
#include "net/priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "net/window.h"

#define MAX_NAME 255

/* ---- streams and connections ---- */

static void take_stream(struct netwatch *nw, struct net_conn *c, const uint8_t *b,
			struct net_stream *s)
{
	if (!b) {
		c->dead = true;
		return;
	}
	*s = (struct net_stream){
		.addr = c->addr,
		.known = true,
		.chan = load_u64(b + net_off(nw, LAYOUT_H2_CLIENTSTREAM_RESPHEADERRECV)),
		.sent = b[net_off(nw, LAYOUT_H2_CLIENTSTREAM_SENTENDSTREAM)] == 1
	};
	c->transport = load_u64(b + net_off(nw, LAYOUT_H2_CLIENTSTREAM_CC)); /* its connection */
	c->writing = !s->sent;
	c->awaits_body = b[net_off(nw, LAYOUT_H2_CLIENTSTREAM_PASTHEADERS)] == 1 &&
			 load_u64(b + net_off(nw, LAYOUT_H2_CLIENTSTREAM_RES)) &&
			 b[net_off(nw, LAYOUT_H2_CLIENTSTREAM_READCLOSED)] != 1 &&
			 b[net_off(nw, LAYOUT_H2_CLIENTSTREAM_READABORTED)] != 1 &&
			 !load_u64(b + net_off(nw, LAYOUT_H2_CLIENTSTREAM_ABORTERR));
	c->expects = !c->awaits_body;
	c->body = c->addr;
	c->progress[0] = load_u64(b + net_off(nw, LAYOUT_H2_CLIENTSTREAM_BUFPIPE_B) + 8);
}

int neth2_read_streams(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	uint32_t size = (uint32_t)net_off(nw, LAYOUT_H2_CLIENTSTREAM_SIZE),
		 *piece = calloc(l->nconn + 1, 4);
	int err = piece ? 0 : -ENOMEM;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->nconn; i++)
		piece[i] = l->conn[i].h2 ? readbatch_add(&nw->batch, l->conn[i].addr, size)
					 : READBATCH_NONE;
	if (!err && nw->batch.n)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nconn; i++) {
		struct net_stream s = { 0 };

		if (!l->conn[i].h2)
			continue;
		take_stream(nw, &l->conn[i], readbatch_get(&nw->batch, piece[i]), &s);
		if (s.known)
			err = NET_ADD(l, stream, s);
	}
	free(piece);
	return err;
}

/* How many streams a connection has: the first word of a map is its size. */
static int read_stream_counts(struct netwatch *nw, const uint64_t *map, uint32_t *piece)
{
	struct net_look *l = &nw->cur;
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < l->nh2conn; i++)
		piece[i] = readbatch_add(&nw->batch, map[i], 8);
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nh2conn; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, piece[i]);

		l->h2conn[i].streams = b ? load_u64(b) : 0;
	}
	return err;
}

int neth2_read_conns(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	uint32_t size = (uint32_t)net_off(nw, LAYOUT_H2_CLIENTCONN_SIZE),
		 *piece = calloc(l->nh2conn + 1, 4);
	uint64_t *map = calloc(l->nh2conn + 1, 8);
	int err = piece && map ? 0 : -ENOMEM;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->nh2conn; i++)
		piece[i] = readbatch_add(&nw->batch, l->h2conn[i].addr, size);
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nh2conn; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, piece[i]);

		l->h2conn[i].dead = !b;
		if (!b)
			continue;
		l->h2conn[i].closed = b[net_off(nw, LAYOUT_H2_CLIENTCONN_CLOSED)] == 1;
		l->h2conn[i].tconn[0] = load_u64(b + net_off(nw, LAYOUT_H2_CLIENTCONN_TCONN));
		l->h2conn[i].tconn[1] = load_u64(b + net_off(nw, LAYOUT_H2_CLIENTCONN_TCONN) + 8);
		u64map_put(&l->h2conn_at, l->h2conn[i].addr, i, NULL);
		map[i] = load_u64(b + net_off(nw, LAYOUT_H2_CLIENTCONN_STREAMS));
	}
	if (!err)
		err = read_stream_counts(nw, map, piece);
	free(piece);
	free(map);
	return err;
}

/* ---- names ---- */

/* One connection while its net.Conn is followed. */
struct naming {
	uint32_t conn; /* index */
	uint32_t piece, text;
	uint64_t at; /* what is followed */
	uint64_t name, name_len;
	bool tls, lost;
	char host[WINDOW_MAX_HOST + 1];
};

static bool is_type(struct netwatch *nw, uint64_t itab, const char *name)
{
	const char *is = gotypes_of_itab(nw->types, itab);

	return is && !strcmp(is, name);
}

/* A stage: reads len bytes off behind what is followed, and takes them. */
static int stage(struct netwatch *nw, struct naming *v, size_t n, int32_t off, uint32_t len,
		 bool tls_only, void (*take)(struct netwatch *, struct naming *, const uint8_t *))
{
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < n; i++)
		v[i].piece = v[i].lost || off < 0 || (tls_only && !v[i].tls)
				     ? READBATCH_NONE
				     : readbatch_add(&nw->batch, v[i].at + (uint64_t)off, len);
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; i < n && !err; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, v[i].piece);

		if (v[i].lost || (tls_only && !v[i].tls))
			continue;
		v[i].lost = !b;
		if (b)
			take(nw, &v[i], b);
	}
	return err;
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
	uint64_t port = load_u64(b + net_off(nw, LAYOUT_NET_TCPADDR_PORT)), len = load_u64(b + 8);

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

/* The name that TLS has asked for instead of the address. */
static int take_names(struct netwatch *nw, struct naming *v, size_t n)
{
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < n; i++)
		v[i].text = v[i].name_len
				    ? readbatch_add(&nw->batch, v[i].name, (uint32_t)v[i].name_len)
				    : READBATCH_NONE;
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; i < n && !err; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, v[i].text);
		const char *port = strrchr(v[i].host, ':');
		char number[8];

		if (!b || v[i].lost || !port)
			continue;
		snprintf(number, sizeof(number), "%.7s", port + 1);
		net_host_format((const char *)b, v[i].name_len, number, v[i].host);
	}
	return err;
}

/* net.Conn -> (tls.Conn ->) TCPConn -> netFD -> remote address. */
static int follow(struct netwatch *nw, struct naming *v, size_t n)
{
	int err = stage(nw, v, n, net_off(nw, LAYOUT_TLS_CONN_SERVERNAME), 16, true, take_name);

	if (!err)
		err = stage(nw, v, n, net_off(nw, LAYOUT_TLS_CONN_CONN), 16, true, take_plain_conn);
	if (!err)
		err = stage(nw, v, n, net_off(nw, LAYOUT_NET_TCPCONN_FD), 8, false, take_pointer);
	if (!err)
		err = stage(nw, v, n, net_off(nw, LAYOUT_NET_NETFD_RADDR), 16, false, take_addr);
	if (!err)
		err = stage(nw, v, n, 0, (uint32_t)net_off(nw, LAYOUT_NET_TCPADDR_PORT) + 8, false,
			    take_port);
	/* 16 bytes: four of an IPv4 address are in a size class of 16, too */
	if (!err)
		err = stage(nw, v, n, 0, 16, false, take_ip);
	if (!err)
		err = take_names(nw, v, n);
	return err;
}

int neth2_name(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct naming *v = calloc(l->nh2conn + 1, sizeof(*v));
	size_t n = 0;
	int err;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < l->nh2conn; i++) {
		struct net_h2conn *c = &l->h2conn[i];
		uint64_t *at = u64map_find(&nw->prev.h2conn_at, c->addr);
		const struct net_h2conn *p = at ? &nw->prev.h2conn[*at] : NULL;

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

void neth2_join(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->nflight; i++) {
		const struct net_flight *f = &l->flight[i];
		uint64_t *at = f->conn && !f->dead ? u64map_find(&l->conn_by_addr, f->conn) : NULL;
		const struct net_conn *c = at ? &l->conn[*at] : NULL;

		at = c && c->h2 ? u64map_find(&l->h2conn_at, c->transport) : NULL;
		if (!at || f->host == NET_NO_HOST || f->phase == NET_BODY)
			continue;
		l->h2conn[*at].host = f->host;
		l->h2conn[*at].named = true;
	}
}
