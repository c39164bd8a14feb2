/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_GC_PRESSURE_H
#define GOSPECT_DETECT_GC_PRESSURE_H

#include "detect/detector.h"

extern const struct detector gc_pressure_detector;

#endif
