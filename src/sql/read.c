/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "gort/gomap.h"
#include "gort/goruntime.h"
#include "gort/gotypes.h"
#include "sql/window.h"

#define MAX_TRIES      8
#define MAX_DB_BYTES   512
#define MAX_CONN_BYTES 256
#define MAX_OPEN       (1u << 20) /* connections that anybody has */
#define MAX_WAIT_NS    (1ull << 62)
#define MUTEX_LOCKED   1
#define MAX_CODE       256   /* bytes of a connector's Driver method that are looked at */
#define MAX_OPEN_CODE  2048  /* bytes of sql.Open */
#define MAX_DRIVERS    256   /* registered */
#define MAX_FIELDS     32    /* of a connector that are looked at */
#define MAX_DEPS       65536 /* connections and statements of one pool */

static int32_t off(const struct goruntime *rt, enum layout_field f)
{
	return layout_off(rt->gb->layout, f);
}

bool sqlread_supported(const struct goruntime *rt)
{
	static const enum layout_field needed[] = {
		LAYOUT_SQL_DB_SIZE,
		LAYOUT_SQL_DB_WAITDURATION,
		LAYOUT_SQL_DB_CONNECTOR,
		LAYOUT_SQL_DB_MU,
		LAYOUT_SQL_DB_FREECONN,
		LAYOUT_SQL_DB_CONNREQUESTS,
		LAYOUT_SQL_DB_NUMOPEN,
		LAYOUT_SQL_DB_CLOSED,
		LAYOUT_SQL_DB_DEP,
		LAYOUT_SQL_DB_MAXOPEN,
		LAYOUT_SQL_DB_WAITCOUNT,
		LAYOUT_SQL_DRIVERCONN_SIZE,
		LAYOUT_SQL_DRIVERCONN_DB,
		LAYOUT_SQL_DRIVERCONN_INUSE,
		LAYOUT_SQL_DRIVERCONN_RETURNEDAT,
		LAYOUT_SQL_TX_SIZE,
		LAYOUT_SQL_TX_DB,
		LAYOUT_SQL_TX_DC,
		LAYOUT_SQL_TX_DONE,
		LAYOUT_SQL_ROWS_DC,
		LAYOUT_SQL_DSNCONNECTOR_DRIVER,
	};

	if (!rt->gb->layout)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (off(rt, needed[i]) < 0)
			return false;
	return off(rt, LAYOUT_SQL_DB_SIZE) <= MAX_DB_BYTES &&
	       off(rt, LAYOUT_SQL_DRIVERCONN_SIZE) <= MAX_CONN_BYTES &&
	       off(rt, LAYOUT_SQL_TX_SIZE) <= MAX_DB_BYTES;
}

void sqldb_deinit(struct sqldb *db)
{
	free(db->conn);
	db->conn = NULL;
	db->nconn = 0;
}

/* ---- the driver's name ---- */

/*
 * "*example.org/x.v1/pkg.T" -> "example.org/x.v1/pkg.(*T).Driver", as symbols
 * are named: dots in a path's last element are written %2e
 * (cmd/internal/objabi, PathToPrefix).
 */
static bool method_name(const char *type, char *out, size_t size)
{
	bool pointer = *type == '*';
	const char *path = type + pointer, *slash = strrchr(path, '/'),
		   *last = slash ? slash + 1 : path;
	const char *dot = strrchr(last, '.');
	char package[512];
	size_t n = 0;

	if (!dot || strchr(path, '[')) /* type arguments: a name of another form */
		return false;
	for (const char *c = path; c < dot; c++) {
		if (n + 4 > sizeof(package))
			return false;
		n += (size_t)sprintf(package + n, c >= last && *c == '.' ? "%%2e" : "%c", *c);
	}
	package[n] = '\0';
	return snprintf(out, size, pointer ? "%s.(*%s).Driver" : "%s.%s.Driver", package, dot + 1) <
	       (int)size;
}

