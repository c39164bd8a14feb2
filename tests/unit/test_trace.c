/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF programs and their maps, on this process itself: a stand-in for
 * newproc.func1 carries the registers of a birth.  Full maps and memory that
 * cannot be read are counted, and nothing else is lost.  Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "gospect/abi.h"
#include "trace/lab.h"
#include "trace/priv.h"
#include "trace/trace.h"

#define G_GOID 152
#define G_GOPC 288

/* born(p, g): the call in it is probed, RAX and RBX are set. */
__asm__(".text\n"
	".globl born, born_site, large, large_site\n"
	"born: push %rbx\n mov %rdi,%rax\n mov %rsi,%rbx\nborn_site: call 1f\n pop %rbx\n ret\n"
	"large: push %rbp\n mov %rsp,%rbp\n push %rbx\n mov %rdi,%rbx\nlarge_site: call 1f\n pop "
	"%rbx\n pop %rbp\n ret\n"
	"1: ret\n");
extern char born_site[], large_site[];
void born(void *p, void *g);
void large(uint64_t size);

static uint64_t g[64];

static uint64_t file_offset(const void *p)
{
	unsigned long lo, hi, off;
	uint64_t found = 0;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %lx", &lo, &hi, &off) == 3 &&
		    (unsigned long)p >= lo && (unsigned long)p < hi)
			found = (unsigned long)p - lo + off;
	if (f)
		fclose(f);
	return found;
}

static void add_probe(struct plan *pl, enum probe_id id, enum sensor sensor, const void *site)
{
	pl->probe[pl->n++] = (struct probe){
		.id = id,
		.sensor = sensor,
		.kind = SITE_CALL,
		.group = id == PROBE_ALLOC_LARGE ? GROUP_RARE : GROUP_BIRTHS,
		.cost_ns = 600,
		.nsite = 1,
		.site = { { .kind = SITE_CALL,
			    .klass = INSN_CALL,
			    .len = 5,
			    .slot = PROBE_NO_SLOT,
			    .file_off = file_offset(site) } },
	};
}

static struct plan plan;
static bool wants_calls; /* arms a probe of calls, too */
static int exe_fd;

/* births_per_s: what memory is to say of them, and the budget holds; < 0: exact. */
static struct trace *arm_for(double births_per_s)
{
	struct trace_config cfg = {
		.pid = getpid(),
		.exe_fd = exe_fd,
		.plan = &plan,
		.g_goid = G_GOID,
		.g_gopc = G_GOPC,
		.g_startpc = G_GOPC + GS_STARTPC_AFTER_GOPC,
		.budget_pct = 1,
		.budget_floor_ns = 2000000,
		.exact = births_per_s < 0,
	};
	struct err err = { 0 };
	struct trace *t = NULL;

	memset(&plan, 0, sizeof(plan));
	add_probe(&plan, PROBE_GO_BIRTH, SENSOR_GOROUTINES, born_site);
	add_probe(&plan, PROBE_ALLOC_LARGE, SENSOR_ALLOC, large_site);
	if (wants_calls)
		add_probe(&plan, PROBE_CALL_BEGIN, SENSOR_NET, large_site);
	if (trace_prepare(&t, &cfg, &err) || trace_load(t, &err))
		fail_msg("%s", err.what);
	if (births_per_s >= 0)
		trace_predict(t, births_per_s, 1e7, 0, 1);
	if (trace_attach(t, &err))
		fail_msg("%s", err.what);
	return t;
}

static struct trace *arm(void)
{
	return arm_for(-1);
}

static void birth_at(uint64_t gopc, uint64_t goid)
{
	g[G_GOID / 8] = goid;
	g[G_GOPC / 8] = gopc;
	g[(G_GOPC + GS_STARTPC_AFTER_GOPC) / 8] = 0x1000;
	born(g, g);
}

#define NEED_ROOT()             \
	do {                    \
		if (geteuid())  \
			skip(); \
	} while (0)

