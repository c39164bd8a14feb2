/* SPDX-License-Identifier: BSD-2-Clause */
/* The BPF object: opened with only the programs that have a site, loaded,
 * its shared tables mapped. */
#include "trace/priv.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "gobin/gobin.h"
#include "gospect.skel.h"
#include "trace/maptable.h"

/* libbpf's print callback has no context: the last complaint of this thread. */
static __thread char last_words[256];

static int keep_last_words(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[512];
	size_t n;

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	n = strcspn(line, "\n");
	line[n < sizeof(last_words) ? n : sizeof(last_words) - 1] = '\0';
	/* The first complaint names the cause, the rest its consequences. */
	if (!last_words[0])
		memcpy(last_words, line, strlen(line) + 1);
	return 0;
}

static void collect_programs(struct trace *t)
{
	struct bpf_program *const progs[PROG_COUNT] = {
#define PROGRAM(id, function) [PROG_##id] = t->skel->progs.function,
#include "gospect/probes.def"
	};
	bool used[PROG_COUNT] = { false };

	for (int i = 0; i < PROBE_COUNT; i++)
		if (trace_probe(t, (enum probe_id)i))
			used[trace_prog_of((enum probe_id)i)] = true;
	for (int i = 0; i < PROG_COUNT; i++) {
		t->arm[i].prog = progs[i];
		bpf_program__set_autoload(progs[i], used[i]);
		if (t->features.method == TRACE_METHOD_MULTI)
			bpf_program__set_expected_attach_type(progs[i], ATTACH_UPROBE_MULTI);
	}
}

/* Programs see pids of the machine's first pid namespace, unless asked for another. */
static void set_pid_namespace(struct trace *t)
{
	pidns_of(t->cfg.pid, &t->pidns);
	t->skel->rodata->gs_pidns_dev = t->pidns.dev;
	t->skel->rodata->gs_pidns_ino = t->pidns.ino;
}

static uint32_t used_sensors(struct trace *t)
{
	uint32_t used = 0;

	for (int i = 0; i < SENSOR_COUNT; i++)
		used |= trace_uses(t, SENSOR_BIT(i)) ? SENSOR_BIT(i) : 0;
	return used;
}

static uint64_t count_threads(pid_t pid)
{
	char path[64];
	uint64_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 2 ? n - 2 : 0;
}

static void size_maps(struct trace *t)
{
	const struct map_needs needs = {
		.sensors = used_sensors(t),
		.functions = t->cfg.gb ? (uint64_t)pclntab_nfunc(t->cfg.gb->pcln) : 0,
		.threads = count_threads(t->cfg.pid),
	};

	map_sizes(&needs, &t->sizes);
#define SIZE(map) bpf_map__set_max_entries(t->skel->maps.map, t->sizes.map)
	SIZE(specs), SIZE(counters), SIZE(gc), SIZE(sites), SIZE(births), SIZE(stacks);
	SIZE(alloc_scratch), SIZE(opens), SIZE(holds), SIZE(conn_hosts), SIZE(hosts);
	SIZE(phases), SIZE(calls), SIZE(sums), SIZE(pages), SIZE(net_scratch);
	SIZE(errtypes), SIZE(fails), SIZE(growths), SIZE(crashes);
	SIZE(panics), SIZE(panicking);
#undef SIZE
}

int load_open(struct trace *t, struct err *err)
{
	libbpf_set_print(keep_last_words);
	last_words[0] = '\0';
	t->skel = gospect_bpf__open();
	if (!t->skel)
		return err_set(err, errno ? -errno : -EINVAL, "cannot open the BPF object: %s",
			       last_words[0] ? last_words : strerror(errno));
	collect_programs(t);
	t->skel->rodata->gs_has_cookies = t->features.cookies;
	t->skel->rodata->gs_lifetimes = trace_probe(t, PROBE_GO_END) != NULL;
	t->skel->rodata->gs_every_birth = t->cfg.exact && t->skel->rodata->gs_lifetimes;
	set_pid_namespace(t);
	size_maps(t);
	return 0;
}

static int map_table(struct trace *t, const struct bpf_map *map, void *out)
{
	void *p = maptable_open(map);

	if (!p)
		return -errno;
	t->mapped_bytes += maptable_size(map);
	memcpy(out, &p, sizeof(p));
	return 0;
}

