/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of gRPC clients. */
#include "net/priv.h"

#include "gort/gostack.h"
#include "trace/opens.h"

#define MAX_METHOD 4096 /* bytes; longer is no method */

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

/* Since when it is under way, as far as we have seen. */
static void date(struct netwatch *nw, struct net_gcall *c)
{
	const struct net_gcall *before = NET_FIND(&nw->prev, gcall, gcall_at, c->goid);
	struct trace_open open;

	c->start_ns = nw->cur.now_ns;
	c->age = AGE_AT_LEAST;
	if (trace_opens_find(nw->look->opens, OPEN_GRPC, c->g, &open) && open.goid == c->goid) {
		c->start_ns = open.start_ns;
		c->age = AGE_EXACT;
		if (!c->method[0] && open.text)
			net_method_format(open.text, strlen(open.text), c->method);
	} else if (before && before->stop == c->stop && !strcmp(before->method, c->method)) {
		c->start_ns = before->start_ns;
	}
}

int netgrpc_read(struct netwatch *nw)
{
	struct net_look *l = &nw->cur;
	struct grpc_read *p = calloc(l->ngcall + 1, sizeof(*p));
	int err = p ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < l->ngcall; i++)
		p[i].c = &l->gcall[i];
	if (!err)
		err = NET_STAGES(nw, p, l->ngcall, { ask_string, take_string },
				 { net_ask_next, take_text });
	for (size_t i = 0; !err && i < l->ngcall; i++)
		date(nw, &l->gcall[i]);
	free(p);
	return err;
}
