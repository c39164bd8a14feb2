/* SPDX-License-Identifier: BSD-2-Clause */
/* The words that are worth watching: of a program that says where its variables are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "go_live.h"
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
	{ "field", 1, true, "main.reload" },   { "pointer", 8, false, "main.replace" },
	{ "counter", 8, false, "main.count" }, { "recent", 8, false, "main.remember" },
	{ "names", 8, false, "main.rename" },  { "seen", 8, false, "main.record" },
	{ "ratio", 4, false, "main.record" },
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_scan_pie),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
