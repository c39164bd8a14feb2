/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The probes of network, database/sql and locks on a live Go program
 * (tests/progs/netcount) that does a known number of everything, in several
 * releases, stripped: counts are exact, times within bounds.  Needs root.
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

#include "base/clock.h"
#include "gobin/gobin.h"
#include "gobin/layout.h"
#include "proc/mem.h"
#include "proc/process.h"
#include "trace/lab.h"
#include "plan/phase.h"
#include "trace/sizes.h"
#include "trace/trace.h"
#include "releases.h"

#define SLOW_NS 200000000ull

struct live {
	pid_t pid;
	FILE *to, *from;
	char plain[32], secure[32], refused[32]; /* "host:port" as the program dials it */
	struct process proc;
	struct gobin *gb;
	struct memreader *mem;
	struct plan plan;
	struct trace *t;
	struct trace_reading r;
};

static void expect_line(struct live *p, const char *want)
{
	char line[256];

	assert_non_null(fgets(line, sizeof(line), p->from));
	line[strcspn(line, "\n")] = '\0';
	assert_string_equal(line, want);
}

static void spawn(struct live *p, char *path)
{
	char *argv[] = { path, NULL };
	int to, from;

	p->pid = go_child(argv, &to, &from);
	p->to = fdopen(to, "w");
	p->from = fdopen(from, "r");
}

static void read_ports(struct live *p)
{
	char line[256], port[64];

	assert_non_null(fgets(line, sizeof(line), p->from));
	assert_int_equal(sscanf(line, "plain %63s", port), 1);
	snprintf(p->plain, sizeof(p->plain), "localhost:%.16s", port);
	assert_non_null(fgets(line, sizeof(line), p->from));
	assert_int_equal(sscanf(line, "secure %63s", port), 1);
	snprintf(p->secure, sizeof(p->secure), "localhost:%.16s", port);
	assert_non_null(fgets(line, sizeof(line), p->from));
	assert_int_equal(sscanf(line, "refused %31s", p->refused), 1);
	expect_line(p, "READY");
}

static void arm(struct live *p)
{
	p->t = go_arm(&p->proc, p->gb, p->mem, &p->plan);
	print_message("BPF tables: %.2f MiB\n", (double)trace_map_bytes(p->t) / (1 << 20));
	assert_in_range(trace_map_bytes(p->t), 1, SIZES_MAX_BYTES);
	for (int i = 0; i < trace_plan(p->t)->n; i++) {
		const struct probe *pr = &trace_plan(p->t)->probe[i];

		if (pr->kind == SITE_NONE && !pr->absent && pr->id != PROBE_SQL_CONN)
			fail_msg("%s: %s", probe_name(pr->id), pr->why);
	}
}

