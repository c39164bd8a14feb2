/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slices in which the per-request probes were on: what was counted in them by row,
 * and what is known of them and of the pauses (trace/sample.h).
 *
 * A phase that ends while its slice is followed is counted in that slice.  What
 * comes after the window's end counts in the next one, as the end of one that
 * began in the window before it did in this.
 */
#include "trace/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proc/mem.h"
#include "proc/process.h"
#define IO_BYTES 512
/* The program has that much of its CPU time at least, whatever its probes cost. */
#define OWN_LEAST 0.05

static double field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtod(at + strlen(name), NULL) : 0;
}

/* What the probes of all groups have cost up to now, seconds. */
static double cost_s(struct trace *t)
{
	struct gs_counters c;
	double ns = 0;

	if (t->skel && !drain_counters(t, &c))
		trace_pay(t, &c);
	for (int i = 0; i < GROUP_COUNT; i++)
		ns += t->cost_ns[i];
	return ns / NS_PER_S;
}

/* What there is of everything up to now. */
static void read_all(struct trace *t, double c[SAMPLE_BYS])
{
	const struct slices *s = &t->slices;
	char text[IO_BYTES];
	ssize_t n = s->io_fd >= 0 ? pread(s->io_fd, text, sizeof(text) - 1, 0) : 0;
	uint64_t cpu_ns = 0, heap = 0;

	text[n > 0 ? n : 0] = '\0';
	c[SAMPLE_BY_WRITES] = field(text, "\nsyscw: ");
	c[SAMPLE_BY_BYTES] = field(text, "\nwchar: ");
	if (t->cfg.mem && t->cfg.allocated_at)
		mem_read_u64(t->cfg.mem, t->cfg.allocated_at, &heap);
	c[SAMPLE_BY_HEAP] = (double)heap;
	c[SAMPLE_COST] = cost_s(t);
	c[SAMPLE_BY_CPU] = process_clock_ns(t->cfg.pid, &cpu_ns) ? 0 : (double)cpu_ns / NS_PER_S;
	c[SAMPLE_BY_TIME] = (double)clock_mono_ns() / NS_PER_S;
}

static void since(double c[SAMPLE_BYS], const double now[SAMPLE_BYS], const double then[SAMPLE_BYS])
{
	double cpu;

	for (int k = 0; k < SAMPLE_BYS; k++)
		c[k] = now[k] > then[k] ? now[k] - then[k] : 0;
	/* costs are estimates */
	cpu = c[SAMPLE_BY_CPU];
	c[SAMPLE_BY_CPU] = fmax(cpu - c[SAMPLE_COST], OWN_LEAST * cpu);
}

static bool is_call_row(uint32_t row)
{
	return row < GS_PHASE_ROWS;
}

static uint64_t count_of(const struct trace *t, uint32_t row, int which)
{
	if (which == SLICE_ERRORS)
		return t->sums[row].errors;
	return is_call_row(row) ? t->sums[row].begun : t->sums[row].count;
}

/* The next row that may be in use: calls, then phases; 0: no more. */
static uint32_t next_row(const struct trace *t, uint32_t row)
{
	uint64_t calls = rows_end(t, GS_POOL_CALLS), phases = rows_end(t, GS_POOL_PHASES);

	row = row ? row + 1 : GS_CALL_ROWS;
	if (row >= calls && row < GS_PHASE_ROWS)
		row = GS_PHASE_ROWS;
	return row < t->sizes.sums && row < (is_call_row(row) ? calls : phases) ? row : 0;
}

static void take_row(struct trace *t, uint32_t row, const double c[SAMPLE_BYS])
{
	struct slice_row *r = &t->slices.row[row];

	for (int k = 0; k < SLICE_COUNTS; k++) {
		uint64_t count = count_of(t, row, k);

		if (count > r->count[k])
			sample_add_row(&r->now[k], (double)(count - r->count[k]), c);
		r->count[k] = count;
	}
}

/* A slice that is over: what was counted in it and, behind it, of it. */
static void take_slice(struct trace *t, const double c[SAMPLE_BYS], bool whole)
{
	struct slices *s = &t->slices;

	sample_add_slice(&s->w.now, c, whole);
	for (uint32_t i = next_row(t, 0); s->row && i; i = next_row(t, i))
		take_row(t, i, c);
}

