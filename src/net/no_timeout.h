/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_NO_TIMEOUT_H
#define GOSPECT_NET_NO_TIMEOUT_H

#include "model/detector.h"
#include "net/window.h"

/* Whether a request without any limit, whose body is not being read, hangs after so long: nothing
 * else decides that.  p99_ns: of the calls of its place that came back; 0 not known. */
bool no_timeout_hangs(double age_s, uint64_t p99_ns);

extern const struct detector no_timeout_detector;

#endif
