/* SPDX-License-Identifier: BSD-2-Clause */
/* What a process uses and may use: /proc/PID/status, and the limits of control groups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/process.h"
#include "proc/usage.h"
#include "proc/waiting.h"
#include "trace/pidns.h"

static void memory_by_kind(void **state)
{
	static const char status[] =
		"Name:\tx\nState:\tT (stopped)\nVmRSS:\t   900 kB\n"
		"RssAnon:\t   500 kB\nRssFile:\t   300 kB\nRssShmem:\t"
		"100 kB\nVmData:\t  2000 kB\nVmSwap:\t    50 kB\nThreads:\t7\n";
	struct usage u;

	(void)state;
	assert_int_equal(usage_parse(status, &u), 0);
	assert_int_equal(u.state, 'T');
	assert_int_equal(u.threads, 7);
	assert_int_equal(u.rss, 900 << 10);
	assert_int_equal(u.anon, 500 << 10);
	assert_int_equal(u.file, 300 << 10);
	assert_int_equal(u.shared, 100 << 10);
	assert_int_equal(u.data, 2000 << 10);
	assert_int_equal(u.swap, 50 << 10);
	/* a kernel thread or a zombie has no memory, an old kernel no kinds */
	assert_true(usage_parse("Name:\tx\nState:\tZ (zombie)\nThreads:\t1\n", &u) < 0);
	assert_int_equal(u.threads, 1);
	assert_true(usage_parse("", &u) < 0);
}

static void of_this_process(void **state)
{
	struct process p;
	struct err err;
	struct usage u;

	(void)state;
	assert_int_equal(process_init(&p, getpid(), &err), 0);
	assert_int_equal(usage_read(&p, &u), 0);
	assert_true(u.rss && u.anon && u.anon <= u.rss && u.data);
	assert_int_equal(u.threads, 1);
	assert_true(usage_cpus(&p) > 0);
	process_deinit(&p);
	/* one that has gone has no numbers, not those that lay there */
	memset(&u, 0x55, sizeof(u));
	p.proc_fd = -1;
	assert_true(usage_read(&p, &u) < 0);
	assert_int_equal(u.threads, 0);
}

static void pid_where_it_is(void **state)
{
	struct pidns ns;

	(void)state;
	assert_int_equal(pidns_innermost("Name:\tx\nNSpid:\t4711\t12\t3\nNSpgid:\t4711\t9\n"), 3);
	assert_int_equal(pidns_innermost("Name:\tx\nNSpid:\t4711\n"), 4711);
	assert_int_equal(pidns_innermost("Name:\tx\nNSpid:"), 0);
	assert_int_equal(pidns_innermost("Name:\tx\n"), 0);
	pidns_of(getpid(), &ns);
	assert_true(ns.tgid && ns.own == (ns.ino != 0));
}

static char root[64];

