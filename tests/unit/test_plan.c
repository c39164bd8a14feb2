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

#define ENTRY 0x401000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Code of one function, given as bytes. */
#define CODE(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

/* cmp 0x10(%r14),%rsp */
#define CHECK 0x49, 0x3b, 0x66, 0x10
/* push %rbp; mov %rsp,%rbp */
#define FRAME 0x55, 0x48, 0x89, 0xe5
/* pop %rbp; ret */
#define LEAVE 0x5d, 0xc3

struct site {
	int err;
	struct insn in;
	enum site_kind kind;
	char why[160];
};

static struct site body(const uint8_t *code, size_t len)
{
	struct site s = { 0 };

	s.err = site_body(arch_find(EM_X86_64), code, len, ENTRY, &s.in, &s.kind, s.why, sizeof(s.why));
	return s;
}

static struct site call(const uint8_t *code, size_t len, uint64_t callee)
{
	struct site s = { 0 };

	s.err = site_call(arch_find(EM_X86_64), code, len, ENTRY, callee, &s.in, s.why, sizeof(s.why));
	return s;
}

static void assert_body_at(struct site s, enum site_kind kind, uint64_t off)
{
	if (s.err)
		print_message("refused: %s\n", s.why);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.kind, kind);
	assert_int_equal(s.in.addr - ENTRY, off);
	assert_true(s.in.klass != INSN_STEPPED && s.in.klass != INSN_REFUSED);
	assert_true(s.in.text[0] != '\0');
}

static void assert_refused(struct site s, int err, const char *word)
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
	assert_body_at(body(CODE(CHECK, 0x76, 0x06, FRAME, LEAVE,
				 0xe8, 0, 0, 0, 0, 0xeb, 0xed)), SITE_BODY, 6);
}

static void body_after_big_check(void **state)
{
	(void)state;
	/* lea -0x88(%rsp),%r12; cmp 0x10(%r14),%r12; jbe rel32; push %rbp */
	assert_body_at(body(CODE(0x4c, 0x8d, 0xa4, 0x24, 0x78, 0xff, 0xff, 0xff, 0x4d, 0x3b, 0x66, 0x10,
				 0x0f, 0x86, 0x06, 0, 0, 0, FRAME, LEAVE, 0xe8, 0, 0, 0, 0)),
		       SITE_BODY, 18);
}

static void body_after_huge_check(void **state)
{
	(void)state;
	/* mov %rsp,%r12; sub $0x2000,%r12; jb; cmp 0x10(%r14),%r12; jbe; push */
	assert_body_at(body(CODE(0x49, 0x89, 0xe4, 0x49, 0x81, 0xec, 0x00, 0x20, 0x00, 0x00,
				 0x72, 0x0c, 0x4d, 0x3b, 0x66, 0x10, 0x76, 0x06, FRAME, LEAVE,
				 0xe8, 0, 0, 0, 0)), SITE_BODY, 18);
}

/* stackguard1: functions on the system stack. */
static void body_after_system_stack_check(void **state)
{
	(void)state;
	assert_body_at(body(CODE(0x49, 0x3b, 0x66, 0x18, 0x76, 0x06, FRAME, LEAVE, 0xe8, 0, 0, 0, 0)),
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
	struct site s;

	(void)state;
	s = body(CODE(CHECK, 0x76, 0x05, 0x48, 0x83, 0xec, 0x18, 0xc3, 0xe8, 0, 0, 0, 0));
	assert_body_at(s, SITE_BRANCH, 4);
	assert_true(s.in.is_jbe);
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
	assert_refused(body(CODE(FRAME, 0x62, 0xff, 0xff, 0xff, 0xff, 0xff, LEAVE)),
		       -EBADMSG, "no instruction");
	assert_refused(body(CODE(0x06)), -EBADMSG, "no instruction");
	/* cut off in the middle of the last instruction */
	assert_refused(body(CODE(FRAME, 0xe8, 0x01, 0x02)), -EBADMSG, "no instruction");
}

/* A linear sweep that takes EVEX for something shorter gets lost in it. */
static void avx512_is_decoded(void **state)
{
	(void)state;
	/* vmovdqu64 0x40(%rsi),%zmm1; vpternlogd $0x96,%zmm3,%zmm2,%zmm1 */
	assert_body_at(body(CODE(FRAME, 0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x4e, 0x01,
				 0x62, 0xf3, 0x6d, 0x48, 0x25, 0xcb, 0x96, LEAVE)), SITE_BODY, 0);
}

/* What the kernel refuses is never chosen, also where it stands at the right place. */
static void refused_instructions_are_not_chosen(void **state)
{
	(void)state;
	/* cmp; jbe; lock incl (%rax): the branch is taken for the site instead */
	assert_body_at(body(CODE(CHECK, 0x76, 0x04, 0xf0, 0xff, 0x00, 0xc3, 0xe8, 0, 0, 0, 0)),
		       SITE_BRANCH, 4);
	/* the same with a five-byte nop, which newer kernels turn into a call */
	assert_body_at(body(CODE(CHECK, 0x76, 0x06, 0x0f, 0x1f, 0x44, 0, 0, 0xc3, 0xe8, 0, 0, 0, 0)),
		       SITE_BRANCH, 4);
	assert_refused(body(CODE(0x0f, 0x1f, 0x44, 0, 0, FRAME, LEAVE)), -EOPNOTSUPP, "no stack check");
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
			      ENTRY + 0x1000).err, -EBADMSG);
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
	struct site s;

	(void)state;
	/* call +0x100 at +4; call +0x200 at +9; again at +14 */
	s = call(CODE(FRAME, 0xe8, 0xf7, 0, 0, 0, 0xe8, 0xf2, 0x01, 0, 0, 0xe8, 0xed, 0x01, 0, 0, LEAVE),
		 ENTRY + 0x200);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.in.addr, ENTRY + 9);
	assert_int_equal(s.in.klass, INSN_CALL);
}