static int map_tables(struct trace *t)
{
	int e = map_table(t, t->skel->maps.specs, &t->spec);

	if (!e)
		e = map_table(t, t->skel->maps.gc, &t->gc);
	if (!e && trace_uses(t, SENSOR_BIT(SENSOR_GOROUTINES)))
		e = map_table(t, t->skel->maps.births, &t->births);
	if (!e && trace_uses(t, NET_SENSORS | SENSOR_BIT(SENSOR_LIFETIMES)))
		e = map_table(t, t->skel->maps.sums, &t->sums);
	if (!e && trace_uses(t, NET_SENSORS | SENSOR_BIT(SENSOR_LIFETIMES)))
		e = map_table(t, t->skel->maps.pages, &t->pages);
	if (!e && trace_uses(t, SENSOR_BIT(SENSOR_CRASH)))
		e = map_table(t, t->skel->maps.crashes, &t->crashes);
	return e;
}

/* What rows are taken from, and the rows of the others, where what has no row of its
 * own is summed: made before a table can be full. */
static int make_rows_of_others(struct trace *t)
{
	struct gs_phase_key phase = { 0 };
	struct gs_call_key call = { 0 };
	volatile struct gs_pool *pool = t->skel->bss->gs_pools;
	uint32_t row = GS_PHASE_ROWS;
	int e = 0;

	pool[GS_POOL_LIVES] = (struct gs_pool){ .next = 1, .end = GS_CALL_ROWS };
	pool[GS_POOL_PAGES] = (struct gs_pool){ .next = 1, .end = GS_MAX_PAGES };

	for (; !e && trace_uses(t, SENSOR_BIT(SENSOR_NET)) && phase.group <= GS_PHASES_REQUEST;
	     phase.group++) {
		e = bpf_map__update_elem(t->skel->maps.phases, &phase, sizeof(phase), &row,
					 sizeof(row), 0);
		row += GS_PHASE_BLOCK;
	}
	pool[GS_POOL_PHASES] = (struct gs_pool){ .next = row, .end = GS_MAX_SUMS };
	row = GS_CALL_ROWS;
	for (; !e && trace_uses(t, NET_SENSORS) && call.kind < CALL_KINDS; call.kind++, row++)
		e = bpf_map__update_elem(t->skel->maps.calls, &call, sizeof(call), &row,
					 sizeof(row), 0);
	pool[GS_POOL_CALLS] = (struct gs_pool){ .next = row, .end = GS_PHASE_ROWS };
	return e;
}

/* How the programs read errors.  What has no room is of no kind that is known. */
static int write_errtypes(struct trace *t)
{
	int e = 0;

	for (size_t i = 0; !e && trace_uses(t, SENSOR_BIT(SENSOR_NET)) && i < t->cfg.nerror; i++) {
		const struct goerror *g = &t->cfg.error[i];
		struct gs_errtype_key key = { .itab = g->key, .target = TARGET };
		struct gs_errtype value = { g->id, g->how, g->far, g->off, g->bytes, g->text };

		e = bpf_map__update_elem(t->skel->maps.errtypes, &key, sizeof(key), &value,
					 sizeof(value), 0);
		if (e == -E2BIG)
			return 0;
	}
	return e;
}

static int load_denied(int e, struct err *err)
{
	err_set(err, e, "loading the BPF programs is not permitted");
	err_hint(err, "run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE");
	return e;
}

/* Before Linux 5.11 maps count against RLIMIT_MEMLOCK, and a load that would
 * exceed it fails with EPERM. */
static bool raise_memlock(void)
{
	struct rlimit inf = { RLIM_INFINITY, RLIM_INFINITY };

	return !setrlimit(RLIMIT_MEMLOCK, &inf);
}

int load_most_stack(const char *log)
{
	const char *p = strstr(log, "stack depth ");
	long most = -1;

	for (p = p ? p + strlen("stack depth") : NULL; p && (*p == ' ' || *p == '+');) {
		char *end;
		long n = strtol(p + 1, &end, 10);

		if (end == p + 1 || n < 0 || n > INT_MAX)
			return -1;
		most = n > most ? n : most;
		p = end;
	}
	return (int)most;
}

/* What the verifier says of each program: a few lines. */
#define LOG_STATISTICS 4
#define LOG_BYTES      16384

/* Loads; log: PROG_COUNT pieces. */
static int load_with_logs(struct trace *t, char (*log)[LOG_BYTES])
{
	for (int i = 0; i < PROG_COUNT; i++) {
		bpf_program__set_log_level(t->arm[i].prog, LOG_STATISTICS);
		bpf_program__set_log_buf(t->arm[i].prog, log[i], LOG_BYTES);
	}
	return gospect_bpf__load(t->skel);
}

/*
 * A function with 64 bytes of stack or more (rounded up to 16) has them, since
 * Linux 6.13, in memory of its CPU, where a run overwrites what a preempted one
 * has there.  Not with the compilers that the tests know; with another one we
 * would rather do without.
 */