static void put(const char *dir, const char *file, const char *text)
{
	char path[256];
	FILE *f;

	for (size_t i = 1; i <= strlen(dir); i++)
		if (dir[i] == '/' || !dir[i]) {
			snprintf(path, sizeof(path), "%s%.*s", root, (int)i, dir);
			mkdir(path, 0700);
		}
	snprintf(path, sizeof(path), "%s%s/%s", root, dir, file);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Of the least quota; what has none says nothing. */
static void throttling_of_a_group(void)
{
	struct throttling t;

	put("/a", "cpu.stat", "usage_usec 9\nnr_periods 100\nnr_throttled 30\nthrottled_usec 5\n");
	put("/a/b", "cpu.stat", "nr_periods 7\nnr_throttled 7\nthrottled_usec 7\n");
	put("/a/c", "cpu.max", "50000 100000\n");
	put("/a/c", "cpu.stat", "nr_periods 40\nnr_throttled 20\nthrottled_usec 9\n");
	put("/cpu,cpuacct/old", "cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time 11\n");
	usage_cgroup_throttling(root, "0::/a/b\n", &t);
	assert_true(t.known && t.quota == 2 && t.periods == 100 && t.throttled == 30);
	assert_int_equal(t.ns, 5000);
	usage_cgroup_throttling(root, "0::/a/c\n", &t);
	assert_true(t.known && t.quota == 0.5 && t.periods == 40 && t.ns == 9000);
	usage_cgroup_throttling(root, "4:cpu,cpuacct:/old\n", &t);
	assert_true(t.known && t.periods == 4 && t.throttled == 2 && t.ns == 11);
	usage_cgroup_throttling(root, "0::/free\n", &t);
	assert_false(t.known);
	put("/a/c", "cpu.stat", "rubbish\n");
	usage_cgroup_throttling(root, "0::/a/c\n", &t);
	assert_true(t.known && t.quota == 2); /* the level above */
}

static void cpus_of_a_group(void **state)
{
	char command[128];

	(void)state;
	snprintf(root, sizeof(root), "/tmp/gospect-cgroup-XXXXXX");
	assert_non_null(mkdtemp(root));
	put("/a", "cpu.max", "200000 100000\n");
	put("/a/b", "cpu.max", "max 100000\n");
	put("/free", "cpu.max", "max 100000\n");
	put("/cpu,cpuacct/old", "cpu.cfs_quota_us", "150000\n");
	put("/cpu,cpuacct/old", "cpu.cfs_period_us", "100000\n");
	put("/cpu,cpuacct/any", "cpu.cfs_quota_us", "-1\n");
	put("/cpu,cpuacct/any", "cpu.cfs_period_us", "100000\n");
	assert_true(usage_cgroup_cpus(root, "0::/a\n") == 2);
	assert_true(usage_cgroup_cpus(root, "0::/a/b\n") == 2); /* the level above counts */
	assert_true(usage_cgroup_cpus(root, "0::/free\n") == 0);
	assert_true(usage_cgroup_cpus(root, "0::/\n") == 0);
	assert_true(usage_cgroup_cpus(root, "0::/../elsewhere\n") == 0);
	assert_true(usage_cgroup_cpus(root, "5:memory:/old\n4:cpu,cpuacct:/old\n0::/\n") == 1.5);
	assert_true(usage_cgroup_cpus(root, "4:cpuacct,cpu:/any\n") == 0);
	assert_true(usage_cgroup_cpus(root, "4:cpuset:/old\n") == 0);
	assert_true(usage_cgroup_cpus(root, "") == 0);
	assert_true(usage_cgroup_cpus(root, "rubbish\n:::::\n") == 0);
	throttling_of_a_group();
	snprintf(command, sizeof(command), "rm -r '%s'", root);
	assert_int_equal(system(command), 0);
}

static void to_one_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* A child that always wants the CPU that its parent is on, and has, as long as it does not sleep. */
static void threads_without_a_cpu(void **state)
{
	const struct sched_param first = { .sched_priority = 1 }, usual = { 0 };
	struct waiting w = { 0 };
	bool starved = false;
	cpu_set_t before;
	pid_t child;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	to_one_cpu();
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			__asm__ volatile("");
	}
	usleep(1000);
	if (sched_setscheduler(0, SCHED_FIFO, &first)) {
		kill(child, SIGKILL);
		skip();
	}
	for (int i = 0; i < 100 && !starved; i++) { /* the kernel gives it some all the same */
		assert_int_equal(waiting_read(&w, child), 0);
		starved = w.n == 1 && !waiting_all_ran(&w, child);
	}
	assert_true(starved);
	while (!waiting_all_ran(&w, child))
		usleep(1000);
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &usual), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(waiting_read(&w, child), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_true(waiting_all_ran(&w, child)); /* it has ended */
	assert_int_equal(waiting_read(&w, child), -ESRCH);
	waiting_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_by_kind),        cmocka_unit_test(of_this_process),
		cmocka_unit_test(pid_where_it_is),       cmocka_unit_test(cpus_of_a_group),
		cmocka_unit_test(threads_without_a_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
