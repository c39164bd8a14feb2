/* SPDX-License-Identifier: BSD-2-Clause */
/* The body that a connection waits for: where readLoop keeps it, and who made it. */
#include "net/priv.h"

#define CLOSURE_BYTES 48
#define WRAPPER_WORDS 4  /* of a reader that reads from a body, looked through for it */
#define LEARN_TRIES   64 /* frames searched in one look for where readLoop keeps its body */
#define MAX_WORDS     (NETSTACK_MAX_FRAME / 8)

/* A connection whose body is searched for: in the words of its readLoop's frame. */
struct search {
	struct net_wait wait; /* first: they are read at once */
	struct net_conn *c;
	uint64_t closech;
	uint64_t stack_lo, stack_hi;
	const uint8_t *frame;
	size_t len;
};

/* A closure of readLoop that knows one of the channels it waits on: that channel; 0. */
static uint64_t closure_chan(struct netwatch *nw, const uint8_t *b, const struct search *k)
{
	static const char outer[] = "net/http.(*persistConn).readLoop.";
	struct gofunc fn;

	if (!b || pclntab_find_pc(nw->rt->gb->pcln, load_u64(b) - nw->rt->bias, &fn) ||
	    strncmp(fn.name, outer, sizeof(outer) - 1))
		return 0;
	for (size_t at = 8; at + 8 <= CLOSURE_BYTES; at += 8)
		for (int i = 0; i < k->wait.n; i++)
			if (load_u64(b + at) == k->wait.chan[i] && k->wait.chan[i] != k->closech)
				return k->wait.chan[i];
	return 0;
}

/* ---- from a response to its body ---- */

/* From what a Response has as its Body to the bodyEOFSignal that it was made with. */
struct lead {
	struct readpiece next; /* first: net_ask_next() */
	uint64_t inner, body;
	uint64_t word[WRAPPER_WORDS]; /* of the reader at inner */
	bool leads;
};

static struct readpiece reader_at(uint64_t addr)
{
	return (struct readpiece){ addr, addr % 8 ? 0 : 8 * WRAPPER_WORDS };
}

/* Whether a reader reads from a body; the reader's words. */
static bool reads_from(const uint8_t *b, uint64_t body, uint64_t word[WRAPPER_WORDS])
{
	bool leads = false;

	for (int i = 0; i < WRAPPER_WORDS; i++) {
		word[i] = b ? load_u64(b + 8 * i) : 0;
		leads = leads || (b && word[i] == body);
	}
	return leads;
}

static void ask_reader(void *owner, void *item, struct readpiece *piece)
{
	struct lead *v = item;

	(void)owner;
	v->leads = v->inner == v->body;
	if (!v->leads)
		*piece = reader_at(v->inner);
}

static void take_reader(void *owner, void *item, const uint8_t *const *bytes)
{
	struct lead *v = item;

	(void)owner;
	v->leads = reads_from(bytes[0], v->body, v->word);
}

static void ask_inner_readers(void *owner, void *item, struct readpiece *piece)
{
	const struct lead *v = item;

	(void)owner;
	for (int k = 0; !v->leads && k < WRAPPER_WORDS; k++)
		piece[k] = reader_at(v->word[k]);
}

static void take_inner_readers(void *owner, void *item, const uint8_t *const *bytes)
{
	struct lead *v = item;
	uint64_t word[WRAPPER_WORDS];

	(void)owner;
	for (int k = 0; !v->leads && k < WRAPPER_WORDS; k++)
		v->leads = reads_from(bytes[k], v->body, word);
}

/* Which of them lead to their body, over two readers at most: http.cancelTimerBody
 * (the client has a Timeout) reads from http.gzipReader. */
static int follow_readers(struct netwatch *nw, struct lead *lead, size_t n)
{
	return NET_STAGES(nw, lead, n, { ask_reader, take_reader },
			  { ask_inner_readers, take_inner_readers });
}

/* ---- where readLoop keeps them ---- */

/* A word of the frame that may be the bodyEOFSignal. */
struct candidate {
	struct readpiece next; /* first: net_ask_next() */
	const struct search *search;
	uint64_t chan;
};

static struct readpiece closure_at(uint64_t addr)
{
	return (struct readpiece){ addr, addr % 8 ? 0 : CLOSURE_BYTES };
}

