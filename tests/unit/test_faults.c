/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every reader on recorded memory of which something cannot be read, or is
 * damaged.  What cannot be read is missing and said to be: whatever a reader
 * still claims is what it claims when nothing is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "faulty.h"
#include "prove/prove.h"
#include "recorded.h"
#include "gort/golabels.h"
#include "gort/golocks.h"
#include "gort/gostacks.h"
#include "gort/goruntime_priv.h"
#include "gort/heapprof.h"

#define MAX_G         (2 * TRUTH_MAX)
#define MAX_POSITIONS 250 /* of a single failure that are tried, for each reader */
#define MAX_COPY      (256u << 20)
#define MAX_PIECES    2000000 /* asked for by one reader, whatever is damaged */

/* What the readers say when nothing is wrong. */
struct sound {
	struct recorded r;
	struct gowalk walk;
	struct gototals totals;
	struct gostacks stacks;
	uint32_t stack_of[MAX_G];
	struct golabels labels;
	uint32_t set_of[MAX_G];
	struct heapprof heap;
	struct golocks locks;
	size_t leaked;
};

static void sound_open(struct sound *s, const char *release)
{
	struct prove_result leaks;
	char why[200];

	memset(s, 0, sizeof(*s));
	recorded_open(&s->r, release);
	assert_int_equal(goruntime_walk(&s->r.rt, &s->walk, NULL), 0);
	assert_true(s->walk.n < MAX_G);
	assert_int_equal(goruntime_totals(&s->r.rt, &s->totals), 0);
	assert_int_equal(gostacks_init(&s->stacks), 0);
	assert_int_equal(gostacks_read(&s->stacks, &s->r.rt, &s->walk, s->stack_of), 0);
	assert_int_equal(golabels_init(&s->labels), 0);
	assert_int_equal(golabels_read(&s->labels, &s->r.rt, &s->walk, s->set_of), 0);
	assert_int_equal(heapprof_read(&s->heap, &s->r.rt, why, sizeof(why)), 0);
	assert_int_equal(golocks_read(&s->locks, &s->r.rt, &s->walk, 0), 0);
	assert_int_equal(
		prove_run(&(struct prove_config){ .rt = &s->r.rt, .passes = 1 }, &leaks, NULL), 0);
	s->leaked = leaks.n;
	prove_result_deinit(&leaks);
}

static void sound_close(struct sound *s)
{
	golocks_deinit(&s->locks);
	heapprof_deinit(&s->heap);
	golabels_deinit(&s->labels);
	gostacks_deinit(&s->stacks);
	gowalk_deinit(&s->walk);
	recorded_close(&s->r);
}

/* A copy that a reader may change. */
static struct gowalk copy_of(const struct gowalk *w)
{
	struct gowalk c = *w;

	c.g = malloc(w->n * sizeof(*w->g));
	assert_non_null(c.g);
	memcpy(c.g, w->g, w->n * sizeof(*w->g));
	c.cap = w->n;
	return c;
}

static const struct goroutine *same_g(const struct sound *s, uint64_t addr)
{
	for (size_t i = 0; i < s->walk.n; i++)
		if (s->walk.g[i].addr == addr)
			return &s->walk.g[i];
	return NULL;
}

/* ---- one reader each: 0, or what it returned ---- */

static int try_walk(struct sound *s)
{
	struct gowalk w = { 0 };
	int code;

	s->r.rt.cache->naddr = s->r.rt.cache->list_seen = 0; /* the list again, too */
	code = goruntime_walk(&s->r.rt, &w, NULL);
	for (size_t i = 0; !code && i < w.n; i++) {
		const struct goroutine *g = same_g(s, w.g[i].addr);

		assert_non_null(g);
		assert_int_equal(w.g[i].goid, g->goid);
		assert_int_equal(w.g[i].status, g->status);
		assert_int_equal(w.g[i].wait_reason, g->wait_reason);
		assert_int_equal(w.g[i].gopc, g->gopc);
		assert_int_equal(w.g[i].sched_sp, g->sched_sp);
		assert_int_equal(w.g[i].labels, g->labels);
		assert_int_equal(w.g[i].waiting, g->waiting);
		assert_int_equal(w.g[i].system, g->system);
	}
	if (!code)
		assert_true(w.n <= s->walk.n && s->walk.n - w.n <= w.failures);
	gowalk_deinit(&w);
	return code;
}

