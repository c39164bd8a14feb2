/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_MEMORY_SUBJECT_H
#define GOSPECT_MEMORY_SUBJECT_H

#include "model/subject.h"

extern const struct subject memory_subject;

/* Its detectors, one file each. */
extern const struct detector gc_pressure_detector;
extern const struct detector large_allocation_detector;
extern const struct detector memory_growth_detector;
extern const struct detector outside_growth_detector;

#endif
