/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_NO_TIMEOUT_H
#define GOSPECT_DETECT_NO_TIMEOUT_H

#include "detect/detector.h"

extern const struct detector no_timeout_detector;

#endif
