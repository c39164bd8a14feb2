/* SPDX-License-Identifier: BSD-2-Clause */
/* Where reports go: whole reports in one piece, or nothing. */
#ifndef GOSPECT_CLI_OUTPUT_H
#define GOSPECT_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include "cli/options.h"
#include "report/report.h"

struct output {
	int fd; /* owned when it is a file */
	bool is_file;
	bool is_terminal;
	enum format format;
	enum profile profile;
	struct report_text_options text;
	struct buf buf;
	uint64_t written; /* reports */
};

/* Opens what the options say, before anything is attached.  Says what fails; returns the exit status. */
int output_open(struct output *out, const struct options *o);
/*
 * Returns the exit status: that of the command so far, or EXIT_FAILED, with a
 * message, when the file cannot be closed (NFS and quotas report here what
 * could not be written).
 */
int output_close(struct output *out, int status);
/* Renders and writes one report: 0 or -errno (-EPIPE: the reader or the terminal is gone). */
int output_report(struct output *out, const struct report *r);
/* Writes what is in buf. */
int output_write(struct output *out, const struct buf *b);
/* The exit status of a write; reports an error, but not -EPIPE. */
int output_status(int err);
/* For commands that print once: writes what is in out->buf, and closes. */
int output_finish(struct output *out);

/* The little of JSON that commands share which print no report.  Foreign text as a member; left out when NULL. Invalid UTF-8 is replaced. */
void json_set_text(json_t *object, const char *key, const char *text);
/* Appends the object on one line and frees it. */
void json_print(json_t *root, struct buf *out);

#endif
