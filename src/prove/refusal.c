/* SPDX-License-Identifier: BSD-2-Clause */
/* Which programs can be judged at all. */
#include <stdio.h>
#include <string.h>

#include "base/vec.h"
#include "prove/newer.h"
#include "prove/prove_priv.h"

#define FIRST_MINOR 20 /* 1.20: finalizers' queue, waiting reasons of locks */

static const char *missing_global(const struct gobin *gb)
{
	static const struct {
		enum goglobal g;
		int first, last;
	} need[] = {
		{ GLOBAL_ALLGLEN, 0, 99 },     { GLOBAL_ALLGPTR, 0, 99 },
		{ GLOBAL_MHEAP, 0, 99 },       { GLOBAL_ALLM, 0, 99 },
		{ GLOBAL_ALLFIN, 0, 99 },      { GLOBAL_SEMTABLE, 0, 25 },
		{ GLOBAL_GCCLEANUPS, 25, 99 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(need); i++)
		if (gb->release.minor >= need[i].first && gb->release.minor <= need[i].last &&
		    !gb->global[need[i].g])
			return goglobal_name(need[i].g);
	return NULL;
}

static bool has_fields(const struct layout *l)
{
	/* clang-format off */
	static const enum layout_field need[] = {
		LAYOUT_G_SIZE, LAYOUT_G_STACK_LO, LAYOUT_G_STACK_HI, LAYOUT_G_SCHED_SP,
		LAYOUT_G_SCHED_PC, LAYOUT_G_SCHED_CTXT, LAYOUT_G_PANIC, LAYOUT_G_DEFER,
		LAYOUT_G_WAITING, LAYOUT_G_WAITREASON, LAYOUT_G_TRACKINGSEQ,
		LAYOUT_G_ATOMICSTATUS, LAYOUT_G_GOID,
		LAYOUT_SUDOG_SIZE, LAYOUT_SUDOG_G, LAYOUT_SUDOG_NEXT, LAYOUT_SUDOG_PREV,
		LAYOUT_SUDOG_ELEM, LAYOUT_SUDOG_WAITLINK, LAYOUT_SUDOG_C,
		LAYOUT_HCHAN_SIZE, LAYOUT_HCHAN_RECVQ_FIRST, LAYOUT_HCHAN_SENDQ_FIRST,
		LAYOUT_SEMAROOT_TREAP,
		LAYOUT_DEFER_SIZE, LAYOUT_DEFER_FN, LAYOUT_DEFER_LINK,
	};
	/* clang-format on */

	return layout_has(l, need, ARRAY_SIZE(need));
}

const char *prove_refusal(struct goruntime *rt, char *text, size_t size)
{
	const struct gobin *gb = rt->gb;
	const char *missing;

	if (!gb->layout || !gb->arch || strcmp(gb->layout->arch, "amd64"))
		return "leaks can be judged on amd64 only";
	if (gb->release.minor < FIRST_MINOR)
		return "leaks can be judged from Go 1.20 on";
	if (strstr(gb->build.goexperiment, "staticlockranking"))
		return "built with GOEXPERIMENT=staticlockranking, which changes the runtime's "
		       "structures";
	if (gb->build.no_optimize) /* globals.c: the runtime's code has another shape then */
		return "built without optimisation (-N): where the runtime keeps its variables is "
		       "not known";
	if (!goruntime_has(rt, FACT_GOROUTINES))
		return rt->why_off[FACT_GOROUTINES];
	if (!has_fields(gb->layout))
		return "the runtime's structures are not known for this release";
	missing = missing_global(gb);
	if (missing) {
		snprintf(text, size, "the runtime's variable %s was not found", missing);
		return text;
	}
	missing = gb->layout_is_newer ? newer_misfit(rt) : NULL;
	if (!missing)
		return NULL;
	snprintf(text, size, "this Go release is not known to gospect, and %s", missing);
	return text;
}
