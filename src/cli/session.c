/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/watch.h"

#include <errno.h>
#include <string.h>

#include "cli/message.h"
#include "host/golib.h"

/* What is said of a release that gospect was not made for. */
static void note_newer(const struct session *s)
{
	if (!s->gb->layout_is_newer)
		return;
	if (goruntime_has(&s->rt, FACT_GOROUTINES) && goruntime_has(&s->rt, FACT_REASONS))
		msg_note("%s is newer than this gospect: the layout of its runtime was verified in "
			 "the process",
			 s->gb->build.version);
	else
		msg_note("%s is newer than this gospect, and %s", s->gb->build.version,
			 s->rt.why_off[goruntime_has(&s->rt, FACT_GOROUTINES) ? FACT_REASONS
									      : FACT_GOROUTINES]);
}

/* Not the executable, but a library of it may be Go. */
static void say_library(const struct process *p, struct err *err)
{
	struct buildinfo build;
	char path[512];

	if (golib_find(p->proc_fd, NULL, path, sizeof(path), &build))
		return;
	err_set(err, -ENOEXEC,
		"process %d is not a Go program; Go is in its shared library '%.300s': not "
		"supported yet",
		(int)p->pid, path);
	err_hint(err, "'gospect plan %.300s' shows what is in it", path);
}

int session_open(struct session *s, pid_t pid, struct err *err)
{
	int r;

	memset(s, 0, sizeof(*s));
	r = process_init(&s->proc, pid, err);
	if (r)
		return r;
	s->proc_open = true;
	r = gobin_open_fd(&s->gb, s->proc.exe_fd, err);
	if (r == -ENOEXEC)
		say_library(&s->proc, err);
	if (!r)
		r = process_bias(&s->proc, &s->gb->image, &s->bias, err);
	if (!r)
		r = mem_open_pid(&s->mem, pid, err);
	if (!r)
		r = goruntime_init(&s->rt, s->gb, s->mem, s->bias, s->proc.mono_offset_ns, err);
	if (r)
		return r;
	s->rt_open = true;
	/* All that was read was read of this process, if it is still this one. */
	r = process_check(&s->proc);
	if (r)
		return err_set(err, -ESRCH,
			       "process %d exited or called exec while it was being opened",
			       (int)pid);
	note_newer(s);
	return 0;
}

void session_close(struct session *s)
{
	if (s->rt_open)
		goruntime_deinit(&s->rt);
	mem_free(s->mem);
	gobin_free(s->gb);
	if (s->proc_open)
		process_deinit(&s->proc);
	memset(s, 0, sizeof(*s));
}

const char *session_gone(int check)
{
	return check == -ESTALE ? "the process called exec" : "the process ended";
}
