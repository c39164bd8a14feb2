/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory behind one reader: a live process (process_vm_readv); in tests what they
 * make of it.  Nothing is ever written.  A short read is an error with its place,
 * never zeros.
 */
#ifndef GOSPECT_PROC_MEM_H
#define GOSPECT_PROC_MEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct mem_piece {
	uint64_t addr;
	void *dst;
	uint32_t len;
	int32_t status; /* 0 read whole, else negative errno; set by mem_read_many() */
};

struct memreader;
struct memreader_ops {
	int (*read_many)(struct memreader *m, struct mem_piece *p, size_t n);
	void (*free)(struct memreader *m);
	/* by several threads; may be NULL */
	int (*read_many_by)(struct memreader *m, struct mem_piece *p, size_t n, int threads);
};
struct memreader {
	const struct memreader_ops *ops;
	uint64_t calls, bytes, failures; /* since made; failures: pieces not read */
};

/* One reader of a live process.  -EPERM with a hint when not permitted. */
int mem_open_pid(struct memreader **out, pid_t pid, struct err *err);
void mem_free(struct memreader *m);

/* Exactly len bytes: 0, -EFAULT (not mapped, short), -ESRCH (gone), -EPERM. */
int mem_read(struct memreader *m, uint64_t addr, void *dst, size_t len);
int mem_read_u64(struct memreader *m, uint64_t addr, uint64_t *out);
int mem_read_u32(struct memreader *m, uint64_t addr, uint32_t *out);
/*
 * Many pieces in few system calls; one that fails does not fail the others.
 * Returns the number not read, or -ESRCH/-EPERM when nothing can be read at all.
 */
int mem_read_many(struct memreader *m, struct mem_piece *p, size_t n);
/* The same by so many threads, for pieces of MiBs. */
int mem_read_many_by(struct memreader *m, struct mem_piece *p, size_t n, int threads);

#endif
