/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments and types in a live Go process (tests/progs/netparts), compared
 * with what the program says of itself, in each release.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "go_live.h"
#include "gort/gomap.h"
#include "gort/goslots.h"
#include "gort/gotypes.h"

#define MAX_FRAMES  64
#define PATIENCE_NS 60000000000ull

struct found {
	struct goroutine g;
	struct gostack_frame at;
	bool innermost;
};

/* The n-th goroutine of the walk that has the function on its stack. */
static bool look_for(struct go_live *p, const char *function, int nth, struct found *out)
{
	struct gostack_frame f[MAX_FRAMES];
	struct gofunc fn;

	assert_int_equal(goruntime_walk(&p->rt, &p->walk, NULL), 0);
	for (size_t i = 0; i < p->walk.n; i++) {
		int n = goruntime_stack_frames(&p->rt, &p->walk.g[i], f, MAX_FRAMES);

		for (int k = 0; k < n; k++) {
			if (pclntab_find_pc(p->gb->pcln, f[k].pc - p->rt.bias, &fn) ||
			    strcmp(fn.name, function))
				continue;
			if (nth--)
				break;
			*out = (struct found){ p->walk.g[i], f[k], !k };
			return true;
		}
	}
	return false;
}

/* The program gets there by itself. */
static struct found find(struct go_live *p, const char *function)
{
	uint64_t end = clock_mono_ns() + PATIENCE_NS;
	struct found f;

	while (!look_for(p, function, 0, &f))
		if (clock_mono_ns() > end)
			fail_msg("nobody stands in '%s'", function);
	return f;
}

static int arg(struct go_live *p, const struct found *f, unsigned int n, uint64_t *out)
{
	int32_t off = 0;
	int err = goslot_arg(&p->rt, f->at.pc, f->innermost, n, &off);

	*out = 0;
	if (err)
		return err;
	assert_int_equal(mem_read_u64(p->mem, f->at.argp + (uint64_t)off, out), 0);
	return 0;
}

static uint64_t need_arg(struct go_live *p, const struct found *f, unsigned int n)
{
	uint64_t v;

	assert_int_equal(arg(p, f, n, &v), 0);
	return v;
}

static void check_text(struct go_live *p, uint64_t addr, uint64_t len, const char *text)
{
	char buf[64] = "";

	assert_int_equal(len, strlen(text));
	assert_int_equal(mem_read(p->mem, addr, buf, len), 0);
	assert_string_equal(buf, text);
}

static void shapes_in_order(struct go_live *p)
{
	struct found f = find(p, "main.usedInts");
	uint64_t type;

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(need_arg(p, &f, i), 0x11 * (i + 1));
	assert_int_equal(arg(p, &f, 3, &type), -ENOENT);

	f = find(p, "main.usedMixed"); /* string 0-1, slice 2-4, interface 5-6, {int, string} 7-9 */
	check_text(p, need_arg(p, &f, 0), need_arg(p, &f, 1), "string");
	assert_int_equal(need_arg(p, &f, 2), go_live_u64(p, "bytes"));
	assert_int_equal(need_arg(p, &f, 3), 5);
	assert_true(need_arg(p, &f, 4) >= 5);
	assert_int_equal(need_arg(p, &f, 6), go_live_u64(p, "failure"));
	assert_int_equal(need_arg(p, &f, 7), 0x44);
	check_text(p, need_arg(p, &f, 8), need_arg(p, &f, 9), "in a struct");

	f = find(p, "main.(*receiver).usedMethod");
	assert_int_equal(need_arg(p, &f, 0), go_live_u64(p, "receiver"));
	assert_int_equal((int8_t)need_arg(p, &f, 1), -5);
	assert_int_equal(need_arg(p, &f, 2), 0x55);
}

static void shapes_beyond_registers(struct go_live *p)
{
	struct found f = find(p, "main.usedMany");
	uint64_t v;

	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(need_arg(p, &f, i), i + 1);
	assert_int_equal(arg(p, &f, 10, &v), -ENOENT); /* the compiler tells of ten */
	f = find(p, "main.usedArray");                 /* an array is passed in memory */
	assert_int_equal(need_arg(p, &f, 0), 0x61);
	assert_int_equal(need_arg(p, &f, 1), 0x62);
	assert_int_equal(need_arg(p, &f, 2), 0x63);
	assert_int_equal(need_arg(p, &f, 3), 0x64);
}

/* What is not kept is said not to be there: never another value. */
static void unused_is_absent(struct go_live *p, bool all_kept)
{
	struct found f = find(p, "main.unusedInts");
	uint64_t v;
	int err;

	for (unsigned int i = 0; i < 3; i++) {
		err = arg(p, &f, i, &v);
		assert_int_equal(err, all_kept ? 0 : -ENOENT);
		assert_true(err || v == 0x11 * (i + 1));
	}
	f = find(p, "main.partlyUsed");
	err = arg(p, &f, 0, &v);
	assert_int_equal(err, all_kept ? 0 : -ENOENT);
	assert_int_equal(arg(p, &f, 1, &v), all_kept ? 0 : -ENOENT);
	assert_int_equal(need_arg(p, &f, 3), 0x73);
}

