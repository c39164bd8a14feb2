/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_SQL_SUBJECT_H
#define GOSPECT_SQL_SUBJECT_H

#include "model/subject.h"

extern const struct subject sql_subject;

#endif
