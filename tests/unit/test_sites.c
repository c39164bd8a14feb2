/* SPDX-License-Identifier: BSD-2-Clause */
/* Probe sites in code made up here, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>

#include "plan/plan.h"

#define ENTRY 0x401000
/* Code of one function, given as bytes. */
#define CODE(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

/* cmp 0x10(%r14),%rsp */
#define CHECK 0x49, 0x3b, 0x66, 0x10
/* push %rbp; mov %rsp,%rbp */
#define FRAME 0x55, 0x48, 0x89, 0xe5
/* pop %rbp; ret */
#define LEAVE 0x5d, 0xc3

#define MAX_SITES 4

struct result {
	int n, err;     /* sites, or why there is none */
	struct insn in; /* the first */
	struct insn all[MAX_SITES];
	enum site_kind kind;
	char why[160];
};

static struct result find(const uint8_t *code, size_t len, struct site_query q)
{
	struct result r = { 0 };

	r.n = site_find(arch_find(EM_X86_64), code, len, ENTRY, &q, r.all, MAX_SITES, &r.kind,
			r.why, sizeof(r.why));
	r.err = r.n < 0 ? r.n : 0;
	r.in = r.all[0];
	assert_true(r.n != 0);
	assert_int_equal(r.n < 0, r.why[0] != '\0');
	return r;
}

static struct result body(const uint8_t *code, size_t len)
{
	return find(code, len, (struct site_query){ .how = HOW_BODY });
}

static struct result call(const uint8_t *code, size_t len, uint64_t callee)
{
	return find(code, len, (struct site_query){ .how = HOW_CALL, .callee = callee });
}

static void assert_body_at(struct result s, enum site_kind kind, uint64_t off)
{
	if (s.err)
		print_message("refused: %s\n", s.why);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.kind, kind);
	assert_int_equal(s.in.addr - ENTRY, off);
	assert_true(s.in.klass != INSN_STEPPED && s.in.klass != INSN_REFUSED);
	assert_true(s.in.text[0] != '\0');
}

static void assert_refused(struct result s, int err, const char *word)
{
	assert_int_equal(s.err, err);
	assert_int_equal(s.kind, SITE_NONE);
	if (!strstr(s.why, word))
		print_message("why: %s\n", s.why);
	assert_non_null(strstr(s.why, word));
}

static void body_after_small_check(void **state)
{
	(void)state;
	/* cmp; jbe +6; push …; ret; call morestack; jmp entry */
	assert_body_at(body(CODE(CHECK, 0x76, 0x06, FRAME, LEAVE, 0xe8, 0, 0, 0, 0, 0xeb, 0xed)),
		       SITE_BODY, 6);
}

static void body_after_big_check(void **state)
{
	(void)state;
	/* lea -0x88(%rsp),%r12; cmp 0x10(%r14),%r12; jbe rel32; push %rbp */
	assert_body_at(body(CODE(0x4c, 0x8d, 0xa4, 0x24, 0x78, 0xff, 0xff, 0xff, 0x4d, 0x3b, 0x66,
				 0x10, 0x0f, 0x86, 0x06, 0, 0, 0, FRAME, LEAVE, 0xe8, 0, 0, 0, 0)),
		       SITE_BODY, 18);
}

static void body_after_huge_check(void **state)
{
	(void)state;
	/* mov %rsp,%r12; sub $0x2000,%r12; jb; cmp 0x10(%r14),%r12; jbe; push */
	assert_body_at(body(CODE(0x49, 0x89, 0xe4, 0x49, 0x81, 0xec, 0x00, 0x20, 0x00, 0x00, 0x72,
				 0x0c, 0x4d, 0x3b, 0x66, 0x10, 0x76, 0x06, FRAME, LEAVE, 0xe8, 0, 0,
				 0, 0)),
		       SITE_BODY, 18);
}

