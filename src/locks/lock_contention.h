/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_LOCKS_LOCK_CONTENTION_H
#define GOSPECT_LOCKS_LOCK_CONTENTION_H

#include "model/detector.h"
#include "locks/window.h"

extern const struct detector lock_contention_detector;

#endif