/* The itab that the method's code puts into its result. */
static const char *driver_of_code(struct goruntime *rt, struct gotypes *types,
				  const char *connector)
{
	struct gobin *gb = rt->gb;
	char name[1024];
	uint8_t code[MAX_CODE];
	struct gofunc fn;
	struct insn in;
	size_t len;

	if (!gb->arch || !method_name(connector, name, sizeof(name)) ||
	    pclntab_find_name(gb->pcln, name, &fn))
		return NULL;
	len = fn.end - fn.entry < MAX_CODE ? fn.end - fn.entry : MAX_CODE;
	if (image_read_addr(&gb->image, fn.entry, code, len))
		return NULL;
	for (size_t pos = 0; pos < len; pos += in.len) {
		const char *driver;

		if (gb->arch->decode(code + pos, len - pos, fn.entry + pos, false, &in))
			return NULL;
		if (in.data != DATA_LEA)
			continue;
		driver = gotypes_of_itab(types, in.data_addr + rt->bias);
		if (driver)
			return driver;
	}
	return NULL;
}

/* A field called driver, of the struct or of one in it. */
static bool find_driver(struct gotypes *types, uint64_t type, uint32_t *at, uint64_t *field_type)
{
	struct gotype_field f[MAX_FIELDS];
	int n;

	if (!gotypes_field(types, type, "driver", at, field_type))
		return true;
	n = gotypes_fields(types, type, f, MAX_FIELDS);
	for (int i = 0; i < n && i < MAX_FIELDS; i++) {
		const char *name = gotypes_name(types, f[i].type);

		if (!name || *name == '*' ||
		    gotypes_field(types, f[i].type, "driver", at, field_type))
			continue;
		*at += f[i].offset;
		return true;
	}
	return false;
}

/* What an interface in a field holds, or the field's own type. */
static const char *driver_of_field(struct goruntime *rt, struct gotypes *types, uint64_t type,
				   uint64_t data)
{
	uint64_t field_type, itab;
	const char *name;
	uint32_t at;

	if (!find_driver(types, type, &at, &field_type))
		return NULL;
	name = gotypes_name(types, field_type);
	if (!name || strcmp(name, "driver.Driver"))
		return name;
	return mem_read_u64(rt->mem, data + at, &itab) ? NULL : gotypes_of_itab(types, itab);
}

/* As fmt's %T of DB.Driver(); false when the connector is no interface we know. */
static bool driver_name(struct goruntime *rt, struct gotypes *types, const uint8_t *iface,
			struct sqldb *out)
{
	uint64_t type = gotypes_itab_type(types, load_u64(iface)), data = load_u64(iface + 8);
	const char *connector = gotypes_name(types, type), *driver = NULL;

	if (!connector)
		return false;
	if (!strcmp(connector, "sql.dsnConnector")) {
		uint64_t itab;

		if (!mem_read_u64(rt->mem, data + (uint64_t)off(rt, LAYOUT_SQL_DSNCONNECTOR_DRIVER),
				  &itab))
			driver = gotypes_of_itab(types, itab);
	} else {
		const char *path = gotypes_path_name(types, type);

		driver = path ? driver_of_code(rt, types, path) : NULL;
		if (!driver)
			driver = driver_of_field(rt, types, type, data);
	}
	snprintf(out->driver, sizeof(out->driver), "%s", driver ? driver : connector);
	out->connector = driver ? 0 : type;
	return true;
}

/* "*example.org/pkg.T" and "example.org/pkg.U": of one package. */
static bool same_package(const char *a, const char *b)
{
	const char *slash, *dot;

	a += *a == '*';
	b += *b == '*';
	slash = strrchr(a, '/');
	dot = strrchr(slash ? slash : a, '.');
	return dot && !strncmp(a, b, (size_t)(dot - a) + 1) && !strchr(b + (dot - a), '/');
}

/* One of the package in a map[string]driver.Driver; false: it is no such map. */
static bool driver_in_map(struct goruntime *rt, struct gotypes *types, uint64_t map,
			  const char *connector, const char **driver)
{
	uint8_t *entry;
	int n = gomap_read(rt, map, 16, 16, MAX_DRIVERS, &entry);
	bool good = n > 0;

	*driver = NULL;
	for (int i = 0; i < n && good; i++) {
		uint64_t type = gotypes_itab_type(types, load_u64(entry + 32 * i + 16));
		const char *path = gotypes_path_name(types, type),
			   *name = gotypes_name(types, type);

		good = path && name;
		if (!good || !same_package(connector, path))
			continue;
		good = !*driver || !strcmp(*driver, name);
		*driver = name;
	}
	free(n > 0 ? entry : NULL);
	return good && *driver;
}

