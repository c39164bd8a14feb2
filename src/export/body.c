/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/body.h"

#include <stdlib.h>

struct body *body_of(struct buf *b)
{
	struct body *body = b->err ? NULL : calloc(1, sizeof(*body));

	if (body) {
		*body = (struct body){ .refs = 1, .len = b->len, .data = b->data };
		b->data = NULL;
		b->len = b->cap = 0;
	}
	buf_deinit(b);
	return body;
}

struct body *body_get(struct body *b)
{
	__atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
	return b;
}

void body_put(struct body *b)
{
	if (!b || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(b->data);
	free(b);
}
