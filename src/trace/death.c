/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/death.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/vec.h"
#include "death.skel.h"
#include "trace/kernel_types.h"
#include "trace/pidns.h"
#include "trace/quiet.h"

struct death {
	struct death_bpf *skel;
	struct bpf_link *link[3];
	const volatile struct gs_death *row; /* mapped */
};

/* Where the kernel has what the programs read: -EOPNOTSUPP where it does not say. */
static int find_members(struct gs_kernel *k)
{
	enum { NEEDED = 14 };
	uint32_t inum, rss, count, count_bytes, old_count;
	const struct kernel_member m[] = {
		{ "task_struct", "exit_code", &k->task_exit_code },
		{ "task_struct", "pid", &k->task_pid },
		{ "task_struct", "tgid", &k->task_tgid },
		{ "task_struct", "signal", &k->task_signal },
		{ "task_struct", "mm", &k->task_mm },
		{ "signal_struct", "group_exit_code", &k->signal_group_exit_code },
		{ "signal_struct", "pids", &k->signal_pids },
		{ "pid", "level", &k->pid_level },
		{ "pid", "numbers", &k->pid_numbers },
		{ "upid", "nr", &k->upid_nr },
		{ "upid", "ns", &k->upid_ns },
		{ "upid", NULL, &k->upid_bytes },
		{ "pid_namespace", "ns", &k->pidns_inum },
		{ "ns_common", "inum", &inum },
		{ "mm_struct", "rss_stat", &rss },
		{ "percpu_counter", "count", &count },
		{ "percpu_counter", NULL, &count_bytes },
		{ "mm_rss_stat", "count", &old_count }, /* before Linux 6.2 */
	};

	if (kernel_members_find(m, ARRAY_SIZE(m)))
		return -EOPNOTSUPP;
	for (int i = 0; i < NEEDED; i++)
		if (*m[i].off == KERNEL_ABSENT)
			return -EOPNOTSUPP;
	k->pidns_inum += inum;
	k->rss = k->rss_bytes = 0;
	if (old_count != KERNEL_ABSENT)
		count = old_count, count_bytes = sizeof(uint64_t);
	if (rss != KERNEL_ABSENT && count != KERNEL_ABSENT && count_bytes != KERNEL_ABSENT) {
		k->rss = rss + count;
		k->rss_bytes = count_bytes;
	}
	return 0;
}

static int load(struct death *d, pid_t pid, struct err *err)
{
	struct gs_kernel kernel;
	struct pidns ns;
	void *p;
	int e = find_members(&kernel);

	if (e)
		return err_set(err, e, "this kernel does not describe its structs (BTF)");
	d->skel = death_bpf__open();
	if (!d->skel)
		return err_set(err, -ENOMEM, "cannot open the BPF object of exits");
	pidns_of(pid, &ns);
	d->skel->rodata->target_tgid = ns.tgid;
	d->skel->rodata->pidns_dev = ns.dev;
	d->skel->rodata->pidns_ino = ns.ino;
	memcpy((void *)(uintptr_t)&d->skel->rodata->kernel, &kernel, sizeof(kernel));
	e = death_bpf__load(d->skel);
	if (e == -EPERM)
		return err_set(err, e, "tracepoints are not permitted");
	if (e)
		return err_set(err, -EOPNOTSUPP,
			       "this kernel does not load the BPF programs of "
			       "exits and signals (%s)",
			       strerror(-e));
	p = mmap(NULL, sizeof(struct gs_death), PROT_READ, MAP_SHARED,
		 bpf_map__fd(d->skel->maps.death), 0);
	if (p == MAP_FAILED)
		return err_set(err, -ENOMEM, "cannot map the table of exits");
	d->row = p;
	return 0;
}

/* Exits and signals must be seen; without mark_victim the OOM killer is a SIGKILL. */
static int attach(struct death *d, struct err *err)
{
	d->link[0] = bpf_program__attach(d->skel->progs.thread_ends);
	d->link[1] = d->link[0] ? bpf_program__attach(d->skel->progs.signal_sent) : NULL;
	if (!d->link[1])
		return err_set(err, errno == EPERM ? -EPERM : -EOPNOTSUPP,
			       "the tracepoints of exits and signals cannot be used: %s",
			       strerror(errno));
	d->link[2] = bpf_program__attach(d->skel->progs.oom_kills);
	return 0;
}

int death_open(struct death **out, pid_t pid, struct err *err)
{
	struct death *d = calloc(1, sizeof(*d));
	libbpf_print_fn_t before;
	int e;

	*out = NULL;
	if (!d)
		return err_set(err, -ENOMEM, "no memory for exits");
	before = libbpf_set_print(quiet_print); /* the trace's own, which goes on arming */
	e = load(d, pid, err);
	if (!e)
		e = attach(d, err);
	libbpf_set_print(before);
	if (e)
		death_close(d);
	else
		*out = d;
	return e;
}

void death_close(struct death *d)
{
	if (!d)
		return;
	for (int i = 0; i < 3; i++)
		bpf_link__destroy(d->link[i]);
	if (d->row)
		munmap((void *)(uintptr_t)d->row, sizeof(struct gs_death));
	death_bpf__destroy(d->skel);
	free(d);
}

void death_read(const struct death *d, struct gs_death *out)
{
	const volatile uint64_t *from = (const volatile uint64_t *)d->row;
	uint64_t *to = (uint64_t *)out;

	for (size_t i = 0; i < sizeof(*out) / sizeof(*to); i++)
		to[i] = from[i];
}

uint64_t death_asked_ns(const struct death *d, int sig)
{
	uint64_t ns = d->row->from_others[sig].first_ns, own = d->row->from_itself[sig].first_ns;

	return !ns || (own && own < ns) ? own : ns;
}

bool death_sees_oom(const struct death *d)
{
	return d->link[2] != NULL;
}
