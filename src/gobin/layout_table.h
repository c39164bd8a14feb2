/* SPDX-License-Identifier: BSD-2-Clause */
/* What tools/gen-layout writes and layout.c looks things up in. */
#ifndef GOSPECT_GOBIN_LAYOUT_TABLE_H
#define GOSPECT_GOBIN_LAYOUT_TABLE_H

#include "gobin/buildinfo.h"
#include "gobin/layout.h"

/* By architecture, then by release, oldest first. */
extern const struct layout layout_rows[];
extern const int layout_nrows;
/* The newest release that was built for the table. */
extern const struct go_release layout_newest;

#endif
