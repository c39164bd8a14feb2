/* SPDX-License-Identifier: BSD-2-Clause */
/* The body that a connection waits for: where readLoop keeps it, and who made it. */
#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

#define CLOSURE_BYTES 48
#define WRAPPER_WORDS 4  /* of a reader that reads from a body, looked through for it */
#define LEARN_TRIES   64 /* frames searched in one look for where readLoop keeps its body */

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
	uint64_t chan[NET_MAX_CHAN];
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
	uint64_t(*chan)[NET_MAX_CHAN] = calloc(l->nconn + 1, sizeof(*chan));
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
			seek[*n].frame = nw->users.frame + c->frame;
			seek[*n].len = (size_t)nw->stacks.stack[c->stack].loop_size;
		}
		++*n;
	}
	if (!err && *n)
		err = net_read_chans(nw, w, walk, *n, chan, nchan);
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

int netbodies_find(struct netwatch *nw, const struct gowalk *w)
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
