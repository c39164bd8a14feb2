/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_CONNECTION_LEAK_H
#define GOSPECT_NET_CONNECTION_LEAK_H

#include "model/detector.h"
#include "net/window.h"

struct place;
struct window;

extern const struct detector connection_leak_detector;
/* Whether there will be a finding of it. */
bool connection_leak_found(const struct window *w);

#endif
