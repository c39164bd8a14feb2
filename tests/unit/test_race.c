/* SPDX-License-Identifier: BSD-2-Clause */
/* What accesses prove, by their times; and what an access was, by the code before the trap. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "go_live.h"
#include "race/hit_sites.h"
#include "race/proof.h"

/* ---- times ---- */

static const struct race_clock usual = { .margin_ns = 4000, .skew_ns = 1000 };

/* A store and a load of the same 8 bytes by two threads, the load `later` ns after the store's end. */
static void make_pair(struct race_event e[2], int64_t later)
{
	e[0] = (struct race_event){
		.begin_ns = 100000, .end_ns = 101000, .tid = 1, .goid = 1, .store = true
	};
	e[1] = (struct race_event){ .tid = 2, .goid = 2 };
	e[1].begin_ns = (uint64_t)(101000 + later);
	e[1].end_ns = e[1].begin_ns + 1000;
	e[0].known = e[1].known = true;
	e[0].hi = e[1].hi = 8;
}

static bool proves(int64_t later, const struct race_clock *c)
{
	struct race_event e[2];

	make_pair(e, later);
	return race_proves(&e[0], &e[1], 8, c);
}

static void test_overlap(void **state)
{
	const struct race_clock strict = { .margin_ns = 0, .skew_ns = 1000 };

	(void)state;
	/* within the trap, so much that no skew of the clocks explains it */
	assert_true(proves(-1001, &strict));
	assert_false(proves(-1000, &strict));
	assert_false(proves(0, &strict));
	/* and what the trap takes beyond its program */
	assert_true(proves(2999, &usual));
	assert_false(proves(3000, &usual));
}

static void test_margin(void **state)
{
	(void)state;
	assert_int_equal(race_clock_of(8400).margin_ns, 5000);
	assert_int_equal(race_clock_of(2000).margin_ns, 1200);
	assert_int_equal(race_clock_of(0).margin_ns, 0);
	assert_int_equal(race_clock_of(2000).skew_ns, 1000);
}

static void test_who(void **state)
{
	struct race_event e[2];

	(void)state;
	make_pair(e, 0);
	assert_true(race_proves(&e[0], &e[1], 8, &usual));
	e[0].store = false; /* two loads; a load and an atomic store */
	assert_false(race_proves(&e[0], &e[1], 8, &usual));
	e[1].store = true;
	assert_true(race_proves(&e[0], &e[1], 8, &usual));
	e[1].tid = 1;
	assert_false(race_proves(&e[0], &e[1], 8, &usual));
	make_pair(e, 0);
	e[1].goid = 1;
	assert_false(race_proves(&e[0], &e[1], 8, &usual));
}

static void test_bytes(void **state)
{
	struct race_event e[2];

	(void)state;
	make_pair(e, 0);
	e[0].hi = 4, e[1].lo = 4; /* two halves of the word */
	assert_false(race_proves(&e[0], &e[1], 8, &usual));
	e[1].lo = 3;
	assert_true(race_proves(&e[0], &e[1], 8, &usual));
	e[1].known = false; /* it may have been the other half */
	assert_false(race_proves(&e[0], &e[1], 8, &usual));
	e[0].hi = 8; /* the store was of all of it */
	assert_true(race_proves(&e[0], &e[1], 8, &usual));
	e[0].known = false;
	assert_false(race_proves(&e[0], &e[1], 8, &usual));
	assert_true(race_proves(&e[0], &e[1], 1, &usual)); /* there is but one */
}

static void test_maps(void **state)
{
	struct race_event e[2];

	(void)state;
	make_pair(e, 0);
	e[0].store = false;
	e[0].map = e[1].map = 0xc000010000;
	assert_false(race_proves(&e[0], &e[1], 8, &usual)); /* both read it */
	e[1].map_store = true;
	assert_true(race_proves(&e[0], &e[1], 8, &usual));
	e[0].map = 0xc000020000; /* another map */
	assert_false(race_proves(&e[0], &e[1], 8, &usual));
	e[0].map = 0; /* it only looks whether there is one */
	assert_false(race_proves(&e[0], &e[1], 8, &usual));
}

static void count_pair(void *arg, const struct race_pair *p)
{
	(void)p;
	++*(int *)arg;
}

