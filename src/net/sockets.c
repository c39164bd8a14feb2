/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The age of HTTP/1 requests whose begin nobody saw, from their sockets: a request that
 * waits for its answer, or whose body is read, has been written, and nothing is written
 * behind it on its connection.  So it is no younger than the data sent last.
 *
 * "Waits for its answer" may be said of one that is about to be written, on a
 * connection that was idle for long before.  Only a request that waited at the look
 * before too, or on whose connection data was sent since some was received, is dated.
 *
 * One that is being written for long may be large: when data was last sent tells whether it moves.
 *
 * The way to the descriptor is by the program's own descriptions of its types.
 * Streams of HTTP/2 share a connection, and are left out.
 */
#include "net/priv.h"

#include "base/clock.h"
#include "proc/process.h"
#include "proc/socket.h"

#define MAX_ASKED 256 /* of a look; the others at the next one */
#define MAX_FD    (1u << 30)
#define LONG_NS   1000000000ull /* of one that is being written */

/* A request, and the way from its connection to the descriptor. */
struct socket_of {
	struct net_socket s; /* first: netsockets_find() */
	struct net_inflight *f;
};

/* Where a *net.TCPConn has its *netFD, and that the number; false: not known. */
static bool find_way(struct netwatch *nw, uint64_t itab)
{
	struct net_fd_way *w = &nw->fd_way;
	uint64_t type = gotypes_itab_type(nw->types, itab);
	uint32_t conn, fd, pfd, sysfd;

	if (w->sought)
		return w->known;
	w->sought = true;
	w->known = type && !gotypes_field(nw->types, type, "conn", &conn, &type) &&
		   !gotypes_field(nw->types, type, "fd", &fd, &type) &&
		   !gotypes_field(nw->types, type, "pfd", &pfd, &type) &&
		   !gotypes_field(nw->types, type, "Sysfd", &sysfd, NULL);
	if (w->known)
		*w = (struct net_fd_way){ true, true, conn + fd, pfd + sysfd };
	return w->known;
}

static bool is_named(struct netwatch *nw, const struct net_socket *s, const char *type)
{
	const char *name = s->conn[0] ? gotypes_of_itab(nw->types, s->conn[0]) : NULL;

	return name && !strcmp(name, type);
}

static void ask_conn(void *owner, void *item, struct readpiece *piece)
{
	struct netwatch *nw = owner;
	const struct socket_of *s = item;

	*piece = net_part(nw, s->f->conn, LAYOUT_HTTP_PERSISTCONN_CONN, 16);
}

static void take_conn(void *owner, void *item, const uint8_t *const *bytes)
{
	struct net_socket *s = item;

	(void)owner;
	if (!bytes[0])
		return;
	s->conn[0] = load_u64(bytes[0]);
	s->conn[1] = load_u64(bytes[0] + 8);
}

/* What is inside of TLS; of gRPC's, the connection itself beside it. */
static void ask_inner(void *owner, void *item, struct readpiece *piece)
{
	struct netwatch *nw = owner;
	const struct net_socket *s = item;
	uint32_t off;

	if (is_named(nw, s, "*tls.Conn") && net_off(nw, LAYOUT_TLS_CONN_CONN) >= 0)
		*piece = net_part(nw, s->conn[1], LAYOUT_TLS_CONN_CONN, 16);
	else if (is_named(nw, s, "*credentials.syscallConn") &&
		 !gotypes_field(nw->types, gotypes_itab_type(nw->types, s->conn[0]), "sysConn",
				&off, NULL))
		*piece = (struct readpiece){ s->conn[1] + off, 16 };
}

static void ask_netfd(void *owner, void *item, struct readpiece *piece)
{
	struct netwatch *nw = owner;
	const struct net_socket *s = item;

	if (is_named(nw, s, "*net.TCPConn") && find_way(nw, s->conn[0]))
		*piece = (struct readpiece){ s->conn[1] + nw->fd_way.netfd, 8 };
}

