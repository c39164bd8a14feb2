/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/pages.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "export/home.h"
#include "export/prom.h"

#define PAGE_MAX_BYTES (256u << 20) /* max_series bounds it before */
#define STALE_TICKS    4
#define STALE_LEAST_NS (60 * NS_PER_S)
#define JSON           "application/json"
#define PLAIN          "text/plain; charset=utf-8"

enum kept { KEPT_TEXT, KEPT_OPENMETRICS, KEPT_HOME, KEPT_PROCESSES, KEPT_FINDINGS, KEPTS };

struct pages {
	pthread_mutex_t lock; /* of all that follows */
	const struct host_config *config;
	const struct view *view; /* NULL: none yet */
	uint64_t published_ns;
	struct export_stats stats;
	struct history history;
	struct closed_findings closed;
	struct body *kept[KEPTS]; /* of this view; NULL: not asked for yet */
};

struct pages *pages_new(const struct host_config *c)
{
	struct pages *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	p->config = c;
	return p;
}

static void drop_kept(struct pages *p)
{
	for (int i = 0; i < KEPTS; i++) {
		body_put(p->kept[i]);
		p->kept[i] = NULL;
	}
}

void pages_free(struct pages *p)
{
	if (!p)
		return;
	drop_kept(p);
	history_deinit(&p->history);
	closed_deinit(&p->closed);
	view_put(p->view);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void pages_configure(struct pages *p, const struct host_config *c)
{
	pthread_mutex_lock(&p->lock);
	p->config = c;
	pthread_mutex_unlock(&p->lock);
}

void pages_publish(struct pages *p, const struct view *v, const struct export_stats *stats)
{
	const struct view *old;
	uint64_t dropped;

	pthread_mutex_lock(&p->lock);
	old = p->view;
	p->view = view_get(v);
	p->published_ns = clock_mono_ns();
	dropped = p->stats.series_dropped;
	p->stats = *stats;
	p->stats.series_dropped = dropped;
	history_add(&p->history, v);
	closed_add(&p->closed, v);
	drop_kept(p);
	pthread_mutex_unlock(&p->lock);
	view_put(old);
}

/* ---- pages ---- */

static struct page message(int status, const char *words)
{
	struct page page = { .status = status, .type = PLAIN };
	struct buf b;

	buf_init(&b, 256);
	buf_puts(&b, words);
	page.body = body_of(&b);
	return page;
}

static void make(struct pages *p, enum kept which, struct buf *out)
{
	switch (which) {
	case KEPT_TEXT:
	case KEPT_OPENMETRICS:
		prom_page(which == KEPT_TEXT ? PROM_TEXT : PROM_OPENMETRICS, p->config, p->view,
			  &p->stats, out, &p->stats.series_dropped);
		break;
	case KEPT_HOME:
		home_page(p->view, &p->history, out);
		break;
	case KEPT_PROCESSES:
		api_processes(p->view, out);
		break;
	case KEPT_FINDINGS:
		api_findings(p->view, &p->closed, out);
		break;
	case KEPTS:
		break;
	}
}

static struct page kept(struct pages *p, enum kept which, const char *type)
{
	if (!p->view)
		return message(503, "nothing was looked at yet\n");
	if (!p->kept[which]) {
		struct buf b;

		buf_init(&b, PAGE_MAX_BYTES);
		make(p, which, &b);
		p->kept[which] = body_of(&b);
	}
	if (!p->kept[which])
		return message(503, "no memory for this page\n");
	return (struct page){ 200, type, body_get(p->kept[which]) };
}

static struct page metrics(struct pages *p, const char *accept)
{
	bool om = accept && strstr(accept, "application/openmetrics-text");

	return kept(p, om ? KEPT_OPENMETRICS : KEPT_TEXT,
		    prom_content_type[om ? PROM_OPENMETRICS : PROM_TEXT]);
}

static struct page one_process(struct pages *p, const char *id)
{
	size_t digits = strspn(id, "0123456789");
	struct buf b;
	int err = -ENOENT;

	if (!p->view)
		return message(503, "nothing was looked at yet\n");
	buf_init(&b, PAGE_MAX_BYTES);
	if (digits && !id[digits] && digits < 20)
		err = api_process(p->view, strtoull(id, NULL, 10), &b);
	if (!err)
		return (struct page){ 200, JSON, body_of(&b) };
	buf_deinit(&b);
	return message(404, err == -ENODATA ? "its goroutines were not looked at yet\n"
					    : "no such process\n");
}

/* Alive: views come.  Before the first one, that is the agent's to say. */
static bool is_alive(const struct pages *p)
{
	uint64_t limit = STALE_TICKS * p->config->agent.tick_ns;

	if (limit < STALE_LEAST_NS)
		limit = STALE_LEAST_NS;
	return !p->view || clock_mono_ns() - p->published_ns < limit;
}

static struct page get(struct pages *p, const char *path, const char *accept)
{
	static const char process[] = "/api/v1/processes/";

	if (!strcmp(path, "/metrics"))
		return metrics(p, accept);
	if (!strcmp(path, "/"))
		return kept(p, KEPT_HOME, "text/html; charset=utf-8");
	if (!strcmp(path, "/api/v1/processes"))
		return kept(p, KEPT_PROCESSES, JSON);
	if (!strcmp(path, "/api/v1/findings"))
		return kept(p, KEPT_FINDINGS, JSON);
	if (!strncmp(path, process, sizeof(process) - 1))
		return one_process(p, path + sizeof(process) - 1);
	if (!strcmp(path, "/-/healthy"))
		return is_alive(p) ? message(200, "healthy\n") : message(503, "no look for long\n");
	if (!strcmp(path, "/-/ready"))
		return p->view && is_alive(p) ? message(200, "ready\n")
					      : message(503, "nothing was looked at yet\n");
	return message(404, "no such page\n");
}

/* The folder is the configuration's, which may be another one soon: a copy. */
static bool folder_of(struct pages *p, char *out, size_t size)
{
	pthread_mutex_lock(&p->lock);
	snprintf(out, size, "%s", p->config->spool.dir);
	pthread_mutex_unlock(&p->lock);
	return *out;
}

static const char snapshots[] = "/snapshots/";

bool pages_is_snapshot(const char *path)
{
	return !strncmp(path, snapshots, sizeof(snapshots) - 1);
}

/* "ID", "ID.json", "ID.txt" */
struct page pages_ask(struct pages *p, const char *path, struct snapshot_ask *out)
{
	out->form = SPOOL_HTML;
	snprintf(out->id, sizeof(out->id), "%s", path + sizeof(snapshots) - 1);
	for (int i = 0; i < SPOOL_FORMS; i++) {
		char *dot = strrchr(out->id, '.');

		if (dot && !strcmp(dot + 1, spool_ending[i])) {
			out->form = (enum spool_form)i;
			*dot = '\0';
			break;
		}
	}
	if (!spool_is_id(out->id) || !folder_of(p, out->dir, sizeof(out->dir)))
		return message(404, "no such snapshot\n");
	return (struct page){ 0 };
}

struct page pages_snapshot(const struct snapshot_ask *ask, int result, struct buf *b)
{
	static const char *const type[SPOOL_FORMS] = { JSON, "text/html; charset=utf-8", PLAIN };

	if (!result)
		return (struct page){ 200, type[ask->form], body_of(b) };
	buf_deinit(b);
	return result == -ENOENT ? message(404, "no such snapshot: others needed its room\n")
				 : message(503, "the snapshot cannot be read\n");
}

struct page pages_hang(void)
{
	return message(503, "the disk with the snapshots does not answer\n");
}

void pages_with(struct pages *p,
		void (*use)(const struct host_config *c, const struct view *v, void *arg),
		void *arg)
{
	pthread_mutex_lock(&p->lock);
	use(p->config, p->view, arg);
	pthread_mutex_unlock(&p->lock);
}

struct page pages_get(struct pages *p, const char *path, const char *accept)
{
	struct page page;

	pthread_mutex_lock(&p->lock);
	page = get(p, path, accept);
	pthread_mutex_unlock(&p->lock);
	return page;
}
