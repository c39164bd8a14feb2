/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One look: goroutines by the part they play, the words on their stacks that
 * lead to connections, requests and servers, and those structures.  Read in
 * stages, each a batch of what the one before has named.
 */
#include "net/priv.h"
#include "base/vec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "model/stacktable.h"
#include "gort/gostack.h"
#include "trace/trace.h"
#include "net/window.h"

#define G_HEAD_MAX 512
#define AT_ONCE    1024 /* goroutines, connections */
#define FRESH_NS \
	(50 * NS_PER_MS) /* words of stacks that were read since then are not checked once more */
#define MAX_CHAIN          6 /* channels of one select */
#define MAX_PATTERN        4096
#define MAX_STRING         512 /* of a host that is read; the rest is cut off */
#define BUFIO_BYTES        56  /* buf, rd, r, w: the same in 1.18 to 1.27 */
#define BUFIO_R            40
#define BUFIO_W            48
#define CLOSURE_BYTES      48
#define WRAPPER_WORDS      4  /* of a reader that reads from a body, looked through for it */
#define STATE_IDLE         2  /* http.StateIdle, in the lowest byte of conn.curState */
#define PIPE_B             64 /* http2pipe: mu, c, b, the same in 1.18 to 1.27 */
#define GO_STATUS_SCAN_BIT 0x1000u
#define LEARN_TRIES        64 /* frames searched in one look for where readLoop keeps its body */

void netlook_deinit(struct net_look *l)
{
	struct u64map *map[] = { &l->h2conn_at,  &l->flight_at, &l->conn_at, &l->conn_by_addr,
				 &l->serving_at, &l->gcall_at,  &l->writer,  &l->transport_at };

	for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++)
		u64map_deinit(map[i]);
	free(l->flight);
	free(l->conn);
	free(l->serving);
	free(l->gcall);
	free(l->h2conn);
	free(l->transport);
	free(l->listener);
	free(l->dial);
	free(l->stream);
	memset(l, 0, sizeof(*l));
}

static void begin(struct net_look *l, uint64_t now_ns)
{
	netlook_deinit(l);
	u64map_init(&l->flight_at, NET_MAX_FLIGHTS);
	u64map_init(&l->conn_at, NET_MAX_CONNS);
	u64map_init(&l->conn_by_addr, NET_MAX_CONNS);
	u64map_init(&l->serving_at, NET_MAX_FLIGHTS);
	u64map_init(&l->gcall_at, NET_MAX_FLIGHTS);
	u64map_init(&l->h2conn_at, NET_MAX_CONNS);
	u64map_init(&l->writer, NET_MAX_CONNS);
	u64map_init(&l->transport_at, NET_MAX_HOSTS);
	l->now_ns = now_ns;
}

uint64_t net_waitsince_ns(const struct netwatch *nw, const struct goroutine *g, uint64_t now_ns)
{
	int64_t t = g->waitsince_ns - nw->rt->mono_offset_ns;

	if (g->status != GO_WAITING || g->waitsince_ns <= 0 || t <= 0 || (uint64_t)t > now_ns)
		return 0;
	return (uint64_t)t;
}

/* ---- words on stacks ---- */

/* The part of a g that says whether it has moved: from sched on. */
static uint32_t g_head_bytes(const struct netwatch *nw)
{
	static const enum layout_field used[] = { LAYOUT_G_GOID, LAYOUT_G_ATOMICSTATUS,
						  LAYOUT_G_TRACKINGSEQ, LAYOUT_G_SYSCALLPC,
						  LAYOUT_G_SCHED_PC };
	int32_t end = 0;

	for (size_t i = 0; i < sizeof(used) / sizeof(*used); i++)
		if (net_off(nw, used[i]) + 8 > end)
			end = net_off(nw, used[i]) + 8;
	end -= net_off(nw, LAYOUT_G_SCHED_SP);
	return end < G_HEAD_MAX ? (uint32_t)end : G_HEAD_MAX;
}

/* Whether the g, read behind its stack's words, is still where the walk saw it. */
static bool stands(const struct netwatch *nw, const struct goroutine *g, const uint8_t *raw)
{
	uint32_t status;

	raw -= net_off(nw, LAYOUT_G_SCHED_SP);
	status = load_u32(raw + net_off(nw, LAYOUT_G_ATOMICSTATUS)) & ~GO_STATUS_SCAN_BIT;
	return load_u64(raw + net_off(nw, LAYOUT_G_GOID)) == g->goid && status == g->status &&
	       raw[net_off(nw, LAYOUT_G_TRACKINGSEQ)] == g->tracking_seq &&
	       load_u64(raw + net_off(nw, LAYOUT_G_SCHED_SP)) == g->sched_sp &&
	       load_u64(raw + net_off(nw, LAYOUT_G_SYSCALLSP)) == g->syscall_sp;
}

/* The classes of the stacks that were read so far. */
static int classify(struct netwatch *nw, const struct gostacks *gs)
{
	struct net_players *ps = &nw->players;
	int err = 0;

	while (ps->class_cap < gs->n && !err)
		err = array_room(&ps->class_of, ps->class_cap, &ps->class_cap,
				 sizeof(*ps->class_of));
	if (!err)
		err = netstacks_classify(&nw->stacks, gs, ps->nclass, ps->class_of);
	if (!err)
		ps->nclass = gs->n;
	return err;
}

static int keep_words(struct net_players *ps, const struct netstack *s,
		      const struct gostack_bytes *b)
{
	for (int k = 0; k < NETSLOT_COUNT; k++) {
		int32_t slot = s->slot[k];

		if (slot == NETSLOT_NONE)
			continue;
		if (array_room(&ps->word, ps->nword, &ps->word_cap, sizeof(*ps->word)))
			return -ENOMEM;
		ps->word[ps->nword++] =
			slot >= 0 && (size_t)slot + 8 <= b->len ? load_u64(b->bytes + slot) : 0;
	}
	return 0;
}

