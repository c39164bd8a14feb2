/* SPDX-License-Identifier: BSD-2-Clause */
/* The names of the phases of a network request. */
#ifndef GOSPECT_PLAN_PHASE_H
#define GOSPECT_PLAN_PHASE_H

#include "gospect/kinds.h"

/* "pool_wait", "dns", …; static. */
extern const char *const net_phase_names[NET_PHASES];
const char *net_phase_name(enum net_phase p);

#endif
