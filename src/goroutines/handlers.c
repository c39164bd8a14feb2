/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose code a server's goroutine is in.  net/http and gRPC start one for each connection or call:
 * where it was created says nothing.
 */
#include "goroutines/growth.h"

#include <string.h>

#define HTTP_PREFIX "net/http."
#define GRPC_PREFIX "google.golang.org/grpc."

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* What calls the handler. */
static bool serves_http(const char *function)
{
	return !strcmp(function, "net/http.serverHandler.ServeHTTP") ||
	       strstr(function, "serverConn).runHandler");
}

static bool serves_grpc(const char *function)
{
	return starts(function, GRPC_PREFIX "(*Server).process");
}

/* "…/grpc_health_v1._Health_Check_Handler", or its func1, which interceptors call: generated. */
static bool is_stub(const char *function)
{
	const char *base = strrchr(function, '/');
	const char *name = strstr(base ? base : function, "._");

	return name && strstr(name, "_Handler");
}

/* i: what serves.  The outermost of the user's, as it is counted. */
static const struct place *http_handler(const struct place *const *line, int i)
{
	while (--i >= 0)
		if (line[i]->function && !starts(line[i]->function, HTTP_PREFIX))
			return line[i];
	return NULL;
}

/* What the innermost stub calls; interceptors are around it. */
static const struct place *grpc_handler(const struct place *const *line, int i)
{
	for (int k = 1; k < i; k++)
		if (line[k]->function && is_stub(line[k]->function))
			return line[k - 1]->function ? line[k - 1] : NULL;
	while (--i >= 0)
		if (line[i]->function && !starts(line[i]->function, GRPC_PREFIX))
			return line[i];
	return NULL;
}

const struct place *goroutine_handler_in(const struct place *const *line, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		const char *function = line[i]->function;

		if (function && serves_http(function))
			return http_handler(line, i);
		if (function && serves_grpc(function))
			return grpc_handler(line, i);
	}
	return NULL;
}

const struct place *goroutine_wait_handler(const struct wait_row *wait)
{
	const struct place *line[WINDOW_MAX_STACK];
	int n = 0;

	for (; wait && n < wait->nstack && n < WINDOW_MAX_STACK; n++)
		line[n] = &wait->stack[n];
	return goroutine_handler_in(line, n);
}

const struct place *goroutine_site_handler(const struct site_row *s)
{
	return goroutine_wait_handler(goroutine_site_wait(s, WAIT_BLOCKED));
}