static void take_body(void *owner, void *item, const uint8_t *const *bytes)
{
	struct candidate *c = item;

	c->next = closure_at(
		bytes[0] ? net_u64(owner, bytes[0], LAYOUT_HTTP_BODYEOFSIGNAL_EARLYCLOSEFN) : 0);
}

static void take_closure(void *owner, void *item, const uint8_t *const *bytes)
{
	struct candidate *c = item;

	c->chan = closure_chan(owner, bytes[0], c->search);
}

/* Of n words the first that points to a bodyEOFSignal of this loop: *found is its index, or -1. */
static int find_body(struct netwatch *nw, const struct search *k, const uint64_t *at, size_t n,
		     int *found)
{
	struct candidate c[MAX_WORDS];
	int err;

	for (size_t i = 0; i < n; i++) {
		c[i] = (struct candidate){ .search = k };
		/* its own stack has pointers to closures, too */
		if (at[i] % 8 == 0 && (at[i] < k->stack_lo || at[i] >= k->stack_hi))
			c[i].next = net_whole(nw, at[i], LAYOUT_HTTP_BODYEOFSIGNAL_SIZE);
	}
	*found = -1;
	err = NET_STAGES(nw, c, n, { net_ask_next, take_body }, { net_ask_next, take_closure });
	for (size_t i = 0; i < n && !err && *found < 0; i++)
		if (c[i].chan)
			*found = (int)i;
	return err;
}

static void take_response(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct netwatch *nw = owner;
	int32_t field = net_off(nw, LAYOUT_HTTP_RESPONSE_BODY);
	struct lead *v = item;

	/* an object that is smaller than a response has a neighbour's words there */
	if (bytes[0] && gotypes_of_itab(nw->types, load_u64(bytes[0] + field)))
		v->inner = load_u64(bytes[0] + field + 8);
}

/* Of n words one that is a Response with this body, rather one that has it directly. */
static int find_response(struct netwatch *nw, const uint64_t *at, size_t n, uint64_t body,
			 int *found)
{
	struct lead v[MAX_WORDS];
	int err;

	for (size_t i = 0; i < n; i++) {
		v[i] = (struct lead){ .body = body };
		if (at[i] % 8 == 0 && at[i] != body)
			v[i].next = net_whole(nw, at[i], LAYOUT_HTTP_RESPONSE_SIZE);
	}
	*found = -1;
	err = NET_STAGES(nw, v, n, { net_ask_next, take_response });
	if (!err)
		err = follow_readers(nw, v, n);
	for (size_t i = 0; !err && i < n; i++)
		if (v[i].leads && (*found < 0 || (v[i].inner == body && v[*found].inner != body)))
			*found = (int)i;
	return err;
}

/*
 * Where the compiler has readLoop keep them: the same word of every such frame.
 * In 1.18 to 1.27 the bodyEOFSignal is always there: a frame without one is of
 * a body that was collected, and whose memory has been used again.
 */
static int learn_slots(struct netwatch *nw, const struct search *k)
{
	uint64_t at[MAX_WORDS];
	size_t n = k->len / 8;
	int err, found;

	for (size_t i = 0; i < n; i++)
		at[i] = load_u64(k->frame + 8 * i);
	if (nw->body_slot < 0) {
		err = find_body(nw, k, at, n, &found);
		if (!err && found < 0)
			k->c->body_lost = k->wait.n > 0 && !nw->rt->gb->layout_is_newer;
		if (err || found < 0)
			return err;
		nw->body_slot = 8 * found;
	}
	err = find_response(nw, at, n, at[nw->body_slot / 8], &found);
	if (!err && found >= 0)
		nw->response_slot = 8 * found;
	return err;
}

/* ---- the bodies that are waited for ---- */

/* The connections that wait for the end of a body. */
static size_t gather_searches(struct netwatch *nw, struct search *search)
{
	const struct goroutine *g = nw->look->walk->g;
	struct net_look *l = &nw->cur;
	size_t n = 0;

	for (size_t i = 0; i < l->nconn; i++) {
		struct net_conn *c = &l->conn[i];

		if (c->h2 || c->dead || !c->awaits_body)
			continue;
		search[n] = (struct search){ .wait = { g[c->walk].addr, g[c->walk].waiting },
					     .c = c,
					     .stack_lo = g[c->walk].stack_lo,
					     .stack_hi = g[c->walk].stack_hi };
		if (c->frame != NET_NO_FRAME) {
			search[n].frame = nw->users.frame + c->frame;
			search[n].len = (size_t)nw->stacks.stack[c->stack].loop_size;
		}
		n++;
	}
	return n;
}

