/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One function as a list of instructions: where each leads to, which registers matter behind
 * it, and where variables are whose address is taken.
 */
#ifndef GOSPECT_LINT_CODE_H
#define GOSPECT_LINT_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/effect.h"
#include "gobin/pclntab.h"
#include "lint/itabs.h"

struct gobin;

#define CODE_MAX_BYTES (256u << 10) /* of a function; longer ones are too complex */

struct line {
	struct effect e;
	uint32_t at;   /* offset in the function */
	int32_t sp;    /* the stack pointer, from where the return address is; CODE_NO_SP */
	int32_t to;    /* index of a direct jump's target; -1: not in this function */
	uint16_t live; /* registers that may be read from here on before they are set */
	bool flags;    /* the same of what a comparison said */
	bool leads;    /* a jump leads here: paths may meet */
	bool hopeful;  /* the address of one of the itabs may be taken from here on */
};

/* A variable on the stack whose address is taken, as the compiler lists them: bytes from where
 * the return address is. */
struct stack_object {
	int32_t off, size;
};

#define CODE_NO_SP INT32_MIN

/* Words of the frame that are followed one by one: others are always live. */
enum { CODE_WORDS = 256, CODE_FRAME = 32 << 10 };
struct frame_words {
	uint64_t bit[CODE_WORDS / 64];
};

struct code {
	struct gofunc f;
	struct line *line; /* owned */
	size_t n, cap;
	struct stack_object *object; /* owned */
	size_t nobject, object_cap;
	struct stack_object *taken; /* owned: those whose address the code does take */
	size_t ntaken, taken_cap;
	struct frame_words *live; /* owned; by line */
	int16_t *word;            /* owned; by (-offset - 1) / 8: its bit + 1; 0: none; -1: taken */
};

/*
 * Decodes a function; only_with: only if it may take the address of one of these itabs (NULL:
 * any).  0; -ENOENT: it does not; -E2BIG: too long; -EBADMSG: bytes that are no instruction;
 * -ENOMEM.
 */
int code_read(struct code *c, struct gobin *gb, const struct gofunc *f,
	      const struct itabs *only_with);
/* The same of bytes that are at hand; without a list of variables. */
int code_decode(struct code *c, const struct arch *arch, const struct gofunc *f,
		const uint8_t *bytes, const struct itabs *only_with);
void code_deinit(struct code *c);
/* The instruction at a link-time address; -1: none of this function begins there. */
long code_index(const struct code *c, uint64_t addr);
/* The variable at an offset of the frame; of one that the compiler does not list, because no
 * pointers are in it, a little. */
struct stack_object code_object(const struct code *c, int64_t off);
/* The word of the frame that an offset is in; -1: none of those that are followed. */
static inline int code_word(int64_t off)
{
	return off < 0 && off >= -CODE_FRAME ? (int)((-off - 1) / 8) : -1;
}
/* Its bit; less than 0: it has none. */
static inline int code_bit(const struct code *c, int64_t off)
{
	int w = code_word(off);

	return w >= 0 && c->word ? c->word[w] - 1 : -1;
}
/* Whether what is at an offset of the frame may be read from this line on before it is set. */
static inline bool code_is_live(const struct code *c, size_t line, int64_t off)
{
	int bit = code_bit(c, off);

	return bit < 0 || !c->live || c->live[line].bit[bit / 64] >> bit % 64 & 1;
}
/* Whether a variable outside of these words is one whose address is taken. */
bool code_is_taken_far(const struct code *c, int64_t off);
/* Whether it is a variable whose address is taken. */
static inline bool code_is_taken(const struct code *c, int64_t off)
{
	int w = code_word(off);

	return w >= 0 ? c->word[w] < 0 : code_is_taken_far(c, off);
}
/* Whether the next line may be next. */
bool code_goes_on(const struct line *l);
/* For code_read(): the frame. 0, -E2BIG or -ENOMEM. */
int code_find_frame(struct code *c);
/* The itab whose address the instruction takes; NULL. */
const struct itab *code_itab(const struct code *c, size_t i, const struct itabs *t);

#endif
