/* SPDX-License-Identifier: BSD-2-Clause */
/* Probes in programs of every release, as their disassembly has them; prices and sensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "gobin/gobin.h"
#include "plan/plan.h"
#include "releases.h"

/* What a release must give. */
struct expected {
	const char *function;
	enum site_kind kind;
	const char *insn;
};

static const char *const variants[] = {
	"1.20-pie",  "1.20-cgo",   "1.20-race",  "1.24-pie",    "1.24-cgo",
	"1.24-race", "newest-pie", "newest-cgo", "newest-race", "newest-staticpie",
};

static struct expected expect(enum probe_id id, int minor)
{
	bool old = minor <= 20;
	struct expected body_of = { NULL, old ? SITE_BRANCH : SITE_BODY,
				    old ? "jbe" : "push %rbp" };

	switch (id) {
	case PROBE_GO_BIRTH:
		return (struct expected){ "runtime.newproc.func1", SITE_CALL,
					  "call runtime.runqput" };
	case PROBE_CORO_BIRTH:
		return (struct expected){ "runtime.newcoro.func1", SITE_CALL,
					  "call runtime.newproc1" };
	case PROBE_GO_END:
		return (struct expected){ minor >= 22 ? "runtime.gdestroy" : "runtime.goexit0",
					  SITE_BRANCH, "jbe" };
	case PROBE_ALLOC_LARGE:
		return (struct expected){ minor >= 24 ? "runtime.mallocgcLarge"
						      : "runtime.mallocgc",
					  SITE_CALL, "call runtime.(*mcache).allocLarge" };
	case PROBE_GC_START:
		body_of.function = "runtime.gcStart";
		return body_of;
	case PROBE_GC_END:
		body_of.function = "runtime.gcMarkTermination";
		return body_of;
	case PROBE_STW_BEGIN:
		body_of.function = "runtime.stopTheWorldWithSema";
		return body_of;
	case PROBE_STW_END:
		body_of.function = "runtime.startTheWorldWithSema";
		return body_of;
	default:
		fail();
		return body_of;
	}
}

static struct gobin *open_named(const char *program, const char *what)
{
	struct gobin *gb = NULL;
	struct err err = { 0 };
	char path[512];

	if (!program_path(path, sizeof(path), "%s-%s", program, what))
		return NULL;
	if (gobin_open(&gb, path, &err))
		fail_msg("%s: %s", what, err.what);
	return gb;
}

static struct gobin *open_program(const char *what)
{
	return open_named("work", what);
}

/* The sites as bytes: what the file has there, and what the plan says it has. */
static void check_bytes(struct gobin *gb, const struct probe *p)
{
	int i;

	assert_true(p->nsite > 0);
	assert_int_equal(p->kind, p->site[0].kind);
	assert_string_equal(p->function, p->site[0].function);
	for (i = 0; i < p->nsite; i++) {
		const struct site *s = &p->site[i];
		uint8_t there[16] = { 0 };
		struct insn in;

		assert_int_equal(image_read(&gb->image, s->file_off, there, s->len), 0);
		assert_memory_equal(there, s->bytes, s->len);
		assert_int_equal(gb->arch->decode(s->bytes, s->len, s->addr, false, &in), 0);
		assert_int_equal(in.klass, s->klass);
		assert_true(s->klass != INSN_STEPPED && s->klass != INSN_REFUSED);
		assert_true(s->func_off + s->len <= s->func_size);
	}
}

static void check_probe(struct gobin *gb, const struct probe *p, int minor)
{
	struct expected e;

	/* the program has no network, or only what others of the library drag in */
	if (p->id > PROBE_STW_END) {
		assert_true(p->kind != SITE_NONE ||
			    (p->why[0] && (p->absent || p->sensor == SENSOR_LOCKS)));
		if (p->kind != SITE_NONE)
			check_bytes(gb, p);
		return;
	}
	e = expect(p->id, minor);
	if (p->id == PROBE_CORO_BIRTH && p->kind == SITE_NONE) {
		assert_true(p->absent);
		assert_true(p->why[0] != '\0');
		if (minor < 23)
			assert_string_equal(p->why, "this Go release has no such function");
		return;
	}
	assert_true(p->id != PROBE_CORO_BIRTH || minor >= 22);
	if (p->kind == SITE_NONE)
		fail_msg("1.%d %s: %s", minor, probe_name(p->id), p->why);
	assert_string_equal(p->function, e.function);
	assert_int_equal(p->kind, e.kind);
	assert_int_equal(p->nsite, 1);
	assert_memory_equal(p->site[0].insn, e.insn, strlen(e.insn));
	assert_int_equal(p->group == GROUP_RARE, p->id >= PROBE_ALLOC_LARGE);
	assert_true(p->cost_ns < 0);
	check_bytes(gb, p);
}

