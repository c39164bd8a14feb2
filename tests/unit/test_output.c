/* SPDX-License-Identifier: BSD-2-Clause */
/* cli/output: an error of write() or close() becomes the exit status. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/vec.h"
#include "cli/output.h"

/* An output to a file that is there; `path` is the caller's to unlink. */
static void open_file(struct output *out, char *path)
{
	struct options o = { .output = path };
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(output_open(out, &o), 0);
	buf_puts(&out->buf, "x\n");
}

static void what_was_written_is_there(void **state)
{
	char path[] = "/tmp/gospect-test-XXXXXX", text[8];
	struct output out;
	int fd;

	(void)state;
	open_file(&out, path);
	assert_int_equal(output_finish(&out), EXIT_DONE);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 2);
	assert_memory_equal(text, "x\n", 2);
	close(fd);
	unlink(path);
}

/* The close fails for real: somebody else closed it before. */
static void close_that_fails(void **state)
{
	static const struct {
		int before, after;
	} cases[] = {
		{ EXIT_DONE, EXIT_FAILED },
		{ EXIT_FOUND, EXIT_FAILED },
		{ EXIT_TARGET_ENDED, EXIT_TARGET_ENDED },
	};
	char path[] = "/tmp/gospect-test-XXXXXX";
	struct output out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		strcpy(path + sizeof(path) - 7, "XXXXXX");
		open_file(&out, path);
		close(out.fd);
		assert_int_equal(output_close(&out, cases[i].before), cases[i].after);
		unlink(path);
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
	assert_int_equal(output_finish(&out), EXIT_FAILED);
}

static void reader_that_is_gone(void **state)
{
	char path[] = "/tmp/gospect-test-XXXXXX";
	struct output out;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	open_file(&out, path);
	unlink(path);
	close(out.fd);
	out.fd = p[1]; /* SIGPIPE is ignored since output_open() */
	close(p[0]);
	assert_int_equal(output_write(&out, &out.buf), -EPIPE);
	assert_int_equal(output_close(&out, output_status(-EPIPE)), EXIT_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_there),
		cmocka_unit_test(close_that_fails),
		cmocka_unit_test(full_device),
		cmocka_unit_test(reader_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
