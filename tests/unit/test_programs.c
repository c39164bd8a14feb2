/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF programs before the kernel's verifier: it takes all of them, and no
 * function has so much stack that a kernel (since 6.13) would put it into memory
 * that a preempted run on the same CPU shares.  Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gospect/abi.h"
#include "gospect/crash.h"
#include "gospect/watchpoints.h"
#include "death.skel.h"
#include "gospect.skel.h"
#include "watchpoints.skel.h"

#define MAX_PROGRAMS 64
#define LOG_BYTES    65536
/* Stacks are rounded up to 16; from 64 on (BPF_PRIV_STACK_MIN_SIZE, kernel/bpf/verifier.c)
 * they are one per CPU. */
#define MOST_STACK     48
#define LOG_STATISTICS 4

static char *logs[MAX_PROGRAMS];

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

/* "stack depth 24+16+40": of the program, then of each function it calls. */
static void check_stacks(const char *program, const char *log)
{
	const char *p = strstr(log, "stack depth ");

	if (!p)
		fail_msg("%s: the verifier says nothing of its stack: %s", program, log);
	p += strlen("stack depth");
	do {
		char *end;
		long n = strtol(p + 1, &end, 10);

		if (n > MOST_STACK)
			fail_msg("%s: a function with %ld bytes of stack: %.60s", program, n, p);
		p = end;
	} while (*p == '+');
}

/* Programs of several probes tell them apart by the cookie (Linux 5.15). */
static void leave_out_those_with_cookies(struct gospect_bpf *skel)
{
	struct bpf_program *const those[] = {
		skel->progs.net_dial,  skel->progs.net_request, skel->progs.net_stream,
		skel->progs.net_call,  skel->progs.sql_rare,    skel->progs.sql_request,
		skel->progs.lock_wait, skel->progs.go_end,      skel->progs.sql_statement,
		skel->progs.crash_hit,
	};
	size_t i;

	for (i = 0; i < sizeof(those) / sizeof(those[0]); i++)
		bpf_program__set_autoload(those[i], false);
}

static void load(bool cookies, bool namespaced)
{
	bool kernel_has_cookies = libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE,
							  BPF_FUNC_get_attach_cookie, NULL) == 1;
	struct gospect_bpf *skel = gospect_bpf__open();
	struct bpf_program *prog;
	int e, i = 0;

	assert_non_null(skel);
	if (!kernel_has_cookies)
		leave_out_those_with_cookies(skel);
	cookies &= kernel_has_cookies;
	skel->rodata->gs_has_cookies = cookies;
	skel->rodata->gs_pidns_ino = namespaced;
	bpf_object__for_each_program(prog, skel->obj)
	{
		assert_true(i < MAX_PROGRAMS);
		logs[i] = calloc(1, LOG_BYTES);
		assert_non_null(logs[i]);
		bpf_program__set_log_buf(prog, logs[i++], LOG_BYTES);
		bpf_program__set_log_level(prog, LOG_STATISTICS);
	}
	e = gospect_bpf__load(skel);
	i = 0;
	bpf_object__for_each_program(prog, skel->obj)
	{
		if (e && logs[i][0] && !strstr(logs[i], "stack depth"))
			fail_msg("%s: %s", bpf_program__name(prog), logs[i]);
		if (!e && bpf_program__autoload(prog))
			check_stacks(bpf_program__name(prog), logs[i]);
		free(logs[i++]);
	}
	assert_int_equal(e, 0);
	gospect_bpf__destroy(skel);
}

static void stacks_are_small(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	libbpf_set_print(quiet);
	load(true, false);
	load(true, true);
	load(false, false);
}

/* The tracepoints of exits and signals. */
static void exits_and_signals_load(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	libbpf_set_print(quiet);
	for (int namespaced = 0; namespaced <= 1; namespaced++) {
		struct death_bpf *skel = death_bpf__open();

		assert_non_null(skel);
		skel->rodata->target_tgid = 1;
		skel->rodata->pidns_ino = (uint64_t)namespaced;
		assert_int_equal(death_bpf__load(skel), 0);
		death_bpf__destroy(skel);
	}
}

/* The programs that a trap runs: on the stack of the interrupt. */
static void watchpoints_load(bool holds)
{
	static char log[LOG_BYTES];
	struct watchpoints_bpf *skel;
	struct bpf_program *prog;

	if (geteuid())
		skip();
	libbpf_set_print(quiet);
	skel = watchpoints_bpf__open();
	assert_non_null(skel);
	prog = holds ? skel->progs.word_touched_hold : skel->progs.word_touched;
	bpf_program__set_autoload(skel->progs.word_touched, !holds);
	bpf_program__set_autoload(skel->progs.word_touched_hold, holds);
	bpf_program__set_log_buf(prog, log, sizeof(log));
	bpf_program__set_log_level(prog, LOG_STATISTICS);
	if (watchpoints_bpf__load(skel)) {
		watchpoints_bpf__destroy(skel);
		if (strstr(log, "BPF_STX uses reserved fields"))
			skip(); /* before Linux 5.12: no atomic instructions */
		fail_msg("%s", log);
	}
	check_stacks(bpf_program__name(prog), log);
	watchpoints_bpf__destroy(skel);
}

static void watchpoints_that_hold_nobody_load(void **state)
{
	(void)state;
	watchpoints_load(false);
}

static void watchpoints_that_hold_load(void **state)
{
	(void)state;
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_loop, NULL) != 1)
		skip(); /* before Linux 5.17 */
	watchpoints_load(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exits_and_signals_load),
		cmocka_unit_test(watchpoints_that_hold_nobody_load),
		cmocka_unit_test(watchpoints_that_hold_load),
		cmocka_unit_test(stacks_are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
