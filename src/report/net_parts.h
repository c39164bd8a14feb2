/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network, database pools and locks as parts of a report for people: each a
 * label, a sentence and a table.  Text and HTML print the same parts; a part
 * in which there is nothing is left out.
 */
#ifndef GOSPECT_REPORT_NET_PARTS_H
#define GOSPECT_REPORT_NET_PARTS_H

#include "base/buf.h"
#include "observe/window.h"
#include "report/table.h"

struct net_part {
	const char *label; /* "network" */
	bool (*any)(const struct window *w);
	void (*sentence)(const struct window *w, struct buf *out);
	const struct table_column *column;
	int ncolumn;
	int max_rows; /* never more, the row of the rest included */
	void (*fill)(const struct window *w, int max, struct table *t);
};

#define NET_PARTS 10
extern const struct net_part net_parts[NET_PARTS];

/* One line each for the live screen; "" when there is nothing. */
void net_parts_network(const struct window *w, struct buf *out);
void net_parts_pools(const struct window *w, struct buf *out);

#endif
