/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parallel.h"
#include "base/vec.h"
#include "prove/prove_priv.h"
#include "prove/verify.h"
#include "proc/process.h"
#include "proc/procfs.h"

#define MAX_RETRIES  4         /* of an unfrozen pass that contradicts itself */
#define VANISHED_NS  300000000 /* likewise, of one that meets memory which is gone */
#define VANISHED_MS  3         /* between these */
#define THREAD_NS    30000     /* to stop a thread and read its registers, measured 10 to 30 us */
#define STOP_NS      1000000   /* to stop any */
#define FILL_AT_ONCE 4096
#define MOST_THREADS 4       /* memory is not faster for more */
#define MAX_STOPS    3       /* that took longer than announced */
#define MORE_TIME    4       /* announced for the next one */
#define LETTING_GO   4       /* this part of the longest stop is for the end of it */
#define FEW_STACKS   16384   /* unreached ones are copied before the freeze: some 10 ms */
#define SLICE_NS     4000000 /* that a thread has to wait for each one before it on its CPU */

int prove_off(struct prove_result *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out->why, sizeof(out->why), fmt, ap);
	va_end(ap);
	out->verdict = LEAKS_OFF;
	return 0;
}

/* While the process stands still nothing is said, only asked. */
static bool go_on(void *arg, const char *doing, double share)
{
	struct run *r = arg;
	struct prove_progress p = {
		.doing = r->freeze && r->freeze->holds ? NULL : doing,
		.pass = r->out->passes + 1,
		.of = r->want,
		.share = share,
	};

	if (r->end_ns && clock_mono_ns() > r->end_ns)
		return false;
	return !r->cfg->go_on || r->cfg->go_on(r->cfg->arg, &p);
}

/* ---- one pass ---- */

static int copy(struct run *r, const struct freeze *f, uint64_t deadline_ns)
{
	uint64_t max = r->cfg->max_bytes ? r->cfg->max_bytes : UINT64_MAX;
	uint64_t began = clock_mono_ns();
	int err = snap_copy(&r->snap, f, max, deadline_ns);

	r->copy_ns = clock_mono_ns() - began;
	if (r->copy_ns > r->snap.heap.fresh_ns)
		r->copy_ns -= r->snap.heap.fresh_ns;
	r->out->heap_bytes = r->snap.heap.mem_len;
	r->out->unknown_bytes = r->snap.heap.unknown_bytes;
	return err;
}

/* Stacks of goroutines that end are given back while they are read: it is another moment's luck. */
static bool may_retry(int err, int tries, uint64_t began)
{
	if (err != -EBADMSG && err != -EFAULT)
		return false;
	if (tries <= MAX_RETRIES)
		return true;
	if (err != -EFAULT || clock_mono_ns() - began > VANISHED_NS)
		return false;
	clock_nap_ms(VANISHED_MS);
	return true;
}

/* A pass that contradicts itself is repeated: the process runs meanwhile. */
int prove_unfrozen_pass(struct run *r)
{
	uint64_t began = clock_mono_ns();
	int err = 0, tries = 0;

	do {
		if (!go_on(r, "looking", 0))
			return -EINTR;
		err = copy(r, NULL, 0);
		if (!err && (!r->before || r->snap.sparing))
			err = snap_judge(&r->snap);
		r->out->losses = r->snap.losses;
	} while (may_retry(err, ++tries, began));
	r->out->candidates = r->snap.candidates;
	return err;
}

size_t prove_count_stuck(const struct snap *s)
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
		return prove_off(r->out,
				 "that needs %" PRIu64 " MiB or more, and may have %" PRIu64
				 " MiB%s%s",
				 r->snap.wanted_bytes >> 20, r->cfg->max_bytes >> 20,
				 r->cfg->too_much ? ": " : "",
				 r->cfg->too_much ? r->cfg->too_much : "");
	case -EBADMSG:
		return prove_off(r->out, "%s",
				 *why ? why : "the runtime's structures are not as expected");
	case -EFAULT:
		return prove_off(r->out, "%s",
				 *why ? why : "memory that has to be searched cannot be read");
	default:
		return err;
	}
}

