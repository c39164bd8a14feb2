/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/session.h"

#include <errno.h>
#include <string.h>

int session_open(struct session *s, pid_t pid, struct err *err)
{
	int r;

	memset(s, 0, sizeof(*s));
	r = process_init(&s->proc, pid, err);
	if (r)
		return r;
	s->proc_open = true;
	r = gobin_open_fd(&s->gb, s->proc.exe_fd, err);
	if (r)
		return r;
	r = process_bias(&s->proc, &s->gb->image, &s->bias, err);
	if (r)
		return r;
	r = mem_open_pid(&s->mem, pid, err);
	if (r)
		return r;
	r = goruntime_init(&s->rt, s->gb, s->mem, s->bias, s->proc.mono_offset_ns, err);
	if (r)
		return r;
	s->rt_open = true;
	/* All that was read was read of this process, if it is still this one. */
	r = process_check(&s->proc);
	if (r)
		return err_set(err, -ESRCH,
			       "process %d ended or started another program while it was opened",
			       (int)pid);
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
