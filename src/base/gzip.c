/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/gzip.h"

#include <errno.h>
#include <stdint.h>
#include <zlib.h>

#define CHUNK 65536

static int deflate_all(z_stream *z, struct buf *out)
{
	uint8_t chunk[CHUNK];
	int got;

	do {
		z->next_out = chunk;
		z->avail_out = sizeof(chunk);
		got = deflate(z, Z_FINISH);
		if (got != Z_OK && got != Z_STREAM_END && got != Z_BUF_ERROR)
			return -EIO;
		buf_add(out, chunk, sizeof(chunk) - z->avail_out);
	} while (got != Z_STREAM_END && !out->err);
	return out->err;
}

int gzip_add(const struct buf *in, struct buf *out)
{
	z_stream z = { .next_in = (uint8_t *)in->data, .avail_in = (uInt)in->len };
	int err;

	/* 15 bits of window, +16: a gzip header */
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		return -ENOMEM;
	err = deflate_all(&z, out);
	deflateEnd(&z);
	return err;
}
