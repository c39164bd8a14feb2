/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pass begins at each tick: the totals of all processes, and of those that
 * are due a walk.  It is done in slices, so that starts and ends are heeded
 * meanwhile; at its end a view is made of what is known then.
 */
#include "agent/agent.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/agent_priv.h"
#include "base/clock.h"
#include "base/vec.h"
#include "trace/execs.h"

#define SLICE_NS     (20 * NS_PER_MS)
#define SETTLE_NS    (750 * NS_PER_MS) /* after exec: what ends sooner is not opened */
#define EXECS_NS     (100 * NS_PER_MS) /* starts are heard of together, after the first */
#define POLL_NS      (5 * NS_PER_S)    /* between passes over /proc where starts are not told */
#define RESCAN_NS    NS_PER_S          /* at least between passes that events ask for */
#define WALK_SHARE   200               /* a process's walks take at most so much of the time */
#define VERDICT_REST 60                /* and verdicts on its leaks */
#define EVENTS       64
#define EXECS        UINT64_MAX /* data of the ring's descriptor; of others PROBES_EVENT, the pid */

/* --- coming and going --------------------------------------------------------------- */

static void watch_end(struct agent *a, const struct entry *e)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = (uint64_t)e->pid };

	if (e->target->proc.pidfd >= 0)
		epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, e->target->proc.pidfd, &ev);
}

static void forget(struct agent *a, struct entry *e, const char *why)
{
	probes_leave(a->probes, e->key);
	life_end(a->life, e->key, clock_real_ns(), why);
	a->self.ended++;
	entries_remove(&a->entries, e);
}

/* A Go process that nobody knew. */
static void come(struct agent *a, pid_t pid, uint64_t due_ns)
{
	struct entry *e;

	if (a->entries.n >= a->cfg.max_processes) {
		a->self.beyond++;
		return;
	}
	e = entries_add(&a->entries, pid);
	if (!e)
		return;
	e->key = ++a->next_key;
	e->due_ns = due_ns;
	e->shallow = SHALLOW_YOUNG;
	a->self.started++;
}

/* What runs there now, if it is Go. */
static int consider(struct agent *a, pid_t pid, uint64_t due_ns)
{
	int go = files_is_go(a->files, pid);

	if (go == 1)
		come(a, pid, due_ns);
	return go;
}

/* A process has called exec: what was known of it is void. */
static void on_exec(void *arg, pid_t pid)
{
	struct agent *a = arg;
	struct entry *e = pid > 0 ? entries_find(&a->entries, pid) : NULL;

	a->self.execs++;
	if (pid <= 0) {
		a->scan_asked = true;
		return;
	}
	if (e && e->target && !process_check(&e->target->proc))
		return; /* it was opened after this exec */
	if (e)
		forget(a, e, "exec");
	consider(a, pid, clock_mono_ns() + SETTLE_NS);
}

static void on_end(struct agent *a, pid_t pid)
{
	struct entry *e = entries_find(&a->entries, pid);
	struct pollfd p = { .events = POLLIN };

	if (!e || !e->target)
		return;
	p.fd = e->target->proc.pidfd;
	if (p.fd >= 0 && poll(&p, 1, 0) == 1) {
		a->self.ends++;
		forget(a, e, "ended");
	}
}

/* A build executes a hundred programs a second: no wake-up for each.  After a while without any,
 * the next one is heard of at once. */
static void hear(struct agent *a)
{
	uint64_t before = a->self.execs, now = clock_mono_ns();
	struct epoll_event ev = { .data.u64 = EXECS };
	bool deaf = a->execs_ns != 0;

	execs_take(a->execs, on_exec, a);
	a->execs_ns = a->self.execs != before ? now + EXECS_NS : 0;
	if (deaf == (a->execs_ns != 0))
		return;
	ev.events = a->execs_ns ? 0 : EPOLLIN;
	epoll_ctl(a->epoll_fd, EPOLL_CTL_MOD, execs_fd(a->execs), &ev);
}

static void take_events(struct agent *a)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(a->epoll_fd, ev, EVENTS, 0);
	bool over = false;

	if (a->execs_ns && clock_mono_ns() >= a->execs_ns)
		hear(a);
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 == EXECS)
			hear(a);
		else if (probes_is_event(ev[i].data.u64))
			over |= probes_take(a->probes, ev[i].data.u64, &a->entries);
		else
			on_end(a, (pid_t)ev[i].data.u64);
	}
	if (over)
		probes_turn(a->probes, &a->entries, &a->cfg);
}