static void every_hit_is_summed(void **state)
{
	struct trace_births births = { 0 };
	struct trace_reading r;
	struct trace *t;
	int i;

	(void)state;
	NEED_ROOT();
	t = arm();
	for (i = 0; i < 300; i++)
		birth_at(0x5000 + (uint64_t)(i % 3), (uint64_t)i + 1);
	for (i = 1; i <= 50; i++)
		large((uint64_t)i * 40000);
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(r.hits[PROBE_GO_BIRTH], 300);
	assert_int_equal(r.nsite, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(r.site[i].births, 100);
		assert_int_equal(r.site[i].startpc, 0x1000);
	}
	assert_int_equal(r.nalloc, 1);
	assert_int_equal(r.alloc[0].count, 50);
	assert_int_equal(r.alloc[0].bytes, 40000 * 51 * 25);
	assert_int_equal(r.alloc[0].max_bytes, 2000000);
	assert_true(r.alloc[0].npcs >= 2);
	assert_int_equal(r.sites_full + r.stacks_full + r.requests_full + r.read_failures +
				 r.stack_failures,
			 0);
	assert_int_equal(trace_births_read(t, &births), 0);
	assert_true(trace_births_find(&births, 1) > 0);
	assert_int_equal(trace_births_find(&births, 999999), 0);
	assert_int_equal(trace_births_find(NULL, 1), 0);
	trace_births_deinit(&births);
	trace_reading_deinit(&r);

	birth_at(0x5001, 301);
	assert_int_equal(trace_read_births(t, &r), 0);
	assert_int_equal(r.nsite, 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(r.site[i].births, r.site[i].gopc == 0x5001 ? 101 : 100);
	assert_int_equal(r.nalloc, 0);
	trace_reading_deinit(&r);
	trace_close(t);
}

static void full_map_is_counted(void **state)
{
	const uint64_t beyond = 1000;
	struct trace_reading r;
	struct trace *t;
	uint64_t i, sum = 0;

	(void)state;
	NEED_ROOT();
	t = arm();
	for (i = 0; i < GS_MAX_SITES + beyond; i++)
		birth_at(0x100000 + i * 16, i + 1);
	birth_at(0x100000, 1); /* a site that is known goes on counting */
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(r.nsite, GS_MAX_SITES);
	for (i = 0; i < r.nsite; i++)
		sum += r.site[i].births;
	assert_int_equal(sum, GS_MAX_SITES + 1);
	assert_int_equal(r.sites_full, beyond);
	assert_int_equal(r.births_other, beyond); /* counted, without their site */
	assert_int_equal(r.hits[PROBE_GO_BIRTH], GS_MAX_SITES + beyond + 1);
	trace_reading_deinit(&r);
	trace_close(t);
}

/* Which rows of a reading are new to the table, and what all of them and the others have. */
static uint64_t all_births(const struct trace_reading *r)
{
	uint64_t sum = r->births_other + r->births_gone;

	for (size_t i = 0; i < r->nsite; i++)
		sum += r->site[i].births;
	return sum;
}

/* Sites that have been idle for some readings make room, those that are busy stay, and
 * no birth is lost. */
static void idle_rows_make_room(void **state)
{
	const uint64_t busy = 100, old = 0x100000, new = 0x900000;
	uint64_t births = 0, i, k, gone = 0, fresh = 0;
	struct trace_reading r;
	struct trace *t;

	(void)state;
	NEED_ROOT();
	t = arm();
	for (i = 0; i < GS_MAX_SITES + 10; i++, births++)
		birth_at(old + i * 16, i + 1);
	for (k = 0; k < 8; k++) {
		for (i = 0; i < busy; i++, births++)
			birth_at(old + i * 16, i + 1);
		assert_int_equal(trace_read(t, &r), 0);
		assert_int_equal(all_births(&r), births);
		for (i = 0; i < r.nsite; i++)
			gone += r.site[i].gone;
		trace_reading_deinit(&r);
	}
	assert_int_equal(gone, GS_MAX_SITES - busy);
	for (i = 0; i < 3000; i++, births++)
		birth_at(new + i * 16, i + 1);
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(all_births(&r), births);
	assert_int_equal(r.births_other, 10);
	for (i = 0; i < r.nsite; i++)
		fresh += r.site[i].gopc >= new;
	assert_int_equal(fresh, 3000);
	assert_int_equal(r.nsite, 3000 + busy);
	trace_reading_deinit(&r);
	trace_close(t);
}

static volatile bool ends;
static uint64_t born_there;

/* Births at ever other sites, ten at each. */
static void *births_of_a_thread(void *arg)
{
	while (!ends)
		for (uint64_t i = 0; i < 10; i++)
			birth_at(0x100000 + born_there++ / 10 % 1000000 * 16, 1 + i);
	return arg;
}

static void rows_make_room_under_way(void **state)
{
	struct trace_reading r;
	uint64_t before = 0, gone = 0;
	pthread_t thread;
	struct trace *t;

	(void)state;
	NEED_ROOT();
	t = arm();
	ends = false;
	born_there = 0;
	assert_int_equal(pthread_create(&thread, NULL, births_of_a_thread, NULL), 0);
	/* until the table has been filled three times over, by rows that went */
	while (gone < 3ull * 10 * GS_MAX_SITES) {
		assert_int_equal(trace_read(t, &r), 0);
		assert_true(all_births(&r) >= before); /* they only grow */
		before = all_births(&r);
		gone = r.births_gone;
		trace_reading_deinit(&r);
	}
	ends = true;
	pthread_join(thread, NULL);
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(all_births(&r), born_there);
	trace_reading_deinit(&r);
	trace_close(t);
}

#define FRAMED \
	__attribute__((noinline, optimize("no-omit-frame-pointer", "no-optimize-sibling-calls")))
static void zero(unsigned int bits, int n);
FRAMED static void one(unsigned int bits, int n)
{
	if (!n)
		large(40000);
	else if (bits & 1)
		one(bits >> 1, n - 1);
	else
		zero(bits >> 1, n - 1);
	__asm__ volatile("" ::: "memory");
}
FRAMED static void zero(unsigned int bits, int n)
{
	if (!n)
		large(40000);
	else if (bits & 1)
		one(bits >> 1, n - 1);
	else
		zero(bits >> 1, n - 1);
	__asm__ volatile("" ::: "memory");
}

/* More stacks than there is room for: the rest is counted without its stack, to the byte. */
static void more_stacks_than_fit(void **state)
{
	const uint64_t n = 4096;
	uint64_t count = 0, bytes = 0;
	struct trace_reading r;
	struct trace *t;

	(void)state;
	NEED_ROOT();
	t = arm();
	for (unsigned int i = 0; i < n; i++)
		one(i, 12);
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(r.nalloc, GS_MAX_STACKS);
	for (size_t i = 0; i < r.nalloc; i++) {
		count += r.alloc[i].count;
		bytes += r.alloc[i].bytes;
	}
	assert_int_equal(count, GS_MAX_STACKS);
	assert_int_equal(r.stacks_full, n - GS_MAX_STACKS);
	assert_int_equal(count + r.allocs_other, n);
	assert_int_equal(bytes + r.allocs_other_bytes, n * 40000);
	trace_reading_deinit(&r);
	/* and later ones find room */
	for (int i = 0; i < 4; i++) {
		assert_int_equal(trace_read(t, &r), 0);
		trace_reading_deinit(&r);
	}
	one(4095, 12);
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(r.nalloc, 1);
	assert_int_equal(r.allocs_other, n - GS_MAX_STACKS);
	trace_reading_deinit(&r);
	trace_close(t);
}

/* As if that many calls had begun, one of four over since. */
static void begin_calls(struct trace *t, uint64_t n)
{
	for (uint64_t i = 1; i <= n; i++) {
		struct gs_open_key k = { .addr = i << 12, .kind = OPEN_REQUEST };
		struct gs_open o = { .start_ns = i % 4 ? i : 0, .goid = i };

		assert_int_equal(bpf_map_update_elem(trace_map_fd(t, TRACE_MAP_OPENS), &k, &o, 0),
				 0);
	}
}

static void what_is_open_is_read_in_one_go(void **state)
{
	const uint64_t n = 10000;
	struct trace_opens opens;
	struct trace_open o;
	struct trace *t;
	struct timespec begin, end;

	(void)state;
	NEED_ROOT();
	if (!lab_has_cookies())
		skip();
	wants_calls = true;
	t = arm();
	wants_calls = false;
	begin_calls(t, n);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	assert_int_equal(trace_opens_read(t, &opens), 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	print_message("%zu open of %lu entries: %.1f ms of a CPU\n", opens.n, (unsigned long)n,
		      (double)(end.tv_sec - begin.tv_sec) * 1e3 +
			      (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
	assert_int_equal(opens.n, n / 4 * 3);
	for (uint64_t i = 1; i <= n; i++) {
		assert_int_equal(trace_opens_find(&opens, OPEN_REQUEST, i << 12, &o), i % 4 != 0);
		if (i % 4)
			assert_true(o.goid == i && o.start_ns == i && o.addr == i << 12);
		assert_false(trace_opens_find(&opens, OPEN_HANDLER, i << 12, &o));
	}
	assert_false(trace_opens_find(NULL, OPEN_REQUEST, 1 << 12, &o));
	trace_opens_deinit(&opens);
	assert_false(trace_opens_find(&opens, OPEN_REQUEST, 1 << 12, &o));
	trace_close(t);
}

/* More calls under way than there is room for: those that made room are counted. */
static void calls_that_made_room(void **state)
{
	struct trace_opens opens;
	struct trace_reading r;
	struct trace *t;

	(void)state;
	NEED_ROOT();
	if (!lab_has_cookies())
		skip();
	wants_calls = true;
	t = arm();
	wants_calls = false;
	begin_calls(t, 6000);
	assert_int_equal(trace_opens_read(t, &opens), 0);
	trace_opens_deinit(&opens);
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(r.requests_full, 0);
	trace_reading_deinit(&r);
	for (uint64_t i = 1; i <= 20000; i++) { /* that are over: nothing is missed of them */
		struct gs_open_key k = { .addr = (100000 + i) << 12, .kind = OPEN_REQUEST };
		struct gs_open o = { 0 };

		assert_int_equal(bpf_map_update_elem(trace_map_fd(t, TRACE_MAP_OPENS), &k, &o, 0),
				 0);
	}
	assert_int_equal(trace_opens_read(t, &opens), 0);
	trace_opens_deinit(&opens);
	assert_int_equal(trace_read(t, &r), 0);
	assert_in_range(r.requests_full, 4000, 4500); /* three of four of 6,000 */
	trace_reading_deinit(&r);
	trace_close(t);
}

static void unreadable_memory_is_counted(void **state)
{
	struct trace_reading r;
	struct trace *t;

	(void)state;
	NEED_ROOT();
	t = arm();
	born(g, (void *)8);
	born(g, (void *)0xdead000000000000ull);
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(r.nsite, 0);
	assert_int_equal(r.read_failures, 2);
	trace_reading_deinit(&r);
	trace_close(t);
}

static void the_most_stack_is_found(void **state)
{
	(void)state;
	assert_int_equal(
		load_most_stack(
			"verification time 90 usec\nstack depth 24+16+56+0\nprocessed 9 insns"),
		56);
	assert_int_equal(load_most_stack("stack depth 48\n"), 48);
	assert_int_equal(load_most_stack("stack depth 8+"), -1);
	assert_int_equal(load_most_stack("stack depth"), -1);
	assert_int_equal(load_most_stack(""), -1);
}

static bool is_sliced(struct trace *t)
{
	struct trace_reading r;
	bool sliced;

	assert_int_equal(trace_read(t, &r), 0);
	sliced = r.governed_sliced;
	trace_reading_deinit(&r);
	return sliced;
}

/* Births that were off when a window began, and on when it ended, were not all
 * counted in it: neither in the first window nor in a later one. */
static void sliced_from_the_start(void **state)
{
	uint64_t now = clock_mono_ns();
	struct trace *t;
	int i, read_first;

	(void)state;
	NEED_ROOT();
	for (read_first = 0; read_first < 2; read_first++) {
		unsigned char before = *(volatile unsigned char *)born_site;

		t = arm_for(1e6);
		assert_int_equal(*(volatile unsigned char *)born_site, before); /* too many: off */
		if (read_first)
			assert_true(is_sliced(t));
		for (i = 0; i < 100 && *(volatile unsigned char *)born_site == before; i++)
			assert_int_equal(trace_tick(t, now += 100000000, 0, 1), 0);
		assert_int_not_equal(*(volatile unsigned char *)born_site,
				     before); /* none come: on */
		assert_true(is_sliced(t));
		assert_false(is_sliced(t));
		trace_close(t);
	}
}

/* Between disarming and rearming nothing is there, what was counted is, and nothing more comes. */
static void disarmed_and_rearmed(void **state)
{
	unsigned char before = *(volatile unsigned char *)born_site;
	struct trace_reading r;
	struct trace *t;

	(void)state;
	NEED_ROOT();
	t = arm();
	birth_at(0x5000, 1);
	trace_disarm(t);
	assert_int_equal(*(volatile unsigned char *)born_site, before);
	birth_at(0x5000, 2);
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(r.hits[PROBE_GO_BIRTH], 1);
	assert_true(r.governed_sliced);
	trace_reading_deinit(&r);
	assert_int_equal(trace_rearm(t, 0, 3), 0);
	assert_int_not_equal(*(volatile unsigned char *)born_site, before);
	birth_at(0x5000, 3);
	assert_int_equal(trace_read(t, &r), 0);
	assert_int_equal(r.hits[PROBE_GO_BIRTH], 2);
	trace_reading_deinit(&r);
	assert_false(is_sliced(t));
	trace_disarm(t);
	trace_close(t);
	assert_int_equal(*(volatile unsigned char *)born_site, before);
}

/* After the end the code is as it was, and hits are not even traps. */
static void nothing_is_left(void **state)
{
	unsigned char before = *(volatile unsigned char *)born_site;
	struct trace *t;

	(void)state;
	NEED_ROOT();
	t = arm();
	assert_int_not_equal(*(volatile unsigned char *)born_site, before);
	trace_close(t);
	assert_int_equal(*(volatile unsigned char *)born_site, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_hit_is_summed),
		cmocka_unit_test(full_map_is_counted),
		cmocka_unit_test(idle_rows_make_room),
		cmocka_unit_test(rows_make_room_under_way),
		cmocka_unit_test(more_stacks_than_fit),
		cmocka_unit_test(what_is_open_is_read_in_one_go),
		cmocka_unit_test(calls_that_made_room),
		cmocka_unit_test(unreadable_memory_is_counted),
		cmocka_unit_test(sliced_from_the_start),
		cmocka_unit_test(the_most_stack_is_found),
		cmocka_unit_test(disarmed_and_rearmed),
		cmocka_unit_test(nothing_is_left),
	};

	exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
