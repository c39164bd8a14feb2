/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows of the network's, the pools' and the locks' tables, cut to a maximum:
 * what is not shown is summed in one last row of the same type, so that every
 * renderer has one kind of row to show.
 */
#ifndef GOSPECT_REPORT_NET_ROWS_H
#define GOSPECT_REPORT_NET_ROWS_H

#include "observe/window.h"

enum net_list {
	LIST_CLIENTS,
	LIST_PHASES,
	LIST_UNCLOSED,
	LIST_CONNECTIONS,
	LIST_SERVERS,
	LIST_GRPC,
	LIST_LOCKS,
	LIST_HOLDERS
};

/* Anything that may be summed. */
union net_any_row {
	struct net_client client;
	struct net_phase_row phase;
	struct net_body_row body;
	struct net_connections connections;
	struct net_server server;
	struct net_grpc grpc;
	struct lock_wait_row lock;
	struct sql_holder holder;
};

struct net_rows {
	const void **row; /* owned; of the list's type, the summed one last */
	int n;            /* with the summed one */
	int nrest;        /* rows in the summed one; 0: there is none */
	union net_any_row rest;
};

/* At most max rows of the n at `rows` (borrowed), the summed one included: 0 or -ENOMEM.
 * A row that is marked `other` is always in the sum. */
int net_rows_init(struct net_rows *r, enum net_list list, const void *rows, int n, int max);
void net_rows_deinit(struct net_rows *r);
/* Whether row i is the summed one. */
bool net_rows_is_rest(const struct net_rows *r, int i);

#endif
