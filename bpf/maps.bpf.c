// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What every program uses: the targets' specs and counters, and the settings. */
#include "sums.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile bool gs_has_cookies = true;
const volatile bool gs_lifetimes = true, gs_every_birth = true;
const volatile __u64 gs_pidns_dev = 0;
const volatile __u64 gs_pidns_ino = 0;

struct gs_specs_map specs SEC(".maps");
struct gs_counters_map counters SEC(".maps");
struct gs_sums_map sums SEC(".maps");
struct gs_pages_map pages SEC(".maps");

volatile __u32 gs_no_new = 0;
volatile struct gs_pool gs_pools[GS_POOLS] = {};
volatile __u32 gs_zero = 0;
