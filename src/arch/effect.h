/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an instruction does, for following addresses through code: moves,
 * sums, comparisons with zero or equality.  Everything else only says which
 * registers and which memory it changes.
 */
#ifndef GOSPECT_ARCH_EFFECT_H
#define GOSPECT_ARCH_EFFECT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/decode.h"

/* Numbers of registers as the machine has them: amd64 rax 0, rcx, rdx, rbx, rsp 4, rbp, rsi, rdi, r8 … r15. */
enum {
	EFFECT_REGS = 16,
	EFFECT_SP = 4,
	EFFECT_FP = 5,
	EFFECT_PC = 0xfd,   /* base of an operand: its value is the whole link-time address */
	EFFECT_ZERO = 0xfe, /* a register that Go code keeps at zero (x15) */
	EFFECT_NO_REG = 0xff
}; /* none, or one that is not followed */

enum operand_kind { OPERAND_ABSENT, OPERAND_REG, OPERAND_IMM, OPERAND_MEM };

struct operand {
	uint8_t kind;
	uint8_t reg;          /* REG, or the base of MEM */
	uint8_t index, scale; /* of MEM */
	uint8_t size;         /* bytes */
	int64_t value;        /* IMM, or the displacement of MEM */
};

enum effect_kind {
	EFFECT_OTHER,   /* dst, when it is memory, has something unknown afterwards */
	EFFECT_MOVE,    /* dst = src, zero-extended */
	EFFECT_ADDRESS, /* dst = address of src */
	EFFECT_ADD,     /* dst += src */
	EFFECT_SUB,
	EFFECT_AND,
	EFFECT_OR,
	EFFECT_COMPARE, /* equality of dst and src */
	EFFECT_TEST,    /* whether dst & src is zero */
	EFFECT_PUSH,
	EFFECT_POP,          /* src; dst */
	EFFECT_EXCHANGE_ADD, /* dst += src, src = dst before; OTHER, where that does not matter */
	EFFECT_COMPARE_EXCHANGE, /* dst may become src; the same */
	EFFECT_SET,              /* dst = 1 byte: whether `when` holds; the same */
	EFFECT_MOVE_IF           /* dst = src where `when` holds; the same */
};

/* What an instruction does to memory that its operands name; not to the stack, as push and call do. */
enum { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_ATOMIC = 4 /* LOCK, or XCHG */ };

struct insn_access {
	uint8_t len;
	uint8_t does;      /* mask of ACCESS_…; 0: to none, or it depends */
	bool repeats;      /* REP: it can be interrupted half done */
	struct operand at; /* kind is not MEM: its address cannot be told; base and index are
			    * EFFECT_NO_REG where there is none */
	uint16_t written;  /* general registers that it changes, one bit each */
};

/* How two numbers compare: exactly one of these holds. */
enum {
	WHEN_EQUAL = 1 << 0,
	WHEN_LESS_BELOW = 1 << 1, /* signed, and unsigned */
	WHEN_LESS_ABOVE = 1 << 2,
	WHEN_GREATER_BELOW = 1 << 3,
	WHEN_GREATER_ABOVE = 1 << 4,
	WHEN_LESS = WHEN_LESS_BELOW | WHEN_LESS_ABOVE,
	WHEN_BELOW = WHEN_LESS_BELOW | WHEN_GREATER_BELOW,
	WHEN_ABOVE = WHEN_LESS_ABOVE | WHEN_GREATER_ABOVE,
	WHEN_ALL = 31
};

struct effect {
	uint8_t len;
	enum insn_flow flow;
	uint64_t target; /* of a direct jump or call; an indirect one's is src */
	enum effect_kind kind;
	struct operand dst, src;
	uint16_t written; /* registers that OTHER and what is like it change, one bit each */
	uint16_t read;    /* registers that it takes something from, those of addresses included */
	bool flags;       /* it changes what says "equal" */
	bool if_equal, if_unequal; /* a jump on just that */
	struct insn_access access;
	uint8_t when; /* of a jump, SET, MOVE_IF: mask of WHEN_…; 0: something else */
	bool by_sign; /* … it looks at the sign alone: true of a comparison with 0 */
};

#endif
