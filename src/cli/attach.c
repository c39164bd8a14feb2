/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gospect attach: opens the process, arms the plan, and reports until it is
 * asked to stop or the process ends.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "cli/options.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/screen.h"
#include "cli/slow.h"
#include "cli/watch.h"
#include "observe/detect.h"

#define DEFAULT_EVERY_NS (5 * NS_PER_S)
#define SOON_NS          NS_PER_S   /* the screen, and lines of --slow */
#define LINES_MAX_BYTES  (4u << 20) /* of --slow that nobody reads; more are left out */

/* How long a reader that reads nothing holds up the end. */
#define PATIENCE_NS (3 * NS_PER_S)

struct attach {
	const struct options *o;
	struct watch w;
	struct output out;
	struct screen *screen;
	uint64_t end_ns, report_ns, every_ns, shutdown_ns;
	uint64_t skipped;     /* reports since the last that was written */
	uint64_t all_skipped; /* … in all */
	struct buf lines;     /* with --slow: what is not written yet */
	double stopped_s;     /* before this window */
	bool waits;           /* with --until-exit: it was not asked to end yet */
	bool cut;             /* what is written reaches nobody */
	int status;
};

#define SHORT_SHARE 0.5 /* of a whole window: shorter ones say little */

/* Closing the terminal is one way to end it, and no failure. */
static void write_failed(struct attach *a, int err)
{
	a->cut = true;
	a->w.end_reason = err == -EPIPE ? "output closed" : "cannot write the report";
	if (err != -EPIPE || !a->out.is_terminal)
		a->status = output_status(err);
}

static void skip(struct attach *a)
{
	a->skipped++;
	a->all_skipped++;
}

static void write_report(struct attach *a, struct report *r)
{
	bool last = a->w.end_reason;
	int err;

	r->window.skipped_reports = a->skipped;
	err = output_report(&a->out, r, last);
	if (err == -EAGAIN)
		skip(a);
	else if (err)
		write_failed(a, err);
	else
		a->skipped = 0;
}

/* Lines that are not taken now are kept, as far as there is room. */
static void write_lines(struct attach *a, const struct window *w)
{
	bool last = a->w.end_reason;
	int err = 0;

	slow_lines(w, a->o->slow_ns, last, &a->lines);
	if (a->lines.err)
		skip(a);
	if (a->lines.len && last)
		err = output_write_last(&a->out, &a->lines);
	else if (a->lines.len && output_ready(&a->out))
		output_begin(&a->out, &a->lines);
	else
		return;
	buf_reset(&a->lines);
	if (err)
		write_failed(a, err);
}

/* What the screen has shown last, where there was little time since. */
static void write_last(struct attach *a, struct report *r)
{
	struct report shown = screen_take_report(a->screen);
	struct window *w = &shown.window;
	char why[160];

	screen_close(a->screen);
	a->screen = NULL;
	if (w->window_s > 0 && r->window.window_s < SHORT_SHARE * w->window_s) {
		snprintf(why, sizeof(why), "%s; of the last whole window", a->w.end_reason);
		w->last = true;
		w->end_reason = why;
		w->stopped_s = r->window.stopped_s;
		write_report(a, &shown);
	} else {
		write_report(a, r);
	}
	report_deinit(&shown);
}

/* Nothing but the last report is written. */
static bool at_end(const struct attach *a)
{
	return a->o->slow_ns || a->o->format == FORMAT_HTML;
}

/* When the window that begins now ends: of a page by --every alone. */
static uint64_t next_report(const struct attach *a, uint64_t now)
{
	return a->waits || (a->o->format == FORMAT_HTML && !a->o->every_ns) ? UINT64_MAX
									    : now + a->every_ns;
}

/* Ends the window: judges it, shows it, begins the next. */
static void report(struct attach *a)
{
	struct report r = { 0 };
	int err;

	err = observer_take(a->w.observer, &r.window, a->w.end_reason);
	if (err) {
		msg_error("cannot read process %ld: %s", a->o->pid, strerror(-err));
		a->w.end_reason = "it can no longer be read";
	}
	if (a->w.end_reason)
		watch_disarm(&a->w, &a->out);
	if (err == -ENOMEM) {
		report_deinit(&r);
		a->status = EXIT_FAILED;
		return;
	}
	r.window.stopped_s = a->stopped_s;
	a->stopped_s = 0;
	detect_all(&r.window, &r.findings);
	if (a->o->slow_ns)
		write_lines(a, &r.window);
	if (at_end(a) && (!a->w.end_reason || a->cut)) {
		/* the report comes at the end */
	} else if (a->screen && !a->w.end_reason) {
		screen_draw(a->screen, &r);
	} else {
		write_last(a, &r);
	}
	report_deinit(&r);
}

static void on_key(struct attach *a)
{
	switch (screen_poll_key(a->screen)) {
	case SCREEN_QUIT:
		a->w.end_reason = "stopped by 'q'";
		break;
	case SCREEN_REDRAW:
		screen_redraw(a->screen);
		break;
	case SCREEN_NONE:
		break;
	}
}

/* What was written in the background is written, or cannot be. */
static void on_written(struct attach *a)
{
	int err = output_result(&a->out);

	if (err == -EAGAIN)
		return;
	if (err)
		write_failed(a, err);
	else if (a->screen)
		screen_catch_up(a->screen);
}

/* Ctrl-Z: the window ends here, and another begins when it goes on. */
static void on_stop(struct attach *a)
{
	uint64_t begin;

	if (!a->screen && !a->waits)
		report(a);
	if (a->w.end_reason)
		return;
	screen_leave(a->screen);
	begin = clock_mono_ns();
	watch_stop(&a->w, a->screen);
	a->stopped_s = (double)(clock_mono_ns() - begin) / 1e9;
	a->report_ns = next_report(a, clock_mono_ns());
	screen_return(a->screen);
}

