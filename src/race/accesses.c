/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/accesses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/effect.h"
#include "base/cursor.h"
#include "base/map.h"
#include "base/vec.h"
#include "gobin/gobin.h"

enum {
	FLAG_ASSEMBLY = 4,
	MAX_CODE = 256 << 10, /* bytes of a function; longer ones are not looked into */
	MAX_OFFSET = 64 << 10,
	MAX_OWNED = 1 << 16,
	HANDED_MAX = 1 << 16,
	REG_BARRIER = 11, /* where the write barrier puts what it is told (1.21 on) */
	MODRM_PC = 0x05   /* mod 0, r/m 5: relative to the instruction pointer */
};

/* ---- what a register holds ---- */

enum holds { HOLDS_UNKNOWN, HOLDS_ADDRESS /* of a variable */, HOLDS_POINTER /* out of one */ };

struct held {
	uint64_t addr; /* the variable */
	uint32_t off;  /* added to what it holds */
	uint32_t from; /* the access that loaded it + 1; 0: none */
	uint8_t holds;
};

struct regs {
	struct held r[EFFECT_REGS];
	bool barrier; /* REG_BARRIER is the write barrier's */
};

static bool is_same_held(const struct held *a, const struct held *b)
{
	return a->holds == b->holds && a->addr == b->addr && a->off == b->off;
}

/* What is true on both ways. */
static void meet(struct regs *a, const struct regs *b)
{
	a->barrier = false;
	for (int i = 0; i < EFFECT_REGS; i++) {
		a->r[i].from = 0;
		if (!is_same_held(&a->r[i], &b->r[i]))
			a->r[i] = (struct held){ .holds = HOLDS_UNKNOWN };
	}
}

/* ---- one function ---- */

enum callee { CALLEE_OTHER, CALLEE_BARRIER, CALLEE_OWNER };

struct line {
	struct effect e;
	uint32_t at;  /* offset in the function */
	int32_t join; /* what is known where jumps forward arrive; -1: nothing arrives, -2: a loop */
};

enum { NO_JOIN = -1, LOOP = -2 };

struct join {
	struct regs regs;
	bool set;
};

struct scan {
	struct accesses *l;
	struct gobin *gb;
	struct u64map callees; /* entry -> enum callee */
	struct line *line;     /* owned, of the function at hand; as are the joins */
	size_t n, cap;
	struct join *join;
	size_t njoin, join_cap;
	uint8_t code[MAX_CODE];
	struct gofunc f;
	bool init;
};

static int by_offset(const void *a, const void *b)
{
	const uint32_t *at = a;
	const struct line *l = b;

	return *at < l->at ? -1 : *at > l->at;
}

static struct line *target_of(struct scan *s, const struct effect *e)
{
	uint32_t at = (uint32_t)(e->target - s->f.entry);

	if ((e->flow != FLOW_JCC && e->flow != FLOW_JMP) || e->target < s->f.entry ||
	    e->target >= s->f.end)
		return NULL;
	return bsearch(&at, s->line, s->n, sizeof(*s->line), by_offset);
}

static int decode(struct scan *s, size_t len)
{
	s->n = s->njoin = 0;
	for (size_t at = 0; at < len;) {
		struct line *l;
		int err = array_room(&s->line, s->n, &s->cap, sizeof(*s->line));

		if (err)
			return err;
		l = &s->line[s->n++];
		l->at = (uint32_t)at;
		l->join = NO_JOIN;
		if (s->gb->arch->effect(s->code + at, len - at, s->f.entry + at, &l->e))
			return -EBADMSG;
		at += l->e.len;
	}
	s->l->instructions += s->n;
	return 0;
}

static int find_joins(struct scan *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct line *to = target_of(s, &s->line[i].e);
		int err;

		if (!to || to->join == LOOP)
			continue;
		if (to <= &s->line[i]) {
			to->join = LOOP;
			continue;
		}
		if (to->join != NO_JOIN)
			continue;
		err = array_room(&s->join, s->njoin, &s->join_cap, sizeof(*s->join));
		if (err)
			return err;
		s->join[s->njoin].set = false;
		to->join = (int32_t)s->njoin++;
	}
	return 0;
}

/* ---- accesses ---- */

static bool is_variable(const struct scan *s, uint64_t addr)
{
	return moduledata_has_variable(&s->gb->mod, addr);
}

/* The variable, or the place behind one, that an operand names. */
static bool place_of(const struct scan *s, const struct regs *regs, const struct operand *m,
		     struct held *out)
{
	const struct held *base;

