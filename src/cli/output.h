/* SPDX-License-Identifier: BSD-2-Clause */
/* Where reports go: whole reports in one piece, or nothing. */
#ifndef GOSPECT_CLI_OUTPUT_H
#define GOSPECT_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include "cli/options.h"
#include "cli/outfile.h"
#include "cli/sink.h"
#include "report/report.h"

struct output {
	int fd;
	struct outfile *file; /* owned; NULL: standard output */
	struct sink *sink;    /* owned */
	bool is_terminal;
	enum format format;
	enum profile profile;
	struct report_text_options text;
	struct buf buf;
	struct patience patience; /* with the reader; for ever, unless it is set */
	uint64_t written;         /* reports */
	size_t size;              /* of the largest of them */
};

/* Opens what the options say, before anything is attached.  Says what fails; returns the exit status. */
int output_open(struct output *out, const struct options *o);
/*
 * Returns the exit status: that of the command so far, or EXIT_FAILED, with a
 * message, when the file cannot be kept (NFS and quotas report here what
 * could not be written).  A file that is not kept is as it was before.
 */
int output_close(struct output *out, int status);

/*
 * Reports are written while others things go on.  output_ready(): the one
 * before has gone, and the reader will take another; else it is to be skipped.
 */
bool output_ready(struct output *out);
/*
 * Renders a report and begins to write it: 0, -errno, or -EAGAIN when the reader
 * would not take it whole.  last: waits for the reader, as patience says, before and
 * after; -ETIMEDOUT: it has not read.
 */
int output_report(struct output *out, const struct report *r, bool last);
/* What became of it, when sink_event(out->sink) says so: 0, -errno (-EPIPE: the
 * reader or the terminal is gone), or -EAGAIN: it is still under way. */
int output_result(struct output *out);
/* How wide a table by itself may be: where it does not go to a terminal nothing is cut. */
int output_columns(const struct output *out);
/* Writes what is in b, which is empty then, and waits for the reader. */
int output_write(struct output *out, struct buf *b);
/* The same, behind what is under way, which is waited for too. */
int output_write_last(struct output *out, struct buf *b);
/* The same, without waiting; only when the one before has gone. */
void output_begin(struct output *out, struct buf *b);
/* The exit status of a write; reports an error, but not -EPIPE. */
int output_status(int err);
/* For commands that print once: writes what is in out->buf, and closes. */
int output_finish(struct output *out);

/* The little of JSON that commands share which print no report.  Foreign text as a member; left out when NULL. Invalid UTF-8 is replaced. */
void json_set_text(json_t *object, const char *key, const char *text);
/* Appends the object on one line and frees it. */
void json_print(json_t *root, struct buf *out);

#endif
