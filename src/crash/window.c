/* SPDX-License-Identifier: BSD-2-Clause */
#include "crash/window.h"

#include <stdlib.h>
#include <string.h>

const char *const crash_cause_word[CRASH_CAUSES] = {
	[CRASH_BY_PANIC] = "panic", [CRASH_BY_FATAL] = "fatal", [CRASH_BY_SIGNAL] = "signal",
	[CRASH_BY_OOM] = "oom",     [CRASH_BY_EXIT] = "exit",   [CRASH_BY_UNKNOWN] = "unknown",
};

const char *const shutdown_what_word[SHUTDOWN_WHATS] = {
	[SHUTDOWN_MAIN] = "main",
	[SHUTDOWN_STOPS] = "stops_server",
	[SHUTDOWN_HANDLES] = "handles_request",
	[SHUTDOWN_CONNECTION] = "connection",
	[SHUTDOWN_OTHER] = "other",
};

void crash_window_deinit(struct crash_window *c)
{
	stack_table_deinit(&c->stacks);
	free(c->panic);
	free(c->other);
	free(c->shutdown.row);
	free(c->recovered);
	memset(c, 0, sizeof(*c));
}