static void scan(struct agent *a, uint64_t now)
{
	bool first = !a->scanned_ns;
	struct dirent *d;
	DIR *dir = opendir("/proc");

	a->self.processes = a->self.unreadable = a->self.beyond = 0;
	while (dir && (d = readdir(dir))) {
		pid_t pid = isdigit((unsigned char)d->d_name[0])
				    ? (pid_t)strtol(d->d_name, NULL, 10)
				    : 0;

		if (pid <= 0)
			continue;
		a->self.processes++;
		if (!entries_find(&a->entries, pid) &&
		    consider(a, pid, first ? now : now + SETTLE_NS) == -EACCES)
			a->self.unreadable++;
	}
	if (dir)
		closedir(dir);
	a->self.scans++;
	a->scan_asked = false;
	a->scanned_ns = clock_mono_ns();
	/* a pass over many takes its time */
	a->scan_ns = a->scanned_ns + (a->scanned_ns - now) * WALK_SHARE / 2;
	if (a->scan_ns < now + (a->execs ? a->cfg.scan_ns : POLL_NS))
		a->scan_ns = now + (a->execs ? a->cfg.scan_ns : POLL_NS);
}

static uint64_t next_scan(const struct agent *a)
{
	if (a->execs && (a->scan_asked || execs_lost(a->execs) != a->lost) &&
	    a->scanned_ns + RESCAN_NS < a->scan_ns)
		return a->scanned_ns + RESCAN_NS;
	return a->scan_ns;
}

static void scan_if_due(struct agent *a)
{
	uint64_t now = clock_mono_ns();

	if (now < next_scan(a))
		return;
	if (a->execs)
		a->lost = execs_lost(a->execs);
	scan(a, now);
}

/* --- reading ------------------------------------------------------------------------ */

/* What reading failed with; true: the entry is gone. */
static bool failed(struct agent *a, struct entry *e, int r)
{
	pid_t pid = e->pid;

	if (r == -ESTALE) {
		forget(a, e, "exec");
		consider(a, pid, clock_mono_ns());
		return true;
	}
	if (r == -ESRCH) {
		a->self.ends++;
		forget(a, e, "ended");
		return true;
	}
	a->self.failures[SHALLOW_FAILED]++;
	return false;
}

/* True: the entry is gone. */
static bool read_totals(struct agent *a, struct entry *e)
{
	uint64_t cpu = clock_thread_cpu_ns();
	int r = target_totals(e->target);

	a->self.looks[DEPTH_TOTALS]++;
	a->self.look_ns[DEPTH_TOTALS] += clock_thread_cpu_ns() - cpu;
	return r ? failed(a, e, r) : entry_rename(e, &a->entries, &a->cfg, a->life);
}

static void try_open(struct agent *a, struct entry *e)
{
	switch (entry_open(e, &a->entries, a->files, &a->cfg)) {
	case OPEN_GONE:
		forget(a, e, "ended");
		break;
	case OPEN_DONE:
		watch_end(a, e);
		read_totals(a, e);
		break;
	case OPEN_AGAIN:
	case OPEN_NO:
		a->self.failures[e->shallow]++;
		break;
	}
}

/* Those whose time has come; when the next one's does. */
static uint64_t open_waiting(struct agent *a, uint64_t until)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < a->entries.n;) {
		struct entry *e = a->entries.e[i];
		pid_t pid = e->pid;
		uint64_t now;

		if (e->target || e->due_ns == UINT64_MAX) {
			i++;
			continue;
		}
		now = clock_mono_ns();
		if (now >= until)
			return 0;
		if (now >= e->due_ns) {
			try_open(a, e);
			i = entries_from(&a->entries, pid);
			i += i < a->entries.n && a->entries.e[i]->pid == pid;
			continue;
		}
		next = e->due_ns < next ? e->due_ns : next;
		i++;
	}
	return next;
}

/* --- walks --------------------------------------------------------------------------- */

static bool moved(const struct view_totals *now, const struct view_totals *then)
{
	return now->live != then->live || now->created != then->created ||
	       now->gc_cycles != then->gc_cycles;
}

