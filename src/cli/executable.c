/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/executable.h"

#include "gobin/gobin.h"
#include "proc/process.h"

int executable_open(const struct options *o, struct gobin **gb, struct err *err)
{
	struct process proc;
	int r;

	if (o->file)
		return gobin_open(gb, o->file, err);
	r = process_init(&proc, (pid_t)o->pid, err);
	if (r)
		return r;
	r = gobin_open_fd(gb, proc.exe_fd, err);
	process_deinit(&proc);
	return r;
}
