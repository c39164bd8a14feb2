/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_BASE_STREAMS_H
#define GOSPECT_BASE_STREAMS_H

/*
 * A standard stream that was closed (>&-) must not become another file of ours:
 * what is opened read-only in its place refuses to be written to (EBADF).  At the start.
 */
void streams_occupy(void);

#endif