const char *sqlread_registered(struct goruntime *rt, struct gotypes *types, uint64_t connector)
{
	struct gobin *gb = rt->gb;
	const char *path = gotypes_path_name(types, connector), *driver;
	uint8_t code[MAX_OPEN_CODE];
	struct gofunc fn;
	struct insn in;
	size_t len;

	/* sql.Open looks the driver up: the map is one of the variables it loads */
	if (!path || !gb->arch || pclntab_find_name(gb->pcln, "database/sql.Open", &fn))
		return NULL;
	len = fn.end - fn.entry < MAX_OPEN_CODE ? fn.end - fn.entry : MAX_OPEN_CODE;
	if (image_read_addr(&gb->image, fn.entry, code, len))
		return NULL;
	for (size_t pos = 0; pos < len; pos += in.len) {
		uint64_t map;

		if (gb->arch->decode(code + pos, len - pos, fn.entry + pos, false, &in))
			return NULL;
		if (in.data == DATA_LOAD && !mem_read_u64(rt->mem, in.data_addr + rt->bias, &map) &&
		    map && map % 8 == 0 && driver_in_map(rt, types, map, path, &driver))
			return driver;
	}
	return NULL;
}

/* ---- connections ---- */

/* Fills conn[i] from the driverConns; those of another pool are no connections: -EBADMSG. */
/* Its mutex, between createdAt, a time.Time, and ci, is held by whoever asks the driver. */
static bool is_unlocked(const struct goruntime *rt, const uint8_t *dc)
{
	int32_t at = off(rt, LAYOUT_SQL_DRIVERCONN_CREATEDAT) + 24;

	return off(rt, LAYOUT_SQL_DRIVERCONN_CREATEDAT) >= 0 &&
	       at + 8 == off(rt, LAYOUT_SQL_DRIVERCONN_CI) && !load_u64(dc + at);
}

static int read_conns(struct goruntime *rt, uint64_t db, struct sqlconn *conn, size_t n)
{
	uint32_t size = (uint32_t)off(rt, LAYOUT_SQL_DRIVERCONN_SIZE);
	struct mem_piece *p = calloc(n, sizeof(*p));
	uint8_t *raw = malloc(n * size);
	int err = p && raw ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++)
		p[i] = (struct mem_piece){ .addr = conn[i].addr,
					   .dst = raw + i * size,
					   .len = size };
	if (!err && mem_read_many(rt->mem, p, n))
		err = -EFAULT;
	for (size_t i = 0; i < n && !err; i++) {
		const uint8_t *dc = raw + i * size;

		if (load_u64(dc + off(rt, LAYOUT_SQL_DRIVERCONN_DB)) != db)
			err = -EBADMSG;
		conn[i].in_use = dc[off(rt, LAYOUT_SQL_DRIVERCONN_INUSE)];
		conn[i].idle = is_unlocked(rt, dc);
		conn[i].wall = load_u64(dc + off(rt, LAYOUT_SQL_DRIVERCONN_RETURNEDAT));
		conn[i].ext = load_u64(dc + off(rt, LAYOUT_SQL_DRIVERCONN_RETURNEDAT) + 8);
	}
	free(raw);
	free(p);
	return err;
}

/* The free ones: in no use, and of this pool. */
static int check_free(struct goruntime *rt, uint64_t db, uint64_t array, uint64_t n)
{
	uint64_t *addr = malloc(n * sizeof(*addr));
	struct sqlconn *conn = calloc(n, sizeof(*conn));
	int err = addr && conn ? mem_read(rt->mem, array, addr, n * sizeof(*addr)) : -ENOMEM;

	for (uint64_t i = 0; i < n && !err; i++)
		conn[i].addr = load_u64(&addr[i]);
	if (!err)
		err = read_conns(rt, db, conn, n);
	for (uint64_t i = 0; i < n && !err; i++)
		if (conn[i].in_use)
			err = -EBADMSG;
	free(conn);
	free(addr);
	return err;
}