static void test_pairs(void **state)
{
	struct race_event e[5];
	int n = 0;

	(void)state;
	make_pair(e, -500);
	e[2] = e[1]; /* a third thread; and much later again */
	e[2].tid = 3, e[2].goid = 3;
	make_pair(e + 3, 0);
	e[3].begin_ns += 1000000, e[3].end_ns += 1000000;
	e[4].begin_ns += 1010000, e[4].end_ns += 1010000;
	assert_int_equal(race_pairs(e, 5, 8, &usual, count_pair, &n), 2);
	assert_int_equal(n, 2);
	assert_true(race_expected(e, 5, 1000000000, &usual) > 0);
	for (int i = 0; i < 5; i++)
		e[i].store = false;
	assert_true(race_expected(e, 5, 1000000000, &usual) == 0);
}

/* 100 stores and 200 loads within 0.1 s, each 1 µs and 3 µs of margin less skew, both ways:
 * 100 * 200 * 8 µs / 0.1 s */
static void test_expected(void **state)
{
	struct race_event e[300] = { { 0 } };

	(void)state;
	for (int i = 0; i < 300; i++) {
		e[i].tid = i < 100 ? 1 : 2;
		e[i].store = i < 100;
		e[i].begin_ns = 5000;
		e[i].end_ns = 6000;
	}
	assert_float_equal(race_expected(e, 300, 100000000, &usual), 1.6, 0.001);
}

/* ---- sites ---- */

static struct gofunc function(struct go_live *p, const char *name)
{
	struct gofunc f;

	assert_int_equal(pclntab_find_name(p->gb->pcln, name, &f), 0);
	return f;
}

static const struct hit_site *site_of(struct go_live *p, struct hit_sites *s,
				      const struct gs_watch_hit *h)
{
	int i = hit_sites_find(s, h);

	(void)p;
	assert_true(i >= 0);
	return &s->site[i];
}

/* Calls fn with a hit behind each instruction of a function, and how long that one was. */
static void each_instruction(struct go_live *p, const char *name,
			     void (*fn)(struct go_live *p, struct hit_sites *s,
					struct gs_watch_hit *h, unsigned int len, void *arg),
			     void *arg)
{
	struct hit_sites *s = hit_sites_new(&p->rt);
	struct gofunc f = function(p, name);
	uint8_t code[16];
	struct insn in;

	for (uint64_t at = f.entry; at < f.end; at += in.len) {
		struct gs_watch_hit h = { 0 };

		assert_int_equal(image_read_addr(&p->gb->image, at, code, 15), 0);
		if (p->gb->arch->decode(code, 15, at, false, &in))
			break; /* padding */
		h.pc = at + in.len + p->rt.bias;
		fn(p, s, &h, in.len, arg);
	}
	hit_sites_free(s);
}

struct tally {
	uint64_t word, base; /* in every register, too */
	int updates, reads, writes, maps_read, maps_written, atomics, inside;
};

static void tally_hit(struct go_live *p, struct hit_sites *s, struct gs_watch_hit *h,
		      unsigned int len, void *arg)
{
	const struct hit_site *site = site_of(p, s, h);
	struct tally *t = arg;
	uint32_t lo = 9, hi = 9;
	int known;

	for (int i = 0; i < GS_WATCH_REGS; i++)
		h->reg[i] = t->base;
	known = hit_site_bytes(site, h, p->rt.bias, t->word, 8, &lo, &hi);

	if (site->of == HIT_OF_PROGRAM && known == 1) {
		assert_int_equal(lo, 0);
		assert_int_equal(hi, 8);
		t->atomics += site->does >> 2 & 1;
		t->updates += (site->does & 3) == (ACCESS_READ | ACCESS_WRITE);
		t->reads += (site->does & 3) == ACCESS_READ;
		t->writes += (site->does & 3) == ACCESS_WRITE;
		t->maps_read += (site->map & ACCESS_READ) != 0;
		t->maps_written += (site->map & ACCESS_WRITE) != 0;
		assert_string_equal(site->frame[0].file, "main.go");
	}
	if (len > 1) {
		h->pc--; /* within the instruction: nothing that ends there */
		site = site_of(p, s, h);
		assert_int_equal(site->of, HIT_UNKNOWN);
		t->inside++;
	}
}

static struct tally tally_of(struct go_live *p, const char *function, uint64_t word, uint64_t base)
{
	struct tally t = { .word = word, .base = base };

	each_instruction(p, function, tally_hit, &t);
	assert_true(t.inside > 0);
	return t;
}

