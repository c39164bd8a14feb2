/* SPDX-License-Identifier: BSD-2-Clause */
/* cli/output: what becomes of a file, of an error, and of a reader that does not read. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/vec.h"
#include "cli/output.h"

static char folder[] = "/tmp/gospect-test-XXXXXX", path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/report", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder); /* fails when something was left behind */
}

static void write_file(const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* What is in the file, and its mode; "" when there is none. */
static void expect_file(const char *want, mode_t mode)
{
	int fd = open(path, O_RDONLY);
	char text[64] = "";
	struct stat st;

	if (!want) {
		assert_int_equal(fd, -1);
		return;
	}
	assert_true(fd >= 0 && !fstat(fd, &st) && read(fd, text, sizeof(text) - 1) >= 0);
	assert_string_equal(text, want);
	assert_int_equal(st.st_mode & 0777, mode);
	close(fd);
}

static void open_file(struct output *out, const char *text)
{
	struct options o = { .output = path };

	assert_int_equal(output_open(out, &o), 0);
	buf_puts(&out->buf, text);
}

/* A file is there when it is whole; before, and when nothing comes of it, it is as it was. */
static void kept_or_as_it_was(void **state)
{
	struct output out;

	(void)state;
	unlink(path);
	open_file(&out, "new\n");
	expect_file(NULL, 0);
	assert_int_equal(output_finish(&out), EXIT_DONE);
	expect_file("new\n", 0600);

	write_file("old, and longer\n", 0640);
	open_file(&out, "new\n");
	assert_int_equal(output_write(&out, &out.buf), 0);
	expect_file("old, and longer\n", 0640);
	assert_int_equal(output_close(&out, EXIT_FAILED), EXIT_FAILED);
	expect_file("old, and longer\n", 0640);

	open_file(&out, "new\n");
	assert_int_equal(output_write(&out, &out.buf), 0);
	assert_int_equal(output_close(&out, EXIT_FOUND), EXIT_FOUND);
	expect_file("new\n", 0640);
}

/* It is what the name leads to that is replaced. */
static void symbolic_link(void **state)
{
	char link[80];
	struct options o = { .output = link };
	struct output out;
	struct stat st;

	(void)state;
	snprintf(link, sizeof(link), "%s/link", folder);
	for (int there = 0; there < 2; there++) {
		unlink(path);
		if (there)
			write_file("old\n", 0600);
		assert_int_equal(symlink(path, link), 0);
		assert_int_equal(output_open(&out, &o), 0);
		buf_puts(&out.buf, "new\n");
		assert_int_equal(output_finish(&out), EXIT_DONE);
		expect_file("new\n", 0600);
		assert_true(!lstat(link, &st) && S_ISLNK(st.st_mode));
		unlink(link);
	}
}

/* A stream is there from its first report on, and never has half of one. */
static void stream(void **state)
{
	struct rlimit before, small;
	struct output out;

	(void)state;
	write_file("old\n", 0600);
	open_file(&out, "first\n");
	out.file->stream = true;
	expect_file("old\n", 0600);
	assert_int_equal(output_write(&out, &out.buf), 0);
	expect_file("first\n", 0600);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){ .rlim_cur = 10, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	buf_puts(&out.buf, "second\n");
	assert_int_equal(output_write(&out, &out.buf), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	expect_file("first\n", 0600);
	assert_int_equal(output_close(&out, EXIT_FAILED), EXIT_FAILED);
	expect_file("first\n", 0600);
}

/* It fails for real: somebody else closed it before. */
static void close_that_fails(void **state)
{
	static const struct {
		int before, after;
	} cases[] = {
		{ EXIT_DONE, EXIT_FAILED },
		{ EXIT_FOUND, EXIT_FAILED },
		{ EXIT_TARGET_ENDED, EXIT_TARGET_ENDED },
	};
	struct output out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		open_file(&out, "x\n");
		close(out.fd);
		assert_int_equal(output_close(&out, cases[i].before), cases[i].after);
	}
}

static void full_device(void **state)
{
	struct options o = { .output = "/dev/full" };
	struct output out;

	(void)state;
	assert_int_equal(output_open(&out, &o), 0);
	buf_puts(&out.buf, "x\n");
	assert_int_equal(output_write(&out, &out.buf), -ENOSPC);
	assert_int_equal(output_close(&out, EXIT_FAILED), EXIT_FAILED);
}

/* An output to a pipe: the other end. */
static int open_pipe(struct output *out)
{
	struct options o = { .output = path };
	int p[2];

	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	p[0] = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(p[0] >= 0);
	assert_int_equal(output_open(out, &o), 0);
	return p[0];
}

static void reader_that_is_gone(void **state)
{
	struct output out;
	int r = open_pipe(&out);

	(void)state;
	close(r);
	buf_puts(&out.buf, "x\n"); /* SIGPIPE is ignored since output_open() */
	assert_int_equal(output_write(&out, &out.buf), -EPIPE);
	assert_int_equal(output_close(&out, output_status(-EPIPE)), EXIT_FAILED);
}

static void fill_report(struct output *out, size_t n)
{
	while (out->buf.len < n)
		buf_puts(&out->buf, "0123456789abcdef");
}

/* It is given up when it has taken nothing for so long, and not while it takes something. */
static void reader_that_stalls(void **state)
{
	static char text[1 << 20];
	struct output out;
	int r = open_pipe(&out);
	ssize_t n = 0;

	(void)state;
	out.patience.ns = 50 * NS_PER_MS;
	fill_report(&out, sizeof(text));
	assert_true(output_ready(&out));
	output_begin(&out, &out.buf);
	assert_false(output_ready(&out));
	assert_int_equal(output_result(&out), -EAGAIN);
	assert_int_equal(sink_wait(out.sink, &out.patience), -ETIMEDOUT);
	for (size_t all = 0; all<sizeof(text); all += n> 0 ? (size_t)n : 0) {
		n = read(r, text, sizeof(text));
		assert_true(n > 0 || errno == EAGAIN);
	}
	assert_int_equal(sink_wait(out.sink, &out.patience), 0);
	assert_true(output_ready(&out));
	assert_int_equal(output_close(&out, EXIT_DONE), EXIT_DONE);
	close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_or_as_it_was),
		cmocka_unit_test(symbolic_link),
		cmocka_unit_test(stream),
		cmocka_unit_test(close_that_fails),
		cmocka_unit_test(full_device),
		cmocka_unit_test(reader_that_is_gone),
		cmocka_unit_test(reader_that_stalls),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
