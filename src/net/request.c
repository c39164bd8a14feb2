/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a request under way says of itself: the host of its URL, the limits
 * its caller has set (http.Client.Timeout, the context as the caller made it),
 * and when it began.  Read once; the looks after it only see that it is still
 * the same.
 */
#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "model/place.h"
#include "trace/trace.h"
#include "net/window.h"

#define MAX_CHAIN 32   /* contexts, from the request's to the root */
#define AT_ONCE   1024 /* requests */
#define MAX_LOOK_NS \
	(int64_t)(10 * NS_PER_S) /* a request that began later than that after a look is none */
#define MAX_SCHEME    32
#define MAX_HOST_READ 512
#define MAX_HOST_LEN  (1u << 20) /* longer is no host but a wrong address */
/* time.Time: wall has a bit that says that ext is monotonic; then its seconds
 * count from 1885 (time/time.go) */
#define WALL_MONOTONIC (1ull << 63)
#define WALL_NSEC_BITS 30
#define UNIX_OF_1885   2682288000ll
#define UNIX_OF_1      62135596800ll

enum context_kind {
	CONTEXT_UNKNOWN,
	CONTEXT_ROOT,
	CONTEXT_CANCEL,
	CONTEXT_TIMER,
	CONTEXT_VALUE,
	CONTEXT_AFTER,
	CONTEXT_STOP,
	CONTEXT_WITHOUT,
	CONTEXT_SIGNAL,
	CONTEXT_INSIDE
};
#define ITAB_INSIDE 1 /* of the cancelCtx that a timerCtx points to: not one of its own */

/* One request while it is read. */
struct reading {
	uint32_t flight;
	uint32_t user, inner, treq, url, scheme, host; /* pieces */
	uint64_t url_addr;
	uint64_t ctx[2], inner_ctx[2];
	uint8_t text[2][16]; /* string headers: scheme, host */
	uint64_t node[2];    /* of the chain: where it is */
	bool chain_ends, in_doubt;
	int64_t deadline_unix_ns; /* of the client's timeout; 0 none */
};

static enum context_kind kind_of_name(const char *name)
{
	static const struct {
		const char *name;
		enum context_kind kind;
	} known[] = {
		{ "context.backgroundCtx", CONTEXT_ROOT },
		{ "context.todoCtx", CONTEXT_ROOT },
		{ "*context.emptyCtx", CONTEXT_ROOT }, /* up to 1.20 */
		{ "*context.cancelCtx", CONTEXT_CANCEL },
		{ "*context.timerCtx", CONTEXT_TIMER },
		{ "*context.valueCtx", CONTEXT_VALUE },
		{ "*context.afterFuncCtx", CONTEXT_AFTER },
		{ "context.stopCtx", CONTEXT_STOP },
		{ "context.withoutCancelCtx", CONTEXT_WITHOUT },
		{ "*signal.signalCtx", CONTEXT_SIGNAL },
	};

	for (size_t i = 0; name && i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(name, known[i].name))
			return known[i].kind;
	return CONTEXT_UNKNOWN;
}

static enum context_kind context_kind(struct netwatch *nw, uint64_t itab)
{
	bool made;
	uint64_t *at;

	if (itab == ITAB_INSIDE)
		return CONTEXT_INSIDE;
	at = u64map_put(&nw->context_kind, itab, 0, &made);
	if (!at)
		return kind_of_name(gotypes_of_itab(nw->types, itab));
	if (made)
		*at = kind_of_name(gotypes_of_itab(nw->types, itab));
	return (enum context_kind) * at;
}

/* In 1.20 a timerCtx points to its cancelCtx, before and since it has it in itself. */
static bool timer_points(const struct netwatch *nw)
{
	return net_off(nw, LAYOUT_CTX_TIMER_DEADLINE) < net_off(nw, LAYOUT_CTX_CANCEL_SIZE);
}

