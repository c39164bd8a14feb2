/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/window.h"

#include <stdlib.h>
#include <string.h>

const char *const cpu_kind_word[CPU_KINDS] = {
	[CPU_GO] = "go",         [CPU_GC] = "gc",     [CPU_SCHEDULER] = "scheduler",
	[CPU_KERNEL] = "kernel", [CPU_FOREIGN] = "c",
};

void cpu_window_deinit(struct cpu_window *c)
{
	free(c->sample);
	free(c->function);
	free(c->site);
	free(c->labels);
	stack_table_deinit(&c->stacks);
	memset(c, 0, sizeof(*c));
}