/* ---- the result ---- */

static int by_goid(const void *a, const void *b)
{
	const struct leaked *x = a, *y = b;

	return x->g.goid < y->g.goid ? -1 : x->g.goid > y->g.goid;
}

void prove_sort(struct leaked *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_goid);
}

/* 0: the process is still the one that was looked at; -ESRCH, -ESTALE. */
static int process_gone(const struct run *r)
{
	return r->cfg->proc ? process_check(r->cfg->proc) : 0;
}

/*
 * main waits for ever on purpose in many ways: select {}, <-make(chan bool), a wait group that is
 * never done, <-context.Background().Done(), a nil channel whichever way.  A lock is none of them,
 * nor a send to a channel that somebody made.
 */
static bool is_by_design(const struct leaked *l)
{
	switch (l->g.goid == 1 ? (enum leak_kind)l->kind : LEAK_MUTEX) {
	case LEAK_SELECT_NONE:
	case LEAK_NIL_CHAN:
	case LEAK_CHAN_RECV:
	case LEAK_SELECT:
	case LEAK_WAITGROUP:
	case LEAK_COND:
		return true;
	default:
		return false;
	}
}

/* What l->g was read from is still the goroutine g. */
static int take_one(const struct run *r, const struct pgo *g, struct leaked *l)
{
	if (l->g.goid != g->goid || l->g.tracking_seq != g->seq)
		return 0;
	l->primitive = g->primitive;
	l->kind = g->kind;
	l->by_design = is_by_design(l);
	l->seen_passes = (uint8_t)r->out->passes;
	return 1;
}

int prove_fill_one(const struct run *r, const struct pgo *g, struct leaked *l)
{
	int code = goruntime_read_g(r->cfg->rt, g->addr, &l->g);

	if (code) {
		int gone = code == -ESRCH ? code : process_gone(r);

		r->out->losses += !gone;
		return gone;
	}
	return take_one(r, g, l);
}

/* Goroutines of the list, read together. */
struct filling {
	struct readbatch batch;
	size_t n, index[FILL_AT_ONCE];
	uint64_t addr[FILL_AT_ONCE];
	bool leaked[FILL_AT_ONCE], read[FILL_AT_ONCE];
	struct goroutine now[FILL_AT_ONCE];
};

static int fill_batch(struct run *r, struct filling *f)
{
	struct prove_result *out = r->out;
	int got = goruntime_read_gs(r->cfg->rt, &f->batch, f->addr, f->n, f->now, f->read);

	for (size_t i = 0; i < f->n && got >= 0; i++) {
		const struct pgo *g = &r->snap.g[f->index[i]];
		struct leaked *l = f->leaked[i] ? &out->v[out->n] : &out->stuck[out->nstuck];

		l->g = f->now[i];
		got = f->read[i] ? take_one(r, g, l) : prove_fill_one(r, g, l);
		if (got > 0)
			*(f->leaked[i] ? &out->n : &out->nstuck) += 1;
	}
	f->n = 0;
	return got < 0 ? got : 0;
}

static int fill_all(struct run *r, const struct u64map *only, struct filling *f)
{
	const struct snap *s = &r->snap;
	int err = 0;

	for (size_t i = 0; i < s->ng && !err; i++) {
		const struct pgo *g = &s->g[i];
		const uint64_t *as = only && g->stuck ? u64map_find(only, g->addr) : NULL;

		if (!g->stuck || (only && !as))
			continue;
		f->leaked[f->n] = snap_is_leaked(s, i) && (!as || *as == 1);
		if (!f->leaked[f->n] && s->held_void)
			continue;
		f->index[f->n] = i;
		f->addr[f->n++] = g->addr;
		if (f->n == FILL_AT_ONCE)
			err = fill_batch(r, f);
	}
	return err ? err : fill_batch(r, f);
}

