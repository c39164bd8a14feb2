/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/watchpoints.h"

#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/vec.h"
#include "gobin/gobin.h"
#include "proc/procfs.h"
#include "trace/quiet.h"
#include "watchpoints.skel.h"

#define RESCAN_NS     (10 * NS_PER_MS) /* threads born meanwhile */
#define MEASURED_HITS 400
#define SWITCH_NS     600 /* of a context switch with watchpoints, and of each of them */

struct thread {
	int tid;
	int event[GS_WATCH_WORDS];
	uint64_t switches; /* when it was armed */
};

struct watchpoints {
	struct watchpoints_bpf *skel;
	struct watch_costs costs;
	const struct bpf_program *prog;
	uint64_t hold_ns;
	bool counts_all;       /* every hit counts as an overflow (before Linux 6.10) */
	int task_fd;           /* /proc/PID/task */
	struct thread *thread; /* owned; in the order they were found */
	size_t n, cap;
};

static int open_event(int tid, const struct watch_word *word, bool writes)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(a),
		.bp_type = writes ? HW_BREAKPOINT_W : HW_BREAKPOINT_RW,
		.bp_addr = word->addr,
		.bp_len = word->len,
		.sample_period = 1,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	long fd = syscall(SYS_perf_event_open, &a, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

int watchpoints_registers(void)
{
	static uint64_t word[GS_WATCH_WORDS] __attribute__((aligned(8)));
	int fd[GS_WATCH_WORDS], n = 0;

	while (n < GS_WATCH_WORDS) {
		struct watch_word w = { (uint64_t)(uintptr_t)&word[n], sizeof(word[n]) };

		fd[n] = open_event(0, &w, true);
		if (fd[n] < 0)
			break;
		n++;
	}
	for (int i = 0; i < n; i++)
		close(fd[i]);
	return n;
}

/* An event with the program, still off. */
static int make_event(const struct watchpoints *w, int tid, const struct watch_word *word,
		      bool writes)
{
	int fd = open_event(tid, word, writes), e;

	if (fd < 0)
		return fd;
	if (!ioctl(fd, PERF_EVENT_IOC_SET_BPF, bpf_program__fd(w->prog)))
		return fd;
	e = -errno;
	close(fd);
	return e;
}

/*
 * The program ends the one overflow that is allowed; where the kernel counts each hit as
 * one, it counts them.  (Once an event has ended so, Linux 6.18 arms it again, but without
 * samples: it is closed after each slice.)
 */
static void enable(const struct watchpoints *w, int fd, uint32_t most)
{
	ioctl(fd, PERF_EVENT_IOC_REFRESH, w->counts_all ? most : 1);
}

static void ask_locks(struct gs_watch_target *t, const struct watch_slice *s)
{
	memset(t->lock_of, 0, sizeof(t->lock_of));
	t->lock_rw = 0;
	for (int i = 0; i < s->nlock; i++) {
		t->lock[i] = s->lock[i].addr;
		t->lock_of[s->lock[i].word] |= 1u << i;
		t->lock_rw |= (uint32_t)s->lock[i].rw << i;
	}
}

static void begin_slice(struct watchpoints *w, const struct watch_slice *s)
{
	struct gs_watch_target *t = &w->skel->bss->target;

	ask_locks(t, s);
	for (int i = 0; i < GS_WATCH_WORDS; i++)
		t->addr[i] = i < s->nword ? s->word[i].addr : 0;
	memcpy(t->hold, s->hold, sizeof(t->hold));
	t->most_held = s->most_held;
	t->most = s->most;
	t->most_all = s->most_all < GS_WATCH_HITS ? s->most_all : GS_WATCH_HITS;
	memset(&w->skel->bss->counts, 0, sizeof(w->skel->bss->counts));
	memset(w->skel->bss->by_thread, 0, sizeof(w->skel->bss->by_thread));
}

/* ---- what a trap is ---- */

static int take_costs(struct watchpoints *w)
{
	const struct gs_watch_hit *h = w->skel->bss->hits;
	uint64_t gap[MEASURED_HITS], whole[MEASURED_HITS];
	uint32_t n = w->skel->bss->counts.hits;

	if (n < MEASURED_HITS)
		return -EOPNOTSUPP;
	for (uint32_t i = 0; i + 1 < MEASURED_HITS; i++) {
		gap[i] = h[i + 1].begin_ns - h[i].end_ns;
		whole[i] = h[i + 1].begin_ns - h[i].begin_ns;
	}
	qsort(gap, MEASURED_HITS - 1, sizeof(*gap), by_u64);
	qsort(whole, MEASURED_HITS - 1, sizeof(*whole), by_u64);
	w->costs = (struct watch_costs){ gap[0], whole[MEASURED_HITS / 2] };
	return 0;
}

static int not_permitted(struct err *err)
{
	err_set(err, -EPERM, "watchpoints are not permitted");
	err_hint(err, "they take CAP_PERFMON and CAP_BPF: run as root");
	return -EPERM;
}

/* On a word of our own, by this thread. */
static int measure(struct watchpoints *w, struct err *err)
{
	static volatile uint64_t word __attribute__((aligned(8)));
	struct watch_slice s = { .word = { { (uint64_t)(uintptr_t)&word, 8 } },
				 .nword = 1,
				 .most = MEASURED_HITS,
				 .most_all = MEASURED_HITS };
	int fd = make_event(w, 0, &s.word[0], true), e = 0;

	if (fd == -ENOSPC) {
		err_set(err, fd, "all hardware watchpoints of this machine are in use");
		err_hint(err, "a debugger or another tracer has them: let it go first");
		return fd;
	}
	if (fd == -EPERM || fd == -EACCES)
		return not_permitted(err);
	for (int pass = 0; fd >= 0 && pass < 2; pass++) {
		begin_slice(w, &s);
		enable(w, fd, s.most);
		for (int i = 0; i < MEASURED_HITS; i++)
			word++;
		close(fd);
		e = take_costs(w);
		if (!e || pass)
			break;
		w->counts_all = true;
		fd = make_event(w, 0, &s.word[0], true);
	}
	if (fd < 0 || e) {
		err_set(err, -EOPNOTSUPP, "this machine has no hardware watchpoints%s%s",
			fd < 0 ? ": " : "", fd < 0 ? strerror(-fd) : "");
		return err_hint(err,
				"virtual machines without debug registers have none: watch where "
				"the processor is a real one, or under another hypervisor"),
		       -EOPNOTSUPP;
	}
	return 0;
}

/* ---- threads ---- */

static uint64_t switches_of(const struct watchpoints *w, int tid)
{
	char name[40], text[4096];
	uint64_t a = 0, b = 0;

	snprintf(name, sizeof(name), "%d/status", tid);
	if (procfs_read_short(w->task_fd, name, text, sizeof(text)) < 0)
		return 0;
	procfs_status_u64(text, "voluntary_ctxt_switches", 10, &a);
	procfs_status_u64(text, "nonvoluntary_ctxt_switches", 10, &b);
	return a + b;
}

static void close_events(struct thread *t, int from, int to)
{
	for (int i = from; i < to; i++) {
		if (t->event[i] >= 0)
			close(t->event[i]);
		t->event[i] = -1;
	}
}

/* Somebody else has registers of this thread: fewer words for all of them. */
static void give_up_words(struct watchpoints *w, int left, struct watch_seen *out)
{
	for (size_t i = 0; i < w->n; i++)
		close_events(&w->thread[i], left, out->nword);
	out->nword = left;
}

/* Still off.  0; -ESRCH: it has ended; -EMFILE. */
static int add_thread(struct watchpoints *w, int tid, const struct watch_slice *s,
		      struct watch_seen *out)
{
	struct thread *t;
	int fd = 0;

	if (array_room(&w->thread, w->n, &w->cap, sizeof(*w->thread)))
		return -ENOMEM;
	t = &w->thread[w->n++];
	*t = (struct thread){ .tid = tid };
	memset(t->event, -1, sizeof(t->event));
	for (int i = 0; i < out->nword && fd >= 0; i++) {
		fd = make_event(w, tid, &s->word[i], s->writes);
		t->event[i] = fd < 0 ? -1 : fd;
		if (fd == -ENOSPC)
			give_up_words(w, i, out);
	}
	if (fd < 0 && fd != -ENOSPC) {
		close_events(t, 0, GS_WATCH_WORDS);
		w->n--;
		return fd;
	}
	t->switches = switches_of(w, tid);
	return 0;
}

static bool is_armed(const struct watchpoints *w, int tid)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->thread[i].tid == tid)
			return true;
	return false;
}