static bool walk_is_due(const struct agent *a, const struct entry *e, uint64_t now)
{
	const struct target *t = e->target;

	if (e->most < DEPTH_WALK || a->walks_exhausted ||
	    (now < e->not_before_ns && !a->cfg.once) ||
	    clock_real_ns() < t->proc.start_real_ns + a->cfg.young_ns)
		return false;
	/* the first only was the beginning of a window */
	return !t->walk || now >= e->walked_ns + a->cfg.walk_ns || moved(&t->totals, &e->at_walk) ||
	       life_is_undecided(a->life, e->key);
}

void agent_kept(struct agent *a, uint64_t key, const char *id, int err)
{
	a->self.snapshots += !err;
	a->self.snapshots_failed += err != 0;
	if (!err)
		life_keep(a->life, key, id);
}

/* What is to be seen later of a severe finding. */
static void keep(struct agent *a, struct entry *e)
{
	char id[SPOOL_ID_SIZE];
	int err;

	if (life_wants_snapshot(a->life, e->key) && entry_keep(e, &a->cfg, id, &err))
		agent_kept(a, e->key, id, err);
}

static void judge(struct agent *a, struct entry *e)
{
	const struct walk *w = e->target->walk;
	const struct window *win = &w->report.window;
	const struct life_walk lw = {
		.key = e->key,
		.pid = e->pid,
		.who = &e->target->who->id,
		.findings = &w->report.findings,
		.real_ns = w->real_ns,
		.verdict = win->goroutines->leaks.verdict != LEAKS_VERDICT_OFF,
		.paused = win->process.paused_lately,
	};

	life_judge(a->life, &lw);
	keep(a, e);
}

/* True: the entry is gone. */
static bool walk(struct agent *a, struct entry *e)
{
	uint64_t begin = clock_mono_ns(), cpu = clock_thread_cpu_ns(), took;
	struct target_look look = {
		.verdict = !a->cfg.prove || begin < e->verdict_ns ? VERDICT_NO
			   : life_wants_verdict(a->life, e->key)  ? VERDICT_YES
								  : VERDICT_IF_GROWING,
		.go_on = a->cfg.go_on,
		.arg = a->cfg.go_on_arg,
	};
	struct err err = { 0 };
	int r = target_walk(e->target, &look, &err);

	took = clock_thread_cpu_ns() - cpu;
	a->self.looks[DEPTH_WALK]++;
	a->self.look_ns[DEPTH_WALK] += took;
	a->walks_ns += took;
	a->walks_exhausted = a->walks_ns * 100 > a->cfg.tick_ns * a->cfg.walks_pct;
	a->walk_at = e->pid + 1;
	if (look.judged_ns) {
		a->self.proofs++;
		a->self.proof_ns += look.judged_ns;
		e->verdict_ns = clock_mono_ns() + look.judged_ns * VERDICT_REST;
	}
	e->walked_ns = clock_mono_ns();
	e->not_before_ns = e->walked_ns + (took - look.judged_ns) * WALK_SHARE;
	e->at_walk = e->target->totals;
	if (r)
		return failed(a, e, r);
	if (e->target->walk)
		judge(a, e);
	return false;
}

/* --- passes over the entries ------------------------------------------------------------ */

static void begin_pass(struct agent *a, uint64_t now)
{
	a->pass++;
	a->passing = true;
	a->at = a->walk_at;
	a->walks_ns = 0;
	a->walks_exhausted = false;
	/* a tick that was missed is not made up for */
	a->tick_ns = a->tick_ns + a->cfg.tick_ns > now ? a->tick_ns + a->cfg.tick_ns
						       : now + a->cfg.tick_ns;
	files_sweep(a->files);
}

/* The next one that this pass has not seen; NULL: it has seen all. */
static struct entry *next_entry(struct agent *a)
{
	size_t from = entries_from(&a->entries, a->at);

	for (size_t i = 0; i < a->entries.n; i++) {
		struct entry *e = a->entries.e[(from + i) % a->entries.n];

		if (e->pass != a->pass)
			return e;
	}
	return NULL;
}

/* One that is not read: whether it is there at all. */
static void check_stranger(struct agent *a, struct entry *e)
{
	int go = e->due_ns == UINT64_MAX ? files_is_go(a->files, e->pid) : 1;

	if (go != 1 && go != -EACCES)
		forget(a, e, "ended");
}

