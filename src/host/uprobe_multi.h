/* SPDX-License-Identifier: BSD-2-Clause */
/* What BPF_LINK_CREATE reads for uprobe_multi (Linux 6.6): newer than the headers of Debian 12. */
#ifndef GOSPECT_HOST_UPROBE_MULTI_H
#define GOSPECT_HOST_UPROBE_MULTI_H

#include <stdint.h>

#define ATTACH_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI */

struct uprobe_multi_attr {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t cnt, multi_flags, pid, pad;
};
_Static_assert(sizeof(struct uprobe_multi_attr) == 64, "union bpf_attr, link_create.uprobe_multi");

#endif
