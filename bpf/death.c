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

#include "gospect/crash.h"
#include "pidns.h"

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

const volatile struct gs_kernel kernel = {};

/* A member of a kernel's struct. */
#define READ(type, from, off)                                                         \
	({                                                                            \
		type value = 0;                                                       \
		bpf_probe_read_kernel(&value, sizeof(value), (void *)(from) + (off)); \
		value;                                                                \
	})

#define PIDTYPE_TGID 1
#define MAX_LEVELS   8 /* of pid namespaces within each other; the kernel allows 32 */

/* Whether a task has that pid in the namespace that we know the target by. */
static __noinline bool has_pid_there(void *task)
{
	void *signal = READ(void *, task, kernel.task_signal);
	void *p = READ(void *, signal, kernel.signal_pids + PIDTYPE_TGID * sizeof(void *));
	__u32 level = READ(__u32, p, kernel.pid_level);

	for (__u32 i = 0; i < MAX_LEVELS && i <= level; i++) {
		void *u = p + kernel.pid_numbers + i * kernel.upid_bytes;
		void *ns = READ(void *, u, kernel.upid_ns);

		if (READ(__u32, ns, kernel.pidns_inum) == (__u32)pidns_ino)
			return READ(__u32, u, kernel.upid_nr) == target_tgid;
	}
	return false;
}

static __always_inline __u32 tgid_of(void *task)
{
	return READ(__u32, task, kernel.task_tgid);
}

static __always_inline bool is_target(void *task)
{
	return pidns_ino ? has_pid_there(task) : tgid_of(task) == target_tgid;
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
	void *t = (void *)ctx->args[0];
	struct gs_death *d;

	if (!is_target(t))
		return 0;
	d = row();
	if (!d)
		return 0;
	d->group_code =
		READ(__u32, READ(void *, t, kernel.task_signal), kernel.signal_group_exit_code);
	if (READ(__u32, t, kernel.task_pid) == tgid_of(t)) {
		d->leader_code = READ(__u32, t, kernel.task_exit_code);
		d->leader_ended = 1;
	}
	__sync_fetch_and_add(&d->threads, 1);
	d->exit_ns = bpf_ktime_get_ns();
	return 0;
}

#define SEND_SIG_PRIV  1 /* from the kernel; 0: from a user, without more */
#define SI_KERNEL_CODE 0x80
#define SI_CODE        8 /* in siginfo_t, which the kernel's own begins as */

static __always_inline int code_of(__u64 info)
{
	if (info > SEND_SIG_PRIV)
		return READ(int, info, SI_CODE);
	return info == SEND_SIG_PRIV ? SI_KERNEL_CODE : 0;
}

/* signal_generate(sig, info, task, group, result) */
SEC("raw_tp/signal_generate")
int signal_sent(struct bpf_raw_tracepoint_args *ctx)
{
	enum { SIGURG_NUMBER = 23 }; /* Go's preemption: often, and never fatal */
	enum { RESULT_IGNORED = 1 }; /* TRACE_SIGNAL_IGNORED */
	__u64 sig = ctx->args[0];
	void *to = (void *)ctx->args[2], *from = (void *)bpf_get_current_task();
	struct gs_signal *s;
	struct gs_death *d;

	if (sig == SIGURG_NUMBER || sig >= GS_SIGNALS || ctx->args[4] == RESULT_IGNORED ||
	    !is_target(to))
		return 0;
	d = row();
	if (!d)
		return 0;
	s = tgid_of(from) == tgid_of(to) ? &d->from_itself[sig] : &d->from_others[sig];
	s->sender = pid_in_namespace(pidns_dev, pidns_ino);
	s->code = code_of(ctx->args[1]);
	bpf_get_current_comm(s->comm, sizeof(s->comm));
	s->ns = bpf_ktime_get_ns();
	__sync_fetch_and_add(&s->count, 1);
	if (!s->first_ns)
		s->first_ns = s->ns;
	return 0;
}

static __always_inline __u64 pages_of(void *mm, int which)
{
	return kernel.rss_bytes ? READ(__u64, mm, kernel.rss + which * kernel.rss_bytes) : 0;
}

/* mark_victim(task, uid) since Linux 6.9; before: (pid). */
SEC("raw_tp/mark_victim")
int oom_kills(struct bpf_raw_tracepoint_args *ctx)
{
	enum { FILEPAGES, ANONPAGES, SWAPENTS, SHMEMPAGES, MOST_PIDS = 1 << 22 };
	__u64 arg = ctx->args[0];
	void *t = (void *)arg, *mm;
	struct gs_death *d = row();

	if (!d)
		return 0;
	if (arg <= MOST_PIDS) {
		if (!pidns_ino && (__u32)arg == target_tgid)
			d->oom_ns = bpf_ktime_get_ns();
		return 0;
	}
	if (!is_target(t))
		return 0;
	mm = READ(void *, t, kernel.task_mm);
	d->oom_anon_pages = pages_of(mm, ANONPAGES);
	d->oom_file_pages = pages_of(mm, FILEPAGES);
	d->oom_shmem_pages = pages_of(mm, SHMEMPAGES);
	d->oom_ns = bpf_ktime_get_ns();
	return 0;
}
