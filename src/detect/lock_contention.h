/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_LOCK_CONTENTION_H
#define GOSPECT_DETECT_LOCK_CONTENTION_H

#include "detect/detector.h"

extern const struct detector lock_contention_detector;

#endif
