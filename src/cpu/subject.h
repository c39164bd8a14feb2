/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_CPU_SUBJECT_H
#define GOSPECT_CPU_SUBJECT_H

#include "model/subject.h"

extern const struct subject cpu_subject;
extern const struct detector endless_loop_detector, cpu_hot_detector, cpu_starved_detector;

struct cpu_goroutine;
/* Whether others wait for what it keeps: a CPU, at half of the looks; or a lock. */
bool cpu_is_waited_for(const struct window *w, const struct cpu_goroutine *g);

#endif
