/* SPDX-License-Identifier: BSD-2-Clause */
/* amd64 instructions as a plan of uprobes needs them.  Bytes are from Go programs, or made up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/effect.h"

#define ADDR 0x401000u

static const struct arch *amd64(void)
{
	const struct arch *a = arch_find(EM_X86_64);

	assert_non_null(a);
	return a;
}

struct sample {
	const char *name;
	const char *bytes;
	uint8_t len;
	enum insn_class klass;
	enum insn_flow flow;
};

#define S(name, bytes, klass, flow)                         \
	{                                                   \
		name, bytes, sizeof(bytes) - 1, klass, flow \
	}

static const struct sample samples[] = {
	S("push rbp", "\x55", INSN_PUSH, FLOW_NEXT),
	S("push rax", "\x50", INSN_PUSH, FLOW_NEXT),
	S("push r15", "\x41\x57", INSN_PUSH, FLOW_NEXT),
	S("push with REX.W", "\x48\x55", INSN_STEPPED, FLOW_NEXT),
	S("push with 66", "\x66\x55", INSN_STEPPED, FLOW_NEXT),
	S("push imm8", "\x6a\x10", INSN_STEPPED, FLOW_NEXT),
	S("push mem", "\xff\x75\x08", INSN_STEPPED, FLOW_NEXT),
	S("pop rbp", "\x5d", INSN_STEPPED, FLOW_NEXT),
	S("jbe rel8", "\x76\x10", INSN_JCC, FLOW_JCC),
	S("jbe rel32", "\x0f\x86\x10\x00\x00\x00", INSN_JCC, FLOW_JCC),
	S("jne rel8", "\x75\xfe", INSN_JCC, FLOW_JCC),
	S("jrcxz", "\xe3\x05", INSN_STEPPED, FLOW_JCC),
	S("loop", "\xe2\x05", INSN_STEPPED, FLOW_JCC),
	S("jne with 66", "\x66\x0f\x85\x10\x00\x00\x00", INSN_REFUSED, FLOW_JCC),
	S("call with 66", "\x66\xe8\x10\x00\x00\x00", INSN_REFUSED, FLOW_CALL),
	S("jmp rel8", "\xeb\x05", INSN_JMP, FLOW_JMP),
	S("jmp rel32", "\xe9\x05\x00\x00\x00", INSN_JMP, FLOW_JMP),
	S("jmp reg", "\xff\xe0", INSN_STEPPED, FLOW_JMP_INDIRECT),
	S("jmp mem", "\xff\x25\x00\x10\x00\x00", INSN_STEPPED, FLOW_JMP_INDIRECT),
	S("call rel32", "\xe8\x05\x00\x00\x00", INSN_CALL, FLOW_CALL),
	S("call reg", "\xff\xd1", INSN_STEPPED, FLOW_CALL_INDIRECT),
	S("call mem", "\xff\x12", INSN_STEPPED, FLOW_CALL_INDIRECT),
	S("ret", "\xc3", INSN_STEPPED, FLOW_RET),
	S("ret imm16", "\xc2\x08\x00", INSN_STEPPED, FLOW_RET),
	S("nop", "\x90", INSN_NOP, FLOW_NEXT),
	S("2-byte nop", "\x66\x90", INSN_REFUSED, FLOW_NEXT),
	S("3-byte nop", "\x0f\x1f\x00", INSN_REFUSED, FLOW_NEXT),
	S("5-byte nop", "\x0f\x1f\x44\x00\x00", INSN_REFUSED, FLOW_NEXT),
	S("9-byte nop", "\x66\x0f\x1f\x84\x00\x00\x00\x00\x00", INSN_REFUSED, FLOW_NEXT),
	S("xchg r8, rax: the kernel would skip it", "\x49\x90", INSN_REFUSED, FLOW_NEXT),
	S("pause", "\xf3\x90", INSN_REFUSED, FLOW_NEXT),
	S("endbr64", "\xf3\x0f\x1e\xfa", INSN_STEPPED, FLOW_NEXT),
	S("mov rbp, rsp", "\x48\x89\xe5", INSN_STEPPED, FLOW_NEXT),
	S("sub rsp, 0x18", "\x48\x83\xec\x18", INSN_STEPPED, FLOW_NEXT),
	S("lock cmpxchg", "\xf0\x0f\xb1\x0a", INSN_REFUSED, FLOW_NEXT),
	S("lock xadd", "\xf0\x48\x0f\xc1\x01", INSN_REFUSED, FLOW_NEXT),
	S("xchg mem (locks by itself)", "\x87\x01", INSN_STEPPED, FLOW_NEXT),
	S("mov fs:-8", "\x64\x48\x8b\x0c\x25\xf8\xff\xff\xff", INSN_STEPPED, FLOW_NEXT),
	S("cs override", "\x2e\x48\x8b\x01", INSN_REFUSED, FLOW_NEXT),
	S("vmovdqu ymm (VEX)", "\xc5\xfe\x6f\x06", INSN_REFUSED, FLOW_NEXT),
	S("vpxor ymm (VEX)", "\xc5\xf5\xef\xc2", INSN_REFUSED, FLOW_NEXT),
	S("vpaddd ymm (VEX)", "\xc5\xf5\xfe\xc2", INSN_REFUSED, FLOW_NEXT),
	S("vzeroupper", "\xc5\xf8\x77", INSN_REFUSED, FLOW_NEXT),
	S("vmovdqu64 zmm (EVEX)", "\x62\xf1\xfe\x48\x6f\x06", INSN_REFUSED, FLOW_NEXT),
	S("vpternlogd zmm (EVEX)", "\x62\xf3\x7d\x48\x25\xc0\xff", INSN_REFUSED, FLOW_NEXT),
	S("kmovq (VEX)", "\xc4\xe1\xfb\x92\xc8", INSN_REFUSED, FLOW_NEXT),
	S("movups", "\x44\x0f\x11\x3c\x24", INSN_STEPPED, FLOW_NEXT),
	S("aesenc", "\x66\x0f\x38\xdc\xc1", INSN_STEPPED, FLOW_NEXT),
	S("crc32", "\xf2\x48\x0f\x38\xf1\xc1", INSN_STEPPED, FLOW_NEXT),
	S("int3", "\xcc", INSN_REFUSED, FLOW_TRAP),
	S("ud2", "\x0f\x0b", INSN_REFUSED, FLOW_TRAP),
	S("hlt", "\xf4", INSN_REFUSED, FLOW_TRAP),
	S("syscall", "\x0f\x05", INSN_REFUSED, FLOW_NEXT),
	S("cpuid", "\x0f\xa2", INSN_STEPPED, FLOW_NEXT),
	S("rdtsc", "\x0f\x31", INSN_STEPPED, FLOW_NEXT),
	S("rep stosq", "\xf3\x48\xab", INSN_STEPPED, FLOW_NEXT),
};

static void test_classes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		struct insn in;

		if (amd64()->decode((const uint8_t *)s->bytes, s->len, ADDR, false, &in))
			fail_msg("%s does not decode", s->name);
		if (in.len != s->len || in.klass != s->klass || in.flow != s->flow)
			fail_msg("%s: %d bytes, %s, flow %d", s->name, in.len,
				 insn_class_name(in.klass), in.flow);
		assert_int_equal(in.addr, ADDR);
		assert_string_equal(in.text, "");
	}
}

static struct insn decode(const char *bytes, size_t len, bool with_text)
{
	struct insn in;

	assert_int_equal(amd64()->decode((const uint8_t *)bytes, len, ADDR, with_text, &in), 0);
	assert_int_equal(in.len, len);
	return in;
}

#define DECODE(bytes) decode(bytes, sizeof(bytes) - 1, false)

static void test_targets(void **state)
{
	(void)state;
	assert_int_equal(DECODE("\xe8\x05\x00\x00\x00").target, ADDR + 5 + 5);
	assert_int_equal(DECODE("\xe8\xfb\xff\xff\xff").target, ADDR);
	assert_int_equal(DECODE("\x76\xfe").target, ADDR);
	assert_int_equal(DECODE("\x0f\x86\x00\x01\x00\x00").target, ADDR + 6 + 0x100);
	assert_int_equal(DECODE("\xeb\x10").target, ADDR + 2 + 0x10);
	assert_int_equal(DECODE("\xff\xe0").target, 0);
	assert_int_equal(DECODE("\xc3").target, 0);
	assert_true(DECODE("\x76\x10").is_jbe);
	assert_true(DECODE("\x0f\x86\x10\x00\x00\x00").is_jbe);
	assert_false(DECODE("\x75\x10").is_jbe);
	assert_false(DECODE("\x77\x10").is_jbe); /* ja */
}

