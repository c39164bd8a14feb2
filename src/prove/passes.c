/* SPDX-License-Identifier: BSD-2-Clause */
/* Several passes over a running process, and what all agree on. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proc/process.h"
#include "prove/prove_priv.h"
#include "prove/verify.h"

#define GAP_MS      100 /* between unfrozen passes */
#define STARVED_MS  10  /* between two looks whether a thread has had a CPU */
#define CALM_PASSES 8   /* without a suspicion taken back, after one was */
#define MAX_PASSES  24  /* some five seconds, where it never gets calm */
#define ENOUGH      3   /* where there is no time for more, */
#define ENOUGH_CALM 4   /* and without a suspicion taken back, after one was */
#define LATEST      3   /* times the limit: also the pass under way ends */

static int first_suspects(struct run *r)
{
	const struct snap *s = &r->snap;

	r->nsuspect = 0;
	r->suspect = malloc((prove_count_stuck(s) + 1) * sizeof(*r->suspect));
	if (!r->suspect)
		return -ENOMEM;
	for (size_t i = 0; i < s->ng; i++)
		if (s->g[i].stuck)
			r->suspect[r->nsuspect++] =
				(struct suspect){ s->g[i].addr,        s->g[i].goid, s->g[i].sp,
						  s->g[i].primitive,   s->g[i].seq,  s->g[i].kind,
						  snap_is_leaked(s, i) };
	return 0;
}

static void filter_suspects(struct run *r)
{
	const struct snap *s = &r->snap;
	size_t n = 0;

	for (size_t k = 0; k < r->nsuspect; k++) {
		const struct suspect *a = &r->suspect[k];
		const struct pgo *g;
		size_t i;

		if (!snap_find_g(s, a->addr, &i))
			continue;
		g = &s->g[i];
		if (!g->stuck || g->goid != a->goid || g->sp != a->sp ||
		    g->primitive != a->primitive || g->seq != a->seq)
			continue;
		r->suspect[n] = *a;
		r->suspect[n++].leaked = a->leaked && snap_is_leaked(s, i);
	}
	r->nsuspect = n;
}

static int finish_passes(struct run *r)
{
	struct u64map only;
	int code = 0;

	u64map_init(&only, r->nsuspect + 1);
	for (size_t k = 0; k < r->nsuspect && !code; k++)
		if (!u64map_put(&only, r->suspect[k].addr, r->suspect[k].leaked ? 1 : 2, NULL))
			code = -ENOMEM;
	if (!code)
		code = verify_leaks(&r->snap);
	if (!code)
		code = prove_finish(r, &only);
	u64map_deinit(&only);
	return code;
}

/*
 * It had to end, within a pass or the last look: what is read of it is incomplete, so
 * each that all passes agree on is looked at once more by itself.
 */
static int finish_early(struct run *r)
{
	struct prove_result *out = r->out;
	int got = 0;

	snap_drop_copies(&r->snap);
	out->v = calloc(r->nsuspect + 1, sizeof(*out->v));
	if (!out->v)
		return -ENOMEM;
	for (size_t k = 0; k < r->nsuspect && got >= 0; k++) {
		const struct suspect *a = &r->suspect[k];
		const struct pgo g = { .addr = a->addr,
				       .goid = a->goid,
				       .seq = a->seq,
				       .kind = a->kind,
				       .primitive = a->primitive };
		struct leaked *l = &out->v[out->n];

		if (!a->leaked)
			continue;
		got = prove_fill_one(r, &g, l);
		out->n += got > 0 && (l->g.status == GO_WAITING || l->g.status == GO_LEAKED) &&
			  l->g.sched_sp == a->sp;
	}
	prove_sort(out->v, out->n);
	return got < 0 ? got : 0;
}

/* Whether the last pass was of memory that did not change: nothing is gained by a pause then. */
static int watched_pass(struct run *r)
{
	const struct process *p = r->cfg->proc;
	uint64_t before = 0, after = 0;
	bool known = p && !process_cpu_ns(p, &before);
	int code = prove_unfrozen_pass(r);

	r->moved = !known || process_cpu_ns(p, &after) || before != after;
	return code;
}

