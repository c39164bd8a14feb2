/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_MEMORY_GC_PRESSURE_H
#define GOSPECT_MEMORY_GC_PRESSURE_H

#include "model/detector.h"
#include "memory/window.h"

extern const struct detector gc_pressure_detector;

#endif
