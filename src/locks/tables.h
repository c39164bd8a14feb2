/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables about locks, described (model/schema.h). */
#ifndef GOSPECT_LOCKS_TABLES_H
#define GOSPECT_LOCKS_TABLES_H

#include "model/schema.h"

/* struct locks_window: its rows are the member `locks`, its sums `lock_waits` */
extern const struct table locks_object, locks_rows, locks_pool_waits, lock_waits_object;

#endif
