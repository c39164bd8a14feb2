/* SPDX-License-Identifier: BSD-2-Clause */
/* libbpf's own words: what fails is said by its error number. */
#ifndef GOSPECT_TRACE_QUIET_H
#define GOSPECT_TRACE_QUIET_H

#include <bpf/libbpf.h>
#include <stdarg.h>

/* For libbpf_set_print(). */
static inline int quiet_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level, (void)fmt, (void)ap;
	return 0;
}

#endif
