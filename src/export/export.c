/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "export/pages.h"
#include "export/server.h"

struct export
{
	const struct host_config *config; /* borrowed */
	struct pages *pages;
	struct server *server; /* NULL: not configured */
	char *listens;         /* on what; owned */
};

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
	ret = *c->listen ? server_open(&s, c->listen, e->pages, err) : 0;
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

int export_open(struct export **out, const struct host_config *c, struct err *err)
{
	struct export *e = calloc(1, sizeof(*e));
	int ret;

	if (!e)
		return err_set(err, -ENOMEM, "no memory for the pages");
	e->config = c;
	e->pages = pages_new(c);
	ret = e->pages ? listen_on(e, c, err) : err_set(err, -ENOMEM, "no memory for the pages");
	if (ret) {
		export_close(e);
		return ret;
	}
	*out = e;
	return 0;
}

int export_configure(struct export *e, const struct host_config *c, struct err *err)
{
	int ret = listen_on(e, c, err);

	if (ret)
		return ret;
	e->config = c;
	pages_configure(e->pages, c);
	return 0;
}

void export_publish(struct export *e, const struct view *v)
{
	struct export_stats stats = { 0 };

	pages_publish(e->pages, v, &stats);
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
	server_close(e->server);
	pages_free(e->pages);
	free(e->listens);
	free(e);
}
