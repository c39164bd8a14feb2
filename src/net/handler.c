/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/stack.h"

#define MAX_INLINED 16

/* Where the function that begins at entry is declared. */
static bool declaration(struct gobin *gb, uint64_t entry, struct place *out)
{
	struct goframe f[MAX_INLINED];
	int n = pclntab_frames(gb->pcln, entry, false, f, MAX_INLINED);

	if (n > 0)
		*out = place_of_frame(&f[n - 1]);
	return n > 0;
}

bool net_handler_place(struct gobin *gb, uint64_t pc, struct place *out)
{
	struct gofunc fn, body;
	struct goframe inlined;

	if (pclntab_find_pc(gb->pcln, pc, &fn))
		return false;
	if (!fn.is_wrapper)
		return declaration(gb, fn.entry, out);
	if (!pclntab_find_name(gb->pcln, gobin_start_name(gb, fn.entry), &body))
		return declaration(gb, body.entry, out);
	if (pclntab_inlined_body(gb->pcln, fn.entry, &inlined))
		return declaration(gb, fn.entry, out);
	/* it is nowhere but there */
	*out = (struct place){ .function = inlined.function,
			       .file = inlined.file,
			       .path = inlined.path };
	return true;
}
