/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the prover for a command: announces, warns, can be interrupted. */
#ifndef GOSPECT_CLI_PROOF_H
#define GOSPECT_CLI_PROOF_H

#include "cli/options.h"
#include "cli/session.h"
#include "observe/window.h"
#include "prove/prove.h"

/*
 * As prove_run(), with --prove and --max-stop as the options say.  Says on
 * stderr what is about to be done and what was not done.  signal_fd: -EINTR
 * when something is to be read there (it is not read).  locks: what is inferred
 * of who holds what, or NULL.
 */
int proof_run(struct session *s, const struct options *o, bool prove,
	      const struct deadlocks_window *locks, int signal_fd, struct prove_result *out,
	      struct err *err);

#endif
