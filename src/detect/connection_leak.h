/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_CONNECTION_LEAK_H
#define GOSPECT_DETECT_CONNECTION_LEAK_H

#include "detect/detector.h"

extern const struct detector connection_leak_detector;

#endif
