/* SPDX-License-Identifier: BSD-2-Clause */
/* BPF tables that are read and written in memory. */
#ifndef GOSPECT_TRACE_MAPTABLE_H
#define GOSPECT_TRACE_MAPTABLE_H

#include <bpf/libbpf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

static inline size_t maptable_size(const struct bpf_map *map)
{
	return (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
}

/* NULL and errno. */
static inline void *maptable_open(const struct bpf_map *map)
{
	void *p = mmap(NULL, maptable_size(map), PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

static inline void maptable_close(const struct bpf_map *map, volatile void *p)
{
	if (p)
		munmap((void *)(uintptr_t)p, maptable_size(map));
}

#endif