static int keep_frame(struct net_players *ps, const struct netstack *s,
		      const struct gostack_bytes *b, uint32_t *at)
{
	size_t size = (size_t)s->loop_size, cap;
	uint8_t *grown;

	if ((size_t)s->loop_sp + size > b->len || ps->nframe + size >= NET_NO_FRAME)
		return 0;
	if (ps->nframe + size > ps->frame_cap) {
		cap = (ps->nframe + size) * 2;
		grown = realloc(ps->frame, cap);
		if (!grown)
			return -ENOMEM;
		ps->frame = grown;
		ps->frame_cap = cap;
	}
	memcpy(ps->frame + ps->nframe, b->bytes + s->loop_sp, size);
	*at = (uint32_t)ps->nframe;
	ps->nframe += size;
	return 0;
}

int netlook_hear(void *listens, const struct gostacks *gs, const struct gostack_bytes *b)
{
	struct netwatch *nw = listens;
	struct net_players *ps = &nw->players;
	int err = b->stack < ps->nclass ? 0 : classify(nw, gs);
	struct net_player p = { .walk = b->walk,
				.word = (uint32_t)ps->nword,
				.frame = NET_NO_FRAME };
	const struct netstack *s;

	if (err)
		return err;
	p.cls = ps->class_of[b->stack];
	s = &nw->stacks.stack[p.cls];
	if (!s->roles)
		return 0;
	if (s->reach > b->len && !b->all)
		return 1;
	err = keep_words(ps, s, b);
	if (!err && s->keeps_frame)
		err = keep_frame(ps, s, b, &p.frame);
	if (!err)
		err = array_room(&ps->v, ps->n, &ps->cap, sizeof(*ps->v));
	if (!err)
		ps->v[ps->n++] = p;
	return err;
}

void net_players_deinit(struct net_players *ps)
{
	free(ps->v);
	free(ps->word);
	free(ps->frame);
	free(ps->class_of);
	memset(ps, 0, sizeof(*ps));
}

static uint64_t word(const struct netwatch *nw, const struct net_player *p, enum net_slot slot)
{
	const struct netstack *s = &nw->stacks.stack[p->cls];

	return s->slot[slot] == NETSLOT_NONE ? 0 : nw->players.word[p->word + s->at[slot]];
}

/*
 * Leaves those of the players v[0..n) that still are where they were when their
 * stacks were read: what others had on theirs leads nowhere any more.
 */
static int leave_standing(struct netwatch *nw, const struct gowalk *w, struct net_player *v,
			  size_t *n)
{
	uint32_t off = (uint32_t)net_off(nw, LAYOUT_G_SCHED_SP), head = g_head_bytes(nw),
		 piece[AT_ONCE];
	size_t left = 0;
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < *n; i++)
		piece[i] = readbatch_add(&nw->batch, w->g[v[i].walk].addr + off, head);
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; i < *n && !err; i++) {
		const uint8_t *g = readbatch_get(&nw->batch, piece[i]);

		if (g && stands(nw, &w->g[v[i].walk], g))
			v[left++] = v[i];
		else
			nw->moved++;
	}
	*n = left;
	return err;
}

/* Where there are so many goroutines that their stacks were read a while ago. */
static int check_players(struct netwatch *nw, const struct gowalk *w)
{
	struct net_players *ps = &nw->players;
	size_t left = 0, n;
	int err = 0;

	if (clock_mono_ns() - ps->begin_ns < FRESH_NS)
		return 0;
	for (size_t i = 0; i < ps->n && !err; i += AT_ONCE) {
		n = ps->n - i < AT_ONCE ? ps->n - i : AT_ONCE;

		err = leave_standing(nw, w, ps->v + i, &n);
		if (left < i && !err)
			memmove(ps->v + left, ps->v + i, n * sizeof(*ps->v));
		left += n;
	}
	ps->n = left;
	return err;
}

