/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sites: in code made up here, byte by byte, and in programs of every release.
 * What is expected of the releases was read from their disassembly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>

#include "gobin/gobin.h"
#include "plan/plan.h"
#include "releases.h"

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

/* What a release must give. */
struct expected {
	const char *function;
	enum site_kind kind;
	const char *insn;
};

static const char *const variants[] = {
	"1.20-pie",  "1.20-cgo",   "1.20-race",  "1.24-pie",    "1.24-cgo",
	"1.24-race", "newest-pie", "newest-cgo", "newest-race", "newest-staticpie",
};

static struct expected expect(enum probe_id id, int minor)
{
	bool old = minor <= 20;
	struct expected body_of = { NULL, old ? SITE_BRANCH : SITE_BODY,
				    old ? "jbe" : "push %rbp" };

	switch (id) {
	case PROBE_GO_BIRTH:
		return (struct expected){ "runtime.newproc.func1", SITE_CALL,
					  "call runtime.runqput" };
	case PROBE_CORO_BIRTH:
		return (struct expected){ "runtime.newcoro.func1", SITE_CALL,
					  "call runtime.newproc1" };
	case PROBE_GO_END:
		return (struct expected){ minor >= 22 ? "runtime.gdestroy" : "runtime.goexit0",
					  SITE_BRANCH, "jbe" };
	case PROBE_ALLOC_LARGE:
		return (struct expected){ minor >= 24 ? "runtime.mallocgcLarge"
						      : "runtime.mallocgc",
					  SITE_CALL, "call runtime.(*mcache).allocLarge" };
	case PROBE_GC_START:
		body_of.function = "runtime.gcStart";
		return body_of;
	case PROBE_GC_END:
		body_of.function = "runtime.gcMarkTermination";
		return body_of;
	case PROBE_STW_BEGIN:
		body_of.function = "runtime.stopTheWorldWithSema";
		return body_of;
	case PROBE_STW_END:
		body_of.function = "runtime.startTheWorldWithSema";
		return body_of;
	default:
		fail();
		return body_of;
	}
}

static struct gobin *open_named(const char *program, const char *what)
{
	struct gobin *gb = NULL;
	struct err err = { 0 };
	char path[512];

	if (!program_path(path, sizeof(path), "%s-%s", program, what))
		return NULL;
	if (gobin_open(&gb, path, &err))
		fail_msg("%s: %s", what, err.what);
	return gb;
}

static struct gobin *open_program(const char *what)
{
	return open_named("work", what);
}

/* The sites as bytes: what the file has there, and what the plan says it has. */
static void check_bytes(struct gobin *gb, const struct probe *p)
{
	int i;

	assert_true(p->nsite > 0);
	assert_int_equal(p->kind, p->site[0].kind);
	assert_string_equal(p->function, p->site[0].function);
	for (i = 0; i < p->nsite; i++) {
		const struct site *s = &p->site[i];
		uint8_t there[16] = { 0 };
		struct insn in;

		assert_int_equal(image_read(&gb->image, s->file_off, there, s->len), 0);
		assert_memory_equal(there, s->bytes, s->len);
		assert_int_equal(gb->arch->decode(s->bytes, s->len, s->addr, false, &in), 0);
		assert_int_equal(in.klass, s->klass);
		assert_true(s->klass != INSN_STEPPED && s->klass != INSN_REFUSED);
		assert_true(s->func_off + s->len <= s->func_size);
	}
}

