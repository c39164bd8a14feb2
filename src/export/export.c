/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/export.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "export/otlp.h"
#include "export/pages.h"
#include "export/push.h"
#include "export/server.h"

#define LAST_MS 1500 /* for what waits when all ends */

struct export
{
	const struct host_config *config; /* borrowed */
	struct pages *pages;
	struct server *server; /* NULL: not configured */
	struct push *push;     /* NULL: not configured */
	uint64_t push_ns;      /* when metrics were pushed last */
	char *listens;         /* on what; owned */
	int profiler;          /* borrowed; -1: none */
};

/* On another address of the same port, the one before is in the way. */
static int open_instead(struct export *e, const char *listen, struct server **out, struct err *err)
{
	struct err ignored;
	int ret;

	server_close(e->server);
	e->server = NULL;
	ret = server_open(out, listen, e->pages, e->profiler, err);
	if (ret) /* it was there a moment ago */
		server_open(&e->server, e->listens, e->pages, e->profiler, &ignored);
	return ret;
}

/* Another address: the new server first, so that what fails changes nothing. */
static int listen_on(struct export *e, const struct host_config *c, struct err *err)
{
	struct server *s = NULL;
	char *listens;
	int ret;

	if (e->listens && !strcmp(e->listens, c->listen))
		return 0;
	listens = strdup(c->listen);
	if (!listens)
		return err_set(err, -ENOMEM, "no memory for the server");
	ret = *c->listen ? server_open(&s, c->listen, e->pages, e->profiler, err) : 0;
	if (ret == -EADDRINUSE && e->server)
		ret = open_instead(e, c->listen, &s, err);
	if (ret) {
		free(listens);
		return ret;
	}
	server_close(e->server);
	free(e->listens);
	e->server = s;
	e->listens = listens;
	return 0;
}

static bool same_pairs(const struct config_pairs *a, const struct config_pairs *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->pair[i].name, b->pair[i].name) ||
		    strcmp(a->pair[i].value, b->pair[i].value))
			return false;
	return true;
}

static bool same_push(const struct host_config *a, const struct host_config *b)
{
	return !strcmp(a->otlp.endpoint, b->otlp.endpoint) &&
	       same_pairs(&a->otlp.headers, &b->otlp.headers) &&
	       a->otlp.timeout_ns == b->otlp.timeout_ns &&
	       a->otlp.queue_bytes == b->otlp.queue_bytes;
}

/* Another end: what waits for the one before is dropped. */
static int push_to(struct export *e, const struct host_config *c, struct err *err)
{
	struct push *p = NULL;
	int ret;

	if (e->config && same_push(e->config, c))
		return 0;
	ret = *c->otlp.endpoint ? push_open(&p, c, err) : 0;
	if (ret)
		return ret;
	push_close(e->push, 0);
	e->push = p;
	e->push_ns = 0;
	return 0;
}

/* All of it, with the signals left to the thread that calls. */
static int apply(struct export *e, const struct host_config *c, struct err *err)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = listen_on(e, c, err);
	if (!ret)
		ret = push_to(e, c, err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return ret;
	e->config = c;
	pages_configure(e->pages, c);
	return 0;
}

int export_open(struct export **out, const struct host_config *c, int profiler, struct err *err)
{
	struct export *e = calloc(1, sizeof(*e));
	int ret;

	if (!e)
		return err_set(err, -ENOMEM, "no memory for the pages");
	e->profiler = profiler;
	e->pages = pages_new(c);
	ret = e->pages ? apply(e, c, err) : err_set(err, -ENOMEM, "no memory for the pages");
	if (ret) {
		export_close(e);
		return ret;
	}
	*out = e;
	return 0;
}

int export_configure(struct export *e, const struct host_config *c, struct err *err)
{
	return apply(e, c, err);
}

static void take(void *arg, enum otlp_signal signal, const struct buf *body)
{
	push_add(arg, signal, body);
}

/* Findings at once; metrics when it is time: a view may come a little early. */
static void push(struct export *e, const struct view *v, const struct export_stats *stats)
{
	const struct host_config *c = e->config;

	otlp_events(c, v, take, e->push);
	if (e->push_ns && v->mono_ns - e->push_ns + v->interval_ns / 10 < c->otlp.every_ns)
		return;
	e->push_ns = v->mono_ns;
	otlp_metrics(c, v, stats, take, e->push);
}

void export_publish(struct export *e, const struct view *v)
{
	struct export_stats stats = { 0 };

	if (e->push)
		push_stats(e->push, &stats);
	pages_publish(e->pages, v, &stats); /* what is pushed can be seen there */
	if (e->push)
		push(e, v, &stats);
	if (e->server)
		server_tick(e->server);
}

int export_port(const struct export *e)
{
	return e->server ? server_port(e->server) : 0;
}

void export_close(struct export *e)
{
	if (!e)
		return;
	push_close(e->push, LAST_MS);
	server_close(e->server);
	pages_free(e->pages);
	free(e->listens);
	free(e);
}
