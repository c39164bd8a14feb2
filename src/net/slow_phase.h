/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_SLOW_PHASE_H
#define GOSPECT_NET_SLOW_PHASE_H

#include "model/detector.h"
#include "net/window.h"

extern const struct detector slow_phase_detector;

/* Whether a finding of this kind is about that host and phase. */
bool slow_phase_found(const struct findings *fs, const char *host, enum net_phase phase);

#endif
