/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/message.h"

#define REPORT_MAX_BYTES (256u << 20) /* a report larger than this is an error */
#define COLUMNS_LEAST    80
#define LIST_MAX_BYTES   (2ull << 30) /* with every goroutine in it */

static int open_file(struct output *out, const char *path)
{
	int err;

	out->file = calloc(1, sizeof(*out->file));
	if (!out->file)
		return -ENOMEM;
	err = outfile_open(out->file, path);
	out->fd = out->file->fd;
	return err;
}

int output_open(struct output *out, const struct options *o)
{
	const char *no_color = getenv("NO_COLOR");
	int err = 0;

	memset(out, 0, sizeof(*out));
	out->fd = STDOUT_FILENO;
	out->format = o->format;
	out->profile = o->profile;
	out->patience.signal_fd = -1;
	buf_init(&out->buf, o->goroutines ? LIST_MAX_BYTES : REPORT_MAX_BYTES);
	signal(SIGPIPE, SIG_IGN); /* seen as EPIPE where it is written */
	if (o->output)
		err = open_file(out, o->output);
	if (!err) {
		out->sink = sink_new(out->fd);
		err = out->sink ? 0 : -ENOMEM;
	}
	if (err) {
		msg_error("cannot write '%s': %s", o->output ? o->output : "the output",
			  strerror(-err));
		return output_close(out, EXIT_FAILED);
	}
	out->is_terminal = !out->file && isatty(out->fd);
	out->text = (struct report_text_options){
		.color = out->is_terminal && !(no_color && no_color[0]),
		.columns = 100,
	};
	return EXIT_DONE;
}

int output_columns(const struct output *out)
{
	struct winsize size;

	if (!out->is_terminal)
		return INT_MAX;
	return !ioctl(out->fd, TIOCGWINSZ, &size) && size.ws_col >= COLUMNS_LEAST ? size.ws_col
										  : COLUMNS_LEAST;
}

int output_status(int err)
{
	if (!err)
		return EXIT_DONE;
	if (err == -ETIMEDOUT)
		msg_error("nobody reads the output: it is not complete");
	else if (err != -EPIPE)
		msg_error("cannot write the output: %s", strerror(-err));
	return EXIT_FAILED;
}

/* In the thread of the sink, as all that may hang. */
static int written(void *arg, int err)
{
	return outfile_written(arg, err);
}

static int keep(void *arg, int err)
{
	(void)err;
	return outfile_keep(arg);
}

int output_close(struct output *out, int status)
{
	bool good = status == EXIT_DONE || status == EXIT_FOUND;
	int err = 0;

	if (good && out->file) {
		buf_reset(&out->buf);
		sink_begin(out->sink, &out->buf, keep, out->file);
		err = sink_wait(out->sink, &out->patience);
	}
	if (out->file && !(out->sink && sink_busy(out->sink))) {
		int failed = outfile_close(out->file);

		err = err ? err : failed;
		free(out->file);
	}
	sink_free(out->sink);
	buf_deinit(&out->buf);
	return good && err ? output_status(err) : status;
}

int output_finish(struct output *out)
{
	return output_close(out, output_status(output_write(out, &out->buf)));
}

void output_begin(struct output *out, struct buf *b)
{
	sink_begin(out->sink, b, out->file ? written : NULL, out->file);
}

int output_result(struct output *out)
{
	int err = sink_busy(out->sink) ? -EAGAIN : sink_result(out->sink);

	/* EIO: a terminal that was closed */
	return err == -EIO && out->is_terminal ? -EPIPE : err;
}

static int finished(struct output *out)
{
	int err = sink_wait(out->sink, &out->patience);

	return err == -ETIMEDOUT ? err : output_result(out);
}

int output_write(struct output *out, struct buf *b)
{
	if (b->err)
		return b->err;
	output_begin(out, b);
	return finished(out);
}

int output_write_last(struct output *out, struct buf *b)
{
	int err = finished(out);

	return err ? err : output_write(out, b);
}

static int render(struct output *out, const struct report *r)
{
	switch (out->format) {
	case FORMAT_JSON:
		report_json(r, &out->buf);
		return 0;
	case FORMAT_PPROF:
		return out->profile == PROFILE_GOROUTINE ? report_pprof_goroutines(r, &out->buf)
		       : out->profile == PROFILE_CPU
			       ? report_pprof_cpu(r, &out->buf)
			       : report_pprof_heap(r, out->profile == PROFILE_ALLOCS, &out->buf);
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

bool output_ready(struct output *out)
{
	return !sink_busy(out->sink) && sink_has_room(out->sink, out->size + out->size / 4);
}

/* Once the one before has gone: a line of JSON is never begun that would stay half. */
static int wait_ready(struct output *out, bool last)
{
	int err;

	if (!last)
		return sink_has_room(out->sink, out->buf.len) ? 0 : -EAGAIN;
	err = finished(out);
	return err ? err : sink_wait_room(out->sink, out->buf.len, &out->patience);
}

int output_report(struct output *out, const struct report *r, bool last)
{
	int err;

	buf_reset(&out->buf);
	err = render(out, r);
	if (!err)
		err = out->buf.err;
	if (!err)
		err = wait_ready(out, last);
	if (err)
		return err;
	if (out->buf.len > out->size)
		out->size = out->buf.len;
	out->written++;
	output_begin(out, &out->buf);
	return last ? finished(out) : 0;
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
