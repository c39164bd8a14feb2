/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the sums out of the kernel. */
#include "trace/priv.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define CUT_OFF_CALLS 50 /* fewer say nothing of how many were cut off */

int drain_counters(struct trace *t, struct gs_counters *sum)
{
	enum { WORDS = sizeof(*sum) / sizeof(uint64_t) };
	uint64_t *to = (uint64_t *)sum;
	uint32_t key = TARGET;
	int e;

	memset(sum, 0, sizeof(*sum));
	e = bpf_map_lookup_elem(trace_map_fd(t, TRACE_MAP_COUNTERS), &key, t->percpu);
	if (e)
		return e;
	for (int cpu = 0; cpu < t->ncpu; cpu++) {
		const uint64_t *from = (const uint64_t *)&t->percpu[cpu];

		for (int i = 0; i < WORDS; i++)
			to[i] += from[i];
	}
	return 0;
}

/* The sites of a table, and those of their rows that hold anything. */
static void take_sites(struct trace *t, struct trace_reading *r, const struct dump *d,
		       uint32_t window, const bool *gone)
{
	for (size_t i = 0; i < d->n; i++) {
		struct trace_site *site = &r->site[r->nsite];
		const volatile struct gs_sum *sum;
		struct gs_site_key k;
		struct gs_site v;

		memcpy(&k, d->keys + i * sizeof(k), sizeof(k));
		memcpy(&v, d->values + i * sizeof(v), sizeof(v));
		if (k.target != TARGET)
			continue;
		*site = (struct trace_site){ k.gopc, k.startpc, v.births,
					     v.ends, NULL,      gone && gone[i] };
		r->nsite++;
		sum = r->lifetime ? drain_sum(t, v.row) : NULL;
		if (!sum || !sum->count)
			continue;
		site->lifetime = &r->lifetime[r->nlifetime];
		drain_read_sum(t, &r->lifetime[r->nlifetime].hist, sum);
		r->lifetime[r->nlifetime++].max_ns_window = drain_max(sum, window);
	}
}

/* How many of them have a row. */
static size_t count_rows(const struct dump *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		struct gs_site v;

		memcpy(&v, d->values + i * sizeof(v), sizeof(v));
		n += v.row != 0;
	}
	return n;
}

static uint64_t site_count(const void *value)
{
	struct gs_site v;

	memcpy(&v, value, sizeof(v));
	return v.births + v.ends;
}

static uint64_t stack_count(const void *value)
{
	struct gs_stack s;

	memcpy(&s, value, sizeof(s));
	return s.count;
}

static void evict_sites(struct trace *t, struct dump *d, bool *gone)
{
	const struct evict_table e = { trace_map_fd(t, TRACE_MAP_SITES), t->sizes.sites,
				       &t->idle_sites, site_count };

	evict_idle(t, &e, d, gone);
}

static void evict_stacks(struct trace *t, struct dump *d, bool *gone)
{
	const struct evict_table e = { trace_map_fd(t, TRACE_MAP_STACKS), t->sizes.stacks,
				       &t->idle_stacks, stack_count };

	evict_idle(t, &e, d, gone);
}

/* Their rows of lifetimes, once they are read. */
static void give_back_lives(struct trace *t, const struct dump *d, const bool *gone)
{
	for (size_t i = 0; gone && i < d->n; i++) {
		struct gs_site v;

		memcpy(&v, d->values + i * sizeof(v), sizeof(v));
		if (gone[i])
			rows_give_back(t, GS_POOL_LIVES, v.row, 1);
	}
}

