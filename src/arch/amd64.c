/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/amd64.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool has_prefix(const ZydisDecodedInstruction *in, uint8_t byte)
{
	for (unsigned int i = 0; i < in->raw.prefix_count; i++)
		if (in->raw.prefixes[i].value == byte)
			return true;
	return false;
}

/*
 * arch/x86/kernel/uprobes.c: is_prefix_bad().  The kernel refuses the segment
 * overrides ES, CS, SS, DS and LOCK; FS and GS pass.
 */
static bool has_bad_prefix(const ZydisDecodedInstruction *in)
{
	static const uint8_t bad[] = { 0x26, 0x2e, 0x36, 0x3e, 0xf0 };

	for (unsigned int i = 0; i < sizeof(bad); i++)
		if (has_prefix(in, bad[i]))
			return true;
	return false;
}

/*
 * Two-byte opcodes that the kernel's good_2byte_insns leaves out: system
 * instructions, ud1/ud2, mov to control registers.  The kernel's list has
 * changed over time; this one is the union of what some release refuses and
 * Go code can contain.
 */
static bool is_refused_0f(uint8_t opcode)
{
	switch (opcode) {
	case 0x00:
	case 0x01:
	case 0x04 ... 0x0c:
	case 0x0e:
	case 0x0f:
	case 0x20 ... 0x27:
	case 0x30:
	case 0x34 ... 0x37:
	case 0x78 ... 0x7b:
	case 0xa6:
	case 0xa7:
	case 0xaa:
	case 0xb9:
	case 0xff:
		return true;
	}
	return false;
}

/*
 * One-byte opcodes that good_insns_64 leaves out: invalid in 64-bit mode, ins,
 * outs, in, out, traps, hlt, cli, sti; and mov to a segment register, which may
 * be SS (insn_masking_exception()).
 */
static bool is_refused_one_byte(uint8_t opcode)
{
	switch (opcode) {
	case 0x06:
	case 0x07:
	case 0x0e:
	case 0x16:
	case 0x17:
	case 0x1e:
	case 0x1f:
	case 0x27:
	case 0x2f:
	case 0x37:
	case 0x3f:
	case 0x60 ... 0x62:
	case 0x6c ... 0x6f:
	case 0x82:
	case 0x8e:
	case 0x9a:
	case 0xc4:
	case 0xc5:
	case 0xcc ... 0xcf:
	case 0xd4 ... 0xd6:
	case 0xe4 ... 0xe7:
	case 0xea:
	case 0xec ... 0xf1:
	case 0xf4:
	case 0xfa:
	case 0xfb:
		return true;
	}
	return false;
}

static bool is_refused(const ZydisDecodedInstruction *in)
{
	/*
	 * EVEX is refused by most kernels, and of VEX whatever the kernel's own
	 * decoder does not know, or whose opcode byte is a bad one-byte opcode
	 * (vmovdqu is outs then; seen on 6.18).  Nobody needs them: all refused.
	 */
	if (in->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return true;
	if (has_bad_prefix(in))
		return true;
	/* Kernels from 6.18 on rewrite a 5-byte nop into a call that pushes;
	 * others differ in which lengths they know: leave them all alone. */
	if (in->mnemonic == ZYDIS_MNEMONIC_NOP && in->length > 1)
		return true;
	if (in->opcode_map == ZYDIS_OPCODE_MAP_0F)
		return is_refused_0f(in->opcode);
	if (in->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return false;
	/* The kernel takes any prefixes and 0x90 for a nop, and would skip
	 * the `xchg %r8,%rax` that REX.B makes of it. */
	if (in->opcode == 0x90 && in->mnemonic != ZYDIS_MNEMONIC_NOP)
		return true;
	return is_refused_one_byte(in->opcode);
}

/* push_setup_xol_ops(): push %reg, alone or with exactly REX 0x41. */
static bool is_plain_push(const ZydisDecodedInstruction *in, const uint8_t *code)
{
	if (in->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (in->opcode & 0xf8) != 0x50)
		return false;
	return in->length == 1 || (in->length == 2 && code[0] == 0x41);
}

/* branch_setup_xol_ops(): near branches with an immediate. */
static bool is_jcc(const ZydisDecodedInstruction *in)
{
	if (in->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
		return (in->opcode & 0xf0) == 0x70;
	return in->opcode_map == ZYDIS_OPCODE_MAP_0F && (in->opcode & 0xf0) == 0x80;
}

static enum insn_class class_of(const ZydisDecodedInstruction *in, const uint8_t *code)
{
	enum insn_class c = INSN_STEPPED;
	bool one_byte = in->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;

	if (is_refused(in))
		return INSN_REFUSED;
	if (is_plain_push(in, code))
		return INSN_PUSH;
	if (one_byte && in->opcode == 0x90 && in->length == 1)
		return INSN_NOP;
	if (is_jcc(in))
		c = INSN_JCC;
	else if (one_byte && (in->opcode == 0xe9 || in->opcode == 0xeb))
		c = INSN_JMP;
	else if (one_byte && in->opcode == 0xe8)
		c = INSN_CALL;
	/* The kernel refuses these where Intel and AMD read them differently. */
	return c != INSN_STEPPED && has_prefix(in, 0x66) ? INSN_REFUSED : c;
}

static enum insn_flow flow_of(const struct amd64 *a)
{
	bool direct = a->insn.operand_count_visible > 0 &&
		      a->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && a->op[0].imm.is_relative;

	switch (a->insn.meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		return FLOW_JCC;
	case ZYDIS_CATEGORY_UNCOND_BR:
		return direct ? FLOW_JMP : FLOW_JMP_INDIRECT;
	case ZYDIS_CATEGORY_CALL:
		return direct ? FLOW_CALL : FLOW_CALL_INDIRECT;
	case ZYDIS_CATEGORY_RET:
		return FLOW_RET;
	case ZYDIS_CATEGORY_INTERRUPT:
		return FLOW_TRAP;
	default:
		break;
	}
	switch (a->insn.mnemonic) {
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_INT3:
		return FLOW_TRAP;
	default:
		return FLOW_NEXT;
	}
}

/* The pc-relative memory operand: only the first visible operand is a destination. */
static void find_data(const struct amd64 *a, struct insn *out)
{
	for (unsigned int i = 0; i < a->insn.operand_count_visible; i++) {
		const ZydisDecodedOperand *o = &a->op[i];

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY || o->mem.base != ZYDIS_REGISTER_RIP)
			continue;
		out->data_addr = out->addr + out->len + (uint64_t)o->mem.disp.value;
		if (a->insn.mnemonic == ZYDIS_MNEMONIC_LEA)
			out->data = DATA_LEA;
		else
			out->data = i ? DATA_LOAD : DATA_STORE;
		return;
	}
}

/*
 * cmd/internal/obj/x86/obj6.go, stacksplit(): `cmp stackguard(g), SP`, or R12
 * with SP less the frame for big frames.  g is R14, or CX in ABI0 code; the
 * guard is at 16, or 24 for code on the system stack (//go:systemstack, cgo).
 */
static bool is_stack_check(const struct amd64 *a)
{
	const ZydisDecodedOperand *r = &a->op[0], *m = &a->op[1];

	if (a->insn.mnemonic != ZYDIS_MNEMONIC_CMP || r->type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    m->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return false;
	if (r->reg.value != ZYDIS_REGISTER_RSP && r->reg.value != ZYDIS_REGISTER_R12)
		return false;
	if (m->mem.base != ZYDIS_REGISTER_R14 && m->mem.base != ZYDIS_REGISTER_RCX)
		return false;
	return m->mem.index == ZYDIS_REGISTER_NONE &&
	       (m->mem.disp.value == 16 || m->mem.disp.value == 24);
}

static uint32_t register_bit(ZydisRegister r)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);

	if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64)
		return 0;
	return 1u << ZydisRegisterGetId(whole);
}

