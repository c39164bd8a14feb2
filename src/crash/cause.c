/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a process ended of: records of the probes, oldest first, and the kernel's status
 * put together.  The first record is the cause: what comes after it is its consequence
 * (two goroutines that die at once each leave one).
 */
#include "crash/fill.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/vec.h"
#include "gobin/gobin.h"

#define MAX_PCS   512
#define MAIN_GOID 1
#define PAGE      4096ull /* amd64 */
#define CORE_BIT  0x80

struct making {
	struct crash_window *out;
	const struct look *l;
	struct gs_crash *const *record;
	int n;
	const struct gs_death *d;
	struct crash_types types;
};

static struct gs_crash *record_of(const struct making *m, uint32_t kind, uint64_t g)
{
	for (int i = 0; i < m->n; i++)
		if (m->record[i]->kind == kind && (!g || m->record[i]->g == g))
			return m->record[i];
	return NULL;
}

/* The first that says what it died of. */
static struct gs_crash *first_record(const struct making *m)
{
	for (int i = 0; i < m->n; i++)
		if (m->record[i]->kind != GS_CRASH_TYPES)
			return m->record[i];
	return NULL;
}

/* ---- the goroutine ---- */

/* The runtime's own goroutines die, too: of a bad pointer that the collector finds. */
static void take_created(struct making *m, uint64_t gopc)
{
	bool injected = false;
	struct goframe f;

	if (!place_of_pcs(m->l->rt, &gopc, 1, false, &m->out->created) &&
	    goruntime_frames_at(m->l->rt, gopc, &injected, &f, 1) > 0)
		m->out->created = place_of_frame(&f);
}

/* A go statement; the main goroutine has none, and begins at runtime.main. */
static int take_stack(struct making *m, const struct gs_crash *c)
{
	uint64_t pcs[MAX_PCS], gopc = c->gopc;
	struct stack_builder b;
	int n, err;

	m->out->goroutine = c->goid;
	m->out->of_first = c->flags & GS_CRASH_NO_G;
	if (c->goid != MAIN_GOID && gopc)
		take_created(m, gopc);
	n = c->stack_bytes ? crash_unwind(m->l->rt, c, pcs, MAX_PCS, &m->out->stack_whole) : 0;
	if (!n)
		return 0;
	stack_builder_init(&b, &m->out->stacks, m->l->rt);
	err = stack_builder_add(&b, pcs, (size_t)n, m->out->stack_whole, false);
	stack_builder_deinit(&b);
	if (!err)
		m->out->stack = 0;
	return err;
}

/* ---- panics ---- */

static void take_panic(struct making *m, struct gs_crash_panic *p,
		       const struct gs_crash_panic *given, struct crash_panic *out)
{
	const char *type = crash_type_name(&m->types, given ? given->type : p->type);

	out->recovered = p->flags & GS_PANIC_RECOVERED;
	if (type)
		words_fit(type, CRASH_MAX_TYPE / 4, out->type, sizeof(out->type));
	if (!m->l->redact_messages) {
		crash_read_constants(&m->types, p);
		crash_value(&m->types, p, out->message, &out->cut);
	}
}

static uint32_t panics_in(const struct gs_crash *c)
{
	return c->npanic < GS_CRASH_PANICS ? c->npanic : GS_CRASH_PANICS;
}

static int take_panics(struct making *m, struct gs_crash *c)
{
	const struct gs_crash *given = record_of(m, GS_CRASH_TYPES, c->g);
	struct crash_window *out = m->out;
	const struct crash_panic *last;

	out->panic = calloc(GS_CRASH_PANICS, sizeof(*out->panic));
	if (!out->panic)
		return -ENOMEM;
	for (uint32_t i = panics_in(c); i--;) {
		if (c->panic[i].flags & GS_PANIC_GOEXIT)
			continue;
		take_panic(m, &c->panic[i], given && i < panics_in(given) ? &given->panic[i] : NULL,
			   &out->panic[out->npanic++]);
	}
	if (!out->npanic)
		return 0;
	last = &out->panic[out->npanic - 1];
	memcpy(out->message, last->message, sizeof(out->message));
	memcpy(out->type, last->type, sizeof(out->type));
	out->message_cut = last->cut;
	return 0;
}

