/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/sampler.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/thread.h"
#include "base/vec.h"
#include "gobin/gobin.h"
#include "gobin/pclntab.h"
#include "host/privileges.h"
#include "proc/procfs.h"
#include "sample.skel.h"
#include "trace/maptable.h"
#include "trace/pidns.h"
#include "trace/quiet.h"

#define MAX_CPUS     4096
#define INTERRUPT_NS 3700 /* of the timer, in a VM: tools/bench --only cpu-cost */

struct sampler {
	struct sample_bpf *skel;
	int *event; /* of each CPU; -1: it is offline */
	int ncpu;
	unsigned int hz;
	uint32_t slots;
	pthread_t loader;
	bool loading; /* the thread is there */
	int loaded;   /* 0, or what failed: */
	struct err err;
	struct gs_cpu_stack *stacks;
	struct gs_cpu_counts *counts;
	struct gs_cpu_labels *labels;
	struct gs_cpu_thread *threads;
};

static uint32_t off_of(const struct layout *l, enum layout_field f, bool *all)
{
	int32_t off = layout_off(l, f);

	*all = *all && off >= 0;
	return off >= 0 ? (uint32_t)off : 0;
}

/* Where the vDSO is: its functions run on the system stack, and are no C of the program's. */
static void find_vdso(struct gs_cpu_target *t, int proc_fd)
{
	static const char name[] = "[vdso]";
	struct procfs_mapping m;
	const char *pos;
	char *maps;

	if (procfs_read(proc_fd, "maps", &maps, NULL))
		return;
	for (pos = maps; procfs_next_mapping(&pos, &m);)
		if (m.path_len == sizeof(name) - 1 && !memcmp(m.path, name, m.path_len)) {
			t->vdso_lo = m.start;
			t->vdso_hi = m.end;
		}
	free(maps);
}

/* runtime/pprof/label.go: labelMap became a list in 1.24. */
static uint32_t labels_kind(const struct gobin *gb)
{
	enum { FIRST_LIST_MINOR = 24 };

	if (layout_off(gb->layout, LAYOUT_G_LABELS) < 0 || !gb->build.release.minor)
		return GS_CPU_LABELS_NONE;
	return gb->build.release.minor >= FIRST_LIST_MINOR ? GS_CPU_LABELS_LIST : GS_CPU_LABELS_MAP;
}

/* Go's code, and the functions that the program has to know. */
static int describe(struct gs_cpu_target *t, const struct sampler_config *cfg, struct err *err)
{
	static const char *const names[] = { "runtime.morestack", "runtime.systemstack_switch",
					     "runtime.asyncPreempt2", "runtime.gopark" };
	const struct layout *l = cfg->gb->layout;
	struct gofunc f[ARRAY_SIZE(names)], last;
	struct pclntab *p = cfg->gb->pcln;
	bool all = l != NULL;

	if (!l)
		return err_set(err, -EOPNOTSUPP, "the layout of the runtime is not known");
	t->g_m = off_of(l, LAYOUT_G_M, &all);
	t->g_goid = off_of(l, LAYOUT_G_GOID, &all);
	t->g_gopc = off_of(l, LAYOUT_G_GOPC, &all);
	t->g_sched_sp = off_of(l, LAYOUT_G_SCHED_SP, &all);
	t->g_sched_pc = off_of(l, LAYOUT_G_SCHED_PC, &all);
	t->g_sched_bp = off_of(l, LAYOUT_G_SCHED_BP, &all);
	t->g_status = off_of(l, LAYOUT_G_ATOMICSTATUS, &all);
	t->m_g0 = off_of(l, LAYOUT_M_G0, &all);
	t->m_curg = off_of(l, LAYOUT_M_CURG, &all);
	t->m_procid = off_of(l, LAYOUT_M_PROCID, &all);
	t->labels_kind = labels_kind(cfg->gb);
	t->g_labels = t->labels_kind ? off_of(l, LAYOUT_G_LABELS, &all) : 0;
	t->by_thread = cfg->by_thread;
	if (!all || pclntab_find_names(p, names, ARRAY_SIZE(names), f) || !f[1].entry ||
	    pclntab_func_at(p, 0, &last))
		return err_set(err, -EOPNOTSUPP, "the layout of the runtime is not known");
	t->text_lo = last.entry + cfg->bias;
	if (pclntab_func_at(p, (uint32_t)pclntab_nfunc(p) - 1, &last))
		return err_set(err, -EBADMSG, "the function table is damaged");
	t->text_hi = last.end + cfg->bias;
	t->morestack_lo = f[0].entry + cfg->bias;
	t->morestack_hi = f[0].end + cfg->bias;
	/* what gosave_systemstack_switch stores as the pc: its entry, or behind its first
	 * instructions */
	t->switch_lo = f[1].entry + cfg->bias;
	t->switch_hi = f[1].end + cfg->bias;
	t->preempt_lo = f[2].entry ? f[2].entry + cfg->bias : 0;
	t->preempt_hi = f[2].entry ? f[2].end + cfg->bias : 0;
	t->park_lo = f[3].entry ? f[3].entry + cfg->bias : 0;
	t->park_hi = f[3].entry ? f[3].end + cfg->bias : 0;
	return 0;
}