/* Only the first operand is written to: what the runtime's recipes were made by. */
static void test_data(void **state)
{
	struct insn in;

	(void)state;
	in = DECODE("\x48\x8d\x05\x10\x00\x00\x00"); /* lea 0x10(%rip),%rax */
	assert_int_equal(in.data, DATA_LEA);
	assert_int_equal(in.data_addr, ADDR + 7 + 0x10);
	in = DECODE("\x48\x8b\x0d\xf0\xff\xff\xff"); /* mov -0x10(%rip),%rcx */
	assert_int_equal(in.data, DATA_LOAD);
	assert_int_equal(in.data_addr, ADDR + 7 - 0x10);
	in = DECODE("\x48\x89\x0d\x10\x00\x00\x00"); /* mov %rcx,0x10(%rip) */
	assert_int_equal(in.data, DATA_STORE);
	in = DECODE("\x83\x3d\x10\x00\x00\x00\x00"); /* cmpl $0,0x10(%rip): the immediate follows */
	assert_int_equal(in.data, DATA_STORE);
	assert_int_equal(in.data_addr, ADDR + 7 + 0x10);
	in = DECODE("\x48\x3b\x05\x10\x00\x00\x00"); /* cmp 0x10(%rip),%rax */
	assert_int_equal(in.data, DATA_LOAD);
	in = DECODE("\x0f\x10\x05\x10\x00\x00\x00"); /* movups 0x10(%rip),%xmm0 */
	assert_int_equal(in.data, DATA_LOAD);
	in = DECODE("\xf0\x0f\xb1\x0d\x10\x00\x00\x00"); /* lock cmpxchg %ecx,0x10(%rip) */
	assert_int_equal(in.data, DATA_STORE);
	in = DECODE("\x48\x8b\x41\x10"); /* mov 0x10(%rcx),%rax */
	assert_int_equal(in.data, DATA_NONE);
	assert_int_equal(in.data_addr, 0);
}