static void check_probe(struct gobin *gb, const struct probe *p, int minor)
{
	struct expected e;

	/* the program has no network, or only what others of the library drag in */
	if (p->id > PROBE_STW_END) {
		assert_true(p->kind != SITE_NONE ||
			    (p->why[0] && (p->absent || p->sensor == SENSOR_LOCKS)));
		if (p->kind != SITE_NONE)
			check_bytes(gb, p);
		return;
	}
	e = expect(p->id, minor);
	if (p->id == PROBE_CORO_BIRTH && p->kind == SITE_NONE) {
		assert_true(p->absent);
		assert_true(p->why[0] != '\0');
		if (minor < 23)
			assert_string_equal(p->why, "this Go release has no such function");
		return;
	}
	assert_true(p->id != PROBE_CORO_BIRTH || minor >= 22);
	if (p->kind == SITE_NONE)
		fail_msg("1.%d %s: %s", minor, probe_name(p->id), p->why);
	assert_string_equal(p->function, e.function);
	assert_int_equal(p->kind, e.kind);
	assert_int_equal(p->nsite, 1);
	assert_memory_equal(p->site[0].insn, e.insn, strlen(e.insn));
	assert_int_equal(p->group == GROUP_RARE, p->id >= PROBE_ALLOC_LARGE);
	assert_true(p->cost_ns < 0);
	check_bytes(gb, p);
}

static void check_programs(const char *const *names, size_t n, const char *suffix)
{
	size_t i, missing = 0;

	for (i = 0; i < n; i++) {
		struct gobin *gb;
		struct plan pl;
		struct err err = { 0 };
		char what[64];
		int k;

		snprintf(what, sizeof(what), "%s%s", names[i], suffix);
		gb = open_program(what);
		if (!gb) {
			missing++;
			continue;
		}
		assert_int_equal(plan_make(&pl, gb, SENSOR_ALL, &err), 0);
		assert_int_equal(pl.n, PROBE_COUNT);
		for (k = 0; k < pl.n; k++) {
			assert_int_equal(pl.probe[k].id, k);
			check_probe(gb, &pl.probe[k], gb->release.minor);
		}
		gobin_free(gb);
	}
	if (missing)
		skip();
}

static void every_release(void **state)
{
	(void)state;
	check_programs(releases, ARRAY_SIZE(releases), "-stripped");
}

static void every_variant(void **state)
{
	(void)state;
	check_programs(variants, ARRAY_SIZE(variants), "");
}

/* Places of the probes in a program that uses all of net/http and database/sql. */
struct net_expected {
	enum probe_id id;
	const char *function; /* of the first site; since the release that moved it: second */
	const char *moved;
	int since;
	enum site_kind kind; /* SITE_BODY: SITE_BRANCH up to 1.20 and for what is not rare */
	int nsite;
	bool rare, slot;
};

#define HTTP     "net/http."
#define H2(name) "net/http.(*http2" name, "net/http/internal/http2.(*" name, 27

