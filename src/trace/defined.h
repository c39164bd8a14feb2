/* SPDX-License-Identifier: BSD-2-Clause */
/* The definitions (trace/events.h) of a keeper: each made once, and kept to its end. */
#ifndef GOSPECT_TRACE_DEFINED_H
#define GOSPECT_TRACE_DEFINED_H

#include "trace/keeper_priv.h"

/* The number of those of a request: what has been made for it, or is to be; -1: there is no
 * tracefs, or no room. */
int defined_for(const struct keeper_request *r, int prog_fd, int exe_fd);
/* Before an attacher is forked: what it makes has names of its own. */
void defined_renew(int number);
bool defined_is_made(int number);
/* In the attacher: makes it.  *made: to be handed over to the keeper, also after an error. */
int defined_make(int number, const struct attach_point *p, bool cookies, struct attachment *made);
int defined_attach(int number, const struct attach_point *p, struct attachment *at);
/* What an attacher has made, or failed to make (err): now the keeper's. */
void defined_take(int number, struct attachment *made, int err);
/* Closes and removes all, nothing of which is attached; takes 0.1 s for each place. */
void defined_end(void);

#endif
