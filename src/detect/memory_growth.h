/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_MEMORY_GROWTH_H
#define GOSPECT_DETECT_MEMORY_GROWTH_H

#include "detect/detector.h"

extern const struct detector memory_growth_detector;

#endif
