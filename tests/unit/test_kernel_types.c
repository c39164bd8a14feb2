/* SPDX-License-Identifier: BSD-2-Clause */
/* Members of the kernel's structs, found in BTF: one made here, and this kernel's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/vec.h"
#include "trace/kernel_types.h"

/* Names, by where they begin. */
static const char names[] = "\0task\0pid\0state\0pair\0upid";
enum { NONE = 0, TASK = 1, PID = 6, STATE = 10, PAIR = 16, UPID = 21 };

#define INFO(kind, parts) ((uint32_t)(kind) << 24 | (parts))
#define BITFIELDS         0x80000000u

/*
 * 1: int; 2: struct task { int (of 3 bits) state; struct { int pid; }; } with the one without a
 * name, 3, at byte 24; 4, 5: struct pair { int pid; }, twice, 4 bytes apart; 6, 7: struct upid
 * { int pid; }, twice the same.
 */
static const uint32_t types[] = {
	STATE,
	INFO(BTF_KIND_INT, 0),
	4,
	0x20,
	TASK,
	INFO(BTF_KIND_STRUCT, 2) | BITFIELDS,
	32,
	STATE,
	1,
	3u << 24 | 67,
	NONE,
	3,
	24 * 8,
	NONE,
	INFO(BTF_KIND_STRUCT, 1),
	8,
	PID,
	1,
	4 * 8,
	PAIR,
	INFO(BTF_KIND_STRUCT, 1),
	8,
	PID,
	1,
	0,
	PAIR,
	INFO(BTF_KIND_STRUCT, 1),
	12,
	PID,
	1,
	4 * 8,
	UPID,
	INFO(BTF_KIND_STRUCT, 1),
	16,
	PID,
	1,
	8 * 8,
	UPID,
	INFO(BTF_KIND_STRUCT, 1),
	16,
	PID,
	1,
	8 * 8,
};

static size_t make(uint8_t *to)
{
	const struct btf_header h = {
		.magic = BTF_MAGIC,
		.version = 1,
		.hdr_len = sizeof(h),
		.type_len = sizeof(types),
		.str_off = sizeof(types),
		.str_len = sizeof(names),
	};

	memcpy(to, &h, sizeof(h));
	memcpy(to + sizeof(h), types, sizeof(types));
	memcpy(to + sizeof(h) + sizeof(types), names, sizeof(names));
	return sizeof(h) + sizeof(types) + sizeof(names);
}

static uint32_t find_in(const uint8_t *btf, size_t size, const char *type, const char *member)
{
	uint32_t off = 1;
	const struct kernel_member m = { type, member, &off };

	return kernel_members_in(btf, size, &m, 1) ? KERNEL_ABSENT : off;
}

static void members_are_found(void **state)
{
	uint8_t btf[1024];
	size_t n = make(btf);

	(void)state;
	assert_int_equal(find_in(btf, n, "task", "state"), 8);
	assert_int_equal(find_in(btf, n, "task", "pid"), 28);
	assert_int_equal(find_in(btf, n, "task", NULL), 32);
	assert_int_equal(find_in(btf, n, "task", "upid"), KERNEL_ABSENT);
	assert_int_equal(find_in(btf, n, "tas", "pid"), KERNEL_ABSENT);
}

static void structs_of_one_name_agree(void **state)
{
	uint8_t btf[1024];
	size_t n = make(btf);

	(void)state;
	assert_int_equal(find_in(btf, n, "upid", "pid"), 8);
	assert_int_equal(find_in(btf, n, "pair", "pid"), KERNEL_ABSENT);
}

/* Cut anywhere, and with any byte changed: an answer or none, and nothing read beyond it. */
static void damage_is_survived(void **state)
{
	uint8_t btf[1024];
	size_t n = make(btf);

	(void)state;
	for (size_t size = 0; size < n; size++) {
		uint8_t *cut = malloc(size ? size : 1);

		memcpy(cut, btf, size);
		assert_int_equal(find_in(cut, size, "task", "pid"), KERNEL_ABSENT);
		free(cut);
	}
	for (size_t i = 0; i < n; i++) {
		uint8_t *copy = malloc(n);

		memcpy(copy, btf, n);
		copy[i] ^= 0xff;
		find_in(copy, n, "task", "pid");
		free(copy);
	}
}

/* As programs know them: a task's tgid is behind its pid. */
static void this_kernel_is_read(void **state)
{
	uint32_t pid = 0, tgid = 0, bytes = 0;
	const struct kernel_member m[] = { { "task_struct", "pid", &pid },
					   { "task_struct", "tgid", &tgid },
					   { "task_struct", NULL, &bytes } };

	(void)state;
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		skip();
	assert_int_equal(kernel_members_find(m, ARRAY_SIZE(m)), 0);
	assert_int_equal(tgid, pid + 4);
	assert_true(bytes > tgid && bytes < 1 << 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_found),
		cmocka_unit_test(structs_of_one_name_agree),
		cmocka_unit_test(damage_is_survived),
		cmocka_unit_test(this_kernel_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