/*
 * A nil that is an error and is not nil: a nil dereference whose first frame of the program's
 * is the Error of a pointer type.
 */
static void take_typed_nil(struct making *m, const struct gs_crash *c)
{
	static const char deref[] = "nil pointer dereference", method[] = ").Error", open[] = ".(*";
	const struct gs_crash_panic *p = &c->panic[0];
	uint32_t n = p->text_bytes < GS_CRASH_TEXT ? p->text_bytes : GS_CRASH_TEXT;
	const struct place *line[16];
	int lines = stack_lines(&m->out->stacks, m->out->stack, line, ARRAY_SIZE(line)), i = 0;
	const char *name, *at;
	size_t len;

	while (i < lines && (!line[i]->function || stack_line_is_runtime(line[i])))
		i++;
	if (i == lines || !memmem(p->text, n, deref, sizeof(deref) - 1))
		return;
	name = line[i]->function;
	at = strstr(name, open);
	len = strlen(name);
	if (!at || len < sizeof(method) || strcmp(name + len - (sizeof(method) - 1), method) != 0)
		return;
	/* "path.(*T).Error" is of *path.T */
	snprintf(m->out->typed_nil, sizeof(m->out->typed_nil), "*%.*s.%.*s", (int)(at - name), name,
		 (int)(name + len - (sizeof(method) - 1) - (at + sizeof(open) - 1)),
		 at + sizeof(open) - 1);
}

static void take_message(struct making *m, struct gs_crash_panic *p)
{
	uint32_t n;

	crash_read_constants(&m->types, p);
	n = p->text_bytes < CRASH_MAX_MESSAGE ? p->text_bytes : CRASH_MAX_MESSAGE;
	/* the runtime's own words: no secret of the program's */
	for (uint32_t i = 0; i < n; i++)
		m->out->message[i] = p->text[i] ? p->text[i] : '?';
	m->out->message_cut = p->len > n;
}

/* ---- signals ---- */

const char *crash_signal_name(int sig)
{
	static const char *const name[] = {
		[SIGHUP] = "SIGHUP",   [SIGINT] = "SIGINT",       [SIGQUIT] = "SIGQUIT",
		[SIGILL] = "SIGILL",   [SIGTRAP] = "SIGTRAP",     [SIGABRT] = "SIGABRT",
		[SIGBUS] = "SIGBUS",   [SIGFPE] = "SIGFPE",       [SIGKILL] = "SIGKILL",
		[SIGUSR1] = "SIGUSR1", [SIGSEGV] = "SIGSEGV",     [SIGUSR2] = "SIGUSR2",
		[SIGPIPE] = "SIGPIPE", [SIGALRM] = "SIGALRM",     [SIGTERM] = "SIGTERM",
		[SIGXCPU] = "SIGXCPU", [SIGXFSZ] = "SIGXFSZ",     [SIGVTALRM] = "SIGVTALRM",
		[SIGPROF] = "SIGPROF", [SIGIO] = "SIGIO",         [SIGPWR] = "SIGPWR",
		[SIGSYS] = "SIGSYS",   [SIGSTKFLT] = "SIGSTKFLT",
	};

	return sig > 0 && (size_t)sig < ARRAY_SIZE(name) && name[sig] ? name[sig] : "a signal";
}

/* Who sent it: somebody else's comes before the one that a process sends itself to die of it. */
static void take_sender(struct crash_window *out, const struct gs_death *d)
{
	const struct gs_signal *s;

	if (!d || out->signal <= 0 || out->signal >= GS_SIGNALS)
		return;
	s = &d->from_others[out->signal];
	out->sender.itself = !s->ns && d->from_itself[out->signal].ns;
	out->sender.known = s->ns != 0;
	if (!s->ns)
		return;
	out->sender.pid = (int)s->sender;
	memcpy(out->sender.name, s->comm, sizeof(s->comm));
}