/* stackguard1: functions on the system stack. */
static void body_after_system_stack_check(void **state)
{
	(void)state;
	assert_body_at(
		body(CODE(0x49, 0x3b, 0x66, 0x18, 0x76, 0x06, FRAME, LEAVE, 0xe8, 0, 0, 0, 0)),
		SITE_BODY, 6);
}

static void nosplit_with_frame(void **state)
{
	(void)state;
	assert_body_at(body(CODE(FRAME, LEAVE)), SITE_BODY, 0);
}

/* Up to Go 1.20: sub $0x18,%rsp follows the check. */
static void old_body_is_the_branch(void **state)
{
	struct result s;

	(void)state;
	s = body(CODE(CHECK, 0x76, 0x05, 0x48, 0x83, 0xec, 0x18, 0xc3, 0xe8, 0, 0, 0, 0));
	assert_body_at(s, SITE_BRANCH, 4);
	assert_true(s.in.is_jbe);
}

/* What a request hits takes the check's branch, where there is a check. */
static void cheap_body_is_the_branch(void **state)
{
	const struct site_query q = { .how = HOW_BODY, .branch = true };
	struct result s;

	(void)state;
	s = find(CODE(CHECK, 0x76, 0x06, FRAME, LEAVE, 0xe8, 0, 0, 0, 0, 0xeb, 0xed), q);
	assert_body_at(s, SITE_BRANCH, 4);
	assert_true(s.in.is_jbe);
	assert_body_at(find(CODE(FRAME, LEAVE), q), SITE_BODY, 0);
}

static void no_site_without_frame(void **state)
{
	(void)state;
	assert_refused(body(CODE(0x48, 0x89, 0xc3, 0xc3)), -EOPNOTSUPP, "no stack check");
	/* the old nosplit prologue: sub $0x18,%rsp */
	assert_refused(body(CODE(0x48, 0x83, 0xec, 0x18, 0xc3)), -EOPNOTSUPP, "no stack check");
}

/* A compare with the guard that no jbe follows is none of the compiler's checks. */
static void compare_alone_is_no_check(void **state)
{
	(void)state;
	assert_refused(body(CODE(CHECK, 0x74, 0x00, FRAME, LEAVE)), -EOPNOTSUPP, "no stack check");
}

static void loop_over_the_body_is_refused(void **state)
{
	(void)state;
	/* push at +6, at the end jmp back to it */
	assert_refused(body(CODE(CHECK, 0x76, 0x06, FRAME, 0xeb, 0xfa, 0xe8, 0, 0, 0, 0)),
		       -EOPNOTSUPP, "jumps back");
}

/* The bytes 06 and 62 with an impossible payload are nothing in 64-bit mode. */
static void garbage_is_refused(void **state)
{
	(void)state;
	assert_refused(body(CODE(FRAME, 0x06, LEAVE)), -EBADMSG, "no instruction");
	assert_refused(body(CODE(FRAME, 0x62, 0xff, 0xff, 0xff, 0xff, 0xff, LEAVE)), -EBADMSG,
		       "no instruction");
	assert_refused(body(CODE(0x06)), -EBADMSG, "no instruction");
	/* cut off in the middle of the last instruction */
	assert_refused(body(CODE(FRAME, 0xe8, 0x01, 0x02)), -EBADMSG, "no instruction");
}

/* A linear sweep that takes EVEX for something shorter gets lost in it. */
static void avx512_is_decoded(void **state)
{
	(void)state;
	/* vmovdqu64 0x40(%rsi),%zmm1; vpternlogd $0x96,%zmm3,%zmm2,%zmm1 */
	assert_body_at(body(CODE(FRAME, 0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x4e, 0x01, 0x62, 0xf3, 0x6d,
				 0x48, 0x25, 0xcb, 0x96, LEAVE)),
		       SITE_BODY, 0);
}

