/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_CONNECTION_CHURN_H
#define GOSPECT_NET_CONNECTION_CHURN_H

#include "model/detector.h"
#include "net/window.h"

extern const struct detector connection_churn_detector;

#endif
