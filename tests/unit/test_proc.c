/* SPDX-License-Identifier: BSD-2-Clause */
/* The parsers of /proc on text, load bias, and processes: ourselves, and children that ended. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proc/process.h"
#include "proc/procfs.h"
#include "runtime_world.h"

/* ---- text of /proc ---- */

#define STAT_TAIL " S 1 7 7 0 -1 4194560 1 2 3 4 500 60 0 0 20 0 9 0 123456 1 2 3 4 5 140000000 6 7"

static void test_stat(void **state)
{
	struct procfs_stat st;

	(void)state;
	assert_int_equal(procfs_parse_stat("42 (shop)" STAT_TAIL "\n", &st), 0);
	assert_int_equal(st.pid, 42);
	assert_string_equal(st.comm, "shop");
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.ppid, 1);
	assert_int_equal(st.flags, 4194560);
	assert_int_equal(st.user_ticks, 500);
	assert_int_equal(st.system_ticks, 60);
	assert_int_equal(st.threads, 9);
	assert_int_equal(st.start_ticks, 123456);
	assert_int_equal(st.start_stack, 140000000);
}

/* The name is the process's own: it may try to look like other fields. */
static void test_stat_hostile_name(void **state)
{
	struct procfs_stat st;
	char text[512];

	(void)state;
	assert_int_equal(procfs_parse_stat("7 (a) Z 99 (\n9)" STAT_TAIL, &st), 0);
	assert_int_equal(st.state, 'S');
	assert_string_equal(st.comm, "a) Z 99 (\n9");
	snprintf(text, sizeof(text), "7 (%0100d)%s", 0, STAT_TAIL);
	assert_int_equal(procfs_parse_stat(text, &st), 0);
	assert_int_equal(strlen(st.comm), sizeof(st.comm) - 1);
	assert_int_equal(st.threads, 9);

	assert_int_equal(procfs_parse_stat("", &st), -EBADMSG);
	assert_int_equal(procfs_parse_stat("7 (x", &st), -EBADMSG);
	assert_int_equal(procfs_parse_stat(")(", &st), -EBADMSG);
	assert_int_equal(procfs_parse_stat("7 (x)", &st), -EBADMSG);
	assert_int_equal(procfs_parse_stat("7 (x) S 1 2 3", &st), -EBADMSG);
}

static const char maps[] =
	"00400000-0060a000 r-xp 00000000 08:01 1234                  /srv/shop\n"
	"nonsense\n"
	"c000000000-c000400000 rw-p 00000000 00:00 0 \n"
	"7ffff7ff1000-7ffff7ff0000 r-xp 00000000 00:00 0 [upside down]\n"
	"7f0000000000-7f0000001000 rw-p 00001000 103:2 99 /a b (deleted)\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]";

static void test_maps(void **state)
{
	const char *pos = maps;
	struct procfs_mapping m;

	(void)state;
	assert_int_equal(procfs_next_mapping(&pos, &m), 1);
	assert_int_equal(m.start, 0x400000);
	assert_int_equal(m.end, 0x60a000);
	assert_true(m.read && m.exec && !m.write);
	assert_int_equal(m.dev, makedev(8, 1));
	assert_int_equal(m.ino, 1234);
	assert_int_equal(m.path_len, 9);
	assert_memory_equal(m.path, "/srv/shop", 9);
	assert_int_equal(procfs_next_mapping(&pos, &m), 1);
	assert_int_equal(m.start, 0xc000000000);
	assert_int_equal(m.path_len, 0);
	assert_int_equal(procfs_next_mapping(&pos, &m), 1);
	assert_int_equal(m.off, 0x1000);
	assert_int_equal(m.dev, makedev(0x103, 2));
	assert_memory_equal(m.path, "/a b (deleted)", m.path_len);
	assert_int_equal(procfs_next_mapping(&pos, &m), 1);
	assert_true(m.exec && !m.read);
	assert_int_equal(procfs_next_mapping(&pos, &m), 0);
	pos = "";
	assert_int_equal(procfs_next_mapping(&pos, &m), 0);
}