/* Those from the first on: all at once, for who is armed before others has had its hits when they
 * begin. */
static void enable_threads(const struct watchpoints *w, size_t first, const struct watch_slice *s,
			   const struct watch_seen *out)
{
	for (int i = 0; i < out->nword; i++)
		for (size_t k = first; k < w->n; k++)
			enable(w, w->thread[k].event[i], s->most);
}

/* Those that are not yet. */
static int arm_threads(struct watchpoints *w, const struct watch_slice *s, struct watch_seen *out)
{
	int fd = openat(w->task_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), e = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t first = w->n;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return -ESRCH;
	}
	out->missed = 0;
	while (out->nword && (entry = readdir(d))) {
		int tid = atoi(entry->d_name), r;

		if (tid <= 0 || is_armed(w, tid))
			continue;
		r = add_thread(w, tid, s, out);
		if (r == -EPERM || r == -EACCES || r == -EINVAL || r == -EOPNOTSUPP)
			e = r;
		out->missed += r < 0 && r != -ESRCH;
	}
	closedir(d);
	enable_threads(w, first, s, out);
	return e;
}

static void disarm(struct watchpoints *w)
{
	for (size_t i = 0; i < w->n; i++)
		close_events(&w->thread[i], 0, GS_WATCH_WORDS);
}

