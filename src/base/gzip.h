/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_BASE_GZIP_H
#define GOSPECT_BASE_GZIP_H

#include "base/buf.h"

/* Appends what is in the other buffer, compressed: 0, -ENOMEM, -ENOSPC, -EIO. */
int gzip_add(const struct buf *in, struct buf *out);

#endif
