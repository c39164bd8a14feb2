/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths through small functions, assembled by hand: which of them return a typed nil. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gobin/gobin.h"
#include "lint/returns.h"
#include "lint/state.h"

#define ITAB 0x500000u

enum expected { NONE, CONSTANT, PATH };

struct sample {
	const char *name;
	enum expected want;
	uint64_t addr;
	const char *bytes;
	size_t len;
};

/* Arguments are in rax, rbx, rcx, rdi, rsi; results in rax, rbx, rcx; static is some variable. */
static const struct sample samples[] = {
	/* clang-format off */
	{ "constant", CONSTANT, 0x401000,
	  "\x48\x8d\x05\xf9\xef\x0f\x00" /* lea itab(%rip),%rax */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\xc3" /* ret */,
	  10 },
	{ "stored, and left over in the register", NONE, 0x40100a,
	  "\x48\x8d\x05\xef\xef\x0f\x00" /* lea itab(%rip),%rax */
	  "\x48\x89\x01" /* mov %rax,(%rcx) */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\xc3" /* ret */,
	  13 },
	{ "of two values one is nil", PATH, 0x401017,
	  "\x48\x85\xc0" /* test %rax,%rax */
	  "\x74\x09" /* je +0xe */
	  "\x48\x8d\x1d\xdd\xf0\x0f\x00" /* lea static(%rip),%rbx */
	  "\xeb\x02" /* jmp +0x10 */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\x48\x8d\x05\xd2\xef\x0f\x00" /* lea itab(%rip),%rax */
	  "\xc3" /* ret */,
	  24 },
	{ "tested", NONE, 0x40102f,
	  "\x48\x85\xc0" /* test %rax,%rax */
	  "\x74\x0b" /* je +0x10 */
	  "\x48\x89\xc3" /* mov %rax,%rbx */
	  "\x48\x8d\x05\xc2\xef\x0f\x00" /* lea itab(%rip),%rax */
	  "\xc3" /* ret */
	  "\x31\xc0" /* xor %eax,%eax */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\xc3" /* ret */,
	  21 },
	{ "a flag in memory says whether", NONE, 0x401044,
	  "\x55" /* push %rbp */
	  "\x48\x83\xec\x10" /* sub $0x10,%rsp */
	  "\x48\x85\xc0" /* test %rax,%rax */
	  "\x0f\x95\xc2" /* setne %dl */
	  "\x88\x54\x24\x07" /* mov %dl,0x7(%rsp) */
	  "\x75\x04" /* jne +0x15 */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\xeb\x07" /* jmp +0x1c */
	  "\x48\x8d\x1d\xa0\xf0\x0f\x00" /* lea static(%rip),%rbx */
	  "\x48\x89\x5c\x24\x08" /* mov %rbx,0x8(%rsp) */
	  "\x80\x7c\x24\x07\x00" /* cmpb $0x0,0x7(%rsp) */
	  "\x74\x12" /* je +0x3a */
	  "\x48\x8b\x5c\x24\x08" /* mov 0x8(%rsp),%rbx */
	  "\x48\x8d\x05\x88\xef\x0f\x00" /* lea itab(%rip),%rax */
	  "\x48\x83\xc4\x10" /* add $0x10,%rsp */
	  "\x5d" /* pop %rbp */
	  "\xc3" /* ret */
	  "\x31\xc0" /* xor %eax,%eax */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\x48\x83\xc4\x10" /* add $0x10,%rsp */
	  "\x5d" /* pop %rbp */
	  "\xc3" /* ret */,
	  68 },
	{ "a conditional move takes neither or both", NONE, 0x401088,
	  "\x31\xc9" /* xor %ecx,%ecx */
	  "\x48\x8d\x15\x6f\xef\x0f\x00" /* lea itab(%rip),%rdx */
	  "\x48\x89\xc3" /* mov %rax,%rbx */
	  "\x48\x85\xdb" /* test %rbx,%rbx */
	  "\x48\x0f\x44\xd1" /* cmove %rcx,%rdx */
	  "\x48\x89\xd0" /* mov %rdx,%rax */
	  "\xc3" /* ret */,
	  23 },
	{ "a conditional move takes nil", PATH, 0x40109f,
	  "\x31\xc9" /* xor %ecx,%ecx */
	  "\x48\x83\xf8\x05" /* cmp $0x5,%rax */
	  "\x48\x8d\x1d\x54\xf0\x0f\x00" /* lea static(%rip),%rbx */
	  "\x48\x0f\x45\xd9" /* cmovne %rcx,%rbx */
	  "\x48\x8d\x05\x49\xef\x0f\x00" /* lea itab(%rip),%rax */
	  "\xc3" /* ret */,
	  25 },
	{ "a loop counts", NONE, 0x4010b8,
	  "\x31\xc9" /* xor %ecx,%ecx */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\x48\x39\xfe" /* cmp %rdi,%rsi */
	  "\x7d\x0f" /* jge +0x18 */
	  "\x48\x8d\x1d\x38\xf0\x0f\x00" /* lea static(%rip),%rbx */
	  "\x48\xff\xc1" /* inc %rcx */
	  "\x48\xff\xc6" /* inc %rsi */
	  "\xeb\xec" /* jmp +0x4 */
	  "\x48\x85\xc9" /* test %rcx,%rcx */
	  "\x7e\x08" /* jle +0x25 */
	  "\x48\x8d\x05\x24\xef\x0f\x00" /* lea itab(%rip),%rax */
	  "\xc3" /* ret */
	  "\x31\xc0" /* xor %eax,%eax */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\xc3" /* ret */,
	  42 },
	{ "a variable whose address is given away", NONE, 0x4010e2,
	  "\x55" /* push %rbp */
	  "\x48\x83\xec\x18" /* sub $0x18,%rsp */
	  "\x48\xc7\x44\x24\x08\x00\x00\x00\x00" /* movq $0x0,0x8(%rsp) */
	  "\x48\x8d\x44\x24\x08" /* lea 0x8(%rsp),%rax */
	  "\xff\x12" /* call *(%rdx) */
	  "\x48\x8b\x5c\x24\x08" /* mov 0x8(%rsp),%rbx */
	  "\x48\x8d\x05\xfd\xee\x0f\x00" /* lea itab(%rip),%rax */
	  "\x48\x83\xc4\x18" /* add $0x18,%rsp */
	  "\x5d" /* pop %rbp */
	  "\xc3" /* ret */,
	  39 },
	{ "second result, in the frame over a call", CONSTANT, 0x401109,
	  "\x55" /* push %rbp */
	  "\x48\x83\xec\x18" /* sub $0x18,%rsp */
	  "\x48\xc7\x44\x24\x08\x00\x00\x00\x00" /* movq $0x0,0x8(%rsp) */
	  "\xff\x12" /* call *(%rdx) */
	  "\x48\x8b\x4c\x24\x08" /* mov 0x8(%rsp),%rcx */
	  "\x48\x8d\x1d\xdb\xee\x0f\x00" /* lea itab(%rip),%rbx */
	  "\xb8\x01\x00\x00\x00" /* mov $0x1,%eax */
	  "\x48\x83\xc4\x18" /* add $0x18,%rsp */
	  "\x5d" /* pop %rbp */
	  "\xc3" /* ret */,
	  39 },
	{ "result of a call that is not known", NONE, 0x401130,
	  "\x55" /* push %rbp */
	  "\xff\x12" /* call *(%rdx) */
	  "\x48\x89\xc3" /* mov %rax,%rbx */
	  "\x48\x8d\x05\xc3\xee\x0f\x00" /* lea itab(%rip),%rax */
	  "\x5d" /* pop %rbp */
	  "\xc3" /* ret */,
	  15 },
	{ "the itab is only compared with", NONE, 0x40113f,
	  "\x48\x8d\x0d\xba\xee\x0f\x00" /* lea itab(%rip),%rcx */
	  "\x31\xd2" /* xor %edx,%edx */
	  "\x48\x39\xc8" /* cmp %rcx,%rax */
	  "\x48\x0f\x45\xda" /* cmovne %rdx,%rbx */
	  "\x48\x89\xd8" /* mov %rbx,%rax */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\xc3" /* ret */,
	  22 },
	{ "read through before", NONE, 0x401155,
	  "\x48\x85\xc0" /* test %rax,%rax */
	  "\x74\x00" /* je +0x5 */
	  "\x48\x8b\x48\x08" /* mov 0x8(%rax),%rcx */
	  "\x48\x85\xc0" /* test %rax,%rax */
	  "\x75\x0a" /* jne +0x18 */
	  "\x31\xdb" /* xor %ebx,%ebx */
	  "\x48\x8d\x05\x94\xee\x0f\x00" /* lea itab(%rip),%rax */
	  "\xc3" /* ret */
	  "\x48\x89\xc3" /* mov %rax,%rbx */
	  "\x48\x8d\x05\x89\xee\x0f\x00" /* lea itab(%rip),%rax */
	  "\xc3" /* ret */,
	  35 },
	/* clang-format on */
};

