/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes that several connections send at once: counted, never changed. */
#ifndef GOSPECT_EXPORT_BODY_H
#define GOSPECT_EXPORT_BODY_H

#include "base/buf.h"

struct body {
	unsigned int refs; /* atomic: any thread gets and puts */
	size_t len;
	char *data; /* owned */
};

/* Takes over what is in the buffer, which is then empty: NULL when it failed, or no memory. */
struct body *body_of(struct buf *b);
struct body *body_get(struct body *b);
void body_put(struct body *b); /* NULL is fine */

#endif
