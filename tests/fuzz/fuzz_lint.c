/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine code as one function, all paths through it followed. */
#include <elf.h>
#include <string.h>

#include "in_memory.h"
#include "lint/returns.h"

#define ENTRY 0x401000u
#define ITAB  0x500000u

static void check(const struct returns *r, const struct code *c)
{
	if (r->n < 0 || r->n > MAX_RETURNS || (r->complex && r->n))
		abort();
	for (int i = 0; i < r->n; i++) {
		const struct nil_return *k = &r->nil[i];

		if (k->from >= c->n || k->origin >= c->n || k->at >= c->n ||
		    c->line[k->at].e.flow != FLOW_RET || k->itab != ITAB)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gofunc f = { .entry = ENTRY, .end = ENTRY + size };
	struct itab itab = { .addr = ITAB };
	struct itabs itabs = { .itab = &itab, .n = 1, .first = ITAB, .last = ITAB };
	struct gobin *gb = calloc(1, sizeof(*gb));
	struct returns *r = calloc(1, sizeof(*r));
	struct callees callees;
	struct code c;

	if (!gb || !r || !size || size > CODE_MAX_BYTES)
		goto out;
	gb->arch = arch_find(EM_X86_64);
	callees_init(&callees, gb, UINT64_MAX);
	u64map_init(&itabs.by_addr, 8);
	if (u64map_put(&itabs.by_addr, ITAB, 0, NULL) &&
	    !code_decode(&c, gb->arch, &f, data, &itabs)) {
		if (!returns_find(r, gb, &c, &itabs, &callees))
			check(r, &c);
		code_deinit(&c);
	}
	u64map_deinit(&itabs.by_addr);
	callees_deinit(&callees);
out:
	free(r);
	free(gb);
	return 0;
}
