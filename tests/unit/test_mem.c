/* SPDX-License-Identifier: BSD-2-Clause */
/* Readers of memory: live, with holes, and from recordings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proc/mem.h"
#include "runtime_world.h"
#include "recording.h"

static void test_mem_live(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *area =
		mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mem_piece p[1200];
	struct memreader *m;
	char got[1200];
	uint64_t at = (uint64_t)(uintptr_t)area;

	(void)state;
	assert_true(area != MAP_FAILED);
	for (size_t i = 0; i < 4 * page; i++)
		area[i] = (char)(i * 7);
	assert_int_equal(mprotect(area + page, page, PROT_NONE), 0);
	assert_int_equal(mem_open_pid(&m, getpid(), NULL), 0);

	/* bytes all over three pages: those of the second fail, no other */
	for (size_t i = 0; i < 1200; i++)
		p[i] = (struct mem_piece){ .addr = at + i % 3 * page + i,
					   .dst = &got[i],
					   .len = 1 };
	assert_int_equal(mem_read_many(m, p, 1200), 400);
	for (size_t i = 0; i < 1200; i++) {
		bool hole = p[i].addr >= at + page && p[i].addr < at + 2 * page;

		assert_int_equal(p[i].status, hole ? -EFAULT : 0);
		if (!hole)
			assert_int_equal(got[i], area[p[i].addr - at]);
	}
	assert_int_equal(m->failures, 400);
	assert_int_equal(m->bytes, 800);

	/* neighbours go as one, and still fail alone */
	for (size_t i = 0; i < 8; i++)
		p[i] = (struct mem_piece){ .addr = at + page - 4 + i, .dst = &got[i], .len = 1 };
	assert_int_equal(mem_read_many(m, p, 8), 4);
	assert_int_equal(p[3].status, 0);
	assert_int_equal(p[4].status, -EFAULT);

	assert_int_equal(mem_read(m, at + page - 4, got, 8), -EFAULT);
	assert_int_equal(mem_read(m, 0, got, 8), -EFAULT);
	assert_int_equal(mem_read(m, UINT64_MAX - 3, got, 8), -EFAULT);
	assert_int_equal(mem_read(m, 1ull << 62, got, 8), -EFAULT);
	assert_int_equal(mem_read(m, at, got, 0), 0);
	mem_free(m);
	munmap(area, 4 * page);
}

/* Another process, with a page that is not there: one of many pieces fails, and what is behind it is read. */
static void test_mem_hole(void **state)
{
	enum { N = 3000, BAD = 1700 };
	static struct mem_piece p[N];
	static uint64_t got[N];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t *area =
		mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct memreader *m;
	int fd[2];
	pid_t child;

	(void)state;
	assert_true(area != MAP_FAILED);
	for (size_t i = 0; i < page; i++)
		area[i] = i ^ 0x5555;
	assert_int_equal(munmap((char *)area + 7 * page, page), 0);
	assert_int_equal(pipe(fd), 0);
	child = fork();
	if (!child) {
		close(fd[1]);
		_exit(read(fd[0], got, 1) == 0 ? 0 : 1);
	}
	close(fd[0]);
	assert_int_equal(mem_open_pid(&m, child, NULL), 0);
	for (size_t i = 0; i < N; i++) /* every other word: none is the other's neighbour */
		p[i] = (struct mem_piece){ .addr = (uint64_t)(uintptr_t)(area +
									 2 * i % (7 * page / 8)),
					   .dst = &got[i],
					   .len = 8 };
	p[BAD].addr = (uint64_t)(uintptr_t)area + 7 * page - 4; /* half of it is there */
	assert_int_equal(mem_read_many(m, p, N), 1);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(p[i].status, i == BAD ? -EFAULT : 0);
		if (i != BAD)
			assert_int_equal(got[i], (2 * i % (7 * page / 8)) ^ 0x5555);
	}
	assert_true(m->calls <= N / 512 + 2);
	mem_free(m);
	close(fd[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	munmap(area, 7 * page);
}

static void write_file(const char *path, const void *data, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
}

static size_t add_record(uint8_t *file, size_t at, uint64_t addr, const char *bytes, uint32_t n)
{
	memcpy(file + at, &addr, 8);
	memcpy(file + at + 8, &n, 4);
	memcpy(file + at + 12, bytes, n);
	return at + 12 + n;
}

static void test_mem_recording(void **state)
{
	static const char text[] = "goroutines never end by themselves";
	uint64_t at = (uint64_t)(uintptr_t)text;
	uint8_t bytes[256] = "gspmem1\n";
	struct memreader *file = NULL;
	char path[256], got[64];
	uint64_t word;
	size_t n;

	(void)state;
	temp_path(path, sizeof(path));
	n = add_record(bytes, 8, at + 10, text + 10, 10);
	n = add_record(bytes, n, at, text, 10);          /* touches the first */
	n = add_record(bytes, n, at + 5, text + 5, 8);   /* overlaps both */
	n = add_record(bytes, n, at + 24, text + 24, 4); /* apart */
	write_file(path, bytes, n);
	assert_int_equal(mem_open_file(&file, path, NULL), 0);
	assert_int_equal(mem_read(file, at, got, 20), 0);
	assert_memory_equal(got, text, 20);
	assert_int_equal(mem_read_u64(file, at + 3, &word), 0);
	assert_memory_equal(&word, text + 3, 8);
	assert_int_equal(mem_read(file, at, got, 21), -EFAULT);
	assert_int_equal(mem_read(file, at + 20, got, 1), -EFAULT);
	assert_int_equal(mem_read(file, at + 24, got, 4), 0);
	assert_int_equal(mem_read(file, at - 1, got, 4), -EFAULT);
	mem_free(file);
	unlink(path);
}

static void test_mem_bad_recording(void **state)
{
	static const char head[] = "gspmem1\n";
	char bytes[64] = { 0 }, path[256];
	struct memreader *m = NULL;
	struct err err;

	(void)state;
	temp_path(path, sizeof(path));
	write_file(path, "", 0);
	assert_int_equal(mem_open_file(&m, path, &err), -EBADMSG);
	write_file(path, "gspmem2\n", 8);
	assert_int_equal(mem_open_file(&m, path, &err), -EBADMSG);
	memcpy(bytes, head, 8);
	memset(bytes + 16, 0xff, 4); /* a record of 4 GiB */
	write_file(path, bytes, 40);
	assert_int_equal(mem_open_file(&m, path, &err), -EBADMSG);
	write_file(path, bytes, 12); /* cut off in its head */
	assert_int_equal(mem_open_file(&m, path, &err), -EBADMSG);
	write_file(path, head, 8); /* nothing recorded is fine */
	assert_int_equal(mem_open_file(&m, path, &err), 0);
	mem_free(m);
	unlink(path);
	assert_int_equal(mem_open_file(&m, path, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mem_live),
		cmocka_unit_test(test_mem_hole),
		cmocka_unit_test(test_mem_recording),
		cmocka_unit_test(test_mem_bad_recording),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