static void test_shapes(void **state)
{
	const char *name = *state;
	struct go_live p;

	go_live_start(&p, name);
	shapes_in_order(&p);
	shapes_beyond_registers(&p);
	unused_is_absent(&p, strstr(name, "noopt"));
	go_live_stop(&p);
}

/* ---- what the readers of net/http and database/sql rely on ---- */

struct wanted {
	const char *function;
	unsigned int word;
	const char *fact; /* the address that must be there; NULL: any pointer */
	int from, to;     /* minor releases that have it there */
};

static const struct wanted wanted[] = {
	{ "database/sql.(*DB).connectionOpener", 0, NULL, 18, 27 },
	{ "database/sql.(*Tx).awaitDone", 0, "tx", 18, 27 },
	{ "database/sql.(*Rows).awaitDone", 0, "rows", 21, 27 },
	{ "database/sql.(*DB).conn", 0, NULL, 18, 27 },
	{ "database/sql.(*DB).execDC", 0, "a", 1, 0 },
	{ "database/sql.(*DB).execDC", 3, NULL, 18, 27 },
	{ "net/http.(*persistConn).roundTrip", 0, NULL, 18, 27 },
	{ "net/http.(*persistConn).roundTrip", 1, NULL, 18, 27 },
	{ "net/http.(*persistConn).readLoop", 0, NULL, 18, 27 },
	{ "net/http.(*persistConn).writeLoop", 0, NULL, 18, 27 },
	{ "net/http.(*Client).do", 0, "client", 18, 27 },
	{ "net/http.(*Client).do", 1, NULL, 18, 27 },
	{ "net/http.(*Client).send", 0, "client", 18, 27 },
	{ "net/http.(*Client).send", 1, NULL, 18, 27 },
	{ "net/http.send", 0, NULL, 18, 27 },
	{ "net/http.(*Transport).roundTrip", 0, "transport", 18, 27 },
	{ "net/http.(*Transport).roundTrip", 1, NULL, 18, 27 },
	{ "net/http.(*Transport).getConn", 0, "transport", 18, 27 },
	{ "net/http.(*Transport).getConn", 1, NULL, 18, 27 },
	{ "net/http.(*conn).serve", 0, NULL, 18, 27 },
	{ "net/http.serverHandler.ServeHTTP", 0, "server", 1, 0 },
	{ "net/http.serverHandler.ServeHTTP", 3, NULL, 18, 20 },
	{ "net/http.(*bodyEOFSignal).Read", 0, NULL, 18, 27 },
	{ "net/http.(*body).Read", 0, NULL, 1, 0 },
};

static void test_wanted(void **state)
{
	const char *name = *state;
	bool bad = false;
	struct go_live p;

	go_live_start(&p, name);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const struct wanted *w = &wanted[i];
		struct found f = find(&p, w->function);
		uint64_t v;
		int err = arg(&p, &f, w->word, &v);
		int minor = p.gb->release.minor;

		if (minor < w->from || minor > w->to
			    ? err == -ENOENT
			    : !err && v && (!w->fact || v == go_live_u64(&p, w->fact)))
			continue;
		print_message("%s, word %u: %d, %#llx\n", w->function, w->word, err,
			      (unsigned long long)v);
		bad = true;
	}
	assert_false(bad);
	go_live_stop(&p);
}

/* ---- types ---- */

static uint64_t word(struct go_live *p, uint64_t addr)
{
	uint64_t v;

	assert_int_equal(mem_read_u64(p->mem, addr, &v), 0);
	return v;
}

static void check_fields(struct gotypes *t, uint64_t type)
{
	struct gotype_field f[4];
	uint64_t driver;
	uint32_t off;

	assert_int_equal(gotypes_fields(t, type, f, 4), 2);
	assert_string_equal(f[0].name, "dsn");
	assert_int_equal(f[0].offset, 0);
	assert_string_equal(gotypes_name(t, f[0].type), "string");
	assert_string_equal(f[1].name, "driver");
	assert_int_equal(gotypes_fields(t, type, f, 1), 2);
	assert_int_equal(gotypes_field(t, type, "driver", &off, &driver), 0);
	assert_int_equal(off, 16);
	assert_string_equal(gotypes_name(t, driver), "*main.fakeDriver");
	assert_int_equal(gotypes_field(t, type, "nothing", &off, NULL), -ENOENT);
}