static int try_totals(struct sound *s)
{
	const struct gototals *is = &s->totals;
	struct gototals t;
	int code = goruntime_totals(&s->r.rt, &t);

	if (code)
		return code;
	assert_true(!t.has_created || t.created == is->created);
	assert_true(!t.has_live || (t.live == is->live && t.system == is->system));
	assert_true(!t.has_gc || (t.numgc == is->numgc && t.numforcedgc == is->numforcedgc &&
				  t.pause_total_ns == is->pause_total_ns &&
				  !memcmp(t.pause_ns, is->pause_ns, sizeof(t.pause_ns))));
	assert_true(!t.has_heap || (t.heap_live == is->heap_live && t.heap_goal == is->heap_goal &&
				    t.gogc == is->gogc && t.memory_limit == is->memory_limit));
	assert_true(!t.has_total_alloc ||
		    (t.total_alloc == is->total_alloc && t.total_free == is->total_free));
	return 0;
}

static void check_stack(const struct sound *s, const struct gostacks *got, uint32_t number,
			size_t i)
{
	const struct gostack *a = &got->stack[number], *b = &s->stacks.stack[s->stack_of[i]];

	assert_true(number < got->n);
	assert_int_equal(a->whole, b->whole);
	assert_int_equal(a->n, b->n);
	assert_memory_equal(got->pc + a->first, s->stacks.pc + b->first, a->n * sizeof(*got->pc));
}

static int try_stacks(struct sound *s)
{
	struct gowalk w = copy_of(&s->walk);
	struct gostacks got;
	uint32_t of[MAX_G];
	uint64_t unread = 0;
	int code;

	assert_int_equal(gostacks_init(&got), 0);
	code = gostacks_read(&got, &s->r.rt, &w, of);
	for (size_t i = 0; !code && i < w.n; i++) {
		assert_true(of[i] != GOSTACK_RUNNING && of[i] != GOSTACK_ENDED);
		unread += of[i] == GOSTACK_UNREAD;
		if (of[i] != GOSTACK_UNREAD)
			check_stack(s, &got, of[i], i);
	}
	if (!code)
		assert_int_equal(unread, got.unread);
	gostacks_deinit(&got);
	gowalk_deinit(&w);
	return code;
}

static void check_labels(const struct sound *s, const struct golabels *got, uint32_t set, size_t i)
{
	const struct golabel_set *a = &got->set[set], *b = &s->labels.set[s->set_of[i]];

	assert_int_equal(a->n, b->n);
	for (uint32_t k = 0; k < a->n; k++) {
		assert_string_equal(got->label[a->first + k].key,
				    s->labels.label[b->first + k].key);
		assert_string_equal(got->label[a->first + k].value,
				    s->labels.label[b->first + k].value);
	}
}

static int try_labels(struct sound *s)
{
	struct golabels got;
	uint32_t set[MAX_G];
	uint64_t unknown = 0;
	int code;

	assert_int_equal(golabels_init(&got), 0);
	code = golabels_read(&got, &s->r.rt, &s->walk, set);
	for (size_t i = 0; !code && i < s->walk.n; i++) {
		unknown += set[i] == GOLABELS_UNKNOWN;
		if (set[i] != GOLABELS_UNKNOWN)
			check_labels(s, &got, set[i], i);
	}
	if (!code)
		assert_int_equal(unknown, got.unknown);
	golabels_deinit(&got);
	return code;
}

static int try_heap(struct sound *s)
{
	struct heapprof h;
	char why[200] = "";
	int code = heapprof_read(&h, &s->r.rt, why, sizeof(why));

	assert_true(!code || *why);
	for (size_t i = 0, k = 0; !code && i < h.n; i++) {
		const struct heap_bucket *a = &h.bucket[i], *b;

		while (k < s->heap.n && s->heap.bucket[k].addr != a->addr)
			k++;
		assert_true(k < s->heap.n);
		b = &s->heap.bucket[k];
		assert_int_equal(h.rate, s->heap.rate);
		assert_int_equal(a->alloc_count, b->alloc_count);
		assert_int_equal(a->alloc_bytes, b->alloc_bytes);
		assert_int_equal(a->in_use_count, b->in_use_count);
		assert_int_equal(a->in_use_bytes, b->in_use_bytes);
		assert_int_equal(a->n, b->n);
		assert_memory_equal(h.pc + a->first, s->heap.pc + b->first, a->n * sizeof(*h.pc));
	}
	if (!code && h.n < s->heap.n)
		assert_true(h.cut || h.bad);
	heapprof_deinit(&h);
	return code;
}