/* window: the one that ended; NULL: without lifetimes. */
static int read_sites(struct trace *t, struct trace_reading *r, const uint32_t *window)
{
	struct dump d;
	int err = dump_map(&d, trace_map_fd(t, TRACE_MAP_SITES), sizeof(struct gs_site_key),
			   sizeof(struct gs_site));
	size_t rows = !err && window ? count_rows(&d) : 0;
	bool *gone = !err && window ? calloc(d.n + 1, sizeof(*gone)) : NULL;

	if (!err && d.n)
		r->site = calloc(d.n, sizeof(*r->site));
	if (rows)
		r->lifetime = calloc(rows, sizeof(*r->lifetime));
	if (!err && ((d.n && !r->site) || (rows && !r->lifetime)))
		err = -ENOMEM;
	r->births_gone = t->births_gone;
	if (!err && gone)
		evict_sites(t, &d, gone);
	if (!err)
		take_sites(t, r, &d, window ? *window : 0, gone);
	if (!err)
		give_back_lives(t, &d, gone);
	for (size_t i = 0; !err && i < r->nsite; i++)
		t->births_gone += r->site[i].gone ? r->site[i].births : 0;
	dump_deinit(&d);
	free(gone);
	return err;
}

static void alloc_from(struct trace_alloc *a, const struct gs_stack *s)
{
	a->npcs = s->npcs < TRACE_MAX_FRAMES ? s->npcs : TRACE_MAX_FRAMES;
	memcpy(a->pcs, s->pcs, sizeof(a->pcs));
	a->count = s->count;
	a->bytes = s->bytes;
	a->max_bytes = s->max_bytes;
}

static int read_allocs(struct trace *t, struct trace_reading *r)
{
	bool *gone;
	struct dump d;
	int e = dump_map(&d, trace_map_fd(t, TRACE_MAP_STACKS), sizeof(uint64_t),
			 sizeof(struct gs_stack));

	if (!e && d.n) {
		r->alloc = calloc(d.n, sizeof(*r->alloc));
		e = r->alloc ? 0 : -ENOMEM;
	}
	gone = e ? NULL : calloc(d.n + 1, sizeof(*gone));
	if (gone)
		evict_stacks(t, &d, gone);
	for (size_t i = 0; !e && i < d.n; i++) {
		struct gs_stack s;

		memcpy(&s, d.values + i * sizeof(s), sizeof(s));
		if (s.target != TARGET || !s.count)
			continue;
		r->alloc[r->nalloc].gone = gone && gone[i];
		alloc_from(&r->alloc[r->nalloc++], &s);
	}
	dump_deinit(&d);
	free(gone);
	return e;
}

/* Entries of threads that ended, once the table is half full. */
static void sweep_threads(struct trace *t, uint64_t made)
{
	int fd = trace_map_fd(t, TRACE_MAP_SCRATCH);
	uint32_t next;
	char path[64];
	bool more;

	/* In another pid namespace the ids mean nothing here. */
	if (t->pidns.own || made - t->threads_removed < t->sizes.alloc_scratch / 2)
		return;
	more = !bpf_map_get_next_key(fd, NULL, &next);
	while (more) {
		uint32_t tid = next;

		more = !bpf_map_get_next_key(fd, &tid, &next);
		snprintf(path, sizeof(path), "/proc/%d/task/%u", (int)t->cfg.pid, tid);
		if (access(path, F_OK) && errno == ENOENT && !bpf_map_delete_elem(fd, &tid))
			t->threads_removed++;
	}
}

static void read_hist(struct trace_hist *h, const volatile struct gs_hist *from)
{
	h->count = from->count;
	h->sum_ns = from->sum_ns;
	h->max_ns = from->max_ns;
	for (int i = 0; i < TRACE_HIST_BUCKETS; i++)
		h->bucket[i] = from->bucket[i];
}

/*
 * The largest pause since the last reading.  Two slots take turns: the one
 * that goes out of use is read, and looked at again before its next turn, so
 * that a write in between is late but not lost.
 */
