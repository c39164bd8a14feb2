/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_MEMORY_LARGE_ALLOCATION_H
#define GOSPECT_MEMORY_LARGE_ALLOCATION_H

#include "model/detector.h"
#include "memory/window.h"

extern const struct detector large_allocation_detector;

#endif