/* Where a context keeps its parent; -1: it has none. */
static int32_t parent_of(const struct netwatch *nw, enum context_kind kind)
{
	switch (kind) {
	case CONTEXT_CANCEL:
	case CONTEXT_INSIDE:
		return net_off(nw, LAYOUT_CTX_CANCEL_CONTEXT);
	case CONTEXT_TIMER:
		if (timer_points(nw))
			return net_off(nw, LAYOUT_CTX_TIMER_CANCELCTX);
		return net_off(nw, LAYOUT_CTX_TIMER_CANCELCTX) +
		       net_off(nw, LAYOUT_CTX_CANCEL_CONTEXT);
	case CONTEXT_VALUE:
		return net_off(nw, LAYOUT_CTX_VALUE_CONTEXT);
	case CONTEXT_AFTER: /* a cancelCtx is its first part (context.go) */
		return net_off(nw, LAYOUT_CTX_CANCEL_CONTEXT);
	case CONTEXT_STOP: /* so is the Context of these (context.go, os/signal/signal.go) */
	case CONTEXT_SIGNAL:
		return 0;
	default:
		return -1;
	}
}

/* What one context adds to what is known of a request. */
static void take_context(struct net_limits *l, struct reading *r, enum context_kind kind)
{
	if (kind == CONTEXT_TIMER)
		l->deadline = KNOWN_YES;
	if (kind == CONTEXT_CANCEL || kind == CONTEXT_AFTER || kind == CONTEXT_SIGNAL)
		l->cancel = KNOWN_YES;
	/* a type of somebody's own may have limits of its own */
	r->in_doubt = kind == CONTEXT_UNKNOWN;
	r->chain_ends = kind == CONTEXT_UNKNOWN || kind == CONTEXT_ROOT || kind == CONTEXT_WITHOUT;
}

static int read_contexts(struct netwatch *nw, struct reading *rd, size_t n)
{
	uint32_t *piece = calloc(n + 1, sizeof(*piece));
	int err = piece ? 0 : -ENOMEM;

	for (int level = 0; !err && level < MAX_CHAIN; level++) {
		bool any = false;

		readbatch_reset(&nw->batch);
		for (size_t i = 0; i < n; i++) {
			struct reading *r = &rd[i];
			enum context_kind kind;
			int32_t off;

			piece[i] = READBATCH_NONE;
			if (r->chain_ends)
				continue;
			kind = context_kind(nw, r->node[0]);
			take_context(&nw->cur.flight[r->flight].limits, r, kind);
			off = parent_of(nw, kind);
			if (r->chain_ends || off < 0) {
				r->chain_ends = true;
				continue;
			}
			piece[i] = readbatch_add(&nw->batch, r->node[1] + (uint64_t)off, 16);
			any = true;
		}
		if (!any)
			break;
		err = readbatch_read(&nw->batch, nw->rt->mem);
		for (size_t i = 0; !err && i < n; i++) {
			const uint8_t *b = readbatch_get(&nw->batch, piece[i]);

			if (rd[i].chain_ends)
				continue;
			if (!b) {
				rd[i].chain_ends = rd[i].in_doubt = true;
				continue;
			}
			if (timer_points(nw) && context_kind(nw, rd[i].node[0]) == CONTEXT_TIMER) {
				rd[i].node[0] = ITAB_INSIDE;
				rd[i].node[1] = load_u64(b);
				continue;
			}
			rd[i].node[0] = load_u64(b);
			rd[i].node[1] = load_u64(b + 8);
		}
	}
	for (size_t i = 0; !err && i < n; i++) {
		struct net_limits *l = &nw->cur.flight[rd[i].flight].limits;
		bool whole = rd[i].chain_ends && !rd[i].in_doubt;

		if (l->deadline != KNOWN_YES)
			l->deadline = whole ? KNOWN_NO : UNKNOWN;
		if (l->cancel != KNOWN_YES)
			l->cancel = whole ? KNOWN_NO : UNKNOWN;
	}
	free(piece);
	return err;
}

/* ---- requests ---- */

/* What the look before knew of it.  False: it is new. */
static bool inherit(struct netwatch *nw, struct net_flight *f)
{
	uint64_t *at = u64map_find(&nw->prev.flight_at, f->goid);
	const struct net_flight *p = at ? &nw->prev.flight[*at] : NULL;

	if (!p || p->request != f->request || !f->request || p->dead || !p->known)
		return false;
	f->start_ns = p->start_ns;
	f->age = p->age;
	f->limits = p->limits;
	if (p->inner != f->inner) /* a redirect: another host */
		return false;
	f->host = p->host;
	f->known = true;
	return true;
}

