/* SPDX-License-Identifier: BSD-2-Clause */
/* The window of a snapshot, written by hand: what tests of reports look at. */
#ifndef GOSPECT_TESTS_SNAPSHOT_WINDOW_H
#define GOSPECT_TESTS_SNAPSHOT_WINDOW_H

#include <string.h>

#include "base/buf.h"
#include "has.h"
#include "observe/detect.h"
#include "observe/window.h"
#include "parts.h"
#include "report/report.h"

static char hostile[] = "main.<b onclick='x'>&\"\x1b[31m\xe2\x80\xae</script>";

static struct place lines[] = {
	{ .function = "runtime.gopark",
	  .file = "proc.go",
	  .path = "/go/src/runtime/proc.go",
	  .line = 462 },
	{ .function = "main.inner", .file = "work.go", .path = "/src/work.go", .line = 57 },
	{ .function = "main.worker", .file = "work.go", .path = "/src/work.go", .line = 30 },
	{ .function = "time.Sleep",
	  .file = "time.go",
	  .path = "/go/src/time/time.go",
	  .line = 363 },
	{ .function = hostile, .file = "<x>.go", .path = "/src/<x>.go", .line = 7 },
	{ .function = "main.keep", .file = "keep.go", .path = "/src/keep.go", .line = 50 },
	{ .function = "main.main", .file = "main.go", .path = "/src/main.go", .line = 5 },
};
/* main.inner is inlined into main.worker: one location */
static struct stack_location locations[] = {
	{ 0x401000, 0, 1 }, { 0x402000, 1, 2 }, { 0x403000, 3, 1 },
	{ 0x404000, 4, 1 }, { 0x405000, 5, 1 }, { 0x406000, 6, 1 },
};
static uint32_t at[] = { 0, 1, /**/ 0, 2, 3, /**/ 4, 5 };
static struct stack_entry stacks[] = { { 0, 2, true }, { 2, 3, true }, { 5, 2, true } };
static struct dump_label labels[] = { { "user", "alice" } };
static struct dump_label_set sets[] = { { 0, 0 }, { 0, 1 } };

#define TABLE(n)                                                                            \
	{                                                                                   \
		.location = locations, .nlocation = 6, .line = lines, .nline = 7, .at = at, \
		.nat = 7, .stack = stacks, .nstack = n                                      \
	}

struct fixture {
	struct parts_by_hand parts;
	struct report r;
	struct goroutine_dump d;
	struct dump_group group[3];
	struct dump_goroutine all[1];
	struct heap_sample sample[1];
	struct heap_row heap[1];
	struct trend_row trend[1];
	struct leak_row leak[2];
	struct site_row site[1];
	struct deadlock_member member[2];
	struct buf out;
};

static void fill_dump(struct fixture *f)
{
	f->group[0] = (struct dump_group){ .reason = "chan receive",
					   .state = "waiting",
					   .count = 1204,
					   .oldest_s = 10681,
					   .age = AGE_AT_LEAST,
					   .stack = 0,
					   .labels = 1,
					   .created = lines[6],
					   .id = { 17, 18 },
					   .nid = 2 };
	f->group[1] = (struct dump_group){ .reason = "sleep",
					   .state = "waiting",
					   .count = 31,
					   .stack = 1,
					   .id = { 5 },
					   .nid = 1 };
	f->group[2] = (struct dump_group){
		.reason = "running", .state = "running", .count = 1, .stack = STACK_NONE
	};
	f->all[0] = (struct dump_goroutine){ .goid = 17,
					     .creator = 1,
					     .reason = "chan receive",
					     .state = "waiting",
					     .age_s = 62,
					     .age = AGE_EXACT,
					     .stack = 0,
					     .labels = 1,
					     .created = lines[6],
					     .start = "main.worker",
					     .locked = true };
	f->d = (struct goroutine_dump){ .stacks = TABLE(3),
					.label = labels,
					.nlabel = 1,
					.label_set = sets,
					.nlabel_set = 2,
					.group = f->group,
					.ngroup = 3,
					.goroutines = 1236 };
	f->r.window.goroutines->dump = &f->d;
}

