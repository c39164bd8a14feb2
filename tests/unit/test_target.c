/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * src/target without a Go process: the parsers of /proc on text, the memory
 * readers, and the goroutine walk on a process made up here: the tables of a
 * real executable (each release's), and memory written by the layout.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "gobin/gobin.h"
#include "gort/goruntime.h"
#include "proc/mem.h"
#include "proc/pause.h"
#include "proc/process.h"
#include "proc/procfs.h"
#include "releases.h"

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

/* ---- memory ---- */

static void test_mem_live(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *area =
		mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mem_piece p[1200];
	struct memreader *m;
	char got[1200];
	uint64_t at = (uint64_t)(uintptr_t)area;

	(void)state;
	assert_true(area != MAP_FAILED);
	for (size_t i = 0; i < 4 * page; i++)
		area[i] = (char)(i * 7);
	assert_int_equal(mprotect(area + page, page, PROT_NONE), 0);
	assert_int_equal(mem_open_pid(&m, getpid(), NULL), 0);

	/* bytes all over three pages: those of the second fail, no other */
	for (size_t i = 0; i < 1200; i++)
		p[i] = (struct mem_piece){ .addr = at + i % 3 * page + i,
					   .dst = &got[i],
					   .len = 1 };
	assert_int_equal(mem_read_many(m, p, 1200), 400);
	for (size_t i = 0; i < 1200; i++) {
		bool hole = p[i].addr >= at + page && p[i].addr < at + 2 * page;

		assert_int_equal(p[i].status, hole ? -EFAULT : 0);
		if (!hole)
			assert_int_equal(got[i], area[p[i].addr - at]);
	}
	assert_int_equal(m->failures, 400);
	assert_int_equal(m->bytes, 800);

	/* neighbours go as one, and still fail alone */
	for (size_t i = 0; i < 8; i++)
		p[i] = (struct mem_piece){ .addr = at + page - 4 + i, .dst = &got[i], .len = 1 };
	assert_int_equal(mem_read_many(m, p, 8), 4);
	assert_int_equal(p[3].status, 0);
	assert_int_equal(p[4].status, -EFAULT);

	assert_int_equal(mem_read(m, at + page - 4, got, 8), -EFAULT);
	assert_int_equal(mem_read(m, 0, got, 8), -EFAULT);
	assert_int_equal(mem_read(m, UINT64_MAX - 3, got, 8), -EFAULT);
	assert_int_equal(mem_read(m, 1ull << 62, got, 8), -EFAULT);
	assert_int_equal(mem_read(m, at, got, 0), 0);
	mem_free(m);
	munmap(area, 4 * page);
}

/* Another process, with a page that is not there: one of many pieces fails, and what is behind it is read. */
static void test_mem_hole(void **state)
{
	enum { N = 3000, BAD = 1700 };
	static struct mem_piece p[N];
	static uint64_t got[N];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t *area =
		mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct memreader *m;
	int fd[2];
	pid_t child;

	(void)state;
	assert_true(area != MAP_FAILED);
	for (size_t i = 0; i < page; i++)
		area[i] = i ^ 0x5555;
	assert_int_equal(munmap((char *)area + 7 * page, page), 0);
	assert_int_equal(pipe(fd), 0);
	child = fork();
	if (!child) {
		close(fd[1]);
		_exit(read(fd[0], got, 1) == 0 ? 0 : 1);
	}
	close(fd[0]);
	assert_int_equal(mem_open_pid(&m, child, NULL), 0);
	for (size_t i = 0; i < N; i++) /* every other word: none is the other's neighbour */
		p[i] = (struct mem_piece){ .addr = (uint64_t)(uintptr_t)(area +
									 2 * i % (7 * page / 8)),
					   .dst = &got[i],
					   .len = 8 };
	p[BAD].addr = (uint64_t)(uintptr_t)area + 7 * page - 4; /* half of it is there */
	assert_int_equal(mem_read_many(m, p, N), 1);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(p[i].status, i == BAD ? -EFAULT : 0);
		if (i != BAD)
			assert_int_equal(got[i], (2 * i % (7 * page / 8)) ^ 0x5555);
	}
	assert_true(m->calls <= N / 512 + 2);
	mem_free(m);
	close(fd[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	munmap(area, 7 * page);
}

static void temp_path(char *out, size_t size)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(out, size, "%s/gospect-test-XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(out);
	assert_true(fd >= 0);
	close(fd);
}

static void test_mem_recording(void **state)
{
	static const char text[] = "goroutines never end by themselves";
	uint64_t at = (uint64_t)(uintptr_t)text;
	struct memreader *live, *rec, *file;
	char path[256], got[64];
	uint64_t word;

	(void)state;
	temp_path(path, sizeof(path));
	assert_int_equal(mem_open_pid(&live, getpid(), NULL), 0);
	assert_int_equal(mem_open_recorder(&rec, live, path, NULL), 0);
	assert_int_equal(mem_read(rec, at + 10, got, 10), 0);
	assert_int_equal(mem_read(rec, at, got, 10), 0);     /* touches the first */
	assert_int_equal(mem_read(rec, at + 5, got, 8), 0);  /* overlaps both */
	assert_int_equal(mem_read(rec, at + 24, got, 4), 0); /* apart */
	assert_int_equal(mem_read(rec, 0, got, 4), -EFAULT);
	mem_free(rec);
	mem_free(live);

	assert_int_equal(mem_open_file(&file, path, NULL), 0);
	assert_int_equal(mem_read(file, at, got, 20), 0);
	assert_memory_equal(got, text, 20);
	assert_int_equal(mem_read_u64(file, at + 3, &word), 0);
	assert_memory_equal(&word, text + 3, 8);
	assert_int_equal(mem_read(file, at, got, 21), -EFAULT);
	assert_int_equal(mem_read(file, at + 20, got, 1), -EFAULT);
	assert_int_equal(mem_read(file, at + 24, got, 4), 0);
	assert_int_equal(mem_read(file, at - 1, got, 4), -EFAULT);
	mem_free(file);
	unlink(path);
}

static void write_file(const char *path, const void *data, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
}

static void test_mem_bad_recording(void **state)
{
	static const char head[] = "gspmem1\n";
	char bytes[64] = { 0 }, path[256];
	struct memreader *m;
	struct err err;

	(void)state;
	temp_path(path, sizeof(path));
	write_file(path, "", 0);
	assert_int_equal(mem_open_file(&m, path, &err), -EBADMSG);
	write_file(path, "gspmem2\n", 8);
	assert_int_equal(mem_open_file(&m, path, &err), -EBADMSG);
	memcpy(bytes, head, 8);
	memset(bytes + 16, 0xff, 4); /* a record of 4 GiB */
	write_file(path, bytes, 40);
	assert_int_equal(mem_open_file(&m, path, &err), -EBADMSG);
	write_file(path, bytes, 12); /* cut off in its head */
	assert_int_equal(mem_open_file(&m, path, &err), -EBADMSG);
	write_file(path, head, 8); /* nothing recorded is fine */
	assert_int_equal(mem_open_file(&m, path, &err), 0);
	mem_free(m);
	unlink(path);
	assert_int_equal(mem_open_file(&m, path, &err), -ENOENT);
}

/* ---- a made-up Go process ---- */

#define WORLD_MAX     256
#define NG            12
#define NP            4
#define G_ADDR(i)     (0xc000100000ull + 512 * (uint64_t)(i))
#define P_ADDR(i)     (0xc000200000ull + 65536 * (uint64_t)(i))
#define ARRAY_ADDR    0xc000300000ull
#define ALLP_ADDR     0xc000310000ull
#define STACK_ADDR(i) (0xc000400000ull + 8192 * (uint64_t)(i))

struct area {
	uint64_t addr;
	uint32_t len;
	uint8_t *data;
};

struct world {
	struct gobin *gb;
	struct area area[WORLD_MAX];
	size_t n;
	uint64_t main_entry, start_entry, goexit_entry, system_entry;
	char path[256];
	struct memreader *mem;
	struct goruntime rt;
};

static uint8_t *area_at(struct world *w, uint64_t addr, uint32_t len)
{
	for (size_t i = 0; i < w->n; i++)
		if (addr >= w->area[i].addr && addr + len <= w->area[i].addr + w->area[i].len)
			return w->area[i].data + (addr - w->area[i].addr);
	assert_true(w->n < WORLD_MAX);
	w->area[w->n] = (struct area){ .addr = addr, .len = len, .data = calloc(1, len) };
	return w->area[w->n++].data;
}

static void put(struct world *w, uint64_t addr, uint64_t v, int size)
{
	uint8_t *p = area_at(w, addr, (uint32_t)size);

	for (int i = 0; i < size; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void put_field(struct world *w, uint64_t base, enum layout_field f, uint64_t v, int size)
{
	int32_t off = layout_off(w->gb->layout, f);

	if (off >= 0 && base)
		put(w, base + (uint64_t)off, v, size);
}

static void put_g(struct world *w, int i, uint64_t goid, int status, int reason, uint64_t startpc)
{
	uint64_t g = G_ADDR(i), sp = STACK_ADDR(i) + 4096 - 64;

	put(w, ARRAY_ADDR + 8 * (uint64_t)i, g, 8);
	put_field(w, g, LAYOUT_G_GOID, goid, 8);
	put_field(w, g, LAYOUT_G_ATOMICSTATUS, (uint64_t)status, 4);
	put_field(w, g, LAYOUT_G_WAITREASON, (uint64_t)reason, 1);
	put_field(w, g, LAYOUT_G_STACK_LO, STACK_ADDR(i), 8);
	put_field(w, g, LAYOUT_G_STACK_HI, STACK_ADDR(i) + 4096, 8);
	put_field(w, g, LAYOUT_G_GOPC, w->main_entry + 1, 8);
	put_field(w, g, LAYOUT_G_STARTPC, startpc, 8);
	/* not begun: it stands at its entry, goexit is the return address */
	put_field(w, g, LAYOUT_G_SCHED_PC, startpc, 8);
	put_field(w, g, LAYOUT_G_SCHED_SP, sp, 8);
	put_field(w, g, LAYOUT_G_SYSCALLPC, startpc, 8);
	put_field(w, g, LAYOUT_G_SYSCALLSP, sp, 8);
	put(w, sp, w->goexit_entry + 1, 8);
}

static uint64_t entry_of(struct world *w, const char *name)
{
	struct gofunc fn;

	assert_int_equal(pclntab_find_name(w->gb->pcln, name, &fn), 0);
	return fn.entry;
}

static void make_goroutines(struct world *w)
{
	uint64_t *global = w->gb->global;

	for (int i = 0; i < NG; i++)
		area_at(w, G_ADDR(i), 512);
	area_at(w, ARRAY_ADDR, 8 * NG);
	for (int i = 0; i < NG; i++)
		area_at(w, STACK_ADDR(i), 4096);
	put_g(w, 0, 1, GO_WAITING, 14, w->main_entry);
	put_g(w, 1, 2, GO_WAITING, 9, w->system_entry);
	put_g(w, 2, 3, GO_WAITING | 0x1000, 14, w->start_entry); /* being scanned */
	put_g(w, 3, 4, GO_RUNNING, 0, w->start_entry);
	put_g(w, 4, 5, GO_SYSCALL, 0, w->start_entry);
	put_g(w, 5, 6, GO_RUNNABLE, 0, w->start_entry);
	put_g(w, 6, 7, GO_PREEMPTED, 0, w->start_entry);
	for (int i = 7; i < NG; i++)
		put_g(w, i, 7 + (uint64_t)i, i < NG - 1 ? GO_DEAD : GO_IDLE, 0, w->start_entry);
	put(w, global[GLOBAL_ALLGS], ARRAY_ADDR, 8);
	put(w, global[GLOBAL_ALLGS] + 8, NG, 8);
	put(w, global[GLOBAL_ALLGS] + 16, 2 * NG, 8);
	put(w, global[GLOBAL_ALLGPTR], ARRAY_ADDR, 8);
	put(w, global[GLOBAL_ALLGLEN], NG, 8);
}

/* 12 g's: 1 of the runtime, 3 free at the scheduler, 2 at the Ps: 6 live. */
static void make_scheduler(struct world *w)
{
	uint64_t sched = w->gb->global[GLOBAL_SCHED], allp = w->gb->global[GLOBAL_ALLP];

	area_at(w, sched, (uint32_t)layout_off(w->gb->layout, LAYOUT_SCHED_SIZE));
	put_field(w, sched, LAYOUT_SCHED_GOIDGEN, 64, 8);
	put_field(w, sched, LAYOUT_SCHED_NGSYS, 1, 4);
	put_field(w, sched, LAYOUT_SCHED_GFREE_N, 3, 4);
	put_field(w, sched, LAYOUT_SCHED_GFREE_STACK_SIZE, 1, 4);
	put_field(w, sched, LAYOUT_SCHED_GFREE_NOSTACK_SIZE, 2, 4);
	put_field(w, sched, LAYOUT_SCHED_GOROUTINESCREATED, 18, 8);
	put(w, allp, ALLP_ADDR, 8);
	put(w, allp + 8, NP, 8);
	put(w, allp + 16, NP + 1, 8); /* one P of an earlier, higher GOMAXPROCS */
	area_at(w, ALLP_ADDR, 8 * (NP + 1));
	for (uint32_t i = 0; i <= NP; i++) {
		area_at(w, P_ADDR(i), (uint32_t)layout_off(w->gb->layout, LAYOUT_P_SIZE));
		put(w, ALLP_ADDR + 8 * i, P_ADDR(i), 8);
		put_field(w, P_ADDR(i), LAYOUT_P_ID, i, 4);
		put_field(w, P_ADDR(i), LAYOUT_P_STATUS, i < NP ? 1 : 4, 4);
		put_field(w, P_ADDR(i), LAYOUT_P_GOIDCACHE, 16 * i + 10, 8);
		put_field(w, P_ADDR(i), LAYOUT_P_GOIDCACHEEND, 16 * i + 16, 8);
		put_field(w, P_ADDR(i), LAYOUT_P_GFREE_N, i < 2, 4);
		put_field(w, P_ADDR(i), LAYOUT_P_GOROUTINESCREATED, i < NP ? 4 : 0, 8);
	}
}

static void make_gc(struct world *w)
{
	uint64_t *global = w->gb->global, stats = global[GLOBAL_MEMSTATS];
	uint64_t ctl = global[GLOBAL_GCCONTROLLER], ring;
	double fraction = 0.25;
	uint64_t bits;

	memcpy(&bits, &fraction, sizeof(bits));
	area_at(w, stats, 32768);
	put_field(w, stats, LAYOUT_MSTATS_NUMGC, 300, 4);
	put_field(w, stats, LAYOUT_MSTATS_NUMFORCEDGC, 7, 4);
	put_field(w, stats, LAYOUT_MSTATS_PAUSE_TOTAL_NS, 123456, 8);
	put_field(w, stats, LAYOUT_MSTATS_LAST_GC_UNIX, 555, 8);
	put_field(w, stats, LAYOUT_MSTATS_GC_CPU_FRACTION, bits, 8);
	ring = stats + (uint64_t)layout_off(w->gb->layout, LAYOUT_MSTATS_PAUSE_END);
	put(w, ring + 8 * (299 % 256), 555, 8);
	ring = stats + (uint64_t)layout_off(w->gb->layout, LAYOUT_MSTATS_PAUSE_NS);
	put(w, ring + 8 * (299 % 256), 77, 8);
	put_field(w, global[GLOBAL_WORK], LAYOUT_WORK_CYCLES, 301, 4);

	area_at(w, ctl, 1024);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_GCPERCENT, 50, 4);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_HEAPMINIMUM, 2 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_MEMORYLIMIT, INT64_MAX, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_GCPERCENTHEAPGOAL, 30 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_HEAPLIVE, 25 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_HEAPMARKED, 20 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_TOTALALLOC, 90 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_TOTALFREE, 65 << 20, 8);
	put_field(w, ctl, LAYOUT_GCCONTROLLER_MAPPEDREADY, 40 << 20, 8);
}

static void world_make(struct world *w, const char *release)
{
	char path[512];

	memset(w, 0, sizeof(*w));
	if (!program_path(path, sizeof(path), "work-%s-stripped", release))
		skip();
	assert_int_equal(gobin_open(&w->gb, path, NULL), 0);
	w->main_entry = entry_of(w, "runtime.main");
	w->start_entry = entry_of(w, "main.main");
	w->goexit_entry = entry_of(w, "runtime.goexit");
	w->system_entry = entry_of(w, "runtime.bgsweep");
	put(w, w->gb->mod.addr, w->gb->mod.pclntab, 8);
	put_field(w, w->gb->mod.addr, LAYOUT_MODULEDATA_TEXT, w->gb->mod.text, 8);
	make_goroutines(w);
	make_scheduler(w);
	make_gc(w);
}

static void append_le(FILE *f, uint64_t v, int n)
{
	for (; n--; v >>= 8)
		fputc((int)(v & 0xff), f);
}

/* The world as a recording, read back: what the walk then sees. */
static int world_bind(struct world *w, struct err *err)
{
	FILE *f;

	temp_path(w->path, sizeof(w->path));
	f = fopen(w->path, "wb");
	assert_non_null(f);
	fwrite("gspmem1\n", 8, 1, f);
	for (size_t i = 0; i < w->n; i++) {
		append_le(f, w->area[i].addr, 8);
		append_le(f, w->area[i].len, 4);
		fwrite(w->area[i].data, w->area[i].len, 1, f);
	}
	fclose(f);
	assert_int_equal(mem_open_file(&w->mem, w->path, NULL), 0);
	unlink(w->path);
	return goruntime_init(&w->rt, w->gb, w->mem, 0, 0, err);
}

static void world_free(struct world *w)
{
	goruntime_deinit(&w->rt);
	mem_free(w->mem);
	gobin_free(w->gb);
	for (size_t i = 0; i < w->n; i++)
		free(w->area[i].data);
}

static void expect_off(const struct world *w, enum gofact f, const char *why)
{
	for (int i = 0; i < FACT_COUNT; i++)
		if (i != (int)f && w->rt.why_off[i][0])
			fail_msg("fact %d is off too: %s", i, w->rt.why_off[i]);
	assert_non_null(strstr(w->rt.why_off[f], why));
}

static void check_totals(struct world *w)
{
	struct gototals t;

	assert_int_equal(goruntime_totals(&w->rt, &t), 0);
	assert_true(t.has_live && t.has_created && t.has_gc && t.has_heap);
	assert_int_equal(t.live, 12 - 1 - 3 - 2);
	assert_int_equal(t.system, 1);
	/* 64 ids given out, 6 of them unused at each of 5 Ps; from 1.26 the counters */
	assert_int_equal(t.created, 34);
	assert_int_equal(t.numgc, 300);
	assert_int_equal(t.numforcedgc, 7);
	assert_int_equal(t.pause_total_ns, 123456);
	assert_int_equal(t.pause_ns[(t.numgc + 255) % 256], 77);
	assert_int_equal(t.pause_end_unix_ns[(t.numgc + 255) % 256], 555);
	assert_true(t.gc_cpu_fraction == 0.25);
	assert_int_equal(t.gogc, 50);
	assert_int_equal(t.heap_live, 25 << 20);
	assert_int_equal(t.heap_marked, 20 << 20);
	assert_int_equal(t.heap_goal, 30 << 20);
	assert_int_equal(t.has_total_alloc, w->gb->release.minor >= 19);
	assert_int_equal(t.total_alloc - t.total_free, w->gb->release.minor >= 19 ? 25 << 20 : 0);
	assert_true(t.memory_limit == (w->gb->release.minor >= 19 ? INT64_MAX : -1));
}

static void check_walk(struct world *w)
{
	static const char *const words[] = { NULL,      NULL,       NULL,       "running",
					     "syscall", "runnable", "preempted" };
	struct gowalk walk = { 0 };
	uint64_t pcs[8];
	struct goframe frame[8];

	assert_int_equal(goruntime_walk(&w->rt, &walk, NULL), 0);
	assert_int_equal(walk.n, 7);
	assert_int_equal(walk.user, 6);
	assert_int_equal(walk.system, 1);
	assert_int_equal(walk.failures, 0);
	for (size_t i = 0; i < walk.n; i++) {
		const struct goroutine *g = &walk.g[i];
		bool runs = g->status == GO_RUNNING;

		assert_int_equal(g->goid, i + 1);
		assert_int_equal(g->addr, G_ADDR(i));
		assert_int_equal(g->system, i == 1);
		if (words[i])
			assert_string_equal(goroutine_state(&w->rt, g), words[i]);
		else
			assert_string_equal(goroutine_state(&w->rt, g),
					    layout_wait_reason(w->gb->layout, i == 1 ? 9 : 14));
		assert_int_equal(goruntime_stack(&w->rt, g, pcs, 8), runs ? 0 : 1);
		if (!runs)
			assert_int_equal(pcs[0], g->startpc);
	}
	pcs[0] = w->start_entry;
	assert_int_equal(goruntime_frames(&w->rt, pcs, 1, frame, 8), 1);
	assert_string_equal(frame[0].function, "main.main");
	gowalk_deinit(&walk);
}

static void check_release(const char *release)
{
	struct world w;

	world_make(&w, release);
	assert_int_equal(world_bind(&w, NULL), 0);
	for (int i = 0; i < FACT_COUNT; i++)
		assert_string_equal(w.rt.why_off[i], "");
	check_totals(&w);
	check_walk(&w);
	world_free(&w);
}

static void test_release(void **state)
{
	check_release(*state);
}

/* A world of one release, spoilt in one place before it is bound. */
static const char release[] = "usual";

static void test_list_too_long(void **state)
{
	struct world w;
	struct err err;

	(void)state;
	world_make(&w, release);
	put(&w, w.gb->global[GLOBAL_ALLGS] + 8, 1ull << 62, 8);
	put(&w, w.gb->global[GLOBAL_ALLGS] + 16, 1ull << 62, 8);
	put(&w, w.gb->global[GLOBAL_ALLGLEN], 1ull << 62, 8);
	assert_int_equal(world_bind(&w, &err), -ENOEXEC);
	assert_non_null(strstr(err.what, "impossible length"));
	world_free(&w);
}

static void test_image_elsewhere(void **state)
{
	struct world w;
	struct err err;

	(void)state;
	world_make(&w, release);
	put(&w, w.gb->mod.addr, w.gb->mod.pclntab + 4096, 8);
	assert_int_equal(world_bind(&w, &err), -ENOEXEC);
	assert_non_null(strstr(err.what, "module data"));
	world_free(&w);
}

static void spoil_g(struct world *w, int i, enum layout_field f, uint64_t v, int size)
{
	put_field(w, G_ADDR(i), f, v, size);
}

static void test_bad_goroutines(void **state)
{
	static const struct {
		enum layout_field f;
		uint64_t v;
		int size;
		const char *why;
	} c[] = {
		{ LAYOUT_G_GOID, 1, 8, "share an id" },
		{ LAYOUT_G_GOID, 0, 8, "no id" },
		{ LAYOUT_G_ATOMICSTATUS, 77, 4, "state" },
		{ LAYOUT_G_STACK_HI, 16, 8, "impossible stack" },
		{ LAYOUT_G_STACK_HI, 1ull << 62, 8, "impossible stack" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct world w;

		world_make(&w, release);
		spoil_g(&w, 3, c[i].f, c[i].v, c[i].size);
		assert_int_equal(world_bind(&w, NULL), 0); /* the counters still hold */
		assert_non_null(strstr(w.rt.why_off[FACT_GOROUTINES], c[i].why));
		assert_false(goruntime_has(&w.rt, FACT_STACKS));
		assert_true(goruntime_has(&w.rt, FACT_LIVE));
		assert_true(goruntime_has(&w.rt, FACT_GC));
		world_free(&w);
	}
}

static void test_not_main(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, release);
	spoil_g(&w, 0, LAYOUT_G_STARTPC, w.start_entry, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_non_null(strstr(w.rt.why_off[FACT_GOROUTINES], "runtime.main"));
	world_free(&w);
}

static void test_bad_counters(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, release);
	put_field(&w, P_ADDR(2), LAYOUT_P_ID, 7, 4);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_non_null(strstr(w.rt.why_off[FACT_LIVE], "numbered"));
	assert_true(goruntime_has(&w.rt, FACT_GOROUTINES));
	world_free(&w);

	world_make(&w, release);
	put(&w, w.gb->global[GLOBAL_ALLP] + 16, 1ull << 62, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_non_null(strstr(w.rt.why_off[FACT_CREATED], "allp"));
	world_free(&w);

	world_make(&w, release);
	put_field(&w, w.gb->global[GLOBAL_SCHED], LAYOUT_SCHED_GOROUTINESCREATED, 1000, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_CREATED, "disagree");
	world_free(&w);

	world_make(&w, release); /* 2 live by the scheduler, 6 in the list */
	put_field(&w, w.gb->global[GLOBAL_SCHED], LAYOUT_SCHED_GFREE_STACK_SIZE, 5, 4);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_LIVE, "the list has 6");
	world_free(&w);
}

static void test_bad_gc(void **state)
{
	struct world w;
	struct gototals t;

	(void)state;
	world_make(&w, release);
	put_field(&w, w.gb->global[GLOBAL_WORK], LAYOUT_WORK_CYCLES, 303, 4);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_GC, "disagree");
	assert_int_equal(goruntime_totals(&w.rt, &t), 0);
	assert_false(t.has_gc);
	assert_true(t.has_heap && t.has_live);
	world_free(&w);

	world_make(&w, release);
	put_field(&w, w.gb->global[GLOBAL_MEMSTATS], LAYOUT_MSTATS_LAST_GC_UNIX, 556, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_GC, "contradicts");
	world_free(&w);

	world_make(&w, release);
	put_field(&w, w.gb->global[GLOBAL_GCCONTROLLER], LAYOUT_GCCONTROLLER_HEAPMINIMUM, 5 << 20,
		  8);
	assert_int_equal(world_bind(&w, NULL), 0);
	expect_off(&w, FACT_HEAP, "minimum");
	world_free(&w);
}

static void test_goals(void **state)
{
	struct world w;
	struct gototals t;
	uint64_t ctl;

	(void)state;
	world_make(&w, release); /* GOGC=off, no limit: no goal */
	ctl = w.gb->global[GLOBAL_GCCONTROLLER];
	put_field(&w, ctl, LAYOUT_GCCONTROLLER_GCPERCENT, (uint32_t)-1, 4);
	put_field(&w, ctl, LAYOUT_GCCONTROLLER_GCPERCENTHEAPGOAL, UINT64_MAX, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_int_equal(goruntime_totals(&w.rt, &t), 0);
	assert_int_equal(t.gogc, -1);
	assert_int_equal(t.heap_goal, 0);
	world_free(&w);

	/* a limit of 42 MiB, 40 mapped, 25 in use, none free: 15 are not heap.
	 * 42 - 15 = 27, less the headroom of 1 MiB */
	world_make(&w, release);
	put_field(&w, ctl, LAYOUT_GCCONTROLLER_MEMORYLIMIT, 42 << 20, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_int_equal(goruntime_totals(&w.rt, &t), 0);
	assert_int_equal(t.heap_goal, 26 << 20);
	world_free(&w);

	world_make(&w, release); /* over the limit: what is marked */
	put_field(&w, ctl, LAYOUT_GCCONTROLLER_MEMORYLIMIT, 10 << 20, 8);
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_int_equal(goruntime_totals(&w.rt, &t), 0);
	assert_int_equal(t.heap_goal, 20 << 20);
	world_free(&w);
}

/* After the binding the list may still turn bad: bounded, counted, no crash. */
static void test_walk_of_garbage(void **state)
{
	struct gowalk walk = { 0 };
	struct world w, bad;
	struct memreader *mem;

	(void)state;
	world_make(&w, release);
	assert_int_equal(world_bind(&w, NULL), 0);
	world_make(&bad, release);
	put(&bad, ARRAY_ADDR, 0, 8);               /* NULL */
	put(&bad, ARRAY_ADDR + 8, G_ADDR(2), 8);   /* twice */
	put(&bad, ARRAY_ADDR + 24, 0xdead0000, 8); /* not mapped */
	put(&bad, ARRAY_ADDR + 32, ~0ull, 8);
	put_field(&bad, G_ADDR(5), LAYOUT_G_ATOMICSTATUS, 0xffffffff & ~0x1000u, 4);
	assert_int_equal(world_bind(&bad, NULL), 0);
	mem = w.rt.mem;
	w.rt.mem = bad.mem;
	assert_int_equal(goruntime_walk(&w.rt, &walk, NULL), 0);
	w.rt.mem = mem;
	/* 0 as known from before the list changed: the known part is not read again */
	assert_int_equal(walk.user + walk.system + walk.failures, 7);
	gowalk_deinit(&walk);

	/* bound to it from the start */
	assert_false(goruntime_has(&bad.rt, FACT_GOROUTINES));
	assert_int_equal(goruntime_walk(&bad.rt, &walk, NULL), 0);
	assert_int_equal(walk.n, 2);        /* g 3 and g 7 */
	assert_int_equal(walk.failures, 5); /* the four, and a state that is none */
	gowalk_deinit(&walk);
	world_free(&bad);
	world_free(&w);
}

static void test_stack_garbage(void **state)
{
	struct gowalk walk = { 0 };
	uint64_t pcs[600];
	struct world w;

	(void)state;
	world_make(&w, release);
	/* every return address is the function itself: ends at the stack's end */
	for (uint64_t a = STACK_ADDR(2); a < STACK_ADDR(2) + 4096; a += 8)
		put(&w, a, w.start_entry, 8);
	spoil_g(&w, 2, LAYOUT_G_SCHED_SP, STACK_ADDR(2), 8);
	spoil_g(&w, 5, LAYOUT_G_SCHED_SP, STACK_ADDR(5) + 4096, 8); /* outside */
	spoil_g(&w, 6, LAYOUT_G_SCHED_PC, 3, 8);                    /* no code */
	assert_int_equal(world_bind(&w, NULL), 0);
	assert_string_equal(w.rt.why_off[FACT_STACKS], "");
	assert_int_equal(goruntime_walk(&w.rt, &walk, NULL), 0);
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[2], pcs, 600), 513);
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[2], pcs, 10), 10);
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[5], pcs, 600), 0);
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[6], pcs, 600), 0);
	/* it has run since: another sp than the one read */
	walk.g[0].sched_sp -= 8;
	assert_int_equal(goruntime_stack(&w.rt, &walk.g[0], pcs, 600), 0);
	gowalk_deinit(&walk);
	world_free(&w);
}

