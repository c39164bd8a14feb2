/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of findings: opened, worsened, closed. */
#ifndef GOSPECT_AGENT_LIFE_H
#define GOSPECT_AGENT_LIFE_H

#include "agent/view.h"

#define LIFE_ID_SIZE 17

/* What a finding is called over restarts, of gospect and of the process: by service, kind and
 * place.  16 hex digits; returns out. */
char *life_id(const struct identity *who, const struct finding *f, char out[LIFE_ID_SIZE]);

#endif
