/* SPDX-License-Identifier: BSD-2-Clause */
/* What requests that are being written were seen waiting for. */
#include "net/fill.h"

int fill_uploads(struct fill *f)
{
	const struct netwatch *nw = f->nw;
	struct net_upload *u = calloc(nw->nupload + 1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	for (size_t i = 0; i < nw->nupload; i++) {
		const struct net_uploads *from = &nw->upload[i];

		u[i] = (struct net_upload){ .what = from->what,
					    .reader = from->reader,
					    .seen = from->seen };
		fill_host(f, from->host, u[i].host);
	}
	f->out->upload = u;
	f->out->nupload = (int)nw->nupload;
	return 0;
}
