/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/amd64.h"

#include <errno.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "base/vec.h"

static uint8_t register_number(ZydisRegister r)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);

	switch (r) {
	case ZYDIS_REGISTER_AH:
	case ZYDIS_REGISTER_BH:
	case ZYDIS_REGISTER_CH:
	case ZYDIS_REGISTER_DH:
		return EFFECT_NO_REG;
	case ZYDIS_REGISTER_RIP:
		return EFFECT_PC;
	case ZYDIS_REGISTER_XMM15:
		return EFFECT_ZERO; /* abi-internal.md: X15 is zero between instructions of Go code */
	default:
		break;
	}
	if (whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15)
		return (uint8_t)(whole - ZYDIS_REGISTER_RAX);
	return EFFECT_NO_REG;
}

static struct operand operand(const ZydisDecodedOperand *o, uint64_t next)
{
	struct operand out = { .size = (uint8_t)(o->size / 8),
			       .reg = EFFECT_NO_REG,
			       .index = EFFECT_NO_REG };

	switch (o->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		out.kind = OPERAND_REG;
		out.reg = register_number(o->reg.value);
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		out.kind = OPERAND_IMM;
		out.value = o->imm.value.s;
		break;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		out.kind = OPERAND_MEM;
		out.value = o->mem.disp.value;
		out.scale = o->mem.scale;
		if (o->mem.segment == ZYDIS_REGISTER_FS || o->mem.segment == ZYDIS_REGISTER_GS)
			break; /* of the thread: no base, which is unknown */
		if (o->mem.base != ZYDIS_REGISTER_NONE)
			out.reg = register_number(o->mem.base);
		if (o->mem.index != ZYDIS_REGISTER_NONE)
			out.index = register_number(o->mem.index);
		if (out.reg == EFFECT_PC)
			out.value += (int64_t)next;
		break;
	default:
		break;
	}
	return out;
}

static bool is_same_register(const struct effect *e)
{
	return e->dst.kind == OPERAND_REG && e->src.kind == OPERAND_REG &&
	       e->dst.reg == e->src.reg && e->dst.reg < EFFECT_REGS && e->dst.size >= 4;
}

/* The condition codes (Intel SDM, vol. 1, appendix B), as far as Go code has them. */
static const struct condition {
	ZydisMnemonic jump, set, move;
	uint8_t when;
	bool by_sign;
} conditions[] = {
	{ ZYDIS_MNEMONIC_JZ, ZYDIS_MNEMONIC_SETZ, ZYDIS_MNEMONIC_CMOVZ, WHEN_EQUAL, false },
	{ ZYDIS_MNEMONIC_JNZ, ZYDIS_MNEMONIC_SETNZ, ZYDIS_MNEMONIC_CMOVNZ, WHEN_ALL & ~WHEN_EQUAL,
	  false },
	{ ZYDIS_MNEMONIC_JL, ZYDIS_MNEMONIC_SETL, ZYDIS_MNEMONIC_CMOVL, WHEN_LESS, false },
	{ ZYDIS_MNEMONIC_JNL, ZYDIS_MNEMONIC_SETNL, ZYDIS_MNEMONIC_CMOVNL, WHEN_ALL & ~WHEN_LESS,
	  false },
	{ ZYDIS_MNEMONIC_JLE, ZYDIS_MNEMONIC_SETLE, ZYDIS_MNEMONIC_CMOVLE, WHEN_LESS | WHEN_EQUAL,
	  false },
	{ ZYDIS_MNEMONIC_JNLE, ZYDIS_MNEMONIC_SETNLE, ZYDIS_MNEMONIC_CMOVNLE,
	  WHEN_ALL & ~(WHEN_LESS | WHEN_EQUAL), false },
	{ ZYDIS_MNEMONIC_JB, ZYDIS_MNEMONIC_SETB, ZYDIS_MNEMONIC_CMOVB, WHEN_BELOW, false },
	{ ZYDIS_MNEMONIC_JNB, ZYDIS_MNEMONIC_SETNB, ZYDIS_MNEMONIC_CMOVNB, WHEN_ALL & ~WHEN_BELOW,
	  false },
	{ ZYDIS_MNEMONIC_JBE, ZYDIS_MNEMONIC_SETBE, ZYDIS_MNEMONIC_CMOVBE, WHEN_BELOW | WHEN_EQUAL,
	  false },
	{ ZYDIS_MNEMONIC_JNBE, ZYDIS_MNEMONIC_SETNBE, ZYDIS_MNEMONIC_CMOVNBE, WHEN_ABOVE, false },
	{ ZYDIS_MNEMONIC_JS, ZYDIS_MNEMONIC_SETS, ZYDIS_MNEMONIC_CMOVS, WHEN_LESS, true },
	{ ZYDIS_MNEMONIC_JNS, ZYDIS_MNEMONIC_SETNS, ZYDIS_MNEMONIC_CMOVNS, WHEN_ALL & ~WHEN_LESS,
	  true },
};

