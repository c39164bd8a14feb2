/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/lock_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/effect.h"
#include "base/vec.h"
#include "gobin/gobin.h"

enum {
	MAX_CODE = 64 << 10,
	SLOTS = 48,   /* of the stack that are followed */
	JOINS = 256,  /* jumps forward that have not arrived yet */
	READERS = 16, /* offset of sync.RWMutex.readerCount, since ever */
	FRAMES = 8
};

/* ---- what is known at one place ---- */

struct slot {
	int64_t at;
	struct named v;
};

struct known {
	struct named r[EFFECT_REGS];
	struct slot slot[SLOTS];
	int nslot;
};

struct join {
	uint64_t at;
	struct known known;
};

struct walk {
	struct lock_walk *out;
	struct gobin *gb;
	const struct walk_listener *listener; /* or NULL */
	struct gofunc f;
	struct known now;
	struct join join[JOINS];
	int njoin;
	uint8_t code[MAX_CODE];
};

static bool is_same(struct named a, struct named b)
{
	return a.token == b.token && a.off == b.off;
}

static struct named slot_at(const struct known *k, int64_t at)
{
	for (int i = 0; i < k->nslot; i++)
		if (k->slot[i].at == at)
			return k->slot[i].v;
	return (struct named){ 0 };
}

static void meet(struct known *a, const struct known *b)
{
	int n = 0;

	for (int i = 0; i < EFFECT_REGS; i++)
		if (!is_same(a->r[i], b->r[i]))
			a->r[i] = (struct named){ 0 };
	for (int i = 0; i < a->nslot; i++)
		if (is_same(a->slot[i].v, slot_at(b, a->slot[i].at)))
			a->slot[n++] = a->slot[i];
	a->nslot = n;
}

static void store_slot(struct known *k, int64_t at, struct named v)
{
	for (int i = 0; i < k->nslot; i++)
		if (k->slot[i].at == at) {
			k->slot[i].v = v;
			return;
		}
	if (v.token && k->nslot < SLOTS)
		k->slot[k->nslot++] = (struct slot){ at, v };
}

/* ---- names of pointers ---- */

static struct named token(struct lock_walk *w, enum token_kind kind, uint16_t parent, int64_t off)
{
	for (uint16_t i = 1; i < w->ntoken; i++)
		if (w->token[i].kind == kind && w->token[i].parent == parent &&
		    w->token[i].off == off)
			return (struct named){ i, 0 };
	if (w->ntoken == LOCK_TOKENS)
		return (struct named){ 0 };
	w->token[w->ntoken] = (struct token){ (uint8_t)kind, parent, off };
	return (struct named){ w->ntoken++, 0 };
}

/* The address that an operand names. */
static struct named address_of(struct walk *s, const struct operand *o)
{
	struct named n = { 0 };

	if (o->kind != OPERAND_MEM || o->index != EFFECT_NO_REG)
		return n;
	if (o->reg == EFFECT_PC)
		return (struct named){ token(s->out, TOKEN_ADDRESS, 0, 0).token, o->value };
	if (o->reg < EFFECT_REGS && o->reg != EFFECT_SP)
		n = s->now.r[o->reg];
	n.off += n.token ? o->value : 0;
	return n;
}

static bool is_slot(const struct operand *o)
{
	return o->kind == OPERAND_MEM && o->reg == EFFECT_SP && o->index == EFFECT_NO_REG;
}

/* What a load from there gives. */
static struct named load(struct walk *s, const struct operand *o)
{
	struct named at = address_of(s, o);

	if (is_slot(o))
		return slot_at(&s->now, o->value);
	return at.token ? token(s->out, TOKEN_LOAD, at.token, at.off) : at;
}

/* ---- locks ---- */

enum sync_kind { SYNC_NONE, SYNC_MUTEX, SYNC_RW, SYNC_READ, SYNC_END, SYNC_OTHER };

