/* SPDX-License-Identifier: BSD-2-Clause */
/* Slices that grow: subject and detector. */
#ifndef GOSPECT_SLICES_SUBJECT_H
#define GOSPECT_SLICES_SUBJECT_H

#include "model/subject.h"

extern const struct subject slices_subject;
extern const struct detector slice_growth_detector;

#endif
