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
#include "trace/sampler.h"

struct cpu {
	uint64_t *before; /* owned: counts of the slots at the window's start */
	uint32_t slots;
	struct gs_cpu_counts start, end;
};

static void cpu_close(void *self)
{
	struct cpu *c = self;

	free(c->before);
	free(c);
}

static int cpu_open(void **out, const struct look *l, char *why)
{
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

static void cpu_begin_window(void *self, const struct look *l, bool follows)
{
	struct cpu *c = self;
	const volatile struct gs_cpu_stack *s = sampler_stacks(l->sampler, &c->slots);

	(void)follows;
	for (uint32_t i = 0; i < c->slots; i++)
		c->before[i] = s[i].count;
	c->start = sampler_counts(l->sampler);
	make_room(c, s, l->sampler);
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
		if (s[i].ready && s[i].count > c->before[i])
			met[n++] = (struct cpu_met){ &s[i], s[i].count - c->before[i] };
	out->hz = sampler_hz(l->sampler);
	out->period_ns = NS_PER_S / out->hz;
	if (!err)
		err = cpu_samples_fill(out, l, met, n);
	free(met);
	if (!err)
		err = cpu_rows_fill(out);
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
	if (blind)
		window_cover_add(w, SENSOR_CPU, PARTIAL,
				 "%llu samples were in the kernel, which does not say for whom",
				 (unsigned long long)blind);
}

static const struct detector *const detectors[] = { NULL };

const struct subject cpu_subject = {
	.name = "cpu",
	.sensors = SENSOR_BIT(SENSOR_CPU),
	.needs = NEEDS_TOTALS,
	.open = cpu_open,
	.close = cpu_close,
	.begin_window = cpu_begin_window,
	.fill = cpu_fill,
	.cover = cpu_cover,
	.detectors = detectors,
};
