/* SPDX-License-Identifier: BSD-2-Clause */
/* What fills the goroutines' part of a window. */
#ifndef GOSPECT_GOROUTINES_FILL_H
#define GOSPECT_GOROUTINES_FILL_H

#include "goroutines/sites.h"
#include "model/look.h"

struct gostacks;
struct prove_result;

#define ROWS_WITH_STACKS 1000 /* the busiest sites: reports show no more rows than that */

/*
 * Fills w->goroutines->site, w->goroutines->state from the latest look and its walk.  births_scale
 * multiplies the births counted (sampling).  ended: the process can be read no
 * more, and goroutines were born after the latest look that are in no walk.
 */
int rows_fill(struct sites *s, const struct gowalk *walk, double births_scale, bool births_known,
	      bool ended, struct window *w);

/* Into the rows of the window, which are there; 0 or -ENOMEM. */
int lifetimes_fill(struct sites *s, const struct look *l, struct window *w);
/* What the sensor did not see. */
void lifetimes_cover(const struct look *l, struct window *w);

/*
 * Reads the labels of a walk's goroutines, and their stacks (where it brings them up to date) unless
 * these have just been read: stacks, stack_of; NULL: not so.  Ages are as the sites remember them.
 * all: fill all[] too.  *out to be freed with dump_free().  -EOPNOTSUPP when stacks cannot be read,
 * -ESRCH, -ENOMEM.
 */
int dump_take(struct goroutine_dump **out, struct sites *s, struct gowalk *w,
	      const struct gostacks *stacks, const uint32_t *stack_of, bool all);
void dump_free(struct goroutine_dump *d);

/*
 * Fills the table of leaks from the prover's verdicts.  before: stacks that were read before, or
 * NULL.  now_ns and begin_ns: our monotonic clock, now and the start
 * of the window (0: there is no window, and nothing is known of growth).
 * 0, -ENOMEM; the process may be gone: then there are no stacks.
 */
int leaks_fill(struct leaks_window *l, struct sites *s, const struct prove_result *r,
	       const struct gostacks *before, uint64_t now_ns, uint64_t begin_ns);
void leaks_window_deinit(struct leaks_window *l);
/* How sure the verdicts are, and what they miss: the row "leaks". */
void leaks_cover(const struct prove_result *r, struct window *w);

/*
 * Fills w->goroutines->deadlocks anew.  just: a walk that has just been made, or NULL.  leaked: the verdict that w->goroutines->leaks is of, for
 * cycles with channels in them, or NULL.  Who is left out is a loss.  0, or why nothing is known:
 * -EOPNOTSUPP, -ESRCH, -ENOMEM.
 */
int deadlocks_find(struct window *w, struct sites *s, const struct gowalk *just,
		   const struct prove_result *leaked, struct losses *losses);
/* Marks the members that the verdict on leaks names. */
void deadlocks_mark_leaked(struct window *w);

#endif
