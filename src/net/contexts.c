/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limits that a request's context has: the chain of contexts from the one
 * that its caller made to the root.
 */
#include "net/request.h"

#define MAX_CHAIN   32 /* contexts, from the request's to the root */
#define ITAB_INSIDE 1  /* of the cancelCtx that a timerCtx points to: not one of its own */

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

	for (size_t i = 0; name && i < ARRAY_SIZE(known); i++)
		if (!strcmp(name, known[i].name))
			return known[i].kind;
	return CONTEXT_UNKNOWN;
}

enum context_kind netcontext_kind(struct netwatch *nw, uint64_t itab)
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
static void take_kind(struct net_reading *r, enum context_kind kind)
{
	struct net_limits *l = &r->f->limits;

	if (kind == CONTEXT_TIMER)
		l->deadline = KNOWN_YES;
	if (kind == CONTEXT_CANCEL || kind == CONTEXT_AFTER || kind == CONTEXT_SIGNAL)
		l->cancel = KNOWN_YES;
	/* a type of somebody's own may have limits of its own */
	r->in_doubt = kind == CONTEXT_UNKNOWN;
	r->chain_ends = kind == CONTEXT_UNKNOWN || kind == CONTEXT_ROOT || kind == CONTEXT_WITHOUT;
}

static void ask_parent(void *owner, void *item, struct readpiece *piece)
{
	struct netwatch *nw = owner;
	struct net_reading *r = item;
	enum context_kind kind;
	int32_t off;

	if (r->chain_ends)
		return;
	kind = netcontext_kind(nw, r->node[0]);
	take_kind(r, kind);
	off = parent_of(nw, kind);
	r->chain_ends = r->chain_ends || off < 0;
	if (!r->chain_ends)
		*piece = (struct readpiece){ r->node[1] + (uint64_t)off, 16 };
}

static void take_parent(void *owner, void *item, const uint8_t *const *bytes)
{
	struct netwatch *nw = owner;
	struct net_reading *r = item;
	const uint8_t *b = bytes[0];

	if (!b) {
		r->chain_ends = r->in_doubt = true;
	} else if (timer_points(nw) && netcontext_kind(nw, r->node[0]) == CONTEXT_TIMER) {
		r->node[0] = ITAB_INSIDE;
		r->node[1] = load_u64(b);
	} else {
		r->node[0] = load_u64(b);
		r->node[1] = load_u64(b + 8);
	}
}

static bool all_end(const struct net_reading *rd, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!rd[i].chain_ends)
			return false;
	return true;
}

int netcontexts_read(struct netwatch *nw, struct net_reading *rd, size_t n)
{
	int err = 0;

	for (int level = 0; !err && level < MAX_CHAIN && !all_end(rd, n); level++)
		err = NET_STAGES(nw, rd, n, { ask_parent, take_parent });
	for (size_t i = 0; !err && i < n; i++) {
		struct net_limits *l = &rd[i].f->limits;
		bool whole = rd[i].chain_ends && !rd[i].in_doubt;

		if (l->deadline != KNOWN_YES)
			l->deadline = whole ? KNOWN_NO : UNKNOWN;
		if (l->cancel != KNOWN_YES)
			l->cancel = whole ? KNOWN_NO : UNKNOWN;
	}
	return err;
}