static void no_call_no_site(void **state)
{
	struct site s;

	(void)state;
	s = call(CODE(FRAME, 0xe8, 0xf7, 0, 0, 0, LEAVE), ENTRY + 0x200);
	assert_int_equal(s.err, -ENOENT);
	assert_true(s.why[0] != '\0');
	/* a tail jump is no call: it would be another instruction class */
	assert_int_equal(call(CODE(FRAME, 0xe9, 0xf7, 0x01, 0, 0), ENTRY + 0x200).err, -ENOENT);
	/* call with an operand-size prefix: not what the kernel emulates */
	assert_true(call(CODE(0x66, 0xe8, 0xfa, 0x01, 0, 0, 0xc3), ENTRY + 0x200).err != 0);
}

/* Every prefix of a sound function: either a site inside it or a refusal. */
static void cut_anywhere(void **state)
{
	static const uint8_t code[] = { CHECK, 0x0f, 0x86, 0x10, 0, 0, 0, FRAME, 0x48, 0x83, 0xec, 0x18,
					0xe8, 0xf2, 0x01, 0, 0, LEAVE, 0xe8, 0, 0, 0, 0, 0xeb, 0xdb };
	size_t len;

	(void)state;
	for (len = 0; len <= sizeof(code); len++) {
		uint8_t *copy = malloc(len + 1);	/* exact, for AddressSanitizer */
		struct site s;

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

static const char *const releases[] = {
	"1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12",
	"1.23.12", "1.24.13", "1.25.12", "1.26.8", "1.27.4",
};

static const char *const variants[] = {
	"1.20.14-pie", "1.20.14-cgo", "1.20.14-race", "1.24.13-pie", "1.24.13-cgo",
	"1.24.13-race", "1.27.4-pie", "1.27.4-cgo", "1.27.4-race", "1.27.4-staticpie",
};

static struct expected expect(enum probe_id id, int minor)
{
	bool old = minor <= 20;
	struct expected body_of = { NULL, old ? SITE_BRANCH : SITE_BODY, old ? "jbe" : "push %rbp" };

	switch (id) {
	case PROBE_GO_BIRTH:
		return (struct expected){ "runtime.newproc.func1", SITE_CALL, "call runtime.runqput" };
	case PROBE_CORO_BIRTH:
		return (struct expected){ "runtime.newcoro.func1", SITE_CALL, "call runtime.newproc1" };
	case PROBE_GO_DEATH:
		return (struct expected){ minor >= 22 ? "runtime.gdestroy" : "runtime.goexit0", SITE_CALL,
					  "call runtime.casgstatus" };
	case PROBE_ALLOC_LARGE:
		return (struct expected){ minor >= 24 ? "runtime.mallocgcLarge" : "runtime.mallocgc", SITE_CALL,
					  "call runtime.(*mcache).allocLarge" };
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

static struct gobin *open_program(const char *what)
{
	const char *dir = getenv("GOSPECT_BIN_DIR");
	struct gobin *gb = NULL;
	struct err err = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s/work-%s", dir ? dir : "", what);
	if (!dir || access(path, R_OK)) {
		print_message("no program 'work-%s' in GOSPECT_BIN_DIR\n", what);
		return NULL;
	}
	if (gobin_open(&gb, path, &err))
		fail_msg("%s: %s", what, err.what);
	return gb;
}

/* The site as bytes: what the file has there, and what the plan says it has. */
static void check_bytes(struct gobin *gb, const struct probe *p)
{
	struct insn in;
	uint8_t there[16] = { 0 };

	assert_int_equal(image_read(&gb->image, p->file_off, there, p->len), 0);
	assert_memory_equal(there, p->bytes, p->len);
	assert_int_equal(gb->arch->decode(p->bytes, p->len, p->addr, false, &in), 0);
	assert_int_equal(in.klass, p->klass);
	assert_true(p->klass == INSN_PUSH || p->klass == INSN_JCC || p->klass == INSN_CALL);
	assert_true(p->func_off + p->len <= p->func_size);
}

static void check_probe(struct gobin *gb, const struct probe *p, int minor)
{
	struct expected e = expect(p->id, minor);

	if (p->id == PROBE_CORO_BIRTH && p->kind == SITE_NONE) {
		assert_true(p->absent);
		assert_true(p->why[0] != '\0');
		if (minor < 23)
			assert_string_equal(p->why, "this release of Go has none");
		return;
	}
	assert_true(p->id != PROBE_CORO_BIRTH || minor >= 22);
	if (p->kind == SITE_NONE)
		fail_msg("1.%d %s: %s", minor, probe_name(p->id), p->why);
	assert_string_equal(p->function, e.function);
	assert_int_equal(p->kind, e.kind);
	assert_memory_equal(p->insn, e.insn, strlen(e.insn));
	assert_int_equal(p->rare, p->id >= PROBE_ALLOC_LARGE);
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
		int k, minor;

		snprintf(what, sizeof(what), "%s%s", names[i], suffix);
		minor = atoi(names[i] + 2);
		gb = open_program(what);
		if (!gb) {
			missing++;
			continue;
		}
		assert_int_equal(plan_make(&pl, gb, SENSOR_ALL, &err), 0);
		assert_int_equal(pl.n, PROBE_COUNT);
		for (k = 0; k < pl.n; k++) {
			assert_int_equal(pl.probe[k].id, k);
			check_probe(gb, &pl.probe[k], minor);
		}
		gobin_free(gb);
	}
	if (missing)
		skip();
}

static void every_release(void **state)
{
	(void)state;
	check_programs(releases, COUNT(releases), "-stripped");
}

static void every_variant(void **state)
{
	(void)state;
	check_programs(variants, COUNT(variants), "");
}

static void sensors_choose_probes(void **state)
{
	struct gobin *gb = open_program("1.26.8-stripped");
	struct plan pl;

	(void)state;
	if (!gb)
		skip();
	assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_ALLOC), NULL), 0);
	assert_int_equal(pl.n, 1);
	assert_non_null(plan_find(&pl, PROBE_ALLOC_LARGE));
	assert_null(plan_find(&pl, PROBE_GO_BIRTH));
	assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_NET), NULL), 0);
	assert_int_equal(pl.n, 0);
	gobin_free(gb);
}

static void prices(void **state)
{
	struct cost_table ct = { .ns = { [INSN_PUSH] = 750, [INSN_CALL] = 670, [INSN_JCC] = -1 } };
	struct plan pl = { .n = 4 };

	(void)state;
	pl.probe[0] = (struct probe){ .kind = SITE_BODY, .klass = INSN_PUSH };
	pl.probe[1] = (struct probe){ .kind = SITE_CALL, .klass = INSN_CALL };
	pl.probe[2] = (struct probe){ .kind = SITE_BRANCH, .klass = INSN_JCC };
	pl.probe[3] = (struct probe){ .kind = SITE_NONE, .klass = INSN_PUSH };
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
	assert_int_equal(mask, SENSOR_BIT(SENSOR_GC) | SENSOR_BIT(SENSOR_ALLOC) | SENSOR_BIT(SENSOR_CRASH));
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
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(every_release),
		cmocka_unit_test(every_variant),
		cmocka_unit_test(sensors_choose_probes),
		cmocka_unit_test(prices),
		cmocka_unit_test(sensor_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
