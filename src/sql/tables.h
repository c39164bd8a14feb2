/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables about database/sql, described (model/schema.h). */
#ifndef GOSPECT_SQL_TABLES_H
#define GOSPECT_SQL_TABLES_H

#include "model/schema.h"

extern const struct table sql_object; /* struct sql_window: member `sql` */
extern const struct table sql_pools, sql_holders, sql_queries, sql_statements;

/* One line for the live screen: the pool that is worst off; "" when there is none. */
void sql_brief(const struct window *w, struct buf *out);

#endif
