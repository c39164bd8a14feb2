/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect leaks: every goroutine that can never run again, one a line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/message.h"
#include "cli/watch.h"
#include "base/text.h"
#include "goroutines/fill.h"
#include "model/stacktable.h"
#include "observe/window.h"

#define MAX_LINES 512
/* bytes written at once: a million goroutines make more than should be held */
#define AT_ONCE (1u << 20)

struct leaks {
	const struct options *o;
	struct watch w; /* for its session and signals */
	struct output out;
	struct leaks_window l;
};

static const char *verdict_words(const struct leaks_window *l, char *out, size_t size)
{
	if (l->verdict == LEAKS_VERDICT_PROVEN)
		snprintf(out, size, "proven");
	else
		snprintf(out, size, "leaked in %d of %d passes", l->passes, l->passes);
	return out;
}

static void text_line(const struct leaks_window *l, const struct leaked_goroutine *g,
		      struct buf *out)
{
	const struct leak_row *r = &l->row[g->row];
	const struct place *at = stack_table_at(&l->stacks, g->stack);
	char age[HUMAN_MAX], place[WORDS_PLACE_MAX], reason[200];

	human_seconds(g->age_s, age);
	buf_printf(out, "LEAK %llu %s %s%s created by %s", (unsigned long long)g->goid,
		   words_fit(r->reason, 48, reason, sizeof(reason)),
		   g->age == AGE_AT_LEAST ? ">" : "", g->age == AGE_UNKNOWN ? "-" : age,
		   words_place_short(&r->place, place, sizeof(place)));
	buf_printf(out, " at %s\n", at ? words_place_short(at, place, sizeof(place)) : "?");
}

static json_t *place_json(const struct place *p)
{
	json_t *o = json_object();

	json_set_text(o, "function", p->function);
	json_set_text(o, "file", p->file);
	if (p->line > 0)
		json_object_set_new(o, "line", json_integer(p->line));
	return o;
}

static void json_line(const struct leaks_window *l, const struct leaked_goroutine *g,
		      struct buf *out)
{
	const struct leak_row *r = &l->row[g->row];
	const struct place *at = stack_table_at(&l->stacks, g->stack), *line[MAX_LINES];
	int n = stack_lines(&l->stacks, g->stack, line, MAX_LINES);
	json_t *o = json_object(), *stack = json_array();
	char words[64];

	json_object_set_new(o, "goid", json_integer((json_int_t)g->goid));
	json_set_text(o, "reason", r->reason);
	if (g->age != AGE_UNKNOWN)
		json_object_set_new(o, "age_s", json_real(g->age_s));
	if (g->age == AGE_AT_LEAST)
		json_set_text(o, "age", "at_least");
	json_object_set_new(o, "created", place_json(&r->place));
	json_set_text(o, "start", r->start);
	if (at)
		json_object_set_new(o, "at", place_json(at));
	json_set_text(o, "verdict", l->verdict == LEAKS_VERDICT_PROVEN ? "proven" : "passes");
	json_object_set_new(o, "passes", json_integer(l->passes));
	json_set_text(o, "says", verdict_words(l, words, sizeof(words)));
	for (int i = 0; i < n; i++)
		json_array_append_new(stack, place_json(line[i]));
	json_object_set_new(o, "stack", stack);
	json_print(o, out);
}

static void summary(const struct leaks *s, size_t leaked, size_t by_design)
{
	const struct leaks_window *l = &s->l;
	char a[HUMAN_MAX], b[HUMAN_MAX], words[64];

	if (leaked)
		msg_note("%s goroutine%s can never run again: %s", human_count(leaked, a),
			 leaked == 1 ? "" : "s", verdict_words(l, words, sizeof(words)));
	else
		msg_note("no leaks: %s blocked goroutines checked in %d pass%s",
			 human_count(l->candidates, a), l->passes, l->passes == 1 ? "" : "es");
	if (by_design)
		msg_note("%s more block%s forever by design (such as main)",
			 human_count(by_design, b), by_design == 1 ? "s" : "");
	if (l->stop_ms >= 0)
		msg_note("the process was stopped for %s", human_seconds(l->stop_ms / 1e3, a));
}

/* Writes what is there, once it is `least` bytes. */
static int flush(struct leaks *s, size_t least)
{
	if (s->out.buf.len < least && !s->out.buf.err)
		return 0;
	return output_write(&s->out, &s->out.buf);
}

static int print(struct leaks *s)
{
	const struct leaks_window *l = &s->l;
	size_t leaked = 0, by_design = 0;
	int err = 0;

	for (size_t i = 0; i < l->ngoroutine && !err; i++) {
		const struct leaked_goroutine *g = &l->goroutine[i];

		if (l->row[g->row].by_design) {
			by_design++;
			continue;
		}
		leaked++;
		if (s->o->format == FORMAT_JSON)
			json_line(l, g, &s->out.buf);
		else
			text_line(l, g, &s->out.buf);
		err = flush(s, AT_ONCE);
	}
	if (!err)
		err = flush(s, 0);
	if (err)
		return output_status(err);
	summary(s, leaked, by_design);
	return EXIT_DONE;
}

/* Verdicts into the table that is printed. */
static int judge(struct leaks *s, const struct prove_result *r)
{
	struct sites sites;
	int err = sites_init(&sites, &s->w.s.rt);

	if (!err)
		err = leaks_fill(&s->l, &sites, r, clock_mono_ns(), 0);
	err = err ? err : print(s);
	leaks_window_deinit(&s->l); /* strings are the executable's, not the sites' */
	sites_deinit(&sites);
	if (err < 0)
		msg_error("out of memory");
	return err < 0 ? EXIT_FAILED : err;
}

static int run(struct leaks *s)
{
	struct prove_result r = { 0 };
	struct err err = { 0 };
	int code = session_open(&s->w.s, (pid_t)s->o->pid, &err), status;

	if (code)
		return msg_fail(&err);
	code = proof_run(&s->w.s, s->o, s->o->prove, NULL, s->w.signal_fd, &r, &err);
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