static enum sync_kind kind_of(const char *name)
{
	static const struct {
		const char *name;
		enum sync_kind kind;
	} all[] = {
		{ "sync.(*Mutex).Lock", SYNC_MUTEX },
		{ "sync.(*Mutex).TryLock", SYNC_MUTEX },
		{ "internal/sync.(*Mutex).Lock", SYNC_MUTEX },
		{ "internal/sync.(*Mutex).TryLock", SYNC_MUTEX },
		{ "sync.(*Mutex).lockSlow", SYNC_MUTEX },
		{ "internal/sync.(*Mutex).lockSlow", SYNC_MUTEX },
		{ "sync.(*Mutex).", SYNC_END },
		{ "internal/sync.(*Mutex).", SYNC_END },
		{ "sync.(*RWMutex).Lock", SYNC_RW },
		{ "sync.(*RWMutex).TryLock", SYNC_RW },
		{ "sync.(*RWMutex).RLock", SYNC_READ },
		{ "sync.(*RWMutex).TryRLock", SYNC_READ },
		{ "sync.(*RWMutex).", SYNC_END },
		{ "sync.runtime_Sem", SYNC_END },
		{ "internal/sync.runtime_Sem", SYNC_END },
		{ "sync.throw", SYNC_END },
		{ "sync.", SYNC_OTHER },
		{ "internal/sync.", SYNC_OTHER },
		{ "golang.org/x/sync/", SYNC_OTHER },
		{ "runtime.chan", SYNC_OTHER },
		{ "runtime.closechan", SYNC_OTHER },
		{ "runtime.selectgo", SYNC_OTHER },
		{ "runtime.selectnb", SYNC_OTHER },
		{ "runtime.newproc", SYNC_OTHER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!strncmp(name, all[i].name, strlen(all[i].name)))
			return all[i].kind;
	return SYNC_NONE;
}

static void add_op(struct walk *s, struct named at, bool rw, bool sure, uint64_t text_addr)
{
	struct lock_walk *w = s->out;

	for (int i = 0; i < w->nop; i++)
		if (at.token && is_same(w->op[i].at, at)) {
			w->op[i].sure |= sure;
			return;
		}
	if (w->nop == LOCK_OPS)
		w->orders = true;
	else
		w->op[w->nop++] = (struct lock_op){ at, rw, sure, text_addr };
}

static void call(struct walk *s, const struct effect *e, uint64_t at)
{
	struct named first = s->now.r[s->gb->arch->abi[0]];
	enum sync_kind kind = SYNC_NONE;
	struct gofunc f;

	if (e->flow == FLOW_CALL && !pclntab_find_pc(s->gb->pcln, e->target, &f))
		kind = kind_of(f.name);
	s->out->orders |= kind == SYNC_OTHER;
	if (kind == SYNC_RW || kind == SYNC_READ)
		first.off += READERS;
	if (kind == SYNC_MUTEX || kind == SYNC_RW || kind == SYNC_READ)
		add_op(s, first, kind != SYNC_MUTEX, true, at);
	memset(s->now.r, 0, sizeof(s->now.r));
}

/* With LOCK, or an exchange: a lock that is taken or given back, or other means of order. */
static void atomic(struct walk *s, const struct effect *e, uint64_t at)
{
	struct named place = address_of(s, &e->access.at);
	struct goframe f[FRAMES];
	int n = pclntab_frames(s->gb->pcln, at, false, f, FRAMES);
	enum sync_kind kind = SYNC_NONE;

	for (int i = 0; i < n && (kind == SYNC_NONE || kind == SYNC_OTHER); i++)
		kind = kind_of(f[i].function);
	if (kind == SYNC_OTHER)
		s->out->orders = true;
	else if (kind == SYNC_NONE && e->kind == EFFECT_COMPARE_EXCHANGE)
		add_op(s, place, false, false, at); /* Go 1.27: a Mutex's, by its slow path */
	else if (kind == SYNC_NONE)
		s->out->atomics = true;
	else if (kind != SYNC_END)
		add_op(s, place, kind != SYNC_MUTEX, true, at);
}

/* ---- one instruction ---- */

static struct named result_of(struct walk *s, const struct effect *e)
{
	struct named n = { 0 };

