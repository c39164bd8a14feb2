/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_SQL_SUBJECT_H
#define GOSPECT_SQL_SUBJECT_H

#include "model/subject.h"

extern const struct subject sql_subject;

/* Its detectors, one file each. */
extern const struct detector pool_exhausted_detector;
extern const struct detector rows_open_detector;
extern const struct detector transaction_open_detector;

#endif
