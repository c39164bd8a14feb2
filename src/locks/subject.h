/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_LOCKS_SUBJECT_H
#define GOSPECT_LOCKS_SUBJECT_H

#include "model/subject.h"

extern const struct subject locks_subject;

/* Its detectors, one file each. */
extern const struct detector lock_contention_detector, pool_suspected_detector;

#endif