static void start(struct live *p, const char *release)
{
	char path[512];

	memset(p, 0, sizeof(*p));
	if (!program_path(path, sizeof(path), "netcount-%s-stripped", release))
		skip();
	if (geteuid()) {
		print_message("skipped: no root\n");
		skip();
	}
	if (!lab_has_cookies()) {
		print_message("skipped: this kernel has no cookies for probes\n");
		skip();
	}
	spawn(p, path);
	read_ports(p);
	assert_int_equal(process_init(&p->proc, p->pid, NULL), 0);
	assert_int_equal(gobin_open_fd(&p->gb, p->proc.exe_fd, NULL), 0);
	assert_int_equal(mem_open_pid(&p->mem, p->pid, NULL), 0);
	arm(p);
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

/* Has the program do it, and reads the sums. */
static void act(struct live *p, const char *what)
{
	fprintf(p->to, "%s\n", what);
	fflush(p->to);
	expect_line(p, "DONE");
	trace_reading_deinit(&p->r);
	assert_int_equal(trace_read(p->t, &p->r), 0);
	assert_int_equal(p->r.requests_full + p->r.read_failures + p->r.stack_failures, 0);
}

static const struct trace_phase *find_phase(const struct live *p, enum net_phase phase,
					    const char *host)
{
	static const struct trace_phase none;

	for (size_t i = 0; i < p->r.nphase; i++)
		if (p->r.phase[i].phase == phase && !strcmp(p->r.phase[i].host, host))
			return &p->r.phase[i];
	return &none;
}

static void assert_phase(const struct live *p, enum net_phase phase, const char *host,
			 uint64_t count)
{
	const struct trace_phase *f = find_phase(p, phase, host);

	if (f->hist.count != count)
		fail_msg("%s of '%s': %llu, not %llu", net_phase_name(phase), host,
			 (unsigned long long)f->hist.count, (unsigned long long)count);
}

/* All places of a kind together. */
static struct trace_call sum_calls(const struct live *p, enum call_kind kind)
{
	struct trace_call sum = { .kind = kind };

	for (size_t i = 0; i < p->r.ncall; i++) {
		const struct trace_call *c = &p->r.call[i];

		if (c->kind != kind)
			continue;
		assert_false(c->other);
		assert_true(c->npcs > 0);
		sum.begun += c->begun;
		sum.errors += c->errors;
		sum.hist.count += c->hist.count;
		sum.max_ns_window =
			c->max_ns_window > sum.max_ns_window ? c->max_ns_window : sum.max_ns_window;
	}
	return sum;
}

static void assert_calls(const struct live *p, enum call_kind kind, uint64_t n, uint64_t errors)
{
	struct trace_call c = sum_calls(p, kind);

	if (c.begun != n || c.hist.count != n || c.errors != errors)
		fail_msg("calls of kind %d: %llu begun, %llu ended, %llu failed, not %llu, %llu",
			 kind, (unsigned long long)c.begun, (unsigned long long)c.hist.count,
			 (unsigned long long)c.errors, (unsigned long long)n,
			 (unsigned long long)errors);
}

/* What the program did for SLOW_NS, in an act that took so long. */
static void assert_slow(uint64_t ns, uint64_t act_ns)
{
	if (ns < SLOW_NS || ns > act_ns)
		fail_msg("%.1f ms, in an act of %.1f ms", (double)ns / 1e6, (double)act_ns / 1e6);
}

/* HTTP/1: a connection for each request, then one for all. */
static void http1(struct live *p)
{
	act(p, "fresh");
	assert_phase(p, NET_DNS, p->plain, 30);
	assert_phase(p, NET_CONNECT, p->plain, 30);
	assert_phase(p, NET_REQUEST_WRITE, p->plain, 30);
	assert_phase(p, NET_TTFB, p->plain, 30);
	assert_calls(p, CALL_HTTP, 30, 0);
	assert_calls(p, CALL_HANDLER, 30, 0);
	act(p, "keep");
	assert_phase(p, NET_DNS, p->plain, 31);
	assert_phase(p, NET_CONNECT, p->plain, 31);
	assert_phase(p, NET_REQUEST_WRITE, p->plain, 80);
	assert_phase(p, NET_TTFB, p->plain, 80);
	assert_calls(p, CALL_HTTP, 80, 0);
	assert_int_equal(find_phase(p, NET_CONNECT, p->plain)->errors, 0);
}

/* Each act is three requests, one after the other. */
static void slow(struct live *p)
{
	uint64_t began = clock_mono_ns(), took;

	act(p, "slow");
	took = clock_mono_ns() - began;
	assert_slow(find_phase(p, NET_TTFB, p->plain)->max_ns_window, took);
	assert_slow(sum_calls(p, CALL_HTTP).max_ns_window, took);
	assert_slow(sum_calls(p, CALL_HANDLER).max_ns_window, took);
	assert_true(find_phase(p, NET_BODY, p->plain)->max_ns_window <= took - 2 * SLOW_NS);
	began = clock_mono_ns();
	act(p, "body");
	took = clock_mono_ns() - began;
	assert_slow(find_phase(p, NET_BODY, p->plain)->max_ns_window, took);
	assert_true(find_phase(p, NET_TTFB, p->plain)->max_ns_window <= took - 2 * SLOW_NS);
	/* and of the window after it nothing is left */
	trace_reading_deinit(&p->r);
	assert_int_equal(trace_read(p->t, &p->r), 0);
	assert_int_equal(find_phase(p, NET_BODY, p->plain)->max_ns_window, 0);
	assert_true(find_phase(p, NET_BODY, p->plain)->hist.count > 0);
}

static void secure(struct live *p)
{
	uint64_t before = sum_calls(p, CALL_HTTP).begun;

	act(p, "tls");
	assert_phase(p, NET_DNS, p->secure, 20);
	assert_phase(p, NET_CONNECT, p->secure, 20);
	assert_phase(p, NET_TLS, p->secure, 20);
	assert_phase(p, NET_TTFB, p->secure, 20);
	act(p, "h2");
	assert_phase(p, NET_TLS, p->secure, 21);
	assert_phase(p, NET_CONNECT, p->secure, 21);
	assert_int_equal(find_phase(p, NET_TLS, p->secure)->errors, 0);
	/* the host of a stream is that of its URL: the same words here */
	assert_phase(p, NET_REQUEST_WRITE, p->secure, 60);
	assert_phase(p, NET_TTFB, p->secure, 60);
	/* and each call has its end, whatever carries it */
	assert_calls(p, CALL_HTTP, before + 60, 0);
}

static void failures(struct live *p)
{
	const struct trace_phase *f;
	uint64_t before = sum_calls(p, CALL_HTTP).begun;

	act(p, "refused");
	f = find_phase(p, NET_CONNECT, p->refused);
	assert_int_equal(f->hist.count, 5);
	assert_int_equal(f->errors, 5);
	/* an address is not looked up */
	assert_phase(p, NET_DNS, p->refused, 0);
	assert_true(p->r.hits[PROBE_DNS_BEGIN] > find_phase(p, NET_DNS, p->plain)->hist.count);
	assert_calls(p, CALL_HTTP, before + 5, 5);
	/* a call has one end, however many requests it makes */
	act(p, "moved");
	assert_calls(p, CALL_HTTP, before + 12, 5);
	/* an answer that is none: ended with its first byte, and failed */
	act(p, "broken");
	assert_calls(p, CALL_HTTP, before + 17, 10);
	act(p, "fails");
	assert_calls(p, CALL_HTTP, before + 19, 12);
	/* another transport's answer is not seen, and is not taken for the next one's */
	act(p, "answers");
	assert_int_equal(sum_calls(p, CALL_HTTP).begun, before + 23);
	assert_int_equal(sum_calls(p, CALL_HTTP).hist.count, before + 19);
	act(p, "keep");
	assert_int_equal(sum_calls(p, CALL_HTTP).begun, before + 73);
	assert_int_equal(sum_calls(p, CALL_HTTP).hist.count, before + 69);
	assert_int_equal(sum_calls(p, CALL_HTTP).errors, 12);
}

static void waits(struct live *p)
{
	const struct trace_phase *f;

	act(p, "narrow");
	f = find_phase(p, NET_POOL_WAIT, p->plain);
	assert_int_equal(f->hist.count, 5);
	assert_true(f->max_ns_window >= 5 * SLOW_NS);
	act(p, "sql");
	assert_calls(p, CALL_SQL_WAIT, 6, 0);
	act(p, "locks");
	assert_true(sum_calls(p, CALL_LOCK).hist.count >= 4);
	assert_true(sum_calls(p, CALL_LOCK).max_ns_window >= 40000000);
}

/* Who holds a connection of the pool: the transaction, from the call of Begin on. */
static void holders(struct live *p)
{
	struct trace_opens opens;
	struct trace_open o;
	struct gofunc fn;
	char line[64];
	uint64_t dc, bias, before = clock_mono_ns();
	uint32_t i;

	fprintf(p->to, "begin\n");
	fflush(p->to);
	assert_non_null(fgets(line, sizeof(line), p->from));
	expect_line(p, "DONE");
	dc = strtoull(line, NULL, 0);
	assert_int_equal(trace_opens_read(p->t, &opens), 0);
	assert_true(trace_opens_find(&opens, OPEN_SQL_GRAB, dc, &o));
	trace_opens_deinit(&opens);
	assert_int_equal(o.state, SQL_TRANSACTION);
	assert_true(o.start_ns >= before && o.start_ns <= clock_mono_ns());
	assert_true(o.goid > 0);
	assert_int_equal(process_bias(&p->proc, &p->gb->image, &bias, NULL), 0);
	for (i = 0; i < o.npcs; i++)
		if (!pclntab_find_pc(p->gb->pcln, o.pcs[i] - bias - 1, &fn) &&
		    !strcmp(fn.name, "main.transaction"))
			break;
	assert_true(i < o.npcs);
	act(p, "commit");
	assert_int_equal(trace_opens_read(p->t, &opens), 0);
	assert_false(trace_opens_find(&opens, OPEN_SQL_GRAB, dc, &o));
	assert_false(trace_opens_find(&opens, OPEN_REQUEST, dc, &o));
	trace_opens_deinit(&opens);
}

/* More hosts than there is room for: the rest is summed as others, and nothing is lost. */
static void many_hosts(struct live *p)
{
	uint64_t before = 0, count = 0, others = 0, rows = 0;

	for (size_t i = 0; i < p->r.nphase; i++)
		before += p->r.phase[i].phase == NET_CONNECT ? p->r.phase[i].hist.count : 0;
	assert_int_equal(p->r.others_full, 0);
	act(p, "hosts");
	for (size_t i = 0; i < p->r.nphase; i++) {
		const struct trace_phase *f = &p->r.phase[i];

		if (f->phase != NET_CONNECT)
			continue;
		count += f->hist.count;
		others += f->other ? f->hist.count : 0;
		rows += !f->other;
	}
	assert_int_equal(count - before, 3000);
	assert_in_range(rows, 500, 1024);
	assert_in_range(others, 3000 - rows, 3000 - 500);
	assert_true(p->r.others_full >= others);
}

static void counts(const char *release)
{
	struct live *p = malloc(sizeof(*p));

	assert_non_null(p);
	start(p, release);
	http1(p);
	slow(p);
	secure(p);
	failures(p);
	waits(p);
	holders(p);
	many_hosts(p);
	stop(p);
	free(p);
}

#define COUNTS(name, release)          \
	static void name(void **state) \
	{                              \
		(void)state;           \
		counts(release);       \
	}
COUNTS(counts_oldest, "oldest")
COUNTS(counts_1_20, "1.20")
COUNTS(counts_1_21, "1.21")
COUNTS(counts_1_22, "1.22")
COUNTS(counts_1_24, "1.24")
COUNTS(counts_usual, "usual")
COUNTS(counts_newest, "newest")

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_oldest), cmocka_unit_test(counts_1_20),
		cmocka_unit_test(counts_1_21),   cmocka_unit_test(counts_1_22),
		cmocka_unit_test(counts_1_24),   cmocka_unit_test(counts_usual),
		cmocka_unit_test(counts_newest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
