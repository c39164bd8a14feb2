/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dynamic types of interface values in a live process: names, and the fields
 * of structs, from the type descriptors that the linker leaves in every
 * executable (internal/abi/type.go; runtime/type.go before 1.21).
 *
 * Remembered: cheap to ask again.  Strings are owned by the gotypes and live
 * as long as it does; foreign bytes in them are shown as '?'.
 */
#ifndef GOSPECT_GORT_GOTYPES_H
#define GOSPECT_GORT_GOTYPES_H

#include "gort/goruntime.h"

struct gotypes;

int gotypes_new(struct gotypes **out, struct goruntime *rt); /* rt is borrowed */
void gotypes_free(struct gotypes *t);                        /* NULL is fine */

/*
 * The dynamic type behind an interface value.  itab: first word of a non-empty
 * interface (error, net.Conn, …); type: first word of an `any`, or a descriptor.
 * Names as reflect's String(): "*net.TCPConn".  NULL: nil, or not a descriptor
 * of this program (types made by reflect at run time included).
 */
const char *gotypes_of_itab(struct gotypes *t, uint64_t itab);
const char *gotypes_name(struct gotypes *t, uint64_t type);
/* Descriptor address behind an itab; 0 unknown. */
uint64_t gotypes_itab_type(struct gotypes *t, uint64_t itab);
/* With the import path of the package: "github.com/jackc/pgx/v5/stdlib.Driver"; NULL. */
const char *gotypes_path_name(struct gotypes *t, uint64_t type);

/*
 * A named type by what reflect calls it and its package's path, as
 * gotypes_path_name() has them ("pgxpool.Pool", "github.com/jackc/pgx/v5/pgxpool.Pool"):
 * the descriptor, or 0.  Reads all descriptors once: some ms; not remembered.
 */
uint64_t gotypes_find(struct gotypes *t, const char *name, const char *path_name);

struct gotype_field {
	const char *name;
	uint64_t type;   /* descriptor */
	uint32_t offset; /* in the struct */
};
/* Fields of a struct type, or of what a pointer type points to: the count (at
 * most max are written), 0 when it is no struct. */
int gotypes_fields(struct gotypes *t, uint64_t type, struct gotype_field *out, int max);
/* Offset of one field, by name, and its type (may be NULL): 0 or -ENOENT. */
int gotypes_field(struct gotypes *t, uint64_t type, const char *name, uint32_t *offset,
		  uint64_t *field_type);

#endif
