/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One bug class = one file = one detector.  A detector judges a window (which
 * carries the history of each site) and adds findings; it keeps no state of
 * its own unless `init` gives it some.
 */
#ifndef GOSPECT_DETECT_DETECTOR_H
#define GOSPECT_DETECT_DETECTOR_H

#include "detect/finding.h"

struct detector {
	const char *name;	/* the finding kind */
	uint32_t sensors;	/* mask of what it needs; skipped when none is covered */
	void (*judge)(const struct window *w, struct findings *out);
};

/* NULL-terminated list of all detectors. */
extern const struct detector *const detectors[];

/* Runs all of them and sorts. */
void detect_all(const struct window *w, struct findings *out);

#endif
