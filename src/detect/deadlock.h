/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_DEADLOCK_H
#define GOSPECT_DETECT_DEADLOCK_H

#include "detect/detector.h"

extern const struct detector deadlock_detector;

#endif
