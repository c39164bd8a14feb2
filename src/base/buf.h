/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing byte buffer with a maximum given where it is made.  When full,
 * or out of memory, appends do nothing and `err` stays set: a writer checks
 * once at the end.  The bytes are always followed by a NUL.
 */
#ifndef GOSPECT_BASE_BUF_H
#define GOSPECT_BASE_BUF_H

#include <stddef.h>

struct buf {
	char *data; /* owned; NULL until the first append */
	size_t len; /* bytes used, without the NUL */
	size_t cap;
	size_t max; /* never grows beyond */
	int err;    /* 0, -ENOSPC or -ENOMEM */
};

void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b);
void buf_reset(struct buf *b);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