/* A process whose cgroup is frozen, version 2 and 1. */
static void frozen_cgroups(void **state)
{
	char root[] = "/tmp/gospect-frozen-XXXXXX", path[128];
	static const struct {
		const char *dir, *file, *says, *cgroup;
		bool frozen;
	} c[] = {
		{ "unified", "cgroup.events", "populated 1\nfrozen 1\n", "1:cpu:/\n0::/unified\n",
		  true },
		{ "plain", "cgroup.events", "populated 1\nfrozen 0\n", "0::/plain\n", false },
		{ "freezer", "freezer.state", "FROZEN\n", "6:freezer:/\n0::/\n", true },
		{ "freezer", "freezer.state", "THAWED\n", "6:freezer:/\n0::/\n", false },
		{ "freezer", "freezer.state", "FROZEN\n", "6:cpu:/\n", false },
	};

	(void)state;
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", root, c[i].dir);
		assert_int_equal(mkdir(path, 0700), 0);
		snprintf(path, sizeof(path), "%s/%s/%s", root, c[i].dir, c[i].file);
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(c[i].says, f);
		fclose(f);
		assert_int_equal(pause_is_frozen(root, c[i].cgroup), c[i].frozen);
		unlink(path);
		snprintf(path, sizeof(path), "%s/%s", root, c[i].dir);
		rmdir(path);
	}
	rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frozen_cgroups),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_stat_hostile_name),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_container),
		cmocka_unit_test(test_timens),
		cmocka_unit_test(test_bias),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_no_process),
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_mem_live),
		cmocka_unit_test(test_mem_hole),
		cmocka_unit_test(test_mem_recording),
		cmocka_unit_test(test_mem_bad_recording),
#define RELEASE(minor, name) \
	{ "walk and totals, Go " name, test_release, NULL, NULL, (void *)name },
#include "gobin/releases.def"
		cmocka_unit_test(test_list_too_long),
		cmocka_unit_test(test_image_elsewhere),
		cmocka_unit_test(test_bad_goroutines),
		cmocka_unit_test(test_not_main),
		cmocka_unit_test(test_bad_counters),
		cmocka_unit_test(test_bad_gc),
		cmocka_unit_test(test_goals),
		cmocka_unit_test(test_walk_of_garbage),
		cmocka_unit_test(test_stack_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
