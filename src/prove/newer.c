/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * May a release newer than the table of layouts be judged by its newest row?
 * What gort has verified is the runtime's state; here it is what the compiler
 * and the linker wrote: numbers of the runtime's functions, stack maps at the
 * calls of the program's own code, type descriptors, bounds of the variables.
 */
#include "prove/newer.h"

#include <stdlib.h>

#include "base/vec.h"
#include "gort/gotypes.h"
#include "prove/stackmap.h"

#define MAX_FUNCTIONS 4000        /* looked at, evenly over the program */
#define MAX_CODE      (64u << 10) /* bytes of one function; longer ones are left out */
#define MIN_SEEN      10          /* fewer prove nothing */
#define TYPE_BEFORE   3           /* instructions from a type's address to newobject */

struct check {
	const struct goruntime *rt;
	struct stackmaps maps;
	struct gotypes *types;
	uint64_t newobject; /* link-time */
	size_t calls, maps_fit, made, types_fit;
};

static bool ids_fit(const struct gobin *gb)
{
	const struct layout *l = gb->layout;
	const struct {
		const char *name;
		uint8_t id;
	} known[] = {
		{ "runtime.goexit", l->func_id_goexit },
		{ "runtime.systemstack", l->func_id_systemstack },
		{ "runtime.mcall", l->func_id_mcall },
		{ "runtime.sigpanic", l->func_id_sigpanic },
		{ "runtime.morestack", l->func_id_morestack },
		{ "runtime.asyncPreempt", l->func_id_asyncpreempt },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct gofunc fn;

		if (pclntab_find_name(gb->pcln, known[i].name, &fn) || fn.func_id != known[i].id)
			return false;
	}
	return true;
}

/* The words that the layout takes for the bounds of the variables are those of the file. */
static bool bounds_fit(const struct goruntime *rt)
{
	const struct moduledata *md = &rt->gb->mod;
	const struct {
		enum layout_field f;
		uint64_t want;
	} word[] = {
		{ LAYOUT_MODULEDATA_DATA, md->data },
		{ LAYOUT_MODULEDATA_EDATA, md->edata },
		{ LAYOUT_MODULEDATA_BSS, md->bss },
		{ LAYOUT_MODULEDATA_EBSS, md->ebss },
	};

	for (size_t i = 0; i < ARRAY_SIZE(word); i++) {
		int32_t off = layout_off(rt->gb->layout, word[i].f);
		uint64_t got;

		if (off < 0 || mem_read_u64(rt->mem, md->addr + rt->bias + (uint64_t)off, &got) ||
		    got != word[i].want + rt->bias)
			return false;
	}
	return true;
}

/* A call returns to pc: the frame there has a map, and the map is within the frame. */
static void check_map(struct check *c, uint64_t pc)
{
	const struct framemap *f = stackmaps_at(&c->maps, pc);

	if (f && !f->size) /* morestack's: before there is a frame */
		return;
	c->calls++;
	c->maps_fit += f && !f->no_locals && 8ll * f->nlocals <= f->size;
}

static void check_code(struct check *c, const uint8_t *code, size_t len, uint64_t addr)
{
	const struct gobin *gb = c->rt->gb;
	uint64_t type = 0;
	int since = 0;
	struct insn in;

	for (size_t pos = 0; pos < len; pos += in.len) {
		if (gb->arch->decode(code + pos, len - pos, addr + pos, false, &in))
			return;
		if (in.data == DATA_LEA && in.data_addr >= gb->mod.types &&
		    in.data_addr < gb->mod.etypes) {
			type = in.data_addr;
			since = 0;
		}
		if (in.flow == FLOW_CALL && in.target == c->newobject && type &&
		    since <= TYPE_BEFORE) {
			c->made++;
			c->types_fit += gotypes_name(c->types, type + c->rt->bias) != NULL;
		}
		if (in.flow == FLOW_CALL && in.target)
			check_map(c, addr + pos + in.len);
		since++;
	}
}

/* Not of assembly, which has no maps. */
static void check_function(struct check *c, const struct gofunc *fn)
{
	uint64_t len = fn->end - fn->entry;
	uint8_t *code;

	if (fn->flag || len > MAX_CODE)
		return;
	code = malloc(len + 1);
	if (code && !image_read_addr(&c->rt->gb->image, fn->entry, code, len))
		check_code(c, code, len, fn->entry);
	free(code);
}

static void check_functions(struct check *c)
{
	struct pclntab *pcln = c->rt->gb->pcln;
	uint32_t n = (uint32_t)pclntab_nfunc(pcln);
	uint32_t step = n / MAX_FUNCTIONS + 1;
	struct gofunc fn;

	for (uint32_t i = n % step; i < n; i += step)
		if (!pclntab_func_at(pcln, i, &fn))
			check_function(c, &fn);
}

/* Nearly all: what little is not Go's own code may have none. */
static bool most(size_t fit, size_t of)
{
	return of >= MIN_SEEN && fit * 20 >= of * 19;
}

static const char *code_misfit(struct check *c)
{
	struct gofunc newobject;

	if (pclntab_find_name(c->rt->gb->pcln, "runtime.newobject", &newobject))
		return "runtime.newobject is not in the program";
	c->newobject = newobject.entry;
	check_functions(c);
	if (!most(c->maps_fit, c->calls))
		return "the stack maps are not as expected";
	if (!most(c->types_fit, c->made))
		return "the type descriptors are not as expected";
	return NULL;
}

const char *newer_misfit(struct goruntime *rt)
{
	struct check c = { .rt = rt };
	const char *why;

	if (!goruntime_has(rt, FACT_REASONS))
		return rt->why_off[FACT_REASONS];
	if (!goruntime_has(rt, FACT_STACKS))
		return rt->why_off[FACT_STACKS];
	if (!ids_fit(rt->gb))
		return "the runtime's functions are not numbered as expected";
	if (!bounds_fit(rt))
		return "the program's variables are not where expected";
	if (gotypes_new(&c.types, rt))
		return "no memory";
	stackmaps_init(&c.maps, rt->gb);
	why = code_misfit(&c);
	stackmaps_deinit(&c.maps);
	gotypes_free(c.types);
	return why;
}
