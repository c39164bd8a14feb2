/* SPDX-License-Identifier: BSD-2-Clause */
/* Which numbers can be addresses of user space on amd64. */
#ifndef GOSPECT_BASE_ADDR_H
#define GOSPECT_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#define ADDR_PAGE     4096u
#define ADDR_BITS     47 /* with four-level page tables: all that Go uses */
#define ADDR_END      (1ull << ADDR_BITS)
#define ADDR_END_MOST (1ull << 56) /* with five-level ones: for what C code may have mapped */

/* Not in the first page, which nobody has; a multiple of align. */
static inline bool addr_is_plausible(uint64_t a, uint64_t align)
{
	return a >= ADDR_PAGE && a < ADDR_END_MOST && a % align == 0;
}

#endif
