/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of gRPC clients. */
#include "net/request.h"

#include "base/clock.h"

#include "gort/gocontext.h"
#include "gort/gostack.h"
#include "trace/opens.h"

#define MAX_METHOD   4096 /* bytes; longer is no method */
#define STREAM_BYTES 256  /* of a clientStream that are searched */
#define LEAST_ITAB   4096 /* below are no addresses */
#define MAX_ASKED    2000 /* calls whose limits are read at one look */
#define OLD_NS       (NS_PER_S / 2)

/* A call while its method's name is read. */
struct grpc_read {
	struct readpiece next; /* first: net_ask_next() */
	struct net_gcall *c;
};

static void ask_string(void *owner, void *item, struct readpiece *piece)
{
	const struct netwatch *nw = owner;
	const struct grpc_read *p = item;
	const struct netstack *s = &nw->stacks.stack[p->c->stack];
	uint64_t pc, sp;

	if (s->slot[NETSLOT_METHOD] == NETSLOT_NONE ||
	    s->slot[NETSLOT_METHOD_LEN] == NETSLOT_NONE ||
	    !gostack_start(&nw->look->walk->g[p->c->walk], &pc, &sp))
		return;
	piece[0] = (struct readpiece){ sp + (uint64_t)(int64_t)s->slot[NETSLOT_METHOD], 8 };
	piece[1] = (struct readpiece){ sp + (uint64_t)(int64_t)s->slot[NETSLOT_METHOD_LEN], 8 };
}

static void take_string(void *owner, void *item, const uint8_t *const *bytes)
{
	struct grpc_read *p = item;
	uint64_t len = bytes[0] && bytes[1] ? load_u64(bytes[1]) : 0;

	(void)owner;
	if (len && len < MAX_METHOD)
		p->next = (struct readpiece){ load_u64(bytes[0]), (uint32_t)len };
}

void net_method_format(const char *text, size_t n, char out[NET_MAX_METHOD])
{
	size_t k;

	for (k = 0; k < n && k < NET_MAX_METHOD - 1; k++)
		out[k] = (char)(text[k] > ' ' && text[k] < 0x7f ? text[k] : '?');
	out[k] = '\0';
}

static void take_text(void *owner, void *item, const uint8_t *const *bytes)
{
	const struct grpc_read *p = item;

	(void)owner;
	if (bytes[0])
		net_method_format((const char *)bytes[0], p->next.len, p->c->method);
}

/* A stream's method: a CallHdr is the first it has, with a host and the method (stream.go). */
static void read_stream_method(struct netwatch *nw, struct net_gcall *c)
{
	char text[NET_MAX_METHOD];
	uint64_t hdr, at, len;

	if (mem_read_u64(nw->rt->mem, c->stream, &hdr) ||
	    mem_read_u64(nw->rt->mem, hdr + 16, &at) || mem_read_u64(nw->rt->mem, hdr + 24, &len) ||
	    !len || len >= sizeof(text) || mem_read(nw->rt->mem, at, text, len) || text[0] != '/')
		return;
	net_method_format(text, len, c->method);
}

/*
 * The context of a stream: the first interface in it that is one.  What stands before it in a
 * clientStream are pointers, codecs and compressors.
 */
static bool stream_context(struct netwatch *nw, uint64_t stream, uint64_t ctx[2])
{
	uint8_t b[STREAM_BYTES];

	if (mem_read(nw->rt->mem, stream, b, sizeof(b)))
		return false;
	for (size_t i = 0; i + 16 <= sizeof(b); i += 8) {
		uint64_t itab = load_u64(b + i);

		/* a small number, as the length of the call options, is none: 1 means a context
		 * inside of another to netcontext_kind() */
		if (itab < LEAST_ITAB || netcontext_kind(nw, itab) == CONTEXT_UNKNOWN)
			continue;
		ctx[0] = itab;
		ctx[1] = load_u64(b + i + 8);
		return true;
	}
	return false;
}