/* Hidden operands included: push writes SP, mul RAX and RDX. */
static uint32_t find_writes(const struct amd64 *a)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; i < a->insn.operand_count; i++)
		if (a->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (a->op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			bits |= register_bit(a->op[i].reg.value);
	return bits;
}

static void format_text(const struct amd64 *a, struct insn *out)
{
	ZydisFormatter f;

	if (!ZYAN_SUCCESS(ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_ATT)) ||
	    !ZYAN_SUCCESS(ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, 0)) ||
	    !ZYAN_SUCCESS(ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE,
						    ZYDIS_PADDING_DISABLED)) ||
	    !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&f, &a->insn, a->op,
							  a->insn.operand_count_visible, out->text,
							  sizeof(out->text), out->addr, NULL)))
		snprintf(out->text, sizeof(out->text), "?");
}

int amd64_insn(const uint8_t *code, size_t len, uint64_t addr, struct amd64 *a, struct insn *out)
{
	ZydisDecoder d;
	ZyanStatus st;

	memset(out, 0, sizeof(*out));
	if (!len)
		return -ENODATA;
	ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	st = ZydisDecoderDecodeFull(&d, code, len, &a->insn, a->op);
	if (!ZYAN_SUCCESS(st))
		return st == ZYDIS_STATUS_NO_MORE_DATA ? -ENODATA : -EBADMSG;
	out->addr = addr;
	out->len = a->insn.length;
	out->klass = class_of(&a->insn, code);
	out->flow = flow_of(a);
	if (out->flow == FLOW_JCC || out->flow == FLOW_JMP || out->flow == FLOW_CALL)
		out->target = addr + out->len + (uint64_t)a->op[0].imm.value.s;
	find_data(a, out);
	out->is_stack_check = is_stack_check(a);
	out->is_frame_push = code[0] == 0x55;
	out->is_jbe = a->insn.mnemonic == ZYDIS_MNEMONIC_JBE;
	out->writes = find_writes(a);
	return 0;
}

static int amd64_decode(const uint8_t *code, size_t len, uint64_t addr, bool with_text,
			struct insn *out)
{
	struct amd64 a;
	int err = amd64_insn(code, len, addr, &a, out);

	if (!err && with_text)
		format_text(&a, out);
	return err;
}

const struct arch arch_amd64 = {
	.name = "amd64",
	.elf_machine = EM_X86_64,
	.min_insn = 1,
	.abi = { 0, 3, 1, 7, 6, 8, 9, 10, 11 }, /* AX, BX, CX, DI, SI, R8 to R11 */
	.sp = 4,
	.decode = amd64_decode,
	.effect = amd64_effect,
	.access = amd64_access,
};

const char *arch_library(void)
{
	static char name[40];
	uint64_t v = ZydisGetVersion();

	snprintf(name, sizeof(name), "Zydis %u.%u.%u", (unsigned int)ZYDIS_VERSION_MAJOR(v),
		 (unsigned int)ZYDIS_VERSION_MINOR(v), (unsigned int)ZYDIS_VERSION_PATCH(v));
	return name;
}
