/* SPDX-License-Identifier: BSD-2-Clause */
/* Network, pools and locks as JSON; of this folder only. */
#ifndef GOSPECT_REPORT_JSON_NET_H
#define GOSPECT_REPORT_JSON_NET_H

#include "observe/window.h"
#include "report/json_build.h"

json_t *json_net(struct json_builder *b, const struct net_window *n);
json_t *json_sql(struct json_builder *b, const struct sql_window *s);
/* The list of rows; and what the slow path's probe counted. */
json_t *json_locks(struct json_builder *b, const struct locks_window *c);
json_t *json_lock_waits(struct json_builder *b, const struct locks_window *c);

#endif
