/* SPDX-License-Identifier: BSD-2-Clause */
/* What one place holds of all pools: for detectors that have a finding per place. */
#ifndef GOSPECT_SQL_SQL_HOLDERS_H
#define GOSPECT_SQL_SQL_HOLDERS_H

#include "sql/window.h"

struct sql_held {
	const struct sql_holder *oldest;
	uint64_t count; /* connections, of all its rows */
};

/* The idea of a finding per place: true for the first holder of a kind at a
 * place (over all pools), with what all of them hold. */
bool sql_holders_first(const struct sql_window *s, int pool, int holder, struct sql_held *out);

#endif
