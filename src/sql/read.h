/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One pool of database/sql in a process's memory: its numbers as DB.Stats() has
 * them, and its connections.  Believed only when it was the same before and
 * after, and its connections point back to it.
 */
#ifndef GOSPECT_SQL_READ_H
#define GOSPECT_SQL_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/window.h"

struct goruntime;
struct gotypes;

#define SQLREAD_MAX_CONNS 16384 /* of one pool; beyond: they are not read one by one */

struct sqlconn {
	uint64_t addr;      /* of the driverConn */
	uint64_t wall, ext; /* returnedAt, a time.Time: when it was made or given back last */
	bool in_use;
	bool idle; /* nobody asks the driver on it just now */
};

struct sqldb {
	uint64_t addr;
	char driver[96];    /* dynamic type; the connector's where it does not tell */
	uint64_t connector; /* the connector's type, where it does not tell; else 0 */
	int64_t max_open;   /* 0 unlimited */
	uint64_t open, idle, waiters, wait_count, wait_ns;
	/* Connections that limits closed since the program started, and these limits; not
	 * known where the pool never had a connection that was seen. */
	uint64_t conn_itab; /* of its connections; 0: it has none */
	bool closes_known;
	struct sql_closes closed;
	int64_t max_idle;                           /* 0: the default, 2; less: none */
	uint64_t max_lifetime_ns, max_idle_time_ns; /* 0 none */
	struct sqlconn *conn; /* owned; NULL and not known when conns_known is false */
	size_t nconn;
	bool conns_known;
};

/* Whether the release's layout is known. */
bool sqlread_supported(const struct goruntime *rt);
/*
 * 0; -ENOENT: it is closed; -EAGAIN: it changed as it was read; -EBADMSG: no sql.DB
 * as we know them; -EFAULT, -ESRCH, -EPERM, -ENOMEM.
 */
int sqlread_db(struct goruntime *rt, struct gotypes *types, uint64_t addr, struct sqldb *out);
void sqldb_deinit(struct sqldb *db);

/*
 * The driver that sql.Register() was called with and that is of the same package
 * as a connector's type: its type's name, or NULL when there is none or several.
 */
const char *sqlread_registered(struct goruntime *rt, struct gotypes *types, uint64_t connector);

struct sqltx {
	uint64_t db, conn; /* conn: the driverConn */
	bool done;
};
int sqlread_tx(struct goruntime *rt, uint64_t addr, struct sqltx *out);
/* The driverConn of a Rows, of a driverStmt. */
int sqlread_rows(struct goruntime *rt, uint64_t addr, uint64_t *conn);
int sqlread_stmt(struct goruntime *rt, uint64_t addr, uint64_t *conn);

#endif
