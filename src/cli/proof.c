/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/human.h"
#include "cli/message.h"

#define PASSES          6 /* over a running process; report.md: under 2 s on a small heap */
#define LIMIT_NS        (10 * NS_PER_S)   /* none is begun after */
#define HURRY_NS        (200 * NS_PER_MS) /* the same when Ctrl-C has come already */
#define USUAL_MAX_BYTES (512ull << 20)

struct proof {
	long pid;
	struct watch *w;
};

static void announce(void *arg, const struct prove_stop *stop)
{
	const struct proof *p = arg;
	char text[HUMAN_MAX];

	if (stop->in_vain_ns)
		msg_note("copying took longer than announced: the process was let go after %s, and "
			 "it is tried once more",
			 human_seconds((double)stop->in_vain_ns / 1e9, text));
	if (stop->again)
		msg_note("a stack counts after all that was not copied: it is tried once more, "
			 "with all of them copied");
	msg_note("process %ld will be stopped for about %s", p->pid,
		 human_seconds((double)stop->expected_ns / 1e9, text));
	if (stop->uses_cgo && !stop->in_vain_ns && !stop->again)
		msg_note("warning: it uses cgo: system calls made from C may return EINTR when "
			 "they are interrupted");
}

static bool go_on(void *arg, const struct prove_progress *doing)
{
	const struct proof *p = arg;
	int percent = (int)(100 * doing->share);

	if (watch_interrupted(p->w))
		return false;
	if (doing->doing && doing->of)
		msg_progress("leaks: pass %d of %d, %s: %d%%", doing->pass, doing->of, doing->doing,
			     percent);
	else if (doing->doing)
		msg_progress("proof of leaks: %s: %d%%", doing->doing, percent);
	return true;
}

static uint64_t free_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "MemAvailable: %llu", &kib) != 1)
		;
	if (f)
		fclose(f);
	return (uint64_t)kib << 10;
}

/* The copy must never be what brings a host down. */
static uint64_t max_memory(const struct options *o)
{
	uint64_t available = free_bytes(), max = available / 10;

	if (o->max_memory_bytes)
		return o->max_memory_bytes;
	if (max < USUAL_MAX_BYTES)
		max = USUAL_MAX_BYTES;
	return available && max > available / 2 ? available / 2 : max;
}

/* What several passes over the running process may take, when it is less than that. */
static void limit_passes(const struct watch *w, struct prove_config *cfg)
{
	cfg->max_bytes = max_memory(w->o);
	cfg->too_much = "--max-memory allows more";
	cfg->limit_ns = w->signalled ? HURRY_NS : LIMIT_NS;
	if (cfg->prove || !w->passes_max_bytes || w->passes_max_bytes >= cfg->max_bytes)
		return;
	cfg->max_bytes = w->passes_max_bytes;
	cfg->too_much = "'gospect leaks PID' takes the time for several passes over more, --prove "
			"needs only one";
}

/* What is inferred of locks, for the prover; to be freed.  NULL: no memory. */
static struct prove_held *held_of(const struct deadlocks_window *l, size_t *n)
{
	struct prove_held *held;

	*n = l ? l->nheld : 0;
	held = calloc(*n + 1, sizeof(*held));
	for (size_t i = 0; held && i < *n; i++)
		held[i] = (struct prove_held){ l->held[i].waiter, l->held[i].holder };
	return held;
}

int proof_run(struct watch *w, bool prove, const struct deadlocks_window *locks,
	      struct prove_result *out, struct err *err)
{
	struct proof p = { .pid = w->o->pid, .w = w };
	struct prove_config cfg = {
		.rt = &w->s.rt,
		.proc = &w->s.proc,
		.prove = prove,
		.freeze = &w->freeze,
		.passes = PASSES,
		.max_stop_ns = w->o->max_stop_ns,
		.announce = announce,
		.go_on = go_on,
		.arg = &p,
	};
	struct prove_held *held = held_of(locks, &cfg.nheld);
	int code;

	if (!held)
		return err_set(err, -ENOMEM, "no memory for the locks that are held");
	cfg.held = held;
	limit_passes(w, &cfg);
	code = prove_run(&cfg, out, err);
	msg_progress_end();
	free(held);

	if (!code && prove && out->verdict == LEAKS_PASSES && out->why[0])
		msg_note("not proven: %s", out->why);
	return code;
}
