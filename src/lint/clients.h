/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests that nothing bounds: by an http.Client that the function has made itself, keeps to
 * itself and never stores a Timeout in, or by http.DefaultClient where no function of the
 * program gives that one a Timeout; and with a context that has no deadline.
 */
#ifndef GOSPECT_LINT_CLIENTS_H
#define GOSPECT_LINT_CLIENTS_H

#include "lint/lint.h"

struct callees;

/* Fills the rows of l, and counts senders.  0 or -ENOMEM. */
int clients_find(struct lint *l, struct gobin *gb, const struct lint_options *o,
		 struct callees *callees);

#endif
