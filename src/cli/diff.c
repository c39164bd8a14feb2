/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect diff: two reports of one program compared. */
#include "report/report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/message.h"
#include "cli/output.h"
#include "host/privileges.h"

#define MAX_FILE (1u << 30)

/* A regular file, whole; opened without blocking. */
static int load(const char *path, struct buf *b)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = 0;
	char chunk[65536];
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		err = -EINVAL;
	while (!err && !b->err && (n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(b, chunk, (size_t)n);
	if (!err && n < 0)
		err = -errno;
	close(fd);
	return err ? err : b->err;
}

static int compare(const struct options *o, const struct buf *a, const struct buf *b)
{
	struct output out;
	struct err err = { 0 };
	int code;

	if (output_open(&out, o))
		return EXIT_FAILED;
	privileges_drop(o->output ? PRIVILEGE_WRITE : 0); /* now they are parsed */
	code = report_diff(a->data ? a->data : "", a->len, b->data ? b->data : "", b->len,
			   out.text.columns, &out.buf, &err);
	if (!code)
		return output_finish(&out);
	msg_fail(&err);
	return output_close(&out, EXIT_FAILED);
}

int cmd_diff(const struct options *o)
{
	const char *path[2] = { o->file, o->file2 };
	struct buf text[2];
	int status = EXIT_DONE;

	for (int i = 0; i < 2; i++) {
		int code;

		buf_init(&text[i], MAX_FILE);
		code = status == EXIT_DONE ? load(path[i], &text[i]) : 0;
		if (code) {
			msg_error("cannot read '%s': %s", path[i],
				  code == -EINVAL ? "not a regular file" : strerror(-code));
			status = EXIT_FAILED;
		}
	}
	if (status == EXIT_DONE)
		status = compare(o, &text[0], &text[1]);
	buf_deinit(&text[0]);
	buf_deinit(&text[1]);
	return status;
}