/* A word of the sql.DB, by its field's name in the type that a driverConn points to. */
static bool db_word(struct gotypes *types, uint64_t type, const uint8_t *raw, size_t size,
		    const char *name, uint64_t *out)
{
	uint32_t at;

	if (gotypes_field(types, type, name, &at, NULL) || at + 8 > size)
		return false;
	*out = load_u64(raw + at);
	return true;
}

/* What limits closed, as DB.Stats() says it. */
static void take_closes(struct goruntime *rt, struct gotypes *types, uint64_t conn_itab,
			const uint8_t *raw, struct sqldb *db)
{
	size_t size = (size_t)off(rt, LAYOUT_SQL_DB_SIZE);
	uint64_t conn = gotypes_itab_type(types, conn_itab), type, max_idle;
	uint32_t at;

	db->closes_known =
		conn && !gotypes_field(types, conn, "db", &at, &type) &&
		db_word(types, type, raw, size, "maxLifetimeClosed", &db->closed.lifetime) &&
		db_word(types, type, raw, size, "maxIdleClosed", &db->closed.idle) &&
		db_word(types, type, raw, size, "maxIdleTimeClosed", &db->closed.idle_time) &&
		db_word(types, type, raw, size, "maxLifetime", &db->max_lifetime_ns) &&
		db_word(types, type, raw, size, "maxIdleTime", &db->max_idle_time_ns) &&
		db_word(types, type, raw, size, "maxIdleCount", &max_idle);
	if (db->closes_known)
		db->max_idle = (int64_t)max_idle;
}

/* db.dep: map[finalCloser]depSet, connections and statements. */
static int read_deps(struct goruntime *rt, struct gotypes *types, uint64_t map, struct sqldb *out)
{
	uint8_t *entry;
	int n = gomap_read(rt, map, 16, 8, MAX_DEPS, &entry), err = 0;

	if (n <= 0)
		return n;
	out->conn = calloc((size_t)n, sizeof(*out->conn));
	if (!out->conn)
		err = -ENOMEM;
	for (int i = 0; i < n && !err; i++) {
		const char *name = gotypes_of_itab(types, load_u64(entry + 24 * i));

		if (!name)
			err = -EBADMSG;
		else if (!strcmp(name, "*sql.driverConn"))
			out->conn[out->nconn++].addr = load_u64(entry + 24 * i + 8);
		if (name && out->nconn && !out->conn_itab)
			out->conn_itab = load_u64(entry + 24 * i);
	}
	free(entry);
	if (!err && out->nconn > SQLREAD_MAX_CONNS)
		err = -E2BIG;
	if (!err && out->nconn)
		err = read_conns(rt, out->addr, out->conn, out->nconn);
	if (err)
		sqldb_deinit(out);
	return err;
}

/* ---- the pool ---- */

static int waiters_of(struct goruntime *rt, const uint8_t *raw, uint64_t *n)
{
	int32_t slice = off(rt, LAYOUT_SQL_DB_CONNREQUESTS_S);

	if (slice < 0) /* a map, up to 1.22 */
		return gomap_len(rt, load_u64(raw + off(rt, LAYOUT_SQL_DB_CONNREQUESTS)), n);
	*n = load_u64(raw + slice + 8);
	return 0;
}

static bool is_believable(struct goruntime *rt, const uint8_t *raw, const struct sqldb *db)
{
	const uint8_t *slice = raw + off(rt, LAYOUT_SQL_DB_FREECONN);

	return db->open <= MAX_OPEN && db->idle <= db->open && db->idle <= load_u64(slice + 16) &&
	       load_u64(slice + 16) <= MAX_OPEN && (!db->idle || load_u64(slice)) &&
	       db->waiters <= MAX_OPEN * 16ull && db->wait_count < MAX_WAIT_NS &&
	       db->wait_ns < MAX_WAIT_NS && raw[off(rt, LAYOUT_SQL_DB_CLOSED)] <= 1;
}

/* The numbers, from the bytes of a sql.DB. */
static int take_numbers(struct goruntime *rt, const uint8_t *raw, struct sqldb *db)
{
	int64_t max = (int64_t)load_u64(raw + off(rt, LAYOUT_SQL_DB_MAXOPEN));
	int err;

	db->open = load_u64(raw + off(rt, LAYOUT_SQL_DB_NUMOPEN));
	db->idle = load_u64(raw + off(rt, LAYOUT_SQL_DB_FREECONN) + 8);
	db->max_open = max > 0 ? max : 0;
	db->wait_count = load_u64(raw + off(rt, LAYOUT_SQL_DB_WAITCOUNT));
	db->wait_ns = load_u64(raw + off(rt, LAYOUT_SQL_DB_WAITDURATION));
	err = waiters_of(rt, raw, &db->waiters);
	if (!err && !is_believable(rt, raw, db))
		err = -EBADMSG;
	return err;
}

