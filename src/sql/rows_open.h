/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_SQL_ROWS_OPEN_H
#define GOSPECT_SQL_ROWS_OPEN_H

#include "model/detector.h"
#include "sql/window.h"

extern const struct detector rows_open_detector;

#endif