	if (m->kind != OPERAND_MEM || m->index != EFFECT_NO_REG)
		return false;
	if (m->reg == EFFECT_PC) {
		*out = (struct held){ .addr = (uint64_t)m->value, .holds = HOLDS_ADDRESS };
		return is_variable(s, out->addr);
	}
	if (m->reg >= EFFECT_REGS)
		return false;
	base = &regs->r[m->reg];
	*out = *base;
	if (base->holds == HOLDS_ADDRESS) {
		out->addr += (uint64_t)m->value;
		return is_variable(s, out->addr);
	}
	out->off = (uint32_t)(base->off + m->value);
	return base->holds == HOLDS_POINTER && m->value > -MAX_OFFSET && m->value < MAX_OFFSET &&
	       out->off < MAX_OFFSET;
}

int accesses_add(struct accesses *l, const struct access *a)
{
	int err;

	if (l->n == ACCESSES_MAX) {
		l->dropped++;
		return 0;
	}
	err = array_room(&l->a, l->n, &l->cap, sizeof(*l->a));
	if (!err)
		l->a[l->n++] = *a;
	return err;
}

/* Word by word. */
static int add(struct scan *s, const struct line *line, const struct held *p)
{
	uint64_t at = p->addr + p->off, end = at + line->e.access.at.size;
	bool via = p->holds == HOLDS_POINTER;
	int err = 0;

	if (via) {
		at = p->off;
		end = at + line->e.access.at.size;
	}
	for (uint64_t next; at < end && !err; at = next) {
		struct access a = { .text_addr = s->f.entry + line->at,
				    .func = s->f.index,
				    .does = line->e.access.does,
				    .init = s->init,
				    .via = via };

		next = (at | 7) + 1 < end ? (at | 7) + 1 : end;
		a.addr = via ? p->addr : at;
		a.off = via ? (uint32_t)at : 0;
		a.size = (uint8_t)(next - at);
		err = accesses_add(s->l, &a);
	}
	return err;
}

/* What the write barrier is given is not read by the program. */
static void take_barrier(struct scan *s, const struct regs *regs, const struct effect *e)
{
	const struct held *src = e->src.kind == OPERAND_REG && e->src.reg < EFFECT_REGS
					 ? &regs->r[e->src.reg]
					 : NULL;

	if (regs->barrier && src && src->from && e->dst.kind == OPERAND_MEM &&
	    e->dst.reg == REG_BARRIER)
		s->l->a[src->from - 1].barrier = true;
}

static int look_at(struct scan *s, const struct regs *regs, const struct line *line)
{
	struct held place;

	take_barrier(s, regs, &line->e);
	if (!line->e.access.does || !place_of(s, regs, &line->e.access.at, &place))
		return 0;
	return add(s, line, &place);
}

/* ---- what registers hold afterwards ---- */

int accesses_add_owned(struct accesses *l, uint64_t addr)
{
	int err = l->nowned == MAX_OWNED
			  ? 0
			  : array_room(&l->owned, l->nowned, &l->owned_cap, sizeof(*l->owned));

	if (!err && l->nowned < MAX_OWNED)
		l->owned[l->nowned++] = addr;
	return err;
}

int accesses_add_handed(struct accesses *l, const struct handed *h)
{
	int err = l->nhanded == HANDED_MAX
			  ? 0
			  : array_room(&l->handed, l->nhanded, &l->handed_cap, sizeof(*l->handed));

	if (l->nhanded == HANDED_MAX)
		l->dropped++;
	else if (!err)
		l->handed[l->nhanded++] = *h;
	return err;
}

/* What another function is given of the variables. */
static int take_handed(struct scan *s, const struct regs *regs, uint64_t target)
{
	int err = 0;

	for (int i = 0; i < ARCH_ABI_WORDS && !err; i++) {
		const struct held *h = &regs->r[s->gb->arch->abi[i]];

		if (h->holds != HOLDS_UNKNOWN)
			err = accesses_add_handed(
				s->l, &(struct handed){ .target = target,
							.addr = h->addr,
							.off = h->off,
							.reg = s->gb->arch->abi[i],
							.via = h->holds == HOLDS_POINTER,
							.init = s->init });
	}
	return err;
}

/* A map or channel that is given to the runtime: which of the registers it is, is not asked. */
static int take_owned(struct scan *s, const struct regs *regs)
{
	int err = 0;

	for (int i = 0; i < ARCH_ABI_WORDS && !err; i++) {
		const struct held *h = &regs->r[s->gb->arch->abi[i]];

		if (h->holds == HOLDS_POINTER && !h->off)
			err = accesses_add_owned(s->l, h->addr);
	}
	return err;
}