#define ADD(l, what, ...)                                                           \
	(array_room(&(l)->what, (l)->n##what, &(l)->what##_cap, sizeof(*(l)->what)) \
		 ? -ENOMEM                                                          \
		 : ((l)->what[(l)->n##what++] = __VA_ARGS__, 0))

/* The bodyEOFSignal or clientStream that is read; of a stream the pipe leads to it. */
static uint64_t body_read(const struct netwatch *nw, const struct net_player *p)
{
	uint64_t body = word(nw, p, NETSLOT_BODY), pipe = word(nw, p, NETSLOT_PIPE);

	if (body || !pipe)
		return body;
	return pipe - (uint64_t)(net_off(nw, LAYOUT_H2_CLIENTSTREAM_BUFPIPE_B) - PIPE_B);
}

static int take_flight(struct netwatch *nw, const struct gowalk *w, const struct net_player *p,
		       const struct netstack *s)
{
	struct net_look *l = &nw->cur;
	struct net_flight f = {
		.goid = w->g[p->walk].goid,
		.g = w->g[p->walk].addr,
		.walk = p->walk,
		.stack = p->cls,
		.phase = -1,
		.place = s->place,
	};

	if (!(s->roles & NETROLE_REQUEST)) {
		f.phase = NET_BODY;
		f.request = body_read(nw, p);
	} else {
		f.client = word(nw, p, NETSLOT_CLIENT);
		f.request = word(nw, p, NETSLOT_REQUEST);
		f.inner = word(nw, p, NETSLOT_INNER);
		f.transport = word(nw, p, NETSLOT_TRANSPORT);
		f.conn = word(nw, p, NETSLOT_CONN);
		f.treq = word(nw, p, NETSLOT_TREQ);
		if (!f.request)
			f.request = f.inner;
		if (s->roles & (NETROLE_BODY | NETROLE_STREAM_BODY))
			f.phase = NET_BODY; /* what is left of a redirect's */
	}
	u64map_put(&l->flight_at, f.goid, l->nflight, NULL);
	return ADD(l, flight, f);
}

static int take_serving(struct netwatch *nw, const struct gowalk *w, const struct net_player *p,
			const struct netstack *s)
{
	struct net_look *l = &nw->cur;

	u64map_put(&l->serving_at, w->g[p->walk].goid, l->nserving, NULL);
	return ADD(l, serving,
		   (struct net_serving){
			   .goid = w->g[p->walk].goid,
			   .g = w->g[p->walk].addr,
			   .walk = p->walk,
			   .stack = p->cls,
			   .conn = word(nw, p, NETSLOT_SERVE),
			   .reading_request = s->reading_request && !s->in_handler,
		   });
}

/* What one goroutine is for. */
static int take_player(struct netwatch *nw, const struct gowalk *w, const struct net_player *p)
{
	const struct netstack *s = &nw->stacks.stack[p->cls];
	struct net_look *l = &nw->cur;
	const struct goroutine *g = &w->g[p->walk];
	int err = 0;

	if (s->roles & (NETROLE_REQUEST | NETROLE_BODY | NETROLE_STREAM_BODY) &&
	    l->nflight < NET_MAX_FLIGHTS)
		err = take_flight(nw, w, p, s);
	if (!err && s->roles & NETROLE_DIAL)
		err = ADD(l, dial,
			  (struct net_dial){ .want = word(nw, p, NETSLOT_WANT),
					     .phase = s->dial_phase });
	if (!err && s->roles & NETROLE_READLOOP && l->nconn < NET_MAX_CONNS)
		err = ADD(l, conn,
			  (struct net_conn){ .goid = g->goid,
					     .addr = word(nw, p, NETSLOT_LOOP),
					     .walk = p->walk,
					     .stack = p->cls,
					     .frame = p->frame,
					     .awaits_body = s->awaits_body,
					     .waitsince_ns = net_waitsince_ns(nw, g, l->now_ns) });
	if (s->roles & NETROLE_WRITELOOP)
		u64map_put(&l->writer, word(nw, p, NETSLOT_LOOP), s->writing, NULL);
	if (!err && s->roles & NETROLE_STREAM && s->plain_h2 && l->nconn < NET_MAX_CONNS)
		err = ADD(l, conn,
			  (struct net_conn){ .goid = g->goid,
					     .addr = word(nw, p, NETSLOT_STREAM),
					     .walk = p->walk,
					     .stack = p->cls,
					     .frame = NET_NO_FRAME,
					     .h2 = true,
					     .waitsince_ns = net_waitsince_ns(nw, g, l->now_ns) });
	if (!err && s->roles & NETROLE_H2CONN && s->plain_h2)
		err = ADD(l, h2conn,
			  (struct net_h2conn){ .addr = word(nw, p, NETSLOT_H2CONN),
					       .goid = g->goid,
					       .walk = p->walk,
					       .stack = p->cls });
	if (!err && s->roles & NETROLE_SERVER)
		err = take_serving(nw, w, p, s);
	if (!err && s->roles & NETROLE_LISTEN)
		err = ADD(l, listener,
			  (struct net_listener){ word(nw, p, NETSLOT_SERVER), s->serves });
	if (!err && s->roles & NETROLE_GRPC) {
		u64map_put(&l->gcall_at, g->goid, l->ngcall, NULL);
		err = ADD(
			l, gcall,
			(struct net_gcall){
				.goid = g->goid, .g = g->addr, .walk = p->walk, .stack = p->cls });
	}
	return err;
}

static int take_players(struct netwatch *nw, const struct gowalk *w)
{
	int err = 0;

	for (size_t i = 0; i < nw->players.n && !err; i++)
		err = take_player(nw, w, &nw->players.v[i]);
	return err;
}

/* ---- channels of selects ---- */

/* Up to MAX_CHAIN channels that goroutine walk[i] waits on into chan[i]. */
static int read_chans(struct netwatch *nw, const struct gowalk *w, const uint32_t *walk, size_t n,
		      uint64_t (*chan)[MAX_CHAIN], int *nchan)
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
	for (int level = 0; !err && level < MAX_CHAIN; level++) {
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

static int add_transport(struct net_look *l, uint64_t addr)
{
	bool made;

	if (!addr || !u64map_put(&l->transport_at, addr, l->ntransport, &made) || !made)
		return 0;
	return ADD(l, transport,
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
		err = add_transport(&nw->cur, c[i].transport);
	}
	return err;
}

/* Some at a time: what is read of them stays in the cache. */
static int read_conns(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct conn_read *p = malloc(AT_ONCE * sizeof(*p));
	int err = p ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < l->nconn; i += AT_ONCE) {
		size_t n = l->nconn - i < AT_ONCE ? l->nconn - i : AT_ONCE;

		err = read_heads(nw, l->conn + i, p, n);
		if (!err)
			err = read_tails(nw, l->conn + i, p, n);
	}
	free(p);
	return err;
}

/* ---- the body that a connection waits for ---- */

/* A closure of readLoop that knows one of the channels it waits on: that channel; 0. */
static uint64_t closure_chan(struct netwatch *nw, const uint8_t *b, const uint64_t *chan, int nchan,
			     uint64_t closech)
{
	static const char outer[] = "net/http.(*persistConn).readLoop.";
	struct gofunc fn;

	if (!b || pclntab_find_pc(nw->rt->gb->pcln, load_u64(b) - nw->rt->bias, &fn) ||
	    strncmp(fn.name, outer, sizeof(outer) - 1))
		return 0;
	for (size_t at = 8; at + 8 <= CLOSURE_BYTES; at += 8)
		for (int k = 0; k < nchan; k++)
			if (load_u64(b + at) == chan[k] && chan[k] != closech)
				return chan[k];
	return 0;
}

/* The words of readLoop's frame that its bodyEOFSignal and Response may be. */
struct seek {
	uint32_t conn; /* index */
	int nchan;
	uint64_t chan[MAX_CHAIN];
	uint64_t closech;
	uint64_t stack_lo, stack_hi;
	const uint8_t *frame;
	size_t len;
};

/* Whether a word may point to an object: its own stack has pointers to closures, too. */
static bool may_be_object(const struct seek *k, uint64_t word)
{
	return word % 8 == 0 && (word < k->stack_lo || word >= k->stack_hi);
}

/* Those of n words that point to a bodyEOFSignal of this loop: the first one's index, or -1. */
static int find_body(struct netwatch *nw, const struct seek *k, const uint64_t *at, int n,
		     uint64_t *chan, int *err)
{
	uint32_t size = (uint32_t)net_off(nw, LAYOUT_HTTP_BODYEOFSIGNAL_SIZE),
		 *piece = calloc((size_t)n, 8);
	int32_t early = net_off(nw, LAYOUT_HTTP_BODYEOFSIGNAL_EARLYCLOSEFN);
	uint64_t *closure = calloc((size_t)n, 8);
	int found = -1;

	*err = piece && closure ? 0 : -ENOMEM;
	readbatch_reset(&nw->batch);
	for (int i = 0; !*err && i < n; i++)
		piece[i] = may_be_object(k, at[i]) ? readbatch_add(&nw->batch, at[i], size)
						   : READBATCH_NONE;
	if (!*err)
		*err = readbatch_read(&nw->batch, nw->rt->mem);
	for (int i = 0; !*err && i < n; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, piece[i]);

		closure[i] = b ? load_u64(b + early) : 0;
	}
	readbatch_reset(&nw->batch);
	for (int i = 0; !*err && i < n; i++)
		piece[i] = closure[i] % 8 ? READBATCH_NONE
					  : readbatch_add(&nw->batch, closure[i], CLOSURE_BYTES);
	if (!*err)
		*err = readbatch_read(&nw->batch, nw->rt->mem);
	for (int i = 0; !*err && i < n && found < 0; i++) {
		*chan = closure_chan(nw, readbatch_get(&nw->batch, piece[i]), k->chan, k->nchan,
				     k->closech);
		if (*chan)
			found = i;
	}
	free(piece);
	free(closure);
	return found;
}

/* From what a Response has as its Body to the bodyEOFSignal that it was made with. */
struct way {
	uint64_t inner, body;
	uint64_t word[WRAPPER_WORDS]; /* of the reader at inner */
	uint32_t piece[WRAPPER_WORDS];
	bool leads;
};

static void add_reader(struct netwatch *nw, uint32_t *piece, uint64_t addr)
{
	*piece = addr % 8 ? READBATCH_NONE : readbatch_add(&nw->batch, addr, 8 * WRAPPER_WORDS);
}

/* Whether a reader reads from a body; the reader's words. */
static bool take_reader(struct netwatch *nw, uint32_t piece, uint64_t body,
			uint64_t word[WRAPPER_WORDS])
{
	const uint8_t *b = readbatch_get(&nw->batch, piece);
	bool leads = false;

	for (int i = 0; i < WRAPPER_WORDS; i++) {
		word[i] = b ? load_u64(b + 8 * i) : 0;
		leads = leads || (b && word[i] == body);
	}
	return leads;
}

/* Which of them lead to their body, over two readers at most: http.cancelTimerBody
 * (the client has a Timeout) reads from http.gzipReader. */
static int follow_ways(struct netwatch *nw, struct way *way, size_t n)
{
	uint64_t word[WRAPPER_WORDS];
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < n; i++) {
		way[i].leads = way[i].inner == way[i].body;
		way[i].piece[0] = READBATCH_NONE;
		if (!way[i].leads)
			add_reader(nw, &way[i].piece[0], way[i].inner);
	}
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++)
		if (!way[i].leads)
			way[i].leads = take_reader(nw, way[i].piece[0], way[i].body, way[i].word);
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < n; i++)
		for (int k = 0; !way[i].leads && k < WRAPPER_WORDS; k++)
			add_reader(nw, &way[i].piece[k], way[i].word[k]);
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++)
		for (int k = 0; !way[i].leads && k < WRAPPER_WORDS; k++)
			way[i].leads = take_reader(nw, way[i].piece[k], way[i].body, word);
	return err;
}