static void fill_heap(struct fixture *f)
{
	f->sample[0] = (struct heap_sample){ .stack = 2,
					     .object_bytes = 4096,
					     .in_use_bytes = 20 << 20,
					     .in_use_count = 5120,
					     .alloc_bytes = 20 << 20,
					     .alloc_count = 5120,
					     .grown_bytes = 8 << 20 };
	f->heap[0] = (struct heap_row){ .place = lines[5],
					.in_use_bytes = 20 << 20,
					.in_use_count = 5120,
					.alloc_bytes = 20 << 20,
					.alloc_count = 5120,
					.grown_bytes = 8 << 20,
					.stack = 2 };
	f->r.window.memory->heap = (struct heap_window){ .known = true,
							 .rate = 524288,
							 .in_use_bytes = 20 << 20,
							 .in_use_count = 5120,
							 .alloc_bytes = 20 << 20,
							 .alloc_count = 5120,
							 .grown_bytes = 8 << 20,
							 .row = f->heap,
							 .nrow = 1,
							 .sample = f->sample,
							 .nsample = 1,
							 .stacks = TABLE(3) };
}

/* Four collections, 5 s from the first to the last: 8 MiB more. */
static void fill_trend(struct fixture *f)
{
	struct trend_window *t = &f->r.window.memory->trend;

	f->trend[0] = (struct trend_row){ .place = lines[5] };
	*t = (struct trend_window){
		.known = true, .rate = 524288, .n = 4, .row = f->trend, .nrow = 1
	};
	for (int i = 0; i < 4; i++) {
		t->t_s[i] = 5.0 / 3 * i;
		t->live[i] = -1;
		t->total[i] = 12.0 * 1048576 + 8.0 * 1048576 / 3 * i;
		f->trend[0].in_use[i] = f->trend[0].allocated[i] = (float)t->total[i];
	}
}

static void fill_leaks(struct fixture *f, enum leaks_verdict verdict)
{
	f->leak[0] = (struct leak_row){ .place = lines[6],
					.start = "main.worker",
					.reason = "chan receive",
					.count = 1204,
					.count_before = 1204,
					.oldest_s = 10681,
					.age = AGE_AT_LEAST,
					.stack = 0,
					.at = lines[1],
					.id = { 17 },
					.nid = 1 };
	f->leak[1] = (struct leak_row){
		.place = { .function = "runtime.main", .file = "proc.go", .line = 149 },
		.reason = "select (no cases)",
		.count = 1,
		.by_design = true,
		.id = { 1 },
		.nid = 1,
		.stack = STACK_NONE
	};
	f->r.window.goroutines->leaks =
		(struct leaks_window){ .asked = true,
				       .verdict = verdict,
				       .passes = 6,
				       .candidates = 1240,
				       .stop_ms = verdict == LEAKS_VERDICT_PROVEN ? 3.2 : -1,
				       .before_known = true,
				       .row = f->leak,
				       .nrow = 2,
				       .stacks = TABLE(3) };
}

static void set_up(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	parts_use(&f->parts, &f->r.window);
	f->r.window.end_real_ns = 1795341605000000000ull;
	f->r.window.window_s = 5;
	f->r.window.observed_s = 5;
	f->r.window.pid = 4242;
	f->r.window.exe = "/srv/shop";
	f->r.window.go = "go1.26.8";
	f->r.window.arch = "amd64";
	f->r.window.memory_only = "--window 0: read from memory once";
	f->r.window.goroutines->known = true;
	f->r.window.goroutines->live = f->r.window.goroutines->live_at_start = 1236;
	f->r.window.coverage[f->r.window.ncoverage++] =
		(struct coverage){ .sensor = SENSOR_GOROUTINES };
	f->site[0] = (struct site_row){ .place = lines[6], .start = "main.worker", .live = 1204 };
	f->r.window.goroutines->site = f->site;
	f->r.window.goroutines->nsite = 1;
	fill_dump(f);
	fill_heap(f);
	fill_trend(f);
	f->r.findings = (struct findings){ 0 };
	buf_init(&f->out, 16u << 20);
}

static void tear_down(struct fixture *f)
{
	findings_deinit(&f->r.findings);
	buf_deinit(&f->out);
}

#endif