static void test_prologues(void **state)
{
	(void)state;
	/* cmp 0x10(%r14),%rsp and 0x18; r12 when the frame is big; rcx in ABI0 code */
	assert_true(DECODE("\x49\x3b\x66\x10").is_stack_check);
	assert_true(DECODE("\x49\x3b\x66\x18").is_stack_check);
	assert_true(DECODE("\x4d\x3b\x66\x10").is_stack_check);
	assert_true(DECODE("\x48\x3b\x61\x10").is_stack_check);
	assert_false(DECODE("\x49\x3b\x46\x10").is_stack_check); /* rax */
	assert_false(DECODE("\x49\x3b\x66\x20").is_stack_check); /* not a guard */
	assert_false(DECODE("\x48\x3b\x63\x10").is_stack_check); /* 0x10(%rbx) */
	assert_false(DECODE("\x49\x39\x66\x10").is_stack_check); /* cmp %rsp,0x10(%r14) */
	assert_true(DECODE("\x55").is_frame_push);
	assert_false(DECODE("\x53").is_frame_push);
	assert_false(DECODE("\x41\x55").is_frame_push); /* push %r13 */
}

#define AX (1u << 0)
#define CX (1u << 1)
#define DX (1u << 2)
#define BX (1u << 3)
#define SP (1u << 4)
#define DI (1u << 7)

