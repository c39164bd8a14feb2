/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_FAILING_PHASE_H
#define GOSPECT_NET_FAILING_PHASE_H

#include "model/detector.h"
#include "net/window.h"

extern const struct detector failing_phase_detector;

#endif