/* Of n words one that is a Response with this body, rather one that has it directly: its index, or -1. */
static int find_response(struct netwatch *nw, const uint64_t *at, int n, uint64_t body, int *err)
{
	uint32_t size = (uint32_t)net_off(nw, LAYOUT_HTTP_RESPONSE_SIZE),
		 *piece = calloc((size_t)n, sizeof(*piece));
	int32_t field = net_off(nw, LAYOUT_HTTP_RESPONSE_BODY);
	struct way *way = calloc((size_t)n, sizeof(*way));
	int found = -1;

	*err = piece && way ? 0 : -ENOMEM;
	readbatch_reset(&nw->batch);
	for (int i = 0; !*err && i < n; i++)
		piece[i] = at[i] % 8 || at[i] == body ? READBATCH_NONE
						      : readbatch_add(&nw->batch, at[i], size);
	if (!*err)
		*err = readbatch_read(&nw->batch, nw->rt->mem);
	for (int i = 0; !*err && i < n; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, piece[i]);

		way[i].body = body;
		/* an object that is smaller than a response has a neighbour's words there */
		if (b && gotypes_of_itab(nw->types, load_u64(b + field)))
			way[i].inner = load_u64(b + field + 8);
	}
	if (!*err)
		*err = follow_ways(nw, way, (size_t)n);
	for (int i = 0; !*err && i < n; i++)
		if (way[i].leads &&
		    (found < 0 || (way[i].inner == body && way[found].inner != body)))
			found = i;
	free(piece);
	free(way);
	return found;
}

/*
 * Where the compiler has readLoop keep them: the same word of every such frame.
 * In 1.18 to 1.27 the bodyEOFSignal is always there: a frame without one is of
 * a body that was collected, and whose memory has been used again.
 */
static int learn_slots(struct netwatch *nw, const struct seek *k)
{
	uint64_t at[NETSTACK_MAX_FRAME / 8], chan;
	int n = (int)(k->len / 8), err, i;

	for (i = 0; i < n; i++)
		at[i] = load_u64(k->frame + 8 * i);
	if (nw->body_slot < 0) {
		i = find_body(nw, k, at, n, &chan, &err);
		if (!err && i < 0)
			nw->cur.conn[k->conn].body_lost =
				k->nchan > 0 && !nw->rt->gb->layout_is_newer;
		if (err || i < 0)
			return err;
		nw->body_slot = 8 * i;
	}
	i = find_response(nw, at, n, at[nw->body_slot / 8], &err);
	if (i >= 0)
		nw->response_slot = 8 * i;
	return err;
}

