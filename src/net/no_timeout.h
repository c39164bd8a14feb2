/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_NO_TIMEOUT_H
#define GOSPECT_NET_NO_TIMEOUT_H

#include "model/detector.h"
#include "net/window.h"

extern const struct detector no_timeout_detector;

#endif
