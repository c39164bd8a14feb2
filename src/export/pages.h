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

#include "export/api.h"
#include "export/body.h"
#include "export/history.h"
#include "export/metric.h"

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

/* Any thread: what is at the path; accept: the header of that name, or NULL. */
struct page pages_get(struct pages *p, const char *path, const char *accept);
/* Any thread: calls use() with the configuration and the view (NULL: none yet), under the lock. */
void pages_with(struct pages *p,
		void (*use)(const struct host_config *c, const struct view *v, void *arg),
		void *arg);

#endif