/* The connections that wait for the end of a body, with what they wait on. */
static int gather_seeks(struct netwatch *nw, const struct gowalk *w, struct seek *seek, size_t *n)
{
	struct net_look *l = &nw->cur;
	uint64_t(*chan)[MAX_CHAIN] = calloc(l->nconn + 1, sizeof(*chan));
	uint32_t *walk = calloc(l->nconn + 1, sizeof(*walk));
	int *nchan = calloc(l->nconn + 1, sizeof(*nchan)),
	    err = chan && walk && nchan ? 0 : -ENOMEM;

	*n = 0;
	for (size_t i = 0; !err && i < l->nconn; i++) {
		const struct net_conn *c = &l->conn[i];

		if (c->h2 || c->dead || !c->awaits_body)
			continue;
		walk[*n] = c->walk;
		seek[*n] = (struct seek){ .conn = (uint32_t)i,
					  .stack_lo = w->g[c->walk].stack_lo,
					  .stack_hi = w->g[c->walk].stack_hi };
		if (c->frame != NET_NO_FRAME) {
			seek[*n].frame = nw->players.frame + c->frame;
			seek[*n].len = (size_t)nw->stacks.stack[c->stack].loop_size;
		}
		++*n;
	}
	if (!err && *n)
		err = read_chans(nw, w, walk, *n, chan, nchan);
	for (size_t i = 0; !err && i < *n; i++) {
		memcpy(seek[i].chan, chan[i], sizeof(chan[i]));
		seek[i].nchan = nchan[i];
	}
	free(chan);
	free(walk);
	free(nchan);
	return err;
}

static int read_closechs(struct netwatch *nw, struct seek *seek, size_t n)
{
	uint32_t *piece = calloc(n + 1, sizeof(*piece));
	int err = piece ? 0 : -ENOMEM;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < n; i++)
		piece[i] = readbatch_add(&nw->batch,
					 nw->cur.conn[seek[i].conn].addr +
						 (uint64_t)net_off(nw,
								   LAYOUT_HTTP_PERSISTCONN_CLOSECH),
					 8);
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, piece[i]);

		seek[i].closech = b ? load_u64(b) : 0;
	}
	free(piece);
	return err;
}

/* A body and its response where readLoop keeps them, while they are checked. */
struct body_read {
	uint32_t body, response, closure; /* pieces */
	uint64_t closure_addr, itab;      /* of what the response has as its Body */
};

static void take_body(struct netwatch *nw, struct net_conn *c, struct body_read *p, struct way *way)
{
	int32_t at = net_off(nw, LAYOUT_HTTP_RESPONSE_BODY);
	const uint8_t *b = readbatch_get(&nw->batch, p->body),
		      *r = readbatch_get(&nw->batch, p->response);

	p->closure_addr = b ? load_u64(b + net_off(nw, LAYOUT_HTTP_BODYEOFSIGNAL_EARLYCLOSEFN)) : 0;
	if (b && b[net_off(nw, LAYOUT_HTTP_BODYEOFSIGNAL_CLOSED)] == 1)
		c->closed = true; /* its loop is about to hear of it */
	c->body_request = r ? load_u64(r + net_off(nw, LAYOUT_HTTP_RESPONSE_REQUEST)) : 0;
	p->itab = r ? load_u64(r + at) : 0;
	*way = (struct way){ .inner = r ? load_u64(r + at + 8) : 0, .body = c->body };
}

/*
 * A response that is collected before its body may be another's by now: then
 * its request says nothing of this body, and whoever holds it does not hold
 * this body.  One whose body the program has replaced may still be it.
 */
static void check_response(struct netwatch *nw, struct net_conn *c, uint64_t itab)
{
	const char *type = gotypes_of_itab(nw->types, itab);

	c->body_request = 0;
	if (!type || !strncmp(type, "*http.", 6) || !strncmp(type, "http.", 5))
		c->response = 0;
}

/* Bodies and responses at the words where readLoop keeps them, checked. */
static int read_bodies(struct netwatch *nw, const struct seek *seek, size_t n)
{
	uint32_t size = (uint32_t)net_off(nw, LAYOUT_HTTP_BODYEOFSIGNAL_SIZE);
	uint32_t rsize = (uint32_t)net_off(nw, LAYOUT_HTTP_RESPONSE_SIZE);
	struct body_read *p = calloc(n + 1, sizeof(*p));
	struct way *way = calloc(n + 1, sizeof(*way));
	int err = p && way ? 0 : -ENOMEM;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < n; i++) {
		struct net_conn *c = &nw->cur.conn[seek[i].conn];

		p[i].body = p[i].response = READBATCH_NONE;
		if (!seek[i].frame || (size_t)nw->body_slot + 8 > seek[i].len)
			continue;
		c->body = load_u64(seek[i].frame + nw->body_slot);
		p[i].body = readbatch_add(&nw->batch, c->body, size);
		if (nw->response_slot >= 0)
			c->response = load_u64(seek[i].frame + nw->response_slot);
		p[i].response = readbatch_add(&nw->batch, c->response, rsize);
	}
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++)
		take_body(nw, &nw->cur.conn[seek[i].conn], &p[i], &way[i]);
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < n; i++)
		p[i].closure = readbatch_add(&nw->batch, p[i].closure_addr, CLOSURE_BYTES);
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < n; i++) {
		struct net_conn *c = &nw->cur.conn[seek[i].conn];

		c->wait_chan = closure_chan(nw, readbatch_get(&nw->batch, p[i].closure),
					    seek[i].chan, seek[i].nchan, seek[i].closech);
		if (c->wait_chan)
			continue;
		/* something else is there by now: nobody can have had the body any more */
		c->body_lost = seek[i].frame && seek[i].nchan > 0;
		c->closed = !c->body_lost && c->closed;
		c->body = c->response = c->body_request = 0;
	}
	if (!err)
		err = follow_ways(nw, way, n);
	for (size_t i = 0; !err && i < n; i++)
		if (!way[i].leads)
			check_response(nw, &nw->cur.conn[seek[i].conn], p[i].itab);
	free(p);
	free(way);
	return err;
}

static int find_bodies(struct netwatch *nw, const struct gowalk *w)
{
	struct seek *seek = calloc(nw->cur.nconn + 1, sizeof(*seek));
	int err = seek ? 0 : -ENOMEM, tries = 0;
	size_t n = 0;

	if (!err)
		err = gather_seeks(nw, w, seek, &n);
	if (!err && n)
		err = read_closechs(nw, seek, n);
	for (size_t i = 0;
	     !err && i < n && (nw->body_slot < 0 || nw->response_slot < 0) && tries < LEARN_TRIES;
	     i++)
		if (seek[i].frame && seek[i].len <= NETSTACK_MAX_FRAME) {
			err = learn_slots(nw, &seek[i]);
			tries++;
		}
	if (!err && n && nw->body_slot >= 0)
		err = read_bodies(nw, seek, n);
	free(seek);
	return err;
}