static int call(struct scan *s, struct regs *regs, const struct effect *e)
{
	uint64_t *known = u64map_find(&s->callees, e->target);
	int err = 0;

	if (e->flow == FLOW_CALL && known && *known == CALLEE_BARRIER) {
		regs->r[REG_BARRIER].holds = HOLDS_UNKNOWN;
		regs->barrier = true;
		return 0;
	}
	if (e->flow == FLOW_CALL && known && *known == CALLEE_OWNER)
		err = take_owned(s, regs);
	else if (e->flow == FLOW_CALL && !known)
		err = take_handed(s, regs, e->target);
	memset(regs, 0, sizeof(*regs));
	return err;
}

/* What the destination of a move or a LEA then holds. */
static struct held moved(const struct scan *s, const struct regs *regs, const struct effect *e,
			 size_t before)
{
	struct held h = { .holds = HOLDS_UNKNOWN }, place;

	if (e->dst.size != 8)
		return h;
	if (e->kind == EFFECT_MOVE && e->src.kind == OPERAND_REG && e->src.reg < EFFECT_REGS)
		return regs->r[e->src.reg];
	if (!place_of(s, regs, &e->src, &place))
		return h;
	if (e->kind == EFFECT_ADDRESS) {
		place.from = 0;
		return place;
	}
	if (e->kind != EFFECT_MOVE || e->src.size != 8)
		return h;
	h.from = s->l->n > before ? (uint32_t)s->l->n : 0;
	if (place.holds == HOLDS_ADDRESS) {
		h.holds = HOLDS_POINTER;
		h.addr = place.addr;
	}
	return h;
}

static void change(const struct scan *s, struct regs *regs, const struct effect *e, size_t before)
{
	struct held h = { .holds = HOLDS_UNKNOWN };
	bool to_register = e->dst.kind == OPERAND_REG && e->dst.reg < EFFECT_REGS;

	if (to_register && (e->kind == EFFECT_MOVE || e->kind == EFFECT_ADDRESS))
		h = moved(s, regs, e, before);
	for (int i = 0; i < EFFECT_REGS; i++)
		if (e->written >> i & 1)
			regs->r[i] = (struct held){ .holds = HOLDS_UNKNOWN };
	if (to_register && e->written >> e->dst.reg & 1)
		regs->r[e->dst.reg] = h;
	if (e->written >> REG_BARRIER & 1)
		regs->barrier = false;
}

static void arrive(struct scan *s, struct regs *regs, const struct line *line, bool *reached)
{
	const struct join *j = line->join >= 0 ? &s->join[line->join] : NULL;

	if (j && j->set && *reached)
		meet(regs, &j->regs);
	else if (j && j->set)
		*regs = j->regs;
	else if (line->join == LOOP || !*reached)
		memset(regs, 0, sizeof(*regs));
	*reached = true;
}

static void leave(struct scan *s, const struct regs *regs, const struct line *line)
{
	const struct line *to = target_of(s, &line->e);
	struct join *j = to && to > line && to->join >= 0 ? &s->join[to->join] : NULL;

	if (!j)
		return;
	if (j->set) {
		meet(&j->regs, regs);
		return;
	}
	j->regs = *regs;
	j->set = true;
}

static int follow(struct scan *s)
{
	struct regs regs = { 0 };
	bool reached = true;
	int err = 0;

	for (size_t i = 0; i < s->n && !err; i++) {
		const struct line *line = &s->line[i];
		size_t before = s->l->n;

		arrive(s, &regs, line, &reached);
		err = look_at(s, &regs, line);
		leave(s, &regs, line);
		if (line->e.flow == FLOW_CALL || line->e.flow == FLOW_CALL_INDIRECT)
			err = err ? err : call(s, &regs, &line->e);
		else if (line->e.flow == FLOW_NEXT)
			change(s, &regs, &line->e, before);
		else if (line->e.flow != FLOW_JCC)
			reached = false;
	}
	return err;
}

/* ---- all ---- */

static bool begins_with_any(const char *s, const char *const *prefix, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strncmp(s, prefix[i], strlen(prefix[i])))
			return true;
	return false;
}

