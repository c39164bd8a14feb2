/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this kernel can do, by trying it: features are backported and broken
 * without regard to version numbers.
 */
#include "trace/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "base/thread.h"
#include "host/privileges.h"
#include "trace/attach.h"
#include "trace/keeper.h"
#include "trace/lab.h"

/* One experiment answers both questions; the machine does not change. */
static struct {
	bool done, running;
	pthread_t thread;
	struct trace_features features;
	struct cost_table cost;
} known;

static bool is_permission(int err)
{
	return err == -EPERM || err == -EACCES;
}

static void explain(struct trace_features *f, const char *what, const struct lab_result *r)
{
	if (is_permission(r->attach_err))
		snprintf(f->why, sizeof(f->why), "%s: not permitted", what);
	else if (r->attach_err)
		snprintf(f->why, sizeof(f->why), "%s: %s", what, strerror(-r->attach_err));
	else
		snprintf(f->why, sizeof(f->why),
			 "%s: the filter by process misses threads (%llu of %llu calls seen)", what,
			 (unsigned long long)r->hits, (unsigned long long)r->calls);
}

static bool works(const struct lab_result *r)
{
	return !r->attach_err && r->hits >= r->calls;
}

static int try_perf(struct trace_features *f, struct cost_table *ct, const struct lab_result *multi,
		    struct err *err)
{
	struct lab_result r;
	int e = lab_run(&r, LAB_EVENTS, err);

	f->events = !e && keeper_uses_events() && works(&r);
	if (!e && keeper_uses_events() && !f->events)
		e = lab_run(&r, LAB_PERF, err);
	if (e)
		return e;
	f->perf_uprobe = works(&r);
	if (f->perf_uprobe) {
		explain(f, "uprobe_multi", multi);
		f->method = TRACE_METHOD_PERF;
		*ct = r.cost;
	} else if (is_permission(r.attach_err) || is_permission(multi->attach_err)) {
		f->denied = true;
		f->wants_admin = !is_permission(multi->attach_err) &&
				 privileges_had(PRIVILEGE_PERFMON) &&
				 !privileges_had(PRIVILEGE_ADMIN);
		snprintf(f->why, sizeof(f->why), "this process may not attach probes%s",
			 f->wants_admin ? " by perf events, and uprobe_multi does not work here"
					: "");
	} else {
		explain(f, "perf-event uprobes", &r);
	}
	return 0;
}

/* GOSPECT_METHOD=perf: as on a kernel without uprobe_multi. */
static bool multi_wanted(void)
{
	const char *method = getenv("GOSPECT_METHOD");

	return !method || strcmp(method, "perf");
}

static int experiment(struct trace_features *f, struct cost_table *ct, struct err *err)
{
	struct lab_result r = { .attach_err = -EOPNOTSUPP };
	int e;

	memset(f, 0, sizeof(*f));
	for (int i = 0; i < INSN_CLASS_COUNT; i++)
		r.cost.ns[i] = -1;
	e = multi_wanted() ? lab_run(&r, LAB_MULTI, err) : 0;
	if (e)
		return e;
	*ct = r.cost;
	f->cookies = lab_has_cookies();
	f->multi_links = !r.attach_err;
	f->multi_pid_ok = works(&r);
	if (!f->multi_pid_ok)
		return try_perf(f, ct, &r, err);
	f->method = TRACE_METHOD_MULTI;
	f->perf_uprobe = attach_perf_type() >= 0;
	return 0;
}

/* An error is found again, and said, by who asks. */
static void *experiment_thread(void *arg)
{
	struct err err = { 0 };

	(void)arg;
	known.done = !experiment(&known.features, &known.cost, &err);
	return NULL;
}

void trace_features_begin(void)
{
	if (!known.done && !known.running)
		known.running = !thread_start(&known.thread, experiment_thread, NULL);
}

void trace_features_end(void)
{
	if (known.running)
		pthread_join(known.thread, NULL);
	known.running = false;
}

static int known_once(struct err *err)
{
	int e;

	trace_features_end();
	if (known.done)
		return 0;
	e = experiment(&known.features, &known.cost, err);
	known.done = !e;
	return e;
}

int trace_features_probe(struct trace_features *f, struct err *err)
{
	int e = known_once(err);

	if (e)
		memset(f, 0, sizeof(*f));
	else
		*f = known.features;
	return e;
}

const char *trace_features_hint(const struct trace_features *f)
{
	return f->wants_admin
		       ? "run as root, or with CAP_SYS_ADMIN too, which this kernel wants for "
			 "uprobes by perf events"
		       : "run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE";
}

int trace_measure_costs(struct cost_table *ct, struct err *err)
{
	int e = known_once(err), i;

	for (i = 0; i < INSN_CLASS_COUNT; i++)
		ct->ns[i] = -1;
	if (!e)
		*ct = known.cost;
	return e;
}

const char *trace_library(void)
{
	static char name[40];

	snprintf(name, sizeof(name), "libbpf %s", libbpf_version_string());
	return name;
}
