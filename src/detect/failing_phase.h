/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_FAILING_PHASE_H
#define GOSPECT_DETECT_FAILING_PHASE_H

#include "detect/detector.h"

extern const struct detector failing_phase_detector;

#endif
