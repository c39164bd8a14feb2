/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/gocontext.h"

#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"

#define MAX_CHAIN 32 /* contexts, from one to the root */

enum context_kind gocontext_kind(const char *name)
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

bool gocontext_timer_points(const struct goruntime *rt)
{
	return go_off(rt, LAYOUT_CTX_TIMER_DEADLINE) < go_off(rt, LAYOUT_CTX_CANCEL_SIZE);
}

int32_t gocontext_parent(const struct goruntime *rt, enum context_kind kind)
{
	switch (kind) {
	case CONTEXT_CANCEL:
	case CONTEXT_INSIDE:
		return go_off(rt, LAYOUT_CTX_CANCEL_CONTEXT);
	case CONTEXT_TIMER:
		if (gocontext_timer_points(rt))
			return go_off(rt, LAYOUT_CTX_TIMER_CANCELCTX);
		return go_off(rt, LAYOUT_CTX_TIMER_CANCELCTX) +
		       go_off(rt, LAYOUT_CTX_CANCEL_CONTEXT);
	case CONTEXT_VALUE:
		return go_off(rt, LAYOUT_CTX_VALUE_CONTEXT);
	case CONTEXT_AFTER: /* a cancelCtx is its first part (context.go) */
		return go_off(rt, LAYOUT_CTX_CANCEL_CONTEXT);
	case CONTEXT_STOP: /* so is the Context of these (context.go, os/signal/signal.go) */
	case CONTEXT_SIGNAL:
		return 0;
	default:
		return -1;
	}
}

/* From one context to its parent: false where there is none to be read. */
static bool step(struct goruntime *rt, enum context_kind kind, uint64_t *itab, uint64_t *data)
{
	int32_t off = gocontext_parent(rt, kind);
	uint8_t b[16];

	if (off < 0 || mem_read(rt->mem, *data + (uint64_t)off, b, sizeof(b)))
		return false;
	*itab = load_u64(b);
	*data = load_u64(b + 8);
	return true;
}

static bool has_layout(const struct goruntime *rt)
{
	return rt->gb->layout && go_off(rt, LAYOUT_CTX_CANCEL_CONTEXT) >= 0 &&
	       go_off(rt, LAYOUT_CTX_TIMER_CANCELCTX) >= 0 &&
	       go_off(rt, LAYOUT_CTX_VALUE_CONTEXT) >= 0;
}

struct gocontext_limits gocontext_limits(struct goruntime *rt, struct gotypes *types, uint64_t itab,
					 uint64_t data)
{
	struct gocontext_limits l = { .whole = false };

	for (int i = 0; i < MAX_CHAIN && has_layout(rt); i++) {
		enum context_kind kind = gocontext_kind(gotypes_of_itab(types, itab));

		l.deadline |= kind == CONTEXT_TIMER;
		l.cancels +=
			kind == CONTEXT_CANCEL || kind == CONTEXT_AFTER || kind == CONTEXT_SIGNAL;
		l.cancel = l.cancels;
		if (kind == CONTEXT_ROOT || kind == CONTEXT_WITHOUT) {
			l.whole = true;
			break;
		}
		if (kind == CONTEXT_UNKNOWN)
			break;
		if (kind == CONTEXT_TIMER && gocontext_timer_points(rt)) {
			if (mem_read_u64(rt->mem,
					 data + (uint64_t)gocontext_parent(rt, CONTEXT_TIMER),
					 &data))
				break;
			kind = CONTEXT_INSIDE;
		}
		if (!step(rt, kind, &itab, &data))
			break;
	}
	return l;
}
