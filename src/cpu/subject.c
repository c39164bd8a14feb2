/* SPDX-License-Identifier: BSD-2-Clause */
/* CPU time by stack: samples of the kernel's timers. */
#include "cpu/subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "cpu/fill.h"
#include "cpu/window.h"
#include "gobin/gobin.h"
#include "trace/sampler.h"

/* Counts of a slot at the window's start. */
struct before {
	uint64_t count;
	uint32_t stop[GS_CPU_STOPS];
};

struct cpu {
	struct before *before; /* owned */
	uint32_t slots;
	struct gs_cpu_counts start, end;
	struct cpu_waited base, now;
	struct cpu_queue queue;
	struct cpu_running running;
	bool cgo; /* it may be in C */
};

static void cpu_close(void *self)
{
	struct cpu *c = self;

	cpu_queue_deinit(&c->queue);
	free(c->before);
	free(c);
}

static int cpu_open(void **out, const struct look *l, char *why)
{
	static const char *const cgo[] = { "runtime.cgocall" };
	struct cpu *c;

	if (!l->sampler) {
		snprintf(why, WINDOW_MAX_WHY, "%s",
			 l->sampler_off ? l->sampler_off : "no samples are taken");
		return -EOPNOTSUPP;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	sampler_stacks(l->sampler, &c->slots);
	c->cgo = look_linked(l, cgo, ARRAY_SIZE(cgo));
	c->before = calloc(c->slots, sizeof(*c->before));
	if (!c->before) {
		free(c);
		return -ENOMEM;
	}
	*out = c;
	return 0;
}

/* A table that is half full is begun anew, between two windows. */
static void make_room(struct cpu *c, const volatile struct gs_cpu_stack *s, struct sampler *of)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < c->slots; i++)
		used += s[i].hash != 0;
	if (used < c->slots / 2)
		return;
	sampler_clear(of);
	memset(c->before, 0, c->slots * sizeof(*c->before));
}

/* Those that run, or are in a system call or in C: what is in C is known by its thread alone. */
static void know_threads(const struct look *l)
{
	int32_t procid = layout_off(l->rt->gb->layout, LAYOUT_M_PROCID);

	for (size_t i = 0; i < l->walk->n; i++) {
		const struct goroutine *g = &l->walk->g[i];
		uint64_t thread;

		if ((g->status == GO_RUNNING || g->status == GO_SYSCALL) && g->m &&
		    !mem_read_u64(l->rt->mem, g->m + (uint64_t)procid, &thread))
			sampler_know_thread(l->sampler, (uint32_t)thread, g->m);
	}
}

static int cpu_look(void *self, struct look *l)
{
	struct cpu *c = self;

	if (c->cgo)
		know_threads(l);
	return l->record ? cpu_queue_look(&c->queue, l->walk) : 0;
}

static void cpu_begin_window(void *self, const struct look *l, bool follows)
{
	struct cpu *c = self;
	const volatile struct gs_cpu_stack *s = sampler_stacks(l->sampler, &c->slots);

	if (follows)
		c->base = c->now;
	else
		cpu_waited_read(l, &c->base);
	if (!follows)
		c->running.n = 0; /* nobody has looked meanwhile */
	cpu_queue_clear(&c->queue);
	for (uint32_t i = 0; i < c->slots; i++) {
		c->before[i].count = s[i].count;
		for (int k = 0; k < GS_CPU_STOPS; k++)
			c->before[i].stop[k] = s[i].stop[k];
	}
	c->start = sampler_counts(l->sampler);
	make_room(c, s, l->sampler);
}

static struct cpu_met met_since(const volatile struct gs_cpu_stack *s, const struct before *b)
{
	struct cpu_met m = { .at = s, .count = s->count - b->count };

	for (int k = 0; k < GS_CPU_STOPS; k++)
		m.stop[k] = s->stop[k] - b->stop[k];
	return m;
}

static int cpu_fill(void *self, struct look *l, struct window *w)
{
	struct cpu *c = self;
	struct cpu_window *out = w->cpu;
	const volatile struct gs_cpu_stack *s = sampler_stacks(l->sampler, &c->slots);
	struct cpu_met *met = malloc((c->slots + 1) * sizeof(*met));
	size_t n = 0;
	int err = met ? 0 : -ENOMEM;

	c->end = sampler_counts(l->sampler);
	for (uint32_t i = 0; !err && i < c->slots; i++)
		if (s[i].ready && s[i].count > c->before[i].count)
			met[n++] = met_since(&s[i], &c->before[i]);
	out->profile = l->cpu_whole;
	out->hz = sampler_hz(l->sampler);
	out->period_ns = NS_PER_S / out->hz;
	if (!err)
		err = cpu_samples_fill(out, l, met, n);
	free(met);
	if (!err)
		err = cpu_rows_fill(out);
	if (!err)
		err = cpu_goroutines_fill(out, &c->queue, &c->running);
	if (!l->gone)
		cpu_waited_read(l, &c->now);
	cpu_waits_fill(&c->base, &c->now, out);
	out->samples = c->end.samples - c->start.samples;
	if (out->samples < out->placed)
		out->samples = out->placed;
	out->known = !err;
	return err;
}

static void cpu_cover(void *self, const struct look *l, struct window *w)
{
	const struct cpu *c = self;
	uint64_t full = c->end.no_room - c->start.no_room;
	uint64_t blind = c->end.no_user - c->start.no_user;

	window_cover_add(w, SENSOR_CPU, SAMPLED, "samples at %u Hz on each CPU",
			 sampler_hz(l->sampler));
	if (full)
		window_cover_add(w, SENSOR_CPU, PARTIAL, "%llu samples had no room in the table",
				 (unsigned long long)full);
	if (w->cpu->labels_unknown)
		window_cover_add(w, SENSOR_CPU, PARTIAL, "the labels of %llu samples are not known",
				 (unsigned long long)w->cpu->labels_unknown);
	if (blind)
		window_cover_add(w, SENSOR_CPU, PARTIAL,
				 "%llu samples were in the kernel, which does not say for whom",
				 (unsigned long long)blind);
}

static const struct detector *const detectors[] = { &endless_loop_detector, &cpu_hot_detector,
						    &cpu_starved_detector, NULL };

const struct subject cpu_subject = {
	.name = "cpu",
	.sensors = SENSOR_BIT(SENSOR_CPU),
	.needs = NEEDS_WALK,
	.open = cpu_open,
	.close = cpu_close,
	.look = cpu_look,
	.begin_window = cpu_begin_window,
	.fill = cpu_fill,
	.cover = cpu_cover,
	.detectors = detectors,
};
