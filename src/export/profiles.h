/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /debug/pprof: who may ask for a profile, and of which process; the taking is ask.h's.
 * Knows nothing of how it is served.
 */
#ifndef GOSPECT_EXPORT_PROFILES_H
#define GOSPECT_EXPORT_PROFILES_H

#include "export/ask.h"
#include "export/pages.h"

#define PROFILES_PATH "/debug/pprof"

/* A request as it came; NULL: not there.  What follows '?' is as it came, with its escapes. */
struct profiles_query {
	const char *path; /* begins with PROFILES_PATH */
	const char *service, *instance, *pid, *seconds;
	const char *debug, *gc; /* of net/http/pprof, which we cannot have */
	const char *token;      /* of the request; NULL: none */
	const char *host;       /* the header */
	bool loopback;          /* it comes from this machine */
};

/* What is to be asked for: status 0; or what to answer. */
struct page profiles_check(struct pages *p, const struct profiles_query *q, struct ask *out);
/* What came of it, as an answer; takes the buffer. */
struct page profiles_answer(int failed, int status, struct buf *b);
/* Why it could not be begun. */
struct page profiles_refuse(int err);

#endif
