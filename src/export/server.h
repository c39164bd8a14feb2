/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages over HTTP, by libmicrohttpd in one thread of its own.  Who asks and does not
 * read, or does not finish asking, is cut off: five seconds of silence, half a minute
 * in all; at most 64 connections.
 */
#ifndef GOSPECT_EXPORT_SERVER_H
#define GOSPECT_EXPORT_SERVER_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/err.h"
#include "export/pages.h"

struct server;

union server_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};
/* Of what `listen` says: 0, -EINVAL. */
int server_address(const char *listen, union server_address *a);

/* Listens on "127.0.0.1:9464" or "[::1]:9464"; profiler: whom profiles are asked of, the caller's
 * (export/ask.h), -1: nobody.  0, or negative with err. */
int server_open(struct server **out, const char *listen, struct pages *pages, int profiler,
		struct err *err);
/* The port it listens on. */
int server_port(const struct server *s);
/* Now and then: cuts off connections that have been at one request for half a minute. */
void server_tick(struct server *s);
void server_close(struct server *s); /* NULL is fine */

#endif
