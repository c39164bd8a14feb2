/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps snapshots without waiting for the disk: made here, written by a thread of its own, one
 * at a time.  A disk that hangs holds up that thread, and nobody else.
 */
#ifndef GOSPECT_REPORT_SPOOLER_H
#define GOSPECT_REPORT_SPOOLER_H

#include "report/spool.h"

struct spooler;

/* What became of the last one. */
struct spooled {
	uint64_t key; /* the caller's */
	char id[SPOOL_ID_SIZE];
	struct err err; /* code 0: it is kept */
};

struct spooler *spooler_new(void); /* NULL: no memory, or no descriptors */
/* What hangs is left to its thread, which ends with the process. NULL is fine. */
void spooler_free(struct spooler *s);
/* As spool_keep(), begun: 0; -EBUSY: one is being written, or its result was not taken. */
int spooler_begin(struct spooler *s, const char *dir, uint64_t max_bytes,
		  const struct spool_what *what, uint64_t key);
/* POLLIN when there is a result. */
int spooler_event(const struct spooler *s);
/* Whether there is one, after so long at most: then *out is it. */
bool spooler_take(struct spooler *s, int timeout_ms, struct spooled *out);

#endif
