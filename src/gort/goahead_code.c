/* SPDX-License-Identifier: BSD-2-Clause */
/* What the code of a process is made of: decoded instructions, and the functions whose calls mean something. */
#include "gort/goahead_priv.h"

#include <string.h>

#include "base/vec.h"

#define BARRIER_REACH 4 /* instructions before its call: addresses */

/* What sync's own functions are there for. */
static enum callee sync_call(const char *name)
{
	static const struct {
		const char *method;
		enum callee call;
	} known[] = {
		{ "(*Mutex).Lock", CALL_LOCK },
		{ "(*Mutex).TryLock", CALL_TRY_LOCK },
		{ "(*Mutex).Unlock", CALL_UNLOCK },
		{ "(*RWMutex).Lock", CALL_LOCK },
		{ "(*RWMutex).TryLock", CALL_TRY_LOCK },
		{ "(*RWMutex).Unlock", CALL_UNLOCK },
		{ "(*RWMutex).RLock", CALL_LOCK },
		{ "(*RWMutex).TryRLock", CALL_TRY_LOCK },
		{ "(*RWMutex).RUnlock", CALL_UNLOCK },
		{ "(*WaitGroup).Add", CALL_ADD },
		{ "(*WaitGroup).Done", CALL_DONE },
		/* these call what they were given, or one of the above */
		{ "(*Once).Do", CALL_STEP },
		{ "(*Once).doSlow", CALL_STEP },
		{ "(*Cond).Wait", CALL_STEP },
		{ "(*rlocker).Lock", CALL_STEP },
		{ "(*rlocker).Unlock", CALL_STEP },
	};
	size_t len = strlen(name);

	if (!strncmp(name, "internal/", 9)) /* where Mutex is since 1.24 */
		name += 9;
	if (strncmp(name, "sync.", 5))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(name + 5, known[i].method))
			return known[i].call;
	return len > 3 && !strcmp(name + len - 3, "-fm") ? CALL_STEP : 0; /* a method value */
}

const struct effect *goahead_op(struct goahead *a, uint64_t pc)
{
	uint64_t link = pc - a->rt->bias, *at = u64map_find(&a->at, pc);
	const struct gobin *gb = a->rt->gb;
	uint8_t code[16];
	size_t len = gb->mod.etext - link < sizeof(code) ? gb->mod.etext - link : sizeof(code);
	struct effect op;

	if (at)
		return &a->op[*at];
	if (!go_in_text(a->rt, pc) || image_read_addr(&a->rt->gb->image, link, code, len) ||
	    gb->arch->effect(code, len, link, &op))
		return NULL;
	if (a->nop == MAX_OPS) {
		u64map_clear(&a->at);
		a->nop = 0;
	}
	if (array_room(&a->op, a->nop, &a->op_cap, sizeof(*a->op)))
		return NULL;
	if (!u64map_put(&a->at, pc, a->nop, NULL))
		return NULL;
	a->op[a->nop] = op;
	return &a->op[a->nop++];
}

static bool ends_it(const char *name)
{
	static const char *const ends[] = { "runtime.gopanic", "runtime.panic",
					    "runtime.goPanic", "runtime.throw",
					    "runtime.fatal",   "runtime.Goexit",
					    "runtime.goexit",  "runtime.morestack",
					    "os.Exit" };

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (!strncmp(name, ends[i], strlen(ends[i])))
			return true;
	return false;
}

/* A function within another one: what it defers. */
static bool is_closure(const char *name)
{
	return strncmp(name, "runtime.", sizeof("runtime.") - 1) != 0 &&
	       (strstr(name, ".deferwrap") || strstr(name, "dwrap") || strstr(name, ".func"));
}

static enum callee learn_callee(const struct gofunc *fn, uint64_t link)
{
	static const struct {
		const char *name;
		enum callee call;
	} known[] = {
		{ "runtime.chansend1", CALL_SEND },
		{ "runtime.selectnbsend", CALL_SEND },
		{ "runtime.chanrecv1", CALL_RECEIVE },
		{ "runtime.chanrecv2", CALL_RECEIVE },
		{ "runtime.selectnbrecv", CALL_RECEIVE_2ND },
		{ "runtime.closechan", CALL_CLOSE },
		{ "runtime.selectgo", CALL_SELECT },
		{ "runtime.deferreturn", CALL_DEFERRED },
		{ "runtime.deferproc", CALL_DEFER },
		{ "runtime.deferprocStack", CALL_DEFER_RECORD },
		{ "runtime.newobject", CALL_NEW },
		{ "runtime.deferprocat", CALL_UNKNOWN }, /* of a loop over a function */
	};
	struct goframe f = { .function = fn->name };
	enum callee c;

	if (fn->entry != link) /* runtime.duffzero + n */
		return CALL_SKIP;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(fn->name, known[i].name))
			return known[i].call;
	if (!strncmp(fn->name, "runtime.malloc", sizeof("runtime.malloc") - 1))
		return CALL_NEW; /* by size, since 1.27 */
	c = sync_call(fn->name);
	if (c)
		return c;
	if (ends_it(fn->name))
		return CALL_END;
	return goframe_is_std(&f) && !is_closure(fn->name) ? CALL_SKIP : CALL_STEP;
}

enum callee goahead_callee(struct goahead *a, uint64_t pc)
{
	uint64_t *known = u64map_find(&a->callee, pc);
	struct gofunc fn;
	enum callee c = CALL_UNKNOWN;

	if (known)
		return (enum callee) * known;
	if (go_in_text(a->rt, pc) && !pclntab_find_pc(a->rt->gb->pcln, pc - a->rt->bias, &fn))
		c = learn_callee(&fn, pc - a->rt->bias);
	u64map_put(&a->callee, pc, c, NULL);
	return c;
}

bool goahead_is_barrier(struct goahead *a, uint64_t pc)
{
	for (int n = 0; n < BARRIER_REACH; n++) {
		const struct effect *e = goahead_op(a, pc);
		struct gofunc fn;

		if (e && e->flow == FLOW_CALL)
			return !pclntab_find_pc(a->rt->gb->pcln, e->target, &fn) &&
			       !strncmp(fn.name, "runtime.gcWriteBarrier",
					sizeof("runtime.gcWriteBarrier") - 1);
		if (!e || e->flow != FLOW_NEXT)
			return false;
		pc += e->len;
	}
	return false;
}
