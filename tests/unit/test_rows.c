/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program (tests/progs/manyhosts) that calls ever other hosts and routes: idle rows make
 * room, those of the latest window are right, and nothing is counted twice, nowhere, or
 * for another.  Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "go_arm.h"
#include "go_child.h"

#include "gobin/gobin.h"
#include "gobin/layout.h"
#include "gospect/abi.h"
#include "proc/mem.h"
#include "proc/process.h"
#include "trace/lab.h"
#include "trace/trace.h"
#include "releases.h"

#define HOSTS 3000
/* Hosts a reading: there is room for 511, and those of two readings need it, with a few of the
 * reading before that end late. */
#define BATCH 200

/* What was counted of the client's calls, of servers, and of one phase, up to a reading. */
struct sums {
	uint64_t calls, answers, served, connects, answered;
	uint64_t others; /* … of the last two, without their host */
};

struct live {
	pid_t pid;
	FILE *to, *from;
	char port[16];
	struct process proc;
	struct gobin *gb;
	struct memreader *mem;
	struct plan plan;
	struct trace *t;
	struct trace_reading r;
	struct sums gone; /* of rows that made room at readings before */
};

static void expect_line(struct live *p, const char *want)
{
	char line[256];

	assert_non_null(fgets(line, sizeof(line), p->from));
	line[strcspn(line, "\n")] = '\0';
	assert_string_equal(line, want);
}

static void start(struct live *p, const char *release)
{
	char path[512], line[256], *argv[] = { path, NULL };
	int to, from;

	memset(p, 0, sizeof(*p));
	if (!program_path(path, sizeof(path), "manyhosts-%s-stripped", release) || geteuid() ||
	    !lab_has_cookies())
		skip();
	p->pid = go_child(argv, &to, &from);
	p->to = fdopen(to, "w");
	p->from = fdopen(from, "r");
	assert_non_null(fgets(line, sizeof(line), p->from));
	assert_int_equal(sscanf(line, "READY %15s", p->port), 1);
	assert_int_equal(process_init(&p->proc, p->pid, NULL), 0);
	assert_int_equal(gobin_open_fd(&p->gb, p->proc.exe_fd, NULL), 0);
	assert_int_equal(mem_open_pid(&p->mem, p->pid, NULL), 0);
	p->t = go_arm(&p->proc, p->gb, p->mem, &p->plan);
}

static void stop(struct live *p)
{
	int status;

	trace_reading_deinit(&p->r);
	trace_close(p->t);
	mem_free(p->mem);
	gobin_free(p->gb);
	process_deinit(&p->proc);
	fclose(p->to);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_int_equal(status, 0);
	fclose(p->from);
}

/* Of the rows of a reading; gone: of those only that make room now. */
static void add(struct sums *s, const struct trace_reading *r, bool gone)
{
	for (size_t i = 0; i < r->ncall; i++) {
		const struct trace_call *c = &r->call[i];

		if (gone && !c->gone)
			continue;
		s->calls += c->kind == CALL_HTTP ? c->begun : 0;
		s->answers += c->kind == CALL_HTTP ? c->hist.count : 0;
		s->served += c->kind == CALL_HANDLER ? c->begun : 0;
	}
	for (size_t i = 0; i < r->nphase; i++) {
		const struct trace_phase *f = &r->phase[i];
		bool counts = f->phase == NET_CONNECT || f->phase == NET_TTFB;

		if (gone && !f->gone)
			continue;
		s->connects += f->phase == NET_CONNECT ? f->hist.count : 0;
		s->answered += f->phase == NET_TTFB ? f->hist.count : 0;
		s->others += counts && f->other ? f->hist.count : 0;
	}
}

static struct sums sums(const struct live *p)
{
	struct sums s = p->gone;

	add(&s, &p->r, false);
	return s;
}

/* The next reading. */
static void look(struct live *p)
{
	if (p->r.mono_ns)
		add(&p->gone, &p->r, true);
	trace_reading_deinit(&p->r);
	assert_int_equal(trace_read(p->t, &p->r), 0);
	assert_int_equal(p->r.requests_full + p->r.read_failures, 0);
}

static void act(struct live *p, const char *what, int a, int b, int c)
{
	fprintf(p->to, "%s %d %d %d\n", what, a, b, c);
	fflush(p->to);
	expect_line(p, "DONE");
}

static const struct trace_phase *phase_of(const struct live *p, enum net_phase phase, int host)
{
	char name[64];

	snprintf(name, sizeof(name), "127.1.%d.%d:%s", host / 200, host % 200 + 1, p->port);
	for (size_t i = 0; i < p->r.nphase; i++)
		if (p->r.phase[i].phase == phase && !strcmp(p->r.phase[i].host, name))
			return &p->r.phase[i];
	return NULL;
}

