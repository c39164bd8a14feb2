/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goservers.h"

#include <string.h>

#include "gort/gotypes.h"

#define GIN  "github.com/gin-gonic/gin."
#define ECHO "github.com/labstack/echo/v4."
#define CHI  "github.com/go-chi/chi/v5."
#define RPC  "google.golang.org/genproto/googleapis/rpc/status."

/* The types of a router and of its contexts, and their fields; gin 1.3 to 1.12, echo v4, chi v5. */
static const struct {
	const char *router, *router_path, *context, *context_path;
	const char *request, *pattern, *handlers;
	uint32_t word; /* of request: the second of an interface is its data */
} kinds[GOROUTER_KINDS] = {
	[GOROUTER_GIN] = { "gin.Engine", GIN "Engine", "gin.Context", GIN "Context", "Request",
			   "fullPath", "handlers", 0 },
	[GOROUTER_ECHO] = { "echo.Echo", ECHO "Echo", "echo.context", ECHO "context", "request",
			    "path", NULL, 0 },
	[GOROUTER_CHI] = { "chi.Mux", CHI "Mux", "chi.Context", CHI "Context", "parentCtx",
			   "RoutePatterns", NULL, 8 },
};

static void find_router(struct gotypes *types, enum gorouter_kind kind, struct gorouter *out)
{
	uint64_t router = gotypes_find(types, kinds[kind].router, kinds[kind].router_path),
		 context = gotypes_find(types, kinds[kind].context, kinds[kind].context_path);

	if (!router || !context || gotypes_field(types, router, "pool", &out->pool, NULL) ||
	    gotypes_field(types, context, kinds[kind].request, &out->request, NULL) ||
	    gotypes_field(types, context, kinds[kind].pattern, &out->pattern, NULL) ||
	    (kinds[kind].handlers &&
	     gotypes_field(types, context, kinds[kind].handlers, &out->handlers, NULL)))
		return;
	out->request += kinds[kind].word;
	out->known = true;
}

void goservers_find(struct gotypes *types, const bool linked[GOROUTER_KINDS], bool grpc,
		    struct goservers *out)
{
	uint64_t status;

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < GOROUTER_KINDS; i++)
		if (linked[i])
			find_router(types, (enum gorouter_kind)i, &out->router[i]);
	status = grpc ? gotypes_find(types, "status.Status", RPC "Status") : 0;
	if (status && gotypes_field(types, status, "Code", &out->status_code, NULL))
		out->status_code = 0;
}
