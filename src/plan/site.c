/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The site inside one function's code.
 *
 * A uprobe writes an int3: on anything but the first byte of an instruction
 * it kills the target.  So the whole function is decoded from its entry
 * before a byte of it is believed, and jumps must land on instructions.
 */
#include "plan/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One decoded function: what is known of each byte. */
#define MARK_START  1u /* an instruction starts here */
#define MARK_TARGET 2u /* a jump of this function leads here */

struct code {
	const struct arch *arch; /* borrowed */
	const uint8_t *bytes;    /* borrowed */
	size_t len;
	size_t end; /* behind the last instruction, padding excluded */
	uint64_t entry;
	uint8_t *mark; /* owned: MARK_…, one per byte */
};

static bool is_padding(const uint8_t *p, size_t n)
{
	/* cmd/link fills with int3 on amd64; nop and zero come from other linkers. */
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0xcc && p[i] != 0x90 && p[i] != 0x00)
			return false;
	return true;
}

static int code_next(const struct code *c, size_t pos, struct insn *out)
{
	return c->arch->decode(c->bytes + pos, c->len - pos, c->entry + pos, false, out);
}

/* First pass: every instruction from the entry to the end. */
static int code_mark_starts(struct code *c, char *why, size_t why_size)
{
	struct insn in;
	size_t pos;

	for (pos = 0; pos < c->len; pos += in.len) {
		int err = code_next(c, pos, &in);

		if (err && pos && is_padding(c->bytes + pos, c->len - pos))
			break;
		if (err) {
			snprintf(why, why_size, "no instruction that the decoder knows at +0x%zx",
				 pos);
			return -EBADMSG;
		}
		c->mark[pos] |= MARK_START;
	}
	c->end = pos;
	return 0;
}

/* Second pass: jumps inside the function must land where instructions start. */
static int code_mark_targets(struct code *c, char *why, size_t why_size)
{
	struct insn in;
	size_t to;

	for (size_t pos = 0; pos < c->end; pos += in.len) {
		if (code_next(c, pos, &in))
			return -EBADMSG; /* not possible: the first pass decoded it */
		if (in.flow != FLOW_JCC && in.flow != FLOW_JMP)
			continue;
		if (in.target < c->entry || in.target - c->entry >= c->len)
			continue;
		to = in.target - c->entry;
		if (!(c->mark[to] & MARK_START)) {
			snprintf(why, why_size,
				 "the jump at +0x%zx targets the middle of an instruction (+0x%zx)",
				 pos, to);
			return -EBADMSG;
		}
		c->mark[to] |= MARK_TARGET;
	}
	return 0;
}

static int code_init(struct code *c, const struct arch *a, const uint8_t *bytes, size_t len,
		     uint64_t entry, char *why, size_t why_size)
{
	int err;

	memset(c, 0, sizeof(*c));
	if (!len || len > SITE_MAX_CODE) {
		snprintf(why, why_size, "the function has %zu bytes of code", len);
		return -E2BIG;
	}
	c->arch = a;
	c->bytes = bytes;
	c->len = len;
	c->entry = entry;
	c->mark = calloc(len, 1);
	if (!c->mark) {
		snprintf(why, why_size, "no memory");
		return -ENOMEM;
	}
	err = code_mark_starts(c, why, why_size);
	if (!err)
		err = code_mark_targets(c, why, why_size);
	return err;
}

static void code_deinit(struct code *c)
{
	free(c->mark);
}

/*
 * Finds the stack check: `cmp stackguard, SP; jbe`, before it only what
 * computes SP less a big frame (cmd/internal/obj/x86/obj6.go, stacksplit; in
 * huge frames with a `jb` that is not the check).  *jbe is its branch, *body
 * what follows.  -ENOENT: the function has none.
 */
#define STACK_CHECK_MAX_INSNS 6

static int find_stack_check(const struct code *c, struct insn *jbe, struct insn *body)
{
	bool compared = false;
	struct insn in;
	size_t pos = 0;

	for (int i = 0; i < STACK_CHECK_MAX_INSNS && pos < c->end; i++, pos += in.len) {
		if (code_next(c, pos, &in))
			return -EBADMSG;
		if (compared) {
			if (!in.is_jbe || pos + in.len >= c->end)
				return -ENOENT;
			*jbe = in;
			return code_next(c, pos + in.len, body);
		}
		if (in.is_stack_check)
			compared = true;
		else if (in.flow != FLOW_NEXT && in.flow != FLOW_JCC)
			return -ENOENT;
	}
	return -ENOENT;
}