/* Whole registers, whatever part is written, hidden operands included. */
static void test_writes(void **state)
{
	(void)state;
	assert_int_equal(DECODE("\x48\x85\xff").writes, 0);          /* test %rdi,%rdi */
	assert_int_equal(DECODE("\x48\x89\x44\x24\x10").writes, 0);  /* mov %rax,0x10(%rsp) */
	assert_int_equal(DECODE("\x48\x8b\x54\x24\x20").writes, DX); /* mov 0x20(%rsp),%rdx */
	assert_int_equal(DECODE("\x48\x39\xd8").writes, 0);          /* cmp %rbx,%rax */
	assert_int_equal(DECODE("\x31\xc9").writes, CX);             /* xor %ecx,%ecx */
	assert_int_equal(DECODE("\x0f\x95\xc0").writes, AX);         /* setne %al */
	assert_int_equal(DECODE("\x88\xc4").writes, AX);             /* mov %al,%ah */
	assert_int_equal(DECODE("\x48\x0f\x44\xc3").writes, AX);     /* cmove %rbx,%rax */
	assert_int_equal(DECODE("\x48\x93").writes, AX | BX);        /* xchg %rax,%rbx */
	assert_int_equal(DECODE("\x48\xf7\xe3").writes, AX | DX);    /* mul %rbx */
	assert_int_equal(DECODE("\x48\x99").writes, DX);             /* cqo */
	assert_int_equal(DECODE("\x55").writes, SP);                 /* push %rbp */
	assert_int_equal(DECODE("\x48\x83\xc4\x08").writes, SP);     /* add $8,%rsp */
	assert_int_equal(DECODE("\xf3\x48\xab").writes, CX | DI);    /* rep stosq */
	assert_int_equal(DECODE("\x44\x0f\x11\x3c\x24").writes, 0);  /* movups %xmm15,(%rsp) */
	assert_int_equal(DECODE("\x74\x00").writes, 0);              /* je */
	assert_int_equal(DECODE("\x49\x89\xc7").writes, 1u << 15);   /* mov %rax,%r15 */
	assert_int_equal(amd64()->abi[0], 0);
	assert_int_equal(amd64()->abi[1], 3);
	assert_int_equal(1u << amd64()->sp, SP);
}

static void test_text(void **state)
{
	(void)state;
	assert_string_equal(decode("\x55", 1, true).text, "push %rbp");
	assert_string_equal(decode("\x49\x3b\x66\x10", 4, true).text, "cmp 0x10(%r14), %rsp");
	assert_string_equal(decode("\xe8\x05\x00\x00\x00", 5, true).text, "call 0x40100a");
}

static void test_bad_bytes(void **state)
{
	static const uint8_t vex[] = { 0xc5, 0xfe, 0x6f, 0x06 };
	uint8_t long_one[16];
	struct insn in;
	size_t i;

	(void)state;
	assert_int_equal(amd64()->decode(vex, 0, ADDR, false, &in), -ENODATA);
	for (i = 1; i < sizeof(vex); i++)
		assert_int_equal(amd64()->decode(vex, i, ADDR, false, &in), -ENODATA);
	assert_int_equal(amd64()->decode((const uint8_t *)"\x06", 1, ADDR, false, &in), -EBADMSG);
	assert_int_equal(amd64()->decode((const uint8_t *)"\x0f\xff\xff", 3, ADDR, true, &in), 0);
	memset(long_one, 0x66, sizeof(long_one));
	assert_int_equal(amd64()->decode(long_one, sizeof(long_one), ADDR, true, &in), -EBADMSG);
}

enum { RAX, RCX, RDX, RBX };

static struct effect effect_of(const char *bytes, size_t len)
{
	struct effect e;

	assert_int_equal(amd64()->effect((const uint8_t *)bytes, len, ADDR, &e), 0);
	assert_int_equal(e.len, len);
	return e;
}

#define E(bytes) effect_of(bytes, sizeof(bytes) - 1)

