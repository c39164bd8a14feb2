/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_LARGE_ALLOCATION_H
#define GOSPECT_DETECT_LARGE_ALLOCATION_H

#include "detect/detector.h"

extern const struct detector large_allocation_detector;

#endif
