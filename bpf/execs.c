// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which processes of the machine call exec, as they do: their pids through a
 * ring buffer.  A raw tracepoint needs no file system and no BTF, only CAP_BPF
 * and CAP_PERFMON.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "pidns.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 pidns_dev = 0, pidns_ino = 0; /* 0: the machine's first namespace */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} execs SEC(".maps");

/* Those for which there was no room. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* sched_process_exec(task, old_pid, bprm): the program is the new one already. */
SEC("raw_tp/sched_process_exec")
int exec_seen(void *ctx)
{
	__u64 pid = pid_in_namespace(pidns_dev, pidns_ino), *n;
	__u32 zero = 0;

	(void)ctx;
	if (!bpf_ringbuf_output(&execs, &pid, sizeof(pid), 0))
		return 0;
	n = bpf_map_lookup_elem(&lost, &zero);
	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}
