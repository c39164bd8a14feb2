/* SPDX-License-Identifier: BSD-2-Clause */
/* The words that are worth watching: of a program that says where its variables are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "go_live.h"
#include "race/dwarf.h"
#include "race/words.h"

/* Facts of tests/progs/words: "name 0xVARIABLE" or "name 0xVARIABLE 0xBEHIND". */
struct fact {
	uint64_t variable, at;
};

static struct fact fact(const struct go_live *p, const char *name)
{
	char *end;
	struct fact f = { .variable = strtoull(go_live_text(p, name), &end, 0) };

	f.at = *end ? strtoull(end, NULL, 0) : f.variable;
	return f;
}

static const struct race_word *word_at(const struct race_words *l, struct go_live *p, uint64_t at)
{
	for (size_t i = 0; i < l->n; i++) {
		uint64_t addr;

		if (!race_word_addr(&l->w[i], p->mem, &addr) && addr == at)
			return &l->w[i];
	}
	return NULL;
}

static const char *function(const struct go_live *p, const struct race_site *site)
{
	struct goframe f;

	assert_true(pclntab_frames(p->gb->pcln, site->pc - p->rt.bias, false, &f, 1) > 0);
	return f.function;
}

/* ---- candidates ---- */

static const struct {
	const char *name;
	uint8_t size;
	bool via;
	const char *writer;
} shared[] = {
	{ "field", 1, true, "main.reload" },        { "pointer", 8, false, "main.replace" },
	{ "counter", 8, false, "main.count" },      { "recent", 8, false, "main.remember" },
	{ "names", 8, false, "main.rename" },       { "seen", 8, false, "main.record" },
	{ "ratio", 4, false, "main.record" },       { "hits", 8, true, "main.(*server).hit" },
	{ "door", 8, false, "main.(*server).hit" },
};

static const char *const left_out[] = {
	"lock", "flag", "safe", "once", "set-at-init", "private", "kept", "queue", "strict",
};

static void check_shared(struct go_live *p, const struct race_words *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++) {
		struct fact f = fact(p, shared[i].name);
		const struct race_word *w = word_at(l, p, f.at);

		if (!w)
			fail_msg("'%s' is no candidate", shared[i].name);
		assert_int_equal(w->size, shared[i].size);
		assert_int_equal(w->via, shared[i].via);
		assert_true(!w->via || w->base == f.variable);
		assert_int_equal(w->nwriter, 1);
		assert_string_equal(function(p, &w->writer[0]), shared[i].writer);
		assert_true(w->writer[0].write && !w->writer[0].atomic);
		assert_int_equal(w->writer[0].updates, !strcmp(shared[i].name, "counter"));
		assert_false(w->std);
	}
}

static void check_left_out(struct go_live *p, const struct race_words *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		if (word_at(l, p, fact(p, left_out[i]).at))
			fail_msg("'%s' is a candidate", left_out[i]);
	for (size_t i = 0; i < l->n; i++)
		assert_true(!l->w[i].via || (l->w[i].base != fact(p, "names").variable &&
					     l->w[i].base != fact(p, "queue").variable));
}

/* The user's own first; no more than a handful of this program. */
static void check_order(const struct race_words *l)
{
	for (size_t i = 1; i < l->n; i++)
		assert_true(l->w[i - 1].std <= l->w[i].std);
	assert_in_range(l->n, ARRAY_SIZE(shared), 40);
	assert_int_equal(l->dropped, 0);
}

static void scan(const char *program)
{
	struct race_words l = { 0 };
	struct go_live p;

	go_live_start(&p, program);
	assert_int_equal(race_words_scan(&l, &p.rt, NULL), 0);
	check_shared(&p, &l);
	check_left_out(&p, &l);
	check_order(&l);
	race_words_deinit(&l);
	go_live_stop(&p);
}

static void test_scan(void **state)
{
	char name[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		snprintf(name, sizeof(name), "words-%s-stripped", releases[i]);
		scan(name);
	}
}

static void test_scan_pie(void **state)
{
	(void)state;
	scan("words-usual-pie");
}

/* ---- what changes ---- */

static void test_order(void **state)
{
	struct race_words l = { 0 };
	struct go_live p;
	uint64_t written;

	(void)state;
	go_live_start(&p, "words-usual-stripped");
	written = fact(&p, "counter").at;
	assert_int_equal(race_words_scan(&l, &p.rt, NULL), 0);
	while (!word_at(&l, &p, written)->changed)
		assert_int_equal(race_words_look(&l, p.mem), l.n);
	race_words_order(&l);
	assert_true(l.w[0].changed);
	for (size_t i = 1; i < l.n; i++)
		assert_true(l.w[i - 1].changed >= l.w[i].changed);
	assert_true(word_at(&l, &p, written)->changed);
	race_words_deinit(&l);
	go_live_stop(&p);
}

