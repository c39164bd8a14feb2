/* SPDX-License-Identifier: BSD-2-Clause */
/* Arrays that grow, and their number of elements. */
#ifndef GOSPECT_BASE_VEC_H
#define GOSPECT_BASE_VEC_H

#include <stddef.h>

/* Elements of an array (not of a pointer). */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Room for one more in an array of n elements of `size` bytes that the caller owns:
 * 0 or -ENOMEM.  `array` is the address of the pointer, *cap its room so far; both
 * begin as 0. */
int array_room(void *array, size_t n, size_t *cap, size_t size);

/* The same for n in all. */
int array_grow(void *array, size_t n, size_t *cap, size_t size);

/* The order of uint64_t, for qsort() and bsearch(). */
int by_u64(const void *a, const void *b);

#endif
