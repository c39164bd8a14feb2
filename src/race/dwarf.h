/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types of global variables and offsets of fields, from DWARF 4 and 5 as Go writes it: the
 * sections .debug_info and .debug_abbrev, alone.  All bytes are hostile.
 */
#ifndef GOSPECT_RACE_DWARF_H
#define GOSPECT_RACE_DWARF_H

#include <stddef.h>
#include <stdint.h>

struct image;

#define DWARF_MAX (256u << 20) /* bytes of a section, unpacked */

struct dwarf {
	uint8_t *info, *abbrev; /* owned */
	size_t ninfo, nabbrev;
	struct dwarf_abbrev *known; /* owned: of one unit's table, and where that is */
	size_t nknown, known_cap;
	uint64_t known_at;
};

/* 0; -ENOENT: the file has none; -EBADMSG, -E2BIG, -ENOMEM.  Close in any case. */
int dwarf_open(struct dwarf *d, struct image *im);
void dwarf_close(struct dwarf *d);

enum dwarf_kind {
	DWARF_OTHER,
	DWARF_POINTER,
	DWARF_STRUCT,
	DWARF_OWNED /* a map or a channel: a pointer to what is the runtime's */
};

struct dwarf_type {
	enum dwarf_kind kind;
	uint64_t at;   /* in .debug_info */
	uint64_t size; /* bytes; 0: not said */
	uint64_t to;   /* of a pointer: the type behind it */
};

/* What a variable is, by its whole name: 0, -ENOENT, -EBADMSG. */
int dwarf_variable(struct dwarf *d, const char *name, size_t len, struct dwarf_type *out);
/* The type at a place of .debug_info, other names of it looked through. */
int dwarf_type(struct dwarf *d, uint64_t at, struct dwarf_type *out);
/* A field of a struct, by name: its offset and type.  The same. */
int dwarf_field(struct dwarf *d, const struct dwarf_type *in, const char *name, size_t len,
		uint64_t *off, struct dwarf_type *out);

#endif
