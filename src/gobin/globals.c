/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The addresses of the runtime's globals, out of instructions that the runtime
 * must contain: the n-th pc-relative operand of a kind, in a known function,
 * that is a variable of Go's.  The list was made by comparing the builds of
 * 1.18 to 1.27 with their symbol tables.
 */
#include <stdlib.h>

#include "gobin/gobin.h"
#include "base/vec.h"

#define MAX_CODE (256u << 10) /* bytes of one function decoded; selectgo has 4 KiB */

struct recipe {
	enum goglobal global;
	const char *func;
	enum insn_data kind;
	int nth;         /* from 0, among operands of the kind */
	int back;        /* bytes from the operand's address back to the global */
	int first, last; /* minor releases it holds for; 0: no limit */
};

static const struct recipe recipes[] = {
	{ GLOBAL_ALLGS, "runtime.forEachG", DATA_LOAD, 0, 0, 0, 0 },
	{ GLOBAL_ALLGS, "runtime.forEachG", DATA_LOAD, 1, 8, 0, 0 }, /* its length */
	{ GLOBAL_ALLGLEN, "runtime.forEachGRace", DATA_LOAD, 0, 0, 0, 0 },
	{ GLOBAL_ALLGPTR, "runtime.forEachGRace", DATA_LOAD, 1, 0, 0, 0 },
	{ GLOBAL_SCHED, "runtime.wakeNetPoller", DATA_LOAD, 0, 8, 0, 0 }, /* lastpoll */
	{ GLOBAL_SCHED, "runtime.oneNewExtraM", DATA_LEA, 0, 0, 0, 0 },
	{ GLOBAL_MHEAP, "runtime.(*mcache).allocLarge", DATA_LEA, 0, 0, 0, 0 },
	{ GLOBAL_MHEAP, "runtime.gcSweep", DATA_LEA, 0, 0, 0, 0 },
	/* 1.18: heapStats lies inside, at 5960 */
	{ GLOBAL_MEMSTATS, "runtime.(*mcache).allocLarge", DATA_LEA, 1, 5960, 0, 18 },
	{ GLOBAL_MEMSTATS, "runtime.(*mheap).grow", DATA_LEA, 2, 5960, 0, 18 },
	{ GLOBAL_MEMSTATS, "runtime.(*mcache).allocLarge", DATA_LEA, 1, 0, 19, 0 },
	{ GLOBAL_MEMSTATS, "runtime.(*mheap).grow", DATA_LEA, 1, 0, 19, 0 },
	{ GLOBAL_MEMSTATS, "runtime.readmemstats_m", DATA_LEA, 0, 0, 19, 0 },
	{ GLOBAL_MBUCKETS, "runtime.mProf_FlushLocked", DATA_LOAD, 1, 0, 0, 18 },
	{ GLOBAL_MBUCKETS, "runtime.stkbucket", DATA_LOAD, 3, 0, 0, 18 },
	{ GLOBAL_MBUCKETS, "runtime.mProf_FlushLocked", DATA_LOAD, 0, 0, 19, 0 },
	{ GLOBAL_MBUCKETS, "runtime.stkbucket", DATA_LEA, 5, 0, 19, 0 },
	{ GLOBAL_WORK, "runtime.putfull", DATA_LEA, 0, 0, 0, 0 },
	{ GLOBAL_WORK, "runtime.trygetfull", DATA_LEA, 0, 0, 0, 0 },
	/* 1.18: heapLive, at 120 */
	{ GLOBAL_GCCONTROLLER, "runtime.(*gcControllerState).resetLive", DATA_LOAD, 0, 120, 0, 18 },
	{ GLOBAL_GCCONTROLLER, "runtime.(*gcWork).putBatch", DATA_LEA, 0, 0, 0, 18 },
	{ GLOBAL_GCCONTROLLER, "runtime.gcControllerCommit", DATA_LEA, 0, 0, 19, 0 },
	{ GLOBAL_GCCONTROLLER, "runtime.gcTrigger.test", DATA_LEA, 0, 0, 19, 0 },
	{ GLOBAL_ALLP, "runtime.timeSleepUntil", DATA_LOAD, 0, 0, 0, 0 },
	{ GLOBAL_ALLP, "runtime.retake", DATA_LOAD, 0, 0, 0, 0 },
	{ GLOBAL_ALLM, "runtime.mexit", DATA_LEA, 2, 0, 0, 0 },
	{ GLOBAL_SEMTABLE, "runtime.semacquire1", DATA_LEA, 0, 0, 0, 0 },
	{ GLOBAL_FIRSTMODULEDATA, "runtime.findfunc", DATA_LEA, 0, 0, 0, 0 },
	{ GLOBAL_ALLFIN, "runtime.queuefinalizer", DATA_LOAD, 1, 0, 20, 0 },
	{ GLOBAL_ALLFIN, "runtime.markroot", DATA_LOAD, 2, 0, 25, 0 },
	{ GLOBAL_GCCLEANUPS, "runtime.markroot", DATA_LOAD, 3, 128, 25, 0 }, /* all */
	{ GLOBAL_GCCLEANUPS, "runtime.findRunnable", DATA_LEA, 4, 0, 25, 0 },
	/* after mcache0: nextSample is inlined there */
	{ GLOBAL_MEMPROFILERATE, "runtime.profilealloc", DATA_LOAD, 1, 0, 0, 0 },
	/* the end of a response's body: compared with the error it came with */
	{ GLOBAL_IO_EOF, "net/http.(*persistConn).readLoop.func4", DATA_LOAD, 0, 8, 0, 0 },
	/* the old ones, then all: data and length of each */
	{ GLOBAL_ALLPOOLS, "sync.poolCleanup", DATA_LOAD, 2, 0, 0, 0 },
	{ GLOBAL_ALLPOOLS, "sync.poolCleanup", DATA_LOAD, 3, 8, 0, 0 },
	{ GLOBAL_OLDPOOLS, "sync.poolCleanup", DATA_LOAD, 0, 0, 0, 0 },
	{ GLOBAL_OLDPOOLS, "sync.poolCleanup", DATA_LOAD, 1, 8, 0, 0 }, /* its length */
};