static int try_locks(struct sound *s)
{
	struct golocks got;
	int code = golocks_read(&got, &s->r.rt, &s->walk, 0);

	assert_int_equal(got.waiter == NULL, code != 0); /* after a failure nothing is owned */
	for (size_t i = 0; !code && i < got.n; i++) {
		const struct golock_waiter *a = &got.waiter[i], *b = NULL;

		for (size_t k = 0; k < s->locks.n; k++)
			if (s->locks.waiter[k].g == a->g)
				b = &s->locks.waiter[k];
		assert_non_null(b);
		assert_int_equal(a->lock, b->lock);
	}
	golocks_deinit(&got);
	return code;
}

static int try_leaks(struct sound *s)
{
	struct prove_config cfg = { .rt = &s->r.rt, .passes = 1, .max_bytes = MAX_COPY };
	struct prove_result out;
	int code = prove_run(&cfg, &out, NULL);

	if (!code && out.verdict == LEAKS_OFF)
		assert_true(!out.n && *out.why);
	for (size_t i = 0; !code && i < out.n; i++) {
		const struct truth_goroutine *t = truth_of(s->r.truth, out.v[i].g.goid);

		assert_non_null(t);
		if (!truth_is_leaked(t))
			fail_msg("goroutine %lu of %s is not leaked", t->id, truth_start(t));
	}
	/* who is missing is missing because something is said to be */
	if (!code && out.verdict != LEAKS_OFF && out.n < s->leaked)
		assert_true(out.losses || out.unknown_bytes);
	prove_result_deinit(&out);
	return code;
}

/* Opened anew: what does not pass is off, the rest works as ever on sound memory. */
static int try_opening(struct sound *s)
{
	struct goruntime before = s->r.rt, now;
	int code = goruntime_init(&now, s->r.gb, before.mem, 0, 0, NULL);

	if (code)
		return code;
	now.mem = s->r.mem;
	s->r.rt = now;
	if (goruntime_has(&now, FACT_GOROUTINES))
		assert_int_equal(try_walk(s), 0);
	if (goruntime_has(&now, FACT_STACKS))
		assert_int_equal(try_stacks(s), 0);
	try_totals(s);
	goruntime_deinit(&s->r.rt);
	s->r.rt = before;
	return 0;
}

/*
 * When a process that has ended is an error, other than a fact that is off or
 * something that is unknown: whenever it is noticed, or at the first call only.
 */
enum ends { NEVER, AT_FIRST, ALWAYS };

static const struct reader {
	const char *name;
	int (*try)(struct sound *s);
	enum ends ends;
} readers[] = {
	{ "opening", try_opening, NEVER },  { "walk", try_walk, ALWAYS },
	{ "totals", try_totals, NEVER },    { "stacks", try_stacks, ALWAYS },
	{ "labels", try_labels, AT_FIRST }, { "heap", try_heap, ALWAYS },
	{ "locks", try_locks, AT_FIRST },   { "leaks", try_leaks, ALWAYS },
};

#define NREADERS (sizeof(readers) / sizeof(*readers))

static int with(struct sound *s, const struct reader *r, struct faulty *f)
{
	int code;

	s->r.rt.mem = &f->base;
	code = r->try(s);
	s->r.rt.mem = s->r.mem;
	assert_true(f->pieces < MAX_PIECES);
	switch (code) {
	case 0:
	case -EFAULT:
	case -ESRCH:
	case -EBADMSG:
	case -ENOEXEC:
	case -EOPNOTSUPP:
		return code;
	default:
		fail_msg("%s: returned %d", r->name, code);
		return code;
	}
}

/* ---- pieces that cannot be read ---- */

static void one_piece_fails(void **state)
{
	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct sound s;

		sound_open(&s, recordings[each]);
		for (size_t i = 0; i < NREADERS; i++) {
			struct faulty f;
			uint64_t all, step;

			faulty_init(&f, s.r.mem, 1);
			assert_int_equal(with(&s, &readers[i], &f), 0);
			all = f.pieces;
			assert_true(all > 0);
			step = all / MAX_POSITIONS + 1;
			for (uint64_t at = 1; at <= all; at += step) {
				faulty_init(&f, s.r.mem, at);
				f.fail_at = at;
				with(&s, &readers[i], &f);
				assert_int_equal(f.faults, 1);
			}
		}
		sound_close(&s);
	}
}

/* The pages of a recording, ascending; owned by the caller, 0 at the end. */
static uint64_t *pages_of(const struct recorded *r)
{
	uint64_t *page = calloc(r->memory_len / 4096 + 2, sizeof(*page));
	size_t n = 0;

	assert_non_null(page);
	for (size_t at = 8; at < r->memory_len;) {
		uint64_t addr = load_u64(r->memory + at);
		uint32_t len = load_u32(r->memory + at + 8);

		for (uint32_t i = 0; i < len; i += 4096)
			page[n++] = addr + i;
		at += 12 + len;
	}
	return page;
}

