/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a request under way says of itself: the host of its URL, the limits
 * its caller has set (http.Client.Timeout, the context as the caller made it),
 * and when it began.  Read once; the looks after it only see that it is still
 * the same.
 */
#include "net/request.h"

#include "base/clock.h"
#include "gort/gotime.h"
#include "trace/opens.h"

#define MAX_LOOK_NS   (int64_t)(10 * NS_PER_S) /* longer after a look no request of its began */
#define MAX_SCHEME    32
#define MAX_HOST_READ 512
#define MAX_HOST_LEN  (1u << 20) /* longer is no host but a wrong address */

/*
 * Whether it is the call that was seen at the look before.  The user may call with
 * the same *Request again: each round trip has a transportRequest of its own, but
 * the next may get the address of one that was collected.
 */
static bool is_same_call(const struct netwatch *nw, const struct net_inflight *f,
			 const struct net_inflight *p)
{
	if (!p || p->request != f->request || !f->request || p->dead || !p->known)
		return false;
	if (f->treq && p->treq && f->treq != p->treq)
		return false;
	return p->stop == f->stop || (nw->same_heap && f->treq && p->treq);
}

/* What the look before knew of it.  False: it is new. */
static bool inherit(struct netwatch *nw, struct net_inflight *f)
{
	const struct net_inflight *p = NET_FIND(&nw->prev, inflight, inflight_at, f->goid);

	if (!is_same_call(nw, f, p))
		return false;
	f->start_ns = p->start_ns;
	f->age = p->age;
	f->limits = p->limits;
	f->seen_before = true;
	f->socket_asked = p->socket_asked;
	if (p->inner != f->inner)
		return false;
	f->host = p->host;
	f->known = true;
	return true;
}

/* Seen at the look before: its request is the same. */
static bool same_treq(struct netwatch *nw, struct net_inflight *f)
{
	const struct net_inflight *p = NET_FIND(&nw->prev, inflight, inflight_at, f->goid);

	if (!is_same_call(nw, f, p) || p->treq != f->treq)
		return false;
	f->inner = p->inner;
	return true;
}

/* The request that is being sent: its copy, which treq has, where it is known. */
static void ask_inner(void *owner, void *item, struct readpiece *piece)
{
	struct netwatch *nw = owner;
	struct net_inflight *f = item;

	if (f->treq && !same_treq(nw, f))
		*piece = net_part(nw, f->treq, LAYOUT_HTTP_TRANSPORTREQUEST_REQUEST, 8);
}

static void take_inner(void *owner, void *item, const uint8_t *const *bytes)
{
	struct net_inflight *f = item;

	(void)owner;
	if (bytes[0] && load_u64(bytes[0]))
		f->inner = load_u64(bytes[0]);
}

static int read_inner(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int err = NET_STAGES(nw, l->inflight, l->ninflight, { ask_inner, take_inner });

	for (size_t i = 0; !err && i < l->ninflight; i++) {
		struct net_inflight *f = &l->inflight[i];

		if (!f->request)
			f->request = f->inner;
		if (!f->inner)
			f->inner = f->request;
	}
	return err;
}

/* The user's request, and the copy that is sent. */
static void ask_request(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct net_reading *r = item;
	uint32_t size = (uint32_t)net_off(nw, LAYOUT_HTTP_REQUEST_SIZE);

	piece[0] = (struct readpiece){ r->f->request, size };
	if (r->f->inner != r->f->request)
		piece[1] = (struct readpiece){ r->f->inner, size };
}

static void take_request(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct netwatch *nw = owner;
	const uint8_t *user = bytes[0] ? bytes[0] : bytes[1];
	const uint8_t *inner = bytes[1] ? bytes[1] : bytes[0];
	int32_t ctx = net_off(nw, LAYOUT_HTTP_REQUEST_CTX),
		cancel = net_off(nw, LAYOUT_HTTP_REQUEST_CANCEL);
	struct net_reading *r = item;

	r->f->dead = !user;
	if (!user)
		return;
	r->next = (struct readpiece){ net_u64(nw, inner, LAYOUT_HTTP_REQUEST_URL),
				      (uint32_t)net_off(nw, LAYOUT_URL_HOST) + 16 };
	for (int k = 0; k < 2; k++) {
		r->inner_ctx[k] = load_u64(inner + ctx + 8 * k);
		r->ctx[k] = r->node[k] = load_u64(user + ctx + 8 * k);
	}
	/* no context: Background (Request.Context) */
	r->chain_ends = !r->ctx[0];
	if (cancel >= 0 && load_u64(user + cancel))
		r->f->limits.cancel = KNOWN_YES;
}

