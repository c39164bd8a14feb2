/* SPDX-License-Identifier: BSD-2-Clause */
/* All goroutines with their whole stacks, grouped by stack, state and labels. */
#ifndef GOSPECT_GOROUTINES_DUMP_H
#define GOSPECT_GOROUTINES_DUMP_H

#include "goroutines/sites.h"
#include "goroutines/window.h"

struct dump_options {
	bool all; /* fill all[] too */
};

/*
 * Reads the stacks and labels of a walk's goroutines (which it brings up to
 * date).  Ages are as the sites remember them.  *out to be freed with
 * dump_free().  -EOPNOTSUPP when stacks cannot be read, -ESRCH, -ENOMEM.
 */
int dump_take(struct goroutine_dump **out, struct sites *s, struct gowalk *w,
	      const struct dump_options *o);
void dump_free(struct goroutine_dump *d);

#endif
