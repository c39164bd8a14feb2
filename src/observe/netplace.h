/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The place of a network or database call: the innermost frame of a stack that
 * is the program's own or another module's, not the standard library's (net,
 * net/http, database/sql, context, …, nor what passes bytes on: io, encoding)
 * nor golang.org/x/net/http2's, nor made by the compiler.
 */
#ifndef GOSPECT_OBSERVE_NETPLACE_H
#define GOSPECT_OBSERVE_NETPLACE_H

#include "observe/window.h"
#include "target/goruntime.h"

/*
 * pcs run-time, innermost first: return addresses; first_is_pc: the first one is
 * where it stands.  False when there is no such frame; *out is then empty.
 * What is at a pc is remembered (gobin/pclntab).
 */
bool netplace_of_pcs(struct goruntime *rt, const uint64_t *pcs, int npcs, bool first_is_pc, struct place *out);
/* Whether such a place may be in this frame. */
bool netplace_is_users(const struct goframe *f);

#endif
