/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a call has failed with: the types of its error and of those it wraps, as
 * user space has said how to read them.  Only calls that fail come here.
 */
#ifndef GOSPECT_ERRORS_BPF_H
#define GOSPECT_ERRORS_BPF_H

#include "calls.bpf.h"

/* Of those that wrap each other the one in the `word` of scratch k: whether there is one in it.
 * (errors.bpf.c: a function of its own for the verifier, too.) */
int error_level(__u32 k);

/* The interface value in s->word, and levels - 1 of those that it wraps. */
static __always_inline void error_read(struct gs_net_scratch *s, __u32 levels)
{
	s->fail.types = s->fail.detail = 0;
#pragma unroll
	for (__u32 i = 0; i < levels; i++)
		if (!error_level(s->number))
			break;
}

/* What s->fail says has happened once more. */
static __always_inline void fail_count(struct hit *h, struct gs_net_scratch *s)
{
	__u64 *n = bpf_map_lookup_elem(&fails, &s->fail), zero = 0;

	if (!n && !gs_no_new) {
		/* Another CPU may be faster: what counts is the look-up after it. */
		bpf_map_update_elem(&fails, &s->fail, &zero, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&fails, &s->fail);
	}
	if (n)
		gs_add(n, 1);
	else
		gs_add(&h->count->fails_full, 1);
}

#endif
