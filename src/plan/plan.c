/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gobin/gobin.h"

/*
 * Where each probe goes.  Functions are tried in order, newest release first;
 * with a callee the site is its call, without one the body after the stack
 * check.  Checked against the sources of Go 1.18 to 1.27.
 */
#define RECIPE_MAX_FUNCTIONS 4

struct recipe {
	const char *name;
	enum sensor sensor;
	bool rare;
	const char *functions[RECIPE_MAX_FUNCTIONS];
	const char *callee;
	int since;		/* first minor release that has it at all */
	const char *absent;	/* why it is missing from a release that could have it */
};

static const struct recipe recipes[PROBE_COUNT] = {
	[PROBE_GO_BIRTH] = {
		.name = "goroutine-birth", .sensor = SENSOR_GOROUTINES,
		/* proc.go: newproc's systemstack closure; the number is its place among closures. */
		.functions = { "runtime.newproc.func1", "runtime.newproc.func2", "runtime.newproc" },
		.callee = "runtime.runqput",
	},
	[PROBE_CORO_BIRTH] = {
		.name = "coroutine-birth", .sensor = SENSOR_GOROUTINES,
		/* coro.go, since 1.22; used by iter.Pull since 1.23.  Linked only where used. */
		.functions = { "runtime.newcoro.func1", "runtime.newcoro.func2", "runtime.newcoro" },
		.callee = "runtime.newproc1",
		.since = 23, .absent = "no coroutines (iter.Pull) are linked into this program",
	},
	[PROBE_GO_DEATH] = {
		.name = "goroutine-death", .sensor = SENSOR_GOROUTINES,
		/* gdestroy since 1.22; before it goexit0 did the work itself. */
		.functions = { "runtime.gdestroy", "runtime.goexit0" },
		.callee = "runtime.casgstatus",
	},
	[PROBE_ALLOC_LARGE] = {
		.name = "large-allocation", .sensor = SENSOR_ALLOC, .rare = true,
		/* mallocgcLarge since 1.24. */
		.functions = { "runtime.mallocgcLarge", "runtime.mallocgc" },
		.callee = "runtime.(*mcache).allocLarge",
	},
	[PROBE_GC_START] = {
		.name = "gc-start", .sensor = SENSOR_GC, .rare = true,
		.functions = { "runtime.gcStart" },
	},
	[PROBE_GC_END] = {
		.name = "gc-end", .sensor = SENSOR_GC, .rare = true,
		.functions = { "runtime.gcMarkTermination" },
	},
	[PROBE_STW_BEGIN] = {
		.name = "world-stop", .sensor = SENSOR_GC, .rare = true,
		.functions = { "runtime.stopTheWorldWithSema" },
	},
	[PROBE_STW_END] = {
		.name = "world-start", .sensor = SENSOR_GC, .rare = true,
		.functions = { "runtime.startTheWorldWithSema" },
	},
};

const char *probe_name(enum probe_id id)
{
	return (unsigned int)id < PROBE_COUNT ? recipes[id].name : "?";
}

/* All names of all recipes, looked up in one pass over the function table. */
struct lookup {
	const char *name[PROBE_COUNT * (RECIPE_MAX_FUNCTIONS + 1)];
	struct gofunc func[PROBE_COUNT * (RECIPE_MAX_FUNCTIONS + 1)];
	size_t n;
};

static void lookup_add(struct lookup *l, const char *name)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!strcmp(l->name[i], name))
			return;
	l->name[l->n++] = name;
}

static int lookup_all(struct lookup *l, struct gobin *gb, struct err *err)
{
	int i, k, e;

	for (i = 0; i < PROBE_COUNT; i++) {
		for (k = 0; k < RECIPE_MAX_FUNCTIONS && recipes[i].functions[k]; k++)
			lookup_add(l, recipes[i].functions[k]);
		if (recipes[i].callee)
			lookup_add(l, recipes[i].callee);
	}
	e = pclntab_find_names(gb->pcln, l->name, l->n, l->func);
	if (e < 0)
		return err_set(err, e, "the function table cannot be read: %s", strerror(-e));
	return 0;
}

/* NULL: the program has no such function. */
static const struct gofunc *lookup_find(const struct lookup *l, const char *name)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!strcmp(l->name[i], name))
			return l->func[i].entry ? &l->func[i] : NULL;
	return NULL;
}

/* Text that must never be touched: assembly (no convention to rely on), and
 * Go's FIPS 140 module, which hashes its own text when the program starts. */
static const char *untouchable(const struct gofunc *fn)
{
	enum { FUNC_FLAG_ASM = 4 };	/* internal/abi/symtab.go */

	if (fn->flag & FUNC_FLAG_ASM)
		return "an assembly function";
	if (fn->name && !strncmp(fn->name, "crypto/internal/fips140", 23))
		return "part of the FIPS 140 module, which checks its own text";
	return NULL;
}

