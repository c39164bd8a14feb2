/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A child process of our own with two threads and one small function per
 * class of instruction: probing it shows what this kernel can do and what a
 * hit costs here, before anybody else's process is touched.
 */
#ifndef GOSPECT_TRACE_LAB_H
#define GOSPECT_TRACE_LAB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "plan/plan.h"

struct lab_result {
	int attach_err;       /* 0, or why the kernel refused the probes */
	uint64_t hits, calls; /* what the program counted, what the child's second thread called */
	struct cost_table cost; /* ns per hit; < 0 not measured */
};

/* LAB_EVENTS: perf events of tracefs, where there is one; else LAB_PERF. */
enum lab_how { LAB_MULTI, LAB_EVENTS, LAB_PERF };

/*
 * One run.  0, or a negative errno when
 * the experiment itself failed (err says why); what the kernel refused is in
 * the result.  The child is gone when it returns, also when this process dies.
 */
int lab_run(struct lab_result *r, enum lab_how how, struct err *err);
/* Whether the kernel lets a program ask for its cookie. */
bool lab_has_cookies(void);

#endif
