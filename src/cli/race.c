/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect watch: who touches words of a process's memory, and whether at the same time. */
#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/human.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/watch.h"
#include "host/privileges.h"
#include "report/race.h"

struct race_run {
	const struct options *o;
	struct session s;
	struct watchpoints *wp;
	struct race_report report;
	struct output out;
	int signal_fd;
};

static const char *interrupted(const struct race_run *run)
{
	struct signalfd_siginfo si;

	if (read(run->signal_fd, &si, sizeof(si)) != sizeof(si))
		return NULL;
	return si.ssi_signo == SIGINT ? "stopped by Ctrl-C" : "stopped by a signal";
}

/* Until it is done, or ended by a signal or by the process's end.  The exit status. */
static int watch(struct race_run *run)
{
	struct race_report *r = &run->report;
	struct err err = { 0 };
	int e = 0;

	while (!e && !(r->end_reason = interrupted(run))) {
		msg_progress("watching: %llu slices, %llu accesses",
			     (unsigned long long)r->race.slices, (unsigned long long)r->race.hits);
		e = race_step(&r->race, &err);
	}
	msg_progress_end();
	if (e != -ESRCH)
		return e < 0 ? msg_fail(&err) : EXIT_DONE;
	r->end_reason = session_gone(process_check(&run->s.proc));
	if (r->race.slices)
		return EXIT_DONE;
	msg_error("%s before anything was seen", r->end_reason);
	return EXIT_TARGET_ENDED;
}

static int print(struct race_run *run)
{
	struct race_report *r = &run->report;
	struct buf *out = &run->out.buf;

	race_sum(&r->race);
	race_find(&r->race, &r->findings);
	if (run->o->format == FORMAT_JSON)
		report_race_json(r, out);
	else if (run->o->format == FORMAT_HTML)
		report_race_html(r, out);
	else
		report_race_text(r, &run->out.text, out);
	return output_status(output_write(&run->out, out));
}

static int name_words(struct race_run *run, struct err *err)
{
	int e = 0;

	for (int i = 0; i < run->o->nword && !e; i++)
		e = race_words_named(&run->report.race.words, &run->s.rt, &run->s.proc,
				     run->o->word[i], err);
	return e;
}

/* Or the process could not be read. */
static bool is_wrong_word(int code)
{
	return code == -EINVAL || code == -ENOENT || code == -EOPNOTSUPP || code == -E2BIG;
}

static int run_watch(struct race_run *run)
{
	const struct options *o = run->o;
	struct race_options how = { .budget_pct = o->budget_pct,
				    .wake_fd = run->signal_fd,
				    .for_ns = o->for_ns,
				    .hold_ns = o->prove ? WATCH_HOLD_MOST : 0 };
	struct err err = { 0 };
	char n[HUMAN_MAX];
	int status;

	if (session_open(&run->s, (pid_t)o->pid, &err))
		return msg_fail(&err);
	if (name_words(run, &err)) {
		status = msg_fail(&err);
		return is_wrong_word(err.code) ? EXIT_USAGE : status;
	}
	if (race_begin(&run->report.race, run->wp, &run->s.rt, &run->s.proc, &how, &err))
		return msg_fail(&err);
	run->report.pid = (int)o->pid;
	run->report.of = executable_facts(run->s.gb);
	msg_note("watching %s of process %ld with hardware watchpoints: each access that is seen "
		 "takes "
		 "about %.0f µs, within %.3g %% of its CPU time",
		 human_counted(run->report.race.words.n, o->nword ? "word" : "candidate", n),
		 o->pid, (double)watchpoints_costs(run->wp)->hit_ns / 1e3, o->budget_pct);
	if (o->prove)
		msg_note("--prove: behind a plain store to them a thread is held for %d µs, within "
			 "the "
			 "same budget",
			 WATCH_HOLD_MOST / 1000);
	status = watch(run);
	if (status == EXIT_DONE)
		status = print(run);
	if (status == EXIT_DONE && o->has_fail_on &&
	    findings_reach(&run->report.findings, o->fail_on))
		status = EXIT_FOUND;
	return status;
}

/* The program is loaded and a trap measured before anything of the process is read. */
static int prepare(struct race_run *run)
{
	struct err err = { 0 };
	int e = interrupt_begin(&run->signal_fd);

	if (e) {
		msg_error("cannot catch signals: %s", strerror(-e));
		return EXIT_FAILED;
	}
	msg_begin();
	if (watchpoints_open(&run->wp, run->o->prove ? WATCH_HOLD_MOST : 0, &err))
		return msg_fail(&err);
	privileges_watch(PRIVILEGE_READ | (run->o->output ? PRIVILEGE_WRITE : 0) |
			 (privileges_had(PRIVILEGE_PERFMON) ? PRIVILEGE_PERFMON : PRIVILEGE_ADMIN));
	return EXIT_DONE;
}

int cmd_watch(const struct options *o)
{
	struct race_run run = { .o = o, .signal_fd = -1 };
	int status;

	if (o->budget_pct <= 0) {
		msg_error("watching costs the process something: --budget must be more than 0");
		return EXIT_USAGE;
	}
	status = output_open(&run.out, o);
	if (status != EXIT_DONE)
		return status;
	status = prepare(&run);
	if (status == EXIT_DONE)
		status = run_watch(&run);
	findings_deinit(&run.report.findings);
	race_deinit(&run.report.race);
	watchpoints_close(run.wp);
	session_close(&run.s);
	return output_close(&run.out, status);
}
