/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What requests of HTTP/1 that are being written wait for: at each look, each of them once.
 * Looks are samples; what they add up to says who keeps requests that take long in that phase.
 */
#include "net/priv.h"

#define MAX_UPLOADS 1024 /* of a window; beyond: not told apart, and said as a loss */

static int add(struct netwatch *nw, const struct net_inflight *f, enum net_uploading what,
	       const struct place *reader)
{
	struct {
		struct place_key place;
		uint64_t host, what;
	} key = { place_key(reader), f->host, what };
	uint64_t *at;
	bool made;

	if (array_room(&nw->upload, nw->nupload, &nw->upload_cap, sizeof(*nw->upload)))
		return -ENOMEM;
	at = bytesmap_put(&nw->upload_at, &key, sizeof(key), nw->nupload, &made);
	if (!at) {
		nw->no_room++;
		return 0;
	}
	if (made)
		nw->upload[nw->nupload++] =
			(struct net_uploads){ .host = f->host, .what = what, .reader = *reader };
	nw->upload[*at].seen++;
	return 0;
}

int netuploads_count(struct netwatch *nw)
{
	const struct net_look *l = &nw->cur;
	int err = 0;

	for (size_t i = 0; i < l->ninflight && !err; i++) {
		const struct net_inflight *f = &l->inflight[i];
		uint64_t *cls;

		if (f->dead || f->phase != NET_REQUEST_WRITE)
			continue;
		cls = u64map_find(&l->writer_stack, f->conn);
		if (cls)
			err = add(nw, f, nw->stacks.stack[*cls].uploading,
				  &nw->stacks.stack[*cls].body_reader);
	}
	return err;
}

void netuploads_begin(struct netwatch *nw)
{
	bytesmap_deinit(&nw->upload_at);
	bytesmap_init(&nw->upload_at, MAX_UPLOADS);
	nw->nupload = 0;
}