static void test_effects(void **state)
{
	struct effect e;

	(void)state;
	e = E("\x48\x8b\x4c\x24\x10"); /* mov 0x10(%rsp), %rcx */
	assert_int_equal(e.kind, EFFECT_MOVE);
	assert_true(e.dst.kind == OPERAND_REG && e.dst.reg == RCX && e.dst.size == 8);
	assert_true(e.src.kind == OPERAND_MEM && e.src.reg == EFFECT_SP && e.src.value == 16 &&
		    e.src.index == EFFECT_NO_REG);
	e = E("\x48\x8d\x05\x10\x00\x00\x00"); /* lea 0x10(%rip), %rax */
	assert_int_equal(e.kind, EFFECT_ADDRESS);
	assert_true(e.src.reg == EFFECT_PC && e.src.value == ADDR + 7 + 16);
	e = E("\x31\xdb"); /* xor %ebx, %ebx */
	assert_true(e.kind == EFFECT_MOVE && e.dst.reg == RBX && e.src.kind == OPERAND_IMM &&
		    !e.src.value);
	e = E("\xbb\xff\xff\xff\xff"); /* mov $-1, %ebx */
	assert_true(e.kind == EFFECT_MOVE && e.dst.size == 4 && e.src.value == -1);
	e = E("\x66\x44\x0f\xd6\x7c\x24\x30"); /* movq %xmm15, 0x30(%rsp) */
	assert_true(e.kind == EFFECT_MOVE && e.dst.kind == OPERAND_MEM && e.dst.size == 8 &&
		    e.src.reg == EFFECT_ZERO);
	e = E("\x44\x0f\x11\x7c\x24\x20"); /* movups %xmm15, 0x20(%rsp) */
	assert_true(e.kind == EFFECT_MOVE && e.dst.size == 16 && e.src.reg == EFFECT_ZERO);
	e = E("\xf0\x0f\xb1\x19"); /* lock cmpxchg %ebx, (%rcx) */
	assert_true(e.kind == EFFECT_COMPARE_EXCHANGE && e.dst.reg == RCX && e.dst.size == 4 &&
		    e.flags);
	assert_true(e.written & 1u << RAX && !(e.written & 1u << RBX));
	e = E("\xf0\x0f\xc1\x18"); /* lock xadd %ebx, (%rax) */
	assert_true(e.kind == EFFECT_EXCHANGE_ADD && e.dst.kind == OPERAND_MEM &&
		    e.src.reg == RBX && e.written & 1u << RBX);
	e = E("\xff\xd0"); /* call *%rax */
	assert_true(e.flow == FLOW_CALL_INDIRECT && e.src.kind == OPERAND_REG && e.src.reg == RAX);
	e = E("\x74\x05"); /* je */
	assert_true(e.if_equal && !e.if_unequal && e.target == ADDR + 7);
	e = E("\x7c\xe0"); /* jl: on more than that */
	assert_true(!e.if_equal && !e.if_unequal && e.flow == FLOW_JCC);
	assert_true(e.when == WHEN_LESS && !e.by_sign);
	e = E("\x78\xe0"); /* js */
	assert_true(e.when == WHEN_LESS && e.by_sign);
	e = E("\x0f\x94\xc3"); /* sete %bl */
	assert_true(e.kind == EFFECT_SET && e.written == 1u << RBX && !e.flags);
	assert_true(e.when == WHEN_EQUAL && e.dst.reg == RBX && e.dst.size == 1);
	e = E("\x48\x0f\x47\xd9"); /* cmova %rcx, %rbx */
	assert_true(e.kind == EFFECT_MOVE_IF && e.when == WHEN_ABOVE && e.read >> RCX & 1);
	assert_true(e.dst.reg == RBX && e.src.reg == RCX);
	e = E("\x48\xff\xc3"); /* inc %rbx */
	assert_true(e.kind == EFFECT_ADD && e.src.kind == OPERAND_IMM && e.src.value == 1);
	e = E("\x48\xff\x4c\x24\x08"); /* decq 8(%rsp) */
	assert_true(e.kind == EFFECT_SUB && e.dst.kind == OPERAND_MEM && e.src.value == 1);
	e = E("\x64\x48\x8b\x0c\x25\xf8\xff\xff\xff"); /* mov %fs:-8, %rcx: no address that can be known */
	assert_true(e.kind == EFFECT_MOVE && e.src.kind == OPERAND_MEM &&
		    e.src.reg == EFFECT_NO_REG);
	assert_int_equal(amd64()->effect((const uint8_t *)"\x48\x8b", 2, ADDR, &e), -ENODATA);
}

