/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One bug class = one file = one detector.  A detector judges a window (which
 * carries the history of each site) and adds findings; it keeps no state.
 */
#ifndef GOSPECT_MODEL_DETECTOR_H
#define GOSPECT_MODEL_DETECTOR_H

#include "model/finding.h"

struct detector {
	const char *name; /* the finding kind */
	uint32_t sensors; /* mask of what it needs; skipped when none is covered */
	void (*judge)(const struct window *w, struct findings *out);
};

#endif
