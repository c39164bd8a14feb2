/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Uprobes that are defined in tracefs, a place each, and attached by perf events.
 *
 * What they are for: such a definition may have several perf events.  One, of the
 * keeper and so for nobody, carries the BPF program; another one says that it is for
 * the target.  To close that one takes the breakpoint away and waits for nothing,
 * where the only event of a place costs four grace periods under the kernel's
 * event_mutex: 36 places are whole in a millisecond instead of 3 s.
 *
 * A definition stays until it is removed.  Its name says whose it is, so that a
 * later gospect removes what is left when a keeper was killed; it is never used by
 * two.  One place each, since the kernel removes a definition with several places
 * although it is in use (kernel/trace/trace_uprobe.c: unregister_trace_uprobe()
 * asks whether it is busy only for the last of them).
 */
#ifndef GOSPECT_TRACE_EVENTS_H
#define GOSPECT_TRACE_EVENTS_H

#include "trace/attach.h"

/* Finds tracefs, and removes what keepers have left that are gone.  0 or a negative errno. */
int events_open(void);
/* Defines the places of p and gives them its program, for nobody; serial: never used before by
 * this process.  The descriptors are in *a, also after an error. */
int events_define(struct attachment *a, const struct attach_point *p, bool cookies,
		  unsigned int serial);
/* For p->pid, too; as long as what is then in *a is open.  Also after an error. */
int events_attach(struct attachment *a, const struct attach_point *p, unsigned int serial);
/* Removes all definitions of this process, and of those that are gone; what is open stays. */
void events_remove_all(void);

#endif
