/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which finding explains which: the one place that knows several subjects.
 * Rows that a worse finding accounts for are marked, so that their own
 * detectors leave them out.
 */
#ifndef GOSPECT_OBSERVE_EXPLAIN_H
#define GOSPECT_OBSERVE_EXPLAIN_H

#include "observe/window.h"

/* Before detectors judge; may be called again when rows were added. */
void explain_rows(struct window *w);

#endif
