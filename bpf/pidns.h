// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The process that runs, by its pid in gospect's own pid namespace. */
#ifndef GOSPECT_BPF_PIDNS_H
#define GOSPECT_BPF_PIDNS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* ino 0: the machine's first namespace.  0: not known there, a process of a namespace below. */
static __always_inline struct bpf_pidns_info ids_in_namespace(__u64 dev, __u64 ino)
{
	struct bpf_pidns_info ns = {};

	if (!ino) {
		__u64 id = bpf_get_current_pid_tgid();

		ns.pid = (__u32)id;
		ns.tgid = id >> 32;
	} else if (bpf_get_ns_current_pid_tgid(dev, ino, &ns, sizeof(ns))) {
		ns.pid = ns.tgid = 0;
	}
	return ns;
}

static __always_inline __u32 pid_in_namespace(__u64 dev, __u64 ino)
{
	return ids_in_namespace(dev, ino).tgid;
}

#endif