static void test_types(void **state)
{
	uint32_t connector;
	struct gotypes *t;
	struct go_live p;
	uint64_t itab;

	go_live_start(&p, *state);
	assert_int_equal(gotypes_new(&t, &p.rt), 0);
	connector = (uint32_t)layout_off(p.gb->layout, LAYOUT_SQL_DB_CONNECTOR);
	itab = word(&p, go_live_u64(&p, "a") + connector);
	assert_string_equal(gotypes_of_itab(t, itab), "sql.dsnConnector");
	assert_string_equal(gotypes_path_name(t, gotypes_itab_type(t, itab)),
			    "database/sql.dsnConnector");
	itab = word(&p, go_live_u64(&p, "b") + connector);
	for (int again = 0; again < 2; again++) {
		assert_string_equal(gotypes_of_itab(t, itab), "*main.fakeConnector");
		assert_string_equal(gotypes_path_name(t, gotypes_itab_type(t, itab)),
				    "*main.fakeConnector");
		check_fields(t, gotypes_itab_type(t, itab));
	}
	/* made at run time: an itab outside of the image */
	itab = go_live_u64(&p, "late_itab");
	assert_string_equal(gotypes_of_itab(t, itab), "*main.failure");
	/* no descriptors */
	assert_null(gotypes_name(t, 0));
	assert_null(gotypes_name(t, 8));
	assert_null(gotypes_name(t, go_live_u64(&p, "a")));
	assert_null(gotypes_name(t, p.gb->mod.etypes + p.rt.bias));
	assert_null(gotypes_of_itab(t, 0));
	assert_null(gotypes_of_itab(t, go_live_u64(&p, "a")));
	for (uint64_t at = p.gb->mod.types + p.rt.bias; at < p.gb->mod.types + p.rt.bias + 65536;
	     at += 8)
		gotypes_path_name(t, at); /* bytes of anything: no harm */
	gotypes_free(t);
	go_live_stop(&p);
}

/* ---- maps ---- */

/* Keys 0 to n-1, each once. */
static void check_numbers(struct go_live *p, uint64_t map, int n)
{
	uint8_t *entry, *seen = calloc((size_t)n + 1, 1);
	uint64_t len;

	assert_int_equal(gomap_len(&p->rt, map, &len), 0);
	assert_int_equal(len, n);
	assert_int_equal(gomap_read(&p->rt, map, 4, 8, 10000, &entry), n);
	for (int i = 0; i < n; i++) {
		uint32_t key;
		uint64_t elem;

		memcpy(&key, entry + 12 * i, 4);
		memcpy(&elem, entry + 12 * i + 4, 8);
		assert_true(key < (uint32_t)n && !seen[key]++);
		assert_int_equal(word(p, elem), 0);
	}
	free(n ? entry : NULL);
	free(seen);
	if (n > 1)
		assert_int_equal(gomap_read(&p->rt, map, 4, 8, (uint32_t)n - 1, &entry), -E2BIG);
}

static void check_names(struct go_live *p, uint64_t map, int n)
{
	uint8_t *entry;

	assert_int_equal(gomap_read(&p->rt, map, 16, 16, 10000, &entry), n);
	for (int i = 0; i < n; i++) {
		uint64_t w[4];
		char name[16] = "";

		memcpy(w, entry + 32 * i, sizeof(w));
		assert_true(w[1] < sizeof(name));
		assert_int_equal(mem_read(p->mem, w[0], name, w[1]), 0);
		assert_int_equal(atoi(name), w[2]);
		assert_int_equal(2 * w[2], w[3]);
	}
	free(entry);
}

static void test_maps(void **state)
{
	static const int sizes[] = { 0, 1, 8, 9, 100, 5000 };
	struct go_live p;
	char name[32];
	uint8_t *entry;

	go_live_start(&p, *state);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(name, sizeof(name), "map_%d", sizes[i]);
		check_numbers(&p, go_live_u64(&p, name), sizes[i]);
		snprintf(name, sizeof(name), "names_%d", sizes[i]);
		check_names(&p, go_live_u64(&p, name), sizes[i]);
	}
	assert_int_equal(gomap_read(&p.rt, 0, 4, 8, 10, &entry), 0);
	assert_int_equal(gomap_read(&p.rt, 8, 4, 8, 10, &entry), -EFAULT);
	assert_true(gomap_read(&p.rt, go_live_u64(&p, "a"), 4, 8, 10000, &entry) <= 0); /* no map */
	assert_true(gomap_read(&p.rt, go_live_u64(&p, "map_5000"), 16, 16, 10000, &entry) <
		    0); /* another one */
	go_live_stop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define RELEASE(minor, release)                                                                  \
	{ "shapes " release, test_shapes, NULL, NULL, "netparts-" release "-stripped" },         \
		{ "wanted " release, test_wanted, NULL, NULL, "netparts-" release "-stripped" }, \
		{ "types " release, test_types, NULL, NULL, "netparts-" release "-stripped" },   \
		{ "maps " release, test_maps, NULL, NULL, "netparts-" release "-stripped" },
#include "gobin/releases.def"
		{ "shapes pie", test_shapes, NULL, NULL, "netparts-1.19-pie" },
		{ "types pie", test_types, NULL, NULL, "netparts-1.19-pie" },
		{ "types pie 1.27", test_types, NULL, NULL, "netparts-newest-pie" },
		{ "shapes not optimised", test_shapes, NULL, NULL, "netparts-usual-noopt" },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
