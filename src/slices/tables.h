/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of slices that grow, described (model/schema.h). */
#ifndef GOSPECT_SLICES_TABLES_H
#define GOSPECT_SLICES_TABLES_H

#include "model/schema.h"

extern const struct table slices_object, slice_sites;

#endif
