/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_CONNECTION_CHURN_H
#define GOSPECT_DETECT_CONNECTION_CHURN_H

#include "detect/detector.h"

extern const struct detector connection_churn_detector;

#endif
