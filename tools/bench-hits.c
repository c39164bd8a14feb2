/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-hits: what a hit of each probe costs against an empty BPF program at
 * the same instruction, as JSON.
 *
 * Probes its own process, at calls in assembly functions with the registers of a Go
 * function: half of them with our programs, half with an empty one, called in turn, so
 * that the machine's noise affects both.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "trace/attach.h"
#include "trace/priv.h"

#define PROBES (PROBE_STW_END + 1) /* those that any program runs: of the runtime */
#define ROUNDS 300
#define CALLS  60  /* per round and probe */
#define DEPTH  6   /* of the stack under an allocation */
#define G_GOID 152 /* of our stand-in for a g: as in Go 1.26 */
#define G_GOPC 288

/* f_N(a, b): RAX = a, RBX = b, RCX = a at the call that is probed (site_N). */
#define SITE(n)                                                                 \
	".globl f_" #n ", site_" #n "\n.type f_" #n ",@function\n.p2align 4\n"  \
	"f_" #n ": push %rbx\n mov %rdi,%rax\n mov %rsi,%rbx\n mov %rdi,%rcx\n" \
	"site_" #n ": call 1f\n pop %rbx\n ret\n1: ret\n"
#define DECLARE(n)              \
	extern char site_##n[]; \
	void f_##n(void *a, void *b);
#define EACH(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define FUNCTION(n) f_##n,
#define ADDRESS(n)  site_##n,

__asm__(".text\n" EACH(SITE));
EACH(DECLARE)

typedef void probed(void *a, void *b);
static probed *const function[2 * PROBES] = { EACH(FUNCTION) };
static char *const site[2 * PROBES] = { EACH(ADDRESS) };
_Static_assert(PROBES == 8, "EACH has them all");
static const enum sensor sensor_of[] = {
#define PROBE(id, name, sensor, ...) SENSOR_##sensor,
#include "gospect/probes.def"
};
static const enum probe_group group_of[] = {
#define PROBE(id, name, sensor, group, ...) GROUP_##group,
#include "gospect/probes.def"
};
static uint64_t g[PROBES][128]; /* a stand-in for a g, one per probe */

/* The place of an address in our executable. */
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

__attribute__((noinline, optimize("no-omit-frame-pointer"))) static void call_from(int depth,
										   probed *f,
										   void *a, void *b)
{
	int i;

	if (depth) {
		call_from(depth - 1, f, a, b);
		__asm__ volatile(""); /* no tail call: the frame stays */
		return;
	}
	for (i = 0; i < CALLS; i++)
		f(a, b);
	__asm__ volatile("");
}

static double ns_per_call(int which)
{
	int id = which % PROBES;
	void *b = id == PROBE_ALLOC_LARGE ? (void *)100000ul : (void *)g[id];
	uint64_t begin = clock_mono_ns();

	call_from(DEPTH, function[which], g[id], b);
	return (double)(clock_mono_ns() - begin) / CALLS;
}

static int by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_value);
	return v[ROUNDS / 2];
}

static void make_plan(struct plan *pl, const struct cost_table *ct)
{
	int i, k;

	memset(pl, 0, sizeof(*pl));
	for (i = 0; i < PROBES; i++) {
		struct probe *p = &pl->probe[pl->n++];

		for (k = 0; k < 128; k++)
			g[i][k] = (uint64_t)(uintptr_t)&g[i][0];
		g[i][G_GOID / 8] = (uint64_t)i + 1;
		p->id = (enum probe_id)i;
		p->sensor = sensor_of[i];
		p->group = group_of[i];
		p->kind = SITE_CALL;
		p->nsite = 1;
		p->site[0] = (struct site){ .kind = SITE_CALL,
					    .klass = INSN_CALL,
					    .len = 5,
					    .slot = PROBE_NO_SLOT,
					    .file_off = file_offset(site[i]) };
		p->cost_ns = ct->ns[INSN_CALL];
	}
}

static int attach_empty(struct attachment *at)
{
	struct bpf_insn empty[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = ATTACH_UPROBE_MULTI);
	uint64_t offs[PROBES], none[PROBES] = { 0 };
	struct attach_point where = { .exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
				      .pid = getpid(),
				      .offsets = offs,
				      .cookies = none,
				      .n = PROBES };
	int i;

	for (i = 0; i < PROBES; i++)
		offs[i] = file_offset(site[PROBES + i]);
	where.prog_fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "empty", "GPL", empty, 2, &opts);
	if (where.prog_fd < 0)
		return where.prog_fd;
	*at = (struct attachment){ 0 };
	return attach_multi(at, &where);
}

static void print(double empty[][ROUNDS], double ours[][ROUNDS])
{
	static double ratio[ROUNDS];
	int i, r;

	printf("{\"probes\":[");
	for (i = 0; i < PROBES; i++) {
		double m;

		for (r = 0; r < ROUNDS; r++)
			ratio[r] = ours[i][r] / empty[i][r];
		m = median(ratio);
		printf("%s{\"probe\":\"%s\",\"empty_ns\":%.0f,\"ns\":%.0f,\"ratio\":%.3f,\"stack\":"
		       "%s}",
		       i ? "," : "", probe_name((enum probe_id)i), median(empty[i]),
		       median(ours[i]), m, i == PROBE_ALLOC_LARGE ? "true" : "false");
	}
	printf("]}\n");
}

int main(void)
{
	static double empty[PROBES][ROUNDS], ours[PROBES][ROUNDS];
	struct cost_table ct;
	struct attachment at;
	struct err err = { 0 };
	struct plan pl;
	struct trace *t = NULL;
	struct trace_config cfg = {
		.pid = getpid(),
		.exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
		.plan = &pl,
		.g_goid = G_GOID,
		.g_gopc = G_GOPC,
		.g_startpc = G_GOPC + GS_STARTPC_AFTER_GOPC,
		.budget_pct = 1,
		.budget_floor_ns = 2 * NS_PER_MS,
		.exact = true,
	};
	int i, r;

	trace_measure_costs(&ct, &err);
	make_plan(&pl, &ct);
	if (attach_empty(&at) || trace_prepare(&t, &cfg, &err) || trace_load(t, &err) ||
	    trace_attach(t, &err)) {
		fprintf(stderr, "bench-hits: %s\n",
			err.what[0] ? err.what : "cannot attach an empty program");
		return 1;
	}
	stats_off(t); /* they would be part of ours */
	for (r = 0; r < ROUNDS; r++)
		for (i = 0; i < PROBES; i++) {
			empty[i][r] = ns_per_call(PROBES + i);
			ours[i][r] = ns_per_call(i);
		}
	attachment_close(&at);
	trace_close(t);
	print(empty, ours);
	return 0;
}
