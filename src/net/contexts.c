/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limits that a request's context has: the chain of contexts from the one
 * that its caller made to the root.
 */
#include "net/request.h"

#define MAX_CHAIN   32 /* contexts, from the request's to the root */
#define ITAB_INSIDE 1  /* of the cancelCtx that a timerCtx points to */

enum context_kind netcontext_kind(struct netwatch *nw, uint64_t itab)
{
	bool made;
	uint64_t *at;

	if (itab == ITAB_INSIDE)
		return CONTEXT_INSIDE;
	at = u64map_put(&nw->context_kind, itab, 0, &made);
	if (!at)
		return gocontext_kind(gotypes_of_itab(nw->types, itab));
	if (made)
		*at = gocontext_kind(gotypes_of_itab(nw->types, itab));
	return (enum context_kind) * at;
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
	off = gocontext_parent(nw->rt, kind);
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
	} else if (gocontext_timer_points(nw->rt) &&
		   netcontext_kind(nw, r->node[0]) == CONTEXT_TIMER) {
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
