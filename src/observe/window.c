/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One piece of memory: a window has all of its parts or none. */
struct parts {
	struct goroutines_window goroutines;
	struct memory_window memory;
	struct net_window net;
	struct sql_window sql;
	struct locks_window locks;
	struct cpu_window cpu;
	struct crash_window crash;
	struct slices_window slices;
};

int window_init(struct window *w)
{
	struct parts *p = calloc(1, sizeof(*p));

	memset(w, 0, sizeof(*w));
	if (!p)
		return -ENOMEM;
	w->goroutines = &p->goroutines;
	w->memory = &p->memory;
	w->net = &p->net;
	w->sql = &p->sql;
	w->locks = &p->locks;
	w->cpu = &p->cpu;
	w->crash = &p->crash;
	w->slices = &p->slices;
	return 0;
}

void window_deinit(struct window *w)
{
	if (!w->goroutines)
		return;
	goroutines_window_deinit(w->goroutines);
	memory_window_deinit(w->memory);
	net_window_deinit(w->net);
	sql_window_deinit(w->sql);
	locks_window_deinit(w->locks);
	cpu_window_deinit(w->cpu);
	crash_window_deinit(w->crash);
	slices_window_deinit(w->slices);
	free(w->probe);
	free(w->goroutines); /* the first of the parts: all of them */
	memset(w, 0, sizeof(*w));
}
