/* SPDX-License-Identifier: BSD-2-Clause */
/* All detectors of all subjects, run over a window. */
#ifndef GOSPECT_OBSERVE_DETECT_H
#define GOSPECT_OBSERVE_DETECT_H

#include "model/subject.h"
#include "observe/window.h"

/* Marks what another finding explains, runs all of them and sorts. */
void detect_all(struct window *w, struct findings *out);

/* What is under way when the process has been asked to end, of all subjects (shutdown.c). */
void join_shutdown(struct window *w);

/* Before detectors judge; may be called again when rows were added (explain_rows.c). */
void explain_rows(struct window *w);

/* Findings of which one is the cause: the other names it, or is left out for it; sorted again. */
void explain_findings(const struct window *w, struct findings *fs);

#endif
