/* SPDX-License-Identifier: BSD-2-Clause */
#include "prove/prove.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "prove/freeze.h"
#include "prove/newer.h"
#include "prove/snap.h"
#include "prove/verify.h"
#include "proc/process.h"

#define FIRST_MINOR 20      /* 1.20: finalizers' queue, waiting reasons of locks */
#define MAX_RETRIES 4       /* of an unfrozen pass that contradicts itself */
#define CALM_PASSES 8       /* without a suspicion taken back, after one was */
#define MAX_PASSES  24      /* some five seconds, where it never gets calm */
#define GAP_MS      100     /* between unfrozen passes */
#define THREAD_NS   30000   /* to stop a thread and read its registers, measured 10 to 30 us */
#define STOP_NS     1000000 /* to stop any */
#define MAX_STOPS   3       /* that took longer than announced */
#define MORE_TIME   4       /* announced for the next one */
#define LETTING_GO  8       /* this part of the longest stop is for the end of it */

/* A goroutine that every pass so far has found stuck. */
struct suspect {
	uint64_t addr, goid, sp, primitive;
	uint8_t seq;
	bool leaked; /* else only if what config.held says is so */
};

struct run {
	const struct prove_config *cfg;
	struct prove_result *out;
	struct snap snap;
	struct freeze freeze;
	struct suspect *suspect;
	size_t nsuspect;
	uint64_t copy_ns; /* of the last unfrozen pass: what a frozen one will take */
	uint64_t stop_ns; /* of the last one */
};

static int off(struct prove_result *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Refused, with a sentence: never an error. */
static int off(struct prove_result *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out->why, sizeof(out->why), fmt, ap);
	va_end(ap);
	out->verdict = LEAKS_OFF;
	return 0;
}

static bool cancelled(const struct run *r)
{
	return r->cfg->cancelled && r->cfg->cancelled(r->cfg->arg);
}

/* ---- what can be judged at all ---- */