/* What the kernel refuses is never chosen, also where it stands at the right place. */
static void refused_instructions_are_not_chosen(void **state)
{
	(void)state;
	/* cmp; jbe; lock incl (%rax): the branch is taken for the site instead */
	assert_body_at(body(CODE(CHECK, 0x76, 0x04, 0xf0, 0xff, 0x00, 0xc3, 0xe8, 0, 0, 0, 0)),
		       SITE_BRANCH, 4);
	/* the same with a five-byte nop, which newer kernels turn into a call */
	assert_body_at(
		body(CODE(CHECK, 0x76, 0x06, 0x0f, 0x1f, 0x44, 0, 0, 0xc3, 0xe8, 0, 0, 0, 0)),
		SITE_BRANCH, 4);
	assert_refused(body(CODE(0x0f, 0x1f, 0x44, 0, 0, FRAME, LEAVE)), -EOPNOTSUPP,
		       "no stack check");
	assert_refused(body(CODE(0xf0, 0xff, 0x00, 0xc3)), -EOPNOTSUPP, "no stack check");
}

static void padding_is_no_code(void **state)
{
	(void)state;
	assert_body_at(body(CODE(FRAME, LEAVE, 0xcc, 0xcc, 0xcc)), SITE_BODY, 0);
	/* zeros that end in the middle of `add %al,(%rax)` */
	assert_body_at(body(CODE(FRAME, LEAVE, 0, 0, 0)), SITE_BODY, 0);
}

static void jump_into_an_instruction_is_refused(void **state)
{
	(void)state;
	/* jmp +1 into the mov that follows */
	assert_refused(body(CODE(FRAME, 0xeb, 0x01, 0x48, 0x89, 0xe5, LEAVE)), -EBADMSG, "middle");
	assert_int_equal(call(CODE(0xe8, 0xfb, 0x0f, 0, 0, 0xeb, 0x01, 0x48, 0x89, 0xe5, 0xc3),
			      ENTRY + 0x1000)
				 .err,
			 -EBADMSG);
}

static void sizes_are_bounded(void **state)
{
	uint8_t *big = calloc(1, SITE_MAX_CODE + 1);

	(void)state;
	assert_non_null(big);
	memset(big, 0x90, SITE_MAX_CODE + 1);
	big[0] = 0x55;
	assert_body_at(body(big, SITE_MAX_CODE), SITE_BODY, 0);
	assert_refused(body(big, SITE_MAX_CODE + 1), -E2BIG, "bytes");
	assert_refused(body(big, 0), -E2BIG, "bytes");
	free(big);
}

static void first_call_of_the_callee(void **state)
{
	struct result s;

	(void)state;
	/* call +0x100 at +4; call +0x200 at +9; again at +14 */
	s = call(CODE(FRAME, 0xe8, 0xf7, 0, 0, 0, 0xe8, 0xf2, 0x01, 0, 0, 0xe8, 0xed, 0x01, 0, 0,
		      LEAVE),
		 ENTRY + 0x200);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.in.addr, ENTRY + 9);
	assert_int_equal(s.in.klass, INSN_CALL);
}

static void no_call_no_site(void **state)
{
	struct result s;

	(void)state;
	s = call(CODE(FRAME, 0xe8, 0xf7, 0, 0, 0, LEAVE), ENTRY + 0x200);
	assert_int_equal(s.err, -ENOENT);
	assert_true(s.why[0] != '\0');
	/* a tail jump is no call: it would be another instruction class */
	assert_int_equal(call(CODE(FRAME, 0xe9, 0xf7, 0x01, 0, 0), ENTRY + 0x200).err, -ENOENT);
	/* call with an operand-size prefix: not what the kernel emulates */
	assert_true(call(CODE(0x66, 0xe8, 0xfa, 0x01, 0, 0, 0xc3), ENTRY + 0x200).err != 0);
}

/* call rel32 at an offset, to ENTRY + to */
#define CALL(at, to)                                                                             \
	0xe8, ((to) - (at)-5) & 0xff, ((to) - (at)-5) >> 8 & 0xff, ((to) - (at)-5) >> 16 & 0xff, \
		((to) - (at)-5) >> 24 & 0xff
#define ERR_WORD(n) (1u << (n))