static uint64_t window_max(struct trace *t)
{
	uint32_t number = t->spec->window, now = number & 1, next = !now;
	uint64_t max, late = t->gc->stw_max_ns[next];

	if (late <= t->window_taken[next])
		late = 0; /* nothing was written since */
	t->gc->stw_max_ns[next] = 0;
	__sync_synchronize();
	t->spec->window = number + 1;
	__sync_synchronize();
	max = t->gc->stw_max_ns[now];
	t->window_taken[now] = max;
	return max > late ? max : late;
}

static void read_gc(struct trace *t, struct trace_reading *r)
{
	r->gc_starts = t->gc->starts;
	r->gc_ends = t->gc->ends;
	read_hist(&r->gc_cycle, &t->gc->cycle);
	read_hist(&r->stw, &t->gc->stw);
	r->stw_max_ns_window = window_max(t);
}

static void read_arming(struct trace *t, struct trace_reading *r)
{
	for (int i = 0; i < PROBE_COUNT; i++) {
		const struct probe *p = trace_probe(t, (enum probe_id)i);
		bool stepped = false;

		r->prog_ns[i] = t->arm[trace_prog_of((enum probe_id)i)].prog_ns;
		if (!p)
			continue;
		r->armed++;
		for (int k = 0; k < p->nsite; k++)
			stepped |= p->site[k].klass == INSN_STEPPED;
		r->stepped += stepped;
		r->emulated += !stepped;
	}
}

static bool was_sliced(struct trace *t, enum probe_group g)
{
	bool off = !(t->on & GROUP_BIT(g)), sliced = t->was_off[g] || off;

	t->was_off[g] = off; /* the next window begins so */
	return sliced;
}

/* The keeper has let go of all, and no tick has noticed yet: this window has gaps. */
static void note_lapses(struct trace *t)
{
	for (int i = 0; keeper_lapses() != t->lapses && i < GROUP_COUNT; i++)
		t->was_off[i] = true;
}

static void read_coverage(struct trace *t, struct trace_reading *r)
{
	r->governed_on_ns = trace_on_ns(t, GROUP_BIRTHS, r->mono_ns);
	r->ends_on_ns = trace_on_ns(t, GROUP_ENDS, r->mono_ns);
	r->rare_on_ns = trace_on_ns(t, GROUP_RARE, r->mono_ns);
	r->panics_on_ns = trace_on_ns(t, GROUP_PANICS, r->mono_ns);
	r->wall_ns = r->mono_ns - t->attached_ns;
	r->governed_sliced = was_sliced(t, GROUP_BIRTHS);
	r->ends_sliced = was_sliced(t, GROUP_ENDS);
	r->rare_sliced = was_sliced(t, GROUP_RARE);
	r->panics_sliced = was_sliced(t, GROUP_PANICS);
}

static void read_counters(struct trace *t, struct trace_reading *r, const struct gs_counters *c)
{
	double cost = 0;

	for (int i = 0; i < PROBE_COUNT; i++)
		r->hits[i] = c->hits[i];
	trace_pay(t, c);
	for (int i = 0; i < GROUP_COUNT; i++)
		cost += t->cost_ns[i];
	r->cost_ns = (uint64_t)cost;
	/* What went to a row of the others (hosts, phases, calls) is not lost, but its name is. */
	r->others_full =
		c->hosts_full + c->phases_full + c->calls_full + c->fails_full + t->nameless;
	r->sites_full = c->sites_full + c->lives_full;
	r->stacks_full = c->stacks_full + c->threads_full + c->stack_collisions;
	r->requests_full = c->opens_full + c->pages_full + c->scratches_full + t->pushed_out;
	r->births_other = c->births_other;
	r->allocs_other = c->allocs_other;
	r->allocs_other_bytes = c->allocs_other_bytes;
	r->growths_other = c->growths_other;
	r->panics_other = c->panics_other;
	r->read_failures = c->read_failures;
	r->stack_failures = c->stack_failures;
	r->unpaired = c->unpaired;
}

