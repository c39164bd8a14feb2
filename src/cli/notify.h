/* SPDX-License-Identifier: BSD-2-Clause */
/* What a service manager is told, as sd_notify(3) has it; nothing where there is none. */
#ifndef GOSPECT_CLI_NOTIFY_H
#define GOSPECT_CLI_NOTIFY_H

#include <stdint.h>

/* Before anything else is told, and before privileges go. */
void notify_begin(void);
/* "READY=1\nSTATUS=…" */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* How often it wants to hear from us; 0: it does not. */
uint64_t notify_watchdog_ns(void);

#endif
