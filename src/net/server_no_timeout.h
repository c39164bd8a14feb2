/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_SERVER_NO_TIMEOUT_H
#define GOSPECT_NET_SERVER_NO_TIMEOUT_H

#include "model/detector.h"
#include "net/window.h"

/* Whether a connection hangs that has waited for its request's bytes for so long. */
bool server_no_timeout_hangs(double age_s);

extern const struct detector server_no_timeout_detector;

#endif
