/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * src/host: the table of features is whole wherever it runs, and the list
 * finds a Go process that stands at its first instruction (so that nothing
 * depends on how fast it starts).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "host/features.h"
#include "host/golist.h"
#include "host/privileges.h"
#include "releases.h"

static void test_features(void **state)
{
	struct feature f[FEATURES_MAX];
	int n = features_probe(f, FEATURES_MAX);

	(void)state;
	assert_true(n >= 15 && n < FEATURES_MAX);
	for (int i = 0; i < n; i++) {
		assert_true(f[i].name && f[i].name[0]);
		assert_true(f[i].why[0] && memchr(f[i].why, 0, sizeof(f[i].why)));
		assert_true(memchr(f[i].hint, 0, sizeof(f[i].hint)) != NULL);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(f[i].name, f[j].name);
	}
}

static void test_features_bounded(void **state)
{
	struct feature f[4] = { 0 };

	(void)state;
	assert_int_equal(features_probe(f, 0), 0);
	assert_int_equal(features_probe(f, 3), 3);
	assert_non_null(f[2].name);
	assert_null(f[3].name);
}

static const struct feature *named(const struct feature *f, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(f[i].name, name))
			return &f[i];
	return NULL;
}

/* Without the privileges the rows say so; with them bpf may still be forbidden. */
static void test_features_follow_capabilities(void **state)
{
	struct feature f[FEATURES_MAX];
	int n = features_probe(f, FEATURES_MAX);
	const struct feature *caps = named(f, n, "capabilities"),
			     *tracing = named(f, n, "bpf tracing");

	(void)state;
	assert_non_null(caps);
	assert_non_null(tracing);
	if (caps->state == FEATURE_NONE) {
		assert_int_equal(tracing->state, FEATURE_NONE);
		assert_true(tracing->hint[0]);
		assert_true(caps->hint[0]);
	} else if (caps->state == FEATURE_FULL) {
		assert_string_equal(caps->hint, "");
	}
}

static void test_state_names(void **state)
{
	(void)state;
	assert_string_equal(feature_state_name(FEATURE_FULL), "full");
	assert_string_equal(feature_state_name(FEATURE_LIMITED), "limited");
	assert_string_equal(feature_state_name(FEATURE_NONE), "none");
}

/* A child that has exec'ed the program and stops there; 0 when it cannot be traced. */
static pid_t start_stopped(const char *path)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(126);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSTOPPED(status) ? child : 0;
}

static const struct golist_entry *entry_of(const struct golist *l, pid_t pid)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->e[i].pid == pid)
			return &l->e[i];
	return NULL;
}

static void test_list(void **state)
{
	const struct golist_entry *e;
	struct golist l;
	char path[512], real[4096];
	pid_t child;

	(void)state;
	if (!program_path(path, sizeof(path), "work-usual-stripped"))
		skip();
	child = start_stopped(path);
	if (!child) {
		print_message("skipped: a child cannot be traced here\n");
		skip();
	}
	assert_int_equal(golist_scan(&l, 0, NULL), 0);
	e = entry_of(&l, child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);

	if (!e) {
		fail_msg("process %d is not listed", child);
		return;
	}
	assert_string_equal(e->go + 2, release_named("usual"));
	assert_non_null(realpath(path, real));
	assert_string_equal(e->exe, real);
	assert_true(e->module[0]);
	assert_false(e->exe_deleted);
	assert_false(e->has_goroutines);
	assert_true(e->why[0]);
	assert_true(e->start_real_ns <= clock_real_ns());
	assert_null(entry_of(&l, getpid())); /* this is no Go program */
	assert_true(l.processes > l.n);
	for (size_t i = 1; i < l.n; i++)
		assert_true(l.e[i - 1].pid < l.e[i].pid);
	golist_deinit(&l);
	assert_null(l.e);
}

