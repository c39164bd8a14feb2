/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where members are in the kernel's structs, by its own description (BTF).
 * What libbpf does when it relocates a program, for the few that one needs:
 * 2 ms instead of 20, and no copies of its 5 MB.
 */
#ifndef GOSPECT_TRACE_KERNEL_TYPES_H
#define GOSPECT_TRACE_KERNEL_TYPES_H

#include <stddef.h>
#include <stdint.h>

struct kernel_member {
	const char *type;   /* a struct's name */
	const char *member; /* also one of a struct without a name in it; NULL: the struct's size */
	uint32_t *off;      /* where bytes go, or KERNEL_ABSENT (two of one name differ, too) */
};
#define KERNEL_ABSENT UINT32_MAX

/* Finds all of them, as far as they are there: 0, or a negative errno when there is no BTF. */
int kernel_members_find(const struct kernel_member *m, size_t n);
/* The same in one that was read. */
int kernel_members_in(const void *btf, size_t size, const struct kernel_member *m, size_t n);

#endif