static bool same_numbers(const struct sqldb *a, const struct sqldb *b)
{
	return a->open == b->open && a->idle == b->idle && a->max_open == b->max_open &&
	       a->waiters == b->waiters && a->wait_count == b->wait_count;
}

/*
 * last: a busy pool, which is locked or another one each time it is looked at,
 * is believed as well: its bytes were read in one call, and fit.
 */
static int read_once(struct goruntime *rt, struct gotypes *types, struct sqldb *out, bool last)
{
	size_t size = (size_t)off(rt, LAYOUT_SQL_DB_SIZE);
	uint8_t raw[MAX_DB_BYTES], again[MAX_DB_BYTES];
	struct sqldb after = { .addr = out->addr };
	int err = mem_read(rt->mem, out->addr, raw, size);

	if (err)
		return err;
	if (raw[off(rt, LAYOUT_SQL_DB_CLOSED)] == 1)
		return -ENOENT;
	err = take_numbers(rt, raw, out);
	if (!err && !driver_name(rt, types, raw + off(rt, LAYOUT_SQL_DB_CONNECTOR), out))
		err = -EBADMSG;
	if (!err && out->idle)
		err = check_free(rt, out->addr, load_u64(raw + off(rt, LAYOUT_SQL_DB_FREECONN)),
				 out->idle);
	if (!err)
		out->conns_known =
			read_deps(rt, types, load_u64(raw + off(rt, LAYOUT_SQL_DB_DEP)), out) >= 0;
	if (!err && out->conn_itab)
		take_closes(rt, types, out->conn_itab, raw, out);
	if (err == -ESRCH || err == -EPERM || err == -ENOMEM ||
	    mem_read(rt->mem, out->addr, again, size))
		return err ? err : -EFAULT;
	/* whatever did not fit may have been changing just then */
	if (!last && (take_numbers(rt, again, &after) || !same_numbers(out, &after) ||
		      (load_u32(again + off(rt, LAYOUT_SQL_DB_MU)) |
		       load_u32(raw + off(rt, LAYOUT_SQL_DB_MU))) &
			      MUTEX_LOCKED))
		return err == -EBADMSG ? -EBADMSG : -EAGAIN;
	return err;
}

int sqlread_db(struct goruntime *rt, struct gotypes *types, uint64_t addr, struct sqldb *out)
{
	int err = -EAGAIN;

	for (int i = 0; i < MAX_TRIES && (err == -EAGAIN || err == -EBADMSG || err == -EFAULT);
	     i++) {
		*out = (struct sqldb){ .addr = addr };
		err = read_once(rt, types, out, i == MAX_TRIES - 1);
		if (err)
			sqldb_deinit(out);
	}
	return err;
}

/* ---- who has a connection ---- */

int sqlread_tx(struct goruntime *rt, uint64_t addr, struct sqltx *out)
{
	uint8_t raw[MAX_DB_BYTES];
	int err = mem_read(rt->mem, addr, raw, (size_t)off(rt, LAYOUT_SQL_TX_SIZE));

	if (err)
		return err;
	out->db = load_u64(raw + off(rt, LAYOUT_SQL_TX_DB));
	out->conn = load_u64(raw + off(rt, LAYOUT_SQL_TX_DC));
	out->done = load_u32(raw + off(rt, LAYOUT_SQL_TX_DONE));
	return 0;
}

int sqlread_rows(struct goruntime *rt, uint64_t addr, uint64_t *conn)
{
	return mem_read_u64(rt->mem, addr + (uint64_t)off(rt, LAYOUT_SQL_ROWS_DC), conn);
}

/* Its first field is a sync.Locker, the driverConn. */
int sqlread_stmt(struct goruntime *rt, uint64_t addr, uint64_t *conn)
{
	return mem_read_u64(rt->mem, addr + 8, conn);
}