/* Unlike above, reading again does not help. */
static void one_page_is_missing(void **state)
{
	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct sound s;
		uint64_t *page, hit = 0, passed = 0;

		sound_open(&s, recordings[each]);
		page = pages_of(&s.r);
		for (size_t k = 0; page[k]; k++)
			for (size_t i = 0; i < NREADERS; i++) {
				struct faulty f;

				faulty_init(&f, s.r.mem, 1);
				f.missing_page = page[k];
				if (!with(&s, &readers[i], &f) && f.faults)
					passed++;
				hit += f.faults != 0;
			}
		assert_true(passed > 0 && hit > passed); /* some things do without, some do not */
		free(page);
		sound_close(&s);
	}
}

static void a_part_of_all_pieces_fails(void **state)
{
	static const uint64_t per_mille[] = { 3, 30, 300, 1000 };

	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct sound s;

		sound_open(&s, recordings[each]);
		for (size_t i = 0; i < NREADERS; i++)
			for (uint64_t seed = 1; seed <= 12; seed++) {
				struct faulty f;

				faulty_init(&f, s.r.mem, seed);
				f.fail_per_mille = per_mille[seed % 4];
				with(&s, &readers[i], &f);
				assert_true(f.fail_per_mille < 1000 || f.faults > 0);
			}
		sound_close(&s);
	}
}

/* From some call on there is no process any more: that is said, or nothing more was wanted. */
static void process_ends_meanwhile(void **state)
{
	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct sound s;

		sound_open(&s, recordings[each]);
		for (size_t i = 0; i < NREADERS; i++) {
			struct faulty f;
			uint64_t all, step;

			faulty_init(&f, s.r.mem, 1);
			with(&s, &readers[i], &f);
			all = f.calls;
			step = all / 60 + 1;
			for (uint64_t at = 1; at <= all; at += step) {
				int code;

				faulty_init(&f, s.r.mem, at);
				f.gone_at_call = at;
				code = with(&s, &readers[i], &f);
				assert_true(f.faults > 0);
				if (code != -ESRCH && (readers[i].ends == ALWAYS ||
						       (readers[i].ends == AT_FIRST && at == 1)))
					fail_msg("%s: call %lu of %lu: returned %d",
						 readers[i].name, at, all, code);
			}
		}
		sound_close(&s);
	}
}

/* ---- damage: it ends, and its results are bounded ---- */

/* All readers, whatever comes of it. */
static void read_all(struct recorded *r, struct faulty *f)
{
	struct goruntime rt;
	struct gowalk w = { 0 };
	struct gostacks stacks = { 0 };
	struct golabels labels = { 0 };
	struct golocks locks = { 0 };
	struct heapprof heap;
	struct gototals totals;
	struct prove_result leaks;
	struct goframe frame[64];
	uint32_t *of;
	char why[200];

	if (goruntime_init(&rt, r->gb, &f->base, 0, 0, NULL))
		return;
	goruntime_totals(&rt, &totals);
	if (!goruntime_walk(&rt, &w, NULL)) {
		assert_true(w.n + w.failures < 1u << 24);
		of = calloc(w.n + 1, sizeof(*of));
		assert_non_null(of);
		assert_int_equal(gostacks_init(&stacks), 0);
		assert_int_equal(golabels_init(&labels), 0);
		gostacks_read(&stacks, &rt, &w, of);
		assert_true(stacks.n <= w.n && stacks.npc <= w.n * GOSTACKS_DEPTH);
		for (size_t i = 0; i < stacks.n; i++)
			assert_true(goruntime_frames(&rt, stacks.pc + stacks.stack[i].first,
						     (int)stacks.stack[i].n, frame, 64) <= 64);
		golabels_read(&labels, &rt, &w, of);
		assert_true(labels.nset <= w.n + 1);
		golocks_read(&locks, &rt, &w, 0);
		assert_true(locks.n <= w.n);
		free(of);
	}
	heapprof_read(&heap, &rt, why, sizeof(why));
	assert_true(heap.n <= HEAPPROF_MAX_BUCKETS);
	prove_run(&(struct prove_config){ .rt = &rt, .passes = 1, .max_bytes = MAX_COPY }, &leaks,
		  NULL);
	assert_true(leaks.n <= leaks.candidates);
	assert_true(f->pieces < 4 * MAX_PIECES);
	prove_result_deinit(&leaks);
	heapprof_deinit(&heap);
	golocks_deinit(&locks);
	golabels_deinit(&labels);
	gostacks_deinit(&stacks);
	gowalk_deinit(&w);
	goruntime_deinit(&rt);
}