/* One that never gets to its first goroutine has no count, and says why; no hang. */
static void test_list_not_started(void **state)
{
	const struct golist_entry *e;
	struct golist l;
	char path[512];
	pid_t child;

	(void)state;
	if (!program_path(path, sizeof(path), "work-newest-pie"))
		skip();
	child = start_stopped(path);
	if (!child) {
		print_message("skipped: a child cannot be traced here\n");
		skip();
	}
	assert_int_equal(golist_scan(&l, 5 * NS_PER_S, NULL), 0);
	e = entry_of(&l, child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (!e) {
		fail_msg("process %d is not listed", child);
		return;
	}
	assert_string_equal(e->go + 2, release_named("newest"));
	assert_false(e->has_goroutines);
	assert_true(e->why[0]);
	golist_deinit(&l);
}

/* As refused while a file is parsed, though programs are loaded afterwards. */
static int given_up_before(void)
{
	char *const none[] = { NULL };
	char mem[32];

	snprintf(mem, sizeof(mem), "/proc/%d/mem", (int)getppid());
	privileges_begin();
	privileges_prepare(PRIVILEGE_READ);
	if (execve("/bin/true", none, none) != -1 || errno != EPERM)
		return 1;
	if (open(mem, O_RDWR) >= 0 || errno != EPERM)
		return 2;
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
		return 3;
	if (syscall(SYS_bpf, BPF_LINK_CREATE, NULL, 1u << 20) != -1 || errno != EPERM)
		return 4;
	if (syscall(SYS_bpf, BPF_PROG_LOAD, NULL, 1u << 20) != -1 || errno == EPERM)
		return 5;
	privileges_drop(PRIVILEGE_READ);
	return syscall(SYS_bpf, BPF_PROG_LOAD, NULL, 1u << 20) != -1 || errno != EPERM ? 6 : 0;
}

/* 0, or the number of what was not as it should be. */
static int given_up(void)
{
	char text[] = "/tmp/gospect-test-XXXXXX", *const none[] = { NULL };
	char mem[32];
	int fd = mkstemp(text), made;

	snprintf(mem, sizeof(mem), "/proc/%d/mem", (int)getppid());
	privileges_begin();
	privileges_drop(PRIVILEGE_READ);
	if (execve("/bin/true", none, none) != -1 || errno != EPERM)
		return 1;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != -1 || errno != EPERM)
		return 2;
	if (open(mem, O_RDWR) >= 0 || errno != EPERM)
		return 3;
	if (open(text, O_WRONLY) >= 0 || errno != EPERM)
		return 4;
	if (syscall(SYS_process_vm_writev, getppid(), NULL, 0, NULL, 0, 0) != -1 || errno != EPERM)
		return 5;
	if (syscall(SYS_bpf, BPF_PROG_LOAD, NULL, 0) != -1 || errno != EPERM)
		return 6;
	if (syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, NULL, 1u << 20) != -1 || errno == EPERM)
		return 7;
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
		return 8;
	unlink(text);
	made = open(text, O_WRONLY | O_CREAT | O_EXCL, 0600);
	unlink(text);
	if (made < 0 || write(fd, "x", 1) != 1 || open("/proc/self/status", O_RDONLY) < 0)
		return 9;
	return prctl(PR_GET_DUMPABLE) || !prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) ? 10 : 0;
}

static void in_child(int (*f)(void))
{
	int status;
	pid_t child;

#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
	skip();
#endif
	child = fork();
	if (!child)
		_exit(f());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void what_is_not_needed_is_refused(void **state)
{
	(void)state;
	in_child(given_up);
}

static void what_parsing_does_not_need_is_refused(void **state)
{
	(void)state;
	in_child(given_up_before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_features_bounded),
		cmocka_unit_test(test_features_follow_capabilities),
		cmocka_unit_test(test_state_names),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_not_started),
		cmocka_unit_test(what_is_not_needed_is_refused),
		cmocka_unit_test(what_parsing_does_not_need_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