static void check_programs(const char *const *names, size_t n, const char *suffix)
{
	size_t i, missing = 0;

	for (i = 0; i < n; i++) {
		struct gobin *gb;
		struct plan pl;
		struct err err = { 0 };
		char what[64];
		int k;

		snprintf(what, sizeof(what), "%s%s", names[i], suffix);
		gb = open_program(what);
		if (!gb) {
			missing++;
			continue;
		}
		assert_int_equal(plan_make(&pl, gb, SENSOR_ALL, &err), 0);
		assert_int_equal(pl.n, PROBE_COUNT);
		for (k = 0; k < pl.n; k++) {
			assert_int_equal(pl.probe[k].id, k);
			check_probe(gb, &pl.probe[k], gb->release.minor);
		}
		gobin_free(gb);
	}
	if (missing)
		skip();
}

static void every_release(void **state)
{
	(void)state;
	check_programs(releases, ARRAY_SIZE(releases), "-stripped");
}

static void every_variant(void **state)
{
	(void)state;
	check_programs(variants, ARRAY_SIZE(variants), "");
}

/* Places of the probes in a program that uses all of net/http and database/sql. */
struct net_expected {
	enum probe_id id;
	const char *function; /* of the first site; since the release that moved it: second */
	const char *moved;
	int since;
	enum site_kind kind; /* SITE_BODY: SITE_BRANCH up to 1.20 and for what is not rare */
	int nsite;
	bool rare, slot;
};

#define HTTP     "net/http."
#define H2(name) "net/http.(*http2" name, "net/http/internal/http2.(*" name, 27

static const struct net_expected net_expected[] = {
	{ PROBE_DNS_BEGIN, "net.(*Resolver).internetAddrList", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_DNS_END, "net.(*Resolver).internetAddrList", NULL, 0, SITE_AFTER_CALL, 1, true,
	  false },
	{ PROBE_CONNECT_BEGIN, "net.(*Dialer).DialContext", NULL, 0, SITE_CALL, 1, true, false },
	{ PROBE_CONNECT_END, "net.(*Dialer).DialContext", "net.(*Dialer).dialCtx.func2", 26,
	  SITE_AFTER_CALL, 1, true, false },
	{ PROBE_TLS_NAME, HTTP "(*persistConn).addTLS", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_TLS_BEGIN, "crypto/tls.(*Conn).clientHandshake", NULL, 0, SITE_BODY, 1, true,
	  false },
	{ PROBE_TLS_END, "crypto/tls.(*Conn).handshakeContext", NULL, 0, SITE_AFTER_CALL, 2, true,
	  false },
	{ PROBE_POOL_BEGIN, HTTP "(*Transport).queueForDial", NULL, 0, SITE_CALL, 1, true, true },
	{ PROBE_POOL_DELIVERED, HTTP "(*Transport).tryPutIdleConn", NULL, 0, SITE_CALL, 2, true,
	  false },
	{ PROBE_POOL_DIAL, HTTP "(*Transport).dialConnFor", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_POOL_CANCEL, HTTP "(*wantConn).cancel", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_CALL_BEGIN, HTTP "(*Client).do", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_CALL_FAILED, HTTP "(*Client).do.func2", NULL, 0, SITE_BODY, 2, false, false },
	{ PROBE_CONN_BEGIN, HTTP "(*persistConn).roundTrip", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_CONN_WRITTEN, HTTP "(*persistConn).writeLoop", NULL, 0, SITE_AFTER_CALL, 1, false,
	  true },
	{ PROBE_CONN_FIRST_BYTE, HTTP "(*persistConn).readResponse", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_CONN_CLOSED, HTTP "(*persistConn).close", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_CONN_BODY_END, HTTP "(*persistConn).readLoop.func4", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_STREAM_BEGIN, H2("clientStream).encodeAndWriteHeaders"), SITE_BODY, 1, false,
	  false },
	{ PROBE_STREAM_WRITTEN, H2("clientStream).writeRequest"), SITE_CALL, 1, false, true },
	{ PROBE_STREAM_FIRST_BYTE, H2("clientConnReadLoop).handleResponse"), SITE_BODY, 1, false,
	  false },
	{ PROBE_STREAM_ANSWERED, H2("ClientConn).roundTrip"), SITE_AFTER_CALL, 1, false, false },
	{ PROBE_STREAM_END, H2("clientStream).cleanupWriteRequest"), SITE_BODY, 1, false, false },
	{ PROBE_HANDLER_BEGIN, HTTP "serverHandler.ServeHTTP", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_HANDLER_ROUTE, HTTP "(*ServeMux).ServeHTTP", NULL, 0, SITE_AFTER_CALL, 2, false,
	  false },
	{ PROBE_HANDLER_FUNC, HTTP "HandlerFunc.ServeHTTP", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_HANDLER_END, HTTP "(*conn).serve", NULL, 0, SITE_AFTER_CALL, 2, false, false },
	{ PROBE_SQL_WAIT_BEGIN, "database/sql.(*DB).conn", NULL, 0, SITE_CALL, 1, true, false },
	{ PROBE_SQL_WAIT_END, "database/sql.(*DB).conn", NULL, 0, SITE_AFTER_CALL, 1, true, false },
	{ PROBE_SQL_BEGIN_TX, "database/sql.(*DB).beginDC", NULL, 0, SITE_BODY, 1, true, false },
	{ PROBE_SQL_ROWS, "database/sql.(*DB).queryDC", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_SQL_CONN, "database/sql.(*DB).Conn.func1", NULL, 0, SITE_AFTER_CALL, 1, false,
	  false },
	{ PROBE_SQL_PUT, "database/sql.(*DB).putConn", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_LOCK_BEGIN, "sync.(*Mutex).lockSlow", "internal/sync.(*Mutex).lockSlow", 24,
	  SITE_CALL, 1, false, false },
	{ PROBE_LOCK_END, "sync.(*Mutex).lockSlow", "internal/sync.(*Mutex).lockSlow", 24,
	  SITE_AFTER_CALL, 1, false, false },
};