static void take_netfd(void *owner, void *item, const uint8_t *const *bytes)
{
	struct netwatch *nw = owner;
	struct net_socket *s = item;

	if (bytes[0] && load_u64(bytes[0]))
		s->fd_addr = load_u64(bytes[0]) + nw->fd_way.sysfd;
}

static void ask_fd(void *owner, void *item, struct readpiece *piece)
{
	const struct net_socket *s = item;

	(void)owner;
	if (s->fd_addr)
		*piece = (struct readpiece){ s->fd_addr, 8 };
}

static void take_fd(void *owner, void *item, const uint8_t *const *bytes)
{
	struct net_socket *s = item;

	(void)owner;
	s->fd = bytes[0] ? (int64_t)load_u64(bytes[0]) : -1;
	if (s->fd > MAX_FD)
		s->fd = -1;
}

int netsockets_find(struct netwatch *nw, void *item, size_t n, size_t size)
{
	static const struct net_step steps[] = { { ask_inner, take_conn },
						 { ask_netfd, take_netfd },
						 { ask_fd, take_fd },
						 { NULL, NULL } };

	return net_stages(nw, item, n, size, steps);
}

bool netsockets_is_open(struct netwatch *nw, const struct net_socket *s)
{
	uint64_t fd;

	return !mem_read_u64(nw->rt->mem, s->fd_addr, &fd) && (int64_t)fd == s->fd;
}

static void date(struct netwatch *nw, struct socket_of *s)
{
	struct net_inflight *f = s->f;
	const struct net_inflight *p = NET_FIND(&nw->prev, inflight, inflight_at, f->goid);
	uint64_t now = clock_mono_ns();
	struct socket_idle idle;
	bool is_written;

	if (s->s.fd < 0 || process_socket_idle(nw->look->proc, (int)s->s.fd, &idle) ||
	    !netsockets_is_open(nw, &s->s))
		return;
	if (f->phase == NET_REQUEST_WRITE) {
		/* what is sent again is no progress */
		f->moved_ns = idle.resent || idle.sent_ns >= now ? 0 : now - idle.sent_ns;
		return;
	}
	/* of the same call: that was seen, or it would not be here */
	is_written = f->phase == NET_BODY || (f->seen_before && p && p->phase == NET_TTFB) ||
		     idle.sent_ns < idle.received_ns;
	if (!is_written || idle.sent_ns >= now || now - idle.sent_ns >= f->start_ns)
		return;
	f->start_ns = now - idle.sent_ns;
}

static bool is_candidate(const struct netwatch *nw, const struct net_inflight *f)
{
	const struct net_conn *c = NET_FIND(&nw->cur, conn, conn_by_addr, f->conn);

	if (f->dead || !c || c->h2)
		return false;
	if (f->phase == NET_REQUEST_WRITE)
		return f->age != AGE_UNKNOWN && f->start_ns + LONG_NS < nw->cur.now_ns;
	return f->age == AGE_AT_LEAST && (f->phase == NET_TTFB || f->phase == NET_BODY) &&
	       !f->socket_asked && (f->seen_before || nw->look->once);
}

int netsockets_date(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct socket_of *s;
	size_t n = 0;
	int err;

	if (net_off(nw, LAYOUT_HTTP_PERSISTCONN_CONN) < 0 || !nw->look->proc)
		return 0;
	s = calloc(MAX_ASKED, sizeof(*s));
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < l->ninflight && n < MAX_ASKED; i++) {
		if (!is_candidate(nw, &l->inflight[i]))
			continue;
		l->inflight[i].socket_asked = l->inflight[i].phase != NET_REQUEST_WRITE;
		s[n++] = (struct socket_of){ .s.fd = -1, .f = &l->inflight[i] };
	}
	err = NET_STAGES(nw, s, n, { ask_conn, take_conn });
	if (!err)
		err = netsockets_find(nw, s, n, sizeof(*s));
	for (size_t i = 0; !err && i < n; i++)
		date(nw, &s[i]);
	free(s);
	return err;
}