struct fixture {
	struct gobin gb;
	struct callees callees;
	struct itabs itabs;
	struct itab itab;
	struct returns returns;
};

static struct fixture *new_fixture(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->gb.arch = arch_find(EM_X86_64);
	callees_init(&f->callees, &f->gb, UINT64_MAX);
	f->itab.addr = ITAB;
	f->itabs = (struct itabs){ .itab = &f->itab, .n = 1, .first = ITAB, .last = ITAB };
	u64map_init(&f->itabs.by_addr, 8);
	assert_non_null(u64map_put(&f->itabs.by_addr, ITAB, 0, NULL));
	return f;
}

static void free_fixture(struct fixture *f)
{
	u64map_deinit(&f->itabs.by_addr);
	callees_deinit(&f->callees);
	free(f);
}

static void scan(struct fixture *f, const struct sample *s)
{
	struct gofunc func = { .entry = s->addr, .end = s->addr + s->len };
	struct code c;

	assert_int_equal(code_decode(&c, f->gb.arch, &func, (const uint8_t *)s->bytes, &f->itabs),
			 0);
	assert_int_equal(returns_find(&f->returns, &f->gb, &c, &f->itabs, &f->callees), 0);
	assert_false(f->returns.complex);
	assert_false(f->returns.blind);
	code_deinit(&c);
}