static int check_stacks(struct trace *t, char (*log)[LOG_BYTES], struct err *err)
{
	for (int i = 0; i < PROG_COUNT; i++) {
		int n = bpf_program__autoload(t->arm[i].prog) ? load_most_stack(log[i]) : 0;

		if (n <= LOAD_MOST_STACK)
			continue;
		err_set(err, -EOPNOTSUPP,
			"the BPF program '%s', as it was compiled here, takes %d bytes of stack: "
			"more than %d are not safe",
			bpf_program__name(t->arm[i].prog), n, LOAD_MOST_STACK);
		err_hint(err, "build gospect with another release of clang (make CLANG=…)");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int load_checked(struct trace *t, struct err *err)
{
	char(*log)[LOG_BYTES] = calloc(PROG_COUNT, sizeof(*log));
	int e;

	if (!log)
		return err_set(err, -ENOMEM, "out of memory for the BPF verifier's log");
	e = load_with_logs(t, log);
	if (e == -EPERM && raise_memlock()) {
		gospect_bpf__destroy(t->skel);
		t->skel = NULL;
		e = load_open(t, err);
		if (e)
			goto out;
		e = load_with_logs(t, log);
	}
	if (e == -EPERM)
		load_denied(e, err);
	else if (e)
		err_set(err, e, "cannot load the BPF programs: %s (%s)", strerror(-e), last_words);
	else
		e = check_stacks(t, log, err);
out:
	free(log);
	return e;
}

/* What the kernel says a map takes; 0: it does not say. */
static uint64_t map_bytes(int fd)
{
	char path[64], line[256];
	uint64_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %" SCNu64, &bytes) == 1)
			break;
	if (f)
		fclose(f);
	return bytes;
}

uint64_t trace_map_bytes(const struct trace *t)
{
	return t->map_bytes;
}

uint64_t trace_mapped_bytes(const struct trace *t)
{
	return t->mapped_bytes;
}

static uint64_t all_map_bytes(const struct trace *t)
{
	uint64_t bytes = 0;
	struct bpf_map *m;

	bpf_object__for_each_map(m, t->skel->obj) bytes += map_bytes(bpf_map__fd(m));
	return bytes;
}

int load_object(struct trace *t, struct err *err)
{
	int e;

	last_words[0] = '\0';
	e = load_checked(t, err);
	if (e)
		return e;
	for (int i = 0; i < PROG_COUNT; i++)
		if (bpf_program__autoload(t->arm[i].prog))
			t->arm[i].prog_fd = bpf_program__fd(t->arm[i].prog);
	e = make_rows_of_others(t);
	if (!e)
		e = write_errtypes(t);
	if (!e)
		e = crash_write_spec(t);
	if (e)
		return err_set(err, e, "cannot fill the BPF maps: %s", strerror(-e));
	t->mapped_bytes = 0;
	e = map_tables(t);
	if (e)
		return err_set(err, e, "cannot mmap the BPF maps: %s", strerror(-e));
	t->map_bytes = all_map_bytes(t);
	t->age = calloc(t->sizes.sums, sizeof(*t->age));
	if (!t->age)
		return err_set(err, -ENOMEM, "no memory for the ages of rows");
	return 0;
}

void load_close(struct trace *t)
{
	if (!t->skel)
		return;
	maptable_close(t->skel->maps.specs, t->spec);
	maptable_close(t->skel->maps.births, t->births);
	maptable_close(t->skel->maps.gc, t->gc);
	maptable_close(t->skel->maps.sums, t->sums);
	maptable_close(t->skel->maps.pages, t->pages);
	maptable_close(t->skel->maps.crashes, t->crashes);
	gospect_bpf__destroy(t->skel);
	t->skel = NULL;
}

int trace_map_fd(const struct trace *t, enum trace_map m)
{
	struct bpf_map *const maps[] = {
		[TRACE_MAP_COUNTERS] = t->skel->maps.counters,
		[TRACE_MAP_SITES] = t->skel->maps.sites,
		[TRACE_MAP_STACKS] = t->skel->maps.stacks,
		[TRACE_MAP_SCRATCH] = t->skel->maps.alloc_scratch,
		[TRACE_MAP_OPENS] = t->skel->maps.opens,
		[TRACE_MAP_HOLDS] = t->skel->maps.holds,
		[TRACE_MAP_HOSTS] = t->skel->maps.hosts,
		[TRACE_MAP_PHASES] = t->skel->maps.phases,
		[TRACE_MAP_CALLS] = t->skel->maps.calls,
		[TRACE_MAP_FAILS] = t->skel->maps.fails,
		[TRACE_MAP_GROWTHS] = t->skel->maps.growths,
		[TRACE_MAP_PANICS] = t->skel->maps.panics,
		[TRACE_MAP_CRASH_SPEC] = t->skel->maps.crash_spec,
	};

	return bpf_map__fd(maps[m]);
}
