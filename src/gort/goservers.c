/* SPDX-License-Identifier: BSD-2-Clause */
#include "gort/goservers.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "gort/gotypes.h"
#include "proc/readbatch.h"

#define GIN  "github.com/gin-gonic/gin."
#define ECHO "github.com/labstack/echo/v4."
#define CHI  "github.com/go-chi/chi/v5."
#define RPC  "google.golang.org/genproto/googleapis/rpc/status."

/* The types of a router and of its contexts, and their fields; gin 1.3 to 1.12, echo v4, chi v5. */
static const struct {
	const char *router, *router_path, *context, *context_path;
	const char *make; /* makes one, and in it the function that its pool is filled by */
	const char *request, *pattern, *handlers;
	uint32_t word; /* of request: the second of an interface is its data */
} kinds[GOROUTER_KINDS] = {
	[GOROUTER_GIN] = { "gin.Engine", GIN "Engine", "gin.Context", GIN "Context", GIN "New.",
			   "Request", "fullPath", "handlers", 0 },
	[GOROUTER_ECHO] = { "echo.Echo", ECHO "Echo", "echo.context", ECHO "context", ECHO "New.",
			    "request", "path", NULL, 0 },
	[GOROUTER_CHI] = { "chi.Mux", CHI "Mux", "chi.Context", CHI "Context", CHI "NewMux.",
			   "parentCtx", "RoutePatterns", NULL, 8 },
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

/* ---- their pools ---- */

#define MAX_POOLS 4096
#define POOL_NEW  32 /* sync.Pool.New: behind local, victim and their sizes, in 1.18 to 1.27 */

/* One of sync.allPools. */
struct pool_read {
	uint64_t addr, next; /* what is read next */
};

static void ask_word(void *owner, void *item, struct readpiece *piece)
{
	const struct pool_read *p = item;

	(void)owner;
	if (p->next)
		*piece = (struct readpiece){ p->next, 8 };
}

static void take_word(void *owner, void *item, const uint8_t *const *bytes)
{
	struct pool_read *p = item;

	(void)owner;
	p->next = bytes[0] ? load_u64(bytes[0]) : 0;
}

static int kind_of(struct goruntime *rt, const bool linked[GOROUTER_KINDS], uint64_t pc)
{
	struct gofunc fn;

	if (!pc || pclntab_find_pc(rt->gb->pcln, pc - rt->bias, &fn))
		return -1;
	for (int i = 0; i < GOROUTER_KINDS; i++)
		if (linked[i] && !strncmp(fn.name, kinds[i].make, strlen(kinds[i].make)))
			return i;
	return -1;
}

/* Those of a list of sync's, behind the first n of out: how many there are then. */
static size_t read_pools(struct goruntime *rt, enum goglobal list, struct pool_read *out, size_t n)
{
	uint64_t head[2], *addr = NULL;

	if (!rt->gb->global[list] ||
	    mem_read(rt->mem, rt->gb->global[list] + rt->bias, head, sizeof(head)) || !head[1] ||
	    head[1] > MAX_POOLS - n)
		return n;
	addr = calloc(head[1], sizeof(*addr));
	if (addr && !mem_read(rt->mem, head[0], addr, head[1] * sizeof(*addr)))
		for (uint64_t i = 0; i < head[1]; i++)
			out[n++] = (struct pool_read){ addr[i], addr[i] + POOL_NEW };
	free(addr);
	return n;
}

/* What fills each, into its `next`: false: not known. */
static bool read_makers(struct goruntime *rt, struct pool_read *p, size_t n)
{
	struct readbatch batch = { 0 };
	const struct readstage stage = {
		.item = p, .n = n, .size = sizeof(*p), .ask = ask_word, .take = take_word
	};
	bool ok = n && !readbatch_stage(&batch, rt->mem, &stage) && /* the func value … */
		  !readbatch_stage(&batch, rt->mem, &stage);        /* … its code */

	readbatch_deinit(&batch);
	return ok;
}

size_t goservers_pools(struct goruntime *rt, const bool linked[GOROUTER_KINDS],
		       struct gorouter_pool *out, size_t max)
{
	struct pool_read *p = calloc(MAX_POOLS, sizeof(*p));
	size_t n = p ? read_pools(rt, GLOBAL_ALLPOOLS, p, 0) : 0, found = 0;

	n = p ? read_pools(rt, GLOBAL_OLDPOOLS, p, n) : 0;
	if (!read_makers(rt, p, n))
		n = 0;
	for (size_t i = 0; i < n && found < max; i++) {
		int kind = kind_of(rt, linked, p[i].next);

		if (kind >= 0)
			out[found++] =
				(struct gorouter_pool){ p[i].addr, (enum gorouter_kind)kind };
	}
	free(p);
	return found;
}
