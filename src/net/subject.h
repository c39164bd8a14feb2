/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_SUBJECT_H
#define GOSPECT_NET_SUBJECT_H

#include "model/subject.h"

extern const struct subject net_subject;

/* Its detectors, one file each. */
extern const struct detector connection_churn_detector;
extern const struct detector failing_phase_detector;

#endif
