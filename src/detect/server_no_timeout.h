/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_SERVER_NO_TIMEOUT_H
#define GOSPECT_DETECT_SERVER_NO_TIMEOUT_H

#include "detect/detector.h"

extern const struct detector server_no_timeout_detector;

#endif
