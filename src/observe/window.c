/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/window.h"

#include "observe/dump.h"
#include "observe/heap.h"
#include "observe/leaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void net_window_deinit(struct net_window *n)
{
	free(n->client);
	free(n->phase);
	free(n->in_flight);
	free(n->unclosed);
	free(n->connection);
	free(n->server);
	free(n->grpc);
	*n = (struct net_window){ 0 };
}

static void sql_window_deinit(struct sql_window *s)
{
	int i;

	for (i = 0; i < s->npool; i++)
		free(s->pool[i].holder);
	free(s->pool);
	*s = (struct sql_window){ 0 };
}

void window_deinit(struct window *w)
{
	int i;

	for (i = 0; i < w->nsite; i++)
		free(w->site[i].wait);
	free(w->site);
	free(w->state);
	free(w->alloc);
	dump_free(w->dump);
	w->dump = NULL;
	heap_window_deinit(&w->heap);
	leaks_window_deinit(&w->leaks);
	net_window_deinit(&w->net);
	sql_window_deinit(&w->sql);
	free(w->contention.row);
	w->contention = (struct contention_window){ 0 };
	free(w->locks.member);
	free(w->locks.held);
	memset(&w->locks, 0, sizeof(w->locks));
	w->site = NULL;
	w->state = NULL;
	w->alloc = NULL;
	w->nsite = w->nstate = w->nalloc = 0;
}

struct coverage *window_cover(struct window *w, enum sensor s, enum coverage_state st, const char *why)
{
	struct coverage *c = &w->coverage[w->ncoverage++];

	c->sensor = s;
	c->state = st;
	c->rate = 1;
	snprintf(c->why, sizeof(c->why), "%s", why);
	return c;
}
