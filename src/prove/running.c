/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks of goroutines that were on a CPU when the process was frozen: from
 * their thread's registers and the copy of their stack.  Only where the thread
 * stood in Go code on the goroutine's own stack: on the runtime's stack, in a
 * signal handler or in the vDSO nothing is known of where the goroutine was.
 */
#include "prove/snap.h"

#include <errno.h>
#include <stdlib.h>

#include "gort/gostack.h"

static bool word_at(const struct snap *s, const struct pgo *g, uint64_t addr, uint64_t *out)
{
	if (addr < g->from || addr >= g->hi || g->hi - addr < 8 || addr % 8)
		return false;
	*out = heap_word(s->stacks + g->stack_at + (addr - g->from));
	return true;
}

static void unwind(const struct snap *s, const struct pgo *g, struct prove_running *out)
{
	struct pclntab *pcln = s->rt->gb->pcln;
	uint64_t pc = g->pc, sp = g->sp;
	struct gofunc fn;
	int32_t size;

	while (out->n < PROVE_RUNNING_DEPTH && !pclntab_find_pc(pcln, pc - s->rt->bias, &fn)) {
		out->whole = gostack_is_goexit(s->rt, &fn);
		if (out->whole)
			return;
		/* as a return address, behind the instruction that it stood at */
		out->pc[out->n] = out->n ? pc : pc + 1;
		out->n++;
		out->whole = gostack_is_end(&fn, out->n == 1);
		if (out->whole || pclntab_frame_size(pcln, pc - s->rt->bias, &size) || size < 0 ||
		    !word_at(s, g, sp + (uint64_t)size, &pc))
			return;
		sp += (uint64_t)size + 8;
	}
}

int snap_running(const struct snap *s, struct prove_running **out, size_t *n)
{
	*n = 0;
	*out = calloc(PROVE_MAX_RUNNING, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < s->ng && *n < PROVE_MAX_RUNNING; i++) {
		const struct pgo *g = &s->g[i];
		struct prove_running *r = &(*out)[*n];

		/* on_cpu: pc and sp are a thread's */
		if (!g->live || !g->on_cpu || g->stack_unread ||
		    goruntime_is_system(s->rt, g->startpc))
			continue;
		*r = (struct prove_running){ .goid = g->goid };
		unwind(s, g, r);
		*n += r->n > 0;
	}
	return 0;
}