/* What the kernel can emulate, and what runs once per call. */
static int check_site(const struct code *c, const struct insn *in, char *why, size_t why_size)
{
	size_t pos = in->addr - c->entry;

	if (in->klass == INSN_REFUSED || in->klass == INSN_STEPPED) {
		snprintf(why, why_size, "the instruction at +0x%zx would be %s", pos,
			 insn_class_run(in->klass));
		return -EOPNOTSUPP;
	}
	if (pos && (c->mark[pos] & MARK_TARGET)) {
		snprintf(why, why_size, "the function jumps back to its body at +0x%zx", pos);
		return -EOPNOTSUPP;
	}
	return 0;
}

/*
 * `push %rbp` runs once per call.  The branch of the check in front of it runs
 * again when the stack has grown (the flags identify such hits), but the
 * kernel does not have to write to the stack for it, a tenth of what a hit
 * costs; and up to Go 1.20 `sub $N,%rsp` follows, which would be single-stepped.
 */
static int choose_body(const struct code *c, const struct site_query *q, struct insn *out,
		       enum site_kind *kind, char *why, size_t why_size)
{
	struct insn jbe, body;
	int err = find_stack_check(c, &jbe, &body);

	if (err && err != -ENOENT)
		return err;
	if (err) {
		err = code_next(c, 0, &body);
		if (err)
			return err;
		if (!body.is_frame_push) {
			snprintf(why, why_size,
				 "no stack check, and it does not begin with push %%rbp");
			return -EOPNOTSUPP;
		}
		*kind = SITE_BODY;
		*out = body;
	} else if (body.is_frame_push && !q->branch) {
		*kind = SITE_BODY;
		*out = body;
	} else {
		*kind = SITE_BRANCH;
		*out = jbe;
	}
	return check_site(c, out, why, why_size);
}

/* The next direct call of `callee` from pos on: 0, -ENOENT. */
static int next_call(const struct code *c, size_t pos, uint64_t callee, struct insn *out)
{
	for (; pos < c->end; pos += out->len) {
		if (code_next(c, pos, out))
			return -EBADMSG;
		if (out->flow == FLOW_CALL && out->klass == INSN_CALL && out->target == callee)
			return 0;
	}
	return -ENOENT;
}

static int next_indirect(const struct code *c, size_t pos, struct insn *out)
{
	for (; pos < c->end; pos += out->len) {
		if (code_next(c, pos, out))
			return -EBADMSG;
		if (out->flow == FLOW_CALL_INDIRECT)
			return 0;
	}
	return -ENOENT;
}

/* Registers of the words asked for; SP always: what is below it is gone. */
static uint32_t registers_of(const struct arch *a, uint32_t words)
{
	uint32_t bits = 1u << a->sp;

	for (int i = 0; i < ARCH_ABI_WORDS; i++)
		if (words & (1u << i))
			bits |= 1u << a->abi[i];
	return bits;
}

static bool is_emulated(const struct insn *in)
{
	return in->klass != INSN_STEPPED && in->klass != INSN_REFUSED;
}

static int no_after(char *why, size_t why_size, size_t call, const char *what)
{
	snprintf(why, why_size, "behind the call at +0x%zx %s", call, what);
	return -EOPNOTSUPP;
}

/*
 * The first emulated instruction in the straight line from pos, behind the call
 * at `at`; or, HOW_INTO, the next indirect call.  What is passed over may not
 * change the results that are asked for.  A place that other code jumps to is
 * hit on other ways too: only where that does no harm.
 */
static int straight_line(const struct code *c, const struct site_query *q, size_t at, size_t pos,
			 struct insn *out, char *why, size_t why_size)
{
	uint32_t keep = registers_of(c->arch, q->keep);

	for (; pos < c->end; pos += out->len) {
		if ((c->mark[pos] & MARK_TARGET) && !q->joined_ok)
			return no_after(why, why_size, at, "other code of the function joins");
		if (code_next(c, pos, out))
			return -EBADMSG;
		if (q->how == HOW_INTO ? out->flow == FLOW_CALL_INDIRECT : is_emulated(out))
			return 0;
		if (out->flow != FLOW_NEXT)
			return no_after(why, why_size, at, "no instruction can be emulated");
		if (out->writes & keep)
			return no_after(why, why_size, at,
					"its result is overwritten before an instruction that can "
					"be emulated");
	}
	return no_after(why, why_size, at, "the function ends");
}

