/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/vec.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/output.h"
#include "gort/goerrors.h"
#include "gort/goservers.h"
#include "gort/gotypes.h"
#include "gospect/abi.h"
#include "host/privileges.h"
#include "trace/death.h"
#include "trace/keeper.h"
#include "trace/sampler.h"

#define BUDGET_FLOOR_NS (2 * NS_PER_MS) /* per second: keeps idle programs exact */
#define PROFILE_STACKS  8192            /* distinct ones that are kept of samples */
#define USUAL_S         5               /* of a window */
#define CHECK_NS        (250 * NS_PER_MS)
#define STOPS_MAX       100 /* `bg` in vain */

/* What memory says of the target's pace, before anything is armed. */
struct pace {
	uint64_t mono_ns, cpu_ns, created;
};

static bool pace_read(struct watch *w, struct pace *p)
{
	p->mono_ns = clock_mono_ns();
	return !process_cpu_ns(&w->s.proc, &p->cpu_ns) && !goruntime_created(&w->s.rt, &p->created);
}

/* The governor's first decision comes before the first hit. */
static void predict(struct watch *w, const struct pace *before)
{
	struct pace now;
	double s;

	if (!before->created || !pace_read(w, &now))
		return;
	s = (double)(now.mono_ns - before->mono_ns) / 1e9;
	trace_predict(w->trace, (double)(now.created - before->created) / s,
		      (double)(now.cpu_ns - before->cpu_ns) / s, now.cpu_ns, now.created);
}

/* Whether probes are wanted; else says why not. */
static bool wants_probes(struct watch *w, const char *no_probes)
{
	char *why = w->memory_only;

	if (no_probes)
		snprintf(why, sizeof(w->memory_only), "%s", no_probes);
	else if (w->o->budget_pct == 0 && !w->o->exact)
		snprintf(why, sizeof(w->memory_only), "--budget 0: memory only");
	return !why[0];
}

/* Whether they are possible. */
static bool may_arm(struct watch *w)
{
	if (!w->s.gb->layout || !goruntime_has(&w->s.rt, FACT_GOROUTINES))
		snprintf(w->memory_only, sizeof(w->memory_only), "no probes: %s",
			 w->s.rt.why_off[FACT_GOROUTINES]);
	return !w->memory_only[0];
}

static int kernel_can(struct err *err)
{
	struct trace_features tf;
	int e = trace_features_probe(&tf, err);

	if (!e && tf.method != TRACE_METHOD_NONE)
		return 0;
	if (e == -ETIMEDOUT)
		err_hint(err, "this machine is too busy for it just now: try again");
	if (!err->what[0])
		err_set(err, -EOPNOTSUPP, "%s", tf.why);
	if (!err->hint[0])
		err_hint(err, "%s ('gospect doctor' says what is missing)",
			 trace_features_hint(&tf));
	return -EOPNOTSUPP;
}

static struct trace_config config_of(const struct watch *w)
{
	const struct layout *l = w->s.gb->layout;

	return (struct trace_config){
		.pid = w->s.proc.pid,
		.exe_fd = w->s.proc.exe_fd,
		.plan = &w->plan,
		.mem = w->s.mem,
		.bias = w->s.bias,
		.allocated_at = goruntime_total_alloc_at(&w->s.rt),
		.ptracer = process_tracer(&w->s.proc),
		.gb = w->s.gb,
		.g_goid = layout_off(l, LAYOUT_G_GOID),
		.g_gopc = layout_off(l, LAYOUT_G_GOPC),
		.g_startpc = layout_off(l, LAYOUT_G_STARTPC),
		.budget_pct = w->o->budget_pct,
		.budget_floor_ns = BUDGET_FLOOR_NS,
		.exact = w->o->exact,
	};
}

/* What it takes to the end. */
static uint64_t kept(const struct watch *w)
{
	return PRIVILEGE_READ | (w->o->output ? PRIVILEGE_WRITE : 0) |
	       (w->o->prove ? PRIVILEGE_STOP : 0);
}

static bool probes_http2_of_x(const struct plan *p)
{
	for (int i = 0; i < p->n; i++)
		for (int k = 0; k < p->probe[i].nsite; k++)
			if (p->probe[i].id == PROBE_STREAM_WRITTEN &&
			    !strncmp(p->probe[i].site[k].function, HTTP2_OF_X,
				     sizeof(HTTP2_OF_X) - 1))
				return true;
	return false;
}

