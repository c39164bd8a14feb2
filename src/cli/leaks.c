/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect leaks: every goroutine that can never run again, one a line. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/human.h"
#include "cli/options.h"
#include "cli/output.h"
#include "host/privileges.h"
#include "cli/message.h"
#include "cli/watch.h"
#include "goroutines/fill.h"
#include "goroutines/tables.h"
#include "model/schema.h"
#include "observe/window.h"

#define LISTED_MAX 10000 /* goroutines, without --all */
/* bytes written at once: a million goroutines make more than should be held */
#define AT_ONCE (1u << 20)

struct leaks {
	const struct options *o;
	struct watch w; /* for its session and signals */
	struct output out;
	struct window window; /* of which only the leaks are filled */
	uint64_t *left;       /* goroutines that may still be listed, by row */
};

static struct leaks_window *found(struct leaks *s)
{
	return &s->window.goroutines->leaks;
}

/* How many of each row are listed: all of the small ones, the same of the others. */
static int share(struct leaks *s)
{
	const struct leaks_window *l = found(s);
	uint64_t room = s->o->all ? UINT64_MAX : LISTED_MAX, rows = 0;

	s->left = calloc((size_t)l->nrow + 1, sizeof(*s->left));
	if (!s->left)
		return -ENOMEM;
	for (int i = 0; i < l->nrow; i++)
		rows += !l->row[i].by_design;
	for (int i = l->nrow - 1; i >= 0; i--) { /* most goroutines are first */
		if (l->row[i].by_design)
			continue;
		s->left[i] = l->row[i].count < room / rows ? l->row[i].count : room / rows;
		room -= s->left[i];
		rows--;
	}
	return 0;
}

static void summary(struct leaks *s, uint64_t leaked, uint64_t listed, uint64_t by_design)
{
	const struct leaks_window *l = found(s);
	char a[HUMAN_MAX], b[HUMAN_MAX];

	if (leaked)
		msg_note("%s can never run again: %s", human_counted(leaked, "goroutine", a),
			 leaks_says(l));
	else
		msg_note("found no goroutine that can never run again: %s checked in %s; what "
			 "piles up, and deadlocks: 'gospect snapshot'",
			 human_counted(l->candidates, "blocked goroutine", a),
			 human_counted((uint64_t)l->passes, "pass", b));
	if (listed < leaked)
		msg_note("%s of them are listed, some of each go statement; --all lists all",
			 human_count(listed, a));
	if (by_design)
		msg_note("%s more block%s forever by design (such as select {})",
			 human_count(by_design, b), by_design == 1 ? "s" : "");
	if (l->stop_ms >= 0)
		msg_note("the process was stopped for %s", human_seconds(l->stop_ms / 1e3, a));
}

/* Writes what is there, once it is `least` bytes. */
static int flush(struct leaks *s, size_t least)
{
	int err;

	if (s->out.buf.len < least && !s->out.buf.err)
		return 0;
	err = output_write(&s->out, &s->out.buf);
	return err || !s->out.patience.hurry ? err : -EINTR;
}

static int list(struct leaks *s, uint64_t *listed)
{
	const struct leaks_window *l = found(s);
	struct row r = { .w = &s->window };
	int err = 0;

	for (size_t i = 0; i < l->ngoroutine && !err; i++) {
		r.row = &l->goroutine[i];
		if (!s->left[l->goroutine[i].row])
			continue;
		s->left[l->goroutine[i].row]--;
		++*listed;
		if (s->o->format == FORMAT_JSON)
			report_json_row(&leaked_goroutines, &r, &s->out.buf);
		else
			report_text_row(&leaked_goroutines, &r, &s->out.buf);
		err = flush(s, AT_ONCE);
	}
	if (err)
		return err;
	err = flush(s, 0);
	return err == -EINTR ? 0 : err; /* all of it is there */
}

static int print(struct leaks *s)
{
	const struct leaks_window *l = found(s);
	uint64_t n[2] = { 0, 0 }, listed = 0;
	int err = share(s);

	if (!err)
		err = list(s, &listed);
	free(s->left);
	if (err == -EINTR) {
		msg_error("interrupted: the list is not complete");
		return EXIT_FAILED;
	}
	if (err)
		return output_status(err);
	for (int i = 0; i < l->nrow; i++)
		n[l->row[i].by_design] += l->row[i].count;
	summary(s, n[false], listed, n[true]);
	return EXIT_DONE;
}

/* Verdicts into the table that is printed. */
static int judge(struct leaks *s, const struct prove_result *r)
{
	struct sites sites;
	int err = window_init(&s->window), status = EXIT_FAILED;

	if (!err)
		err = sites_init(&sites, &s->w.s.rt);
	if (!err) {
		err = leaks_fill(found(s), &sites, r, NULL, clock_mono_ns(), 0);
		if (!err)
			status = print(s);
		sites_deinit(&sites); /* strings are the executable's, not the sites' */
	}
	if (err)
		msg_error("out of memory");
	window_deinit(&s->window);
	return status;
}

static int run(struct leaks *s)
{
	struct prove_result r = { 0 };
	struct err err = { 0 };
	int code, status;

	privileges_drop(PRIVILEGE_READ | PRIVILEGE_STOP | (s->o->output ? PRIVILEGE_WRITE : 0));
	code = session_open(&s->w.s, (pid_t)s->o->pid, &err);
	if (code)
		return msg_fail(&err);
	code = proof_run(&s->w, s->o->prove, NULL, &r, &err);
	if (code == -EINTR) {
		msg_note("interrupted before a verdict; the process keeps running");
		return EXIT_DONE;
	}
	if (code == -ESRCH || code == -ESTALE) {
		msg_error("process %ld exited before a verdict", s->o->pid);
		return EXIT_TARGET_ENDED;
	}
	if (code)
		return msg_fail(&err);
	if (r.tracer_busy) {
		msg_error("cannot freeze process %ld: another tracer is attached to it", s->o->pid);
		msg_hint("detach the debugger or strace, or run without --prove");
		status = EXIT_NOT_PERMITTED;
	} else if (r.verdict == LEAKS_OFF) {
		msg_error("cannot judge leaks: %s", r.why);
		status = EXIT_NOT_GO;
	} else {
		status = judge(s, &r);
	}
	prove_result_deinit(&r);
	return status;
}

int cmd_leaks(const struct options *o)
{
	struct leaks s = { .o = o, .w = WATCH_OF(o) };
	int status;

	if (watch_prepare(&s.w, &s.out))
		return EXIT_FAILED;
	status = run(&s);
	watch_close(&s.w);
	return output_close(&s.out, status);
}
