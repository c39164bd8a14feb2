/* SPDX-License-Identifier: BSD-2-Clause */
/* What this process itself takes. */
#ifndef GOSPECT_AGENT_SELF_H
#define GOSPECT_AGENT_SELF_H

#include "agent/view.h"

/* CPU time, memory, descriptors: what cannot be read stays. */
void self_read(struct view_self *s);

#endif
