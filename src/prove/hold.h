/* SPDX-License-Identifier: BSD-2-Clause */
/* The process that freezes another one, and what it is told and tells through a socket. */
#ifndef GOSPECT_PROVE_HOLD_H
#define GOSPECT_PROVE_HOLD_H

#include "prove/freeze.h"

#define HOLD_MAX_THREADS 65536

/* To it; after a reply that is no failure, one byte: let go. */
struct hold_request {
	pid_t pid;
	uint64_t until_ns, kill_ns; /* as freeze_begin() has them */
};

/* From it, followed by the threads and the words. */
struct hold_reply {
	int result;
	uint64_t stop_ns; /* of a failure: until all went on */
	size_t n, nword;
	char why[160];
};

/* From it, when it has let go. */
struct hold_end {
	bool early; /* not because it was told to */
	uint64_t stop_ns;
};

/* All of it: 0, or -EPIPE. */
int hold_send(int sock, const void *data, size_t len);
int hold_receive(int sock, void *data, size_t len);
/* Serves until the other end is closed, or its process ends. */
_Noreturn void hold_main(int sock, pid_t parent);

#endif
