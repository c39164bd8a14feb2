/* SPDX-License-Identifier: BSD-2-Clause */
/* All probes on a live Go program, exact.  Include it behind cmocka.h. */
#ifndef GO_ARM_H
#define GO_ARM_H

#include "gobin/gobin.h"
#include "gobin/layout.h"
#include "proc/mem.h"
#include "proc/process.h"
#include "trace/trace.h"

/* Armed: the caller's, as its plan is. */
static inline struct trace *go_arm(const struct process *proc, struct gobin *gb,
				   struct memreader *mem, struct plan *plan)
{
	struct trace_config cfg = {
		.pid = proc->pid,
		.exe_fd = proc->exe_fd,
		.plan = plan,
		.mem = mem,
		.gb = gb,
		.budget_pct = 1,
		.budget_floor_ns = 2000000,
		.exact = true,
	};
	struct err err = { 0 };
	struct trace *t;

	cfg.g_goid = layout_off(gb->layout, LAYOUT_G_GOID);
	cfg.g_gopc = layout_off(gb->layout, LAYOUT_G_GOPC);
	cfg.g_startpc = layout_off(gb->layout, LAYOUT_G_STARTPC);
	assert_int_equal(process_bias(proc, &gb->image, &cfg.bias, NULL), 0);
	assert_int_equal(plan_make(plan, gb, SENSOR_ALL, NULL), 0);
	if (trace_prepare(&t, &cfg, &err) || trace_load(t, &err) || trace_attach(t, &err))
		fail_msg("%s", err.what);
	return t;
}

#endif