static const struct net_expected net_expected[] = {
	{ PROBE_DNS_BEGIN, "net.(*Resolver).internetAddrList", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_DNS_END, "net.(*Resolver).internetAddrList", NULL, 0, SITE_AFTER_CALL, 1, true,
	  false },
	{ PROBE_CONNECT_BEGIN, "net.(*Dialer).DialContext", NULL, 0, SITE_CALL, 1, true, false },
	{ PROBE_CONNECT_END, "net.(*Dialer).DialContext", "net.(*Dialer).dialCtx.func2", 26,
	  SITE_AFTER_CALL, 1, true, false },
	{ PROBE_TLS_NAME, HTTP "(*persistConn).addTLS", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_TLS_BEGIN, "crypto/tls.(*Conn).clientHandshake", NULL, 0, SITE_BODY, 1, true,
	  false },
	{ PROBE_TLS_END, "crypto/tls.(*Conn).handshakeContext", NULL, 0, SITE_AFTER_CALL, 2, true,
	  false },
	{ PROBE_POOL_BEGIN, HTTP "(*Transport).queueForDial", NULL, 0, SITE_CALL, 1, true, true },
	{ PROBE_POOL_DELIVERED, HTTP "(*Transport).tryPutIdleConn", NULL, 0, SITE_CALL, 2, true,
	  false },
	{ PROBE_POOL_DIAL, HTTP "(*Transport).dialConnFor", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_POOL_CANCEL, HTTP "(*wantConn).cancel", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_CALL_BEGIN, HTTP "(*Client).do", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_CALL_FAILED, HTTP "(*Client).do.func2", NULL, 0, SITE_BODY, 2, false, false },
	{ PROBE_CONN_BEGIN, HTTP "(*persistConn).roundTrip", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_CONN_WRITTEN, HTTP "(*persistConn).writeLoop", NULL, 0, SITE_AFTER_CALL, 1, false,
	  true },
	{ PROBE_CONN_FIRST_BYTE, HTTP "(*persistConn).readResponse", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_CONN_CLOSED, HTTP "(*persistConn).close", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_CONN_BODY_END, HTTP "(*persistConn).readLoop.func4", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_STREAM_BEGIN, H2("clientStream).encodeAndWriteHeaders"), SITE_BODY, 1, false,
	  false },
	{ PROBE_STREAM_WRITTEN, H2("clientStream).writeRequest"), SITE_CALL, 1, false, true },
	{ PROBE_STREAM_FIRST_BYTE, H2("clientConnReadLoop).handleResponse"), SITE_BODY, 1, false,
	  false },
	{ PROBE_STREAM_ANSWERED, H2("ClientConn).roundTrip"), SITE_AFTER_CALL, 1, false, false },
	{ PROBE_STREAM_END, H2("clientStream).cleanupWriteRequest"), SITE_BODY, 1, false, false },
	{ PROBE_HANDLER_BEGIN, HTTP "serverHandler.ServeHTTP", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_HANDLER_ROUTE, HTTP "(*ServeMux).ServeHTTP", NULL, 0, SITE_AFTER_CALL, 2, false,
	  false },
	{ PROBE_HANDLER_FUNC, HTTP "HandlerFunc.ServeHTTP", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_HANDLER_END, HTTP "(*conn).serve", NULL, 0, SITE_AFTER_CALL, 2, false, false },
	{ PROBE_SQL_WAIT_BEGIN, "database/sql.(*DB).conn", NULL, 0, SITE_CALL, 1, true, false },
	{ PROBE_SQL_WAIT_END, "database/sql.(*DB).conn", NULL, 0, SITE_AFTER_CALL, 1, true, false },
	{ PROBE_SQL_BEGIN_TX, "database/sql.(*DB).beginDC", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_SQL_ROWS, "database/sql.(*DB).queryDC", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_SQL_CONN, "database/sql.(*DB).Conn.func1", NULL, 0, SITE_AFTER_CALL, 1, false,
	  false },
	{ PROBE_SQL_PUT, "database/sql.(*DB).putConn", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_LOCK_BEGIN, "sync.(*Mutex).lockSlow", "internal/sync.(*Mutex).lockSlow", 24,
	  SITE_CALL, 1, false, false },
	{ PROBE_LOCK_END, "sync.(*Mutex).lockSlow", "internal/sync.(*Mutex).lockSlow", 24,
	  SITE_AFTER_CALL, 1, false, false },
};

