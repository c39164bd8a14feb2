/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_SQL_SUBJECT_H
#define GOSPECT_SQL_SUBJECT_H

#include "model/subject.h"
#include "sql/window.h"

extern const struct subject sql_subject;

#define SQL_LIBRARIES 4

/* Its state. */
struct sql_state {
	struct sqlpools *std;                /* NULL: database/sql is not linked, or not known */
	struct libpools *lib[SQL_LIBRARIES]; /* of other libraries; NULL: not linked */
	bool unlinked;                       /* database/sql is not */
};

/* Its detectors, one file each. */
extern const struct detector pool_exhausted_detector;
extern const struct detector sql_no_deadline_detector;
extern const struct detector rows_open_detector;
extern const struct detector sql_churn_detector;
extern const struct detector transaction_open_detector;

/* What one place holds of all pools: for detectors that have a finding per place. */
struct sql_held {
	const struct sql_holder *oldest;
	uint64_t count;        /* connections, of all its rows */
	uint64_t begun_before; /* of them: older than gospect, in the function of the others now */
};
/* Whether it is what a call at that place took: a transaction older than gospect is, when its
 * goroutine is in the same function now. */
bool sql_holder_is_of(const struct sql_holder *h, const struct place *begin);
/* True for the first holder of a kind at a place (over all pools), with what all of them hold. */
bool sql_holders_first(const struct sql_window *s, int pool, int holder, struct sql_held *out);

#endif