static const struct condition *condition_of(ZydisMnemonic m)
{
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++)
		if (m == conditions[i].jump || m == conditions[i].set || m == conditions[i].move)
			return &conditions[i];
	return NULL;
}

static enum effect_kind conditional(const ZydisDecodedInstruction *in)
{
	return condition_of(in->mnemonic)->set == in->mnemonic ? EFFECT_SET : EFFECT_MOVE_IF;
}

static enum effect_kind kind_of(const ZydisDecodedInstruction *in, struct effect *e)
{
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_MOVQ:
		return EFFECT_MOVE;
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_SUB:
		if (is_same_register(e)) {
			e->src = (struct operand){ .kind = OPERAND_IMM,
						   .size = 8,
						   .reg = EFFECT_NO_REG,
						   .index = EFFECT_NO_REG };
			return EFFECT_MOVE;
		}
		return in->mnemonic == ZYDIS_MNEMONIC_SUB ? EFFECT_SUB : EFFECT_OTHER;
	case ZYDIS_MNEMONIC_LEA:
		return EFFECT_ADDRESS;
	case ZYDIS_MNEMONIC_ADD:
		return EFFECT_ADD;
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
		e->src = (struct operand){ .kind = OPERAND_IMM,
					   .value = 1,
					   .size = e->dst.size,
					   .reg = EFFECT_NO_REG,
					   .index = EFFECT_NO_REG };
		return in->mnemonic == ZYDIS_MNEMONIC_INC ? EFFECT_ADD : EFFECT_SUB;
	case ZYDIS_MNEMONIC_AND:
		return EFFECT_AND;
	case ZYDIS_MNEMONIC_OR:
		return EFFECT_OR;
	case ZYDIS_MNEMONIC_CMP:
		return EFFECT_COMPARE;
	case ZYDIS_MNEMONIC_TEST:
		return EFFECT_TEST;
	case ZYDIS_MNEMONIC_PUSH:
		return EFFECT_PUSH;
	case ZYDIS_MNEMONIC_POP:
		return EFFECT_POP;
	case ZYDIS_MNEMONIC_XADD:
		return EFFECT_EXCHANGE_ADD;
	case ZYDIS_MNEMONIC_CMPXCHG:
		return EFFECT_COMPARE_EXCHANGE;
	default:
		return e->when && e->flow == FLOW_NEXT ? conditional(in) : EFFECT_OTHER;
	}
}

