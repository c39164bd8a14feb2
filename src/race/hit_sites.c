/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/hit_sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define SITES_MAX    65536
#define FUNCTION_MAX (1u << 20) /* bytes that are decoded to find an instruction */
#define FRAMES_MAX   16
#define INSN_MAX     15
#define FUNC_ASM     4 /* abi.FuncFlagAsm */

struct hit_sites *hit_sites_new(struct goruntime *rt)
{
	struct hit_sites *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->rt = rt;
	u64map_init(&a->known, SITES_MAX);
	return a;
}

void hit_sites_free(struct hit_sites *a)
{
	if (!a)
		return;
	u64map_deinit(&a->known);
	free(a->site);
	free(a);
}

/* ---- whose ---- */

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static bool begins_with_any(const char *s, const char *const *with, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (begins(s, with[i]))
			return true;
	return false;
}

/* What works on memory for who calls it: his is the access. */
static bool is_mover(const char *name)
{
	static const char *const movers[] = {
		"runtime.memmove",      "runtime.memclr",         "runtime.memequal",
		"runtime.duffcopy",     "runtime.duffzero",       "runtime.typedmemmove",
		"runtime.typedmemclr",  "runtime.typedslicecopy", "runtime.wbMove",
		"runtime.wbZero",       "runtime.bulkBarrier",    "runtime.reflect_typedmemmove",
		"reflect.typedmemmove", "internal/bytealg.",      "memeqbody",
	};

	return begins_with_any(name, movers, ARRAY_SIZE(movers));
}

/* Loads whole words of what is compared or searched: bytes beyond it, too, that others may write. */
static bool reads_beyond(const char *name)
{
	static const char *const names[] = { "internal/bytealg.", "runtime.memequal", "memeqbody" };

	return begins_with_any(name, names, ARRAY_SIZE(names));
}

static bool is_atomic(const char *name)
{
	static const char *const packages[] = { "sync/atomic.", "internal/runtime/atomic.",
						"runtime/internal/atomic." };

	return begins_with_any(name, packages, ARRAY_SIZE(packages));
}

static bool is_map(const char *name)
{
	static const char *const maps[] = { "runtime.map",
					    "runtime.(*hmap)",
					    "runtime.hashGrow",
					    "runtime.growWork",
					    "runtime.evacuate",
					    "runtime.(*bmap)",
					    "internal/runtime/maps.",
					    "runtime.advanceEvacuationMark",
					    "runtime.bucketEvacuated",
					    "runtime.tooManyOverflow" };

	return begins_with_any(name, maps, ARRAY_SIZE(maps));
}

/* What keeps order by other means than these accesses. */
static bool is_runtime(const char *name)
{
	static const char *const packages[] = { "runtime.", "runtime/",       "internal/runtime/",
						"sync.",    "internal/sync.", "internal/race.",
						"type:",    "type..",         "go:" };

	return begins_with_any(name, packages, ARRAY_SIZE(packages));
}

static enum hit_of of_name(const char *name)
{
	return is_map(name) ? HIT_OF_MAP : is_runtime(name) ? HIT_OF_RUNTIME : HIT_OF_PROGRAM;
}

/* ---- the instruction ---- */

static int read_code(struct gobin *gb, const struct gofunc *f, uint64_t at, uint8_t *code,
		     size_t *len)
{
	*len = f->end - at < INSN_MAX ? (size_t)(f->end - at) : INSN_MAX;
	return image_read_addr(&gb->image, at, code, *len);
}

/*
 * The one that ends at a link-time address: by decoding its function from the beginning.
 * Not where another one could have been the last: behind a call or a jump, before what
 * repeats itself.
 */
static int find_instruction(struct gobin *gb, const struct gofunc *f, uint64_t end,
			    struct insn_access *out)
{
	struct insn_access next;
	uint8_t code[INSN_MAX];
	struct insn plain;
	uint64_t at = f->entry;
	size_t len;

	if (end <= f->entry || end >= f->end || end - f->entry > FUNCTION_MAX)
		return -ENOENT;
	for (;;) {
		if (read_code(gb, f, at, code, &len) ||
		    gb->arch->decode(code, len, at, false, &plain))
			return -EBADMSG;
		if (at + plain.len >= end)
			break;
		at += plain.len;
	}
	if (at + plain.len != end || plain.flow != FLOW_NEXT ||
	    gb->arch->access(code, plain.len, at, out) || out->repeats)
		return -ENOENT;
	if (read_code(gb, f, end, code, &len) || gb->arch->access(code, len, end, &next))
		return -EBADMSG;
	return next.repeats ? -ENOENT : 0;
}

