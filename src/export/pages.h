/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is served, without the serving: each page is made of the latest view when it
 * is first asked for, and kept until the next view.
 *
 * Two threads: the agent's publishes, the server's asks; a lock is between them.  A view is
 * read under the lock alone, and put by the thread that published it.
 */
#ifndef GOSPECT_EXPORT_PAGES_H
#define GOSPECT_EXPORT_PAGES_H

#include <limits.h>

#include "export/api.h"
#include "export/body.h"
#include "export/history.h"
#include "export/metric.h"
#include "report/spool.h"

struct pages;

/* An answer: body NULL: no memory. */
struct page {
	int status;
	const char *type;  /* static */
	struct body *body; /* the caller's reference */
};

struct pages *pages_new(const struct host_config *c); /* NULL: no memory */
void pages_free(struct pages *p);                     /* NULL is fine */
/* The configuration is borrowed until the next one. */
void pages_configure(struct pages *p, const struct host_config *c);
/* The next view, of which a reference is taken, and the numbers of the push. */
void pages_publish(struct pages *p, const struct view *v, const struct export_stats *stats);

/* A snapshot that is to be read, which may take long: not here. */
struct snapshot_ask {
	char dir[PATH_MAX], id[SPOOL_ID_SIZE + 8];
	enum spool_form form;
};

/* Any thread: whether the path is one of snapshots. */
bool pages_is_snapshot(const char *path);
/* Any thread: which one it is: status 0, or an answer. */
struct page pages_ask(struct pages *p, const char *path, struct snapshot_ask *out);
/* The answer, of what spool_read() returned; takes over the buffer. */
struct page pages_snapshot(const struct snapshot_ask *ask, int result, struct buf *b);
/* The answer where the disk gives none, or there is no room for another reader. */
struct page pages_hang(void);
/* Any thread: what is at any other path; accept: the header of that name, or NULL. */
struct page pages_get(struct pages *p, const char *path, const char *accept);
/* Any thread: calls use() with the configuration and the view (NULL: none yet), under the lock. */
void pages_with(struct pages *p,
		void (*use)(const struct host_config *c, const struct view *v, void *arg),
		void *arg);

#endif