/* While slices are cut: how many of the requests and calls that began were seen to end. */
static void learn_cut_off(struct trace *t, const struct trace_reading *r,
			  const struct gs_counters *c)
{
	uint64_t begun = c->requests_begun + t->calls_gone_begun,
		 ended = c->requests_answered + t->calls_gone_ended, b, e;

	for (size_t i = 0; i < r->ncall; i++) {
		/* of the rare group, or among those requests */
		if (r->call[i].kind == CALL_SQL_WAIT || r->call[i].kind == CALL_HTTP ||
		    r->call[i].kind == CALL_HANDLER)
			continue;
		begun += r->call[i].begun;
		ended += r->call[i].hist.count;
		if (r->call[i].gone) {
			t->calls_gone_begun += r->call[i].begun;
			t->calls_gone_ended += r->call[i].hist.count;
		}
	}
	b = begun - t->calls_begun;
	e = ended - t->calls_ended;
	if (b < CUT_OFF_CALLS)
		return;
	if (r->requests_sliced)
		governor_cut_off(&t->gov, e < b ? (double)(b - e) / (double)b : 0);
	t->calls_begun = begun;
	t->calls_ended = ended;
}

int trace_read(struct trace *t, struct trace_reading *r)
{
	struct gs_counters c;
	uint32_t window;
	int e;

	memset(r, 0, sizeof(*r));
	if (!t->attached_ns)
		return -EINVAL;
	r->mono_ns = clock_mono_ns();
	e = drain_counters(t, &c);
	slices_read(t);
	note_lapses(t);
	r->requests_sliced = was_sliced(t, GROUP_REQUESTS);
	r->requests_share = r->requests_sliced ? sample_share(&t->slices.w, SAMPLE_BY_WRITES) : 1;
	r->growths_share = r->requests_sliced ? sample_share(&t->slices.w, SAMPLE_BY_HEAP) : 1;
	if (!e)
		e = read_allocs(t, r);
	window = t->spec->window;
	read_gc(t, r); /* the next window begins */
	if (!e)
		e = read_sites(t, r, &window);
	if (!e)
		e = drain_calls(t, r, window);
	if (!e)
		e = drain_growths(t, r);
	if (!e)
		e = drain_panics(t, r);
	slices_next_window(t);
	if (e) {
		trace_reading_deinit(r);
		return e;
	}
	read_counters(t, r, &c);
	read_coverage(t, r);
	learn_cut_off(t, r, &c);
	read_arming(t, r);
	sweep_threads(t, c.threads_made);
	sweep_holds(t, c.opens_full);
	return 0;
}

int trace_read_births(struct trace *t, struct trace_reading *r)
{
	struct gs_counters c;
	int e;

	memset(r, 0, sizeof(*r));
	if (!t->attached_ns)
		return -EINVAL;
	r->mono_ns = clock_mono_ns();
	e = drain_counters(t, &c);
	r->births_other = c.births_other;
	if (!e)
		e = read_sites(t, r, NULL);
	if (e)
		trace_reading_deinit(r);
	return e;
}

#define LEAVE_OUT_GONE(row, n)                            \
	do {                                              \
		size_t left = 0;                          \
                                                          \
		for (size_t i = 0; i < (n); i++)          \
			if (!(row)[i].gone)               \
				(row)[left++] = (row)[i]; \
		(n) = left;                               \
	} while (0)

void trace_reading_begin(struct trace_reading *r)
{
	LEAVE_OUT_GONE(r->phase, r->nphase);
	LEAVE_OUT_GONE(r->call, r->ncall);
	LEAVE_OUT_GONE(r->failure, r->nfailure);
}

void trace_reading_deinit(struct trace_reading *r)
{
	free(r->site);
	free(r->lifetime);
	free(r->alloc);
	free(r->phase);
	free(r->call);
	free(r->failure);
	free(r->growth);
	if (r->panic)
		free(r->panic->row); /* the first of all of them */
	free(r->panic);
	memset(r, 0, sizeof(*r));
}