static struct result after(const uint8_t *code, size_t len, uint32_t keep, bool joined_ok)
{
	return find(code, len,
		    (struct site_query){ .how = HOW_AFTER_CALLS,
					 .callee = ENTRY + 0x200,
					 .keep = keep,
					 .joined_ok = joined_ok });
}

static void all_and_last_calls(void **state)
{
	static const uint8_t code[] = { FRAME, CALL(4, 0x200), CALL(9, 0x100), CALL(14, 0x200),
					LEAVE };
	struct site_query q = { .how = HOW_CALLS, .callee = ENTRY + 0x200 };
	struct result r;

	(void)state;
	r = find(code, sizeof(code), q);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.all[0].addr, ENTRY + 4);
	assert_int_equal(r.all[1].addr, ENTRY + 14);
	q.how = HOW_LAST_CALL;
	r = find(code, sizeof(code), q);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.in.addr, ENTRY + 14);
	q = (struct site_query){ .how = HOW_CALL,
				 .callee = ENTRY + 0x200,
				 .behind = ENTRY + 0x100 };
	r = find(code, sizeof(code), q);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.in.addr, ENTRY + 14);
	q.callee = ENTRY + 0x100;
	assert_int_equal(find(code, sizeof(code), q).err, -ENOENT);
	q.behind = ENTRY + 0x300;
	assert_int_equal(find(code, sizeof(code), q).err, -ENOENT);
}

static void more_calls_than_fit(void **state)
{
	(void)state;
	assert_refused(find(CODE(CALL(0, 0x200), CALL(5, 0x200), CALL(10, 0x200), CALL(15, 0x200),
				 CALL(20, 0x200), 0xc3),
			    (struct site_query){ .how = HOW_CALLS, .callee = ENTRY + 0x200 }),
		       -E2BIG, "more than 4");
}

/* call; nopl; test %rdi,%rdi; jne: what lookupIPAddr's error check looks like. */
static void behind_a_call(void **state)
{
	struct result r;

	(void)state;
	r = after(CODE(CALL(0, 0x200), 0x0f, 0x1f, 0x40, 0x00, 0x48, 0x85, 0xff, 0x75, 0x00, 0xc3),
		  ERR_WORD(3), false);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.kind, SITE_AFTER_CALL);
	assert_int_equal(r.in.addr, ENTRY + 12);
	assert_int_equal(r.in.klass, INSN_JCC);
	/* the next call, a jump, a one-byte nop do as well */
	assert_int_equal(after(CODE(CALL(0, 0x200), CALL(5, 0x100), 0xc3), 1, false).in.addr,
			 ENTRY + 5);
	assert_int_equal(after(CODE(CALL(0, 0x200), 0x90, 0xc3), 1, false).in.klass, INSN_NOP);
	assert_int_equal(after(CODE(CALL(0, 0x200), 0xeb, 0x00, 0xc3), 1, false).in.klass,
			 INSN_JMP);
	/* two calls: two places */
	r = after(CODE(CALL(0, 0x200), 0x90, CALL(6, 0x200), 0x90, 0xc3), 1, false);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.all[1].addr, ENTRY + 11);
}