bool accesses_leave_out(const char *name)
{
	static const char *const out[] = { "sync.",
					   "sync/",
					   "internal/sync.",
					   "internal/bytealg.",
					   "internal/cpu.",
					   "reflect.",
					   "internal/reflectlite.",
					   "go:",
					   "type:.",
					   "type..",
					   "_cgo",
					   "_rt0_" };
	struct goframe f = { .function = name };

	return goframe_is_runtime(&f) || begins_with_any(name, out, ARRAY_SIZE(out));
}

/* "main.init", "main.init.0", "main.map.init.0": not what they have as closures, which may run
 * at any time. */
bool accesses_is_init(const char *name)
{
	const char *slash = strrchr(name, '/'), *dot = strchr(slash ? slash : name, '.');

	if (!dot || !strncmp(dot, ".map.init.", 10))
		return dot;
	return !strncmp(dot, ".init", 5) &&
	       (!dot[5] || (dot[5] == '.' && dot[6 + strspn(dot + 6, "0123456789")] == '\0'));
}

/* Whether bytes of it may be an operand among the variables: quick, and before decoding. */
static bool may_touch(const struct scan *s, size_t len)
{
	const struct moduledata *m = &s->gb->mod;
	uint64_t low = m->noptrdata < m->data ? m->noptrdata : m->data;
	uint64_t high = m->enoptrbss > m->ebss ? m->enoptrbss : m->ebss;

	for (size_t i = 1; i + 5 <= len; i++) {
		uint64_t at = s->f.entry + i + 5 + (uint64_t)(int32_t)load_u32(s->code + i + 1);

		if ((s->code[i] & 0xc7) == MODRM_PC && at >= low && at < high)
			return true;
	}
	return false;
}

static int look_into(struct scan *s)
{
	size_t len = s->f.end > s->f.entry ? s->f.end - s->f.entry : 0;
	int err;

	if (!len || s->f.flag & FLAG_ASSEMBLY || accesses_leave_out(s->f.name))
		return 0;
	if (len > MAX_CODE || image_read_addr(&s->gb->image, s->f.entry, s->code, len)) {
		s->l->dropped++;
		return 0;
	}
	if (!may_touch(s, len))
		return 0;
	s->l->functions++;
	s->init = accesses_is_init(s->f.name);
	err = decode(s, len);
	if (!err)
		err = find_joins(s);
	if (!err)
		err = follow(s);
	if (err != -EBADMSG)
		return err;
	s->l->dropped++;
	return 0;
}

bool accesses_is_owner(const char *name)
{
	static const char *const owner[] = { "runtime.map", "runtime.chan", "runtime.closechan",
					     "runtime.selectnb", "internal/runtime/maps." };

	return begins_with_any(name, owner, ARRAY_SIZE(owner));
}

/* Who takes a map or a channel, and who is told of pointers, by name. */
static enum callee callee_of(const char *name)
{
	if (!strncmp(name, "runtime.gcWriteBarrier", 22))
		return CALLEE_BARRIER;
	return accesses_is_owner(name) ? CALLEE_OWNER : CALLEE_OTHER;
}

static int find_callees(struct scan *s)
{
	int n = pclntab_nfunc(s->gb->pcln);

	u64map_init(&s->callees, 4096);
	for (int i = 0; i < n; i++) {
		struct gofunc f;
		enum callee c = pclntab_func_at(s->gb->pcln, (uint32_t)i, &f) ? CALLEE_OTHER
									      : callee_of(f.name);

		if (c != CALLEE_OTHER && !u64map_put(&s->callees, f.entry, c, NULL))
			return -ENOMEM;
	}
	return 0;
}

int accesses_find(struct accesses *l, struct gobin *gb)
{
	int err, n = pclntab_nfunc(gb->pcln);
	struct scan *s;

	memset(l, 0, sizeof(*l));
	if (!gb->arch)
		return -EOPNOTSUPP;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->l = l;
	s->gb = gb;
	err = find_callees(s);
	for (int i = 0; i < n && !err; i++)
		if (!pclntab_func_at(gb->pcln, (uint32_t)i, &s->f))
			err = look_into(s);
	if (!err)
		err = accesses_follow_handed(l, gb);
	if (l->nowned)
		qsort(l->owned, l->nowned, sizeof(*l->owned), by_u64);
	u64map_deinit(&s->callees);
	free(s->line);
	free(s->join);
	free(s);
	return err;
}

void accesses_deinit(struct accesses *l)
{
	free(l->a);
	free(l->owned);
	free(l->handed);
	memset(l, 0, sizeof(*l));
}

bool accesses_is_owned(const struct accesses *l, uint64_t addr)
{
	return l->nowned && bsearch(&addr, l->owned, l->nowned, sizeof(addr), by_u64);
}