static void test_status(void **state)
{
	static const char text[] = "Name:\tTracerPid:\t9\nTgid:\t42\nTracerPid:\t17\nCapEff:"
				   "\t000001ffffffffff\nSeccomp:";
	uint64_t v;

	(void)state;
	assert_int_equal(procfs_status_u64(text, "TracerPid", 10, &v), 0);
	assert_int_equal(v, 17);
	assert_int_equal(procfs_status_u64(text, "CapEff", 16, &v), 0);
	assert_int_equal(v, 0x1ffffffffffull);
	assert_int_equal(procfs_status_u64(text, "Seccomp", 10, &v), -ENOENT);
	assert_int_equal(procfs_status_u64(text, "Tracer", 10, &v), -ENOENT);
	assert_int_equal(procfs_status_u64("", "Tgid", 10, &v), -ENOENT);
}

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_container(void **state)
{
	static const struct {
		const char *cgroup, *id;
	} c[] = {
		{ "0::/system.slice/docker-" ID64 ".scope\n", ID64 },
		{ "12:cpu,cpuacct:/docker/" ID64 "\n1:name=systemd:/docker/" ID64 "\n", ID64 },
		{ "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1234.slice/"
		  "cri-containerd-" ID64 ".scope",
		  ID64 },
		{ "11:pids:/kubepods/besteffort/pod6c1b/" ID64, ID64 },
		{ "0::/system.slice/containerd.service/kubepods-pod12.slice:cri-containerd:" ID64,
		  ID64 },
		{ "0::/kubepods.slice/crio-" ID64 ".scope/container", ID64 },
		{ "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID64
		  ".scope/container",
		  ID64 },
		{ "0::/../docker-0123456789ab.scope", "0123456789ab" },
		/* outside: the monitor, a plain service, a machine id, a pod's own slice */
		{ "0::/machine.slice/libpod-conmon-" ID64 ".scope", "" },
		{ "0::/system.slice/cron.service", "" },
		{ "0::/machine/0123456789abcdef0123456789abcdef", "" },
		{ "0::/system.slice/docker-0123456789.scope", "" },
		{ "0::/docker/" ID64 "0", "" },
		{ "0::/docker/"
		  "X123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		  "" },
		{ "0::/", "" },
		{ "", "" },
		{ "no colons", "" },
		{ "1:", "" },
		{ "::", "" },
	};
	char id[80];

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		procfs_parse_container(c[i].cgroup, id, sizeof(id));
		assert_string_equal(id, c[i].id);
	}
	procfs_parse_container(c[0].cgroup, id, 32); /* no room: nothing, not half of it */
	assert_string_equal(id, "");
}

static void test_timens(void **state)
{
	(void)state;
	assert_int_equal(
		procfs_parse_timens_mono("monotonic           10         5\nboottime 0 0\n"),
		10000000005);
	assert_int_equal(procfs_parse_timens_mono("boottime 0 0\nmonotonic -2 0\n"), -2000000000);
	assert_int_equal(procfs_parse_timens_mono("monotonic 9223372036854775807 0\n"), 0);
	assert_int_equal(procfs_parse_timens_mono(""), 0);
}

/* ---- load bias ---- */

static void pie_image(struct image *im, uint64_t addr, uint64_t off, uint64_t size)
{
	memset(im, 0, sizeof(*im));
	im->is_pie = true;
	im->nseg = 2;
	im->seg[0] = (struct image_segment){
		.addr = addr - off, .off = 0, .file_size = off, .mem_size = off, .read = true
	};
	im->seg[1] = (struct image_segment){ .addr = addr,
					     .off = off,
					     .file_size = size,
					     .mem_size = size,
					     .read = true,
					     .exec = true };
}

static uint64_t bias_of(const struct process *p, uint64_t addr, uint64_t off, const char *text)
{
	static struct image im;
	uint64_t bias = 1;

	pie_image(&im, addr, off, 0x5000);
	assert_true(process_find_bias(p, &im, text, &bias));
	return bias;
}