/* Seen at the look before: its request is the same. */
static bool same_treq(struct netwatch *nw, struct net_flight *f)
{
	uint64_t *at = u64map_find(&nw->prev.flight_at, f->goid);
	const struct net_flight *p = at ? &nw->prev.flight[*at] : NULL;

	if (!p || p->treq != f->treq || p->request != f->request || !f->request || !p->known ||
	    p->dead)
		return false;
	f->inner = p->inner;
	return true;
}

/* The request that is being sent: its copy, which treq has, where it is known. */
static int read_inner(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	uint32_t *piece = calloc(l->nflight + 1, sizeof(*piece));
	int32_t off = net_off(nw, LAYOUT_HTTP_TRANSPORTREQUEST_REQUEST);
	int err = piece ? 0 : -ENOMEM;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->nflight; i++)
		piece[i] =
			!l->flight[i].treq || same_treq(nw, &l->flight[i])
				? READBATCH_NONE
				: readbatch_add(&nw->batch, l->flight[i].treq + (uint64_t)off, 8);
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nflight; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, piece[i]);
		struct net_flight *f = &l->flight[i];

		if (b && load_u64(b))
			f->inner = load_u64(b);
		if (!f->request)
			f->request = f->inner;
		if (!f->inner)
			f->inner = f->request;
	}
	free(piece);
	return err;
}

static void take_request(struct netwatch *nw, struct reading *r, const uint8_t *user,
			 const uint8_t *inner)
{
	struct net_flight *f = &nw->cur.flight[r->flight];
	int32_t ctx = net_off(nw, LAYOUT_HTTP_REQUEST_CTX),
		cancel = net_off(nw, LAYOUT_HTTP_REQUEST_CANCEL);

	if (!inner)
		inner = user;
	if (!inner) {
		f->dead = true;
		return;
	}
	r->url_addr = load_u64(inner + net_off(nw, LAYOUT_HTTP_REQUEST_URL));
	r->inner_ctx[0] = load_u64(inner + ctx);
	r->inner_ctx[1] = load_u64(inner + ctx + 8);
	if (!user)
		user = inner;
	memcpy(r->ctx, &(uint64_t[2]){ load_u64(user + ctx), load_u64(user + ctx + 8) },
	       sizeof(r->ctx));
	memcpy(r->node, r->ctx, sizeof(r->node));
	/* no context: Background (Request.Context) */
	r->chain_ends = !r->ctx[0];
	if (cancel >= 0 && load_u64(user + cancel))
		f->limits.cancel = KNOWN_YES;
}

static void take_url(struct netwatch *nw, struct reading *r, const uint8_t *b)
{
	struct net_flight *f = &nw->cur.flight[r->flight];

	if (f->dead)
		return;
	if (!b) {
		f->dead = true;
		nw->doubtful++;
		return;
	}
	memcpy(r->text[0], b + net_off(nw, LAYOUT_URL_SCHEME), 16);
	memcpy(r->text[1], b + net_off(nw, LAYOUT_URL_HOST), 16);
	/* strings of a URL, or something else by now */
	if (load_u64(r->text[0] + 8) > MAX_SCHEME || load_u64(r->text[1] + 8) > MAX_HOST_LEN) {
		f->dead = true;
		nw->doubtful++;
	}
}

static uint32_t add_text(struct netwatch *nw, const uint8_t *header, uint32_t max)
{
	uint64_t len = load_u64(header + 8);

	return len ? readbatch_add(&nw->batch, load_u64(header), len < max ? (uint32_t)len : max)
		   : READBATCH_NONE;
}