static bool is_after(enum site_how how)
{
	return how == HOW_AFTER_CALLS || how == HOW_AFTER_INDIRECT || how == HOW_INTO;
}

/* Where the calls that are asked for begin. */
static int first_pos(const struct code *c, const struct site_query *q, size_t *pos)
{
	struct insn in;
	int err;

	*pos = 0;
	if (!q->behind)
		return 0;
	err = next_call(c, 0, q->behind, &in);
	if (!err)
		*pos = in.addr - c->entry + in.len;
	return err;
}

/* Adds a site unless it is there already: two calls may have one place behind them. */
static int add_site(struct insn *out, int n, int max, const struct insn *in, char *why,
		    size_t why_size)
{
	if (n && out[n - 1].addr == in->addr)
		return n;
	if (n == max) {
		snprintf(why, why_size, "it has more than %d such sites", max);
		return -E2BIG;
	}
	out[n] = *in;
	return n + 1;
}

/* One call in hand: the site for it.  n: how many there are. */
static int take_call(const struct code *c, const struct site_query *q, const struct insn *call,
		     struct insn *out, int n, int max, char *why, size_t why_size)
{
	size_t at = call->addr - c->entry;
	struct insn in = *call;
	int err;

	if (q->how == HOW_LAST_CALL)
		n = 0;
	if (!is_after(q->how))
		return add_site(out, n, max, &in, why, why_size);
	err = straight_line(c, q, at, at + call->len, &in, why, why_size);
	if (err == -EOPNOTSUPP && q->some_ok)
		return n;
	return err ? err : add_site(out, n, max, &in, why, why_size);
}

static int find_calls(const struct code *c, const struct site_query *q, struct insn *out, int max,
		      char *why, size_t why_size)
{
	bool one = q->how == HOW_CALL;
	int n = 0, calls = 0, err;
	struct insn call;
	size_t pos;

	why[0] = '\0';
	err = first_pos(c, q, &pos);
	while (!err && n >= 0 && !(one && n)) {
		err = q->how == HOW_AFTER_INDIRECT ? next_indirect(c, pos, &call)
						   : next_call(c, pos, q->callee, &call);
		if (err)
			break;
		calls++;
		n = take_call(c, q, &call, out, n, max, why, why_size);
		pos = call.addr - c->entry + call.len;
	}
	if (err == -EBADMSG)
		return err;
	if (n)
		return n;
	if (calls)
		return -EOPNOTSUPP; /* take_call() said why */
	snprintf(why, why_size, "it does not call the function looked for");
	return -ENOENT;
}

static int add_texts(const struct code *c, struct insn *out, int n)
{
	int err = 0;

	for (int i = 0; !err && i < n; i++) {
		size_t pos = out[i].addr - c->entry;

		err = c->arch->decode(c->bytes + pos, c->len - pos, out[i].addr, true, &out[i]);
	}
	return err ? err : n;
}

int site_find(const struct arch *a, const uint8_t *code, size_t len, uint64_t entry,
	      const struct site_query *q, struct insn *out, int max, enum site_kind *kind,
	      char *why, size_t why_size)
{
	struct code c;
	int n;

	*kind = SITE_NONE;
	n = code_init(&c, a, code, len, entry, why, why_size);
	if (!n && q->how == HOW_BODY) {
		n = choose_body(&c, q, out, kind, why, why_size);
		n = n ? n : 1;
	} else if (!n && q->how == HOW_FIRST) {
		*kind = SITE_AFTER_CALL;
		n = straight_line(&c, q, 0, 0, out, why, why_size);
		n = n ? n : 1;
	} else if (!n) {
		*kind = is_after(q->how) ? SITE_AFTER_CALL : SITE_CALL;
		n = find_calls(&c, q, out, max, why, why_size);
	}
	if (n > 0)
		n = add_texts(&c, out, n);
	if (n > 0)
		why[0] = '\0';
	else
		*kind = SITE_NONE;
	code_deinit(&c);
	return n;
}