static void test_bias(void **state)
{
	struct process p = { .exe = "/srv/shop", .exe_ino = 1234, .exe_dev = makedev(8, 1) };
	static struct image im;
	uint64_t bias;

	(void)state;
	/* Go's linker: the first segment at 0x400000, code from 0x401000 */
	assert_int_equal(bias_of(&p, 0x401000, 0x1000,
				 "555500000000-555500001000 r--p 00000000 08:01 1234 /srv/shop\n"
				 "555500001000-555500006000 r-xp 00001000 08:01 1234 /srv/shop\n"),
			 0x555500000000 - 0x400000);
	/* the system's: code not at a page boundary, and the mapping cut in two */
	assert_int_equal(bias_of(&p, 0x2b40, 0x1b40,
				 "7f0000000000-7f0000001000 r-xp 00001000 08:02 1234 /lib/other\n"
				 "555500002000-555500004000 r-xp 00001000 08:01 1234 /srv/shop\n"
				 "555500004000-555500008000 r-xp 00003000 08:01 1234 /srv/shop\n"),
			 0x555500000000);
	/* a file system whose stat has another device than its mappings */
	assert_int_equal(bias_of(&p, 0x1000, 0x1000,
				 "555500001000-555500006000 r-xp 00001000 00:2f 1234 /srv/shop\n"),
			 0x555500000000);
	pie_image(&im, 0x1000, 0x1000, 0x5000);
	assert_false(process_find_bias(&p, &im, "", &bias));
	assert_false(
		process_find_bias(&p, &im, "1000-2000 r-xp 00001000 08:01 77 /lib/x\n", &bias));
	assert_false(process_find_bias(&p, &im, "1000-2000 rw-p 00001000 08:01 1234 /srv/shop\n",
				       &bias));
	assert_false(process_find_bias(&p, &im, "1000-2000 r-xp 00100000 08:01 1234 /srv/shop\n",
				       &bias));
}

/* ---- processes: ourselves, and children that ended ---- */

static void test_self(void **state)
{
	struct process p;
	uint64_t cpu, later, rss;
	int threads;

	(void)state;
	assert_int_equal(process_init(&p, getpid(), NULL), 0);
	assert_int_equal(process_check(&p), 0);
	assert_false(p.other_mnt_ns);
	assert_false(p.other_pid_ns);
	assert_false(p.exe_deleted);
	assert_int_equal(p.exe[0], '/');
	assert_int_equal(p.mono_offset_ns, 0);
	assert_true(p.start_real_ns <= clock_real_ns());
	assert_int_equal(process_cpu_ns(&p, &cpu), 0);
	do {
		assert_int_equal(process_cpu_ns(&p, &later), 0);
	} while (later == cpu);
	assert_true(later > cpu);
	assert_int_equal(process_usage(&p, &rss, &threads), 0);
	assert_true(rss > 65536);
	assert_int_equal(threads, 1);
	p.exe_ino++;
	assert_int_equal(process_check(&p), -ESTALE);
	p.exe_ino--;
	p.start_ticks++;
	assert_int_equal(process_check(&p), -ESRCH);
	process_deinit(&p);
}

static void test_no_process(void **state)
{
	struct process p;
	struct err err;

	(void)state;
	assert_int_equal(process_init(&p, 0, &err), -ESRCH);
	assert_int_equal(process_init(&p, -1, &err), -ESRCH);
	assert_int_equal(process_init(&p, 0x7ffffff0, &err), -ESRCH);
	assert_non_null(strstr(err.what, "there is no process"));
}

static void test_zombie(void **state)
{
	struct process p;
	struct err err;
	siginfo_t info;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(0);
	assert_true(child > 0);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(process_init(&p, child, &err), -ESRCH);
	assert_non_null(strstr(err.what, "zombie"));
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_ends(void **state)
{
	struct process p;
	int fd[2];
	pid_t child;

	(void)state;
	assert_int_equal(pipe(fd), 0);
	child = fork();
	if (child == 0) {
		char c;

		close(fd[1]);
		_exit(read(fd[0], &c, 1) < 0);
	}
	assert_int_equal(process_init(&p, child, NULL), 0);
	assert_int_equal(process_check(&p), 0);
	close(fd[0]);
	close(fd[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(process_check(&p), -ESRCH);
	process_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),       cmocka_unit_test(test_stat_hostile_name),
		cmocka_unit_test(test_maps),       cmocka_unit_test(test_status),
		cmocka_unit_test(test_container),  cmocka_unit_test(test_timens),
		cmocka_unit_test(test_bias),       cmocka_unit_test(test_self),
		cmocka_unit_test(test_no_process), cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
