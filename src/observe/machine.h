/* SPDX-License-Identifier: BSD-2-Clause */
/* The process as the machine sees it, into a window: struct process_window. */
#ifndef GOSPECT_OBSERVE_MACHINE_H
#define GOSPECT_OBSERVE_MACHINE_H

#include "model/look.h"

/* Threads of the process now; 0 when it is gone. */
int machine_threads(const struct look *l);
/* l->totals and l->walk are of now. */
void machine_fill(const struct look *l, int threads_at_start, struct window *w);

#endif