static enum known known(bool seen, bool whole)
{
	return seen ? KNOWN_YES : whole ? KNOWN_NO : UNKNOWN;
}

/*
 * What ends it beside its answer.  Interceptors and the service's configuration may add to what
 * the caller has set, and every stream has a cancellation of gRPC's own.
 */
static void read_limits(struct netwatch *nw, struct net_gcall *c)
{
	uint64_t inner[2] = { c->ctx[0], c->ctx[1] };
	int own = nw->stacks.stack[c->stack].grpc_at != NETGRPC_RESOLVE;
	struct gocontext_limits in, user;

	c->asked = true;
	c->conn = netpeers_of_stream(nw, c->stream);
	c->limits = (struct net_limits){ KNOWN_NO, UNKNOWN, UNKNOWN, 0 };
	if (!inner[0] && (!c->stream || !stream_context(nw, c->stream, inner)))
		return;
	in = gocontext_limits(nw->rt, nw->types, inner[0], inner[1]);
	c->limits.deadline = known(in.deadline, in.whole);
	user = gocontext_limits(nw->rt, nw->types, c->user_ctx[0], c->user_ctx[1]);
	c->limits.cancel = known(user.cancel || in.cancels > own, in.whole);
	if (user.deadline)
		c->limits.deadline = KNOWN_YES;
}

/* Whether it is the call that was seen at the look before: a goroutine may wake up in one, as
 * when a connection is tried again, and call the same again. */
static bool is_same(const struct netwatch *nw, const struct net_gcall *c, const struct net_gcall *p)
{
	if (!p || strcmp(p->method, c->method))
		return false;
	if (p->stop == c->stop)
		return true;
	if (nw->stacks.stack[c->stack].receives) /* the next message of the same stream */
		return false;
	return nw->same_heap && p->stream == c->stream && p->attempt == c->attempt &&
	       (c->stream || c->attempt);
}

/* Since when it is under way, as far as we have seen. */
static void date(struct netwatch *nw, struct net_gcall *c, size_t *asked)
{
	const struct net_gcall *before = NET_FIND(&nw->prev, gcall, gcall_at, c->goid);
	uint64_t since = net_parked_ns(nw, c->walk);
	struct trace_open open;

	c->start_ns = nw->cur.now_ns;
	c->age = AGE_AT_LEAST;
	if (is_same(nw, c, before)) {
		c->start_ns = before->start_ns;
		c->age = before->age;
		c->limits = before->limits;
		c->conn = before->conn;
		c->asked = before->asked;
	}
	if (!nw->stacks.stack[c->stack].receives &&
	    trace_opens_find(nw->look->opens, OPEN_GRPC, c->g, &open) && open.goid == c->goid) {
		c->start_ns = open.start_ns;
		c->age = AGE_EXACT;
		if (!c->method[0] && open.text)
			net_method_format(open.text, strlen(open.text), c->method);
	}
	if (c->age == AGE_AT_LEAST && since && since < c->start_ns)
		c->start_ns = since;
	if (!c->asked && nw->cur.now_ns - c->start_ns > OLD_NS && (*asked)++ < MAX_ASKED)
		read_limits(nw, c);
}

int netgrpc_read(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct grpc_read *p = calloc(l->ngcall + 1, sizeof(*p));
	int err = p ? 0 : -ENOMEM;
	size_t asked = 0;

	for (size_t i = 0; !err && i < l->ngcall; i++)
		p[i].c = &l->gcall[i];
	if (!err)
		err = NET_STAGES(nw, p, l->ngcall, { ask_string, take_string },
				 { net_ask_next, take_text });
	for (size_t i = 0; !err && i < l->ngcall; i++) {
		if (!l->gcall[i].method[0] && l->gcall[i].stream)
			read_stream_method(nw, &l->gcall[i]);
		date(nw, &l->gcall[i], &asked);
	}
	free(p);
	return err;
}
