// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Goroutines: births by creation pc and start function, and the time of the
 * last ones; ends, and how long those had lived whose birth was seen.  Where
 * ends are not probed they follow from births and from who is alive.
 *
 * A g is reused, so nothing is keyed by its address.
 */
#include "sums.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Full: the event is counted in sites_full, a birth also in births_other, and
 * belongs to no site. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GS_MAX_SITES);
	__type(key, struct gs_site_key);
	__type(value, struct gs_site);
} sites SEC(".maps");

/* Never full: a birth overwrites the one 65,536 ids before it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GS_BIRTH_SLOTS);
	__type(key, __u32);
	__type(value, struct gs_birth);
} births SEC(".maps");

static const struct gs_site no_site;

/*
 * The time of births, read from the clock once per jiffy (the coarse clock
 * would do, but programs of this type may not use it); `left` says how many
 * more births of this jiffy are worth their time.  Shared by all CPUs without
 * a lock: a race makes a time one jiffy late or records one birth more.  For
 * lifetimes the clock is read for each of them.
 */
struct birth_clock {
	__u64 jiffies;
	__u64 ns;
	__u64 left;
};
static volatile struct birth_clock birth_clock;

static __always_inline bool birth_time(__u64 *ns)
{
	__u64 now;

	if (gs_every_birth) {
		*ns = bpf_ktime_get_ns();
		return true;
	}
	now = bpf_jiffies64();
	if (birth_clock.jiffies != now) {
		*ns = bpf_ktime_get_ns();
		birth_clock.ns = *ns;
		birth_clock.left = GS_BIRTHS_PER_JIFFY;
		birth_clock.jiffies = now;
		return true;
	}
	if (!birth_clock.left)
		return false;
	*ns = gs_lifetimes ? bpf_ktime_get_ns() : birth_clock.ns;
	birth_clock.left--;
	return true;
}

/* The site's row, made when it is new; NULL when the table is full (counted). */
static __always_inline struct gs_site *site_of(struct hit *h, struct gs_site_key *key)
{
	struct gs_site *s = bpf_map_lookup_elem(&sites, key);

	if (s)
		return s;
	/* Another CPU may be faster: what counts is the look-up after it. */
	if (!gs_no_new)
		bpf_map_update_elem(&sites, key, &no_site, BPF_NOEXIST);
	s = bpf_map_lookup_elem(&sites, key);
	if (!s)
		gs_add(&h->count->sites_full, 1);
	return s;
}

static __always_inline bool site_key_of_g(struct hit *h, struct gs_site_key *key, __u64 g)
{
	if (bpf_probe_read_user(key, sizeof(*key), (void *)(g + h->spec->g_gopc))) {
		gs_add(&h->count->read_failures, 1);
		return false;
	}
	key->target = h->target; /* g.ancestors lies between the two */
	return true;
}

static __always_inline void count_birth(struct hit *h, struct gs_site *s)
{
	gs_add(s ? &s->births : &h->count->births_other, 1);
}

SUBPROG int note_birth(const volatile struct gs_spec *spec, struct gs_counters *count, __u32 target,
		       __u64 g)
{
	struct gs_birth *b;
	__u64 ns, goid;
	__u32 slot;

	if (!birth_time(&ns))
		return 0;
	if (bpf_probe_read_user(&goid, sizeof(goid), (void *)(g + spec->g_goid))) {
		gs_add(&count->read_failures, 1);
		return 0;
	}
	slot = GS_BIRTH_SLOT(target, goid);
	b = bpf_map_lookup_elem(&births, &slot);
	if (!b)
		return 0; /* slot is masked: for the verifier */
	*(volatile __u64 *)&b->owner = 0;
	*(volatile __u64 *)&b->ns = ns;
	*(volatile __u64 *)&b->owner = GS_BIRTH_OWNER(target, goid);
	return 0;
}