/* ---- HTTP/2 ---- */

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

static int read_streams(struct netwatch *nw)
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
			err = ADD(l, stream, s);
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

static int read_h2conns(struct netwatch *nw)
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

/* ---- transports, dials ---- */

static int read_transports(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int32_t idle = net_off(nw, LAYOUT_HTTP_TRANSPORT_MAXIDLECONNSPERHOST);
	int32_t most = net_off(nw, LAYOUT_HTTP_TRANSPORT_MAXCONNSPERHOST);
	uint32_t(*piece)[2] = calloc(l->ntransport + 1, sizeof(*piece));
	int err = piece ? 0 : -ENOMEM;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->ntransport; i++) {
		piece[i][0] = readbatch_add(&nw->batch, l->transport[i].addr + (uint64_t)idle, 8);
		piece[i][1] = readbatch_add(&nw->batch, l->transport[i].addr + (uint64_t)most, 8);
	}
	if (!err)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->ntransport; i++) {
		const uint8_t *a = readbatch_get(&nw->batch, piece[i][0]),
			      *b = readbatch_get(&nw->batch, piece[i][1]);
		struct net_transport *t = &l->transport[i];

		if (!a || !b)
			continue;
		t->known = true;
		t->max_idle_per_host = (int64_t)load_u64(a);
		t->max_per_host = (int64_t)load_u64(b);
		if (t->max_idle_per_host == 0)
			t->max_idle_per_host = 2; /* http.DefaultMaxIdleConnsPerHost */
	}
	free(piece);
	return err;
}

/* Where the result of each dial is told: a wantConn's channel. */
static int read_dials(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int32_t off = net_off(nw, LAYOUT_HTTP_WANTCONN_RESULT);
	uint32_t *piece = calloc(l->ndial + 1, sizeof(*piece));
	int err = piece ? 0 : -ENOMEM;

	if (off < 0) /* up to 1.22 */
		off = net_off(nw, LAYOUT_HTTP_WANTCONN_READY);
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && off >= 0 && i < l->ndial; i++)
		piece[i] = l->dial[i].want
				   ? readbatch_add(&nw->batch, l->dial[i].want + (uint64_t)off, 8)
				   : READBATCH_NONE;
	if (!err && off >= 0)
		err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && off >= 0 && i < l->ndial; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, piece[i]);

		l->dial[i].chan = b ? load_u64(b) : 0;
	}
	free(piece);
	return err;
}

/* Channels of the flights that wait for a connection or for an HTTP/2 response. */
static int read_flight_chans(struct netwatch *nw, const struct gowalk *w)
{
	struct net_look *l = &nw->cur;
	uint64_t(*chan)[MAX_CHAIN] = calloc(l->nflight + 1, sizeof(*chan));
	uint32_t *walk = calloc(l->nflight + 1, sizeof(*walk)),
		 *of = calloc(l->nflight + 1, sizeof(*of));
	int *nchan = calloc(l->nflight + 1, sizeof(*nchan)),
	    err = chan && walk && of && nchan ? 0 : -ENOMEM;
	size_t n = 0;

	for (size_t i = 0; !err && i < l->nflight; i++) {
		enum net_stage stage = nw->stacks.stack[l->flight[i].stack].stage;

		if (stage != NETSTAGE_GETCONN && stage != NETSTAGE_HTTP2)
			continue;
		of[n] = (uint32_t)i;
		walk[n++] = l->flight[i].walk;
	}
	if (!err && n)
		err = read_chans(nw, w, walk, n, chan, nchan);
	for (size_t i = 0; !err && i < n; i++) {
		memcpy(l->flight[of[i]].chan, chan[i], sizeof(chan[i]));
		l->flight[of[i]].nchan = nchan[i];
	}
	free(chan);
	free(walk);
	free(of);
	free(nchan);
	return err;
}

/* ---- phases ---- */

static const struct net_transport *transport_of(const struct net_look *l, uint64_t addr)
{
	uint64_t *at = u64map_find(&l->transport_at, addr);

	return at ? &l->transport[*at] : NULL;
}

static void phase_of_wait(struct net_look *l, struct net_flight *f, const struct u64map *dials)
{
	const struct net_transport *t = transport_of(l, f->transport);

	for (int k = 0; k < f->nchan; k++) {
		uint64_t *at = u64map_find(dials, f->chan[k]);

		if (!at)
			continue;
		f->phase = l->dial[*at].phase;
		return;
	}
	/* nobody dials for it: it is queued, if there is something to queue for */
	if (f->nchan && t && t->max_per_host > 0)
		f->phase = NET_POOL_WAIT;
}

static void phase_of_stream(struct net_look *l, struct net_flight *f, const struct u64map *streams)
{
	f->phase = NET_TTFB;
	for (int k = 0; k < f->nchan; k++) {
		uint64_t *at = u64map_find(streams, f->chan[k]);

		if (!at)
			continue;
		f->phase = l->stream[*at].sent ? NET_TTFB : NET_REQUEST_WRITE;
		f->conn = l->stream[*at].addr;
		return;
	}
}

static int find_phases(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct u64map dials, streams;

	u64map_init(&dials, NET_MAX_FLIGHTS);
	u64map_init(&streams, NET_MAX_FLIGHTS);
	for (size_t i = 0; i < l->ndial; i++)
		if (l->dial[i].chan)
			u64map_put(&dials, l->dial[i].chan, i, NULL);
	for (size_t i = 0; i < l->nstream; i++)
		if (l->stream[i].chan)
			u64map_put(&streams, l->stream[i].chan, i, NULL);
	for (size_t i = 0; i < l->nflight; i++) {
		struct net_flight *f = &l->flight[i];
		enum net_stage stage = nw->stacks.stack[f->stack].stage;
		uint64_t *writes;

		if (f->phase >= 0)
			continue;
		if (stage == NETSTAGE_GETCONN) {
			phase_of_wait(l, f, &dials);
		} else if (stage == NETSTAGE_HTTP2) {
			phase_of_stream(l, f, &streams);
		} else if (stage == NETSTAGE_HTTP1) {
			/* a writer that was not seen at rest runs: it writes */
			writes = u64map_find(&l->writer, f->conn);
			f->phase = !writes || *writes ? NET_REQUEST_WRITE : NET_TTFB;
		}
	}
	u64map_deinit(&dials);
	u64map_deinit(&streams);
	return 0;
}

