/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_MEMORY_MEMORY_GROWTH_H
#define GOSPECT_MEMORY_MEMORY_GROWTH_H

#include "model/detector.h"
#include "memory/window.h"

extern const struct detector memory_growth_detector;

#endif
