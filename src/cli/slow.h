/* SPDX-License-Identifier: BSD-2-Clause */
/* attach --slow: a line for each request that took long. */
#ifndef GOSPECT_CLI_SLOW_H
#define GOSPECT_CLI_SLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct window;

/* The lines of those that have ended in the window after at least so long; last: and of those that
 * are under way. */
void slow_lines(const struct window *w, uint64_t least_ns, bool last, struct buf *out);

#endif