/* golang.org/x/net comes in many versions: by the program's own description. */
static int32_t find_x_sent_end(const struct watch *w, struct gotypes *types)
{
	uint64_t stream = probes_http2_of_x(&w->plan) ? gotypes_find(types, "http2.clientStream",
								     HTTP2_OF_X "clientStream")
						      : 0;
	uint32_t off;

	return stream && !gotypes_field(types, stream, "sentEndStream", &off, NULL) ? (int32_t)off
										    : 0;
}

static void find_pgx_errors(const struct watch *w, struct gotypes *types, int32_t out[2])
{
	static const char *const reader[2] = { PGX_V5 "/pgconn.ResultReader",
					       "github.com/jackc/pgconn.ResultReader" };
	uint32_t off;

	for (int i = 0; i < 2 && plan_has(&w->plan, PROBE_PGX_QUERY); i++) {
		uint64_t type = gotypes_find(types, "pgconn.ResultReader", reader[i]);

		if (type && !gotypes_field(types, type, "err", &off, NULL))
			out[i] = (int32_t)off;
	}
}

/* What the programs have to know of the target's types: without it, of what kind its calls' errors
 * are, and of which route its servers' requests, is not known. */
static void find_types(struct watch *w, struct goerror error[GS_MAX_ERRTYPES],
		       struct goservers *servers, struct trace_config *cfg)
{
	const struct code_range *r = w->plan.range;
	const bool linked[GOROUTER_KINDS] = { [GOROUTER_GIN] = r[RANGE_GIN].lo != 0,
					      [GOROUTER_ECHO] = r[RANGE_ECHO].lo != 0,
					      [GOROUTER_CHI] = r[RANGE_CHI].lo != 0 };
	struct gotypes *types = NULL;

	if (!(w->o->sensors & (SENSOR_BIT(SENSOR_NET) | SENSOR_BIT(SENSOR_STATEMENTS))) ||
	    gotypes_new(&types, &w->s.rt))
		return;
	find_pgx_errors(w, types, cfg->pgx_error);
	cfg->error = error;
	cfg->nerror = goerrors_find(&w->s.rt, types, error, GS_MAX_ERRTYPES);
	cfg->x_sent_end = find_x_sent_end(w, types);
	goservers_find(types, linked, r[RANGE_GRPC_STREAM].lo != 0, servers);
	cfg->servers = servers;
	gotypes_free(types);
}

static int arm_plan(struct watch *w, struct err *err)
{
	struct pace before = { 0 };
	struct cost_table costs;
	struct goerror error[GS_MAX_ERRTYPES];
	struct goservers servers;
	struct trace_config cfg;
	int r = plan_make(&w->plan, w->s.gb, w->o->sensors, err);

	if (r)
		return r;
	privileges_lower(PRIVILEGE_LOAD | kept(w)); /* the file is parsed */
	pace_read(w, &before);
	r = kernel_can(err);
	if (r)
		return r;
	if (!trace_measure_costs(&costs, err))
		plan_price(&w->plan, &costs);
	cfg = config_of(w);
	find_types(w, error, &servers, &cfg);
	r = trace_prepare(&w->trace, &cfg, err);
	if (!r)
		r = trace_load(w->trace, err);
	if (r)
		return r;
	predict(w, &before);
	return trace_attach(w->trace, err);
}

/* Arms the probes.  What goes wrong here is no failure: memory still tells. */
static void arm(struct watch *w)
{
	struct err err = { 0 };
	char text[HUMAN_MAX];
	int taken;

	if (!may_arm(w))
		return;
	if (!arm_plan(w, &err)) {
		w->plan = *trace_plan(w->trace); /* with what was refused meanwhile */
		taken = trace_taken_away(w->trace);
		if (taken)
			msg_note("%s that a tracer had left in process %ld %s taken away",
				 human_counted((uint64_t)taken, "breakpoint", text), w->o->pid,
				 taken == 1 ? "was" : "were");
		return;
	}
	trace_close(w->trace);
	w->trace = NULL;
	snprintf(w->memory_only, sizeof(w->memory_only), "no probes: %.300s", err.what);
	msg_note("no probes: %s; continuing from memory alone", err.what);
	if (err.hint[0])
		msg_hint("%s", err.hint);
}