static uint16_t written_registers(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
	uint16_t mask = 0;

	for (unsigned int i = 0; i < in->operand_count; i++) {
		uint8_t r;

		if (op[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		r = register_number(op[i].reg.value);
		if (r < EFFECT_REGS)
			mask |= (uint16_t)(1u << r);
	}
	return mask;
}

static uint16_t bit_of(ZydisRegister r)
{
	uint8_t number = r == ZYDIS_REGISTER_NONE ? EFFECT_NO_REG : register_number(r);

	return number < EFFECT_REGS ? (uint16_t)(1u << number) : 0;
}

static uint16_t read_registers(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
	uint16_t mask = 0;

	for (unsigned int i = 0; i < in->operand_count; i++) {
		if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			mask |= bit_of(op[i].mem.base) | bit_of(op[i].mem.index);
		else if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
			 op[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ)
			mask |= bit_of(op[i].reg.value);
	}
	return mask;
}

static bool changes_zero_flag(const ZydisDecodedInstruction *in)
{
	const ZydisAccessedFlags *f = in->cpu_flags;

	return f && (f->modified | f->set_0 | f->set_1 | f->undefined) & ZYDIS_CPUFLAG_ZF;
}

static bool is_vector_of_addresses(const ZydisDecodedOperand *o)
{
	return o->mem.type == ZYDIS_MEMOP_TYPE_VSIB;
}

/* What it does to the operand; 0 where it is not always done, as of CMPXCHG without LOCK. */
static uint8_t does_to(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *o)
{
	const ZydisOperandActions maybe =
		ZYDIS_OPERAND_ACTION_CONDREAD | ZYDIS_OPERAND_ACTION_CONDWRITE;

	if (in->attributes & ZYDIS_ATTRIB_HAS_LOCK || in->mnemonic == ZYDIS_MNEMONIC_XCHG)
		return ACCESS_READ | ACCESS_WRITE | ACCESS_ATOMIC;
	if (o->actions & maybe || is_vector_of_addresses(o))
		return 0;
	return (o->actions & ZYDIS_OPERAND_ACTION_READ ? ACCESS_READ : 0) |
	       (o->actions & ZYDIS_OPERAND_ACTION_WRITE ? ACCESS_WRITE : 0);
}

/* TEST %al, (reg): Go's check for nil, and by it alone. What is there it does not ask. */
static bool is_nil_check(const struct amd64 *a)
{
	return a->insn.mnemonic == ZYDIS_MNEMONIC_TEST &&
	       a->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       a->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       a->op[1].reg.value == ZYDIS_REGISTER_AL;
}

/* Of what moves strings nothing is said: it has two addresses. */
static void find_access(const struct amd64 *a, uint64_t addr, struct insn_access *out)
{
	const ZydisDecodedInstruction *in = &a->insn;

	out->len = in->length;
	out->written = written_registers(in, a->op);
	out->repeats = in->attributes &
		       (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
	if (in->meta.category == ZYDIS_CATEGORY_STRINGOP || in->mnemonic == ZYDIS_MNEMONIC_NOP ||
	    is_nil_check(a))
		return;
	for (unsigned int i = 0; i < in->operand_count_visible; i++) {
		const ZydisDecodedOperand *o = &a->op[i];

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY || o->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
			continue;
		out->does = does_to(in, o);
		out->at = operand(o, addr + in->length);
		if (o->mem.segment == ZYDIS_REGISTER_FS || o->mem.segment == ZYDIS_REGISTER_GS)
			out->at.kind = OPERAND_ABSENT;
		break;
	}
}

int amd64_effect(const uint8_t *code, size_t len, uint64_t addr, struct effect *out)
{
	const struct condition *when;
	struct insn plain;
	struct amd64 a;
	int err = amd64_insn(code, len, addr, &a, &plain);
	unsigned int n;

	if (err)
		return err;
	memset(out, 0, sizeof(*out));
	out->len = plain.len;
	out->flow = plain.flow;
	out->target = plain.target;
	when = condition_of(a.insn.mnemonic);
	out->when = when ? when->when : 0;
	out->by_sign = when && when->by_sign;
	n = a.insn.operand_count_visible;
	if (n > 0)
		out->dst = operand(&a.op[0], addr + plain.len);
	if (n > 1)
		out->src = operand(&a.op[1], addr + plain.len);
	out->kind = n > 2 ? EFFECT_OTHER : kind_of(&a.insn, out); /* imul r, m, i; vectors */
	if (out->kind == EFFECT_PUSH || out->flow == FLOW_CALL_INDIRECT ||
	    out->flow == FLOW_JMP_INDIRECT)
		out->src = out->dst;
	if (out->kind == EFFECT_OTHER && !(a.op[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		out->dst.kind = OPERAND_ABSENT;
	find_access(&a, addr, &out->access);
	out->written = out->access.written;
	out->read = read_registers(&a.insn, a.op);
	if ((is_same_register(out) && out->kind == EFFECT_MOVE) ||
	    a.insn.mnemonic == ZYDIS_MNEMONIC_NOP)
		out->read = 0;
	out->flags = changes_zero_flag(&a.insn);
	out->if_equal = a.insn.mnemonic == ZYDIS_MNEMONIC_JZ;
	out->if_unequal = a.insn.mnemonic == ZYDIS_MNEMONIC_JNZ;
	return 0;
}

int amd64_access(const uint8_t *code, size_t len, uint64_t addr, struct insn_access *out)
{
	struct insn plain;
	struct amd64 a;
	int err = amd64_insn(code, len, addr, &a, &plain);

	memset(out, 0, sizeof(*out));
	if (!err)
		find_access(&a, addr, out);
	return err;
}
