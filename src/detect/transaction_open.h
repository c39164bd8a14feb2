/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_TRANSACTION_OPEN_H
#define GOSPECT_DETECT_TRANSACTION_OPEN_H

#include "detect/detector.h"

extern const struct detector transaction_open_detector;

#endif