#define NRECIPES ARRAY_SIZE(recipes)

const char *goglobal_name(enum goglobal g)
{
	static const char *const names[GLOBAL_COUNT] = {
		[GLOBAL_ALLGS] = "allgs",
		[GLOBAL_ALLGLEN] = "allglen",
		[GLOBAL_ALLGPTR] = "allgptr",
		[GLOBAL_SCHED] = "sched",
		[GLOBAL_MHEAP] = "mheap_",
		[GLOBAL_MEMSTATS] = "memstats",
		[GLOBAL_MBUCKETS] = "mbuckets",
		[GLOBAL_WORK] = "work",
		[GLOBAL_GCCONTROLLER] = "gcController",
		[GLOBAL_ALLP] = "allp",
		[GLOBAL_ALLM] = "allm",
		[GLOBAL_SEMTABLE] = "semtable",
		[GLOBAL_FIRSTMODULEDATA] = "firstmoduledata",
		[GLOBAL_ALLFIN] = "allfin",
		[GLOBAL_GCCLEANUPS] = "gcCleanups",
		[GLOBAL_MEMPROFILERATE] = "MemProfileRate",
		[GLOBAL_IO_EOF] = "io.EOF",
		[GLOBAL_ALLPOOLS] = "sync.allPools",
		[GLOBAL_OLDPOOLS] = "sync.oldPools",
	};

	return (unsigned int)g < GLOBAL_COUNT ? names[g] : "?";
}

static bool holds(const struct recipe *r, int minor)
{
	return minor >= r->first && (!r->last || minor <= r->last);
}