static void take_ended(struct trace *t)
{
	struct slices *s = &t->slices;

	if (s->has_ended)
		take_slice(t, s->ended, !s->cut);
	s->has_ended = false;
}

/* What is read before and after the switch: the moment is between the two. */
uint64_t slices_set_active(struct trace *t, uint32_t bits, enum slices_turn turn)
{
	double before[SAMPLE_BYS], after[SAMPLE_BYS], at[SAMPLE_BYS];
	struct slices *s = &t->slices;

	if (turn == SLICES_BEGIN)
		take_ended(t);
	if (turn != SLICES_STAY)
		read_all(t, before);
	t->spec->active = bits;
	__sync_synchronize();
	if (turn != SLICES_STAY)
		read_all(t, after);
	for (int k = 0; turn != SLICES_STAY && k < SAMPLE_BYS; k++)
		at[k] = (before[k] + after[k]) / 2;
	if (turn == SLICES_BEGIN) {
		memcpy(s->begin, at, sizeof(at));
		s->cut = false;
	} else if (turn == SLICES_END) {
		since(s->ended, at, s->begin);
		s->has_ended = true;
	}
	return clock_mono_ns();
}

void slices_read(struct trace *t)
{
	struct slices *s = &t->slices;
	double now[SAMPLE_BYS], c[SAMPLE_BYS];

	take_ended(t);
	read_all(t, now);
	since(s->w.all, now, s->window);
	memcpy(s->window, now, sizeof(now));
	if (!(t->on & GROUP_BIT(GROUP_REQUESTS)))
		return;
	since(c, now, s->begin); /* cut here */
	memcpy(s->begin, now, sizeof(now));
	take_slice(t, c, false);
	s->cut = true;
}

struct trace_sample slices_of(const struct trace *t, uint32_t row)
{
	const struct slices *s = &t->slices;
	struct sample_estimate e[SLICE_COUNTS];

	if (!s->row || !row || row >= t->sizes.sums)
		return (struct trace_sample){ 0 };
	for (int k = 0; k < SLICE_COUNTS; k++)
		e[k] = sample_estimate(&s->w, &s->row[row].now[k], &s->row[row].before[k]);
	return (struct trace_sample){
		.total = e[SLICE_BEGUN].total,
		.margin = e[SLICE_BEGUN].margin,
		.share = e[SLICE_BEGUN].share,
		.errors = e[SLICE_ERRORS].total,
		.errors_margin = e[SLICE_ERRORS].margin,
	};
}

uint64_t trace_errors(const struct trace_sample *s, uint64_t counted)
{
	if (!s->sliced)
		return counted;
	return (uint64_t)((s->share > 0 ? (double)counted / s->share : s->errors) + 0.5);
}

double trace_errors_margin(const struct trace_sample *s, uint64_t errors)
{
	if (!s->sliced || (!errors && s->errors < 0.5))
		return 0;
	return s->errors_margin + fabs(s->errors - (double)errors);
}

/* The window begins with the reading that has just been made. */
void slices_next_window(struct trace *t)
{
	struct slices *s = &t->slices;
	double of_before, of_now;

	sample_kept(&s->w, &of_before, &of_now);
	for (uint32_t i = next_row(t, 0); s->row && i; i = next_row(t, i)) {
		struct slice_row *r = &s->row[i];

		for (int k = 0; k < SLICE_COUNTS; k++) {
			sample_keep_row(&r->before[k], &r->now[k], of_before, of_now);
			r->now[k] = (struct sample_row){ 0 };
		}
	}
	sample_keep_slices(&s->w, of_before, of_now);
}

void slices_forget(struct trace *t, uint32_t row)
{
	if (t->slices.row)
		t->slices.row[row] = (struct slice_row){ 0 };
}

int slices_init(struct trace *t)
{
	struct slices *s = &t->slices;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/io", (int)t->cfg.pid);
	s->io_fd = open(path, O_RDONLY | O_CLOEXEC); /* without: by the time */
	s->row = calloc(t->sizes.sums, sizeof(*s->row));
	if (!s->row)
		return -ENOMEM;
	read_all(t, s->window);
	return 0;
}

void slices_deinit(struct trace *t)
{
	if (t->slices.io_fd >= 0)
		close(t->slices.io_fd);
	free(t->slices.row);
}
