/* SPDX-License-Identifier: BSD-2-Clause */
/* The prover's verdicts as a window's table: by creation site, with stacks. */
#ifndef GOSPECT_GOROUTINES_LEAKS_H
#define GOSPECT_GOROUTINES_LEAKS_H

#include "goroutines/sites.h"
#include "goroutines/window.h"

struct prove_result;

/*
 * Fills the table.  now_ns and begin_ns: our monotonic clock, now and the start
 * of the window (0: there is no window, and nothing is known of growth).
 * 0, -ENOMEM; the process may be gone: then there are no stacks.
 */
int leaks_fill(struct leaks_window *l, struct sites *s, const struct prove_result *r,
	       uint64_t now_ns, uint64_t begin_ns);
void leaks_window_deinit(struct leaks_window *l);

#endif