/* Begins to sample the CPU, where the timers are there for it. */
static void sample(struct watch *w)
{
	const struct sampler_config cfg = { .pid = w->s.proc.pid,
					    .gb = w->s.gb,
					    .bias = w->s.bias,
					    .proc_fd = w->s.proc.proc_fd,
					    .by_thread = w->o->profile == PROFILE_CPU };
	struct err err = { 0 };

	if (!w->sampler)
		return;
	privileges_lower(PRIVILEGE_LOAD | kept(w));
	if (!sampler_begin(w->sampler, &cfg, &err))
		return;
	sampler_close(w->sampler);
	w->sampler = NULL;
	snprintf(w->sampler_off, sizeof(w->sampler_off), "%s", err.what);
}

/* For twice the samples of a usual window: a table that is half full is begun anew. */
static uint32_t stacks_wanted(const struct options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t slots = GS_CPU_SLOTS;

	if (o->profile == PROFILE_CPU)
		return PROFILE_STACKS;
	while (slots < PROFILE_STACKS && slots < 2 * USUAL_S * o->rate_hz * (unsigned long)cpus)
		slots *= 2;
	return slots;
}

/* Makes them, while that is allowed; beside the rest, the program is loaded. */
static void make_sampler(struct watch *w)
{
	struct err err = { 0 };

	if (w->o->sensors & SENSOR_BIT(SENSOR_CPU) &&
	    sampler_open(&w->sampler, w->o->rate_hz, stacks_wanted(w->o), &err))
		snprintf(w->sampler_off, sizeof(w->sampler_off), "%s", err.what);
}

/* Exits and signals, by tracepoints: they are not in the process. */
static void watch_death(struct watch *w)
{
	struct err err = { 0 };

	if (!(w->o->sensors & SENSOR_BIT(SENSOR_CRASH)))
		return;
	privileges_lower(PRIVILEGE_LOAD | kept(w));
	if (death_open(&w->death, w->s.proc.pid, &err))
		snprintf(w->death_off, sizeof(w->death_off), "%s", err.what);
}

/* What comes now is done with as few privileges as it takes. */
static void drop(struct watch *w)
{
	uint64_t keep = kept(w);

	privileges_lower(keep);
	if (w->trace && !trace_is_readable(w->trace))
		keep |= PRIVILEGE_BPF;
	privileges_drop(keep);
}

/* The file and the memory of the process are hostile: all that is not needed for the
 * probes goes before they are read, and what is needed is off meanwhile. */
static void prepare(struct watch *w, const char *no_probes)
{
	if (!wants_probes(w, no_probes)) {
		snprintf(w->sampler_off, sizeof(w->sampler_off), "%s", w->memory_only);
		drop(w);
		return;
	}
	keeper_start(); /* while there is little to copy; arming tells what fails */
	make_sampler(w);
	privileges_prepare(kept(w));
	trace_features_begin();
	privileges_lower(kept(w));
}

#define KEY_LEAST 16

/*
 * What hosts are hashed with: random, so that who has the report cannot try names
 * out, and no two reports say that they speak of the same host; or that of a file,
 * so that those with the same key can be compared.
 */
static int make_salt(struct watch *w, struct err *err)
{
	const char *path = w->o->redact_key;
	unsigned char raw[(sizeof(w->redact_salt) - 1) / 2];
	FILE *f = path ? fopen(path, "re") : NULL;
	size_t n = f ? fread(raw, 1, sizeof(raw), f) : 0;
	int e = path && !f ? -errno : 0;

	if (f)
		fclose(f);
	if (e)
		return err_set(err, e, "cannot read the key '%s': %s", path, strerror(-e));
	if (path && n < KEY_LEAST) {
		err_set(err, -EINVAL, "the key '%s' has less than %d bytes", path, KEY_LEAST);
		return err_hint(err, "head -c 32 /dev/urandom > FILE makes one"), -EINVAL;
	}
	if (!path && getrandom(raw, n = sizeof(raw), 0) != sizeof(raw))
		return err_set(err, -EIO, "cannot get random bytes: %s", strerror(errno));
	for (size_t i = 0; i < n; i++)
		snprintf(w->redact_salt + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

/* Ctrl-Z is seen, so that no probe stays armed that nobody watches. */
static const int stop_signals[] = { SIGTSTP };

static sigset_t set_of(const int *signal, size_t n)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, signal[i]);
	return set;
}

