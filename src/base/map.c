/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/cursor.h"

struct u64map_slot {
	uint64_t key, value;
	bool used;
};

struct bytesmap_slot {
	char *key; /* owned; NULL: free slot */
	size_t len;
	uint64_t hash, value;
};

/* The finalizer of MurmurHash3 (public domain): mixes every bit. */
uint64_t hash_u64(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

/* FNV-1a, then mixed. */
uint64_t hash_bytes(const void *p, size_t n)
{
	const unsigned char *b = p;
	uint64_t h = 0xcbf29ce484222325ULL;

	while (n--)
		h = (h ^ *b++) * 0x100000001b3ULL;
	return hash_u64(h);
}

/* Random bytes that the kernel gives each process. */
static uint64_t seed_of_process(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);

	return random ? load_u64(random) : 0;
}

/* Of n bytes, mixed eight at a time from a secret on. */
static uint64_t seeded_hash(uint64_t h, const uint8_t *p, size_t n)
{
	uint8_t last[8] = { 0 };

	h ^= n;
	for (; n > 8; p += 8, n -= 8)
		h = hash_u64(h ^ load_u64(p));
	memcpy(last, p, n);
	return hash_u64(h ^ load_u64(last));
}

void u64map_init(struct u64map *m, size_t max_entries)
{
	memset(m, 0, sizeof(*m));
	m->seed = seed_of_process();
	m->max = max_entries;
}

void u64map_deinit(struct u64map *m)
{
	free(m->slots);
	memset(m, 0, sizeof(*m));
}

void u64map_clear(struct u64map *m)
{
	if (m->slots)
		memset(m->slots, 0, m->cap * sizeof(*m->slots));
	m->len = 0;
}

static struct u64map_slot *u64map_slot(const struct u64map *m, uint64_t key)
{
	size_t i = hash_u64(key ^ m->seed) & (m->cap - 1);

	while (m->slots[i].used && m->slots[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

uint64_t *u64map_find(const struct u64map *m, uint64_t key)
{
	struct u64map_slot *s;

	if (!m->cap)
		return NULL;
	s = u64map_slot(m, key);
	return s->used ? &s->value : NULL;
}

static bool u64map_grow(struct u64map *m)
{
	struct u64map old = *m;

	m->cap = old.cap ? old.cap * 2 : 64;
	m->slots = calloc(m->cap, sizeof(*m->slots));
	if (!m->slots) {
		*m = old;
		return false;
	}
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].used)
			*u64map_slot(m, old.slots[i].key) = old.slots[i];
	free(old.slots);
	return true;
}

uint64_t *u64map_put(struct u64map *m, uint64_t key, uint64_t init, bool *made)
{
	struct u64map_slot *s;
	uint64_t *found = u64map_find(m, key);

	if (made)
		*made = !found;
	if (found)
		return found;
	if (m->len >= m->max)
		return NULL;
	if ((m->len + 1) * 3 > m->cap * 2 && !u64map_grow(m))
		return NULL;
	s = u64map_slot(m, key);
	*s = (struct u64map_slot){ .key = key, .value = init, .used = true };
	m->len++;
	return &s->value;
}

bool u64map_next(const struct u64map *m, size_t *pos, uint64_t *key, uint64_t **value)
{
	while (*pos < m->cap) {
		struct u64map_slot *s = &m->slots[(*pos)++];

		if (s->used) {
			*key = s->key;
			*value = &s->value;
			return true;
		}
	}
	return false;
}

void bytesmap_init(struct bytesmap *m, size_t max_entries)
{
	memset(m, 0, sizeof(*m));
	m->seed = seed_of_process();
	m->max = max_entries;
}

void bytesmap_deinit(struct bytesmap *m)
{
	for (size_t i = 0; i < m->cap; i++)
		free(m->slots[i].key);
	free(m->slots);
	memset(m, 0, sizeof(*m));
}

static struct bytesmap_slot *bytesmap_slot(const struct bytesmap *m, const void *key, size_t len,
					   uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	for (;; i = (i + 1) & (m->cap - 1)) {
		struct bytesmap_slot *s = &m->slots[i];

		if (!s->key || (s->hash == hash && s->len == len && !memcmp(s->key, key, len)))
			return s;
	}
}

uint64_t *bytesmap_find(const struct bytesmap *m, const void *key, size_t len)
{
	struct bytesmap_slot *s;

	if (!m->cap)
		return NULL;
	s = bytesmap_slot(m, key, len, seeded_hash(m->seed, key, len));
	return s->key ? &s->value : NULL;
}

static bool bytesmap_grow(struct bytesmap *m)
{
	struct bytesmap old = *m;

	m->cap = old.cap ? old.cap * 2 : 64;
	m->slots = calloc(m->cap, sizeof(*m->slots));
	if (!m->slots) {
		*m = old;
		return false;
	}
	for (size_t i = 0; i < old.cap; i++) {
		struct bytesmap_slot *s = &old.slots[i];

		if (s->key)
			*bytesmap_slot(m, s->key, s->len, s->hash) = *s;
	}
	free(old.slots);
	return true;
}

uint64_t *bytesmap_put(struct bytesmap *m, const void *key, size_t len, uint64_t init, bool *made)
{
	uint64_t *found = bytesmap_find(m, key, len), hash;
	struct bytesmap_slot *s;
	char *copy;

	if (made)
		*made = !found;
	if (found)
		return found;
	if (m->len >= m->max)
		return NULL;
	if ((m->len + 1) * 3 > m->cap * 2 && !bytesmap_grow(m))
		return NULL;
	copy = malloc(len + 1);
	if (!copy)
		return NULL;
	memcpy(copy, key, len);
	copy[len] = '\0';
	hash = seeded_hash(m->seed, key, len);
	s = bytesmap_slot(m, key, len, hash);
	*s = (struct bytesmap_slot){ .key = copy, .len = len, .hash = hash, .value = init };
	m->len++;
	return &s->value;
}
