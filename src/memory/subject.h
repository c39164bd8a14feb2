/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_MEMORY_SUBJECT_H
#define GOSPECT_MEMORY_SUBJECT_H

#include "model/subject.h"

extern const struct subject memory_subject;

#endif