static void check_net_probe(struct gobin *gb, const struct net_expected *e, const struct probe *p,
			    int minor)
{
	enum site_kind kind =
		e->kind == SITE_BODY && (minor <= 20 || !e->rare) ? SITE_BRANCH : e->kind;
	const char *function = e->moved && minor >= e->since ? e->moved : e->function;
	int nsite = e->nsite;

	/* Up to 1.19 (*DB).Conn has no place where its result is still in a register. */
	if (p->id == PROBE_SQL_CONN && minor <= 19) {
		assert_int_equal(p->kind, SITE_NONE);
		assert_true(p->why[0] != '\0' && !p->absent);
		return;
	}
	/* A mux says what it has chosen since 1.22; before, a HandlerFunc does. */
	if (p->id == (minor < 22 ? PROBE_HANDLER_ROUTE : PROBE_HANDLER_FUNC)) {
		assert_int_equal(p->kind, SITE_NONE);
		assert_true(p->absent);
		return;
	}
	if (p->kind == SITE_NONE)
		fail_msg("1.%d %s: %s", minor, probe_name(p->id), p->why);
	/* dialSerial is called there as well; handshakeContext has more indirect calls. */
	if (minor == 18 && (p->id == PROBE_CONNECT_BEGIN || p->id == PROBE_CONNECT_END))
		nsite = 2;
	if (p->id == PROBE_TLS_END)
		nsite = p->nsite == 3 ? 3 : 2;
	/* RoundTrip has a body of its own up to 1.22; waitDone is inlined since 1.24. */
	if (p->id == PROBE_STREAM_ANSWERED) {
		nsite = minor < 24 ? 1 : 4;
		function = minor <= 22 ? HTTP "(*http2ClientConn).RoundTrip" : function;
	}
	assert_string_equal(p->function, function);
	assert_int_equal(p->kind, kind);
	if (p->nsite != nsite)
		fail_msg("1.%d %s: %d places", minor, probe_name(p->id), p->nsite);
	assert_int_equal(p->group == GROUP_RARE, e->rare);
	assert_int_equal(p->site[0].slot != PROBE_NO_SLOT, e->slot);
	check_bytes(gb, p);
}

static void network_in_every_release(void **state)
{
	size_t i, k, missing = 0;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(releases); i++) {
		int minor = atoi(releases[i] + 2);
		struct plan pl;
		char what[64];
		struct gobin *gb;

		snprintf(what, sizeof(what), "%s-stripped", releases[i]);
		gb = open_named("netcount", what);
		if (!gb) {
			missing++;
			continue;
		}
		assert_int_equal(plan_make(&pl, gb, SENSOR_ALL, NULL), 0);
		for (k = 0; k < ARRAY_SIZE(net_expected); k++)
			check_net_probe(gb, &net_expected[k], plan_find(&pl, net_expected[k].id),
					minor);
		for (k = 0; k < RANGE_COUNT; k++) /* x/net, routers and gRPC are not linked */
			assert_true(pl.range[k].lo < pl.range[k].hi || k == RANGE_H2C ||
				    k == RANGE_HANDLER_METHOD || k >= RANGE_GIN);
		assert_true(plan_find(&pl, PROBE_GRPC_BEGIN)->absent);
		assert_string_equal(plan_find(&pl, PROBE_GRPC_BEGIN)->why,
				    "google.golang.org/grpc is not linked into this program");
		gobin_free(gb);
	}
	if (missing)
		skip();
}