static void small_functions(void **state)
{
	struct fixture *f = new_fixture();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *s = &samples[i];

		scan(f, s);
		if (f->returns.n != (s->want != NONE))
			fail_msg("%s: %d typed nils", s->name, f->returns.n);
		if (s->want != NONE && f->returns.nil[0].always != (s->want == CONSTANT))
			fail_msg("%s: always %d", s->name, f->returns.nil[0].always);
	}
	free_fixture(f);
}

/* Cut off anywhere, they are still followed without harm. */
static void cut_off(void **state)
{
	struct fixture *f = new_fixture();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *s = &samples[i];
		struct gofunc func = { .entry = s->addr };
		struct code c;

		for (size_t len = 1; len < s->len; len++) {
			func.end = s->addr + len;
			if (code_decode(&c, f->gb.arch, &func, (const uint8_t *)s->bytes,
					&f->itabs))
				continue;
			assert_int_equal(
				returns_find(&f->returns, &f->gb, &c, &f->itabs, &f->callees), 0);
			code_deinit(&c);
		}
	}
	free_fixture(f);
}

/* ---- how values compare ---- */

static struct state *new_state(void)
{
	struct state *s = malloc(sizeof(*s));

	assert_non_null(s);
	state_begin(s);
	return s;
}

static void numbers(void **state)
{
	struct state *s = new_state();

	(void)state;
	assert_int_equal(state_compare(s, value_number(3), value_number(3), 8), WHEN_EQUAL);
	assert_int_equal(state_compare(s, value_number(2), value_number(3), 8), WHEN_LESS_BELOW);
	assert_int_equal(state_compare(s, value_number(-2), value_number(3), 8), WHEN_LESS_ABOVE);
	assert_int_equal(state_compare(s, value_number(3), value_number(-2), 8),
			 WHEN_GREATER_BELOW);
	/* bytes */
	assert_int_equal(state_compare(s, value_number(0x103), value_number(3), 1), WHEN_EQUAL);
	assert_int_equal(state_compare(s, value_number(0xff), value_number(3), 1), WHEN_LESS_ABOVE);
	free(s);
}