static int not_permitted(struct err *err)
{
	return err_set(err, -EPERM,
		       "CPU samples are not permitted: they take CAP_PERFMON and CAP_BPF");
}

static int load(struct sampler *s, struct err *err)
{
	int e;

	s->skel = sample_bpf__open();
	if (!s->skel)
		return err_set(err, -ENOMEM, "cannot open the BPF object of samples");
	s->skel->rodata->slots = s->slots;
	bpf_map__set_max_entries(s->skel->maps.cpu_stacks, s->slots);
	e = sample_bpf__load(s->skel);
	if (e == -EPERM)
		return not_permitted(err);
	if (e)
		return err_set(err, -EOPNOTSUPP,
			       "this kernel does not load the BPF program of samples (%s)",
			       strerror(-e));
	return 0;
}

/* With no more privileges than that takes, whatever the others give up meanwhile. */
static void *load_thread(void *arg)
{
	struct sampler *s = arg;

	privileges_lower(PRIVILEGE_LOAD);
	s->loaded = load(s, &s->err);
	return NULL;
}

static void load_begin(struct sampler *s)
{
	libbpf_set_print(quiet_print);
	s->loading = !thread_start(&s->loader, load_thread, s);
	if (!s->loading)
		s->loaded = load(s, &s->err);
}

static void load_end(struct sampler *s)
{
	if (s->loading)
		pthread_join(s->loader, NULL);
	s->loading = false;
}