static void take_host(struct netwatch *nw, struct reading *r)
{
	struct net_flight *f = &nw->cur.flight[r->flight];
	const uint8_t *scheme = readbatch_get(&nw->batch, r->scheme),
		      *host = readbatch_get(&nw->batch, r->host);
	uint64_t scheme_len = load_u64(r->text[0] + 8), host_len = load_u64(r->text[1] + 8);
	char out[WINDOW_MAX_HOST + 1] = "";

	for (uint64_t i = 0; scheme && i < scheme_len; i++)
		if (scheme[i] <= ' ' || scheme[i] >= 0x7f) {
			f->dead = true;
			nw->doubtful++;
			return;
		}
	if (host)
		net_host_format((const char *)host,
				host_len < MAX_HOST_READ ? host_len : MAX_HOST_READ,
				scheme ? net_scheme_port((const char *)scheme, scheme_len) : NULL,
				out);
	f->host = net_host_number(nw, out);
	f->known = true;
}

static int read_urls(struct netwatch *nw, struct reading *rd, size_t n)
{
	uint32_t url = (uint32_t)net_off(nw, LAYOUT_URL_HOST) + 16;
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < n; i++)
		rd[i].url = nw->cur.flight[rd[i].flight].dead
				    ? READBATCH_NONE
				    : readbatch_add(&nw->batch, rd[i].url_addr, url);
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++)
		take_url(nw, &rd[i], readbatch_get(&nw->batch, rd[i].url));
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < n; i++) {
		rd[i].scheme = rd[i].host = READBATCH_NONE;
		if (nw->cur.flight[rd[i].flight].dead)
			continue;
		rd[i].scheme = add_text(nw, rd[i].text[0], MAX_SCHEME);
		rd[i].host = add_text(nw, rd[i].text[1], MAX_HOST_READ);
	}
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++)
		if (!nw->cur.flight[rd[i].flight].dead)
			take_host(nw, &rd[i]);
	return err;
}

/* ---- the client's timeout ---- */

static int64_t unix_ns(uint64_t wall, uint64_t ext)
{
	int64_t nsec = (int64_t)(wall & ((1u << WALL_NSEC_BITS) - 1)), sec;

	if (wall & WALL_MONOTONIC)
		sec = (int64_t)(wall << 1 >> (WALL_NSEC_BITS + 1)) - UNIX_OF_1885;
	else
		sec = (int64_t)ext - UNIX_OF_1;
	if (sec <= 0 || sec > (1ll << 33))
		return 0;
	return sec * (int64_t)NS_PER_S + nsec;
}

static int read_timeouts(struct netwatch *nw, struct reading *rd, size_t n)
{
	int32_t off = net_off(nw, LAYOUT_HTTP_CLIENT_TIMEOUT),
		deadline = net_off(nw, LAYOUT_CTX_TIMER_DEADLINE);
	int32_t wall = net_off(nw, LAYOUT_TIME_TIME_WALL), ext = net_off(nw, LAYOUT_TIME_TIME_EXT);
	uint32_t(*piece)[2] = calloc(n + 1, sizeof(*piece));
	int err = piece ? 0 : -ENOMEM;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < n; i++) {
		const struct net_flight *f = &nw->cur.flight[rd[i].flight];

		piece[i][0] = piece[i][1] = READBATCH_NONE;
		if (f->client)
			piece[i][0] = readbatch_add(&nw->batch, f->client + (uint64_t)off, 8);
		/* (*Client).send wraps the caller's context when its own limit is nearer */
		if (f->client && rd[i].inner_ctx[1] != rd[i].ctx[1] && deadline >= 0 &&
		    context_kind(nw, rd[i].inner_ctx[0]) == CONTEXT_TIMER)
			piece[i][1] = readbatch_add(&nw->batch,
						    rd[i].inner_ctx[1] + (uint64_t)deadline, 24);
	}
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, piece[i][0]),
			      *d = readbatch_get(&nw->batch, piece[i][1]);
		struct net_flight *f = &nw->cur.flight[rd[i].flight];

		if (!f->client) {
			/* without a Client there is no such limit; a Client that is not known may have one */
			f->limits.timeout =
				nw->stacks.stack[f->stack].has_client ? UNKNOWN : KNOWN_NO;
			continue;
		}
		if (!b)
			continue;
		f->limits.timeout_ns = (int64_t)load_u64(b);
		f->limits.timeout = f->limits.timeout_ns > 0 ? KNOWN_YES : KNOWN_NO;
		if (d && f->limits.timeout == KNOWN_YES)
			rd[i].deadline_unix_ns = unix_ns(load_u64(d + wall), load_u64(d + ext));
	}
	free(piece);
	return err;
}