static void facts(void **state)
{
	struct value x = value_thing(1, WORD_LOAD), y = value_thing(2, WORD_LOAD);
	struct state *s = new_state();

	(void)state;
	assert_int_equal(state_compare(s, x, y, 8), WHEN_ALL);
	/* nothing is below 0 */
	assert_int_equal(state_compare(s, x, value_number(0), 8), WHEN_EQUAL | WHEN_ABOVE);
	/* x > 5, signed: what that says of other numbers */
	state_assume(s, x, value_number(5), 8, WHEN_GREATER_BELOW | WHEN_GREATER_ABOVE);
	assert_int_equal(state_compare(s, x, value_number(5), 8) & (WHEN_LESS | WHEN_EQUAL), 0);
	assert_int_equal(state_compare(s, x, value_number(3), 8) & (WHEN_LESS | WHEN_EQUAL), 0);
	assert_int_not_equal(state_compare(s, x, value_number(7), 8) & WHEN_EQUAL, 0);
	/* of another size it says nothing */
	assert_int_not_equal(state_compare(s, x, value_number(3), 1) & WHEN_EQUAL, 0);
	/* the same, the other way round */
	assert_int_equal(state_compare(s, value_number(3), x, 8) &
				 (WHEN_GREATER_BELOW | WHEN_GREATER_ABOVE | WHEN_EQUAL),
			 0);
	state_assume(s, y, x, 8, WHEN_EQUAL);
	assert_int_equal(state_compare(s, x, y, 8), WHEN_EQUAL);
	/* another x: all that is forgotten */
	state_renew(s, x.n);
	assert_int_equal(state_compare(s, x, value_number(5), 8), WHEN_ALL);
	assert_int_equal(state_compare(s, x, y, 8), WHEN_ALL);
	free(s);
}

static void memory(void **state)
{
	struct value frame = { VALUE_FRAME, false, 0, 0 }, heap = value_thing(1, WORD_LOAD),
		     other = value_thing(2, WORD_LOAD);
	struct state *s = new_state();

	(void)state;
	state_store(s, frame, -16, 8, value_number(0));
	state_store(s, heap, 8, 8, value_number(7));
	assert_non_null(state_slot(s, frame, -16, 8));
	assert_non_null(state_slot(s, frame, -16, 1)); /* the low byte of a number */
	assert_int_equal(state_slot(s, heap, 8, 8)->v.n, 7);
	/* may be the same memory, but not the frame's */
	state_store(s, other, 8, 8, value_number(9));
	assert_null(state_slot(s, heap, 8, 8));
	assert_non_null(state_slot(s, frame, -16, 8));
	/* a part is overwritten */
	state_store(s, frame, -12, 4, value_number(1));
	assert_null(state_slot(s, frame, -16, 8));
	state_forget_heap(s);
	assert_null(state_slot(s, other, 8, 8));
	assert_non_null(state_slot(s, frame, -12, 4));
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_functions), cmocka_unit_test(cut_off),
		cmocka_unit_test(numbers),         cmocka_unit_test(facts),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