static void take_url(void *owner, void *item, const uint8_t *const *bytes)
{
	struct netwatch *nw = owner;
	struct net_reading *r = item;
	const uint8_t *b = bytes[0];

	if (b) {
		memcpy(r->text[0], b + net_off(nw, LAYOUT_URL_SCHEME), 16);
		memcpy(r->text[1], b + net_off(nw, LAYOUT_URL_HOST), 16);
	}
	/* strings of a URL, or something else by now */
	r->f->dead = !b || load_u64(r->text[0] + 8) > MAX_SCHEME ||
		     load_u64(r->text[1] + 8) > MAX_HOST_LEN;
	if (r->f->dead)
		net_lose(nw, r->f->walk);
}

static uint32_t host_len(const struct net_reading *r)
{
	uint64_t len = load_u64(r->text[1] + 8);

	return len < MAX_HOST_READ ? (uint32_t)len : MAX_HOST_READ;
}

static void ask_host(void *owner, void *item, struct readpiece *piece)
{
	const struct net_reading *r = item;

	(void)owner;
	if (r->f->dead)
		return;
	piece[0] = (struct readpiece){ load_u64(r->text[0]), (uint32_t)load_u64(r->text[0] + 8) };
	piece[1] = (struct readpiece){ load_u64(r->text[1]), host_len(r) };
}

static bool is_printable(const uint8_t *text, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return true;
}

static void take_host(void *owner, void *item, const uint8_t *const *bytes)
{
	struct netwatch *nw = owner;
	struct net_reading *r = item;
	const char *scheme = (const char *)bytes[0], *host = (const char *)bytes[1];
	uint64_t scheme_len = load_u64(r->text[0] + 8);
	char out[WINDOW_MAX_HOST + 1] = "";

	if (scheme && !is_printable(bytes[0], scheme_len)) {
		r->f->dead = true;
		net_lose(nw, r->f->walk);
		return;
	}
	if (host)
		net_host_format(host, host_len(r),
				scheme ? net_scheme_port(scheme, scheme_len) : NULL, out);
	r->f->host = net_host_number(nw, out);
}

/* ---- the client's timeout ---- */

static void ask_timeout(void *owner, void *item, struct readpiece *piece)
{
	struct netwatch *nw = owner;
	const struct net_reading *r = item;
	const struct net_inflight *f = r->f;

	if (!f->client)
		return;
	piece[0] = net_part(nw, f->client, LAYOUT_HTTP_CLIENT_TIMEOUT, 8);
	/* (*Client).send wraps the caller's context when its own limit is nearer */
	if (r->inner_ctx[1] != r->ctx[1] && netcontext_kind(nw, r->inner_ctx[0]) == CONTEXT_TIMER)
		piece[1] = net_part(nw, r->inner_ctx[1], LAYOUT_CTX_TIMER_DEADLINE, 24);
}

static void take_timeout(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct netwatch *nw = owner;
	const uint8_t *d = bytes[1];
	struct net_reading *r = item;
	struct net_limits *l = &r->f->limits;

	if (!bytes[0])
		return;
	l->timeout_ns = (int64_t)load_u64(bytes[0]);
	l->timeout = l->timeout_ns > 0 ? KNOWN_YES : KNOWN_NO;
	if (d && l->timeout == KNOWN_YES)
		r->deadline_unix_ns = gotime_unix_ns(net_u64(nw, d, LAYOUT_TIME_TIME_WALL),
						     net_u64(nw, d, LAYOUT_TIME_TIME_EXT));
}

/* ---- since when ---- */

