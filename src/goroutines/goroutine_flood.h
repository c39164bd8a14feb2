/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_GOROUTINES_GOROUTINE_FLOOD_H
#define GOSPECT_GOROUTINES_GOROUTINE_FLOOD_H

#include "model/detector.h"
#include "goroutines/window.h"

extern const struct detector goroutine_flood_detector;

#endif