static int open_event(int cpu, unsigned int hz)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_freq = hz,
		.freq = 1,
		.disabled = 1,
	};
	long fd = syscall(SYS_perf_event_open, &a, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

static int open_events(struct sampler *s, struct err *err)
{
	int made = 0;

	for (int i = 0; i < s->ncpu; i++) {
		int fd = open_event(i, s->hz);

		if (fd == -ENODEV || fd == -EINVAL || fd == -ENXIO)
			continue; /* offline */
		if (fd == -EPERM || fd == -EACCES)
			return not_permitted(err);
		if (fd < 0)
			return err_set(err, -EOPNOTSUPP, "this kernel has no timer for samples: %s",
				       strerror(-fd));
		s->event[i] = fd;
		made++;
	}
	return made ? 0 : err_set(err, -EOPNOTSUPP, "no CPU has a timer for samples");
}

int sampler_open(struct sampler **out, unsigned int hz, uint32_t slots, struct err *err)
{
	struct sampler *s = calloc(1, sizeof(*s));
	int e;

	if (!s)
		return err_set(err, -ENOMEM, "no memory for samples");
	s->hz = hz;
	s->slots = slots;
	s->ncpu = libbpf_num_possible_cpus();
	s->ncpu = s->ncpu < 0 ? 0 : s->ncpu > MAX_CPUS ? MAX_CPUS : s->ncpu;
	s->event = malloc(((size_t)s->ncpu + 1) * sizeof(*s->event));
	for (int i = 0; s->event && i < s->ncpu; i++)
		s->event[i] = -1;
	e = s->event ? open_events(s, err) : err_set(err, -ENOMEM, "no memory for samples");
	if (e) {
		sampler_close(s);
		return e;
	}
	load_begin(s);
	*out = s;
	return 0;
}

static int attach(struct sampler *s, struct err *err)
{
	int prog = bpf_program__fd(s->skel->progs.cpu_sample);

	for (int i = 0; i < s->ncpu; i++)
		if (s->event[i] >= 0 && ioctl(s->event[i], PERF_EVENT_IOC_SET_BPF, prog)) {
			int e = -errno;

			return err_set(err, e, "cannot attach to the timer of samples: %s",
				       strerror(-e));
		}
	sampler_pause(s, false);
	return 0;
}

int sampler_begin(struct sampler *s, const struct sampler_config *cfg, struct err *err)
{
	struct gs_cpu_target t = { 0 };
	struct pidns ns;
	int e;

	load_end(s);
	if (s->loaded) {
		*err = s->err;
		return s->loaded;
	}
	e = describe(&t, cfg, err);
	if (e)
		return e;
	pidns_of(cfg->pid, &ns);
	t.tgid = ns.tgid;
	t.pidns_dev = ns.dev;
	t.pidns_ino = ns.ino;
	find_vdso(&t, cfg->proc_fd);
	s->skel->bss->target = t;
	s->stacks = maptable_open(s->skel->maps.cpu_stacks);
	s->counts = maptable_open(s->skel->maps.cpu_counts);
	s->labels = maptable_open(s->skel->maps.cpu_labels);
	s->threads = maptable_open(s->skel->maps.cpu_threads);
	if (!s->stacks || !s->counts || !s->labels || !s->threads)
		return err_set(err, -ENOMEM, "cannot map the table of samples");
	return attach(s, err);
}

void sampler_close(struct sampler *s)
{
	if (!s)
		return;
	load_end(s);
	for (int i = 0; s->event && i < s->ncpu; i++)
		if (s->event[i] >= 0)
			close(s->event[i]);
	if (s->skel) {
		maptable_close(s->skel->maps.cpu_stacks, s->stacks);
		maptable_close(s->skel->maps.cpu_counts, s->counts);
		maptable_close(s->skel->maps.cpu_labels, s->labels);
		maptable_close(s->skel->maps.cpu_threads, s->threads);
	}
	sample_bpf__destroy(s->skel);
	free(s->event);
	free(s);
}

void sampler_pause(struct sampler *s, bool on)
{
	for (int i = 0; i < s->ncpu; i++)
		if (s->event[i] >= 0)
			ioctl(s->event[i], on ? PERF_EVENT_IOC_DISABLE : PERF_EVENT_IOC_ENABLE, 0);
}

unsigned int sampler_hz(const struct sampler *s)
{
	return s->hz;
}

const volatile struct gs_cpu_stack *sampler_stacks(const struct sampler *s, uint32_t *slots)
{
	*slots = s->slots;
	return s->stacks;
}

const volatile struct gs_cpu_labels *sampler_labels(const struct sampler *s)
{
	return s->labels;
}

void sampler_know_thread(struct sampler *s, uint32_t thread, uint64_t m)
{
	for (uint32_t i = 0; thread && i < GS_CPU_PROBES; i++) {
		struct gs_cpu_thread *at = &s->threads[(thread + i) % GS_CPU_THREADS];

		if (at->thread && at->thread != thread)
			continue;
		at->m = m;
		at->thread = thread;
		return;
	}
}

struct gs_cpu_counts sampler_counts(const struct sampler *s)
{
	const volatile struct gs_cpu_counts *c = s->counts;

	return (struct gs_cpu_counts){ c->samples, c->no_room, c->no_user, c->foreign, c->run_ns };
}

uint64_t sampler_cost_ns(const struct sampler *s)
{
	return s->counts->run_ns + s->counts->samples * INTERRUPT_NS;
}

void sampler_clear(struct sampler *s)
{
	sampler_pause(s, true);
	memset(s->stacks, 0, s->slots * sizeof(*s->stacks));
	memset(s->labels, 0, GS_CPU_LABEL_SLOTS * sizeof(*s->labels));
	sampler_pause(s, false);
}

uint64_t sampler_bytes(const struct sampler *s)
{
	return s->slots * sizeof(*s->stacks) + sizeof(*s->counts) +
	       GS_CPU_LABEL_SLOTS * sizeof(*s->labels) + GS_CPU_THREADS * sizeof(*s->threads);
}