static void check_net_probe(struct gobin *gb, const struct net_expected *e, const struct probe *p,
			    int minor)
{
	enum site_kind kind =
		e->kind == SITE_BODY && (minor <= 20 || !e->rare) ? SITE_BRANCH : e->kind;
	const char *function = e->moved && minor >= e->since ? e->moved : e->function;
	int nsite = e->nsite;

	/* Up to 1.19 (*DB).Conn has no place where its result is still in a register. */
	if (p->id == PROBE_SQL_CONN && minor <= 19) {
		assert_int_equal(p->kind, SITE_NONE);
		assert_true(p->why[0] != '\0' && !p->absent);
		return;
	}
	/* A mux says what it has chosen since 1.22; before, a HandlerFunc does. */
	if (p->id == (minor < 22 ? PROBE_HANDLER_ROUTE : PROBE_HANDLER_FUNC)) {
		assert_int_equal(p->kind, SITE_NONE);
		assert_true(p->absent);
		return;
	}
	if (p->kind == SITE_NONE)
		fail_msg("1.%d %s: %s", minor, probe_name(p->id), p->why);
	/* dialSerial is called there as well; handshakeContext has more indirect calls. */
	if (minor == 18 && (p->id == PROBE_CONNECT_BEGIN || p->id == PROBE_CONNECT_END))
		nsite = 2;
	if (p->id == PROBE_TLS_END)
		nsite = p->nsite == 3 ? 3 : 2;
	/* RoundTrip has a body of its own up to 1.22; waitDone is inlined since 1.24. */
	if (p->id == PROBE_STREAM_ANSWERED) {
		nsite = minor < 24 ? 1 : 4;
		function = minor <= 22 ? HTTP "(*http2ClientConn).RoundTrip" : function;
	}
	assert_string_equal(p->function, function);
	assert_int_equal(p->kind, kind);
	if (p->nsite != nsite)
		fail_msg("1.%d %s: %d places", minor, probe_name(p->id), p->nsite);
	assert_int_equal(p->group == GROUP_RARE, e->rare);
	assert_int_equal(p->site[0].slot != PROBE_NO_SLOT, e->slot);
	check_bytes(gb, p);
}

static void network_in_every_release(void **state)
{
	size_t i, k, missing = 0;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		int minor = atoi(releases[i] + 2);
		struct plan pl;
		char what[64];
		struct gobin *gb;

		snprintf(what, sizeof(what), "%s-stripped", releases[i]);
		gb = open_named("netcount", what);
		if (!gb) {
			missing++;
			continue;
		}
		assert_int_equal(plan_make(&pl, gb, SENSOR_ALL, NULL), 0);
		for (k = 0; k < ARRAY_SIZE(net_expected); k++)
			check_net_probe(gb, &net_expected[k], plan_find(&pl, net_expected[k].id),
					minor);
		for (k = 0; k < RANGE_COUNT; k++) /* x/net, routers and gRPC are not linked */
			assert_true(pl.range[k].lo < pl.range[k].hi || k == RANGE_H2C ||
				    k == RANGE_HANDLER_METHOD || k >= RANGE_GIN);
		assert_true(plan_find(&pl, PROBE_GRPC_BEGIN)->absent);
		assert_string_equal(plan_find(&pl, PROBE_GRPC_BEGIN)->why,
				    "google.golang.org/grpc is not linked into this program");
		gobin_free(gb);
	}
	if (missing)
		skip();
}

/* Of a program that runs all kinds of statements. */
static const struct net_expected statement_expected[] = {
	{ PROBE_STMT_QUERY, "database/sql.(*DB).queryDC", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_STMT_EXEC, "database/sql.(*DB).execDC", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_STMT_PREPARED_QUERY, "database/sql.rowsiFromStatement", NULL, 0, SITE_BODY, 1,
	  false, false },
	{ PROBE_STMT_PREPARED_EXEC, "database/sql.resultFromStatement", NULL, 0, SITE_BODY, 1,
	  false, false },
	{ PROBE_STMT_ROWS, "database/sql.(*Rows).initContextClose", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_STMT_EXEC_END, "database/sql.(*DB).execDC.func1", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_STMT_PUT, "database/sql.(*DB).putConn", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_STMT_TX, "database/sql.(*Tx).closemuRUnlockRelease-fm", NULL, 0, SITE_BODY, 1,
	  false, false },
	{ PROBE_STMT_CONN, "database/sql.(*Conn).closemuRUnlockCondReleaseConn-fm", NULL, 0,
	  SITE_BODY, 1, false, false },
};