/*
 * What a thread has in its registers is not seen, and as long as it gets no CPU that is the
 * same: a further pass would miss what this one did.  -ETIME: one got none for too long.
 */
static int let_all_run(struct run *r, uint64_t until_ns)
{
	const struct process *p = r->cfg->proc;

	while (p && !waiting_all_ran(&r->waiting, p->pid)) {
		if (until_ns && clock_mono_ns() > until_ns)
			return -ETIME;
		if (!r->snap.heap.go_on(r->snap.heap.go_on_arg, "waiting for its threads to run",
					0))
			return -EINTR;
		clock_nap_ms(STARVED_MS);
	}
	return 0;
}

static int one_pass(struct run *r, uint64_t until_ns)
{
	int code = let_all_run(r, until_ns);

	if (!r->out->passes)
		r->out->as_of_ns = clock_mono_ns();
	if (!code)
		code = watched_pass(r);
	if (!code && r->cfg->proc)
		code = waiting_read(&r->waiting, r->cfg->proc->pid);
	if (code)
		return code;
	if (!r->out->passes++)
		return first_suspects(r);
	filter_suspects(r);
	return 0;
}

static int too_slow(struct run *r)
{
	return prove_off(
		r->out,
		"%d pass%s over its memory fit into %.0f s, too few to be sure of: --prove "
		"freezes it for a single one",
		r->out->passes, r->out->passes == 1 ? "" : "es",
		(double)(LATEST * r->cfg->limit_ns) / 1e9);
}

/* By a quota of its control group, or on a machine that is busy. */
static int starved(struct run *r)
{
	return prove_off(r->out,
			 "not judged yet: not all of its threads that are ready got a CPU within "
			 "%.0f s, and what they hold is not seen (%d of %d passes)",
			 (double)r->cfg->limit_ns / 1e9, r->out->passes, r->want);
}

/* What moves fools one pass after the other. */
static int restless(struct run *r)
{
	return prove_off(r->out,
			 "not judged: up to the last of %d passes over its memory suspicions were "
			 "taken back: --prove freezes it for a single one",
			 r->out->passes);
}

/* Whether the passes made will do where there is no time for more.  changed: the last that
 * took a suspicion back; 1: none did. */
static bool is_enough(const struct run *r, int changed)
{
	return r->out->passes >= ENOUGH &&
	       (changed == 1 || r->out->passes >= changed + ENOUGH_CALM);
}

/*
 * A pass misses what moves from where it has not read yet to where it has.
 * When a later pass takes a suspicion back there is such movement: then it goes
 * on until nothing has been taken back for some passes.
 */
int prove_passes(struct run *r)
{
	uint64_t limit = r->cfg->limit_ns, began = clock_mono_ns();
	int code = 0, changed = 1;

	r->want = r->cfg->passes > 0 ? r->cfg->passes : 6;
	r->end_ns = limit ? began + LATEST * limit : 0;
	r->out->verdict = LEAKS_PASSES;
	r->out->passes = 0;
	r->snap.heap.trust_alloc_bits = false;
	while (!code && r->out->passes < r->want) {
		size_t before = r->nsuspect;

		if (r->out->passes && r->moved)
			clock_nap_ms(GAP_MS);
		code = one_pass(r, limit ? began + limit : 0);
		if (code)
			break;
		if (!r->nsuspect)
			return 0;
		if (r->out->passes > 1 && r->nsuspect != before)
			changed = r->out->passes;
		if (changed > 1 && r->want < changed + CALM_PASSES)
			r->want = changed + CALM_PASSES;
		if (r->want > MAX_PASSES)
			r->want = MAX_PASSES;
		if (limit && clock_mono_ns() - began > limit && is_enough(r, changed))
			break;
	}
	if (code == -ETIME)
		code = is_enough(r, changed) ? finish_passes(r) : starved(r);
	else if (!code)
		code = changed == 1 || is_enough(r, changed) ? finish_passes(r) : restless(r);
	if (code == -EINTR && (is_enough(r, changed) || (changed == 1 && r->out->passes > 1)))
		code = finish_early(r);
	else if (code == -EINTR && r->end_ns && clock_mono_ns() > r->end_ns)
		code = too_slow(r);
	r->end_ns = 0;
	return code;
}