static void test_names(void **state)
{
	(void)state;
	assert_null(arch_find(EM_AARCH64));
	assert_null(arch_find(0));
	assert_string_equal(amd64()->name, "amd64");
	assert_int_equal(amd64()->min_insn, 1);
	assert_string_equal(insn_class_name(INSN_PUSH), "push");
	assert_string_equal(insn_class_name((enum insn_class)99), "?");
	assert_string_equal(insn_class_run(INSN_JCC), "emulated");
	assert_string_equal(insn_class_run(INSN_STEPPED), "stepped");
	assert_string_equal(insn_class_run(INSN_REFUSED), "refused");
}

/* By itself, and as a part of the effect. */
static struct insn_access access_of(const char *bytes, size_t len)
{
	struct insn_access a;
	struct effect e;

	assert_int_equal(amd64()->access((const uint8_t *)bytes, len, ADDR, &a), 0);
	assert_int_equal(amd64()->effect((const uint8_t *)bytes, len, ADDR, &e), 0);
	assert_memory_equal(&e.access, &a, sizeof(a));
	assert_int_equal(a.len, len);
	return a;
}

#define A(bytes) access_of(bytes, sizeof(bytes) - 1)

static void test_accesses(void **state)
{
	struct insn_access a = A("\x48\x8b\x48\x18"); /* mov 0x18(%rax), %rcx */

	(void)state;
	assert_int_equal(a.does, ACCESS_READ);
	assert_true(a.at.kind == OPERAND_MEM && a.at.reg == 0 && a.at.value == 0x18);
	assert_int_equal(a.at.size, 8);
	assert_int_equal(a.written, 1 << 1);
	a = A("\x48\x89\x05\x10\x00\x00\x00"); /* mov %rax, 0x10(%rip) */
	assert_int_equal(a.does, ACCESS_WRITE);
	assert_true(a.at.reg == EFFECT_PC && a.at.value == ADDR + 7 + 0x10);
	assert_int_equal(A("\x48\xff\x00").does, ACCESS_READ | ACCESS_WRITE); /* inc (%rax) */
	assert_int_equal(A("\x80\x38\x00").does, ACCESS_READ);                /* cmpb $0, (%rax) */
	assert_int_equal(A("\x0f\x11\x00").does, ACCESS_WRITE); /* movups %xmm0, (%rax) */
	/* lock xadd %rcx, (%rax); xchg %rcx, (%rax); lock cmpxchg %rcx, (%rax) */
	assert_int_equal(A("\xf0\x48\x0f\xc1\x08").does, 7);
	assert_int_equal(A("\x48\x87\x08").does, 7);
	assert_int_equal(A("\xf0\x48\x0f\xb1\x08").does, 7);
	/* cmpxchg %rcx, (%rax); lea (%rax), %rcx; push %rax; nop 0(%rax) */
	assert_int_equal(A("\x48\x0f\xb1\x08").does, 0);
	assert_int_equal(A("\x48\x8d\x08").does, 0);
	assert_int_equal(A("\x50").does, 0);
	assert_int_equal(A("\x0f\x1f\x00").does, 0);
	/* test %al, (%rax), a check for nil; test %cl, (%rax); testb $1, (%rax) */
	assert_int_equal(A("\x84\x00").does, 0);
	assert_int_equal(A("\x84\x08").does, ACCESS_READ);
	assert_int_equal(A("\xf6\x00\x01").does, ACCESS_READ);
	a = A("\xf3\x48\xa5"); /* rep movsq */
	assert_true(a.repeats && !a.does);
	assert_int_equal(A("\x64\x48\x8b\x08").at.kind, OPERAND_ABSENT); /* mov %fs:(%rax), %rcx */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),   cmocka_unit_test(test_targets),
		cmocka_unit_test(test_data),      cmocka_unit_test(test_prologues),
		cmocka_unit_test(test_writes),    cmocka_unit_test(test_text),
		cmocka_unit_test(test_bad_bytes), cmocka_unit_test(test_effects),
		cmocka_unit_test(test_accesses),  cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
