/* SPDX-License-Identifier: BSD-2-Clause */
/* What a gospect host that runs says of itself, asked over its own pages. */
#ifndef GOSPECT_EXPORT_STATUS_H
#define GOSPECT_EXPORT_STATUS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* Asks the one that listens there and appends its Go processes, each with how deep it is
 * watched and why no deeper; json: as it answered.  Negative with err when nobody answers. */
int status_print(const char *listen, bool json, int columns, struct buf *out, struct err *err);

#endif