static void probe_set_site(struct probe *p, const struct gofunc *fn, const struct insn *in,
			   uint64_t off, const uint8_t *bytes, const char *callee)
{
	p->addr = in->addr;
	p->file_off = off;
	p->func_off = in->addr - fn->entry;
	p->func_size = fn->end - fn->entry;
	p->klass = in->klass;
	p->len = in->len;
	memcpy(p->bytes, bytes, in->len);
	if (callee)
		snprintf(p->insn, sizeof(p->insn), "call %s", callee);
	else
		snprintf(p->insn, sizeof(p->insn), "%s", in->text);
	p->why[0] = '\0';
}

/* The site in one function: 0, or a negative errno with p->why. */
static int place_in(struct probe *p, struct gobin *gb, const struct gofunc *fn,
		    const struct gofunc *callee, const char *callee_name)
{
	size_t len = fn->end - fn->entry;
	enum site_kind kind = SITE_CALL;
	const char *no = untouchable(fn);
	uint8_t *code = NULL;
	struct insn in = { 0 };
	uint64_t off;
	int err;

	if (no) {
		snprintf(p->why, sizeof(p->why), "%s", no);
		return -EOPNOTSUPP;
	}
	err = fn->end > fn->entry && len <= SITE_MAX_CODE ? 0 : -E2BIG;
	if (!err)
		code = malloc(len);
	if (!err && !code)
		err = -ENOMEM;
	if (!err)
		err = image_read_addr(&gb->image, fn->entry, code, len);
	if (err)
		snprintf(p->why, sizeof(p->why), "its code cannot be read: %s", strerror(-err));
	else if (callee)
		err = site_call(gb->arch, code, len, fn->entry, callee->entry, &in, p->why, sizeof(p->why));
	else
		err = site_body(gb->arch, code, len, fn->entry, &in, &kind, p->why, sizeof(p->why));
	if (!err) {
		err = image_addr_to_off(&gb->image, in.addr, &off);
		if (err)
			snprintf(p->why, sizeof(p->why), "its code is not in the file");
	}
	if (!err) {
		p->kind = kind;
		probe_set_site(p, fn, &in, off, code + (in.addr - fn->entry), callee_name);
	}
	free(code);
	return err;
}

static void explain_absence(struct probe *p, const struct recipe *r, const struct gobin *gb)
{
	if (r->since && gb->release.minor && gb->release.minor < r->since) {
		p->absent = true;
		snprintf(p->why, sizeof(p->why), "this release of Go has none");
	} else if (r->absent) {
		p->absent = true;
		snprintf(p->why, sizeof(p->why), "%s", r->absent);
	} else {
		snprintf(p->why, sizeof(p->why), "the program has no function of this name");
	}
}

static void probe_place(struct probe *p, struct gobin *gb, const struct lookup *l)
{
	const struct recipe *r = &recipes[p->id];
	const struct gofunc *callee = r->callee ? lookup_find(l, r->callee) : NULL;
	bool found = false;
	int k;

	for (k = 0; k < RECIPE_MAX_FUNCTIONS && r->functions[k]; k++) {
		const struct gofunc *fn = lookup_find(l, r->functions[k]);

		if (!fn)
			continue;
		if (!found)
			snprintf(p->function, sizeof(p->function), "%s", r->functions[k]);
		found = true;
		if (r->callee && !callee) {
			snprintf(p->why, sizeof(p->why), "the program has no %s to be called", r->callee);
			return;
		}
		if (!place_in(p, gb, fn, callee, r->callee)) {
			snprintf(p->function, sizeof(p->function), "%s", r->functions[k]);
			return;
		}
	}
	if (!found)
		explain_absence(p, r, gb);
}

static void probe_init(struct probe *p, enum probe_id id)
{
	p->id = id;
	p->sensor = recipes[id].sensor;
	p->rare = recipes[id].rare;
	p->cost_ns = -1;
	snprintf(p->function, sizeof(p->function), "%s", recipes[id].functions[0]);
}

int plan_make(struct plan *pl, struct gobin *gb, uint32_t sensors, struct err *err)
{
	struct lookup *l;
	int i, e;

	memset(pl, 0, sizeof(*pl));
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "no memory for the plan");
	e = lookup_all(l, gb, err);
	for (i = 0; !e && i < PROBE_COUNT; i++) {
		struct probe *p = &pl->probe[pl->n];

		if (!(sensors & SENSOR_BIT(recipes[i].sensor)))
			continue;
		pl->n++;
		probe_init(p, (enum probe_id)i);
		if (gb->arch)
			probe_place(p, gb, l);
		else
			snprintf(p->why, sizeof(p->why), "code of this architecture cannot be decoded yet");
	}
	free(l);
	return e;
}

void plan_price(struct plan *pl, const struct cost_table *ct)
{
	int i;

	for (i = 0; i < pl->n; i++) {
		struct probe *p = &pl->probe[i];

		p->cost_ns = p->kind == SITE_NONE ? -1 : ct->ns[p->klass];
	}
}

const struct probe *plan_find(const struct plan *pl, enum probe_id id)
{
	int i;

	for (i = 0; i < pl->n; i++)
		if (pl->probe[i].id == id)
			return &pl->probe[i];
	return NULL;
}
