/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_CPU_SUBJECT_H
#define GOSPECT_CPU_SUBJECT_H

#include "model/subject.h"

extern const struct subject cpu_subject;

#endif