/* only: of these (1: leaked; 2: at most stuck); NULL: of all. */
static int fill(struct run *r, const struct u64map *only)
{
	struct prove_result *out = r->out;
	size_t stuck = prove_count_stuck(&r->snap);
	struct filling *f = calloc(1, sizeof(*f));
	int err;

	out->v = calloc(stuck + 1, sizeof(*out->v));
	out->stuck = calloc(stuck + 1, sizeof(*out->stuck));
	err = f && out->v && out->stuck ? fill_all(r, only, f) : -ENOMEM;
	if (f)
		readbatch_deinit(&f->batch);
	free(f);
	if (err)
		return err;
	prove_sort(out->v, out->n);
	prove_sort(out->stuck, out->nstuck);
	return 0;
}

int prove_finish(struct run *r, const struct u64map *only)
{
	r->out->losses = r->snap.losses;
	snap_drop_copies(&r->snap);
	return fill(r, only);
}

/* ---- with a proof ---- */

/* Threads of this machine that run or want to, besides this one. */
static unsigned long others(void)
{
	char text[128];
	unsigned long running = 0;

	/* "0.20 0.18 0.12 1/80 11206": this process is one of those that run */
	if (procfs_read_short(AT_FDCWD, "/proc/loadavg", text, sizeof(text)) ||
	    sscanf(text, "%*s %*s %*s %lu/", &running) != 1 || !running)
		return 0;
	return running - 1;
}

/* A thread stops when it gets a CPU: how long that takes on a machine that is busy. */
static uint64_t wait_for_cpu(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 0 : others() * SLICE_NS / (unsigned long)cpus;
}

/*
 * Threads that copy: half of the CPUs, since they keep everything else off while the process
 * stands still, but two; as many copy before it, by which its length is told.  Without a stop no
 * more than there are CPUs that nobody uses.
 */
static int copying_threads(const struct prove_config *cfg)
{
	int cpus = parallel_cpus(), most = cpus / 2 < MOST_THREADS ? cpus / 2 : MOST_THREADS;
	unsigned long busy = cfg->prove ? 0 : others();

	most = most < 2 && cpus > 1 ? 2 : most;
	if (busy >= (unsigned long)cpus)
		return 1;
	return cpus - (int)busy < most ? cpus - (int)busy : most;
}

static uint64_t expected_stop(const struct run *r)
{
	int threads = 1;
	uint64_t rss;

	if (process_usage(r->cfg->proc, &rss, &threads))
		threads = 1;
	return STOP_NS + r->copy_ns + (uint64_t)threads * THREAD_NS + wait_for_cpu();
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
	int err = freeze_begin(r->freeze, r->cfg->proc->pid, until, began + limit), early;

	r->out->as_of_ns = clock_mono_ns();
	if (!err)
		err = copy(r, r->freeze, until);
	early = freeze_end(r->freeze);
	r->stop_ns = r->freeze->stop_ns;
	if (!err || err == -ETIME)
		r->out->stop_ns += r->stop_ns;
	return !err && early ? early : err;
}

/*
 * A machine that is busy, or a gospect that was stopped, may need longer than
 * was announced: then the process runs on, and it is announced anew.
 */
static int frozen_copies(struct run *r, bool again)
{
	struct prove_stop stop = { .again = again, .uses_cgo = uses_cgo(r->cfg->rt->gb) };
	uint64_t max = r->cfg->max_stop_ns ? r->cfg->max_stop_ns : UINT64_MAX;
	int code = -ETIME;

	for (int i = 0; i < MAX_STOPS && code == -ETIME; i++) {
		if (i && (longest_stop(r) >= max || !freeze_is_open(r->freeze)))
			break;
		stop.expected_ns = r->out->expected_stop_ns * (i ? MORE_TIME : 1);
		if (stop.expected_ns > max)
			stop.expected_ns = max;
		r->out->expected_stop_ns = stop.expected_ns;
		if (r->cfg->announce)
			r->cfg->announce(r->cfg->arg, &stop);
		if (!go_on(r, NULL, 0))
			return -EINTR;
		code = frozen_copy(r);
		stop.in_vain_ns = r->stop_ns;
		stop.again = false;
	}
	return code;
}