static void assert_host(const struct live *p, int host, uint64_t n)
{
	const struct trace_phase *c = phase_of(p, NET_CONNECT, host),
				 *f = phase_of(p, NET_TTFB, host);
	struct sums s = sums(p);

	if (!c || !f || c->hist.count != n || f->hist.count != n)
		fail_msg(
			"host %d: %d connects, %d answers, not %d; of all %d connects, %d answers, "
			"%d of %d calls, %d of others; %d ends without a begin",
			host, c ? (int)c->hist.count : -1, f ? (int)f->hist.count : -1, (int)n,
			(int)s.connects, (int)s.answered, (int)s.answers, (int)s.calls,
			(int)s.others, (int)p->r.unpaired);
}

/* Each window has rows for its hosts, and all of them together what was done. */
static void every_window_is_right(struct live *p, int times)
{
	uint64_t done = 0;

	for (int from = 0; from < HOSTS; from += BATCH) {
		act(p, "hosts", from, BATCH, times);
		look(p);
		done += (uint64_t)(BATCH * times);
		for (int i = from; i < from + BATCH; i++)
			assert_host(p, i, (uint64_t)times);
		assert_int_equal(sums(p).connects, done);
		assert_int_equal(sums(p).answered, done);
		assert_int_equal(sums(p).calls, done);
		assert_int_equal(sums(p).answers, done);
		assert_int_equal(sums(p).served, done);
		assert_int_equal(p->r.others_full, 0);
		assert_int_equal(sums(p).others, 0);
	}
}

/* More at once than there is room for: said there, and not later. */
static void only_a_window_that_is_full_says_so(struct live *p)
{
	struct sums before = sums(p), after;
	uint64_t full;

	act(p, "hosts", 0, HOSTS, 1);
	look(p);
	after = sums(p);
	full = p->r.others_full;
	assert_true(full > 0);
	assert_int_equal(after.connects - before.connects, HOSTS);
	assert_int_equal(after.answered - before.answered, HOSTS);
	assert_in_range(after.others, HOSTS, 2 * HOSTS - 1000);
	look(p); /* which have been idle since the reading before */
	for (int from = 0; from < 4 * BATCH; from += BATCH) {
		act(p, "hosts", from, BATCH, 2);
		look(p);
		for (int i = from; i < from + BATCH; i++)
			assert_true(phase_of(p, NET_TTFB, i)->hist.count >= 2);
		assert_int_equal(p->r.others_full, full);
		assert_int_equal(sums(p).others, after.others);
	}
}

/* Those who remember a row that made room: a connection that is kept, and a call under way. */
static void nobody_is_charged_for_another(struct live *p, uint64_t *done)
{
	const int kept = HOSTS + 1, held = HOSTS + 2;
	struct sums before;

	act(p, "keep", kept, 0, 0);
	act(p, "hold", held, 0, 0);
	look(p);
	assert_int_equal(phase_of(p, NET_TTFB, kept)->hist.count, 1);
	for (int from = 0; phase_of(p, NET_TTFB, kept); from += BATCH) {
		act(p, "hosts", from, BATCH, 1);
		look(p);
		assert_true(from < HOSTS);
		*done += BATCH;
	}
	before = sums(p);
	act(p, "keep", kept, 0, 0);
	act(p, "release", 0, 0, 0);
	look(p);
	assert_int_equal(sums(p).answered - before.answered, 2);
	assert_int_equal(sums(p).answers - before.answers, 2);
	assert_int_equal(sums(p).connects - before.connects, 0);
	assert_int_equal(phase_of(p, NET_TTFB, kept)->hist.count, 1);
	assert_null(phase_of(p, NET_CONNECT, kept));
	assert_int_equal(phase_of(p, NET_TTFB, held)->hist.count, 1);
	assert_int_equal(sums(p).others, 0);
}

static void makes_room(const char *release)
{
	struct live *p = malloc(sizeof(*p));
	uint64_t done = 0;

	assert_non_null(p);
	start(p, release);
	nobody_is_charged_for_another(p, &done);
	stop(p);
	start(p, release);
	every_window_is_right(p, 2);
	only_a_window_that_is_full_says_so(p);
	stop(p);
	free(p);
}

#define MAKES_ROOM(name, release)      \
	static void name(void **state) \
	{                              \
		(void)state;           \
		makes_room(release);   \
	}
MAKES_ROOM(room_1_20, "1.20")
MAKES_ROOM(room_1_22, "1.22")
MAKES_ROOM(room_1_24, "1.24")
MAKES_ROOM(room_usual, "usual")
MAKES_ROOM(room_newest, "newest")

int main(void)
{
	const struct CMUnitTest some[] = {
		cmocka_unit_test(room_usual),
	};
	const struct CMUnitTest all[] = {
		cmocka_unit_test(room_1_20),   cmocka_unit_test(room_1_22),
		cmocka_unit_test(room_1_24),   cmocka_unit_test(room_usual),
		cmocka_unit_test(room_newest),
	};

	if (getenv("GOSPECT_NET_ALL"))
		return cmocka_run_group_tests(all, NULL, NULL);
	return cmocka_run_group_tests(some, NULL, NULL);
}