/* One word is something else in one of the reads: memory that changes, or is damaged. */
static void one_word_is_wrong(void **state)
{
	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct recorded r;
		struct faulty f;
		uint64_t all, random = 88172645463325252ull;

		recorded_open(&r, recordings[each]);
		faulty_init(&f, r.mem, 1);
		read_all(&r, &f);
		all = f.pieces;
		for (int round = 0; round < 400; round++) {
			faulty_init(&f, r.mem, (uint64_t)round + 1);
			f.spoil_at = 1 + next_random(&random) % all;
			read_all(&r, &f);
		}
		recorded_close(&r);
	}
}

/* Words all over the recording, or of it, are something else. */
static void damage(uint8_t *bytes, size_t len, size_t from, int words, uint64_t *random)
{
	for (int i = 0; i < words; i++) {
		size_t at = from + next_random(random) % (len - from - 8);
		uint64_t v = next_random(random) % 3 ? next_random(random)
						     : next_random(random) % 3 * UINT64_MAX;

		memcpy(bytes + at, &v, 1 + next_random(random) % 8);
	}
}

/* The recording with some of its records shorter than they were. */
static size_t shorten(const uint8_t *in, size_t len, uint8_t *out, uint64_t *random)
{
	size_t at = 8, n = 8;

	memcpy(out, in, 8);
	while (at < len) {
		uint32_t have, keep;

		memcpy(&have, in + at + 8, 4);
		keep = next_random(random) % 4 ? have : 1 + (uint32_t)(next_random(random) % have);
		memcpy(out + n, in + at, 8);
		memcpy(out + n + 8, &keep, 4);
		memcpy(out + n + 12, in + at + 12, keep);
		n += 12 + keep;
		at += 12 + have;
	}
	return n;
}

static void read_damaged_memory(struct recorded *r, const uint8_t *bytes, size_t len)
{
	struct recorded now = *r;
	struct faulty f;
	char path[64];
	int fd = file_of(bytes, len, path, sizeof(path));

	if (!mem_open_file(&now.mem, path, NULL)) {
		faulty_init(&f, now.mem, 1);
		read_all(&now, &f);
		mem_free(now.mem);
	}
	close(fd);
}

static void recording_is_damaged(void **state)
{
	uint64_t random = 362436069362436069ull;

	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct recorded r;
		uint8_t *copy;

		recorded_open(&r, recordings[each]);
		copy = malloc(r.memory_len);
		assert_non_null(copy);
		for (int round = 0; round < 60; round++) {
			memcpy(copy, r.memory, r.memory_len);
			damage(copy, r.memory_len, 8, 1 << round % 12, &random);
			read_damaged_memory(&r, copy, r.memory_len);
			read_damaged_memory(&r, copy,
					    shorten(r.memory, r.memory_len, copy, &random));
		}
		free(copy);
		recorded_close(&r);
	}
}

static void executable_is_damaged(void **state)
{
	uint64_t random = 521288629521288629ull;

	(void)state;
	for (size_t each = 0; each < NRECORDINGS; each++) {
		struct recorded r, now;
		uint8_t *copy;
		int opened = 0;

		recorded_open(&r, recordings[each]);
		copy = malloc(r.exe_len);
		assert_non_null(copy);
		now = r;
		for (int round = 0; round < 40; round++) {
			struct faulty f;
			char path[64];
			int fd;

			memcpy(copy, r.exe, r.exe_len);
			damage(copy, r.exe_len, 4096, 1 << round % 10, &random);
			fd = file_of(copy, r.exe_len, path, sizeof(path));
			if (!gobin_open_fd(&now.gb, fd, NULL)) {
				opened++;
				faulty_init(&f, r.mem, 1);
				read_all(&now, &f);
				gobin_free(now.gb);
			}
			close(fd);
		}
		assert_true(opened > 0);
		free(copy);
		recorded_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_piece_fails),
		cmocka_unit_test(one_page_is_missing),
		cmocka_unit_test(a_part_of_all_pieces_fails),
		cmocka_unit_test(process_ends_meanwhile),
		cmocka_unit_test(one_word_is_wrong),
		cmocka_unit_test(recording_is_damaged),
		cmocka_unit_test(executable_is_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