static uint64_t switches_since(const struct watchpoints *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->n; i++) {
		uint64_t now = switches_of(w, w->thread[i].tid);

		sum += now > w->thread[i].switches ? now - w->thread[i].switches : 0;
	}
	return sum;
}

/* ---- slices ---- */

static bool nap(uint64_t ns, int wake_fd)
{
	struct pollfd p = { .fd = wake_fd, .events = POLLIN };
	struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	return ppoll(&p, 1, &t, NULL) > 0;
}

static void watch(struct watchpoints *w, const struct watch_slice *s, struct watch_seen *out)
{
	const struct gs_watch_counts *c = &w->skel->bss->counts;
	uint64_t end = out->begin_ns + s->ns, now;

	while ((now = clock_mono_ns()) < end && out->nword) {
		uint64_t left = end - now;

		if (nap(left < RESCAN_NS ? left : RESCAN_NS, s->wake_fd))
			break;
		if (__atomic_load_n(&c->hits, __ATOMIC_RELAXED) >= s->most_all)
			break;
		if (clock_mono_ns() < end)
			arm_threads(w, s, out);
	}
	out->end_ns = clock_mono_ns();
}

static int said(int e, struct err *err)
{
	if (e == -ENOSPC) {
		err_set(err, e, "all hardware watchpoints of the process are in use");
		err_hint(err, "a debugger or another tracer has them: let it go first");
	} else if (e == -ESRCH) {
		err_set(err, e, "the process has ended");
	} else if (e) {
		err_set(err, e == -EACCES ? -EPERM : e, "cannot watch a thread of the process: %s",
			strerror(-e));
		err_hint(err, "it takes CAP_PERFMON and CAP_SYS_PTRACE: run as root");
	}
	return e == -EACCES ? -EPERM : e;
}

int watchpoints_slice(struct watchpoints *w, const struct watch_slice *s, struct watch_seen *out,
		      struct err *err)
{
	const struct gs_watch_counts *c = &w->skel->bss->counts;
	int e;