/* ---- servers, gRPC ---- */

static void take_pattern(struct net_serving *s, const uint8_t *text, uint32_t len)
{
	uint32_t n = 0;

	for (; text && n < len && n < sizeof(s->pattern) - 1; n++)
		s->pattern[n] = (char)(text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?');
	s->pattern[n] = '\0';
}

/* One connection of a server while it is read. */
struct serving_read {
	uint32_t conn, request, text, len;
	uint64_t response, at;
};

/* Up to 1.19 an idle connection waits for the next request where it reads it; since
 * then it is there only when the first bytes have come (net/http/server.go, serve). */
static bool is_idle(const struct netwatch *nw, const uint8_t *conn)
{
	int32_t state = net_off(nw, LAYOUT_HTTP_CONN_CURSTATE);

	return nw->rt->gb->release.minor < 20 && state >= 0 && conn[state] == STATE_IDLE;
}

/* conn -> its Server and the response it is at, whose request was read before when it is the same. */
static int read_server_conns(struct netwatch *nw, struct serving_read *p)
{
	struct net_look *l = &nw->cur;
	int32_t cur = net_off(nw, LAYOUT_HTTP_CONN_CURREQ);
	int err;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < l->nserving; i++)
		p[i].conn = readbatch_add(&nw->batch, l->serving[i].conn,
					  (uint32_t)net_off(nw, LAYOUT_HTTP_CONN_SIZE));
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nserving; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, p[i].conn);
		struct net_serving *s = &l->serving[i];
		uint64_t *at = u64map_find(&nw->prev.serving_at, s->goid);
		const struct net_serving *was = at ? &nw->prev.serving[*at] : NULL;

		s->server = b ? load_u64(b + net_off(nw, LAYOUT_HTTP_CONN_SERVER)) : 0;
		s->response = b && cur >= 0 ? load_u64(b + cur) : 0;
		if (b && is_idle(nw, b))
			s->reading_request = false;
		s->same = was && was->conn == s->conn && was->response == s->response &&
			  s->response && was->reading_request == s->reading_request;
		if (s->same)
			memcpy(s->pattern, was->pattern, sizeof(s->pattern));
		else
			p[i].response = s->response;
	}
	return err;
}

/* response -> Request -> Pattern, which the mux has set. */
static int read_patterns(struct netwatch *nw, struct serving_read *p)
{
	struct net_look *l = &nw->cur;
	int32_t pattern = net_off(nw, LAYOUT_HTTP_REQUEST_PATTERN);
	int err;

	if (pattern < 0) /* up to 1.22 */
		return 0;
	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < l->nserving; i++)
		p[i].request =
			!p[i].response
				? READBATCH_NONE
				: readbatch_add(&nw->batch,
						p[i].response +
							(uint64_t)net_off(
								nw, LAYOUT_HTTP_SRVRESPONSE_REQ),
						8);
	err = readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nserving; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, p[i].request);

		p[i].at = b ? load_u64(b) : 0;
	}
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->nserving; i++)
		p[i].request = p[i].at ? readbatch_add(&nw->batch, p[i].at + (uint64_t)pattern, 16)
				       : READBATCH_NONE;
	err = err ? err : readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nserving; i++) {
		const uint8_t *b = readbatch_get(&nw->batch, p[i].request);

		p[i].at = b ? load_u64(b) : 0;
		p[i].len = b && load_u64(b + 8) < MAX_PATTERN ? (uint32_t)load_u64(b + 8) : 0;
	}
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->nserving; i++)
		p[i].text =
			p[i].len ? readbatch_add(&nw->batch, p[i].at, p[i].len) : READBATCH_NONE;
	err = err ? err : readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->nserving; i++)
		if (p[i].text != READBATCH_NONE)
			take_pattern(&l->serving[i], readbatch_get(&nw->batch, p[i].text),
				     p[i].len);
	return err;
}

/* The limits of each Server, read once. */
static int read_server_limits(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	int32_t read_t = net_off(nw, LAYOUT_HTTP_SERVER_READTIMEOUT),
		head_t = net_off(nw, LAYOUT_HTTP_SERVER_READHEADERTIMEOUT);
	struct u64map limits; /* server -> piece, then whether it has none */
	uint64_t key, *value;
	size_t pos = 0;
	int err;

	u64map_init(&limits, NET_MAX_CONNS);
	readbatch_reset(&nw->batch);
	for (size_t i = 0; i < l->nserving; i++) {
		uint64_t *at;
		bool made;

		at = u64map_put(&limits, l->serving[i].server, 0, &made);
		if (at && made)
			*at = readbatch_add(&nw->batch, l->serving[i].server,
					    (uint32_t)net_off(nw, LAYOUT_HTTP_SERVER_SIZE));
	}
	err = readbatch_read(&nw->batch, nw->rt->mem);
	while (!err && u64map_next(&limits, &pos, &key, &value)) {
		const uint8_t *b = readbatch_get(&nw->batch, (uint32_t)*value);

		*value = b && !load_u64(b + read_t) && !load_u64(b + head_t);
	}
	for (size_t i = 0; !err && i < l->nserving; i++) {
		uint64_t *at = u64map_find(&limits, l->serving[i].server);

		l->serving[i].no_read_timeout = at && *at == 1;
	}
	u64map_deinit(&limits);
	return err;
}

static int read_servings(struct netwatch *nw)
{
	struct serving_read *p = calloc(nw->cur.nserving + 1, sizeof(*p));
	int err = p ? read_server_conns(nw, p) : -ENOMEM;

	if (!err)
		err = read_patterns(nw, p);
	if (!err)
		err = read_server_limits(nw);
	free(p);
	return err;
}

