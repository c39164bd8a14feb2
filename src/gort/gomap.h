/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps of a live process.  Swiss tables since Go 1.24 (internal/runtime/maps),
 * buckets with overflow before (runtime/map.go).  A map is changed while it is
 * read: what came out is believed only when there are as many entries as its
 * header counts, before and after.
 */
#ifndef GOSPECT_GORT_GOMAP_H
#define GOSPECT_GORT_GOMAP_H

#include "gort/goruntime.h"

#define GOMAP_MAX (1u << 20) /* entries; a larger map is not read */

/*
 * Keys and elements of the map at an address (what a variable of a map type
 * holds; 0 is an empty map), packed key by element: *out is for free(), NULL
 * when there are none.  Sizes in bytes, at most 128; elements of less than 8
 * bytes are not supported, keys are.  Returns the number of entries; -E2BIG when
 * there are more than max, -EAGAIN when it changed each time, -EBADMSG, -EFAULT,
 * -ESRCH, -EPERM, -ENOMEM.
 */
int gomap_read(struct goruntime *rt, uint64_t map, uint32_t key_size, uint32_t elem_size,
	       uint32_t max, uint8_t **out);
/* Its length, as len() says it: 0, or a negative errno. */
int gomap_len(struct goruntime *rt, uint64_t map, uint64_t *len);

#endif
