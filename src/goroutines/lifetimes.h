/* SPDX-License-Identifier: BSD-2-Clause */
/* How long the goroutines of each site had lived that ended in a window. */
#ifndef GOSPECT_GOROUTINES_LIFETIMES_H
#define GOSPECT_GOROUTINES_LIFETIMES_H

#include "goroutines/sites.h"
#include "model/look.h"

/* Into the rows of the window, which are there; 0 or -ENOMEM. */
int lifetimes_fill(struct sites *s, const struct look *l, struct window *w);
/* What the sensor did not see. */
void lifetimes_cover(const struct look *l, struct window *w);

#endif
