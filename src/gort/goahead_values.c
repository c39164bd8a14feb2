/* SPDX-License-Identifier: BSD-2-Clause */
/* What registers, flags and memory hold on a path, as far as it is known. */
#include "gort/goahead_priv.h"

#include "base/addr.h"
#include "base/cursor.h"

#define MAX_READS 4096 /* words of one goroutine that are not on its stack */

uint64_t path_masked(uint64_t v, uint8_t size)
{
	return size >= 8 ? v : v & ((1ull << 8 * size) - 1);
}

static bool in_stack(const struct goahead *a, uint64_t addr)
{
	return addr >= a->base && addr < a->top;
}

bool goahead_read_word(struct goahead *a, uint64_t addr, uint64_t *out)
{
	if (addr >= a->base && addr - a->base + 8 <= a->len) {
		*out = load_u64(a->stack + (addr - a->base));
		return true;
	}
	return addr >= ADDR_PAGE && a->reads++ < MAX_READS && !mem_read_u64(a->rt->mem, addr, out);
}

static struct word *written(struct path *p, uint64_t addr)
{
	for (int i = p->nword; i-- > 0;)
		if (p->word[i].addr == addr)
			return &p->word[i];
	return NULL;
}

bool path_load(struct goahead *a, struct path *p, uint64_t addr, uint8_t size, uint64_t *out)
{
	const struct word *w = written(p, addr & ~7ull);
	uint64_t v;

	if (!size || size > 8 || addr % 8 + size > 8 || (w && !w->known))
		return false;
	if (w)
		v = w->value;
	else if (!goahead_read_word(a, addr & ~7ull, &v))
		return false;
	if (w ? !w->firm : p->soft_stack || !in_stack(a, addr))
		a->soft = true;
	*out = path_masked(v >> 8 * (addr % 8), size);
	return true;
}

/* What functions that have returned had on the stack. */
static void forget_returned(struct path *p)
{
	uint64_t sp = p->reg[EFFECT_SP];
	int n = 0;

	/* another stack's or the heap's addresses are far away */
	for (int i = 0; i < p->nword; i++)
		if (p->word[i].addr >= sp || sp - p->word[i].addr > STACK_BYTES)
			p->word[n++] = p->word[i];
	p->nword = n;
}

/* False: no room, the path has to end. */
bool path_store_word(struct path *p, uint64_t addr, bool known, bool firm, uint64_t value)
{
	struct word *w = written(p, addr);

	if (!w && p->nword == MAX_WORDS && p->known >> EFFECT_SP & 1)
		forget_returned(p);
	if (!w && p->nword == MAX_WORDS)
		return false;
	if (!w)
		w = &p->word[p->nword++];
	*w = (struct word){ addr, value, known, known && firm };
	return true;
}

static bool store(struct goahead *a, struct path *p, uint64_t addr, uint8_t size, bool known,
		  uint64_t value)
{
	uint64_t whole = addr & ~7ull, old, mask;
	int shift = (int)(addr % 8) * 8;

	if (size >= 8 ||
	    addr % 8 + size > 8) { /* of more than one word: all the same, or not known */
		bool exact = known && addr % 8 == 0 && (size == 8 || !value);

		for (uint64_t at = whole; at < addr + size; at += 8)
			if (!path_store_word(p, at, exact, !a->soft, value))
				return false;
		return true;
	}
	known = known && path_load(a, p, whole, 8, &old);
	if (!known)
		return path_store_word(p, whole, false, false, 0);
	mask = path_masked(UINT64_MAX, size) << shift;
	return path_store_word(p, whole, true, !a->soft, (old & ~mask) | (value << shift & mask));
}

bool path_get(struct goahead *a, const struct path *p, uint8_t r, uint64_t *out)
{
	if (r >= EFFECT_REGS || !(p->known >> r & 1))
		return false;
	if (!(p->firm >> r & 1))
		a->soft = true;
	*out = p->reg[r];
	return true;
}

void path_set(struct path *p, uint8_t r, bool known, bool firm, uint64_t v)
{
	if (r >= EFFECT_REGS)
		return;
	p->reg[r] = known ? v : 0;
	p->known = known ? p->known | 1u << r : p->known & ~(1u << r);
	p->firm = known && firm ? p->firm | 1u << r : p->firm & ~(1u << r);
}

bool path_address(struct goahead *a, const struct path *p, const struct operand *o, uint64_t *out)
{
	uint64_t base = a->rt->bias, index = 0;

	if (o->reg != EFFECT_PC && !path_get(a, p, o->reg, &base))
		return false;
	if (o->index != EFFECT_NO_REG && !path_get(a, p, o->index, &index))
		return false;
	*out = base + index * o->scale + (uint64_t)o->value;
	return true;
}

bool path_value(struct goahead *a, struct path *p, const struct operand *o, uint64_t *out)
{
	uint64_t addr;

	switch (o->kind) {
	case OPERAND_IMM:
		*out = (uint64_t)o->value;
		return true;
	case OPERAND_REG:
		*out = 0;
		if (o->reg != EFFECT_ZERO && !path_get(a, p, o->reg, out))
			return false;
		*out = path_masked(*out, o->size);
		return true;
	case OPERAND_MEM:
		return path_address(a, p, o, &addr) && path_load(a, p, addr, o->size, out);
	}
	return false;
}

static void soften(struct goahead *a, struct path *p)
{
	p->soft_stack = true;
	for (int i = 0; i < p->nword; i++)
		if (in_stack(a, p->word[i].addr))
			p->word[i].firm = false;
}

void path_soften(struct goahead *a, struct path *p, bool closure)
{
	/* rax, rbx, rcx, rdi, rsi, r8 to r11; rdx of a closure */
	uint32_t given = p->known & (0xfcbu | (closure ? 1u << CLOSURE : 0));

	for (uint8_t r = 0; r < EFFECT_REGS; r++)
		if (given >> r & 1 && in_stack(a, p->reg[r])) {
			soften(a, p);
			return;
		}
}

/* False: the path has to end. */
bool path_assign(struct goahead *a, struct path *p, const struct operand *o, bool known, uint64_t v)
{
	uint64_t addr, base;

	if (o->kind == OPERAND_REG) { /* of one or two bytes: the others stay */
		path_set(p, o->reg, known && o->size >= 4, !a->soft, path_masked(v, o->size));
		return true;
	}
	if (o->kind != OPERAND_MEM)
		return true;
	if (path_address(a, p, o, &addr))
		return store(a, p, addr, o->size, known, path_masked(v, o->size));
	/* an element of an array there, not known which */
	if (path_get(a, p, o->reg, &base) && in_stack(a, base))
		soften(a, p);
	return true;
}
