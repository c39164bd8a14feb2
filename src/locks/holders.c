/* SPDX-License-Identifier: BSD-2-Clause */
#include "locks/holders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/vec.h"
#include "gort/goholders.h"
#include "gort/golocks.h"
#include "gort/goslots.h"

/* Instructions that are followed: an eighth of a second, once; of windows after each other a fifth of
 * a percent of a CPU, so that no report has to wait for it. */
#define MAX_STEPS      1000000
#define LEAST_STEPS    40000
#define STEPS_PER_S    16000
#define MAX_FRAMES     64
#define MIN_WAIT       2 /* one waiter, and not for long: who holds it does not matter */
#define MIN_WAIT_S     1
#define LONG_WINDOW_NS (20 * (uint64_t)GOHOLDERS_WAIT_NS)
#define FD_SYSFD       16 /* in internal/poll.FD, behind fdmu (1.18 to 1.27) */

/* What is known of one lock. */
struct lock {
	uint64_t addr;
	bool rw;
	unsigned int sure, likely, other; /* goroutines that hold it, or may */
	struct goroutine g;               /* one of the sure, else of the likely, as looked at */
	uint64_t wants;                   /* the lock that it waits for, 0 none */
	struct place at;                  /* of one that runs */
};

struct finder {
	const struct look *l;
	const uint64_t *lock_of;
	struct goahead *ahead;
	struct lock lock[HOLDERS_MAX_LOCKS];
	int nlock;
	bool unknown; /* of somebody nothing is known, or too little */
};

static struct lock *lock_at(struct finder *f, uint64_t addr)
{
	for (int i = 0; i < f->nlock; i++)
		if (f->lock[i].addr == addr)
			return &f->lock[i];
	return NULL;
}

/* A running one has no place of its own: where it would give the lock back says as much. */
static void take_holder(struct finder *f, struct lock *k, size_t number, const struct goroutine *g,
			uint64_t pc)
{
	struct goframe at;

	k->g = *g;
	k->wants = f->lock_of[number];
	if (g->status == GO_RUNNING && !goahead_place(f->ahead, pc, &at))
		k->at = place_of_frame(&at);
}

static int take(void *arg, size_t number, const struct goroutine *g, const struct goahead_act *act,
		int n)
{
	struct finder *f = arg;

	f->unknown = f->unknown || n < 0;
	for (int i = 0; i < n; i++) {
		struct lock *k = act[i].act == GOACT_UNLOCK ? lock_at(f, act[i].object) : NULL;

		if (!k)
			continue;
		if (act[i].sure || (act[i].likely && !k->sure))
			take_holder(f, k, number, g, act[i].pc);
		k->sure += act[i].sure;
		k->likely += act[i].likely;
		k->other += !act[i].likely;
	}
	return 0;
}

/* ---- what it does ---- */

static bool stands_in(const struct goruntime *rt, const struct gostack_frame *f, const char *name)
{
	struct gofunc fn;

	return !pclntab_find_pc(rt->gb->pcln, f->pc - rt->bias, &fn) &&
	       !strncmp(fn.name, name, strlen(name));
}

/* "a pipe": what is behind the descriptor that a method of poll.FD was called on. */
static const char *descriptor(struct goruntime *rt, const struct gostack_frame *f, bool innermost,
			      long pid)
{
	char path[64], what[64];
	uint64_t fd, number;
	int32_t slot;
	ssize_t n;

	if (!f->argp || goslot_arg(rt, f->pc, innermost, 0, &slot) ||
	    mem_read_u64(rt->mem, f->argp + (uint64_t)slot, &fd) ||
	    mem_read_u64(rt->mem, fd + FD_SYSFD, &number) || number > 1u << 20)
		return "a file or pipe";
	snprintf(path, sizeof(path), "/proc/%ld/fd/%u", pid, (unsigned int)number);
	n = readlink(path, what, sizeof(what) - 1);
	what[n > 0 ? n : 0] = '\0';
	return !strncmp(what, "pipe:", 5)     ? "a pipe"
	       : !strncmp(what, "socket:", 7) ? "a socket"
	       : !strncmp(what, "/dev/", 5)   ? "a terminal or device"
	       : what[0] == '/'               ? "a file"
					      : "a file or pipe";
}

/* It is in a read or write; "" when it is in none. */
static void in_io(struct goruntime *rt, const struct gostack_frame *f, int n, long pid, char *out,
		  size_t size)
{
	bool writes = false, reads = false, net = false;
	const char *what = "a file or pipe";

	for (int i = 0; i < n; i++) {
		bool fd = stands_in(rt, &f[i], "internal/poll.(*FD).");

		net = net || stands_in(rt, &f[i], "net.(*") || stands_in(rt, &f[i], "crypto/tls.");
		if (stands_in(rt, &f[i], "internal/poll.(*FD).Write"))
			writes = true;
		else if (stands_in(rt, &f[i], "internal/poll.(*FD).Read"))
			reads = true;
		if (fd && (writes || reads))
			what = descriptor(rt, &f[i], !i, pid);
	}
	out[0] = '\0';
	if (net)
		snprintf(out, size, "waits for the network");
	else if (writes || reads)
		snprintf(out, size, "%s %s", writes ? "writes to" : "reads from", what);
}