static const char *missing_global(const struct gobin *gb)
{
	static const struct {
		enum goglobal g;
		int first, last;
	} need[] = {
		{ GLOBAL_ALLGLEN, 0, 99 },     { GLOBAL_ALLGPTR, 0, 99 },
		{ GLOBAL_MHEAP, 0, 99 },       { GLOBAL_ALLM, 0, 99 },
		{ GLOBAL_ALLFIN, 0, 99 },      { GLOBAL_SEMTABLE, 0, 25 },
		{ GLOBAL_GCCLEANUPS, 25, 99 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(need); i++)
		if (gb->release.minor >= need[i].first && gb->release.minor <= need[i].last &&
		    !gb->global[need[i].g])
			return goglobal_name(need[i].g);
	return NULL;
}

static bool has_fields(const struct layout *l)
{
	/* clang-format off */
	static const enum layout_field need[] = {
		LAYOUT_G_SIZE, LAYOUT_G_STACK_LO, LAYOUT_G_STACK_HI, LAYOUT_G_SCHED_SP,
		LAYOUT_G_SCHED_PC, LAYOUT_G_SCHED_CTXT, LAYOUT_G_PANIC, LAYOUT_G_DEFER,
		LAYOUT_G_WAITING, LAYOUT_G_WAITREASON, LAYOUT_G_TRACKINGSEQ,
		LAYOUT_G_ATOMICSTATUS, LAYOUT_G_GOID,
		LAYOUT_SUDOG_SIZE, LAYOUT_SUDOG_G, LAYOUT_SUDOG_NEXT, LAYOUT_SUDOG_PREV,
		LAYOUT_SUDOG_ELEM, LAYOUT_SUDOG_WAITLINK, LAYOUT_SUDOG_C,
		LAYOUT_HCHAN_SIZE, LAYOUT_HCHAN_RECVQ_FIRST, LAYOUT_HCHAN_SENDQ_FIRST,
		LAYOUT_SEMAROOT_TREAP,
		LAYOUT_DEFER_SIZE, LAYOUT_DEFER_FN, LAYOUT_DEFER_LINK,
	};
	/* clang-format on */

	return layout_has(l, need, ARRAY_SIZE(need));
}

/* NULL when this program can be judged, else why not. */
static const char *refusal(struct goruntime *rt, char *text, size_t size)
{
	const struct gobin *gb = rt->gb;
	const char *missing;

	if (!gb->layout || !gb->arch || strcmp(gb->layout->arch, "amd64"))
		return "leaks can be judged on amd64 only";
	if (gb->release.minor < FIRST_MINOR)
		return "leaks can be judged from Go 1.20 on";
	if (strstr(gb->build.goexperiment, "staticlockranking"))
		return "built with GOEXPERIMENT=staticlockranking, which changes the runtime's "
		       "structures";
	if (gb->build.no_optimize) /* globals.c: the runtime's code has another shape then */
		return "built without optimisation (-N): where the runtime keeps its variables is "
		       "not known";
	if (!goruntime_has(rt, FACT_GOROUTINES))
		return rt->why_off[FACT_GOROUTINES];
	if (!has_fields(gb->layout))
		return "the runtime's structures are not known for this release";
	missing = missing_global(gb);
	if (missing) {
		snprintf(text, size, "the runtime's variable %s was not found", missing);
		return text;
	}
	missing = gb->layout_is_newer ? newer_misfit(rt) : NULL;
	if (!missing)
		return NULL;
	snprintf(text, size, "this Go release is not known to gospect, and %s", missing);
	return text;
}

/* ---- one pass ---- */

static int copy(struct run *r, const struct freeze *f, uint64_t deadline_ns)
{
	uint64_t max = r->cfg->max_copy_bytes ? r->cfg->max_copy_bytes : UINT64_MAX;
	uint64_t began = clock_mono_ns();
	int err = snap_copy(&r->snap, f, max, deadline_ns);

	r->copy_ns = clock_mono_ns() - began;
	if (r->copy_ns > r->snap.heap.fresh_ns)
		r->copy_ns -= r->snap.heap.fresh_ns;
	r->out->heap_bytes = r->snap.heap.mem_len;
	r->out->unknown_bytes = r->snap.heap.unknown_bytes;
	return err;
}

/* A pass that contradicts itself is repeated: the process runs meanwhile. */
static int unfrozen_pass(struct run *r)
{
	int err = 0;

	for (int i = 0; i <= MAX_RETRIES; i++) {
		if (cancelled(r))
			return -EINTR;
		err = copy(r, NULL, 0);
		if (!err)
			err = snap_judge(&r->snap);
		r->out->losses = r->snap.losses;
		if (err != -EBADMSG && err != -EFAULT)
			break;
	}
	r->out->candidates = r->snap.candidates;
	return err;
}

static size_t count_stuck(const struct snap *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->ng; i++)
		n += s->g[i].stuck;
	return n;
}

/* What a failed pass means for the verdict: 0 when it is said in the result. */
static int give_up(struct run *r, int err)
{
	const char *why = r->snap.why;

	switch (err) {
	case -ENOSPC:
		return off(r->out,
			   "heap with pointers and stacks have %" PRIu64
			   " MiB, more than may be copied",
			   (r->snap.heap.mem_len + r->snap.stacks_len) >> 20);
	case -EBADMSG:
		return off(r->out, "%s",
			   *why ? why : "the runtime's structures are not as expected");
	case -EFAULT:
		return off(r->out, "%s",
			   *why ? why : "memory that has to be searched cannot be read");
	default:
		return err;
	}
}

/* ---- what all passes agree on ---- */

