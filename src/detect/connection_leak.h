/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_DETECT_CONNECTION_LEAK_H
#define GOSPECT_DETECT_CONNECTION_LEAK_H

#include "detect/detector.h"

struct place;
struct window;

extern const struct detector connection_leak_detector;
/* Whether leaked goroutines of that go statement are those of connections that
 * this detector names: then they are no finding of their own. */
bool connection_leak_explains(const struct window *w, const struct place *created);

#endif