static void describe(struct goruntime *rt, const struct goroutine *g, long pid, char *out,
		     size_t size)
{
	static const struct {
		const char *state, *does;
	} known[] = {
		{ "running", "runs" },
		{ "runnable", "runs" },
		{ "preempted", "runs" },
		{ "sleep", "sleeps" },
		{ "syscall", "is in a system call" },
		{ "IO wait", "waits for I/O" },
		{ "chan receive", "waits to receive from a channel" },
		{ "chan send", "waits to send to a channel" },
		{ "select", "waits in a select" },
		{ "sync.Mutex.Lock", "waits for a lock itself" },
		{ "sync.RWMutex.Lock", "waits for a lock itself" },
		{ "sync.RWMutex.RLock", "waits for a lock itself" },
		{ "sync.WaitGroup.Wait", "waits for a wait group" },
		{ "sync.Cond.Wait", "waits for a condition" },
	};
	const char *state = goroutine_state(rt, g);
	struct gostack_frame f[MAX_FRAMES];

	out[0] = '\0';
	if (!strcmp(state, "syscall") || !strcmp(state, "IO wait"))
		in_io(rt, f, goruntime_stack_frames(rt, g, f, MAX_FRAMES), pid, out, size);
	for (size_t i = 0; !out[0] && i < ARRAY_SIZE(known); i++)
		if (!strcmp(state, known[i].state))
			snprintf(out, size, "%s", known[i].does);
	if (!out[0])
		snprintf(out, size, "is in %.30s", state);
}

/* ---- rows ---- */

static void fill(const struct finder *f, const struct lock *k, long pid, struct lock_wait_row *row)
{
	struct goruntime *rt = f->l->rt;
	uint64_t pc[MAX_FRAMES];
	struct goroutine g;

	if (goruntime_read_g(rt, k->g.addr, &g) || g.goid != k->g.goid)
		return; /* it has ended meanwhile */
	if (g.status == GO_RUNNING || k->g.status == GO_RUNNING)
		snprintf(row->holder_does, sizeof(row->holder_does), "runs");
	else if (g.tracking_seq != k->g.tracking_seq || g.sched_sp != k->g.sched_sp)
		return; /* it has gone on, and may have given it back */
	else
		describe(rt, &g, pid, row->holder_does, sizeof(row->holder_does));
	row->holder = g.goid;
	row->holders = k->sure ? k->sure : k->likely;
	row->holder_wants = k->wants;
	if (g.status == GO_RUNNING)
		row->holder_at = k->at;
	else
		place_of_pcs(rt, pc, goruntime_stack(rt, &g, pc, MAX_FRAMES), true,
			     &row->holder_at);
}

/* It alone can be it; of readers, any of those who hold it together. */
static bool is_known(const struct finder *f, const struct lock *k)
{
	if (k->other || !golocks_is_taken(f->l->rt, k->addr, k->rw))
		return false;
	if (k->sure)
		return k->sure == k->likely && (k->rw || k->sure == 1);
	return k->likely == 1 && !f->unknown;
}

static int add_locks(struct finder *f, struct goahead *a, struct locks_window *w)
{
	int err = 0;

	for (int i = 0; i < w->nrow && !err; i++) {
		const struct lock_wait_row *r = &w->row[i];
		struct lock *k = lock_at(f, r->lock);

		if (r->other || k || (r->waiters < MIN_WAIT && !(r->longest_s > MIN_WAIT_S)) ||
		    f->nlock == HOLDERS_MAX_LOCKS)
			continue;
		f->lock[f->nlock++] = (struct lock){ .addr = r->lock, .rw = r->rw };
		err = goahead_add_lock(a, r->lock, r->rw, r->std);
	}
	return err;
}

/*
 * Some of the waiters of each lock, and of the others some: they may hold one of
 * these.  What each waits for now is read again.
 */
static uint64_t *choose(struct finder *f, const uint64_t *lock_of)
{
	size_t n = f->l->walk->n;
	unsigned int seen[HOLDERS_MAX_LOCKS] = { 0 }, others = 0;
	uint64_t *out = calloc(n + 1, sizeof(*out));

	for (size_t i = 0; out && i < n; i++) {
		const struct lock *k = lock_of[i] ? lock_at(f, lock_of[i]) : NULL;

		if (k ? seen[k - f->lock]++ >= HOLDERS_MAX_WAITERS
		      : lock_of[i] && others++ >= HOLDERS_MAX_OTHERS)
			out[i] = GOHOLDERS_SKIP;
	}
	return out;
}

/* Somebody may sit before a screen that is drawn once a second, and press keys. */
static uint64_t wait_of(const struct look *l)
{
	uint64_t long_ns = LONG_WINDOW_NS;

	return l->once || l->end_ns - l->begin_ns >= long_ns ? GOHOLDERS_WAIT_NS : 0;
}

static long steps_of(const struct look *l)
{
	uint64_t n = (l->end_ns - l->begin_ns) * STEPS_PER_S / NS_PER_S;

	if (l->once || l->dump || n > MAX_STEPS)
		return MAX_STEPS;
	return n > LEAST_STEPS ? (long)n : LEAST_STEPS;
}

int holders_fill(struct locks_window *w, struct goahead *a, const struct look *l,
		 const uint64_t *lock_of, long pid)
{
	struct finder f = { .l = l, .lock_of = lock_of, .ahead = a };
	uint64_t *chosen;
	int err;

	if (!a)
		return 0;
	goahead_restart(a);
	goahead_limit(a, steps_of(l));
	err = add_locks(&f, a, w);
	if (err || !f.nlock)
		return err;
	chosen = choose(&f, lock_of);
	err = chosen ? goholders_each(a, l->rt, l->walk, l->stacks, l->stack_of, chosen, wait_of(l),
				      take, &f)
		     : -ENOMEM;
	for (int i = 0; i < w->nrow && !err; i++) {
		const struct lock *k = lock_at(&f, w->row[i].lock);

		if (k && is_known(&f, k))
			fill(&f, k, pid, &w->row[i]);
	}
	free(chosen);
	return err;
}
