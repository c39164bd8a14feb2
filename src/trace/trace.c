/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a trace: prepare, load, attach, tick, close. */
#include "trace/priv.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* How long detaching a group takes (measured): links close side by side, perf
 * events one after the other, whoever closes them (the kernel's event_mutex). */
#define DETACH_MULTI_NS (50 * NS_PER_MS)
#define DETACH_PERF_NS  (100 * NS_PER_MS) /* each */
/* Between two looks at the statistics. */
#define STATS_TICK_NS  (60 * NS_PER_MS)
#define FOLLOW_TICK_NS (20 * NS_PER_MS)
/* To the end of a detach: with perf events it takes seconds, and nothing is counted
 * any more. */
#define DISARM_WAIT_MS      5000
#define DISARM_WAIT_PERF_MS 500
/* After all was disarmed: the shortest slice. */
#define REARMED_TICK_NS (200 * NS_PER_MS)

struct probe *trace_probe(struct trace *t, enum probe_id id)
{
	for (int i = 0; i < t->plan.n; i++)
		if (t->plan.probe[i].id == id)
			return t->plan.probe[i].kind == SITE_NONE ? NULL : &t->plan.probe[i];
	return NULL;
}

void trace_refuse(struct probe *p, const char *why)
{
	p->kind = SITE_NONE;
	p->nsite = 0;
	snprintf(p->why, sizeof(p->why), "%s", why);
}

static const enum trace_prog prog_of[PROBE_COUNT] = {
#define PROBE(id, name, sensor, group, program, ...) [PROBE_##id] = PROG_##program,
#include "gospect/probes.def"
};

static const enum probe_group group_of[PROBE_COUNT] = {
#define PROBE(id, name, sensor, group, ...) [PROBE_##id] = GROUP_##group,
#include "gospect/probes.def"
};

enum trace_prog trace_prog_of(enum probe_id id)
{
	return prog_of[id];
}

bool trace_serves_several(enum trace_prog prog)
{
	int n = 0;

	for (int i = 0; i < PROBE_COUNT; i++)
		n += prog_of[i] == prog;
	return n > 1;
}

uint64_t trace_prog_hits(const struct gs_counters *c, enum trace_prog prog)
{
	uint64_t n = 0;

	for (int i = 0; i < PROBE_COUNT; i++)
		if (prog_of[i] == prog)
			n += c->hits[i];
	return n;
}

bool trace_uses(struct trace *t, uint32_t sensors)
{
	for (int i = 0; i < t->plan.n; i++)
		if ((SENSOR_BIT(t->plan.probe[i].sensor) & sensors) &&
		    t->plan.probe[i].kind != SITE_NONE)
			return true;
	return false;
}

const struct plan *trace_plan(const struct trace *t)
{
	return &t->plan;
}

static int no_method(const struct trace *t, struct err *err)
{
	if (t->features.denied) {
		err_set(err, -EPERM, "%s", t->features.why);
		err_hint(err, "%s", trace_features_hint(&t->features));
		return -EPERM;
	}
	err_set(err, -EOPNOTSUPP, "no probes on this machine: %s", t->features.why);
	err_hint(err, "`gospect doctor` shows what is missing");
	return -EOPNOTSUPP;
}

static void arm_init(struct trace *t)
{
	for (int i = 0; i < PROG_COUNT; i++) {
		t->arm[i].armed = -1;
		t->arm[i].prog_fd = -1;
		t->arm[i].prog_ns = -1;
	}
	for (int i = 0; i < PROBE_COUNT; i++)
		t->arm[prog_of[i]].group = group_of[i];
}

/* The programs read startpc at its distance from gopc in every release known. */
static void check_layout(struct trace *t)
{
	const struct trace_config *c = &t->cfg;
	bool known = c->g_goid >= 0 && c->g_gopc >= 0 &&
		     c->g_startpc - c->g_gopc == GS_STARTPC_AFTER_GOPC;

	for (int i = 0; i < t->plan.n; i++) {
		struct probe *p = &t->plan.probe[i];

		if (p->kind == SITE_NONE)
			continue;
		if (!known && (p->group == GROUP_BIRTHS || p->group == GROUP_ENDS ||
			       trace_serves_several(trace_prog_of(p->id))))
			trace_refuse(p, "the layout of the runtime's g is not known");
		else if (p->id == PROBE_GO_END && !t->features.cookies)
			trace_refuse(p, "this kernel is too old for its sums (Linux 5.15)");
		else if (p->id == PROBE_GO_END && !trace_probe(t, PROBE_GO_BIRTH))
			trace_refuse(p, "births of goroutines are not seen");
		else if (!t->features.cookies && trace_serves_several(trace_prog_of(p->id)))
			trace_refuse(p, "this kernel has no attach cookies (Linux 5.15)");
	}
	spec_check(t);
}

int trace_prepare(struct trace **out, const struct trace_config *cfg, struct err *err)
{
	struct trace *t = calloc(1, sizeof(*t));
	int e;

	*out = NULL;
	if (!t)
		return err_set(err, -ENOMEM, "no memory for the trace");
	t->cfg = *cfg;
	t->plan = *cfg->plan;
	t->stats_fd = t->slices.io_fd = -1;
	t->stats_rate = -1;
	t->births_per_s = t->cpu_ns_per_s = -1;
	arm_init(t);
	t->lapses = keeper_lapses();
	e = trace_features_probe(&t->features, err);
	if (!e && t->features.method == TRACE_METHOD_NONE)
		e = no_method(t, err);
	if (!e) {
		check_layout(t);
		if (cfg->mem)
			verify_text(t);
		t->ncpu = libbpf_num_possible_cpus();
		t->percpu = t->ncpu > 0 ? calloc((size_t)t->ncpu, sizeof(*t->percpu)) : NULL;
		if (!t->percpu)
			e = err_set(err, -ENOMEM, "no memory for the counters of %d CPUs", t->ncpu);
	}
	if (!e)
		e = load_open(t, err);
	if (e)
		trace_close(t);
	else
		*out = t;
	return e;
}

int trace_load(struct trace *t, struct err *err)
{
	int e = load_object(t, err);

	if (!e)
		spec_write(t);
	if (!e && slices_init(t))
		e = err_set(err, -ENOMEM, "no memory for what is counted in slices");
	return e;
}

void trace_predict(struct trace *t, double births_per_s, double cpu_ns_per_s,
		   uint64_t target_cpu_ns, uint64_t created_total)
{
	t->births_per_s = births_per_s;
	t->cpu_ns_per_s = cpu_ns_per_s;
	t->first_cpu_ns = target_cpu_ns;
	t->first_created = created_total;
}

/* The places of all probes of a program: how many, or -E2BIG. */
static int collect_sites(struct trace *t, enum trace_prog prog)
{
	struct arm *a = &t->arm[prog];
	int n = 0;

	for (int i = 0; i < PROBE_COUNT; i++) {
		const struct probe *p =
			prog_of[i] == prog ? trace_probe(t, (enum probe_id)i) : NULL;

		for (int k = 0; p && k < p->nsite; k++) {
			if (n == ATTACH_MAX_SITES)
				return -E2BIG;
			a->offset[n] = p->site[k].file_off;
			a->cookie[n++] =
				trace_serves_several(prog)
					? GS_COOKIE(0, i, spec_argument(t, p->id, &p->site[k]))
					: 0;
		}
	}
	return n;
}

static void refuse_program(struct trace *t, enum trace_prog prog, int err)
{
	char why[160];

	snprintf(why, sizeof(why), "the kernel refused the probe: %s", strerror(-err));
	for (int i = 0; i < PROBE_COUNT; i++) {
		struct probe *p = prog_of[i] == prog ? trace_probe(t, (enum probe_id)i) : NULL;

		if (p)
			trace_refuse(p, why);
	}
}

/* Attaches the programs of some groups at once.  Returns how many are attached;
 * *first the first failure. */
static int attach_groups(struct trace *t, unsigned int groups, int *first)
{
	struct keeper_job jobs[PROG_COUNT];
	enum trace_prog prog[PROG_COUNT];
	int n = 0, ok = 0, sites;

	*first = 0;
	for (int i = 0; i < PROG_COUNT; i++) {
		struct arm *a = &t->arm[i];

		if (!(groups & GROUP_BIT(a->group)) || a->armed >= 0)
			continue;
		sites = collect_sites(t, (enum trace_prog)i);
		if (!sites)
			continue;
		jobs[n] = (struct keeper_job){
			.multi = t->features.method == TRACE_METHOD_MULTI,
			.cookies = t->features.cookies,
			.events = t->features.events,
			.point = { .prog_fd = a->prog_fd,
				   .exe_fd = t->cfg.exe_fd,
				   .pid = t->cfg.pid,
				   .offsets = a->offset,
				   .cookies = a->cookie,
				   .n = sites < 0 ? 0 : (uint32_t)sites },
		};
		prog[n++] = (enum trace_prog)i;
	}
	keeper_arm(jobs, n);
	for (int i = 0; i < n; i++) {
		if (jobs[i].result >= 0) {
			t->arm[prog[i]].armed = jobs[i].result;
			ok++;
			continue;
		}
		if (!*first)
			*first = jobs[i].result;
		if (t->attached_ns && jobs[i].result == -ESRCH)
			continue; /* it ended between two slices */
		refuse_program(t, prog[i], jobs[i].result);
	}
	return ok;
}

/* Goes on in the background: see keeper_wait(). */
static void detach_groups(struct trace *t, unsigned int groups)
{
	int off[PROG_COUNT], n = 0;

	for (int i = 0; i < PROG_COUNT; i++) {
		struct arm *a = &t->arm[i];

		if (!(groups & GROUP_BIT(a->group)) || a->armed < 0)
			continue;
		off[n++] = a->armed;
		a->armed = -1;
	}
	keeper_disarm(off, n);
}

static uint32_t active_bits(unsigned int groups)
{
	return groups | (groups & GROUP_BIT(GROUP_REQUESTS) ? GS_ACTIVE_NEW : 0);
}

/* Pairs that were cut in two by a pause must not meet over it. */
static void forget_begins(struct trace *t, unsigned int on)
{
	if (on & GROUP_BIT(GROUP_REQUESTS))
		t->spec->since_requests_ns = clock_mono_ns();
	if (!(on & GROUP_BIT(GROUP_RARE)))
		return;
	t->spec->since_rare_ns = clock_mono_ns();
	t->gc->cycle_begin_ns = 0;
	t->gc->cycle_stopped = 0;
	t->gc->stw_begin_ns = 0;
}

uint64_t trace_on_ns(const struct trace *t, enum probe_group g, uint64_t now)
{
	return t->on_ns[g] +
	       (t->on & GROUP_BIT(g) && now > t->on_since_ns[g] ? now - t->on_since_ns[g] : 0);
}

/* Follows no longer: what is still under way is cut off. */
static void follow_end(struct trace *t)
{
	t->follow_until_ns = 0;
	t->spec->active &= ~(GROUP_BIT(GROUP_REQUESTS) | GS_ACTIVE_NEW);
	detach_groups(t, GROUP_BIT(GROUP_REQUESTS));
}

/*
 * A slice ends: requests that began in it are followed to their answer, or
 * only short ones would ever be seen.  That costs as the slice did, so not for
 * longer than a few seconds' income pays for.
 */
static bool follow_begin(struct trace *t, uint64_t now)
{
	uint64_t ns = governor_follow_ns(&t->gov);

	if (!ns || !t->attached_ns)
		return false;
	t->follow_until_ns = now + ns;
	return true;
}

static void follow_step(struct trace *t, const struct gs_counters *c, uint64_t now)
{
	uint64_t open = c->requests_begun - c->requests_answered;

	if (t->follow_until_ns && (open <= t->begun_base || now >= t->follow_until_ns))
		follow_end(t);
	if (!t->follow_until_ns && !(t->on & GROUP_BIT(GROUP_REQUESTS)))
		t->begun_base = open; /* cut off before: they will have no answer */
}

/* Switches groups on and off: attached first, counting then; the reverse. */
static int switch_groups(struct trace *t, unsigned int want)
{
	unsigned int on = want & ~t->on, off = t->on & ~want;
	int first = 0;
	uint64_t now;

	if (on & GROUP_BIT(GROUP_REQUESTS) && t->follow_until_ns)
		follow_end(t);
	if (on) {
		if (t->attached_ns) /* else it is another process's: the calibration's */
			keeper_wait(-1);
		attach_groups(t, on, &first);
		forget_begins(t, on);
	}
	now = slices_set_active(t, active_bits(want),
				on & GROUP_BIT(GROUP_REQUESTS)    ? SLICES_BEGIN
				: off & GROUP_BIT(GROUP_REQUESTS) ? SLICES_END
								  : SLICES_STAY);
	for (int i = 0; i < GROUP_COUNT; i++) {
		if (on & GROUP_BIT(i))
			t->on_since_ns[i] = now;
		if (!(off & GROUP_BIT(i)))
			continue;
		t->on_ns[i] += now - t->on_since_ns[i];
		t->was_off[i] = true;
	}
	t->on = want;
	if (off & GROUP_BIT(GROUP_REQUESTS) && follow_begin(t, now)) {
		t->spec->active |= GROUP_BIT(GROUP_REQUESTS);
		off &= ~GROUP_BIT(GROUP_REQUESTS);
	} else if (t->follow_until_ns) {
		t->spec->active |= GROUP_BIT(GROUP_REQUESTS);
	}
	if (off)
		detach_groups(t, off);
	return first;
}

static void governor_in(struct trace *t, const struct gs_counters *c, uint64_t now, uint64_t cpu,
			uint64_t created, struct governor_input *in)
{
	*in = (struct governor_input){ now, cpu, .created = created, .samples_ns = t->samples_ns };
	for (int i = 0; i < PROG_COUNT; i++)
		in->hits[t->arm[i].group] += trace_prog_hits(c, (enum trace_prog)i) /
					     trace_event_hits((enum trace_prog)i);
	for (int i = 0; i < GROUP_COUNT; i++) {
		in->cost_ns[i] = (uint64_t)t->cost_ns[i];
		in->on_ns[i] = trace_on_ns(t, (enum probe_group)i, now);
	}
}

static uint64_t detach_ns(const struct trace *t, enum probe_group g)
{
	uint64_t n = 0;

	if (t->features.method == TRACE_METHOD_MULTI || keeper_uses_events())
		return DETACH_MULTI_NS;
	for (int i = 0; i < t->plan.n; i++)
		if (group_of[t->plan.probe[i].id] == g)
			n += (uint64_t)t->plan.probe[i].nsite;
	return n * DETACH_PERF_NS;
}

static unsigned int governor_begin(struct trace *t, uint64_t now)
{
	const struct trace_config *c = &t->cfg;
	struct governor_config gc = {
		.budget_pct = c->budget_pct,
		.floor_ns = c->budget_floor_ns,
		.exact = c->exact,
		.births_per_s = t->births_per_s,
		.cpu_ns_per_s = t->cpu_ns_per_s,
	};
	struct governor_input in = { .now_ns = now,
				     .cpu_ns = t->first_cpu_ns,
				     .created = t->first_created };

	for (int i = 0; i < GROUP_COUNT; i++) {
		gc.detach_ns[i] = detach_ns(t, (enum probe_group)i);
		gc.cost_per_hit_ns[i] = trace_first_cost(t, (enum probe_group)i);
	}
	return governor_init(&t->gov, &gc, &in);
}

static int attach_failed(struct trace *t, int first, struct err *err)
{
	int armed = 0, wanted = 0;

	for (int i = 0; i < PROBE_COUNT; i++)
		armed += trace_probe(t, (enum probe_id)i) != NULL;
	for (int i = 0; i < t->plan.n; i++)
		wanted += !t->plan.probe[i].absent;
	if (armed || !wanted)
		return 0;
	if (first == -EPERM || first == -EACCES) {
		err_set(err, first, "attaching probes to process '%d' is not permitted",
			(int)t->cfg.pid);
		err_hint(err, "run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE");
		return first;
	}
	if (!first)
		first = -EOPNOTSUPP;
	return err_set(err, first, "no probe could be armed in process '%d': %s", (int)t->cfg.pid,
		       first == -ESRCH ? "it ended" : t->plan.probe[0].why);
}

/*
 * The kernel shares one breakpoint among all who probe a place, and takes it
 * away with the last: what a tracer that was killed left there goes when a
 * probe has come and gone.  Nothing is counted meanwhile.
 */
static void take_away_leftovers(struct trace *t)
{
	int before = verify_breakpoints(t), first, left;

	attach_groups(t, GROUP_ALL, &first);
	detach_groups(t, GROUP_ALL);
	keeper_wait(-1);
	left = verify_breakpoints(t);
	t->taken_away = before > left ? before - left : 0;
}

int trace_taken_away(const struct trace *t)
{
	return t->taken_away;
}

int trace_attach(struct trace *t, struct err *err)
{
	struct gs_counters none = { 0 };
	uint64_t now;
	unsigned int want;
	int e, first;

	if (t->found_armed)
		take_away_leftovers(t);
	now = clock_mono_ns();
	want = governor_begin(t, now);
	stats_step(t, &none, now);
	first = switch_groups(t, want);
	e = attach_failed(t, first, err);
	if (e)
		return e;
	for (int i = 0; i < GROUP_COUNT; i++)
		t->was_off[i] = !(t->on & GROUP_BIT(i));
	t->attached_ns = clock_mono_ns();
	t->gov.next_ns += t->attached_ns - now; /* counting begins only now */
	return 0;
}

void trace_disarm(struct trace *t)
{
	stats_off(t);
	t->parked = t->on;
	if (t->on)
		switch_groups(t, 0);
	if (t->follow_until_ns)
		follow_end(t);
	if (t->skel)
		detach_groups(t, GROUP_ALL); /* also what an attach that failed has left */
	keeper_wait(t->features.method == TRACE_METHOD_PERF ? DISARM_WAIT_PERF_MS : DISARM_WAIT_MS);
}

/* The time in between is nobody's: the governor goes on as if it had not been. */
int trace_rearm(struct trace *t, uint64_t target_cpu_ns, uint64_t created_total)
{
	struct gs_counters c;
	int e = switch_groups(t, t->parked);
	uint64_t now = clock_mono_ns();

	t->gov.next_ns = now + REARMED_TICK_NS;
	if (!e)
		e = drain_counters(t, &c);
	if (!e)
		governor_in(t, &c, now, target_cpu_ns, created_total, &t->gov.last);
	return e;
}

/* The keeper let go of all, because this process stood still, or was killed. */
static int after_lapse(struct trace *t, uint64_t target_cpu_ns, uint64_t created_total)
{
	t->lapses = keeper_lapses();
	trace_disarm(t);
	return trace_rearm(t, target_cpu_ns, created_total);
}

int trace_tick(struct trace *t, uint64_t now_mono_ns, uint64_t target_cpu_ns,
	       uint64_t created_total)
{
	struct governor_input in;
	struct gs_counters c;
	unsigned int want;
	int e;

	keeper_beat();
	if (keeper_lapses() != t->lapses)
		return after_lapse(t, target_cpu_ns, created_total);
	e = drain_counters(t, &c);
	if (e)
		return e;
	stats_step(t, &c, now_mono_ns);
	trace_pay(t, &c);
	governor_in(t, &c, now_mono_ns, target_cpu_ns, created_total, &in);
	want = governor_step(&t->gov, &in);
	if (want != t->on)
		e = switch_groups(t, want);
	follow_step(t, &c, now_mono_ns);
	return e;
}

uint64_t trace_next_ns(const struct trace *t)
{
	uint64_t next = t->gov.next_ns;

	if (t->follow_until_ns && next > t->gov.last.now_ns + FOLLOW_TICK_NS)
		next = t->gov.last.now_ns + FOLLOW_TICK_NS;
	/* Statistics want samples, and are to be on for a short time only. */
	if (t->stats_fd >= 0 && next > t->gov.last.now_ns + STATS_TICK_NS)
		next = t->gov.last.now_ns + STATS_TICK_NS;
	return next;
}

bool trace_is_readable(struct trace *t)
{
	struct gs_counters c;

	return !drain_counters(t, &c);
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	trace_disarm(t);
	load_close(t);
	drain_calls_deinit(t);
	slices_deinit(t);
	free(t->percpu);
	free(t);
}
