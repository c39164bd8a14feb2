/* SPDX-License-Identifier: BSD-2-Clause */
/* All detectors of all subjects, run over a window. */
#ifndef GOSPECT_OBSERVE_DETECT_H
#define GOSPECT_OBSERVE_DETECT_H

#include "model/detector.h"

/* Marks what another finding explains, runs all of them and sorts. */
void detect_all(struct window *w, struct findings *out);

#endif
