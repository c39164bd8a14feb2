// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How an error is read. */
#include "errors.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline struct gs_errtype *errtype_find(struct gs_net_scratch *s, __u64 itab)
{
	s->errtype.itab = itab;
	s->errtype.target = s->target;
	s->errtype.unused = 0;
	return bpf_map_lookup_elem(&errtypes, &s->errtype);
}

/* The errtype of the text whose string header is at an address. */
SUBPROG __u32 error_text(struct hit *h, struct gs_net_scratch *s, __u64 addr)
{
	__u64 *text = (__u64 *)s->host.name, len;
	struct gs_errtype *t;
	__u32 n;

	if (!read_user(h, s->word, sizeof(s->word), addr))
		return ERRTYPE_OTHER;
#pragma unroll
	for (__u32 i = 0; i < GS_TEXT_WORDS; i++)
		text[i] = 0;
	len = s->word[1];
	n = len < GS_TEXT_WORDS * 8 ? len : GS_TEXT_WORDS * 8;
	barrier_var(n);
	if (!n || n > GS_TEXT_WORDS * 8 || !read_user(h, s->host.name, n, s->word[0]))
		return ERRTYPE_OTHER;
	t = errtype_find(s, gs_text_hash(text, len));
	return t ? t->id : ERRTYPE_OTHER;
}

static __always_inline void error_word(struct hit *h, struct gs_net_scratch *s, __u64 addr,
				       __u32 bytes)
{
	s->word[0] = 0;
	if (bytes > sizeof(s->word[0]))
		bytes = 0;
	barrier_var(bytes); /* the bound is this variable's, for older verifiers */
	if (bytes)
		read_user(h, s->word, bytes, addr);
	s->fail.detail = s->word[0];
}

/* Its number, and what its string adds to that. */
static __always_inline __u32 error_number(struct hit *h, struct gs_net_scratch *s,
					  struct gs_errtype *t, __u64 data)
{
	__u32 id = t->id, more;

#pragma unroll
	for (__u32 i = 0; i < GS_ERR_FAR; i++)
		if (i < t->far && !read_word(h, &data, data))
			return id;
	error_word(h, s, data + t->off, t->bytes);
	more = t->text ? error_text(h, s, data + t->text - 1) : ERRTYPE_OTHER;
	if (more == ERRTYPE_OTHER)
		return id;
	s->fail.types = s->fail.types << 8 | (id & 0xff);
	return more;
}

__noinline int error_level(__u32 k)
{
	struct hit h;
	struct gs_net_scratch *s = scratch_again(&h, k);
	struct gs_errtype *t;
	bool more = false;
	__u64 data;
	__u32 id;

	if (!s)
		return 0;
	t = errtype_find(s, s->word[0]);
	id = t ? t->id : ERRTYPE_OTHER;
	data = s->word[1];
	if (t && t->how == GS_ERR_TEXT)
		id = error_text(&h, s, data + t->off);
	else if (t && t->how == GS_ERR_WORD)
		id = error_number(&h, s, t, data);
	else if (t && t->how == GS_ERR_INNER)
		more = read_user(&h, s->word, sizeof(s->word), data + t->off) && s->word[0];
	s->fail.types = s->fail.types << 8 | (id & 0xff);
	return more;
}