	if (e->dst.size != 8)
		return n;
	if (e->kind == EFFECT_ADDRESS)
		return address_of(s, &e->src);
	if (e->kind == EFFECT_MOVE && e->src.kind == OPERAND_REG && e->src.reg < EFFECT_REGS)
		return s->now.r[e->src.reg];
	if (e->kind == EFFECT_MOVE && e->src.kind == OPERAND_MEM && e->src.size == 8)
		return load(s, &e->src);
	if ((e->kind == EFFECT_ADD || e->kind == EFFECT_SUB) && e->src.kind == OPERAND_IMM &&
	    e->dst.kind == OPERAND_REG && e->dst.reg < EFFECT_REGS) {
		n = s->now.r[e->dst.reg];
		if (n.token)
			n.off += e->kind == EFFECT_ADD ? e->src.value : -e->src.value;
	}
	return n;
}

static void change(struct walk *s, const struct effect *e)
{
	bool to_register = e->dst.kind == OPERAND_REG && e->dst.reg < EFFECT_REGS;
	struct named n = result_of(s, e);

	if (e->kind == EFFECT_MOVE && is_slot(&e->dst))
		store_slot(&s->now, e->dst.value, n);
	for (int i = 0; i < EFFECT_REGS; i++)
		if (e->written >> i & 1)
			s->now.r[i] = (struct named){ 0 };
	if (to_register && e->written >> e->dst.reg & 1)
		s->now.r[e->dst.reg] = n;
	if (e->written >> EFFECT_SP & 1)
		s->now.nslot = 0;
}

static void leave(struct walk *s, const struct effect *e, uint64_t at)
{
	if (e->target <= at || e->target >= s->f.end)
		return;
	for (int i = 0; i < s->njoin; i++)
		if (s->join[i].at == e->target) {
			meet(&s->join[i].known, &s->now);
			return;
		}
	if (s->njoin < JOINS)
		s->join[s->njoin++] = (struct join){ e->target, s->now };
}

static void arrive(struct walk *s, uint64_t at, bool *reached)
{
	for (int i = 0; i < s->njoin; i++) {
		if (s->join[i].at != at)
			continue;
		if (*reached)
			meet(&s->now, &s->join[i].known);
		else
			s->now = s->join[i].known;
		s->join[i] = s->join[--s->njoin];
		*reached = true;
		return;
	}
	if (!*reached)
		memset(&s->now, 0, sizeof(s->now));
	*reached = true;
}

static void take_arguments(struct walk *s)
{
	for (int i = 0; i < ARCH_ABI_WORDS; i++)
		s->out->arg[i] = s->now.r[s->gb->arch->abi[i]];
}

static void tell(struct walk *s, const struct effect *e, uint64_t at)
{
	struct named place = address_of(s, &e->access.at);

	if (e->access.does && place.token)
		s->listener->touched(s->listener->arg, at, &e->access, place);
	if (e->flow != FLOW_CALL)
		return;
	take_arguments(s);
	s->listener->called(s->listener->arg, e->target, s->out);
}

static int follow(struct walk *s, uint64_t text_end)
{
	bool reached = true;
	struct effect e;

	for (uint64_t at = s->f.entry; at < s->f.end; at += e.len) {
		if (s->gb->arch->effect(s->code + (at - s->f.entry), s->f.end - at, at, &e))
			return -EBADMSG;
		arrive(s, at, &reached);
		if (at + e.len == text_end && e.flow == FLOW_NEXT)
			s->out->at = address_of(s, &e.access.at);
		if (at + e.len == text_end)
			take_arguments(s);
		if (s->listener)
			tell(s, &e, at);
		if (e.access.does & ACCESS_ATOMIC)
			atomic(s, &e, at);
		if (e.flow == FLOW_JCC || e.flow == FLOW_JMP)
			leave(s, &e, at);
		if (e.flow == FLOW_CALL || e.flow == FLOW_CALL_INDIRECT)
			call(s, &e, at);
		else if (e.flow == FLOW_NEXT)
			change(s, &e);
		else if (e.flow != FLOW_JCC)
			reached = false;
	}
	return 0;
}

/* A compare-and-swap that is no Mutex's. */
static void drop_unsure(struct lock_walk *w)
{
	int n = 0;

	for (int i = 0; i < w->nop; i++)
		if (w->op[i].sure)
			w->op[n++] = w->op[i];
		else
			w->orders = true;
	w->nop = n;
}

static int walk(struct lock_walk *w, struct gobin *gb, uint64_t within, uint64_t text_end,
		const struct walk_listener *listener)
{
	struct walk *s;
	size_t len;
	int err;

	memset(w, 0, sizeof(*w));
	w->ntoken = 1;
	s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	memset(&s->now, 0, sizeof(s->now));
	s->njoin = 0;
	s->out = w;
	s->gb = gb;
	s->listener = listener;
	err = gb->arch ? pclntab_find_pc(gb->pcln, within, &s->f) : -EOPNOTSUPP;
	len = err ? 0 : (size_t)(s->f.end - s->f.entry);
	if (!err)
		err = len > MAX_CODE ? -E2BIG
				     : image_read_addr(&gb->image, s->f.entry, s->code, len);
	for (int i = 0; !err && i < ARCH_ABI_WORDS; i++)
		s->now.r[gb->arch->abi[i]] = token(w, TOKEN_ENTRY, 0, gb->arch->abi[i]);
	if (!err)
		err = follow(s, text_end);
	drop_unsure(w);
	free(s);
	return err;
}

int lock_walk(struct lock_walk *w, struct gobin *gb, uint64_t text_end)
{
	return walk(w, gb, text_end - 1, text_end, NULL);
}

int lock_walk_all(struct lock_walk *w, struct gobin *gb, uint64_t entry,
		  const struct walk_listener *listener)
{
	return walk(w, gb, entry, 0, listener);
}