/* What is passed over may use the results, store them, but not change them. */
static void results_must_be_intact(void **state)
{
	(void)state;
	/* mov %rax,0x10(%rsp); mov 0x20(%rsp),%rdx; je */
	assert_int_equal(after(CODE(CALL(0, 0x200), 0x48, 0x89, 0x44, 0x24, 0x10, 0x48, 0x8b, 0x54,
				    0x24, 0x20, 0x74, 0x00, 0xc3),
			       ERR_WORD(0) | ERR_WORD(2), false)
				 .n,
			 1);
	/* mov 0x20(%rsp),%rax: the first word is gone, the third is not */
	assert_refused(after(CODE(CALL(0, 0x200), 0x48, 0x8b, 0x44, 0x24, 0x20, 0x74, 0x00, 0xc3),
			     ERR_WORD(0), false),
		       -EOPNOTSUPP, "result is overwritten");
	assert_int_equal(after(CODE(CALL(0, 0x200), 0x48, 0x8b, 0x44, 0x24, 0x20, 0x74, 0x00, 0xc3),
			       ERR_WORD(2), false)
				 .n,
			 1);
	/* parts of a register: setne %al, xor %ecx,%ecx */
	assert_refused(after(CODE(CALL(0, 0x200), 0x0f, 0x95, 0xc0, 0x74, 0x00, 0xc3), ERR_WORD(0),
			     false),
		       -EOPNOTSUPP, "result is overwritten");
	assert_refused(after(CODE(CALL(0, 0x200), 0x31, 0xc9, 0x74, 0x00, 0xc3), ERR_WORD(2),
			     false),
		       -EOPNOTSUPP, "result is overwritten");
	/* as hidden operands: mul %rbx, xchg %rax,%rbx, cqo is RDX only */
	assert_refused(after(CODE(CALL(0, 0x200), 0x48, 0xf7, 0xe3, 0x74, 0x00, 0xc3), ERR_WORD(0),
			     false),
		       -EOPNOTSUPP, "result is overwritten");
	assert_refused(after(CODE(CALL(0, 0x200), 0x48, 0x93, 0x74, 0x00, 0xc3), ERR_WORD(1),
			     false),
		       -EOPNOTSUPP, "result is overwritten");
	assert_int_equal(
		after(CODE(CALL(0, 0x200), 0x48, 0x99, 0x74, 0x00, 0xc3), ERR_WORD(0), false).n, 1);
	/* the frame: add $8,%rsp */
	assert_refused(after(CODE(CALL(0, 0x200), 0x48, 0x83, 0xc4, 0x08, 0x74, 0x00, 0xc3), 0,
			     false),
		       -EOPNOTSUPP, "result is overwritten");
}

static void straight_lines_only(void **state)
{
	/* call; test; je at +8; and at the end jmp +5: other code joins at the test */
	static const uint8_t joined[] = { CALL(0, 0x200), 0x48, 0x85, 0xc0, 0x74,
					  0x01,           0xc3, 0xeb, 0xf8 };
	struct site_query some = { .how = HOW_AFTER_CALLS,
				   .callee = ENTRY + 0x200,
				   .some_ok = true };

	(void)state;
	assert_refused(after(joined, sizeof(joined), 1, false), -EOPNOTSUPP, "joins");
	assert_int_equal(after(joined, sizeof(joined), 1, true).in.addr, ENTRY + 8);
	/* ret, call *%rcx and the end of the code */
	assert_refused(after(CODE(CALL(0, 0x200), 0xc3, 0x74, 0x00), 1, false), -EOPNOTSUPP,
		       "no instruction");
	assert_refused(after(CODE(CALL(0, 0x200), 0xff, 0xd1, 0x74, 0x00, 0xc3), 1, false),
		       -EOPNOTSUPP, "no instruction");
	assert_refused(after(CODE(CALL(0, 0x200)), 1, false), -EOPNOTSUPP, "ends");
	/* one call with a place and one without */
	assert_refused(after(CODE(CALL(0, 0x200), 0x90, CALL(6, 0x200), 0xc3), 1, false),
		       -EOPNOTSUPP, "no instruction");
	assert_int_equal(find(CODE(CALL(0, 0x200), 0x90, CALL(6, 0x200), 0xc3), some).n, 1);
	assert_int_equal(find(CODE(CALL(0, 0x200), 0xc3), some).err, -EOPNOTSUPP);
}

static void behind_indirect_calls(void **state)
{
	struct site_query q = { .how = HOW_AFTER_INDIRECT, .keep = ERR_WORD(0) };
	struct result r;

	(void)state;
	/* call *%rcx; test; je; call *(%rdx); nop */
	r = find(CODE(0xff, 0xd1, 0x48, 0x85, 0xc0, 0x74, 0x00, 0xff, 0x12, 0x90, 0xc3), q);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.all[0].addr, ENTRY + 5);
	assert_int_equal(r.all[1].addr, ENTRY + 9);
	assert_int_equal(find(CODE(CALL(0, 0x200), 0x90, 0xc3), q).err, -ENOENT);
	assert_int_equal(find(CODE(0xff, 0xd1, 0x90, 0xff, 0x12, 0xc3), q).err, -EOPNOTSUPP);
}