static int first_suspects(struct run *r)
{
	const struct snap *s = &r->snap;

	r->nsuspect = 0;
	r->suspect = malloc((count_stuck(s) + 1) * sizeof(*r->suspect));
	if (!r->suspect)
		return -ENOMEM;
	for (size_t i = 0; i < s->ng; i++)
		if (s->g[i].stuck)
			r->suspect[r->nsuspect++] =
				(struct suspect){ s->g[i].addr, s->g[i].goid,
						  s->g[i].sp,   s->g[i].primitive,
						  s->g[i].seq,  snap_is_leaked(s, i) };
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

/* ---- the result ---- */

static int by_goid(const void *a, const void *b)
{
	const struct leaked *x = a, *y = b;

	return x->g.goid < y->g.goid ? -1 : x->g.goid > y->g.goid;
}

/* 0: the process is still the one that was looked at; -ESRCH, -ESTALE. */
static int process_gone(const struct run *r)
{
	return r->cfg->proc ? process_check(r->cfg->proc) : 0;
}

/*
 * main waits for ever on purpose in many ways: select {}, <-make(chan bool), a wait group that is
 * never done, <-context.Background().Done().  A lock or a send is none of them.
 */
static bool is_by_design(const struct run *r, const struct leaked *l)
{
	switch (l->g.goid == 1 ? (enum leak_kind)l->kind : LEAK_MUTEX) {
	case LEAK_SELECT_NONE:
	case LEAK_CHAN_RECV:
	case LEAK_SELECT:
	case LEAK_WAITGROUP:
		return true;
	case LEAK_NIL_CHAN:
		return !strncmp(goroutine_state(r->cfg->rt, &l->g), "chan receive", 12);
	default:
		return false;
	}
}

/* 1: it is one; 0: gone, or somebody else's meanwhile: it was none; -ESRCH, -ESTALE:
 * the process ended, and half a list is useless. */
static int fill_one(const struct run *r, const struct pgo *g, struct leaked *l)
{
	int code = goruntime_read_g(r->cfg->rt, g->addr, &l->g);

	if (code) {
		int gone = code == -ESRCH ? code : process_gone(r);

		r->out->losses += !gone;
		return gone;
	}
	if (l->g.goid != g->goid || l->g.tracking_seq != g->seq)
		return 0;
	l->primitive = g->primitive;
	l->kind = g->kind;
	l->by_design = is_by_design(r, l);
	l->seen_passes = (uint8_t)r->out->passes;
	return 1;
}

/* only: of these (1: leaked; 2: at most stuck); NULL: of all. */
static int fill(struct run *r, const struct u64map *only)
{
	struct prove_result *out = r->out;
	const struct snap *s = &r->snap;
	size_t stuck = count_stuck(s);

	out->v = calloc(stuck + 1, sizeof(*out->v));
	out->stuck = calloc(stuck + 1, sizeof(*out->stuck));
	if (!out->v || !out->stuck)
		return -ENOMEM;
	for (size_t i = 0; i < s->ng; i++) {
		const struct pgo *g = &s->g[i];
		const uint64_t *as = only && g->stuck ? u64map_find(only, g->addr) : NULL;
		bool leaked;
		int got;

		if (!g->stuck || (only && !as))
			continue;
		leaked = snap_is_leaked(s, i) && (!as || *as == 1);
		if (!leaked && s->held_void)
			continue;
		got = fill_one(r, g, leaked ? &out->v[out->n] : &out->stuck[out->nstuck]);
		if (got < 0)
			return got;
		*(leaked ? &out->n : &out->nstuck) += (size_t)got;
	}
	qsort(out->v, out->n, sizeof(*out->v), by_goid);
	qsort(out->stuck, out->nstuck, sizeof(*out->stuck), by_goid);
	return 0;
}

/* The last look, and the list. */
static int finish(struct run *r, const struct u64map *only)
{
	int code = verify_leaks(&r->snap);

	r->out->losses = r->snap.losses;
	snap_drop_copies(&r->snap);
	return code ? code : fill(r, only);
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
		code = finish(r, &only);
	u64map_deinit(&only);
	return code;
}

/* ---- without stopping ---- */

/*
 * A pass misses what moves from where it has not read yet to where it has.
 * When a later pass takes a suspicion back there is such movement: then it goes
 * on until nothing has been taken back for some passes.
 */
static int run_passes(struct run *r)
{
	int want = r->cfg->passes > 0 ? r->cfg->passes : 6, code = 0;
	size_t before = 0;

	r->out->verdict = LEAKS_PASSES;
	r->out->passes = 0;
	r->snap.heap.trust_alloc_bits = false;
	for (int i = 0; i < want && !code; i++) {
		if (i)
			clock_nap_ms(GAP_MS);
		code = unfrozen_pass(r);
		if (code)
			break;
		r->out->passes++;
		if (i)
			filter_suspects(r);
		else
			code = first_suspects(r);
		if (!code && !r->nsuspect)
			return 0;
		if (i && r->nsuspect < before && want < r->out->passes + CALM_PASSES)
			want = r->out->passes + CALM_PASSES;
		if (want > MAX_PASSES)
			want = MAX_PASSES;
		before = r->nsuspect;
	}
	return code ? code : finish_passes(r);
}

/* ---- with a proof ---- */

static uint64_t expected_stop(const struct run *r)
{
	int threads = 1;
	uint64_t rss;

	if (process_usage(r->cfg->proc, &rss, &threads))
		threads = 1;
	return STOP_NS + r->copy_ns + (uint64_t)threads * THREAD_NS;
}

/* A program that calls C: its system calls may see EINTR when it is interrupted. */
static bool uses_cgo(const struct gobin *gb)
{
	struct gofunc fn;

	return gb->build.cgo && gb->image.is_dynamic &&
	       !pclntab_find_name(gb->pcln, "runtime.cgocall", &fn);
}

/* No stop takes longer than twice what was announced, nor longer than allowed. */
static uint64_t longest_stop(const struct run *r)
{
	uint64_t twice = 2 * r->out->expected_stop_ns, max = r->cfg->max_stop_ns;

	return max && max < twice ? max : twice;
}

/* Stops, copies and lets go: the process stands still in here only. */
static int frozen_copy(struct run *r)
{
	uint64_t limit = longest_stop(r), began = clock_mono_ns();
	uint64_t until = began + limit - limit / LETTING_GO;
	int err = freeze_begin(&r->freeze, r->cfg->proc->pid, until, began + limit), early;

	if (!err)
		err = copy(r, &r->freeze, until);
	early = freeze_end(&r->freeze);
	r->stop_ns = r->freeze.stop_ns ? r->freeze.stop_ns : clock_mono_ns() - began;
	if (!err || err == -ETIME)
		r->out->stop_ns += r->stop_ns;
	return !err && early ? early : err;
}

/*
 * A machine that is busy, or a gospect that was stopped, may need longer than
 * was announced: then the process runs on, and it is announced anew.
 */
static int frozen_copies(struct run *r)
{
	struct prove_stop stop = { .uses_cgo = uses_cgo(r->cfg->rt->gb) };
	uint64_t max = r->cfg->max_stop_ns ? r->cfg->max_stop_ns : UINT64_MAX;
	int code = -ETIME;

	for (int i = 0; i < MAX_STOPS && code == -ETIME; i++) {
		if (i && (longest_stop(r) >= max || !freeze_is_open(&r->freeze)))
			break;
		stop.expected_ns = r->out->expected_stop_ns * (i ? MORE_TIME : 1);
		if (stop.expected_ns > max)
			stop.expected_ns = max;
		r->out->expected_stop_ns = stop.expected_ns;
		if (r->cfg->announce)
			r->cfg->announce(r->cfg->arg, &stop);
		if (cancelled(r))
			return -EINTR;
		code = frozen_copy(r);
		stop.in_vain_ns = r->stop_ns;
	}
	return code;
}

/* 0: the proof is in the result; 1: it could not be had, why is said; negative errno. */
static int prove_frozen(struct run *r)
{
	int code;

	code = frozen_copies(r);
	switch (code) {
	case 0:
		break;
	case -EBUSY:
		r->out->tracer_busy = true;
		snprintf(r->out->why, sizeof(r->out->why), "another tracer has the process");
		return 1;
	case -ETIME:
		snprintf(r->out->why, sizeof(r->out->why),
			 "copying it took longer than announced, so it was let go before the "
			 "end%s%s",
			 r->freeze.why[0] ? ": " : "", r->freeze.why);
		return 1;
	case -EPERM:
	case -EACCES:
		snprintf(r->out->why, sizeof(r->out->why),
			 "the process may not be stopped (CAP_SYS_PTRACE)");
		return 1;
	default:
		return code;
	}
	code = snap_judge(&r->snap);
	r->out->losses = r->snap.losses;
	r->out->candidates = r->snap.candidates;
	r->out->passes = 1;
	/* finish() gives the copies back */
	if (!code)
		code = snap_running(&r->snap, &r->out->running, &r->out->nrunning);
	if (!code)
		code = finish(r, NULL);
	if (!code)
		r->out->verdict = LEAKS_PROVEN;
	return code;
}

static int run_proof(struct run *r)
{
	int code;

	/* how much there is, and room for it: none is made while it stands still */
	r->snap.heap.trust_alloc_bits = true;
	code = unfrozen_pass(r);
	/* what changes too fast to be read while it runs is clear when it stands still */
	if (code && code != -EFAULT && code != -EBADMSG)
		return code;
	r->out->passes = 1;
	r->out->expected_stop_ns = expected_stop(r);
	if (!r->cfg->max_stop_ns || r->out->expected_stop_ns <= r->cfg->max_stop_ns)
		return prove_frozen(r);
	snprintf(r->out->why, sizeof(r->out->why),
		 "the process would be stopped for about %" PRIu64 " ms, longer than allowed",
		 (uint64_t)(r->out->expected_stop_ns / NS_PER_MS));
	return 1;
}

static int run(struct run *r)
{
	int code = r->cfg->prove ? run_proof(r) : 1;

	if (code == 1 && !r->out->tracer_busy)
		code = run_passes(r);
	return code > 0 ? 0 : code;
}

/* What cannot be read, or looks like nothing at all, may be because it is another program by now. */
static int replaced(const struct run *r, int code)
{
	int gone = process_gone(r);

	return gone == -ESTALE || (gone && code) ? gone : code;
}

int prove_run(const struct prove_config *cfg, struct prove_result *out, struct err *err)
{
	uint64_t began = clock_mono_ns();
	struct run r = { .cfg = cfg, .out = out };
	char text[120];
	const char *why;
	int code;

	memset(out, 0, sizeof(*out));
	why = refusal(cfg->rt, text, sizeof(text));
	if (why)
		return off(out, "%s", why);
	freeze_init(&r.freeze);
	code = snap_init(&r.snap, cfg->rt);
	if (!code && cfg->prove)
		code = freeze_open(&r.freeze);
	r.snap.held = cfg->held;
	r.snap.nheld = cfg->nheld;
	if (!code)
		code = run(&r);
	if (code == -EFAULT || code == -EBADMSG || !code)
		code = replaced(&r, code);
	code = give_up(&r, code);
	freeze_deinit(&r.freeze);
	snap_deinit(&r.snap);
	free(r.suspect);
	out->total_ns = clock_mono_ns() - began;
	if (code) {
		prove_result_deinit(out);
		if (err && !err->code)
			err_set(err, code, "cannot judge leaks: %s",
				code == -ESRCH    ? "the process has ended"
				: code == -ESTALE ? "the process called exec"
						  : strerror(-code));
	}
	return code;
}

void prove_result_deinit(struct prove_result *r)
{
	free(r->v);
	free(r->stuck);
	free(r->running);
	r->v = r->stuck = NULL;
	r->running = NULL;
	r->n = r->nstuck = r->nrunning = 0;
}