static int catch (int *fd, const int *signal, size_t n)
{
	sigset_t set = set_of(signal, n);

	sigprocmask(SIG_BLOCK, &set, NULL);
	*fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *fd < 0 ? -errno : 0;
}

int watch_start(struct watch *w, const struct watch_mode *mode)
{
	struct observer_config cfg = {
		.look = { .rt = &w->s.rt,
			  .plan = &w->plan,
			  .sensors = w->o->sensors,
			  .dump = mode->dump,
			  .dump_all = mode->dump_all,
			  .heap = mode->heap,
			  .cpu_whole = w->o->profile == PROFILE_CPU,
			  .once = mode->once },
		.proc = &w->s.proc,
		.budget_pct = w->o->budget_pct,
		.exact_mode = w->o->exact,
	};
	struct err err = { 0 };
	int r;

	if (w->o->redact_hosts && make_salt(w, &err))
		return msg_fail(&err);
	prepare(w, mode->no_probes);
	r = session_open(&w->s, (pid_t)w->o->pid, &err);
	if (r) {
		trace_features_end();
		return msg_fail(&err);
	}
	r = catch (&w->stop_fd, stop_signals, ARRAY_SIZE(stop_signals));
	if (r) {
		msg_error("cannot catch signals: %s", strerror(-r));
		return EXIT_FAILED;
	}
	if (!w->memory_only[0]) {
		arm(w);
		trace_features_end();
		sample(w);
		watch_death(w);
		drop(w);
	}
	cfg.look.redact_salt = w->o->redact_hosts ? w->redact_salt : NULL;
	cfg.look.trace = w->trace;
	cfg.look.sampler = w->sampler;
	cfg.look.sampler_off = w->sampler_off;
	cfg.look.death = w->death;
	cfg.look.death_off = w->death_off[0] ? w->death_off : NULL;
	cfg.look.end_signal = w->o->until_exit;
	cfg.look.redact_messages = w->o->redact_messages;
	cfg.look.memory_only = w->trace ? NULL : w->memory_only;
	r = observer_new(&w->observer, &cfg, &err);
	if (r) {
		msg_error("%s", err.what);
		return r == -ESRCH || r == -ESTALE ? EXIT_TARGET_ENDED : exit_status_of(r);
	}
	observer_set_pace(w->observer, mode->pace_ns);
	return EXIT_DONE;
}

int watch_prepare(struct watch *w, struct output *out)
{
	int err;

	if (output_open(out, w->o))
		return EXIT_FAILED;
	/* while this process is small, and may do what the other one has to */
	freeze_init(&w->freeze);
	if (w->o->prove && freeze_open(&w->freeze))
		msg_note("no proof: no process can be made that holds the other one");
	err = interrupt_begin(&w->signal_fd);
	if (err) {
		msg_error("cannot catch signals: %s", strerror(-err));
		return output_close(out, EXIT_FAILED);
	}
	out->patience.signal_fd = w->signal_fd;
	msg_begin();
	return EXIT_DONE;
}

bool watch_interrupted(struct watch *w)
{
	struct signalfd_siginfo si;

	if (w->signal_fd < 0 || read(w->signal_fd, &si, sizeof(si)) != sizeof(si))
		return false;
	w->signalled = true;
	w->end_reason = si.ssi_signo == SIGINT ? "stopped by Ctrl-C" : "stopped by a signal";
	return true;
}

/* Whether the target is still what it was; tells why not.  That it ended wakes
 * us; for an exec, which says nothing, it is asked a few times a second. */
static void check_target(struct watch *w, bool woken, uint64_t now)
{
	int r;

	if (!woken && now < w->check_ns)
		return;
	w->check_ns = now + CHECK_NS;
	r = process_check(&w->s.proc);
	w->target_gone = r != 0;
	if (r)
		w->end_reason = session_gone(r);
}

static int due_ms(uint64_t due, uint64_t now)
{
	if (due <= now)
		return 0;
	due = (due - now + NS_PER_MS - 1) / NS_PER_MS;
	return due > CHECK_NS / NS_PER_MS ? (int)(CHECK_NS / NS_PER_MS) : (int)due;
}

