/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks out of the bytes that a record has of them. */
#include "crash/fill.h"

#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gobin/gobin.h"

#define FLAG_TOP_FRAME 1 /* abi.FuncFlagTopFrame: nothing above */

/* The runtime's way from where it was found out to the end: nobody is told of these. */
static bool is_way_out(const char *name)
{
	static const char *const way[] = { "runtime.fatalpanic", "runtime.preprintpanics",
					   "runtime.throw",      "runtime.fatal",
					   "runtime.fatalthrow", "runtime.systemstack_switch" };

	for (size_t i = 0; i < ARRAY_SIZE(way); i++)
		if (!strcmp(name, way[i]))
			return true;
	return false;
}

int crash_unwind(const struct goruntime *rt, const struct gs_crash *c, uint64_t *pcs, int max,
		 bool *whole)
{
	uint64_t pc = c->pc, sp = c->sp;
	struct pclntab *p = rt->gb->pcln;
	struct gofunc fn;
	int32_t size;
	int n = 0;

	*whole = false;
	while (n < max && !pclntab_find_pc(p, pc - rt->bias, &fn)) {
		*whole = !strcmp(fn.name, "runtime.goexit");
		if (*whole)
			break;
		if (n || !is_way_out(fn.name))
			pcs[n++] = pc;
		*whole = fn.flag & FLAG_TOP_FRAME;
		if (*whole || pclntab_frame_size(p, pc - rt->bias, &size) || size < 0)
			break;
		sp += (uint64_t)size;
		if (sp < c->sp || sp - c->sp > GS_CRASH_STACK || sp - c->sp + 8 > c->stack_bytes)
			break;
		pc = load_u64(c->stack + (sp - c->sp));
		sp += 8;
	}
	return n;
}