static bool is_variable(const struct moduledata *md, uint64_t addr)
{
	return moduledata_has_variable(md, addr) ||
	       addr == md->addr; /* since 1.26 in a section of its own */
}

/* The operand that a recipe names in a function's code: 0 when it is not there. */
static uint64_t find_operand(const struct gobin *gb, const struct recipe *r, const uint8_t *code,
			     size_t len, uint64_t addr)
{
	int seen = 0;
	size_t pos = 0;
	struct insn in;

	for (; pos < len; pos += in.len) {
		if (gb->arch->decode(code + pos, len - pos, addr + pos, false, &in))
			return 0;
		if (in.data != r->kind || !is_variable(&gb->mod, in.data_addr))
			continue;
		if (seen++ == r->nth)
			return in.data_addr - (uint64_t)r->back;
	}
	return 0;
}

static uint64_t run_recipe(struct gobin *gb, const struct recipe *r, const struct gofunc *f)
{
	uint64_t size = f->end - f->entry, addr = 0;
	uint8_t *code;

	if (size > MAX_CODE)
		return 0;
	code = malloc(size ? size : 1);
	if (code && !image_read_addr(&gb->image, f->entry, code, size))
		addr = find_operand(gb, r, code, size, f->entry);
	free(code);
	return addr;
}

/* Adds one recipe's answer to the global's; recipes that contradict leave it 0. */
static void take_answer(struct gobin *gb, const struct recipe *r, uint64_t addr, bool *disputed)
{
	uint64_t *g = &gb->global[r->global];

	if (!addr) {
		*disputed = true;
		gb->global_why[r->global] =
			"a function of the runtime does not have the expected operand";
	} else if (*g && *g != addr) {
		*disputed = true;
		gb->global_why[r->global] = "two places in the runtime's code disagree";
	} else {
		*g = addr;
	}
}

static void run_recipes(struct gobin *gb, const struct gofunc *funcs)
{
	bool disputed[GLOBAL_COUNT] = { false };

	for (size_t i = 0; i < NRECIPES; i++) {
		const struct recipe *r = &recipes[i];

		if (holds(r, gb->release.minor) && funcs[i].entry)
			take_answer(gb, r, run_recipe(gb, r, &funcs[i]), &disputed[r->global]);
	}
	for (int g = 0; g < GLOBAL_COUNT; g++) {
		if (disputed[g])
			gb->global[g] = 0;
		else if (gb->global[g])
			gb->global_why[g] = NULL;
	}
}

static void set_why(struct gobin *gb, const char *why)
{
	for (int g = 0; g < GLOBAL_COUNT; g++) {
		gb->global[g] = 0;
		gb->global_why[g] = why;
	}
}

/* The moduledata is known without code; where findfunc names one, it must be this one. */
static void settle_moduledata(struct gobin *gb)
{
	uint64_t *g = &gb->global[GLOBAL_FIRSTMODULEDATA];
	const char **why = &gb->global_why[GLOBAL_FIRSTMODULEDATA];

	if (*g && *g != gb->mod.addr) {
		*g = 0;
		*why = "the runtime's code and the data point to different module data";
		return;
	}
	*g = gb->mod.addr;
	*why = NULL;
}

static void find_by_code(struct gobin *gb)
{
	const char *names[NRECIPES];
	struct gofunc funcs[NRECIPES];

	if (!gb->arch) {
		set_why(gb, "no instruction decoder for this architecture");
		return;
	}
	for (size_t i = 0; i < NRECIPES; i++)
		names[i] = recipes[i].func;
	if (pclntab_find_names(gb->pcln, names, NRECIPES, funcs))
		set_why(gb, "the function table cannot be read");
	else
		run_recipes(gb, funcs);
}

void gobin_find_globals(struct gobin *gb)
{
	set_why(gb, "the functions that would show it are not in the program");
	find_by_code(gb);
	settle_moduledata(gb);
}