static void ask_closech(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct search *k = item;

	*piece = net_part(nw, k->c->addr, LAYOUT_HTTP_PERSISTCONN_CLOSECH, 8);
}

static void take_closech(void *owner, void *item, const uint8_t *const *bytes)
{
	struct search *k = item;

	(void)owner;
	k->closech = bytes[0] ? load_u64(bytes[0]) : 0;
}

/* A body and its response where readLoop keeps them, while they are checked. */
struct body_read {
	struct readpiece next; /* first: net_ask_next() */
	const struct search *search;
	struct lead *lead;
	uint64_t itab; /* itab: of what the response has as its Body */
};

static void ask_pair(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct body_read *p = item;
	const struct search *k = p->search;
	struct net_conn *c = k->c;

	if (!k->frame || (size_t)nw->body_slot + 8 > k->len)
		return;
	c->body = load_u64(k->frame + nw->body_slot);
	if (nw->response_slot >= 0)
		c->response = load_u64(k->frame + nw->response_slot);
	piece[0] = net_whole(nw, c->body, LAYOUT_HTTP_BODYEOFSIGNAL_SIZE);
	piece[1] = net_whole(nw, c->response, LAYOUT_HTTP_RESPONSE_SIZE);
}

static void take_pair(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct netwatch *nw = owner;
	int32_t at = net_off(nw, LAYOUT_HTTP_RESPONSE_BODY);
	const uint8_t *b = bytes[0], *r = bytes[1];
	struct body_read *p = item;
	struct net_conn *c = p->search->c;

	p->next = closure_at(b ? net_u64(nw, b, LAYOUT_HTTP_BODYEOFSIGNAL_EARLYCLOSEFN) : 0);
	if (b && b[net_off(nw, LAYOUT_HTTP_BODYEOFSIGNAL_CLOSED)] == 1)
		c->closed = true; /* its loop is about to see that */
	c->body_request = r ? net_u64(nw, r, LAYOUT_HTTP_RESPONSE_REQUEST) : 0;
	p->itab = r ? load_u64(r + at) : 0;
	*p->lead = (struct lead){ .inner = r ? load_u64(r + at + 8) : 0, .body = c->body };
}

static void take_body_closure(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct body_read *p = item;

	p->search->c->wait_chan = closure_chan(owner, bytes[0], p->search);
}

/* Something else is there by now: nobody can have had the body any more. */
static void lose_body(const struct search *k)
{
	struct net_conn *c = k->c;

	c->body_lost = k->frame && k->wait.n > 0;
	c->closed = !c->body_lost && c->closed;
	c->body = c->response = c->body_request = 0;
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
static int read_bodies(struct netwatch *nw, const struct search *search, size_t n)
{
	struct body_read *p = calloc(n + 1, sizeof(*p));
	struct lead *lead = calloc(n + 1, sizeof(*lead));
	int err = p && lead ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < n; i++)
		p[i] = (struct body_read){ .search = &search[i], .lead = &lead[i] };
	if (!err)
		err = NET_STAGES(nw, p, n, { ask_pair, take_pair },
				 { net_ask_next, take_body_closure });
	for (size_t i = 0; !err && i < n; i++)
		if (!search[i].c->wait_chan)
			lose_body(&search[i]);
	if (!err)
		err = follow_readers(nw, lead, n);
	for (size_t i = 0; !err && i < n; i++)
		if (!lead[i].leads)
			check_response(nw, search[i].c, p[i].itab);
	free(p);
	free(lead);
	return err;
}

int netbodies_find(struct netwatch *nw)
{
	struct search *search = calloc(nw->cur.nconn + 1, sizeof(*search));
	size_t n = search ? gather_searches(nw, search) : 0;
	int err = search ? 0 : -ENOMEM, tries = 0;

	if (!err)
		err = net_read_waits(nw, &search->wait, n, sizeof(*search));
	if (!err)
		err = NET_STAGES(nw, search, n, { ask_closech, take_closech });
	for (size_t i = 0;
	     !err && i < n && (nw->body_slot < 0 || nw->response_slot < 0) && tries < LEARN_TRIES;
	     i++)
		if (search[i].frame && search[i].len <= NETSTACK_MAX_FRAME) {
			err = learn_slots(nw, &search[i]);
			tries++;
		}
	if (!err && nw->body_slot >= 0)
		err = read_bodies(nw, search, n);
	free(search);
	return err;
}