static uint8_t does_to_map(struct gobin *gb, uint64_t target)
{
	static const struct {
		const char *name;
		uint8_t does;
	} calls[] = { { "runtime.mapassign", ACCESS_WRITE },
		      { "runtime.mapdelete", ACCESS_WRITE },
		      { "runtime.mapclear", 0 }, /* by other registers */
		      { "runtime.mapaccess", ACCESS_READ } };
	struct gofunc f;

	if (pclntab_find_pc(gb->pcln, target, &f) || f.entry != target)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (begins(f.name, calls[i].name))
			return calls[i].does;
	return 0;
}

/*
 * Whether the instruction that ends there has loaded a map that is handed on to the runtime
 * with nothing in between that could order anything: no call, no jump, nothing atomic.
 */
static uint8_t find_map_use(struct gobin *gb, const struct gofunc *f, uint64_t at)
{
	enum { INSNS_MAX = 40 };
	uint8_t code[INSN_MAX];
	struct insn_access in;
	struct insn plain;
	size_t len;

	for (int i = 0; i < INSNS_MAX && at < f->end; i++, at += plain.len) {
		if (read_code(gb, f, at, code, &len) ||
		    gb->arch->decode(code, len, at, false, &plain) ||
		    gb->arch->access(code, len, at, &in))
			return 0;
		if (plain.flow == FLOW_CALL)
			return does_to_map(gb, plain.target);
		if (plain.flow != FLOW_NEXT || in.does & ACCESS_ATOMIC || in.repeats ||
		    in.written >> HIT_MAP_REG & 1)
			return 0;
	}
	return 0;
}

/* ---- the frames ---- */

/* Those of a call or an access before pc; whose they are, and whether they are atomic. */
static enum hit_of take_frames(struct hit_sites *a, uint64_t pc, struct hit_site *s)
{
	struct goframe f[FRAMES_MAX];
	int n = pclntab_frames(a->rt->gb->pcln, pc - a->rt->bias, true, f, FRAMES_MAX), i = 0;
	enum hit_of of;

	if (n <= 0)
		return HIT_UNKNOWN;
	for (; i < n && is_atomic(f[i].function); i++)
		s->does |= ACCESS_ATOMIC;
	if (i == n || is_mover(f[i].function))
		return HIT_UNKNOWN; /* who called it? */
	of = of_name(f[i].function);
	for (s->nframe = 0; i < n && s->nframe < HIT_FRAMES; i++)
		s->frame[s->nframe++] = place_of_frame(&f[i]);
	return of;
}

static bool has_no_frame(struct hit_sites *a, uint64_t pc)
{
	int32_t bytes;

	return !pclntab_frame_size(a->rt->gb->pcln, pc - a->rt->bias - 1, &bytes) && !bytes;
}

int hit_sites_first_caller(struct hit_sites *a, const struct gs_watch_hit *h)
{
	return has_no_frame(a, h->pc) ? 0 : 1;
}

/* Whose access it is that a mover, or a function of package atomic, makes: that of the innermost
 * caller that is none. */
static enum hit_of take_caller(struct hit_sites *a, const struct gs_watch_hit *h,
			       struct hit_site *s)
{
	int i = hit_sites_first_caller(a, h);

	for (; i < GS_WATCH_FRAMES; i++) {
		struct gofunc f;
		uint64_t pc = h->frame[i] - a->rt->bias;

		if (!h->frame[i] || pclntab_find_pc(a->rt->gb->pcln, pc - 1, &f))
			return HIT_UNKNOWN;
		if (is_mover(f.name) || is_atomic(f.name)) {
			s->does |= is_atomic(f.name) ? ACCESS_ATOMIC : 0;
			continue;
		}
		s->caller = h->frame[i];
		return take_frames(a, s->caller, s);
	}
	return HIT_UNKNOWN;
}