/* A deferred function between the call and the end: its own first instruction. */
static void into_what_is_called_next(void **state)
{
	struct site_query into = { .how = HOW_INTO,
				   .callee = ENTRY + 0x200,
				   .keep = ERR_WORD(0) | ERR_WORD(2) };
	struct site_query first = { .how = HOW_FIRST,
				    .keep = ERR_WORD(0) | ERR_WORD(2),
				    .joined_ok = true };
	struct result r;

	(void)state;
	/* call; mov %rax,0x10(%rsp); mov (%rdx),%r12; call *%r12 */
	assert_int_equal(find(CODE(CALL(0, 0x200), 0x48, 0x89, 0x44, 0x24, 0x10, 0x4c, 0x8b, 0x22,
				   0x41, 0xff, 0xd4, 0xc3),
			      into)
				 .n,
			 1);
	/* mov (%rdx),%rcx; call *%rcx: the error is gone */
	assert_refused(find(CODE(CALL(0, 0x200), 0x48, 0x8b, 0x0a, 0xff, 0xd1, 0xc3), into),
		       -EOPNOTSUPP, "overwritten");
	/* another call in between */
	assert_refused(find(CODE(CALL(0, 0x200), CALL(5, 0x100), 0x41, 0xff, 0xd4, 0xc3), into),
		       -EOPNOTSUPP, "no");
	/* its stack check; morestack comes back to the entry */
	r = find(CODE(CHECK, 0x76, 0x06, FRAME, LEAVE, CALL(12, 0x300), 0xeb, 0xed), first);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.in.addr, ENTRY + 4);
	assert_int_equal(r.kind, SITE_AFTER_CALL);
}

/* Every prefix of a sound function: either a site inside it or a refusal. */
static void cut_anywhere(void **state)
{
	static const uint8_t code[] = { CHECK, 0x0f, 0x86, 0x10, 0,    0,    0,   FRAME, 0x48,
					0x83,  0xec, 0x18, 0xe8, 0xf2, 0x01, 0,   0,     LEAVE,
					0xe8,  0,    0,    0,    0,    0xeb, 0xdb };
	size_t len;

	(void)state;
	for (len = 0; len <= sizeof(code); len++) {
		uint8_t *copy = malloc(len + 1); /* exact, for AddressSanitizer */
		struct result s;

		memcpy(copy, code, len);
		copy = realloc(copy, len ? len : 1);
		s = body(copy, len);
		assert_true(s.err || s.in.addr - ENTRY + s.in.len <= len);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_after_small_check),
		cmocka_unit_test(cheap_body_is_the_branch),
		cmocka_unit_test(body_after_big_check),
		cmocka_unit_test(body_after_huge_check),
		cmocka_unit_test(body_after_system_stack_check),
		cmocka_unit_test(nosplit_with_frame),
		cmocka_unit_test(old_body_is_the_branch),
		cmocka_unit_test(no_site_without_frame),
		cmocka_unit_test(compare_alone_is_no_check),
		cmocka_unit_test(loop_over_the_body_is_refused),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(avx512_is_decoded),
		cmocka_unit_test(refused_instructions_are_not_chosen),
		cmocka_unit_test(padding_is_no_code),
		cmocka_unit_test(jump_into_an_instruction_is_refused),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(first_call_of_the_callee),
		cmocka_unit_test(no_call_no_site),
		cmocka_unit_test(all_and_last_calls),
		cmocka_unit_test(more_calls_than_fit),
		cmocka_unit_test(behind_a_call),
		cmocka_unit_test(results_must_be_intact),
		cmocka_unit_test(straight_lines_only),
		cmocka_unit_test(behind_indirect_calls),
		cmocka_unit_test(into_what_is_called_next),
		cmocka_unit_test(cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