/* All of it is known to the program in the kernel. */
static void check_map_code(struct go_live *p)
{
	struct gs_watch_range few[GS_WATCH_RANGES], all[1024];
	size_t n = hit_sites_map_code(&p->rt, few, GS_WATCH_RANGES);

	assert_true(n > 0 && n == hit_sites_map_code(&p->rt, all, 1024));
	assert_memory_equal(few, all, n * sizeof(*few));
}

static void check_program(const char *release, const char *variant)
{
	const char *args[] = { "counter", "100", "100", NULL };
	struct go_live p;
	struct tally t;
	char name[64];
	uint64_t word;

	snprintf(name, sizeof(name), "races-%s-%s", release, variant);
	go_live_start_args(&p, name, args);
	check_map_code(&p);
	word = go_live_u64(&p, "word");
	t = tally_of(&p, "main.count", word, 0);
	assert_true(t.updates == 1 && t.reads == 0 && t.writes == 0 && t.atomics == 0);
	t = tally_of(&p, "main.countLocked", word, 0);
	assert_true(t.updates == 1 && t.atomics == 0);
	t = tally_of(&p, "main.getCount", word, 0);
	assert_true(t.reads == 1 && t.updates == 0 && t.writes == 0);
	word = go_live_u64(&p, "table");
	t = tally_of(&p, "main.setMap", word, 0);
	assert_true(t.reads == 1 && t.maps_written == 1 && t.maps_read == 0);
	t = tally_of(&p, "main.getMap", word, 0);
	assert_true(t.reads == 1 && t.maps_read == 1 && t.maps_written == 0);
	t = tally_of(&p, "main.hasMap", word, 0);
	assert_true(t.reads == 1 && t.maps_read == 0 && t.maps_written == 0);
	word = go_live_u64(&p, "limit");
	t = tally_of(&p, "main.setAtomic", word, word);
	assert_true(t.atomics == 1);
	t = tally_of(&p, "main.addAtomic", word, word);
	assert_true(t.atomics == 1);
	go_live_stop(&p);
}

static void test_sites(void **state)
{
	(void)state;
	check_program("oldest", "stripped");
	check_program("usual", "pie");
	check_program("newest", "stripped");
}

/* What the runtime does for the program is the caller's; what it does for itself is nobody's. */
static void test_callers(void **state)
{
	const char *args[] = { "counter", "100", "100", NULL };
	struct go_live p;
	struct hit_sites *s;
	struct gofunc move, caller;
	struct gs_watch_hit h = { 0 };
	const struct hit_site *site = NULL;
	uint8_t code[16];
	struct insn in;
	struct insn_access a = { 0 };
	uint64_t at;

	(void)state;
	go_live_start_args(&p, "races-usual-pie", args);
	s = hit_sites_new(&p.rt);
	move = function(&p, "runtime.memmove");
	caller = function(&p, "main.main");
	for (at = move.entry; at < move.end && !(a.does & ACCESS_WRITE); at += in.len) {
		assert_int_equal(image_read_addr(&p.gb->image, at, code, 15), 0);
		assert_int_equal(p.gb->arch->decode(code, 15, at, false, &in), 0);
		assert_int_equal(p.gb->arch->access(code, 15, at, &a), 0);
	}
	h.pc = at + p.rt.bias;
	h.frame[0] = caller.entry + 40 + p.rt.bias;
	site = site_of(&p, s, &h);
	assert_int_equal(site->of, HIT_OF_PROGRAM);
	assert_string_equal(site->frame[0].function, "main.main");
	h.frame[0] = function(&p, "runtime.chansend").entry + 40 + p.rt.bias;
	assert_int_equal(site_of(&p, s, &h)->of, HIT_OF_RUNTIME);
	h.frame[0] = 0;
	assert_int_equal(site_of(&p, s, &h)->of, HIT_UNKNOWN);
	h.pc = function(&p, "runtime.gopark").entry + 5 + p.rt.bias;
	assert_int_equal(site_of(&p, s, &h)->of, HIT_OF_RUNTIME);
	h.pc = function(&p, "runtime.mapassign").entry + 5 + p.rt.bias;
	assert_int_equal(site_of(&p, s, &h)->of, HIT_OF_MAP);
	hit_sites_free(s);
	go_live_stop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlap),  cmocka_unit_test(test_margin),
		cmocka_unit_test(test_who),      cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_maps),     cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_expected), cmocka_unit_test(test_sites),
		cmocka_unit_test(test_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
