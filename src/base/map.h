/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash tables with a maximum: u64 keys, and byte-string keys.  Values are
 * u64 (a number, or the index of a row in an array of the owner's).  Open
 * addressing; nothing is removed one by one.
 *
 * Keys come out of hostile memory: where they go is another in every process of
 * ours, so that a target cannot choose keys that meet.  A cache may ignore that
 * a put failed: what is not remembered is found out again.
 */
#ifndef GOSPECT_BASE_MAP_H
#define GOSPECT_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct u64map {
	struct u64map_slot *slots; /* owned */
	size_t cap, len, max;
	uint64_t seed;
};

void u64map_init(struct u64map *m, size_t max_entries);
void u64map_deinit(struct u64map *m);
void u64map_clear(struct u64map *m);
/* Pointer to the value, valid until the next put; NULL when absent. */
uint64_t *u64map_find(const struct u64map *m, uint64_t key);
/* The value's place, made with `init` when absent (*made tells, may be NULL).
 * NULL when the table is at its maximum or there is no memory. */
uint64_t *u64map_put(struct u64map *m, uint64_t key, uint64_t init, bool *made);
/* Iterates: start with *pos = 0; false at the end. */
bool u64map_next(const struct u64map *m, size_t *pos, uint64_t *key, uint64_t **value);

struct bytesmap {
	struct bytesmap_slot *slots; /* owned, keys too */
	size_t cap, len, max;
	uint64_t seed;
};

void bytesmap_init(struct bytesmap *m, size_t max_entries);
void bytesmap_deinit(struct bytesmap *m);
uint64_t *bytesmap_find(const struct bytesmap *m, const void *key, size_t len);
/* Copies the key.  As u64map_put(). */
uint64_t *bytesmap_put(struct bytesmap *m, const void *key, size_t len, uint64_t init, bool *made);

/* The same in every process: for ids. */
uint64_t hash_u64(uint64_t x);
uint64_t hash_bytes(const void *p, size_t n);

#endif