/* ---- since when ---- */

/* real_ns: the wall clock at the look's moment. */
static void date(struct netwatch *nw, const struct gowalk *w, struct trace *trace,
		 struct net_flight *f, int64_t deadline_unix_ns, int64_t real_ns)
{
	uint64_t now = nw->cur.now_ns, since = net_waitsince_ns(nw, &w->g[f->walk], now);
	int64_t age = real_ns - (deadline_unix_ns - f->limits.timeout_ns);
	struct trace_open open;

	if (trace && f->age != AGE_EXACT && trace_open_find(trace, OPEN_REQUEST, f->g, &open) &&
	    open.ptr == f->request) {
		f->start_ns = open.start_ns < now ? open.start_ns : now;
		f->age = AGE_EXACT;
	}
	if (deadline_unix_ns && f->age != AGE_EXACT && age >= -MAX_LOOK_NS && age < (int64_t)now) {
		f->start_ns = age > 0 ? now - (uint64_t)age : now; /* it may have begun since */
		f->age = AGE_EXACT;
	}
	if (f->age == AGE_UNKNOWN) {
		f->start_ns = now;
		f->age = AGE_AT_LEAST;
	}
	/* it has been waiting for that long, and for this request */
	if (f->age == AGE_AT_LEAST && since && since < f->start_ns)
		f->start_ns = since;
}

/* ---- bodies that are read, and connections' requests ---- */

static void remember_on_conn(struct netwatch *nw, const struct net_flight *f)
{
	uint64_t *at = f->conn ? u64map_find(&nw->cur.conn_by_addr, f->conn) : NULL;
	struct net_conn *c = at ? &nw->cur.conn[*at] : NULL;

	if (!c || f->phase == NET_BODY)
		return;
	c->request = f->inner;
	c->request_start_ns = f->start_ns;
	c->request_age = f->age;
	c->request_host = f->host;
	c->place = f->place;
}

/* Who had the connection last, by probes or by an earlier look. */
static void place_conn(struct netwatch *nw, struct trace *trace, struct net_conn *c)
{
	enum open_kind kind = c->h2 ? OPEN_STREAM : OPEN_CONN;
	struct trace_open open;
	struct place place;

	if (!c->awaits_body)
		return;
	if (trace && trace_open_find(trace, kind, c->addr, &open) &&
	    (c->h2 || !c->body_request || !open.ptr || open.ptr == c->body_request ||
	     open.ptr == c->request)) {
		c->request_start_ns = open.start_ns;
		c->request_age = AGE_EXACT;
		if (open.state == NET_BODY && open.state_ns) {
			c->awaits_ns = open.state_ns;
			c->awaits_exact = true;
		}
		if (netplace_of_pcs(nw->rt, open.pcs, (int)open.npcs, false, &place))
			c->place = place;
		return;
	}
	/* seen in flight on this connection, and this body is that request's */
	if (c->request && (c->h2 || c->request == c->body_request))
		return;
	c->request = c->request_start_ns = 0;
	c->request_age = AGE_UNKNOWN;
	c->request_host = NET_NO_HOST;
	c->place = (struct place){ 0 };
}

static void date_reader(struct netwatch *nw, const struct gowalk *w, struct net_flight *f)
{
	uint64_t *at = f->conn ? u64map_find(&nw->cur.conn_by_addr, f->conn) : NULL;
	uint64_t *before = u64map_find(&nw->prev.flight_at, f->goid);
	uint64_t since = net_waitsince_ns(nw, &w->g[f->walk], nw->cur.now_ns);
	const struct net_conn *c = at ? &nw->cur.conn[*at] : NULL;
	const struct net_flight *p = before ? &nw->prev.flight[*before] : NULL;

	f->limits = (struct net_limits){ UNKNOWN, UNKNOWN, UNKNOWN, 0 };
	f->start_ns = nw->cur.now_ns;
	f->age = AGE_AT_LEAST;
	f->known = true;
	if (p && p->conn == f->conn && p->request == f->request) {
		f->start_ns = p->start_ns;
		f->age = p->age;
		f->limits = p->limits;
	} else if (p && p->conn == f->conn && c && c->request && p->inner == c->request) {
		/* it waited for this very response at the look before */
		f->start_ns = p->start_ns;
		f->age = p->age;
		f->limits = p->limits;
	}
	if (c) {
		f->host = c->request_host != NET_NO_HOST ? c->request_host : c->host;
		/* the call, where it was seen; else where the body is read */
		if (c->place.function)
			f->place = c->place;
		if (c->request_start_ns && (f->age != AGE_EXACT || c->request_age == AGE_EXACT)) {
			f->start_ns = c->request_start_ns;
			f->age = c->request_age;
		} else if (f->age == AGE_AT_LEAST && c->awaits_ns && c->awaits_ns < f->start_ns) {
			f->start_ns = c->awaits_ns;
		}
	}
	if (f->age == AGE_AT_LEAST && since && since < f->start_ns)
		f->start_ns = since;
}