#define SHUTDOWN_LOOK_NS (250 * NS_PER_MS)

/* While it ends also where nobody else looks: the subject itself keeps within its share. */
static uint64_t look_ns(const struct attach *a)
{
	uint64_t due = observer_look_ns(a->w.observer);

	return due == UINT64_MAX && a->o->until_exit && !a->waits ? a->shutdown_ns : due;
}

/* It was asked to end: a window begins. */
static void begin_end(struct attach *a)
{
	a->waits = false;
	msg_note("process %ld was asked to end", a->o->pid);
	if (observer_restart(a->w.observer))
		return; /* it was quick: the report of its end follows */
	observer_set_pace(a->w.observer, NS_PER_S);
	a->report_ns = next_report(a, clock_mono_ns());
}

/* Later than asked for where it takes too much of a CPU. */
static uint64_t report_ns(const struct attach *a)
{
	uint64_t end = observer_end_ns(a->w.observer);

	return a->report_ns > end ? a->report_ns : end;
}

static uint64_t due_ns(const struct attach *a)
{
	uint64_t due = report_ns(a), look = look_ns(a);

	due = look < due ? look : due;
	return a->end_ns && a->end_ns < due ? a->end_ns : due;
}

static void step(struct attach *a, uint64_t now)
{
	bool ends = a->end_ns && now >= a->end_ns, due = now >= report_ns(a);

	if (ends)
		a->w.end_reason = "--for elapsed";
	if (a->waits && watch_asked_to_end_ns(&a->w))
		begin_end(a);
	if (due && !ends && !a->screen && !at_end(a) && !output_ready(&a->out))
		skip(a); /* the window goes on: the next report has it all */
	else if (due || ends)
		report(a);
	else if (now >= look_ns(a)) {
		observer_look(a->w.observer);
		a->shutdown_ns = now + SHUTDOWN_LOOK_NS;
	}
	while ((due || ends) && a->report_ns <= now)
		a->report_ns += a->every_ns;
}

static void wait(struct attach *a)
{
	struct pollfd more[WATCH_MAX_MORE] = {
		{ .fd = sink_event(a->out.sink), .events = POLLIN },
		{ .fd = a->screen ? screen_fd(a->screen) : -1, .events = POLLIN },
	};

	watch_wait(&a->w, due_ns(a), more, WATCH_MAX_MORE);
	if (more[0].revents)
		on_written(a);
	if (more[1].revents && a->screen)
		on_key(a);
	if (a->w.stop_asked && !a->w.end_reason)
		on_stop(a);
}

static void loop(struct attach *a)
{
	uint64_t begin = clock_mono_ns();
	char n[HUMAN_MAX];

	a->waits = a->o->until_exit != 0;
	a->report_ns = next_report(a, begin);
	a->end_ns = a->o->for_ns ? begin + a->o->for_ns : 0;
	if (a->screen)
		report(a);
	while (!a->w.end_reason) {
		wait(a);
		if (!a->w.end_reason)
			step(a, clock_mono_ns());
		else if (!a->cut)
			report(a);
	}
	if (a->all_skipped)
		msg_note("%s skipped: nobody read the output",
			 human_counted(a->all_skipped, "report", n));
}

/* Also a short run gets looks enough to judge growth by. */
static int start(struct attach *a)
{
	struct watch_mode mode = {
		.pace_ns = a->o->for_ns && a->o->for_ns < a->every_ns ? a->o->for_ns : a->every_ns,
	};
	int status = watch_start(&a->w, &mode);
	char least[HUMAN_MAX];

	if (status == EXIT_DONE)
		msg_note("watching process %ld: %s, Ctrl-C stops%s", a->o->pid,
			 a->w.trace ? "probes armed" : "memory only",
			 a->o->until_exit ? "; reports begin when it is asked to end" : "");
	if (status == EXIT_DONE && a->o->until_exit && !a->w.death) {
		msg_error("--until-exit: signals are not seen: %s",
			  a->w.death_off[0] ? a->w.death_off : a->w.memory_only);
		msg_hint("'gospect doctor' says what is missing");
		return a->w.death_off[0] ? EXIT_NOT_PERMITTED : EXIT_FAILED;
	}
	if (status == EXIT_DONE && a->o->slow_ns)
		msg_note("requests that take %s or longer, as looks (some a second) and "
			 "probes see "
			 "them; what is over between two looks is not among them",
			 human_seconds((double)a->o->slow_ns / 1e9, least));
	return status;
}

int cmd_attach(const struct options *o)
{
	struct attach a = { .o = o, .w = WATCH_OF(o) };
	struct err err = { 0 };
	bool screen;

	if (watch_prepare(&a.w, &a.out))
		return EXIT_FAILED;
	a.out.patience.ns = PATIENCE_NS;
	if (a.out.file)
		a.out.file->stream = o->format != FORMAT_HTML;
	screen = a.out.is_terminal && o->format == FORMAT_TEXT && !o->slow_ns && !o->until_exit;
	buf_init(&a.lines, LINES_MAX_BYTES);
	if (screen && watch_in_background())
		raise(SIGTTOU); /* until it is in the foreground; nothing is armed yet */
	a.every_ns = o->every_ns ? o->every_ns : screen || o->slow_ns ? SOON_NS : DEFAULT_EVERY_NS;
	a.status = start(&a);
	if (a.status == EXIT_DONE) {
		if (screen && !watch_in_background())
			screen_open(&a.screen, &a.out, &err); /* without one the reports scroll */
		loop(&a);
	}
	screen_close(a.screen);
	watch_close(&a.w);
	buf_deinit(&a.lines);
	return output_close(&a.out, a.status);
}
