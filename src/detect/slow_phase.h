/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_SLOW_PHASE_H
#define GOSPECT_DETECT_SLOW_PHASE_H

#include "detect/detector.h"

extern const struct detector slow_phase_detector;

/* Whether a finding of this kind is about that host and phase. */
bool slow_phase_found(const struct findings *fs, const char *host, enum net_phase phase);

#endif