/* runtime.newproc.func1 at `call runqput`: runqput(p, newg, next); the new g
 * is filled in and not yet visible to any other thread. */
SEC("uprobe")
int go_birth(go_regs *ctx)
{
	struct gs_site_key key;
	struct hit h;

	if (!hit_begin(&h, ctx, PROBE_GO_BIRTH, GROUP_BIRTHS))
		return 0;
	if (!site_key_of_g(&h, &key, GO_ARG1(ctx))) {
		count_birth(&h, NULL);
		return 0;
	}
	count_birth(&h, site_of(&h, &key));
	note_birth(h.spec, h.count, h.target, GO_ARG1(ctx));
	return 0;
}

/* runtime.newcoro.func1 at `call newproc1`: newproc1(fn *funcval, callergp,
 * callerpc, …) (Go >= 1.22).  The g does not exist yet: no goid, no time. */
SEC("uprobe")
int coro_birth(go_regs *ctx)
{
	struct gs_site_key key = {};
	struct hit h;

	if (!hit_begin(&h, ctx, PROBE_CORO_BIRTH, GROUP_BIRTHS))
		return 0;
	if (bpf_probe_read_user(&key.startpc, sizeof(key.startpc), (void *)GO_ARG0(ctx))) {
		gs_add(&h.count->read_failures, 1);
		count_birth(&h, NULL);
		return 0;
	}
	key.gopc = GO_ARG2(ctx);
	key.target = h.target;
	count_birth(&h, site_of(&h, &key));
	return 0;
}

/* When it was born; 0: not seen, not timed or overwritten since. */
static __always_inline __u64 born_at(struct hit *h, __u64 g)
{
	struct gs_birth *b;
	__u64 goid = 0, ns;
	__u32 slot;

	if (bpf_probe_read_user(&goid, sizeof(goid), (void *)(g + h->spec->g_goid))) {
		gs_add(&h->count->read_failures, 1);
		return 0;
	}
	slot = GS_BIRTH_SLOT(h->target, goid);
	b = bpf_map_lookup_elem(&births, &slot);
	if (!b || *(volatile __u64 *)&b->owner != GS_BIRTH_OWNER(h->target, goid))
		return 0;
	ns = *(volatile __u64 *)&b->ns;
	return *(volatile __u64 *)&b->owner == GS_BIRTH_OWNER(h->target, goid) ? ns : 0;
}

/* The site's row of lifetimes, a new one when it has none. */
static __always_inline __u32 life_row(struct hit *h, struct gs_site *s)
{
	__u32 row = s->row, n, other;

	if (!row) {
		n = pool_take(GS_POOL_LIVES, 1);
		row = row_ref(n);
		other = row ? __sync_val_compare_and_swap(&s->row, 0, row) : 0;
		if (other) { /* another CPU was faster */
			pool_give(GS_POOL_LIVES, n);
			row = other;
		}
	}
	if (!row)
		gs_add(&h->count->lives_full, 1);
	return row;
}

SUBPROG int note_end(struct hit *h, struct gs_site *s, __u64 g)
{
	__u64 born = born_at(h, g), now;
	__u32 row;

	if (!born)
		return 0;
	row = life_row(h, s);
	now = bpf_ktime_get_ns();
	sum_end(h, row, now > born ? now - born : 0, false);
	return 0;
}

/* runtime.gdestroy(gp) (before Go 1.22: goexit0), on the system stack: gp has
 * its id and its place of creation still. */
SEC("uprobe")
int go_end(go_regs *ctx)
{
	struct gs_site_key key;
	struct gs_site *s;
	struct hit h;

	if (!hit_begin(&h, ctx, PROBE_GO_END, GROUP_ENDS))
		return 0;
	if (!site_key_of_g(&h, &key, GO_ARG0(ctx)))
		return 0;
	s = site_of(&h, &key);
	if (!s)
		return 0;
	gs_add(&s->ends, 1);
	note_end(&h, s, GO_ARG0(ctx));
	return 0;
}
