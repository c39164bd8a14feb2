/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where routers that are one http.Handler (gin, echo, chi) keep the route of a request, and a
 * gRPC status its code: offsets, found in the descriptors of their types in the live process.
 * Knows nothing of a single request.
 */
#ifndef GOSPECT_GORT_GOSERVERS_H
#define GOSPECT_GORT_GOSERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct goruntime;
struct gotypes;

enum gorouter_kind { GOROUTER_GIN, GOROUTER_ECHO, GOROUTER_CHI, GOROUTER_KINDS };

struct gorouter {
	bool known;
	uint32_t pool;              /* of the sync.Pool in the router, or of what points to it */
	uint32_t request;           /* in the context: the word that tells the request */
	uint32_t pattern, handlers; /* in the context; handlers 0: it keeps none */
};

struct goservers {
	struct gorouter router[GOROUTER_KINDS];
	uint32_t status_code; /* in the message of a gRPC status; 0: not known */
};

/* linked: which are in the program, by kind; what is not found there is not known. */
void goservers_find(struct gotypes *types, const bool linked[GOROUTER_KINDS], bool grpc,
		    struct goservers *out);

/* A sync.Pool in which a router of that kind keeps its contexts. */
struct gorouter_pool {
	uint64_t addr;
	enum gorouter_kind kind;
};
/* Those that have been used since the collection before the last: how many, at most max. */
size_t goservers_pools(struct goruntime *rt, const bool linked[GOROUTER_KINDS],
		       struct gorouter_pool *out, size_t max);

#endif
