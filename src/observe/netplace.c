/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/netplace.h"

#include <string.h>

#include "observe/sites.h"

#define MAX_FRAMES 64	/* inlined at one pc that are looked at */

bool netplace_is_users(const struct goframe *f)
{
	/* the HTTP/2 of net/http is a copy of it, and programs may use their own */
	static const char h2[] = "golang.org/x/net/http2";
	const char *vendored = strstr(f->function, "/vendor/");
	const char *name = vendored ? vendored + 8 : f->function;

	if (f->wrapper || goframe_is_std(f))
		return false;
	return strncmp(name, h2, sizeof(h2) - 1) || (name[sizeof(h2) - 1] != '.' && name[sizeof(h2) - 1] != '/');
}

bool netplace_of_pcs(struct goruntime *rt, const uint64_t *pcs, int npcs, bool first_is_pc, struct place *out)
{
	bool injected = first_is_pc;	/* looked up as it is, not at the call before */

	*out = (struct place){ 0 };
	for (int i = 0; i < npcs; i++) {
		struct goframe f[MAX_FRAMES];
		int n = goruntime_frames_at(rt, pcs[i], &injected, f, MAX_FRAMES);

		for (int k = 0; k < n; k++) {
			if (!netplace_is_users(&f[k]))
				continue;
			*out = place_of_frame(&f[k]);
			return true;
		}
	}
	return false;
}
