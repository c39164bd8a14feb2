/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gobin/gobin.h"

enum {
	FUNCDATA_STACK_OBJECTS = 2, /* internal/abi/symtab.go */
	STACK_OBJECT_BYTES = 16,    /* runtime.stackObjectRecord: off, size, … */
	LOCALS_END = -8,            /* below the saved frame pointer */
	ARGUMENTS = 8,              /* above the return address */
	MAX_STACK_OBJECTS = 1024,
	LEA_BYTES = 7
};

/* Whether the bytes have a pc-relative LEA of one of the itabs: quick, and before decoding. */
static bool may_take(const uint8_t *code, size_t len, uint64_t addr, const struct itabs *t)
{
	for (size_t i = 0; i + LEA_BYTES <= len; i++)
		if ((code[i] & 0xfb) == 0x48 && code[i + 1] == 0x8d && (code[i + 2] & 0xc7) == 5 &&
		    itabs_at(t, addr + i + LEA_BYTES + (uint64_t)(int32_t)load_u32(code + i + 3)))
			return true;
	return false;
}

static int decode(struct code *c, const struct arch *arch, const uint8_t *code, size_t len)
{
	for (size_t at = 0; at < len;) {
		struct line *l;
		int err = array_room(&c->line, c->n, &c->cap, sizeof(*c->line));

		if (err)
			return err;
		l = &c->line[c->n];
		*l = (struct line){ .at = (uint32_t)at, .to = -1 };
		if (arch->effect(code + at, len - at, c->f.entry + at, &l->e))
			return -EBADMSG;
		at += l->e.len;
		c->n++;
	}
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const uint32_t *at = a;
	const struct line *l = b;

	return *at < l->at ? -1 : *at > l->at;
}

long code_index(const struct code *c, uint64_t addr)
{
	uint32_t at = (uint32_t)(addr - c->f.entry);
	const struct line *l;

	if (addr < c->f.entry || addr >= c->f.end)
		return -1;
	l = bsearch(&at, c->line, c->n, sizeof(*c->line), by_offset);
	return l ? l - c->line : -1;
}

static void link_jumps(struct code *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct line *l = &c->line[i];

		if (l->e.flow != FLOW_JCC && l->e.flow != FLOW_JMP)
			continue;
		l->to = (int32_t)code_index(c, l->e.target);
		if (l->to >= 0)
			c->line[l->to].leads = true;
	}
}

bool code_goes_on(const struct line *l)
{
	return l->e.flow == FLOW_NEXT || l->e.flow == FLOW_JCC || l->e.flow == FLOW_CALL ||
	       l->e.flow == FLOW_CALL_INDIRECT;
}

static uint16_t written_by(const struct effect *e)
{
	uint16_t mask = e->written;

	if (e->dst.kind == OPERAND_REG && e->dst.reg < EFFECT_REGS && e->dst.size >= 4 &&
	    (e->kind == EFFECT_MOVE || e->kind == EFFECT_ADDRESS || e->kind == EFFECT_POP))
		return (uint16_t)(1u << e->dst.reg);
	/* of what is written in part, or only sometimes, the rest stays */
	return e->kind == EFFECT_OTHER && e->dst.kind == OPERAND_REG && e->dst.size < 4 ? 0
	       : e->kind == EFFECT_OTHER                                                ? mask
											: 0;
}

static bool is_plain(const struct line *l)
{
	return l->e.flow == FLOW_NEXT || l->e.flow == FLOW_JCC || l->e.flow == FLOW_JMP;
}

static bool reads_flags(const struct effect *e)
{
	return e->flow == FLOW_JCC || e->kind == EFFECT_SET || e->kind == EFFECT_MOVE_IF;
}

