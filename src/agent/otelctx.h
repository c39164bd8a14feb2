/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an OpenTelemetry SDK says of its own process: the context that it publishes in a
 * mapping named OTEL_CTX (OTEP 4719, version 2): a header of 32 bytes that points to a
 * resource in protobuf.
 *
 * All of it is foreign: bounded, taken whole or not at all.  Knows nothing of what the
 * attributes are for.
 */
#ifndef GOSPECT_AGENT_OTELCTX_H
#define GOSPECT_AGENT_OTELCTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OTELCTX_MAX_BYTES (64u << 10) /* of a payload; more is none */
#define OTELCTX_MAX_VALUE 1024        /* of a key, of a value; longer ones are left out */

struct memreader;

/* Where one is, and which was taken last.  Zeroed: none is known. */
struct otelctx {
	uint64_t addr;      /* of its header */
	uint64_t published; /* its time stamp when it was taken last; 0: it was not */
};

/* One attribute, both NUL-terminated. */
typedef void otelctx_take(void *arg, const char *key, const char *value);

/* Looks for one in the text of /proc/PID/maps: whether there is one. */
bool otelctx_find(struct otelctx *c, struct memreader *m, const char *maps);
/* Whether there is another one at its place than the one that was taken: a single read. */
bool otelctx_is_new(struct otelctx *c, struct memreader *m);
/* Takes it: 0; -ENOENT: it is gone; -EAGAIN: it is being written; -EBADMSG: it is damaged, and
 * nothing was taken. */
int otelctx_read(struct otelctx *c, struct memreader *m, otelctx_take *take, void *arg);
/* The same of a payload.  Attributes whose value is no text, number or bool are left out. */
int otelctx_parse(const void *payload, size_t n, otelctx_take *take, void *arg);

#endif