/* ---- names ---- */

static void test_names_of_candidates(void **state)
{
	static const char *const expected[][2] = { { "field", "main.cfg->+24" },
						   { "counter", "main.counter" },
						   { "seen", "main.all+8" } };
	struct race_words l = { 0 };
	struct go_live p;

	(void)state;
	go_live_start(&p, "words-usual-plain");
	assert_int_equal(race_words_scan(&l, &p.rt, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_string_equal(word_at(&l, &p, fact(&p, expected[i][0]).at)->name,
				    expected[i][1]);
	race_words_deinit(&l);
	go_live_stop(&p);
}

static int named(struct go_live *p, const char *what, struct race_words *l, struct err *e)
{
	memset(l, 0, sizeof(*l));
	memset(e, 0, sizeof(*e));
	return race_words_named(l, &p->rt, &p->proc, what, e);
}

/* The n words that it names: the first is at `at`. */
static void expect_words(struct go_live *p, const char *what, uint64_t at, uint8_t size, size_t n)
{
	struct race_words l;
	struct err e;
	uint64_t addr;

	if (named(p, what, &l, &e))
		fail_msg("'%s': %s", what, e.what);
	assert_int_equal(l.n, n);
	assert_int_equal(race_word_addr(&l.w[0], p->mem, &addr), 0);
	assert_int_equal(addr, at);
	assert_int_equal(l.w[0].size, size);
	assert_string_equal(l.w[0].name, what);
	race_words_deinit(&l);
}

static void expect_refusal(struct go_live *p, const char *what, int code, const char *says)
{
	struct race_words l;
	struct err e;

	if (named(p, what, &l, &e) != code || e.code != code || !strstr(e.what, says))
		fail_msg("'%s': %d, %s", what, e.code, e.what);
	assert_int_equal(l.n, 0);
	race_words_deinit(&l);
}

/* By symbols alone. */
static void check_symbols(struct go_live *p)
{
	uint64_t field = fact(p, "field").at, title = fact(p, "title").at;

	expect_words(p, "main.cfg", fact(p, "field").variable, 8, 1);
	expect_words(p, "main.title", title, 8, 2);
	expect_words(p, "main.title+8", title + 8, 8, 1);
	expect_words(p, "main.ratio", fact(p, "ratio").at, 4, 1);
	expect_words(p, "main.cfg->+24", field, 8, 1);
	expect_words(p, "main.cfg->+24:1", field, 1, 1);
	expect_words(p, "main.cfg->+25", fact(p, "strict").at, 1, 1);
	expect_words(p, "main.names", fact(p, "names").at, 8, 1);
	expect_refusal(p, "main.names->+8", -EOPNOTSUPP, "belongs to the runtime");
	expect_refusal(p, "main.queue->+0", -EOPNOTSUPP, "belongs to the runtime");
	expect_refusal(p, "main.nothing", -ENOENT, "no variable");
	expect_refusal(p, "main.main", -ENOENT, "no variable");
	expect_refusal(p, "main.title+16", -EINVAL, "no such offset");
	expect_refusal(p, "main.title:3", -EINVAL, "a length is");
	expect_refusal(p, "main.title+4:8", -EINVAL, "a length is");
	expect_refusal(p, "main.wide", -E2BIG, "48 bytes");
	expect_refusal(p, "main.cfg-Enabled", -EINVAL, "not understood");
	expect_refusal(p, "main.cfg->+0->+0", -EINVAL, "only one pointer");
	expect_refusal(p, "cfg", -EINVAL, "names nothing");
	expect_refusal(p, "", -EINVAL, "names nothing");
}

static void check_fields(struct go_live *p)
{
	expect_words(p, "main.cfg->Enabled", fact(p, "field").at, 1, 1);
	expect_words(p, "main.cfg->Strict", fact(p, "strict").at, 1, 1);
	expect_words(p, "main.all.seen", fact(p, "seen").at, 8, 1);
	expect_words(p, "main.all.last", fact(p, "seen").at + 8, 8, 2);
	expect_refusal(p, "main.cfg->Enable", -ENOENT, "no field 'Enable'");
	expect_refusal(p, "main.cfg.Enabled", -ENOENT, "no field 'Enabled'");
	expect_refusal(p, "main.all->seen", -EINVAL, "no pointer");
	expect_refusal(p, "main.names->count", -EOPNOTSUPP, "belongs to the runtime");
}

static void test_names(void **state)
{
	static const char *const programs[] = { "words-oldest-plain", "words-usual-plain",
						"words-newest-plain" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct go_live p;

		go_live_start(&p, programs[i]);
		check_symbols(&p);
		check_fields(&p);
		go_live_stop(&p);
	}
}

static void test_names_without_debug_information(void **state)
{
	struct go_live p;

	(void)state;
	go_live_start(&p, "words-usual-nodwarf");
	check_symbols(&p);
	expect_refusal(&p, "main.cfg->Enabled", -EOPNOTSUPP, "no debug information");
	go_live_stop(&p);
	go_live_start(&p, "words-usual-stripped");
	expect_refusal(&p, "main.cfg", -EOPNOTSUPP, "stripped of its symbol table");
	go_live_stop(&p);
}

static void check_addresses(struct go_live *p)
{
	uint64_t counter = fact(p, "counter").at;
	char what[64];

	snprintf(what, sizeof(what), "0x%llx", (unsigned long long)counter);
	expect_words(p, what, counter, 8, 1);
	snprintf(what, sizeof(what), "0x%llx:2", (unsigned long long)fact(p, "field").at);
	expect_words(p, what, fact(p, "field").at, 2, 1);
	snprintf(what, sizeof(what), "0x%llx:8", (unsigned long long)counter + 4);
	expect_refusal(p, what, -EINVAL, "no address that can be watched");
	snprintf(what, sizeof(what), "0x%llx:3", (unsigned long long)counter);
	expect_refusal(p, what, -EINVAL, "no address that can be watched");
	snprintf(what, sizeof(what), "0x%llx", (unsigned long long)(p->gb->mod.text + p->rt.bias));
	expect_refusal(p, what, -ENOENT, "not in memory that the process can write");
	expect_refusal(p, "0x", -EINVAL, "no address");
	expect_refusal(p, "0x0", -ENOENT, "not in memory that the process can write");
	expect_refusal(p, "0xffffffffffffffff0", -EINVAL, "no address");
	expect_refusal(p, "0x1000more", -EINVAL, "no address");
}

static void check_lines(struct go_live *p)
{
	expect_words(p, "stores.go:100", fact(p, "field").at, 1, 1);
	expect_words(p, "stores.go:300", fact(p, "inlined").at, 8, 1);
	expect_refusal(p, "stores.go:200", -E2BIG, "6 places");
	expect_refusal(p, "stores.go:400", -ENOENT, "no instruction of");
	expect_refusal(p, "tores.go:100", -ENOENT, "no instruction of");
}

static void test_addresses_and_lines(void **state)
{
	static const char *const programs[] = { "words-oldest-stripped", "words-usual-pie",
						"words-newest-stripped" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct go_live p;

		go_live_start(&p, programs[i]);
		check_addresses(&p);
		check_lines(&p);
		go_live_stop(&p);
	}
}

/* ---- damaged debug information: an answer or a refusal, and no byte beyond ---- */

static void damage(struct dwarf *d, uint64_t *seed, int bytes)
{
	for (int i = 0; i < bytes; i++) {
		uint8_t *p = i % 2 ? d->info : d->abbrev;
		size_t n = i % 2 ? d->ninfo : d->nabbrev;

		*seed = *seed * 6364136223846793005u + 1442695040888963407u;
		p[(*seed >> 33) % n] = (uint8_t)(*seed >> 24);
	}
	d->known_at = UINT64_MAX;
}

static void ask(struct dwarf *d)
{
	struct dwarf_type t, in;
	uint64_t off;

	if (dwarf_variable(d, "main.cfg", 8, &t) || t.kind != DWARF_POINTER)
		return;
	if (!dwarf_type(d, t.to, &in))
		dwarf_field(d, &in, "Enabled", 7, &off, &t);
}

static void test_damaged_debug_information(void **state)
{
	struct dwarf good, bad;
	struct gobin *gb;
	uint64_t seed = 1;
	char path[512];

	(void)state;
	if (!program_path(path, sizeof(path), "words-newest-plain"))
		skip();
	assert_int_equal(gobin_open(&gb, path, NULL), 0);
	assert_int_equal(dwarf_open(&good, &gb->image), 0);
	assert_int_equal(dwarf_open(&bad, &gb->image), 0);
	for (int round = 0; round < 200; round++) {
		memcpy(bad.info, good.info, good.ninfo);
		memcpy(bad.abbrev, good.abbrev, good.nabbrev);
		bad.ninfo = round % 4 ? good.ninfo : good.ninfo / 200 * (size_t)round;
		if (bad.ninfo)
			damage(&bad, &seed, 1 << round % 12);
		ask(&bad);
	}
	dwarf_close(&bad);
	dwarf_close(&good);
	gobin_free(gb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_scan_pie),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_names_of_candidates),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_without_debug_information),
		cmocka_unit_test(test_addresses_and_lines),
		cmocka_unit_test(test_damaged_debug_information),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
