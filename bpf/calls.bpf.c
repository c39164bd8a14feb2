// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The maps of calls.bpf.h, and its functions. */
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

__noinline __u64 host_number(__u32 k)
{
	struct hit h;
	struct gs_net_scratch *s = scratch_again(&h, k);
	struct gs_host *key;
	__u64 *known, number;

	if (!s)
		return 0;
	key = &s->host;
	known = bpf_map_lookup_elem(&hosts, key);
	if (known)
		return *known;
	number = __sync_fetch_and_add(&gs_last_host, 1) + 1;
	/* Another CPU may be faster: what counts is the look-up after it. */
	bpf_map_update_elem(&hosts, key, &number, BPF_NOEXIST);
	known = bpf_map_lookup_elem(&hosts, key);
	if (known)
		return *known;
	gs_add(&h.count->hosts_full, 1);
	return 0;
}

/* Whether the name of n bytes in s->host ends with a port. */
static __always_inline bool has_port(struct gs_net_scratch *s, __u32 n)
{
	bool port = false;

#pragma unroll
	for (__u32 i = 1; i <= 6; i++) {
		__u32 at = n - i;

		barrier_var(at);
		if (at >= GS_HOST_BYTES || (i == 1 && s->host.name[at] == ']'))
			break;
		port |= s->host.name[at] == ':';
	}
	return port;
}

__noinline __u64 host_of_string(__u32 k)
{
	struct hit h;
	struct gs_net_scratch *s = scratch_again(&h, k);
	__u64 *to, len;
	__u32 n;

	if (!s || !s->word[0] || !s->word[1])
		return 0;
	to = (__u64 *)s->host.name;
	n = len = s->word[1];
#pragma unroll
	for (__u32 i = 0; i < GS_HOST_BYTES / 8; i++)
		to[i] = 0;
	if (len >= GS_HOST_BYTES)
		n = GS_HOST_BYTES;
	barrier_var(n);
	if (n > GS_HOST_BYTES) /* for the verifier */
		return 0;
	if (!read_user(&h, s->host.name, n, s->word[0]))
		return 0;
	s->host.target = s->target;
	s->host.len = len > GS_HOST_LEN ? GS_HOST_LEN : len;
	if (s->host_flags && !has_port(s, n))
		s->host.len |= s->host_flags;
	return host_number(k);
}

/* The stack from an address on, in one piece: most of what reading costs is the call. */
static __always_inline void stack_read(struct gs_net_scratch *s, __u64 from)
{
	s->stack_at = bpf_probe_read_user(s->stack, sizeof(s->stack), (void *)from) ? 0 : from;
}

/* The two words at an address of the stack, into s->word. */
static __always_inline bool stack_words(struct gs_net_scratch *s, __u64 addr)
{
	__u64 i = addr - s->stack_at;

	if (!s->stack_at || i & 7 || i >= (GS_STACK_WORDS - 1) * 8)
		return !bpf_probe_read_user(s->word, sizeof(s->word), (void *)addr);
	i >>= 3;
	barrier_var(i);
	if (i >= GS_STACK_WORDS - 1) /* for the verifier */
		return false;
	s->word[0] = s->stack[i];
	s->word[1] = s->stack[i + 1];
	return true;
}

__noinline int pcs_take(__u32 k, __u64 sp, __u64 fp, __u64 lo, __u64 hi)
{
	bool body = k & PCS_BODY, left = false;
	struct gs_net_scratch *s;
	__u64 *pcs;

	k &= ~PCS_BODY;
	s = bpf_map_lookup_elem(&net_scratch, &k);
	if (!s)
		return 0;
	pcs = s->open.pcs;
	stack_read(s, sp);
	if (body) {
		if (!stack_words(s, sp))
			return 0;
		pcs[0] = s->word[0];
		s->open.npcs = 1;
	}
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++) {
		if (i) {
			if (left)
				break;
			left = hi && (pcs[i - 1] < lo || pcs[i - 1] >= hi);
		}
		if (body && !i)
			continue;
		if (!fp || !stack_words(s, fp))
			break;
		fp = s->word[0];
		pcs[i] = s->word[1];
		s->open.npcs = i + 1;
	}
	return 0;
}

/* A key's first row; 0: it has none. */
static __always_inline __u32 known_rows(void *map, const void *key)
{
	__u32 *row = bpf_map_lookup_elem(map, key);

	return row ? *row : 0;
}

/* The same; n new ones when it has none. */
SUBPROG __u32 rows_of(void *map, const void *key, __u32 n, __u32 pool)
{
	__u32 row = known_rows(map, key), first;

	if (row)
		return row;
	first = pool_take(pool, n);
	row = row_ref(first);
	/* Another CPU may be faster: what counts is the look-up after it. */
	if (row && bpf_map_update_elem(map, key, &row, BPF_NOEXIST))
		pool_give(pool, first);
	return known_rows(map, key);
}

__noinline __u32 phase_rows(__u32 k, __u32 group, __u64 host)
{
	struct hit h;
	struct gs_net_scratch *s = scratch_again(&h, k);
	struct gs_phase_key *key;
	__u32 row;

	if (!s)
		return 0;
	key = &s->phase;
	key->target = s->target;
	key->group = group;
	key->host = host;
	row = rows_of(&phases, key, GS_PHASE_BLOCK, GS_POOL_PHASES);
	if (row)
		return row;
	gs_add(&h.count->phases_full, 1);
	key->host = 0;
	return known_rows(&phases, key);
}

__noinline __u32 call_row(__u32 k, __u32 kind)
{
	struct hit h;
	struct gs_net_scratch *s = scratch_again(&h, k);
	struct gs_call_key *key;
	__u32 row;

	if (!s)
		return 0;
	key = &s->call;
	key->target = s->target;
	key->kind = kind;
	key->text = s->open.host;
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		key->pcs[i] = s->open.pcs[i];
	row = rows_of(&calls, key, 1, GS_POOL_CALLS);
	if (row)
		return row;
	gs_add(&h.count->calls_full, 1);
	key->text = 0;
#pragma unroll
	for (__u32 i = 0; i < GS_CALL_FRAMES; i++)
		key->pcs[i] = 0;
	return known_rows(&calls, key);
}
