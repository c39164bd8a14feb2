/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gospect attach: opens the process, arms the plan, and reports until it is
 * told to stop or the process ends.  One poll loop: signals, the target's
 * pidfd, the keyboard, and the next time something is due.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/screen.h"
#include "cli/session.h"
#include "detect/detector.h"
#include "observe/observer.h"
#include "plan/plan.h"
#include "trace/trace.h"

#define BUDGET_FLOOR_NS (2 * NS_PER_MS)	/* per second: keeps idle programs exact */
#define DEFAULT_EVERY_NS (5 * NS_PER_S)
#define SCREEN_EVERY_NS NS_PER_S
#define CHECK_NS (250 * NS_PER_MS)

struct attach {
	const struct options *o;
	struct session s;
	struct plan plan;
	struct trace *trace;
	struct observer *observer;
	struct output out;
	struct screen *screen;
	char memory_only[320];	/* why there are no probes, "" when there are */
	int signal_fd;
	uint64_t end_ns, report_ns, every_ns, check_ns;
	const char *end_reason;
	int status;
};

/* What memory says of the target's pace, before anything is armed. */
struct pace {
	uint64_t mono_ns, cpu_ns, created;
};

static bool pace_read(struct attach *a, struct pace *p)
{
	p->mono_ns = clock_mono_ns();
	return !process_cpu_ns(&a->s.proc, &p->cpu_ns) && !goruntime_created(&a->s.rt, &p->created);
}

/* The governor's first decision comes before the first hit. */
static void predict(struct attach *a, const struct pace *before)
{
	struct pace now;
	double s;

	if (!before->created || !pace_read(a, &now))
		return;
	s = (double)(now.mono_ns - before->mono_ns) / 1e9;
	trace_predict(a->trace, (double)(now.created - before->created) / s,
		      (double)(now.cpu_ns - before->cpu_ns) / s, now.cpu_ns, now.created);
}

/* Arms the probes.  What goes wrong here is no failure: memory still tells. */
static void arm(struct attach *a)
{
	struct trace_features tf;
	struct cost_table costs;
	struct err err = { 0 };
	struct pace before = { 0 };
	struct trace_config cfg = {
		.pid = a->s.proc.pid, .exe_fd = a->s.proc.exe_fd, .plan = &a->plan,
		.mem = a->s.mem, .bias = a->s.bias, .ptracer = process_tracer(&a->s.proc),
		.g_goid = LAYOUT_ABSENT, .g_gopc = LAYOUT_ABSENT, .g_startpc = LAYOUT_ABSENT,
		.budget_pct = a->o->budget_pct, .budget_floor_ns = BUDGET_FLOOR_NS,
		.exact = a->o->exact,
	};

	if (a->o->budget_pct == 0 && !a->o->exact) {
		snprintf(a->memory_only, sizeof(a->memory_only), "--budget 0: memory only");
		return;
	}
	if (!a->s.gb->layout || !goruntime_has(&a->s.rt, FACT_GOROUTINES)) {
		snprintf(a->memory_only, sizeof(a->memory_only), "no probes: %s",
			 a->s.rt.why_off[FACT_GOROUTINES]);
		return;
	}
	cfg.g_goid = layout_off(a->s.gb->layout, LAYOUT_G_GOID);
	cfg.g_gopc = layout_off(a->s.gb->layout, LAYOUT_G_GOPC);
	cfg.g_startpc = layout_off(a->s.gb->layout, LAYOUT_G_STARTPC);
	if (plan_make(&a->plan, a->s.gb, a->o->sensors, &err))
		goto memory;
	pace_read(a, &before);
	if (trace_features_probe(&tf, &err) || tf.method == TRACE_METHOD_NONE) {
		if (!err.what[0])
			err_set(&err, -EOPNOTSUPP, "%s", tf.why);
		if (!err.hint[0])
			err_hint(&err, "'gospect doctor' says what is missing; probes want root, or CAP_BPF, "
				       "CAP_PERFMON and CAP_SYS_PTRACE");
		goto memory;
	}
	if (!trace_measure_costs(&costs, &err))
		plan_price(&a->plan, &costs);
	if (trace_prepare(&a->trace, &cfg, &err) || trace_load(a->trace, &err))
		goto memory;
	predict(a, &before);
	if (trace_attach(a->trace, &err))
		goto memory;
	a->plan = *trace_plan(a->trace);	/* with what was refused meanwhile */
	return;
memory:
	trace_close(a->trace);
	a->trace = NULL;
	snprintf(a->memory_only, sizeof(a->memory_only), "no probes: %.300s", err.what);
	msg_note("no probes: %s; going on from memory alone", err.what);
	if (err.hint[0])
		msg_hint("%s", err.hint);
}

static int start(struct attach *a)
{
	struct observer_config cfg = {
		.rt = &a->s.rt, .proc = &a->s.proc, .plan = &a->plan,
		.sensors = a->o->sensors, .budget_pct = a->o->budget_pct, .exact_mode = a->o->exact,
	};
	struct err err = { 0 };
	int r = session_open(&a->s, (pid_t)a->o->pid, &err);

	if (r)
		return msg_fail(&err);
	arm(a);
	cfg.trace = a->trace;
	cfg.memory_only = a->trace ? NULL : a->memory_only;
	r = observer_new(&a->observer, &cfg, &err);
	if (r) {
		msg_error("%s", err.what);
		return r == -ESRCH || r == -ESTALE ? EXIT_TARGET_ENDED : exit_status_of(r);
	}
	/* also a short run gets looks enough to judge growth by */
	observer_set_pace(a->observer, a->o->for_ns && a->o->for_ns < a->every_ns ?
			  a->o->for_ns : a->every_ns);
	msg_note("watching process %ld: %s", a->o->pid,
		 a->trace ? "probes armed, Ctrl-C ends" : "memory only, Ctrl-C ends");
	return EXIT_DONE;
}

