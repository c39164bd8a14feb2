/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The itabs that the linker has made of the interface `error` with pointer types: what a
 * function returns when it turns a *T into an error.  From the file alone (runtime/iface.go,
 * internal/abi/type.go; the same shape in 1.18 to 1.27).
 */
#ifndef GOSPECT_LINT_ITABS_H
#define GOSPECT_LINT_ITABS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

struct gobin;

struct itab {
	uint64_t addr; /* link-time */
	char *type;    /* "*main.MyError"; owned */
};

struct itabs {
	struct itab *itab; /* owned */
	size_t n, cap;
	uint64_t first, last; /* the lowest and the highest address */
	struct u64map by_addr;
	size_t all; /* of any interface, as far as the file has them */
};

/* 0 or -ENOMEM; what cannot be read is left out. */
int itabs_find(struct itabs *t, struct gobin *gb);
void itabs_deinit(struct itabs *t);
/* The name of a type as reflect prints it, and its kind (internal/abi); false: it is none. */
bool itabs_type(struct gobin *gb, uint64_t type, char *name, size_t size, int *kind);
/* NULL: there is none at this address. */
const struct itab *itabs_at(const struct itabs *t, uint64_t addr);

#endif