static void on_stop(struct watch *w)
{
	struct signalfd_siginfo si;

	w->stop_asked |= read(w->stop_fd, &si, sizeof(si)) == sizeof(si);
}

void watch_wait(struct watch *w, uint64_t due_ns, struct pollfd *more, int n)
{
	struct pollfd p[3 + WATCH_MAX_MORE] = {
		{ .fd = w->signal_fd, .events = POLLIN },
		{ .fd = w->s.proc.pidfd, .events = POLLIN },
		{ .fd = w->stop_fd, .events = POLLIN },
	};
	uint64_t now = clock_mono_ns(), cpu;

	for (int i = 0; i < n; i++)
		p[3 + i] = more[i];
	if (w->trace && trace_next_ns(w->trace) < due_ns)
		due_ns = trace_next_ns(w->trace);
	if (poll(p, 3 + (nfds_t)n, due_ms(due_ns, now)) < 0 && errno != EINTR) {
		msg_error("cannot poll the process: %s", strerror(errno));
		w->end_reason = "the process cannot be polled";
		return;
	}
	for (int i = 0; i < n; i++)
		more[i].revents = p[3 + i].revents;
	if (p[0].revents)
		watch_interrupted(w);
	if (p[2].revents)
		on_stop(w);
	now = clock_mono_ns();
	check_target(w, p[1].revents != 0, now);
	if (w->trace && w->sampler)
		trace_samples_cost(w->trace, sampler_cost_ns(w->sampler));
	if (!w->end_reason && w->trace && now >= trace_next_ns(w->trace) &&
	    !process_cpu_ns(&w->s.proc, &cpu) &&
	    trace_tick(w->trace, now, cpu, observer_created(w->observer)))
		observer_lose_slice(w->observer);
}

void watch_disarm(struct watch *w, struct output *out)
{
	sigset_t stops = set_of(stop_signals, ARRAY_SIZE(stop_signals));

	if (w->trace)
		trace_disarm(w->trace);
	if (w->sampler)
		sampler_pause(w->sampler, true);
	if (w->stop_fd >= 0)
		close(w->stop_fd);
	w->stop_fd = -1;
	sigprocmask(SIG_UNBLOCK, &stops, NULL); /* one that is pending stops us here */
	out->patience.hurry += w->signalled;
}

uint64_t watch_asked_to_end_ns(const struct watch *w)
{
	return w->death ? death_asked_ns(w->death, w->o->until_exit ? w->o->until_exit : SIGTERM)
			: 0;
}

bool watch_in_background(void)
{
	pid_t foreground = tcgetpgrp(STDOUT_FILENO);

	return foreground >= 0 && foreground != getpgrp();
}

/* As the signal would have: a process group without a shell is not stopped by it.
 * On a terminal it goes on in the foreground alone (`bg` does not do). */
static void stop(bool on_terminal)
{
	sigset_t stops = set_of(stop_signals, ARRAY_SIZE(stop_signals));

	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stops, NULL);
	for (int i = 0; on_terminal && watch_in_background() && i < STOPS_MAX; i++)
		raise(SIGTTOU);
	sigprocmask(SIG_BLOCK, &stops, NULL);
}

void watch_stop(struct watch *w, bool on_terminal)
{
	uint64_t cpu = 0;

	w->stop_asked = false;
	if (w->trace)
		trace_disarm(w->trace);
	if (w->sampler)
		sampler_pause(w->sampler, true);
	stop(on_terminal);
	check_target(w, true, clock_mono_ns());
	if (w->end_reason)
		return;
	process_cpu_ns(&w->s.proc, &cpu);
	if (w->sampler)
		sampler_pause(w->sampler, false);
	if (w->trace && trace_rearm(w->trace, cpu, observer_created(w->observer)))
		observer_lose_slice(w->observer);
	if (observer_restart(w->observer))
		w->end_reason = "it can no longer be read";
}

void watch_close(struct watch *w)
{
	observer_free(w->observer);
	trace_close(w->trace);
	sampler_close(w->sampler);
	death_close(w->death);
	session_close(&w->s);
	freeze_deinit(&w->freeze);
	if (w->signal_fd >= 0)
		close(w->signal_fd);
	if (w->stop_fd >= 0)
		close(w->stop_fd);
}
