/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/message.h"

#define REPORT_MAX_BYTES (256u << 20) /* a report larger than this is an error */
#define LIST_MAX_BYTES   (2ull << 30) /* with every goroutine in it */

int output_open(struct output *out, const struct options *o)
{
	const char *no_color = getenv("NO_COLOR");

	memset(out, 0, sizeof(*out));
	out->fd = STDOUT_FILENO;
	out->format = o->format;
	out->profile = o->profile;
	buf_init(&out->buf, o->goroutines ? LIST_MAX_BYTES : REPORT_MAX_BYTES);
	signal(SIGPIPE, SIG_IGN); /* seen as EPIPE where it is written */
	if (o->output) {
		out->fd = open(o->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (out->fd < 0) {
			msg_error("cannot write '%s': %s", o->output, strerror(errno));
			return EXIT_FAILED;
		}
		out->is_file = true;
	}
	out->is_terminal = !out->is_file && isatty(out->fd);
	out->text = (struct report_text_options){
		.color = out->is_terminal && !(no_color && no_color[0]),
		.columns = 100,
	};
	return EXIT_DONE;
}

int output_status(int err)
{
	if (!err)
		return EXIT_DONE;
	if (err != -EPIPE)
		msg_error("cannot write the output: %s", strerror(-err));
	return EXIT_FAILED;
}

int output_close(struct output *out, int status)
{
	if (out->is_file && out->fd >= 0 && close(out->fd) && errno != EINTR) {
		int failed = output_status(-errno);

		status = status == EXIT_DONE || status == EXIT_FOUND ? failed : status;
	}
	buf_deinit(&out->buf);
	out->fd = -1;
	return status;
}

int output_finish(struct output *out)
{
	return output_close(out, output_status(output_write(out, &out->buf)));
}

int output_write(struct output *out, const struct buf *b)
{
	size_t done = 0;

	if (b->err)
		return b->err;
	while (done < b->len) {
		ssize_t n = write(out->fd, b->data + done, b->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* EIO: a terminal that was closed */
			return errno == EIO && out->is_terminal ? -EPIPE : -errno;
		done += (size_t)n;
	}
	return 0;
}

static int render(struct output *out, const struct report *r)
{
	switch (out->format) {
	case FORMAT_JSON:
		report_json(r, &out->buf);
		return 0;
	case FORMAT_PPROF:
		return out->profile == PROFILE_HEAP ? report_pprof_heap(r, &out->buf)
						    : report_pprof_goroutines(r, &out->buf);
	case FORMAT_HTML:
		return report_html(r, &out->buf);
	case FORMAT_TEXT:
		break;
	}
	if (out->written)
		buf_puts(&out->buf, "\n");
	report_text(r, &out->text, &out->buf);
	return 0;
}

int output_report(struct output *out, const struct report *r)
{
	int err;

	buf_reset(&out->buf);
	err = render(out, r);
	if (!err)
		err = output_write(out, &out->buf);
	if (!err)
		out->written++;
	return err;
}

void json_set_text(json_t *object, const char *key, const char *text)
{
	char clean[2048];

	if (text)
		json_object_set_new(object, key,
				    json_string(words_fit(text, INT_MAX, clean, sizeof(clean))));
}

void json_print(json_t *root, struct buf *out)
{
	char *s = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(12));

	json_decref(root);
	if (!s) {
		out->err = -ENOMEM;
		return;
	}
	buf_puts(out, s);
	buf_puts(out, "\n");
	free(s);
}