/* SIGINT and its like come through a descriptor, so that a report is never cut. */
static int catch_signals(struct attach *a)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return a->signal_fd < 0 ? -errno : 0;
}

/* Ends the window: judges it, shows it, begins the next. */
static void report(struct attach *a)
{
	struct findings found;
	struct window w;
	struct report r = { .window = &w, .findings = &found };
	int err;

	findings_init(&found);
	err = observer_take(a->observer, &w, a->end_reason);
	if (err) {
		msg_error("cannot read process %ld: %s", a->o->pid, strerror(-err));
		a->end_reason = "it could not be read any more";
	}
	detect_all(&w, &found);
	if (a->screen && !a->end_reason) {
		screen_draw(a->screen, &r);
	} else {
		screen_close(a->screen);
		a->screen = NULL;
		err = output_report(&a->out, &r);
		if (err) {
			if (err != -EPIPE)
				msg_error("cannot write the report: %s", strerror(-err));
			a->status = EXIT_FAILED;
			a->end_reason = "nobody reads the report";
		}
	}
	findings_deinit(&found);
	window_deinit(&w);
}

static void on_key(struct attach *a)
{
	switch (screen_poll_key(a->screen)) {
	case SCREEN_QUIT:
		a->end_reason = "stopped by 'q'";
		break;
	case SCREEN_REDRAW:
		screen_redraw(a->screen);
		break;
	case SCREEN_NONE:
		break;
	}
}

static void on_signal(struct attach *a)
{
	struct signalfd_siginfo si;

	if (read(a->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	a->end_reason = si.ssi_signo == SIGINT ? "stopped by Ctrl-C" : "stopped by a signal";
}

static int due_ms(const struct attach *a, uint64_t now)
{
	uint64_t due = a->report_ns, t;

	t = observer_look_ns(a->observer);
	due = t < due ? t : due;
	t = a->trace ? trace_next_ns(a->trace) : UINT64_MAX;
	due = t < due ? t : due;
	if (a->end_ns && a->end_ns < due)
		due = a->end_ns;
	if (due <= now)
		return 0;
	t = (due - now + NS_PER_MS - 1) / NS_PER_MS;
	return t > CHECK_NS / NS_PER_MS ? (int)(CHECK_NS / NS_PER_MS) : (int)t;
}

/* Whether the target is still what it was; tells why not.  That it ended wakes
 * the loop; for an exec it is asked a few times a second. */
static void check_target(struct attach *a, bool woken, uint64_t now)
{
	int r;

	if (!woken && now < a->check_ns)
		return;
	a->check_ns = now + CHECK_NS;
	r = process_check(&a->s.proc);
	if (r == -ESTALE)
		a->end_reason = "the process started another program (exec)";
	else if (r)
		a->end_reason = "the process ended";
}

static void step(struct attach *a, uint64_t now)
{
	uint64_t cpu;

	if (a->trace && now >= trace_next_ns(a->trace) && !process_cpu_ns(&a->s.proc, &cpu))
		trace_tick(a->trace, now, cpu, observer_created(a->observer));
	if (now >= a->report_ns || (a->end_ns && now >= a->end_ns)) {
		if (a->end_ns && now >= a->end_ns)
			a->end_reason = "the time asked for is over";
		report(a);
		while (a->report_ns <= now)
			a->report_ns += a->every_ns;
	} else if (now >= observer_look_ns(a->observer)) {
		observer_look(a->observer);
	}
}

static void loop(struct attach *a)
{
	uint64_t begin = clock_mono_ns();

	a->report_ns = begin + a->every_ns;
	a->end_ns = a->o->for_ns ? begin + a->o->for_ns : 0;
	if (a->screen)
		report(a);
	while (!a->end_reason) {
		struct pollfd p[3] = {
			{ .fd = a->signal_fd, .events = POLLIN },
			{ .fd = a->s.proc.pidfd, .events = POLLIN },
			{ .fd = a->screen ? screen_fd(a->screen) : -1, .events = POLLIN },
		};

		if (poll(p, 3, due_ms(a, clock_mono_ns())) < 0 && errno != EINTR)
			break;
		if (p[0].revents)
			on_signal(a);
		check_target(a, p[1].revents != 0, clock_mono_ns());
		if (p[2].revents && a->screen)
			on_key(a);
		if (!a->end_reason)
			step(a, clock_mono_ns());
		else
			report(a);
	}
}

static void finish(struct attach *a)
{
	screen_close(a->screen);
	observer_free(a->observer);
	trace_close(a->trace);
	session_close(&a->s);
	output_close(&a->out);
	if (a->signal_fd >= 0)
		close(a->signal_fd);
}

int cmd_attach(const struct options *o)
{
	struct attach a = { .o = o, .signal_fd = -1 };
	struct err err = { 0 };

	if (output_open(&a.out, o, &err)) {
		msg_error("%s", err.what);
		return EXIT_FAILED;
	}
	if (catch_signals(&a)) {
		msg_error("cannot catch signals: %s", strerror(errno));
		output_close(&a.out);
		return EXIT_FAILED;
	}
	a.every_ns = o->every_ns ? o->every_ns :
		     a.out.is_terminal && o->format == FORMAT_TEXT ? SCREEN_EVERY_NS : DEFAULT_EVERY_NS;
	a.status = start(&a);
	if (a.status == EXIT_DONE) {
		if (a.out.is_terminal && o->format == FORMAT_TEXT)
			screen_open(&a.screen, &err);	/* without one the reports scroll */
		loop(&a);
	}
	finish(&a);
	return a.status;
}
