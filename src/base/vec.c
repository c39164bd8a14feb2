/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/vec.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#define MOVES 64 /* a small array moves with each element: who kept a pointer into it is found */
#else
#define MOVES 0
#endif

/* Room at first: few of what is as large as a page. */
static size_t first_room(size_t size)
{
	return size < 4096 ? 256 : 16;
}

static size_t room_for(size_t n, size_t cap, size_t size)
{
	size_t want = cap ? cap : first_room(size);

	if (n <= MOVES)
		return n;
	while (want < n)
		want *= 2;
	return want;
}

int array_grow(void *array, size_t n, size_t *cap, size_t size)
{
	size_t want = room_for(n, *cap, size);
	void *old, *grown;

	if (n <= *cap)
		return 0;
	memcpy(&old, array, sizeof(old));
	grown = realloc(old, want * size);
	if (!grown)
		return -ENOMEM;
	memcpy(array, &grown, sizeof(grown));
	*cap = want;
	return 0;
}

int array_room(void *array, size_t n, size_t *cap, size_t size)
{
	return array_grow(array, n + 1, cap, size);
}

int by_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}
