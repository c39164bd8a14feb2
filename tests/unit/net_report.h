/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports of a window written by hand (net_window.h), and readers of what came out. */
#ifndef GOSPECT_TESTS_NET_REPORT_H
#define GOSPECT_TESTS_NET_REPORT_H

#include "has.h"
#include "net_window.h"
#include "report_out.h"

static inline void set_up(struct fixture *x, void (*fill)(struct window *w))
{
	memset(x, 0, sizeof(*x));
	fill(&x->r.window);
	x->r.findings = (struct findings){ 0 };
	buf_init(&x->out, OUTPUT_MAX);
}

/* Says where the two differ: they are longer than cmocka prints. */
static inline void same(const char *is, const char *want)
{
	size_t i = 0;

	while (is[i] && is[i] == want[i])
		i++;
	if (is[i] != want[i])
		fail_msg("at %zu: '%.200s', wanted '%.200s'", i, is + i, want + i);
}

#endif