/* Since when a goroutine is in what it does, as far as we have seen. */
static void date_servings(struct netwatch *nw, const struct gowalk *w, struct trace *trace)
{
	struct net_look *l = &nw->cur;

	for (size_t i = 0; i < l->nserving; i++) {
		struct net_serving *s = &l->serving[i];
		uint64_t *at = u64map_find(&nw->prev.serving_at, s->goid), since;
		const struct net_serving *p = at ? &nw->prev.serving[*at] : NULL;
		struct trace_open open;
		bool handles = nw->stacks.stack[s->stack].in_handler;

		s->start_ns = l->now_ns;
		s->age = AGE_AT_LEAST;
		if (handles && trace && trace_open_find(trace, OPEN_HANDLER, s->g, &open) &&
		    open.goid == s->goid) {
			s->start_ns = open.start_ns;
			s->age = AGE_EXACT;
			continue;
		}
		/* one goroutine takes one request after the other: the same is the one of the same response */
		if (p &&
		    (s->same || (s->reading_request && p->reading_request && p->conn == s->conn)))
			s->start_ns = p->start_ns;
		since = net_waitsince_ns(nw, &w->g[s->walk], l->now_ns);
		if (since && since < s->start_ns)
			s->start_ns = since;
	}
}

static void set_method(struct net_gcall *c, const uint8_t *text, uint32_t n)
{
	for (uint32_t k = 0; k < n && k < sizeof(c->method) - 1; k++)
		c->method[k] = (char)(text[k] > ' ' && text[k] < 0x7f ? text[k] : '?');
}

static int read_gcalls(struct netwatch *nw, const struct gowalk *w, struct trace *trace)
{
	struct net_look *l = &nw->cur;
	struct {
		uint32_t ptr, len, text;
		uint32_t n;
	} *p = calloc(l->ngcall + 1, sizeof(*p));
	int err = p ? 0 : -ENOMEM;

	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->ngcall; i++) {
		const struct netstack *s = &nw->stacks.stack[l->gcall[i].stack];
		uint64_t pc, sp;

		p[i].ptr = p[i].len = READBATCH_NONE;
		if (s->slot[NETSLOT_METHOD] == NETSLOT_NONE ||
		    s->slot[NETSLOT_METHOD_LEN] == NETSLOT_NONE ||
		    !gostack_start(&w->g[l->gcall[i].walk], &pc, &sp))
			continue;
		p[i].ptr = readbatch_add(&nw->batch,
					 sp + (uint64_t)(int64_t)s->slot[NETSLOT_METHOD], 8);
		p[i].len = readbatch_add(&nw->batch,
					 sp + (uint64_t)(int64_t)s->slot[NETSLOT_METHOD_LEN], 8);
	}
	err = err ? err : readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->ngcall; i++) {
		const uint8_t *a = readbatch_get(&nw->batch, p[i].ptr),
			      *b = readbatch_get(&nw->batch, p[i].len);

		p[i].n = a && b && load_u64(b) < 4096 ? (uint32_t)load_u64(b) : 0;
		l->gcall[i].start_ns = a ? load_u64(a) : 0; /* until the next stage */
	}
	readbatch_reset(&nw->batch);
	for (size_t i = 0; !err && i < l->ngcall; i++)
		p[i].text = p[i].n ? readbatch_add(&nw->batch, l->gcall[i].start_ns, p[i].n)
				   : READBATCH_NONE;
	err = err ? err : readbatch_read(&nw->batch, nw->rt->mem);
	for (size_t i = 0; !err && i < l->ngcall; i++) {
		const uint8_t *t = readbatch_get(&nw->batch, p[i].text);
		struct net_gcall *c = &l->gcall[i];
		uint64_t *at = u64map_find(&nw->prev.gcall_at, c->goid);
		struct trace_open open;

		set_method(c, t, t ? p[i].n : 0);
		c->start_ns = l->now_ns;
		c->age = AGE_AT_LEAST;
		if (trace && trace_open_find(trace, OPEN_GRPC, c->g, &open) &&
		    open.goid == c->goid) {
			c->start_ns = open.start_ns;
			c->age = AGE_EXACT;
			if (!t && open.text)
				set_method(c, (const uint8_t *)open.text,
					   (uint32_t)strlen(open.text));
		} else if (at && nw->prev.gcall[*at].stack == c->stack &&
			   !strcmp(nw->prev.gcall[*at].method, c->method)) {
			c->start_ns = nw->prev.gcall[*at].start_ns;
		}
	}
	free(p);
	return err;
}

/* ---- joins ---- */

/* Who reads the body of which connection, and which request each has. */
static int join_conns(struct netwatch *nw)
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
static void date_conns(struct netwatch *nw)
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

static int read_structures(struct netwatch *nw, const struct gowalk *w, struct trace *trace)
{
	struct net_look *l = &nw->cur;
	int err = read_conns(nw);

	for (size_t i = 0; !err && i < l->nflight; i++)
		err = add_transport(l, l->flight[i].transport);
	if (!err)
		err = find_bodies(nw, w);
	if (!err)
		err = read_streams(nw);
	if (!err)
		err = read_h2conns(nw);
	if (!err)
		err = neth2_name(nw);
	if (!err)
		err = read_transports(nw);
	if (!err)
		err = read_dials(nw);
	if (!err)
		err = read_flight_chans(nw, w);
	if (!err)
		err = find_phases(nw);
	if (!err)
		err = read_servings(nw);
	if (!err)
		err = read_gcalls(nw, w, trace);
	if (!err)
		err = join_conns(nw);
	if (!err) {
		date_conns(nw);
		date_servings(nw, w, trace);
	}
	return err;
}

int netlook_take(struct netwatch *nw, const struct gowalk *w, const struct gostacks *gs,
		 struct trace *trace, uint64_t now_ns)
{
	struct net_look t = nw->prev;
	int err = classify(nw, gs);

	nw->prev = nw->cur;
	nw->cur = t;
	begin(&nw->cur, now_ns);
	if (!err)
		err = check_players(nw, w);
	if (!err)
		err = take_players(nw, w);
	if (!err)
		err = read_structures(nw, w, trace);
	return err;
}