static void look(struct hit_sites *a, const struct gs_watch_hit *h, struct hit_site *s)
{
	struct gobin *gb = a->rt->gb;
	struct insn_access in;
	struct gofunc f;
	bool handed;

	s->of = HIT_UNKNOWN;
	if (!gb->arch || pclntab_find_pc(gb->pcln, h->pc - a->rt->bias - 1, &f))
		return;
	if (f.flag & FUNC_ASM && reads_beyond(f.name))
		return;
	handed = is_mover(f.name) || is_atomic(f.name);
	s->of = handed ? HIT_UNKNOWN : of_name(f.name);
	if (f.flag & FUNC_ASM && !handed && s->of == HIT_OF_PROGRAM)
		s->of = HIT_UNKNOWN; /* of what is written in assembly a plain store may release a lock */
	if (s->of == HIT_UNKNOWN && !handed)
		return;
	if (s->of == HIT_OF_MAP || s->of == HIT_OF_RUNTIME)
		return;
	if (find_instruction(gb, &f, h->pc - a->rt->bias, &in) || !in.does) {
		s->of = HIT_UNKNOWN;
		return;
	}
	s->does = in.does;
	s->at = in.at;
	s->written = in.written;
	if (in.does == ACCESS_READ && in.at.size == 8 && in.written == 1u << HIT_MAP_REG)
		s->map = find_map_use(gb, &f, h->pc - a->rt->bias);
	s->of = handed ? take_caller(a, h, s) : take_frames(a, h->pc, s);
}

/* Of a mover the callers matter. */
static uint64_t key_of(const struct hit_sites *a, const struct gs_watch_hit *h)
{
	uint64_t key = hash_u64(h->pc);
	struct gofunc f;

	if (!pclntab_find_pc(a->rt->gb->pcln, h->pc - a->rt->bias - 1, &f) &&
	    (is_mover(f.name) || is_atomic(f.name)))
		for (int i = 0; i < GS_WATCH_FRAMES; i++)
			key = hash_u64(key ^ h->frame[i]);
	return key;
}

int hit_sites_find(struct hit_sites *a, const struct gs_watch_hit *h)
{
	bool made;
	uint64_t *at = u64map_put(&a->known, key_of(a, h), a->n + 1, &made);

	if (!at)
		return -ENOMEM;
	if (!made)
		return (int)*at - 1;
	if (array_room(&a->site, a->n, &a->cap, sizeof(*a->site))) {
		*at = 1;
		return -ENOMEM;
	}
	a->site[a->n] = (struct hit_site){ .pc = h->pc };
	look(a, h, &a->site[a->n]);
	return (int)a->n++;
}

/* ---- bytes ---- */

static bool is_kept(const struct hit_site *s, uint8_t reg)
{
	return reg < EFFECT_REGS && !(s->written >> reg & 1);
}

bool hit_site_address(const struct hit_site *s, const struct gs_watch_hit *h, uint64_t bias,
		      uint64_t *out)
{
	const struct operand *o = &s->at;

	if (o->kind != OPERAND_MEM || !o->size)
		return false;
	if ((o->reg < EFFECT_REGS && !is_kept(s, o->reg)) ||
	    (o->index < EFFECT_REGS && !is_kept(s, o->index)))
		return false;
	*out = (uint64_t)o->value;
	*out += o->reg == EFFECT_PC ? bias : o->reg < EFFECT_REGS ? h->reg[o->reg] : 0;
	*out += o->index < EFFECT_REGS ? h->reg[o->index] * o->scale : 0;
	return true;
}

int hit_site_bytes(const struct hit_site *s, const struct gs_watch_hit *h, uint64_t bias,
		   uint64_t addr, uint32_t len, uint32_t *lo, uint32_t *hi)
{
	const struct operand *o = &s->at;
	uint64_t at;

	if (!hit_site_address(s, h, bias, &at))
		return 0;
	if (at >= addr + len || at + o->size <= addr)
		return -1;
	*lo = at > addr ? (uint32_t)(at - addr) : 0;
	*hi = at + o->size < addr + len ? (uint32_t)(at + o->size - addr) : len;
	return 1;
}

/* ---- maps ---- */

size_t hit_sites_map_code(struct goruntime *rt, struct gs_watch_range *out, size_t max)
{
	struct pclntab *p = rt->gb->pcln;
	int nfunc = pclntab_nfunc(p);
	struct gofunc f;
	size_t n = 0;

	for (int i = 0; i < nfunc; i++) {
		if (pclntab_func_at(p, (uint32_t)i, &f) || !is_map(f.name))
			continue;
		if (n && out[n - 1].hi == f.entry + rt->bias)
			out[n - 1].hi = f.end + rt->bias;
		else if (n < max)
			out[n++] = (struct gs_watch_range){ f.entry + rt->bias, f.end + rt->bias };
	}
	return n;
}