	*out = (struct watch_seen){ .hit = w->skel->bss->hits, .nword = s->nword };
	w->n = 0;
	begin_slice(w, s);
	e = arm_threads(w, s, out);
	out->begin_ns = clock_mono_ns();
	if (!e && !out->nword)
		e = -ENOSPC;
	if (!e && w->n)
		watch(w, s, out);
	disarm(w);
	if (e)
		return said(e, err);
	out->threads = (int)w->n;
	out->full = c->hits > w->skel->bss->target.most_all;
	out->n = out->full ? w->skel->bss->target.most_all : c->hits;
	out->stopped = c->stopped;
	out->held = c->held < s->most_held ? c->held : s->most_held;
	out->switches = switches_since(w);
	out->cost_ns = c->hits * w->costs.hit_ns + out->held * w->hold_ns +
		       out->switches * SWITCH_NS * (1 + (uint64_t)out->nword);
	return out->threads ? 0 : said(-ESRCH, err);
}

/* ---- life ---- */

/* One for each thread and word. */
static void allow_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static int load(struct watchpoints *w, uint64_t hold_ns, struct err *err)
{
	libbpf_print_fn_t before = libbpf_set_print(quiet_print);
	int e;

	w->hold_ns = hold_ns < WATCH_HOLD_MOST ? hold_ns : WATCH_HOLD_MOST;
	w->skel = watchpoints_bpf__open();
	if (w->skel) {
		w->skel->rodata->hold_ns = w->hold_ns;
		bpf_program__set_autoload(w->skel->progs.word_touched, !w->hold_ns);
		bpf_program__set_autoload(w->skel->progs.word_touched_hold, w->hold_ns);
		w->prog =
			w->hold_ns ? w->skel->progs.word_touched_hold : w->skel->progs.word_touched;
	}
	e = w->skel ? watchpoints_bpf__load(w->skel) : -ENOMEM;
	libbpf_set_print(before);
	if (e == -EPERM || e == -EACCES)
		return not_permitted(err);
	return e ? err_set(err, -EOPNOTSUPP,
			   "this kernel does not load the BPF program of watchpoints, which "
			   "needs Linux 5.12 (%s)",
			   strerror(-e))
		 : 0;
}

int watchpoints_open(struct watchpoints **out, uint64_t hold_ns, struct err *err)
{
	struct watchpoints *w = calloc(1, sizeof(*w));
	int e;

	*out = NULL;
	if (!w)
		return err_set(err, -ENOMEM, "no memory for watchpoints");
	w->task_fd = -1;
	allow_descriptors();
	e = load(w, hold_ns, err);
	if (!e)
		e = measure(w, err);
	if (e)
		watchpoints_close(w);
	else
		*out = w;
	return e;
}

void watchpoints_close(struct watchpoints *w)
{
	if (!w)
		return;
	disarm(w);
	if (w->task_fd >= 0)
		close(w->task_fd);
	watchpoints_bpf__destroy(w->skel);
	free(w->thread);
	free(w);
}

const struct watch_costs *watchpoints_costs(const struct watchpoints *w)
{
	return &w->costs;
}

int watchpoints_target(struct watchpoints *w, pid_t pid, const struct gobin *gb,
		       const struct gs_watch_range *stop, size_t nstop, struct err *err)
{
	static const enum layout_field field[] = { LAYOUT_G_M, LAYOUT_G_GOID, LAYOUT_G_GOPC,
						   LAYOUT_M_CURG };
	struct gs_watch_target *t = &w->skel->bss->target;
	uint32_t *off[] = { &t->g_m, &t->g_goid, &t->g_gopc, &t->m_curg };
	char path[40];

	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		int32_t at = gb->layout ? layout_off(gb->layout, field[i]) : -1;

		if (at < 0)
			return err_set(err, -EOPNOTSUPP,
				       "the layout of the runtime is not known: which goroutine "
				       "touches a word cannot be told");
		*off[i] = (uint32_t)at;
	}
	memset(t->stop, 0, sizeof(t->stop));
	memcpy(t->stop, stop, (nstop < GS_WATCH_RANGES ? nstop : GS_WATCH_RANGES) * sizeof(*stop));
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	w->task_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return w->task_fd < 0 ? err_set(err, -ESRCH, "no such process: %d", (int)pid) : 0;
}
