// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The maps of calls.bpf.h. */
#include "calls.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct gs_opens_map opens SEC(".maps");
struct gs_holds_map holds SEC(".maps");
struct gs_conn_hosts_map conn_hosts SEC(".maps");
struct gs_hosts_map hosts SEC(".maps");
struct gs_phases_map phases SEC(".maps");
struct gs_calls_map calls SEC(".maps");
struct gs_errtypes_map errtypes SEC(".maps");
struct gs_fails_map fails SEC(".maps");
struct gs_net_scratch_map net_scratch SEC(".maps");

volatile __u64 gs_last_host = 0;
