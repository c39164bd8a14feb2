// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How a process dies by its own doing: panics that nobody recovers, fatal
 * errors, signals, os.Exit.  Each of these probes is hit once or twice in the
 * life of a process, just before its end, so a record may be large: it has the
 * message and a piece of the goroutine's stack, for there is no memory to read
 * afterwards.  Records are written to a table that user space maps: they stay
 * when it wakes late.
 */
#include "gospect.bpf.h"

#include "gospect/crash.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* All taken: counted in gs_crashes_taken, which goes on. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GS_CRASH_RECORDS);
	__type(key, __u32);
	__type(value, struct gs_crash);
} crashes SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gs_crash_spec);
} crash_spec SEC(".maps");

volatile __u64 gs_crashes_taken = 0;

static __always_inline __u64 word_at(struct gs_crash *c, __u64 addr)
{
	__u64 v = 0;

	if (bpf_probe_read_user(&v, sizeof(v), (void *)addr))
		c->flags |= GS_CRASH_UNREAD;
	return v;
}

/* len bytes of text at addr. */
SUBPROG int take_text(struct gs_crash_panic *p, __u64 addr, __u64 len)
{
	__u32 n = len > GS_CRASH_TEXT ? GS_CRASH_TEXT : (__u32)len;

	p->text_at = addr;
	p->len = len > 0xffffffff ? 0xffffffff : (__u32)len;
	barrier_var(n);
	if (n > GS_CRASH_TEXT)
		return 0;
	if (!bpf_probe_read_user(p->text, n, (void *)addr))
		p->text_bytes = n;
	return 0;
}

/* The string that data points to, if it is one: text is foreign bytes in any case. */
SUBPROG int take_value(struct gs_crash_panic *p)
{
	if (!p->data || bpf_probe_read_user(p->word, sizeof(p->word), (void *)p->data))
		return 0;
	if (p->word[0] > 4096 && p->word[1] && p->word[1] < 1ull << 32)
		take_text(p, p->word[0], p->word[1]);
	return 0;
}

static __always_inline __u32 flag_at(__u64 panic, __u32 off, __u32 flag)
{
	__u8 v = 0;

	if (off != 0xffffffff)
		bpf_probe_read_user(&v, sizeof(v), (void *)(panic + off));
	return v & 1 ? flag : 0;
}

SUBPROG int take_panic(const struct gs_crash_spec *s, struct gs_crash_panic *p, __u64 at)
{
	/* type and data, one behind the other */
	bpf_probe_read_user(&p->type, 2 * sizeof(__u64), (void *)(at + s->panic_arg));
	p->flags = flag_at(at, s->panic_recovered, GS_PANIC_RECOVERED) |
		   flag_at(at, s->panic_goexit, GS_PANIC_GOEXIT);
	take_value(p);
	return 0;
}

/* The chain of the goroutine's panics, the latest first. */
SUBPROG int take_panics(const struct gs_crash_spec *s, struct gs_crash *c)
{
	__u64 at = word_at(c, c->g + s->g_panic);

	for (__u32 i = 0; i < GS_CRASH_PANICS; i++) {
		if (!at)
			return 0;
		take_panic(s, &c->panic[i], at);
		c->npanic = i + 1;
		at = word_at(c, at + s->panic_link);
	}
	if (at)
		c->flags |= GS_CRASH_MORE;
	return 0;
}

SUBPROG int take_stack(struct gs_crash *c)
{
	for (__u32 i = 0; i < GS_CRASH_STACK / GS_CRASH_CHUNK; i++) {
		__u64 at = c->sp + (__u64)i * GS_CRASH_CHUNK;
		__u64 left = c->stack_hi - at;
		__u32 n = left > GS_CRASH_CHUNK ? GS_CRASH_CHUNK : (__u32)left;

		if (at >= c->stack_hi)
			break;
		barrier_var(n);
		if (n > GS_CRASH_CHUNK ||
		    bpf_probe_read_user(c->stack + i * GS_CRASH_CHUNK, n, (void *)at))
			break;
		c->stack_bytes = i * GS_CRASH_CHUNK + n;
	}
	return 0;
}

/* The first goroutine: the one of main, when the thread that found out runs none. */
static __always_inline __u64 first_g(const struct gs_crash_spec *s, struct gs_crash *c)
{
	__u64 list = s->allgs ? word_at(c, s->allgs) : 0;

	return list ? word_at(c, list) : 0;
}

/* The goroutine, and where it stands: on its own stack, or where the system stack was entered. */
SUBPROG int take_goroutine(const struct gs_crash_spec *s, struct gs_crash *c, __u64 g, __u64 pc,
			   __u64 sp)
{
	__u64 m = word_at(c, g + s->g_m), curg = m ? word_at(c, m + s->m_curg) : 0;

	c->g = curg;
	if (!curg) {
		c->flags |= GS_CRASH_NO_G;
		c->g = first_g(s, c);
	}
	if (!c->g)
		return 0;
	c->goid = word_at(c, c->g + s->g_goid);
	c->gopc = word_at(c, c->g + s->g_gopc);
	c->startpc = word_at(c, c->g + s->g_startpc);
	c->stack_hi = word_at(c, c->g + 8); /* g.stack is the first member */
	c->pc = pc;
	c->sp = sp;
	if (c->g != g) {
		c->flags |= GS_CRASH_ON_G0;
		c->pc = word_at(c, c->g + s->g_sched_pc);
		c->sp = word_at(c, c->g + s->g_sched_sp);
	}
	return 0;
}

