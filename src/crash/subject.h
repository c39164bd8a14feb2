/* SPDX-License-Identifier: BSD-2-Clause */
/* How the process ended: subject and detector. */
#ifndef GOSPECT_CRASH_SUBJECT_H
#define GOSPECT_CRASH_SUBJECT_H

#include "model/subject.h"

extern const struct subject crash_subject;
extern const struct detector crash_detector, slow_shutdown_detector;

#endif