/* Go's handler ended it: up to 1.20 the record does not say for which signal. */
static int signal_of(const struct gs_crash *c, const struct gs_death *d)
{
	static const int fatal[] = { SIGQUIT, SIGABRT, SIGSEGV, SIGBUS,   SIGFPE,
				     SIGILL,  SIGTRAP, SIGSYS,  SIGSTKFLT };
	uint64_t latest = 0;
	int sig = 0;

	if (c->code > 0 && c->code < GS_SIGNALS)
		return (int)c->code;
	for (size_t i = 0; d && i < ARRAY_SIZE(fatal); i++) {
		const struct gs_signal *from[] = { &d->from_others[fatal[i]],
						   &d->from_itself[fatal[i]] };

		for (int k = 0; k < 2; k++)
			if (from[k]->ns > latest && from[k]->ns <= c->ns) {
				latest = from[k]->ns;
				sig = fatal[i];
			}
	}
	return sig;
}

/* ---- the status ---- */

/* A counter of the kernel's may be below 0: what each CPU has of it is not added yet. */
static uint64_t bytes_of(uint64_t pages)
{
	return (int64_t)pages > 0 ? pages * PAGE : 0;
}

static void take_status(struct making *m)
{
	const struct gs_death *d = m->d;
	struct crash_window *out = m->out;
	uint32_t code;

	if (!d || !d->threads)
		return;
	code = d->group_code ? d->group_code : d->leader_code;
	out->status_known = d->group_code || d->leader_ended;
	out->exit_code = code & 0x7f ? -1 : (int)(code >> 8 & 0xff);
	out->real_ns = clock_mono_to_real_ns(d->exit_ns);
	if (!(code & 0x7f))
		return;
	out->signal = (int)(code & 0x7f);
	out->cause = CRASH_BY_SIGNAL;
	if (!d->oom_ns || out->signal != SIGKILL)
		return;
	out->cause = CRASH_BY_OOM;
	out->oom.anon_bytes = bytes_of(d->oom_anon_pages);
	out->oom.file_bytes = bytes_of(d->oom_file_pages);
	out->oom.shared_bytes = bytes_of(d->oom_shmem_pages);
}

static int take_record(struct making *m, struct gs_crash *c)
{
	struct crash_window *out = m->out;
	int err = take_stack(m, c);

	if (!err)
		err = crash_take_others(m->l, c, out);
	out->real_ns = clock_mono_to_real_ns(c->ns);
	switch (c->kind) {
	case GS_CRASH_PANIC:
		out->cause = CRASH_BY_PANIC;
		out->redacted = m->l->redact_messages;
		if (!err)
			err = take_panics(m, c);
		if (!err)
			take_typed_nil(m, c);
		return err;
	case GS_CRASH_FATAL:
		out->cause = CRASH_BY_FATAL;
		take_message(m, &c->panic[0]);
		break;
	case GS_CRASH_SIGNAL:
		out->cause = CRASH_BY_SIGNAL;
		out->signal = signal_of(c, m->d);
		break;
	case GS_CRASH_EXIT:
		if (out->signal)
			break; /* it was killed before it was through */
		out->cause = CRASH_BY_EXIT;
		out->exit_code = out->status_known ? out->exit_code : (int)(c->code & 0xff);
		out->status_known = true;
		break;
	}
	return err;
}

int crash_fill(struct crash_window *out, const struct look *l, struct gs_crash *const *record,
	       int n, const struct gs_death *d)
{
	struct making m = { .out = out, .l = l, .record = record, .n = n, .d = d };
	struct gs_crash *first = first_record(&m);
	int err = 0;

	out->cause = CRASH_BY_UNKNOWN;
	out->stack = STACK_NONE;
	out->exit_code = -1;
	take_status(&m);
	if (out->status_known && out->cause == CRASH_BY_UNKNOWN)
		out->cause = CRASH_BY_EXIT;
	if (first) {
		crash_types_init(&m.types, l->rt);
		err = take_record(&m, first);
		crash_types_deinit(&m.types);
	}
	if (out->signal) {
		out->signal_name = crash_signal_name(out->signal);
		take_sender(out, d);
	}
	out->known = !err && out->cause != CRASH_BY_UNKNOWN;
	if (out->known)
		crash_say(out);
	return err;
}
