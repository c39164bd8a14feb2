/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of gRPC clients. */
#include "net/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "gort/gostack.h"
#include "trace/trace.h"

static void set_method(struct net_gcall *c, const uint8_t *text, uint32_t n)
{
	for (uint32_t k = 0; k < n && k < sizeof(c->method) - 1; k++)
		c->method[k] = (char)(text[k] > ' ' && text[k] < 0x7f ? text[k] : '?');
}

int netgrpc_read(struct netwatch *nw, const struct gowalk *w, struct trace *trace)
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