static int read_new(struct netwatch *nw, struct reading *rd, size_t n)
{
	uint32_t size = (uint32_t)net_off(nw, LAYOUT_HTTP_REQUEST_SIZE);
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < n; i++) {
		const struct net_flight *f = &nw->cur.flight[rd[i].flight];

		rd[i].user = readbatch_add(&nw->batch, f->request, size);
		rd[i].inner = f->inner != f->request ? readbatch_add(&nw->batch, f->inner, size)
						     : READBATCH_NONE;
	}
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++)
		take_request(nw, &rd[i], readbatch_get(&nw->batch, rd[i].user),
			     readbatch_get(&nw->batch, rd[i].inner));
	if (!err)
		err = read_urls(nw, rd, n);
	if (!err)
		err = read_timeouts(nw, rd, n);
	if (!err)
		err = read_contexts(nw, rd, n);
	return err;
}

/* Those that the look before does not know, some at a time: what is read of them stays in the cache. */
static int read_all_new(struct netwatch *nw, int64_t *deadline)
{
	struct net_look *l = &nw->cur;
	struct reading *rd = malloc(AT_ONCE * sizeof(*rd));
	int err = rd ? 0 : -ENOMEM;
	size_t n = 0;

	for (size_t i = 0; !err && i <= l->nflight; i++) {
		if (i < l->nflight &&
		    nw->stacks.stack[l->flight[i].stack].roles & NETROLE_REQUEST &&
		    !inherit(nw, &l->flight[i]))
			rd[n++] = (struct reading){ .flight = (uint32_t)i };
		if (!n || (n < AT_ONCE && i < l->nflight))
			continue;
		err = read_new(nw, rd, n);
		for (size_t k = 0; !err && k < n; k++)
			deadline[rd[k].flight] = rd[k].deadline_unix_ns;
		n = 0;
	}
	free(rd);
	return err;
}

int netrequests_read(struct netwatch *nw, const struct gowalk *w, struct trace *trace)
{
	struct net_look *l = &nw->cur;
	int64_t *deadline = calloc(l->nflight + 1, sizeof(*deadline));
	int64_t real_ns = (int64_t)clock_real_ns() - (int64_t)(clock_mono_ns() - l->now_ns);
	int err = deadline ? read_inner(nw) : -ENOMEM;

	if (!err)
		err = read_all_new(nw, deadline);
	for (size_t i = 0; !err && i < l->nflight; i++)
		if (nw->stacks.stack[l->flight[i].stack].roles & NETROLE_REQUEST &&
		    !l->flight[i].dead) {
			date(nw, w, trace, &l->flight[i], deadline[i], real_ns);
			remember_on_conn(nw, &l->flight[i]);
		}
	if (!err)
		neth2_join(nw);
	for (size_t i = 0; !err && i < l->nconn; i++) {
		uint64_t *at =
			l->conn[i].h2 ? u64map_find(&l->h2conn_at, l->conn[i].transport) : NULL;

		if (at)
			l->conn[i].host = l->h2conn[*at].host;
		place_conn(nw, trace, &l->conn[i]);
	}
	for (size_t i = 0; !err && i < l->nflight; i++)
		if (!(nw->stacks.stack[l->flight[i].stack].roles & NETROLE_REQUEST))
			date_reader(nw, w, &l->flight[i]);
	free(deadline);
	return err;
}
