/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions, one at a time, behind one vtable per architecture.
 *
 * Knows machine code and what the kernel's uprobes do with it; knows nothing
 * of Go, ELF or processes.  amd64 by Zydis; arm64 comes with its own file.
 */
#ifndef GOSPECT_ARCH_DECODE_H
#define GOSPECT_ARCH_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the kernel runs an instruction that carries a uprobe: the cost classes. */
enum insn_class {
	INSN_PUSH,    /* push %reg: emulated */
	INSN_JCC,     /* conditional branch: emulated */
	INSN_JMP,     /* direct jump: emulated */
	INSN_CALL,    /* direct call: emulated */
	INSN_NOP,     /* 1-byte nop: emulated */
	INSN_STEPPED, /* everything else: single-stepped out of line */
	INSN_REFUSED, /* the kernel refuses it, or nobody should put a probe there: LOCK,
			 * VEX and EVEX, multi-byte nop, traps, system instructions */
	INSN_CLASS_COUNT
};

/* What a parser of code wants to know of it. */
enum insn_flow {
	FLOW_NEXT,
	FLOW_JCC,
	FLOW_JMP,
	FLOW_CALL,
	FLOW_CALL_INDIRECT,
	FLOW_JMP_INDIRECT,
	FLOW_RET,
	FLOW_TRAP
};

enum insn_data { DATA_NONE, DATA_LEA, DATA_LOAD, DATA_STORE };

struct insn {
	uint64_t addr; /* link-time address it was decoded at */
	uint8_t len;   /* bytes, 1..15 */
	enum insn_class klass;
	enum insn_flow flow;
	uint64_t target;     /* of a direct jump or call, else 0 */
	enum insn_data data; /* of a pc-relative operand: LEA, LOAD when it is a source, STORE
				 * when it is the first operand (written, or just compared) */
	uint64_t data_addr;  /* its address, when data != DATA_NONE */
	bool is_stack_check; /* compares SP (or SP-N in r12) with g.stackguard0/1 */
	bool is_frame_push;  /* push %rbp */
	bool is_jbe;         /* the branch of a stack check: taken when CF or ZF */
	uint32_t writes;     /* general registers it may change, by number (bit 4: SP on amd64);
				 * of a call: those of the call itself, not of what it calls */
	char text[64];       /* AT&T, "cmp 0x10(%r14), %rsp"; "" unless asked for */
};

#define ARCH_ABI_WORDS 9

struct insn_access;
struct effect;

struct arch {
	const char *name;     /* "amd64", as GOARCH says it */
	uint16_t elf_machine; /* EM_X86_64 */
	uint8_t min_insn;     /* pclntab's minLC: 1 */
	/* Numbers of the registers that carry integer arguments and results in
	 * Go's calling convention (src/cmd/compile/abi-internal.md), and of SP. */
	uint8_t abi[ARCH_ABI_WORDS], sp;
	/*
	 * Decodes the instruction at `code` (at most `len` bytes are there),
	 * which lives at link-time address `addr`.
	 * 0; -EBADMSG when the bytes are no instruction; -ENODATA when cut off.
	 */
	int (*decode)(const uint8_t *code, size_t len, uint64_t addr, bool with_text,
		      struct insn *out);
	/* The same, and what it does (arch/effect.h). */
	int (*effect)(const uint8_t *code, size_t len, uint64_t addr, struct effect *out);
	/* The same, and what it does to memory. */
	int (*access)(const uint8_t *code, size_t len, uint64_t addr, struct insn_access *out);
};

/* By ELF machine; NULL when not supported (arm64: parsing of files works, decoding is to come). */
const struct arch *arch_find(uint16_t elf_machine);
/* "Zydis 4.0.0": the library that decodes; static. */
const char *arch_library(void);
/* "push", "jcc", … as shown by `plan`. Static. */
const char *insn_class_name(enum insn_class c);
/* "emulated", "stepped" or "refused". Static. */
const char *insn_class_run(enum insn_class c);

#endif
