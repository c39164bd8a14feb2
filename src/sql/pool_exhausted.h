/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_SQL_POOL_EXHAUSTED_H
#define GOSPECT_SQL_POOL_EXHAUSTED_H

#include "model/detector.h"
#include "sql/window.h"

extern const struct detector pool_exhausted_detector;

#endif
