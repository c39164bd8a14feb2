/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/human.h"
#include "cli/message.h"

#define PASSES   6 /* over a running process; report.md: under 2 s on a small heap */
#define MAX_COPY (16ull << 30)

struct proof {
	long pid;
	int signal_fd;
};

static void announce(void *arg, const struct prove_stop *stop)
{
	const struct proof *p = arg;
	char text[HUMAN_MAX];

	if (stop->in_vain_ns)
		msg_note("copying took longer than announced: the process was let go after %s, and "
			 "it is tried once more",
			 human_seconds((double)stop->in_vain_ns / 1e9, text));
	msg_note("process %ld will be stopped for about %s", p->pid,
		 human_seconds((double)stop->expected_ns / 1e9, text));
	if (stop->uses_cgo && !stop->in_vain_ns)
		msg_note("warning: it uses cgo: system calls made from C may return EINTR when "
			 "they are interrupted");
}

static bool cancelled(void *arg)
{
	const struct proof *p = arg;
	struct pollfd fd = { .fd = p->signal_fd, .events = POLLIN };

	return p->signal_fd >= 0 && poll(&fd, 1, 0) > 0;
}

/* Half of the memory that is free: the copy must never be what brings a host down. */
static uint64_t max_copy(void)
{
	long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t half = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : MAX_COPY;

	return half < MAX_COPY ? half : MAX_COPY;
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

int proof_run(struct session *s, const struct options *o, bool prove,
	      const struct deadlocks_window *locks, int signal_fd, struct prove_result *out,
	      struct err *err)
{
	struct proof p = { .pid = o->pid, .signal_fd = signal_fd };
	struct prove_config cfg = {
		.rt = &s->rt,
		.proc = &s->proc,
		.prove = prove,
		.passes = PASSES,
		.max_stop_ns = o->max_stop_ns,
		.max_copy_bytes = max_copy(),
		.announce = announce,
		.cancelled = cancelled,
		.arg = &p,
	};
	struct prove_held *held = held_of(locks, &cfg.nheld);
	int code;

	if (!held)
		return err_set(err, -ENOMEM, "no memory for the locks that are held");
	cfg.held = held;
	code = prove_run(&cfg, out, err);
	free(held);

	if (!code && prove && out->verdict == LEAKS_PASSES && out->why[0])
		msg_note("not proven: %s", out->why);
	return code;
}