static void read_one(struct agent *a, struct entry *e)
{
	e->pass = a->pass;
	a->at = e->pid + 1;
	if (!e->target)
		check_stranger(a, e);
	else if (!read_totals(a, e) && (!walk_is_due(a, e, clock_mono_ns()) || !walk(a, e)))
		probes_note(e, a->life);
}

static void pass(struct agent *a, uint64_t until)
{
	struct entry *e;

	while (clock_mono_ns() < until) {
		e = next_entry(a);
		if (!e) {
			a->passing = false;
			probes_turn(a->probes, &a->entries, &a->cfg);
			agent_make_view(a);
			return;
		}
		read_one(a, e);
	}
}

void agent_step(struct agent *a)
{
	uint64_t until = clock_mono_ns() + SLICE_NS, now;

	take_events(a);
	scan_if_due(a);
	if (!open_waiting(a, until))
		return;
	now = clock_mono_ns();
	if (!a->passing && now >= a->tick_ns)
		begin_pass(a, now);
	if (a->passing)
		pass(a, until + SLICE_NS);
}

uint64_t agent_due_ns(const struct agent *a)
{
	uint64_t due = a->passing ? 0 : a->tick_ns, scan_due = next_scan(a);

	due = scan_due < due ? scan_due : due;
	due = probes_due_ns(a->probes) < due ? probes_due_ns(a->probes) : due;
	due = a->execs_ns && a->execs_ns < due ? a->execs_ns : due;
	for (size_t i = 0; i < a->entries.n; i++)
		if (!a->entries.e[i]->target && a->entries.e[i]->due_ns < due)
			due = a->entries.e[i]->due_ns;
	return due;
}

/* --- life ------------------------------------------------------------------------------ */

int agent_fd(const struct agent *a)
{
	return a->epoll_fd;
}

const struct view *agent_view(const struct agent *a)
{
	return a->view;
}

void agent_configure(struct agent *a, const struct agent_config *cfg)
{
	uint64_t now = clock_mono_ns();

	a->cfg = *cfg;
	if (a->tick_ns > now + cfg->tick_ns)
		a->tick_ns = now + cfg->tick_ns;
	for (size_t i = 0; i < a->entries.n; i++) {
		struct entry *e = a->entries.e[i];

		if (e->shallow == SHALLOW_CONFIGURED)
			e->due_ns = now; /* perhaps it is wanted now */
		if (!e->target)
			continue;
		e->most = entry_depth(cfg, &e->target->who->id, e->target->proc.exe);
		e->probing.when = entry_probes(cfg, &e->target->who->id, e->target->proc.exe);
		if (!cfg->probe || !cfg->probes_at_once || e->probing.when == PROBE_NEVER) {
			probes_leave(a->probes, e->key);
			life_unprobed(a->life, e->key, clock_real_ns());
		}
		if (e->most == DEPTH_NONE) {
			life_end(a->life, e->key, clock_real_ns(), "gone");
			entry_let_go(e, &a->entries);
		}
	}
}

void agent_reloaded(struct agent *a, bool ok)
{
	a->self.reload_ok = ok;
	if (ok)
		a->self.reloaded_real_ns = clock_real_ns();
}

static void subscribe(struct agent *a)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = EXECS };
	struct err err = { 0 };

	if (a->cfg.once)
		return;
	if (execs_open(&a->execs, &err))
		snprintf(a->why_polling, sizeof(a->why_polling), "%.190s", err.what);
	else
		epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, execs_fd(a->execs), &ev);
	a->self.by_events = a->execs != NULL;
}

int agent_new(struct agent **out, const struct agent_config *cfg, struct err *err)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, -ENOMEM, "out of memory");
	a->cfg = *cfg;
	a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	a->files = files_new();
	a->life = life_new();
	a->probes = probes_new(a->epoll_fd, a->life);
	if (a->epoll_fd < 0 || !a->files || !a->life || !a->probes) {
		agent_free(a);
		return err_set(err, -ENOMEM, "out of memory, or of descriptors");
	}
	if (gethostname(a->host_name, sizeof(a->host_name) - 1))
		a->host_name[0] = '\0';
	a->self.started_real_ns = clock_real_ns();
	agent_reloaded(a, true);
	subscribe(a);
	*out = a;
	return 0;
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	probes_free(a->probes);
	view_put(a->view);
	entries_deinit(&a->entries);
	files_free(a->files);
	life_free(a->life);
	execs_close(a->execs);
	if (a->epoll_fd >= 0)
		close(a->epoll_fd);
	free(a);
}