/* Of a program that runs all kinds of statements. */
static const struct net_expected statement_expected[] = {
	{ PROBE_STMT_QUERY, "database/sql.(*DB).queryDC", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_STMT_EXEC, "database/sql.(*DB).execDC", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_STMT_PREPARED_QUERY, "database/sql.rowsiFromStatement", NULL, 0, SITE_BODY, 1,
	  false, false },
	{ PROBE_STMT_PREPARED_EXEC, "database/sql.resultFromStatement", NULL, 0, SITE_BODY, 1,
	  false, false },
	{ PROBE_STMT_ROWS, "database/sql.(*Rows).initContextClose", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_STMT_EXEC_END, "database/sql.(*DB).execDC.func1", NULL, 0, SITE_BODY, 1, false,
	  false },
	{ PROBE_STMT_PUT, "database/sql.(*DB).putConn", NULL, 0, SITE_BODY, 1, false, false },
	{ PROBE_STMT_TX, "database/sql.(*Tx).closemuRUnlockRelease-fm", NULL, 0, SITE_BODY, 1,
	  false, false },
	{ PROBE_STMT_CONN, "database/sql.(*Conn).closemuRUnlockCondReleaseConn-fm", NULL, 0,
	  SITE_BODY, 1, false, false },
};

/* Of one with v5 and v4 of pgx: how many sites. */
static const struct {
	enum probe_id id;
	int nsite;
} pgx_expected[] = {
	{ PROBE_PGX_QUERY, 2 },  { PROBE_PGX_EXEC, 2 },    { PROBE_PGX_ROWS, 5 },
	{ PROBE_PGX_RESULT, 2 }, { PROBE_PGX_FAILED, 15 }, { PROBE_PGX_EXEC_END, 2 },
};

static void statements_of_pgx(void **state)
{
	static const char *const of[] = { "1.23.12-stripped", "1.27.4-stripped" };
	size_t missing = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
		struct gobin *gb = open_named("pgxstmts", of[i]);
		struct plan pl;

		if (!gb) {
			missing++;
			continue;
		}
		assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_STATEMENTS), NULL), 0);
		for (size_t k = 0; k < ARRAY_SIZE(pgx_expected); k++) {
			const struct probe *p = plan_find(&pl, pgx_expected[k].id);

			assert_int_equal(p->nsite, pgx_expected[k].nsite);
			check_bytes(gb, p);
		}
		gobin_free(gb);
	}
	if (missing)
		skip();
}

static void statements_in_every_release(void **state)
{
	size_t missing = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		struct plan pl;
		char what[64];
		struct gobin *gb;

		snprintf(what, sizeof(what), "%s-stripped", releases[i]);
		gb = open_named("statements", what);
		if (!gb) {
			missing++;
			continue;
		}
		assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_STATEMENTS), NULL), 0);
		assert_int_equal(pl.n, ARRAY_SIZE(statement_expected) + ARRAY_SIZE(pgx_expected));
		for (size_t k = 0; k < ARRAY_SIZE(pgx_expected); k++)
			assert_string_equal(plan_find(&pl, pgx_expected[k].id)->why,
					    "pgx is not linked into this program");
		for (size_t k = 0; k < ARRAY_SIZE(statement_expected); k++)
			check_net_probe(gb, &statement_expected[k],
					plan_find(&pl, statement_expected[k].id),
					atoi(releases[i] + 2));
		gobin_free(gb);
	}
	if (missing)
		skip();
}

static bool is_within(struct gobin *gb, const struct code_range *r, const char *name)
{
	struct gofunc f;

	return !pclntab_find_name(gb->pcln, name, &f) && f.entry >= r->lo && f.end <= r->hi;
}

/* All that append calls, whatever lies in between; nothing of the program's. */
static void check_grow_range(struct gobin *gb, const struct code_range *r)
{
	static const char *const names[] = { "runtime.growsliceBuf", "runtime.growsliceNoAlias",
					     "runtime.growsliceBufNoAlias" };
	struct gofunc f;

	assert_true(is_within(gb, r, "runtime.growslice"));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(pclntab_find_name(gb->pcln, names[i], &f) ||
			    is_within(gb, r, names[i]));
	assert_false(is_within(gb, r, "main.main"));
}