/* Live registers and hope, from behind, until nothing changes. */
static void flow_back(struct code *c, const struct arch *arch, const struct itabs *t)
{
	uint16_t words = 0;
	bool changed = true;

	for (int i = 0; i < ARCH_ABI_WORDS; i++)
		words |= (uint16_t)(1u << arch->abi[i]);
	for (int round = 0; changed && round < 64; round++) {
		bool hope = false, flags = false;
		uint16_t live = 0;

		changed = false;
		for (size_t i = c->n; i-- > 0;) {
			struct line *l = &c->line[i];
			const struct line *to = l->to >= 0 ? &c->line[l->to] : NULL;

			if (!code_goes_on(l)) {
				live = 0;
				hope = flags = false;
			}
			if (to) {
				live |= to->live;
				hope |= to->hopeful;
				flags |= to->flags;
			}
			if (l->e.flow == FLOW_RET)
				live = words;
			if (l->e.flow == FLOW_JMP_INDIRECT || (l->e.flow == FLOW_JMP && !to))
				live = 0xffff;
			if (l->e.flow == FLOW_CALL || l->e.flow == FLOW_CALL_INDIRECT)
				live = 0xffff;
			else
				live = (uint16_t)((live & ~written_by(&l->e)) | l->e.read);
			flags = reads_flags(&l->e) || (flags && !l->e.flags && is_plain(l));
			hope |= code_itab(c, i, t) != NULL;
			changed |= live != l->live || hope != l->hopeful || flags != l->flags;
			l->flags = flags;
			l->live = live;
			l->hopeful = hope;
		}
	}
	if (!changed)
		return;
	for (size_t i = 0; i < c->n; i++) {
		c->line[i].live = 0xffff;
		c->line[i].hopeful = c->line[i].flags = true;
	}
}

static int read_objects(struct code *c, struct gobin *gb)
{
	uint8_t raw[STACK_OBJECT_BYTES];
	uint64_t at, n;

	if (pclntab_funcdata(gb->pcln, c->f.entry, FUNCDATA_STACK_OBJECTS, &at) ||
	    image_read_addr(&gb->image, at, raw, 8))
		return 0;
	n = load_u64(raw);
	for (uint64_t i = 0; i < n && i < MAX_STACK_OBJECTS; i++) {
		struct stack_object o;
		int err;

		if (image_read_addr(&gb->image, at + 8 + i * sizeof(raw), raw, sizeof(raw)))
			break;
		err = array_room(&c->object, c->nobject, &c->object_cap, sizeof(o));
		if (err)
			return err;
		o.off = (int32_t)load_u32(raw);
		o.size = (int32_t)load_u32(raw + 4);
		if (o.off < -(1 << 20) || o.off > 1 << 20 || o.size <= 0 || o.size > 1 << 20)
			continue;
		o.off += o.off < 0 ? LOCALS_END : ARGUMENTS;
		c->object[c->nobject++] = o;
	}
	return 0;
}

static int find_flow(struct code *c, const struct arch *arch, const struct itabs *t)
{
	link_jumps(c);
	flow_back(c, arch, t);
	return code_find_frame(c);
}

int code_decode(struct code *c, const struct arch *arch, const struct gofunc *f,
		const uint8_t *bytes, const struct itabs *only_with)
{
	int err;

	memset(c, 0, sizeof(*c));
	c->f = *f;
	err = decode(c, arch, bytes, f->end - f->entry);
	if (!err)
		err = find_flow(c, arch, only_with);
	if (err)
		code_deinit(c);
	return err;
}

int code_read(struct code *c, struct gobin *gb, const struct gofunc *f,
	      const struct itabs *only_with)
{
	size_t len = f->end > f->entry ? f->end - f->entry : 0;
	uint8_t *bytes;
	int err;

	memset(c, 0, sizeof(*c));
	if (!len || len > CODE_MAX_BYTES)
		return len ? -E2BIG : -ENOENT;
	bytes = malloc(len);
	if (!bytes)
		return -ENOMEM;
	err = image_read_addr(&gb->image, f->entry, bytes, len);
	if (!err && only_with && !may_take(bytes, len, f->entry, only_with))
		err = -ENOENT;
	if (!err) {
		c->f = *f;
		err = read_objects(c, gb);
	}
	if (!err)
		err = decode(c, gb->arch, bytes, len);
	free(bytes);
	if (!err)
		err = find_flow(c, gb->arch, only_with);
	if (err)
		code_deinit(c);
	return err;
}

void code_deinit(struct code *c)
{
	free(c->line);
	free(c->object);
	free(c->taken);
	free(c->live);
	free(c->word);
	memset(c, 0, sizeof(*c));
}

const struct itab *code_itab(const struct code *c, size_t i, const struct itabs *t)
{
	const struct effect *e = &c->line[i].e;

	return t && e->kind == EFFECT_ADDRESS && e->src.kind == OPERAND_MEM &&
			       e->src.reg == EFFECT_PC
		       ? itabs_at(t, (uint64_t)e->src.value)
		       : NULL;
}
