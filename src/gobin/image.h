/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ELF executable as bytes by file offset and by link-time address.
 *
 * The file is never mapped (it may shrink under us): everything is read with
 * pread through a small block cache, so memory use does not depend on the
 * file's size.  Headers and sections are parsed by libelf from a copy of the
 * headers (or by the bounded cursor).  Works without section headers.
 * Knows nothing of Go.
 */
#ifndef GOSPECT_GOBIN_IMAGE_H
#define GOSPECT_GOBIN_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct image_segment {
	uint64_t addr, off, file_size, mem_size; /* link-time address, file offset, bytes */
	bool read, write, exec;
};

struct image_section {
	char name[40];
	uint64_t addr, off, size; /* off/size: 0 for NOBITS */
};

struct image_range {
	uint64_t addr, size;
};

#define IMAGE_MAX_SEGMENTS 64
#define IMAGE_MAX_SECTIONS 128 /* beyond: ignored */
#define IMAGE_MAX_BUILD_ID 64

struct image {
	int fd; /* owned */
	uint64_t file_size;
	uint16_t machine;                             /* EM_* */
	bool is_pie;                                  /* ET_DYN */
	bool is_dynamic;                              /* has PT_INTERP */
	bool is_stripped;                             /* no .symtab */
	struct image_segment seg[IMAGE_MAX_SEGMENTS]; /* PT_LOAD only, by address */
	int nseg;
	struct image_section sec[IMAGE_MAX_SECTIONS];
	struct image_range dynamic; /* PT_DYNAMIC; size 0 when there is none */
	int nsec;                   /* 0 when there are no (usable) section headers */
	char build_id[2 * IMAGE_MAX_BUILD_ID + 1]; /* GNU build id in hex, or "" */
	char go_build_id[200];                     /* Go's own, or "" */
	struct image_cache *cache;                 /* owned */
};

/*
 * Opens what fd refers to (duplicated; the caller keeps his).
 * -ENOEXEC: not an ELF executable, or 32-bit or big-endian (err says which);
 * -EBADMSG: damaged; -EINVAL: not a regular file.
 */
int image_init_fd(struct image *im, int fd, struct err *err);
void image_deinit(struct image *im);
/* Gives back what was read, up to 4 MiB; what is wanted again is read again. */
void image_forget(struct image *im);

/* pread() until len bytes or the end of the file: bytes read, or negative errno. */
ssize_t image_pread(int fd, void *dst, size_t len, uint64_t off);
/* Exactly len bytes from file offset off: 0, -EBADMSG when beyond the file, -EIO. */
int image_read(struct image *im, uint64_t off, void *dst, size_t len);
/* The same by link-time address; bss reads as zeros; -EBADMSG outside the segments. */
int image_read_addr(struct image *im, uint64_t addr, void *dst, size_t len);
/* File offset of an address, or -EBADMSG when it has no bytes in the file. */
int image_addr_to_off(const struct image *im, uint64_t addr, uint64_t *off);
const struct image_segment *image_segment_at(const struct image *im, uint64_t addr);
const struct image_section *image_section_named(const struct image *im, const char *name);

#endif