/* real_ns: the wall clock at the look's moment. */
static void date(struct netwatch *nw, struct net_inflight *f, int64_t deadline_unix_ns,
		 int64_t real_ns)
{
	uint64_t now = nw->cur.now_ns, since = net_parked_ns(nw, f->walk);
	int64_t age = real_ns - (deadline_unix_ns - f->limits.timeout_ns);
	struct trace_open open;

	if (f->age != AGE_EXACT && trace_opens_find(nw->look->opens, OPEN_REQUEST, f->g, &open) &&
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

static void remember_on_conn(struct netwatch *nw, const struct net_inflight *f)
{
	struct net_conn *c = NET_FIND(&nw->cur, conn, conn_by_addr, f->conn);

	if (!c || f->phase == NET_BODY)
		return;
	c->seen = (struct net_seen){ f->inner, f->start_ns, f->age, f->place, f->host };
}

/* Who had the connection last, by probes or by an earlier look. */
static void place_conn(struct netwatch *nw, struct net_conn *c)
{
	enum open_kind kind = c->h2 ? OPEN_STREAM : OPEN_CONN;
	struct trace_open open;
	struct place place;

	if (!c->awaits_body)
		return;
	if (trace_opens_find(nw->look->opens, kind, c->addr, &open) &&
	    (c->h2 || !c->body_request || !open.ptr || open.ptr == c->body_request ||
	     open.ptr == c->seen.request)) {
		c->seen.start_ns = open.start_ns;
		c->seen.age = AGE_EXACT;
		if (open.state == NET_BODY && open.state_ns) {
			c->awaits_ns = open.state_ns;
			c->awaits_exact = true;
		}
		if (place_of_pcs(nw->rt, open.pcs, (int)open.npcs, false, &place))
			c->seen.place = place;
		return;
	}
	/* seen in flight on this connection, and this body is that request's */
	if (c->seen.request && (c->h2 || c->seen.request == c->body_request))
		return;
	c->seen = (struct net_seen){ 0 };
}

static void date_reader(struct netwatch *nw, struct net_inflight *f)
{
	const struct net_inflight *p = NET_FIND(&nw->prev, inflight, inflight_at, f->goid);
	const struct net_conn *c = NET_FIND(&nw->cur, conn, conn_by_addr, f->conn);
	uint64_t since = net_parked_ns(nw, f->walk);

	f->limits = (struct net_limits){ UNKNOWN, UNKNOWN, UNKNOWN, 0 };
	f->start_ns = nw->cur.now_ns;
	f->age = AGE_AT_LEAST;
	f->known = true;
	/* the same, or it waited for this very response at the look before */
	if (p && p->conn == f->conn && (nw->same_heap || p->stop == f->stop) &&
	    (p->request == f->request || (c && c->seen.request && p->inner == c->seen.request))) {
		f->start_ns = p->start_ns;
		f->age = p->age;
		f->limits = p->limits;
		f->seen_before = true;
		f->socket_asked = p->socket_asked;
	}
	if (c) {
		f->host = net_conn_host(c);
		/* the call, where it was seen; else where the body is read */
		if (c->seen.place.function)
			f->place = c->seen.place;
		if (c->seen.start_ns && (f->age != AGE_EXACT || c->seen.age == AGE_EXACT)) {
			f->start_ns = c->seen.start_ns;
			f->age = c->seen.age;
		} else if (f->age == AGE_AT_LEAST && c->awaits_ns && c->awaits_ns < f->start_ns) {
			f->start_ns = c->awaits_ns;
		}
	}
	if (f->age == AGE_AT_LEAST && since && since < f->start_ns)
		f->start_ns = since;
}

static int read_new(struct netwatch *nw, struct net_reading *rd, size_t n)
{
	int err = NET_STAGES(nw, rd, n, { ask_request, take_request }, { net_ask_next, take_url },
			     { ask_host, take_host }, { ask_timeout, take_timeout });

	for (size_t i = 0; !err && i < n; i++) {
		struct net_inflight *f = rd[i].f;

		f->known = !f->dead;
		/* without a Client there is no such limit; a Client that is not known may have one */
		if (!f->client)
			f->limits.timeout =
				nw->stacks.stack[f->stack].has_client ? UNKNOWN : KNOWN_NO;
	}
	return err ? err : netcontexts_read(nw, rd, n);
}

static bool is_request(const struct netwatch *nw, const struct net_inflight *f)
{
	return nw->stacks.stack[f->stack].roles & NETROLE_REQUEST;
}

/* Those that the look before does not know, some at a time: what is read of them stays in the cache. */
static int read_all_new(struct netwatch *nw, int64_t *deadline)
{
	struct net_look *l = &nw->cur;
	struct net_reading *rd = malloc(NET_AT_ONCE * sizeof(*rd));
	int err = rd ? 0 : -ENOMEM;
	size_t n = 0;

	for (size_t i = 0; !err && i <= l->ninflight; i++) {
		if (i < l->ninflight && is_request(nw, &l->inflight[i]) &&
		    !inherit(nw, &l->inflight[i]))
			rd[n++] = (struct net_reading){ .f = &l->inflight[i] };
		if (!n || (n < NET_AT_ONCE && i < l->ninflight))
			continue;
		err = read_new(nw, rd, n);
		for (size_t k = 0; !err && k < n; k++)
			deadline[rd[k].f - l->inflight] = rd[k].deadline_unix_ns;
		n = 0;
	}
	free(rd);
	return err;
}

static void place_conns(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->nconn; i++) {
		struct net_conn *c = &l->conn[i];
		const struct net_h2conn *h =
			c->h2 ? NET_FIND(l, h2conn, h2conn_at, c->transport) : NULL;

		if (h)
			c->host = h->host;
		place_conn(nw, c);
	}
}

int netrequests_read(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int64_t *deadline = calloc(l->ninflight + 1, sizeof(*deadline));
	int64_t real_ns = (int64_t)clock_mono_to_real_ns(l->now_ns);
	int err = deadline ? read_inner(nw) : -ENOMEM;

	if (!err)
		err = read_all_new(nw, deadline);
	for (size_t i = 0; !err && i < l->ninflight; i++)
		if (is_request(nw, &l->inflight[i]) && !l->inflight[i].dead) {
			date(nw, &l->inflight[i], deadline[i], real_ns);
			remember_on_conn(nw, &l->inflight[i]);
		}
	free(deadline);
	if (err)
		return err;
	neth2_join(nw);
	place_conns(nw);
	for (size_t i = 0; i < l->ninflight; i++)
		if (!is_request(nw, &l->inflight[i]))
			date_reader(nw, &l->inflight[i]);
	err = netsockets_date(nw);
	return err ? err : netsilent_ask(nw);
}
