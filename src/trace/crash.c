/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of how a process dies: what the programs need to write them, and where they are. */
#include "trace/priv.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gobin/gobin.h"
#include "gospect/crash.h"

static uint32_t off_of(const struct layout *l, enum layout_field f)
{
	int32_t off = layout_off(l, f);

	return off < 0 ? UINT32_MAX : (uint32_t)off;
}

/* The list of all goroutines: a variable of its own, or the slice. */
static uint64_t all_gs(const struct trace *t)
{
	const uint64_t *global = t->cfg.gb->global;
	uint64_t at = global[GLOBAL_ALLGPTR] ? global[GLOBAL_ALLGPTR] : global[GLOBAL_ALLGS];

	return at ? at + t->cfg.bias : 0;
}

static uint64_t how_many_gs(const struct trace *t)
{
	const uint64_t *global = t->cfg.gb->global;
	uint64_t at = global[GLOBAL_ALLGLEN] ? global[GLOBAL_ALLGLEN]
		      : global[GLOBAL_ALLGS] ? global[GLOBAL_ALLGS] + 8
					     : 0;

	return at ? at + t->cfg.bias : 0;
}

int crash_write_spec(struct trace *t)
{
	const struct layout *l = t->cfg.gb ? t->cfg.gb->layout : NULL;
	struct gs_crash_spec s;
	uint32_t zero = 0;

	if (!l || !trace_uses(t, SENSOR_BIT(SENSOR_CRASH)))
		return 0;
	s = (struct gs_crash_spec){
		.g_m = off_of(l, LAYOUT_G_M),
		.g_goid = off_of(l, LAYOUT_G_GOID),
		.g_gopc = off_of(l, LAYOUT_G_GOPC),
		.g_startpc = off_of(l, LAYOUT_G_STARTPC),
		.g_sched_pc = off_of(l, LAYOUT_G_SCHED_PC),
		.g_sched_sp = off_of(l, LAYOUT_G_SCHED_SP),
		.g_panic = off_of(l, LAYOUT_G_PANIC),
		.m_curg = off_of(l, LAYOUT_M_CURG),
		.panic_arg = off_of(l, LAYOUT_PANIC_ARG),
		.panic_link = off_of(l, LAYOUT_PANIC_LINK),
		.panic_recovered = off_of(l, LAYOUT_PANIC_RECOVERED),
		.panic_goexit = off_of(l, LAYOUT_PANIC_GOEXIT),
		.g_status = off_of(l, LAYOUT_G_ATOMICSTATUS),
		.g_reason = off_of(l, LAYOUT_G_WAITREASON),
		.allgs = all_gs(t),
		.allglen = how_many_gs(t),
	};
	return bpf_map_update_elem(trace_map_fd(t, TRACE_MAP_CRASH_SPEC), &zero, &s, 0) ? -errno
											: 0;
}

int drain_panics(struct trace *t, struct trace_reading *r)
{
	struct gs_panics *row = NULL;
	struct dump d;
	int e;

	if (!trace_probe(t, PROBE_PANIC_RECOVERED))
		return 0;
	e = dump_map(&d, trace_map_fd(t, TRACE_MAP_PANICS), sizeof(uint64_t), sizeof(*row));
	if (!e && d.n) {
		r->panic = calloc(d.n, sizeof(*r->panic));
		row = calloc(d.n, sizeof(*row));
		e = r->panic && row ? 0 : -ENOMEM;
	}
	if (r->panic)
		r->panic->row = row;
	else
		free(row);
	for (size_t i = 0; !e && i < d.n; i++) {
		memcpy(&row[r->npanic], d.values + i * sizeof(*row), sizeof(*row));
		if (!row[r->npanic].recovered || !row[r->npanic].ns)
			continue;
		r->panic[r->npanic].row = &row[r->npanic];
		r->panic[r->npanic].recovered = row[r->npanic].recovered;
		memcpy(&r->panic[r->npanic++].hash, d.keys + i * sizeof(uint64_t),
		       sizeof(uint64_t));
	}
	dump_deinit(&d);
	return e;
}

const volatile struct gs_crash *trace_crashes(const struct trace *t, uint32_t *n)
{
	*n = t->crashes ? t->sizes.crashes : 0;
	return t->crashes;
}
