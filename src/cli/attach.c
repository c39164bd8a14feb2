/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gospect attach: opens the process, arms the plan, and reports until it is
 * asked to stop or the process ends.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "cli/options.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/screen.h"
#include "cli/watch.h"
#include "observe/detect.h"

#define DEFAULT_EVERY_NS (5 * NS_PER_S)
#define SCREEN_EVERY_NS  NS_PER_S

struct attach {
	const struct options *o;
	struct watch w;
	struct output out;
	struct screen *screen;
	uint64_t end_ns, report_ns, every_ns;
	int status;
};

/* Closing the terminal is one way to end it, and no failure. */
static void write_failed(struct attach *a, int err)
{
	a->w.end_reason = err == -EPIPE ? "output closed" : "cannot write the report";
	if (err != -EPIPE || !a->out.is_terminal)
		a->status = output_status(err);
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
	if (err == -ENOMEM) {
		report_deinit(&r);
		a->status = EXIT_FAILED;
		return;
	}
	detect_all(&r.window, &r.findings);
	if (a->screen && !a->w.end_reason) {
		screen_draw(a->screen, &r);
	} else {
		screen_close(a->screen);
		a->screen = NULL;
		err = output_report(&a->out, &r);
		if (err)
			write_failed(a, err);
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

static uint64_t due_ns(const struct attach *a)
{
	uint64_t due = a->report_ns, look = observer_look_ns(a->w.observer);

	due = look < due ? look : due;
	return a->end_ns && a->end_ns < due ? a->end_ns : due;
}

static void step(struct attach *a, uint64_t now)
{
	if (now >= a->report_ns || (a->end_ns && now >= a->end_ns)) {
		if (a->end_ns && now >= a->end_ns)
			a->w.end_reason = "--for elapsed";
		report(a);
		while (a->report_ns <= now)
			a->report_ns += a->every_ns;
	} else if (now >= observer_look_ns(a->w.observer)) {
		observer_look(a->w.observer);
	}
}

static void loop(struct attach *a)
{
	uint64_t begin = clock_mono_ns();

	a->report_ns = begin + a->every_ns;
	a->end_ns = a->o->for_ns ? begin + a->o->for_ns : 0;
	if (a->screen)
		report(a);
	while (!a->w.end_reason) {
		bool key = watch_wait(&a->w, due_ns(a), a->screen ? screen_fd(a->screen) : -1);

		if (key && a->screen)
			on_key(a);
		if (!a->w.end_reason)
			step(a, clock_mono_ns());
		else
			report(a);
	}
}

/* Also a short run gets looks enough to judge growth by. */
static int start(struct attach *a)
{
	struct watch_mode mode = {
		.pace_ns = a->o->for_ns && a->o->for_ns < a->every_ns ? a->o->for_ns : a->every_ns,
	};
	int status = watch_start(&a->w, &mode);

	if (status == EXIT_DONE)
		msg_note("watching process %ld: %s", a->o->pid,
			 a->w.trace ? "probes armed, Ctrl-C stops" : "memory only, Ctrl-C stops");
	return status;
}

int cmd_attach(const struct options *o)
{
	struct attach a = { .o = o, .w = { .o = o, .signal_fd = -1 } };
	struct err err = { 0 };

	if (watch_prepare(&a.w, &a.out))
		return EXIT_FAILED;
	a.every_ns = o->every_ns                                     ? o->every_ns
		     : a.out.is_terminal && o->format == FORMAT_TEXT ? SCREEN_EVERY_NS
								     : DEFAULT_EVERY_NS;
	a.status = start(&a);
	if (a.status == EXIT_DONE) {
		if (a.out.is_terminal && o->format == FORMAT_TEXT)
			screen_open(&a.screen, &err); /* without one the reports scroll */
		loop(&a);
	}
	screen_close(a.screen);
	watch_close(&a.w);
	return output_close(&a.out, a.status);
}
