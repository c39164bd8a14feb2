/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/machine.h"

#include "proc/usage.h"

#define GO_MAX_THREADS 10000 /* runtime: sched.maxmcount, unless debug.SetMaxThreads */

int machine_threads(const struct look *l)
{
	struct usage u;

	usage_read(l->proc, &u);
	return u.threads;
}

/* Stacks are of the goroutines that are alive; the runtime keeps some more for later. */
static void split(const struct look *l, struct process_window *p)
{
	const struct gototals *t = l->totals;
	uint64_t go = t->heap_in_use + t->heap_free;

	if (!t->has_mapped || l->gone)
		return;
	for (size_t i = 0; i < l->walk->n; i++)
		p->stacks_bytes += l->walk->g[i].stack_hi - l->walk->g[i].stack_lo;
	p->heap_in_use_bytes = t->heap_in_use;
	p->heap_idle_bytes = t->heap_free;
	go += p->stacks_bytes;
	p->runtime_bytes = t->mapped_ready > go ? t->mapped_ready - go : 0;
	p->other_bytes = p->rss_bytes > t->mapped_ready ? p->rss_bytes - t->mapped_ready : 0;
	p->split_known = true;
}

void machine_fill(const struct look *l, int threads_at_start, struct window *w)
{
	struct process_window *p = &w->process;
	struct usage u;
	int err = usage_read(l->proc, &u);

	if (!u.threads)
		return;
	p->known = true;
	p->threads = u.threads;
	p->threads_at_start = threads_at_start;
	p->threads_max = l->totals->max_threads ? (int)l->totals->max_threads : GO_MAX_THREADS;
	p->gomaxprocs = (int)l->totals->procs;
	p->cpus = usage_cpus(l->proc);
	if (err)
		return;
	p->rss_bytes = u.rss;
	p->file_bytes = u.file;
	p->shared_bytes = u.shared;
	split(l, p);
}
