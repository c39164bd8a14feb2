/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_GOROUTINE_FLOOD_H
#define GOSPECT_DETECT_GOROUTINE_FLOOD_H

#include "detect/detector.h"

extern const struct detector goroutine_flood_detector;

#endif
