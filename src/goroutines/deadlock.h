/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_GOROUTINES_DEADLOCK_H
#define GOSPECT_GOROUTINES_DEADLOCK_H

#include "model/detector.h"
#include "goroutines/window.h"

extern const struct detector deadlock_detector;

#endif
