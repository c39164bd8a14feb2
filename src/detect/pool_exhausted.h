/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_POOL_EXHAUSTED_H
#define GOSPECT_DETECT_POOL_EXHAUSTED_H

#include "detect/detector.h"

extern const struct detector pool_exhausted_detector;

#endif