static void statements_in_every_release(void **state)
{
	size_t missing = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		struct plan pl;
		char what[64];
		struct gobin *gb;

		snprintf(what, sizeof(what), "%s-stripped", releases[i]);
		gb = open_named("statements", what);
		if (!gb) {
			missing++;
			continue;
		}
		assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_STATEMENTS), NULL), 0);
		assert_int_equal(pl.n, ARRAY_SIZE(statement_expected));
		for (size_t k = 0; k < ARRAY_SIZE(statement_expected); k++)
			check_net_probe(gb, &statement_expected[k],
					plan_find(&pl, statement_expected[k].id),
					atoi(releases[i] + 2));
		gobin_free(gb);
	}
	if (missing)
		skip();
}

static void sensors_choose_probes(void **state)
{
	struct gobin *gb = open_program("usual-stripped");
	struct plan pl;

	(void)state;
	if (!gb)
		skip();
	assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_ALLOC), NULL), 0);
	assert_int_equal(pl.n, 1);
	assert_non_null(plan_find(&pl, PROBE_ALLOC_LARGE));
	assert_null(plan_find(&pl, PROBE_GO_BIRTH));
	assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_ERRORS), NULL), 0);
	assert_int_equal(pl.n, 0);
	assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_SQL), NULL), 0);
	assert_int_equal(pl.n, 6);
	assert_true(pl.probe[0].absent);
	assert_string_equal(pl.probe[0].why, "database/sql is not linked into this program");
	gobin_free(gb);
}

static void prices(void **state)
{
	struct cost_table ct = { .ns = { [INSN_PUSH] = 750, [INSN_CALL] = 670, [INSN_JCC] = -1 } };
	struct plan pl = { .n = 4 };

	(void)state;
	pl.probe[0] =
		(struct probe){ .kind = SITE_BODY, .nsite = 1, .site = { { .klass = INSN_PUSH } } };
	/* of several places the dearest */
	pl.probe[1] = (struct probe){ .kind = SITE_CALL,
				      .nsite = 2,
				      .site = { { .klass = INSN_JCC }, { .klass = INSN_CALL } } };
	pl.probe[2] = (struct probe){ .kind = SITE_BRANCH,
				      .nsite = 1,
				      .site = { { .klass = INSN_JCC } } };
	pl.probe[3] = (struct probe){ .kind = SITE_NONE };
	plan_price(&pl, &ct);
	assert_true(pl.probe[0].cost_ns == 750 && pl.probe[1].cost_ns == 670);
	assert_true(pl.probe[2].cost_ns < 0 && pl.probe[3].cost_ns < 0);
}

static void sensor_lists(void **state)
{
	const char *bad = NULL;
	uint32_t mask = 0;

	(void)state;
	assert_int_equal(sensor_parse("goroutines", &mask, &bad), 0);
	assert_int_equal(mask, SENSOR_BIT(SENSOR_GOROUTINES));
	assert_int_equal(sensor_parse("gc,alloc,crash", &mask, &bad), 0);
	assert_int_equal(mask, SENSOR_BIT(SENSOR_GC) | SENSOR_BIT(SENSOR_ALLOC) |
				       SENSOR_BIT(SENSOR_CRASH));
	assert_int_equal(sensor_parse("gc,alocs", &mask, &bad), -EINVAL);
	assert_string_equal(bad, "alocs");
	assert_int_equal(sensor_parse("", &mask, &bad), -EINVAL);
	assert_int_equal(sensor_parse("gc,", &mask, &bad), -EINVAL);
	assert_int_equal(sensor_parse("goroutine", &mask, &bad), -EINVAL);
	assert_string_equal(sensor_name(SENSOR_LOCKS), "locks");
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
		cmocka_unit_test(every_release),
		cmocka_unit_test(every_variant),
		cmocka_unit_test(network_in_every_release),
		cmocka_unit_test(statements_in_every_release),
		cmocka_unit_test(sensors_choose_probes),
		cmocka_unit_test(prices),
		cmocka_unit_test(sensor_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
