// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the kernel knows of a process's end, by tracepoints: its exit status,
 * signals and who sent them, the OOM killer.  They run for every process of
 * the machine, and do nothing but compare for all but one.  Raw tracepoints:
 * they need no file system, only CAP_BPF and CAP_PERFMON.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "gospect/crash.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 target_tgid = 0;
const volatile __u64 pidns_dev = 0, pidns_ino = 0; /* 0: the machine's first namespace */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gs_death);
} death SEC(".maps");

/* The kernel's own, by name (BTF). */
struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));
struct pid_namespace {
	struct ns_common ns;
} __attribute__((preserve_access_index));
struct upid {
	int nr;
	struct pid_namespace *ns;
} __attribute__((preserve_access_index));
struct pid {
	unsigned int level;
	struct upid numbers[1];
} __attribute__((preserve_access_index));
struct signal_struct {
	int group_exit_code;
	struct pid *pids[4]; /* by enum pid_type */
} __attribute__((preserve_access_index));
struct percpu_counter {
	__s64 count;
} __attribute__((preserve_access_index));
struct mm_struct {
	struct percpu_counter rss_stat[4]; /* since Linux 6.2 */
} __attribute__((preserve_access_index));
struct mm_rss_stat___old {
	long count[4];
} __attribute__((preserve_access_index));
struct mm_struct___old {
	struct mm_rss_stat___old rss_stat;
} __attribute__((preserve_access_index));
struct task_struct {
	int exit_code, pid, tgid;
	struct signal_struct *signal;
	struct mm_struct *mm;
} __attribute__((preserve_access_index));
struct kernel_siginfo {
	int si_code;
} __attribute__((preserve_access_index));

#define PIDTYPE_TGID 1
#define MAX_LEVELS   8 /* of pid namespaces within each other; the kernel allows 32 */

/* Whether a task has that pid in the namespace that we know the target by. */
static __noinline bool has_pid_there(struct task_struct *t)
{
	struct pid *p = BPF_CORE_READ(t, signal, pids[PIDTYPE_TGID]);
	__u32 level = BPF_CORE_READ(p, level);
	/* where the kernel's compiler has put them */
	__u32 step = bpf_core_type_size(struct upid);

	for (__u32 i = 0; i < MAX_LEVELS && i <= level; i++) {
		struct upid *u = (void *)p + bpf_core_field_offset(struct pid, numbers) + i * step;

		if (BPF_CORE_READ(u, ns, ns.inum) == (__u32)pidns_ino)
			return (__u32)BPF_CORE_READ(u, nr) == target_tgid;
	}
	return false;
}

static __always_inline bool is_target(struct task_struct *t)
{
	return pidns_ino ? has_pid_there(t) : (__u32)BPF_CORE_READ(t, tgid) == target_tgid;
}

static __always_inline struct gs_death *row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&death, &zero);
}

/* sched_process_exit(task, …): a thread ends. */
SEC("raw_tp/sched_process_exit")
int thread_ends(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *t = (void *)ctx->args[0];
	struct gs_death *d;

	if (!is_target(t))
		return 0;
	d = row();
	if (!d)
		return 0;
	d->group_code = BPF_CORE_READ(t, signal, group_exit_code);
	if (BPF_CORE_READ(t, pid) == BPF_CORE_READ(t, tgid)) {
		d->leader_code = BPF_CORE_READ(t, exit_code);
		d->leader_ended = 1;
	}
	__sync_fetch_and_add(&d->threads, 1);
	d->exit_ns = bpf_ktime_get_ns();
	return 0;
}

/* The sender, in gospect's own namespace. */
static __noinline __u32 sender_pid(void)
{
	struct bpf_pidns_info ns = {};

	if (!pidns_ino)
		return bpf_get_current_pid_tgid() >> 32;
	if (bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &ns, sizeof(ns)))
		return 0;
	return ns.tgid;
}

#define SEND_SIG_PRIV  1 /* from the kernel; 0: from a user, without more */
#define SI_KERNEL_CODE 0x80

static __always_inline int code_of(__u64 info)
{
	if (info > SEND_SIG_PRIV)
		return BPF_CORE_READ((struct kernel_siginfo *)info, si_code);
	return info == SEND_SIG_PRIV ? SI_KERNEL_CODE : 0;
}

/* signal_generate(sig, info, task, group, result) */
SEC("raw_tp/signal_generate")
int signal_sent(struct bpf_raw_tracepoint_args *ctx)
{
	enum { SIGURG_NUMBER = 23 }; /* Go's preemption: often, and never fatal */
	enum { RESULT_IGNORED = 1 }; /* TRACE_SIGNAL_IGNORED */
	__u64 sig = ctx->args[0];
	struct task_struct *to = (void *)ctx->args[2];
	struct task_struct *from = (void *)bpf_get_current_task();
	struct gs_signal *s;
	struct gs_death *d;

	if (sig == SIGURG_NUMBER || sig >= GS_SIGNALS || ctx->args[4] == RESULT_IGNORED ||
	    !is_target(to))
		return 0;
	d = row();
	if (!d)
		return 0;
	s = BPF_CORE_READ(from, tgid) == BPF_CORE_READ(to, tgid) ? &d->from_itself[sig]
								 : &d->from_others[sig];
	s->sender = sender_pid();
	s->code = code_of(ctx->args[1]);
	bpf_get_current_comm(s->comm, sizeof(s->comm));
	s->ns = bpf_ktime_get_ns();
	__sync_fetch_and_add(&s->count, 1);
	if (!s->first_ns)
		s->first_ns = s->ns;
	return 0;
}

static __always_inline __u64 pages_of(struct mm_struct *mm, int which)
{
	struct mm_struct___old *old = (void *)mm;

	if (bpf_core_field_exists(mm->rss_stat[0].count))
		return BPF_CORE_READ(mm, rss_stat[which].count);
	if (bpf_core_field_exists(old->rss_stat.count))
		return BPF_CORE_READ(old, rss_stat.count[which]);
	return 0;
}

/* mark_victim(task, uid) since Linux 6.9; before: (pid). */
SEC("raw_tp/mark_victim")
int oom_kills(struct bpf_raw_tracepoint_args *ctx)
{
	enum { FILEPAGES, ANONPAGES, SWAPENTS, SHMEMPAGES, MOST_PIDS = 1 << 22 };
	__u64 arg = ctx->args[0];
	struct task_struct *t = (void *)arg;
	struct gs_death *d = row();
	struct mm_struct *mm;

	if (!d)
		return 0;
	if (arg <= MOST_PIDS) {
		if (!pidns_ino && (__u32)arg == target_tgid)
			d->oom_ns = bpf_ktime_get_ns();
		return 0;
	}
	if (!is_target(t))
		return 0;
	mm = BPF_CORE_READ(t, mm);
	d->oom_anon_pages = pages_of(mm, ANONPAGES);
	d->oom_file_pages = pages_of(mm, FILEPAGES);
	d->oom_shmem_pages = pages_of(mm, SHMEMPAGES);
	d->oom_ns = bpf_ktime_get_ns();
	return 0;
}