/* One of the two, by how the release calls it. */
static void slices_in_every_release(void **state)
{
	size_t missing = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		bool old = atoi(releases[i] + 2) < 20;
		struct plan pl;
		char what[64];
		struct gobin *gb;

		snprintf(what, sizeof(what), "%s-stripped", releases[i]);
		gb = open_named("appends", what);
		if (!gb) {
			missing++;
			continue;
		}
		assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_SLICES), NULL), 0);
		assert_int_equal(pl.n, 2);
		assert_int_equal(plan_has(&pl, PROBE_SLICE_GROW), !old);
		assert_int_equal(plan_has(&pl, PROBE_SLICE_GROW_OLD), old);
		assert_true(plan_find(&pl, old ? PROBE_SLICE_GROW : PROBE_SLICE_GROW_OLD)->absent);
		check_grow_range(gb, &pl.range[RANGE_RUNTIME]);
		gobin_free(gb);
	}
	if (missing)
		skip();
}

static void sensors_choose_probes(void **state)
{
	struct gobin *gb = open_program("usual-stripped");
	struct plan pl;

	(void)state;
	if (!gb)
		skip();
	assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_ALLOC), NULL), 0);
	assert_int_equal(pl.n, 1);
	assert_non_null(plan_find(&pl, PROBE_ALLOC_LARGE));
	assert_null(plan_find(&pl, PROBE_GO_BIRTH));
	assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_ERRORS), NULL), 0);
	assert_int_equal(pl.n, 0);
	assert_int_equal(plan_make(&pl, gb, SENSOR_BIT(SENSOR_SQL), NULL), 0);
	assert_int_equal(pl.n, 6);
	assert_true(pl.probe[0].absent);
	assert_string_equal(pl.probe[0].why, "database/sql is not linked into this program");
	gobin_free(gb);
}

static void prices(void **state)
{
	struct cost_table ct = { .ns = { [INSN_PUSH] = 750, [INSN_CALL] = 670, [INSN_JCC] = -1 } };
	struct plan pl = { .n = 4 };

	(void)state;
	pl.probe[0] =
		(struct probe){ .kind = SITE_BODY, .nsite = 1, .site = { { .klass = INSN_PUSH } } };
	/* of several places the dearest */
	pl.probe[1] = (struct probe){ .kind = SITE_CALL,
				      .nsite = 2,
				      .site = { { .klass = INSN_JCC }, { .klass = INSN_CALL } } };
	pl.probe[2] = (struct probe){ .kind = SITE_BRANCH,
				      .nsite = 1,
				      .site = { { .klass = INSN_JCC } } };
	pl.probe[3] = (struct probe){ .kind = SITE_NONE };
	plan_price(&pl, &ct);
	assert_true(pl.probe[0].cost_ns == 750 && pl.probe[1].cost_ns == 670);
	assert_true(pl.probe[2].cost_ns < 0 && pl.probe[3].cost_ns < 0);
}

static void sensor_lists(void **state)
{
	const char *bad = NULL;
	uint32_t mask = 0;

	(void)state;
	assert_int_equal(sensor_parse("goroutines", &mask, &bad), 0);
	assert_int_equal(mask, SENSOR_BIT(SENSOR_GOROUTINES));
	assert_int_equal(sensor_parse("gc,alloc,crash", &mask, &bad), 0);
	assert_int_equal(mask, SENSOR_BIT(SENSOR_GC) | SENSOR_BIT(SENSOR_ALLOC) |
				       SENSOR_BIT(SENSOR_CRASH));
	assert_int_equal(sensor_parse("gc,alocs", &mask, &bad), -EINVAL);
	assert_string_equal(bad, "alocs");
	assert_int_equal(sensor_parse("", &mask, &bad), -EINVAL);
	assert_int_equal(sensor_parse("gc,", &mask, &bad), -EINVAL);
	assert_int_equal(sensor_parse("goroutine", &mask, &bad), -EINVAL);
	assert_string_equal(sensor_name(SENSOR_LOCKS), "locks");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_release),
		cmocka_unit_test(every_variant),
		cmocka_unit_test(network_in_every_release),
		cmocka_unit_test(statements_of_pgx),
		cmocka_unit_test(statements_in_every_release),
		cmocka_unit_test(slices_in_every_release),
		cmocka_unit_test(sensors_choose_probes),
		cmocka_unit_test(prices),
		cmocka_unit_test(sensor_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
