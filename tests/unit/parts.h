/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of a window that a test writes by hand: nothing in it is freed. */
#ifndef GOSPECT_TESTS_PARTS_H
#define GOSPECT_TESTS_PARTS_H

#include <string.h>

#include "observe/window.h"

struct parts_by_hand {
	struct goroutines_window goroutines;
	struct memory_window memory;
	struct net_window net;
	struct sql_window sql;
	struct locks_window locks;
	struct cpu_window cpu;
	struct crash_window crash;
	struct slices_window slices;
};

/* Empties both; w is not for window_deinit(). */
static inline void parts_use(struct parts_by_hand *p, struct window *w)
{
	memset(p, 0, sizeof(*p));
	*w = (struct window){
		.goroutines = &p->goroutines,
		.memory = &p->memory,
		.net = &p->net,
		.sql = &p->sql,
		.locks = &p->locks,
		.cpu = &p->cpu,
		.crash = &p->crash,
		.slices = &p->slices,
	};
}

#endif