static int frozen_judgement(struct run *r, bool again)
{
	int code = frozen_copies(r, again);

	if (!code)
		code = snap_judge(&r->snap);
	/* of that moment, before the last look */
	if (!code)
		code = snap_running(&r->snap, &r->out->running, &r->out->nrunning);
	return code ? code : verify_leaks(&r->snap);
}

/* Once more, with everything, when a stack was needed that had not been copied (keep.c, later.c). */
static int frozen_judgements(struct run *r)
{
	int code = frozen_judgement(r, false);

	if (code != -EAGAIN)
		return code;
	free(r->out->running);
	r->out->running = NULL;
	r->out->nrunning = 0;
	snap_keep_nothing(&r->snap);
	r->copy_ns += r->rest_ns;
	r->out->expected_stop_ns = expected_stop(r);
	return frozen_judgement(r, true);
}

/* 0: the proof is in the result; 1: it could not be had, why is said; negative errno. */
static int prove_frozen(struct run *r)
{
	int code = frozen_judgements(r);

	r->out->losses = r->snap.losses;
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
			 r->freeze->why[0] ? ": " : "", r->freeze->why);
		return 1;
	case -EPERM:
	case -EACCES:
		snprintf(r->out->why, sizeof(r->out->why),
			 "the process may not be stopped (CAP_SYS_PTRACE)");
		return 1;
	default:
		return code;
	}
	r->out->candidates = r->snap.candidates;
	r->out->passes = 1;
	code = prove_finish(r, NULL);
	if (!code)
		r->out->verdict = LEAKS_PROVEN;
	return code;
}

static int run_proof(struct run *r)
{
	struct snap_kept kept = { 0 };
	int code;

	/* how much there is, and room for it: none is made while it stands still */
	r->snap.heap.trust_alloc_bits = r->snap.sparing = r->before = true;
	code = prove_unfrozen_pass(r);
	r->before = false;
	if (!code)
		code = snap_copy_few(&r->snap, FEW_STACKS);
	r->snap.sparing = false;
	/* what changes too fast to be read while it runs is clear when it stands still */
	if (code && code != -EFAULT && code != -EBADMSG)
		return code;
	if (!code)
		code = snap_keep(&r->snap, &kept);
	if (code == -ENOMEM || code == -ESRCH || code == -EPERM)
		return code;
	r->out->passes = 1;
	r->rest_ns = kept.rest_ns;
	r->copy_ns = kept.less_ns < (int64_t)r->copy_ns ? r->copy_ns - (uint64_t)kept.less_ns : 0;
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
		code = prove_passes(r);
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
	struct run r = { .cfg = cfg, .out = out, .freeze = cfg->freeze };
	char text[120];
	const char *why;
	int code;

	memset(out, 0, sizeof(*out));
	why = prove_refusal(cfg->rt, text, sizeof(text));
	if (why)
		return prove_off(out, "%s", why);
	code = snap_init(&r.snap, cfg->rt);
	r.snap.heap.go_on = go_on;
	r.snap.heap.go_on_arg = &r;
	r.snap.heap.threads = copying_threads(cfg);
	r.snap.held = cfg->held;
	r.snap.nheld = cfg->nheld;
	if (!code)
		code = run(&r);
	if (code == -EFAULT || code == -EBADMSG || !code)
		code = replaced(&r, code);
	code = give_up(&r, code);
	snap_deinit(&r.snap);
	free(r.suspect);
	waiting_deinit(&r.waiting);
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