/* Of the g in a place of the list.  Idle and dead ones have nothing to say (runtime2.go). */
SUBPROG int take_other(const struct gs_crash_spec *s, struct gs_crash *c, __u64 place)
{
	enum { IDLE = 0, DEAD = 6, DEAD_EXTRA = 11, SCAN = 0x1000 };
	__u64 g = word_at(c, place);
	__u32 n = c->nother;
	struct gs_crash_other *o;

	barrier_var(n);
	if (n >= GS_CRASH_OTHERS || !g || g == c->g)
		return 0;
	o = &c->other[n];
	if (bpf_probe_read_user(&o->status, sizeof(o->status), (void *)(g + s->g_status)))
		return 0;
	o->status &= ~SCAN;
	if (o->status == IDLE || o->status == DEAD || o->status == DEAD_EXTRA)
		return 0;
	bpf_probe_read_user(&o->goid, sizeof(o->goid), (void *)(g + s->g_goid));
	bpf_probe_read_user(&o->gopc, sizeof(o->gopc), (void *)(g + s->g_gopc));
	bpf_probe_read_user(&o->startpc, sizeof(o->startpc), (void *)(g + s->g_startpc));
	bpf_probe_read_user(&o->reason, 1, (void *)(g + s->g_reason));
	c->nother = n + 1;
	return 0;
}

/* What the others wait for: read here, for there is no memory afterwards. */
SUBPROG int take_others(const struct gs_crash_spec *s, struct gs_crash *c)
{
	__u64 list = s->allgs && s->allglen ? word_at(c, s->allgs) : 0;
	__u32 len = list ? (__u32)word_at(c, s->allglen) : 0;

	for (__u32 i = 0; i < GS_CRASH_OTHERS; i++) {
		if (i >= len)
			return 0;
		take_other(s, c, list + 8 * (__u64)i);
	}
	c->unlooked = len - GS_CRASH_OTHERS;
	return 0;
}

/* The registers when a signal came: of the sigctxt that the handler has. */
SUBPROG int take_signal(struct gs_crash *c, __u64 sigctxt, __u64 gp)
{
	enum { RSP = 160, RIP = 168 }; /* in ucontext_t */
	__u64 context = word_at(c, sigctxt + 8);

	if (!context || gp != c->g)
		return 0; /* the thread was in C, in the scheduler, or idle */
	c->pc = word_at(c, context + RIP);
	c->sp = word_at(c, context + RSP);
	c->flags &= ~GS_CRASH_ON_G0;
	return 0;
}

static __always_inline struct gs_crash *take_record(__u32 kind)
{
	__u64 n = __sync_fetch_and_add(&gs_crashes_taken, 1);
	__u32 k = (__u32)n;
	struct gs_crash *c = n < GS_CRASH_RECORDS ? bpf_map_lookup_elem(&crashes, &k) : NULL;

	if (!c)
		return NULL;
	c->ns = bpf_ktime_get_ns();
	c->kind = kind;
	c->tid = (__u32)bpf_get_current_pid_tgid();
	return c;
}

/* By itself for the verifier: else it follows each kind from here on. */
__noinline __u32 crash_kind_of(__u32 probe)
{
	switch (probe) {
	case PROBE_CRASH_TYPES:
		return GS_CRASH_TYPES;
	case PROBE_CRASH_PANIC:
		return GS_CRASH_PANIC;
	case PROBE_CRASH_FATAL:
	case PROBE_CRASH_FATAL_OLD:
		return GS_CRASH_FATAL;
	case PROBE_CRASH_SIGNAL:
	case PROBE_CRASH_SIGNAL_OLD:
		return GS_CRASH_SIGNAL;
	}
	return GS_CRASH_EXIT;
}

/* The message of a fatal error: a string in registers; of the old probes in a closure. */
SUBPROG int take_message(struct gs_crash *c, __u64 text, __u64 len, bool in_closure)
{
	if (in_closure) {
		len = word_at(c, text + 16);
		text = word_at(c, text + 8);
	}
	c->npanic = 1;
	take_text(&c->panic[0], text, len);
	return 0;
}

SUBPROG int fill(go_regs *ctx, struct gs_crash *c, __u32 probe)
{
	__u32 zero = 0;
	const struct gs_crash_spec *s = bpf_map_lookup_elem(&crash_spec, &zero);

	if (!s)
		return 0;
	take_goroutine(s, c, GO_G(ctx), ctx->rip, GO_SP(ctx));
	switch (c->kind) {
	case GS_CRASH_TYPES:
	case GS_CRASH_PANIC:
		take_panics(s, c);
		break;
	case GS_CRASH_FATAL:
		take_message(c, GO_ARG0(ctx), GO_ARG1(ctx), probe == PROBE_CRASH_FATAL_OLD);
		break;
	case GS_CRASH_SIGNAL:
		if (probe == PROBE_CRASH_SIGNAL) { /* fatalsignal(sig, c, gp, mp) */
			c->code = (__u32)GO_ARG0(ctx);
			take_signal(c, GO_ARG1(ctx), GO_ARG2(ctx));
		}
		break;
	case GS_CRASH_EXIT:
		c->code = (__s64)GO_ARG0(ctx);
		break;
	}
	if (c->kind != GS_CRASH_TYPES) {
		take_stack(c);
		take_others(s, c);
	}
	return 0;
}

SEC("uprobe")
int crash_hit(go_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u32 probe = GS_COOKIE_PROBE(cookie);
	struct gs_crash *c;
	struct hit h;

	barrier_var(probe);
	if (probe >= PROBE_COUNT || !hit_of(&h, ctx, (__u32)cookie, probe, GROUP_DEATHS))
		return 0;
	c = take_record(crash_kind_of(probe));
	if (!c)
		return 0;
	fill(ctx, c, probe);
	*(volatile __u32 *)&c->ready = 1;
	return 0;
}
