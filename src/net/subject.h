/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_NET_SUBJECT_H
#define GOSPECT_NET_SUBJECT_H

#include "model/subject.h"

extern const struct subject net_subject;

#endif
