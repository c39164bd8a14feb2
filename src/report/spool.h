/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots on disk: a report as JSON, HTML and text in three files of one folder,
 * ID.json, ID.html, ID.txt.  An id begins with the time, so that ids sort by age.  A
 * snapshot is whole or not there; the oldest ones make room.
 *
 * Any number of processes may read and write in one folder.  Files that are called
 * otherwise are left alone.
 */
#ifndef GOSPECT_REPORT_SPOOL_H
#define GOSPECT_REPORT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define SPOOL_DIR          "/var/lib/gospect"
#define SPOOL_ID_SIZE      104
#define SPOOL_MAX_SNAPSHOT (64u << 20) /* bytes of one file */

struct report;

enum spool_form { SPOOL_JSON, SPOOL_HTML, SPOOL_TEXT, SPOOL_FORMS };
extern const char *const spool_ending[SPOOL_FORMS]; /* "json", "html", "txt" */

/* Which one: of what, of when, of whom (foreign text, or ""). */
struct spool_what {
	const struct report *report;
	uint64_t real_ns;
	const char *service;
	int pid;
};

struct spool_entry {
	char id[SPOOL_ID_SIZE];
	uint64_t bytes; /* of its files */
};

/* Made of letters, digits, '.', '_' and '-', as all ids are: no path. */
bool spool_is_id(const char *s);
/* One in memory. */
struct spool_files {
	char id[SPOOL_ID_SIZE];
	struct buf form[SPOOL_FORMS]; /* owned */
};

/* 0, or -EFBIG, -ENOMEM and nothing is there to be dropped. */
int spool_make(const struct spool_what *what, struct spool_files *out);
void spool_drop(struct spool_files *f);
/*
 * Keeps it; the folder is made where only it is missing.  Afterwards all that are
 * there have max_bytes at most.  0, -ENOSPC, -EFBIG, -EACCES, … with err.
 */
int spool_write(const char *dir, uint64_t max_bytes, const struct spool_files *f, struct err *err);
/* One of its files, appended: 0, -ENOENT, -EACCES, -ENOSPC: larger than out may be, … */
int spool_read(const char *dir, const char *id, enum spool_form form, struct buf *out);
/* Whole ones, the oldest first; *out to be freed.  0 with *n, -ENOENT: no folder, … */
int spool_list(const char *dir, struct spool_entry **out, size_t *n);

#endif
