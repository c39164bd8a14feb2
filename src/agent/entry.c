/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/entry.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/probes.h"
#include "agent/view_build.h"
#include "base/clock.h"
#include "base/vec.h"
#include "proc/mem.h"

#define BUSY_NS   (10 * NS_PER_S)  /* to the next try, where another snapshot is being written */
#define STARTS_NS (5 * NS_PER_S)   /* a runtime that is not up after so long never will be */
#define NAMED_NS  (600 * NS_PER_S) /* who has not said its name after so long never will */
#define LEFT_OUT  "left out by the configuration"

/* --- the table ------------------------------------------------------------------- */

size_t entries_from(const struct entries *t, pid_t pid)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->e[mid]->pid < pid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct entry *entries_find(const struct entries *t, pid_t pid)
{
	size_t i = entries_from(t, pid);

	return i < t->n && t->e[i]->pid == pid ? t->e[i] : NULL;
}

struct entry *entries_add(struct entries *t, pid_t pid)
{
	size_t i = entries_from(t, pid);
	struct entry *e = calloc(1, sizeof(*e));

	if (!e || array_room(&t->e, t->n, &t->cap, sizeof(struct entry *))) {
		free(e);
		return NULL;
	}
	memmove(&t->e[i + 1], &t->e[i], (t->n - i) * sizeof(struct entry *));
	t->e[i] = e;
	t->n++;
	e->pid = pid;
	return e;
}

static void stranger_put(void *p)
{
	struct stranger *s = p;

	if (!s || --s->refs)
		return;
	who_put(s->who);
	free(s);
}

/* The file is open through it: another one has to do that now. */
static void lend(const struct entries *t, const struct entry *gone)
{
	struct analysis *a = gone->analysis;

	if (!a->x || a->x->from != gone->pid)
		return;
	for (size_t i = 0; i < t->n; i++)
		if (t->e[i] != gone && t->e[i]->analysis == a && t->e[i]->target) {
			files_lend(a, &t->e[i]->target->proc);
			if (a->x->from != gone->pid)
				return;
		}
}

/* Another program runs there, or it is not to be read: its analysis is for the others. */
static void leave_analysis(const struct entries *t, struct entry *e)
{
	if (!e->analysis)
		return;
	lend(t, e);
	files_leave(e->analysis);
	e->analysis = NULL;
}

static void entry_free(struct entry *e)
{
	probing_deinit(&e->probing);
	target_close(e->target);
	stranger_put(e->stranger);
	free(e);
}

void entries_remove(struct entries *t, struct entry *e)
{
	size_t i = entries_from(t, e->pid);

	memmove(&t->e[i], &t->e[i + 1], (--t->n - i) * sizeof(struct entry *));
	leave_analysis(t, e);
	entry_free(e);
}

void entries_deinit(struct entries *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->e[i]->analysis)
			files_leave(t->e[i]->analysis);
		entry_free(t->e[i]);
	}
	free(t->e);
	memset(t, 0, sizeof(*t));
}

/* --- rules ----------------------------------------------------------------------- */

static bool fits(const char *pattern, const char *text)
{
	return !pattern || !fnmatch(pattern, text, 0);
}

static const struct agent_rule *rule_of(const struct agent_config *cfg, const struct identity *who,
					const char *exe)
{
	for (int i = 0; i < cfg->nrule; i++) {
		const struct agent_rule *r = &cfg->rule[i];

		if (fits(r->exe, exe) && fits(r->service, who->service_name) &&
		    (fits(r->container, who->container_id) ||
		     fits(r->container, who->container_name)) &&
		    fits(r->k8s_namespace, who->pod_namespace) && fits(r->unit, who->unit))
			return r;
	}
	return NULL;
}

enum depth entry_depth(const struct agent_config *cfg, const struct identity *who, const char *exe)
{
	const struct agent_rule *r = rule_of(cfg, who, exe);

	return r ? r->depth : DEPTH_WALK;
}

enum probe_when entry_probes(const struct agent_config *cfg, const struct identity *who,
			     const char *exe)
{
	const struct agent_rule *r = rule_of(cfg, who, exe);

	return r ? r->probes : PROBE_IF_SUSPECT;
}

/* --- opening --------------------------------------------------------------------- */

/* What is known of one that is not read. */
static void note_stranger(struct entry *e, const struct process *p, struct who *who, const char *go,
			  const char *why)
{
	struct stranger *s = calloc(1, sizeof(*s));

	if (!s)
		return;
	s->refs = 1;
	s->who = who_get(who);
	snprintf(s->exe, sizeof(s->exe), "%s", p->exe);
	snprintf(s->go, sizeof(s->go), "%s", go);
	snprintf(s->why, sizeof(s->why), "%s", why);
	s->started_real_ns = p->start_real_ns;
	stranger_put(e->stranger);
	e->stranger = s;
}

/* Later and later; for ever where nothing can change. */
static enum open_result again(struct entry *e, enum shallow why)
{
	static const uint64_t pause_ms[] = { 250, 1000, 5000, 60000 };
	int last = (int)ARRAY_SIZE(pause_ms) - 1;

	e->shallow = why;
	e->due_ns = clock_mono_ns() + pause_ms[e->tries < last ? e->tries : last] * NS_PER_MS;
	e->tries++;
	return OPEN_AGAIN;
}

static enum open_result never(struct entry *e, enum shallow why)
{
	e->shallow = why;
	e->due_ns = UINT64_MAX;
	return OPEN_NO;
}

/* Two of one name at once are told apart. */
static void tell_apart(struct entry *e, const struct entries *all)
{
	struct identity *id = &e->target->who->id;
	size_t n = strlen(id->service_instance_id);

	for (size_t i = 0; i < all->n; i++) {
		const struct entry *o = all->e[i];
		const struct identity *other = o->target ? &o->target->who->id : NULL;

		if (o == e || !other ||
		    strcmp(other->service_instance_id, id->service_instance_id) ||
		    strcmp(other->service_name, id->service_name))
			continue;
		snprintf(id->service_instance_id + n, sizeof(id->service_instance_id) - n, ".%d",
			 (int)e->pid);
		return;
	}
}

static void opened(struct entry *e, struct target *t, const struct entries *all)
{
	e->target = t;
	e->shallow = SHALLOW_NOT;
	e->due_ns = UINT64_MAX;
	tell_apart(e, all);
	e->probing.known_ns = clock_mono_ns();
}

void entry_let_go(struct entry *e, const struct entries *all)
{
	struct target *t = e->target;

	note_stranger(e, &t->proc, t->who, t->exe->gb->build.version, LEFT_OUT);
	target_close(t);
	e->target = NULL;
	leave_analysis(all, e);
	e->shallow = SHALLOW_CONFIGURED;
	e->due_ns = UINT64_MAX;
}

bool entry_rename(struct entry *e, const struct entries *all, const struct agent_config *cfg,
		  struct life *life)
{
	struct target *t = e->target;
	struct who *before = t->who, *now;

	if (!target_is_renamed(t) || otelctx_read(&t->context, t->mem, NULL, NULL))
		return false; /* who it was is better than a damaged word */
	now = who_new();
	if (!now)
		return false;
	identity_of(&now->id, &t->proc, t->mem, &t->context, IDENTITY_LOG_DIR);
	identity_version(&now->id, t->exe->gb->build.module_version);
	t->who = now;
	tell_apart(e, all);
	e->most = entry_depth(cfg, &now->id, t->proc.exe);
	e->probing.when = entry_probes(cfg, &now->id, t->proc.exe);
	if (e->most == DEPTH_NONE || strcmp(before->id.service_name, now->id.service_name) ||
	    strcmp(before->id.service_namespace, now->id.service_namespace))
		life_end(life, e->key, clock_real_ns(), "gone"); /* they had the other's name */
	who_put(before);
	if (e->most == DEPTH_NONE)
		entry_let_go(e, all);
	return e->most == DEPTH_NONE;
}

static enum open_result bind(struct entry *e, struct process *p, struct who *who,
			     const struct otelctx *context, const struct entries *all)
{
	bool young = clock_real_ns() < p->start_real_ns + STARTS_NS;
	struct err err = { 0 };
	struct target *t;
	int r = target_open(&t, p, e->analysis->x, who, &err);

	if (!r) {
		t->context = *context;
		opened(e, t, all);
		return OPEN_DONE;
	}
	if (r == -ESRCH || r == -ESTALE) {
		process_deinit(p);
		return OPEN_GONE;
	}
	note_stranger(e, p, who, "", err.what);
	process_deinit(p);
	if (r == -EPERM || r == -EACCES)
		return again(e, SHALLOW_NOT_PERMITTED);
	if (young && r == -ENOEXEC) /* its list of goroutines is empty */
		return again(e, SHALLOW_NOT_STARTED);
	return again(e, r == -ENOEXEC ? SHALLOW_LAYOUT : SHALLOW_FAILED);
}

/* Whether it may still say another name, by which it is wanted. */
static bool may_be_renamed(const struct process *p, const struct agent_config *cfg)
{
	bool by_name = false;

	for (int i = 0; i < cfg->nrule; i++)
		by_name = by_name || cfg->rule[i].service;
	return by_name && clock_real_ns() < p->start_real_ns + NAMED_NS;
}

static enum open_result open_as(struct entry *e, struct process *p, struct who *who,
				const struct otelctx *context, struct entries *all,
				struct files *files, const struct agent_config *cfg)
{
	/* it may run another program than at the last try */
	if (e->analysis)
		files_leave(e->analysis);
	e->analysis = NULL;
	e->most = entry_depth(cfg, &who->id, p->exe);
	e->probing.when = entry_probes(cfg, &who->id, p->exe);
	if (e->most == DEPTH_NONE) { /* which takes no analysis to know */
		bool later = may_be_renamed(p, cfg);

		note_stranger(e, p, who, "", LEFT_OUT);
		process_deinit(p);
		return later ? again(e, SHALLOW_CONFIGURED) : never(e, SHALLOW_CONFIGURED);
	}
	e->analysis = files_analyse(files, p);
	if (!e->analysis) {
		process_deinit(p);
		return again(e, SHALLOW_FAILED);
	}
	if (e->analysis->x)
		return bind(e, p, who, context, all);
	note_stranger(e, p, who, "", e->analysis->why);
	process_deinit(p);
	return never(e, SHALLOW_EXECUTABLE);
}

enum open_result entry_open(struct entry *e, struct entries *all, struct files *files,
			    const struct agent_config *cfg)
{
	struct otelctx context = { 0 };
	struct memreader *m = NULL;
	struct err err = { 0 };
	enum open_result ret;
	struct process p;
	struct who *who;
	int r = process_init(&p, e->pid, &err);

	if (r == -EPERM || r == -EACCES)
		return again(e, SHALLOW_NOT_PERMITTED);
	if (r)
		return OPEN_GONE;
	who = who_new();
	if (!who) {
		process_deinit(&p);
		return again(e, SHALLOW_FAILED);
	}
	if (mem_open_pid(&m, e->pid, &err))
		m = NULL; /* then less is known of it */
	identity_of(&who->id, &p, m, &context, IDENTITY_LOG_DIR);
	mem_free(m);
	ret = open_as(e, &p, who, &context, all, files, cfg);
	who_put(who);
	return ret;
}

bool entry_keep(struct entry *e, const struct agent_config *cfg, char id[SPOOL_ID_SIZE], int *err)
{
	const struct walk *w = e->target->walk;
	const struct spool_what what = {
		.report = &w->report,
		.real_ns = w->real_ns,
		.service = e->target->who->id.service_name,
		.pid = e->pid,
	};
	uint64_t wait_ns = cfg->keep_ns;

	if (!cfg->keep || clock_mono_ns() < e->keep_ns)
		return false;
	target_dump(e->target);
	*err = cfg->keep(cfg->keep_arg, e->key, &what, id);
	if (*err == -EBUSY && wait_ns > BUSY_NS)
		wait_ns = BUSY_NS;
	e->keep_ns = clock_mono_ns() + wait_ns;
	return *err != -EBUSY && *err != -EINPROGRESS;
}

/* --- views ------------------------------------------------------------------------- */

static bool is_young(const struct entry *e, const struct agent_config *cfg)
{
	return clock_real_ns() < e->target->proc.start_real_ns + cfg->young_ns;
}

int entry_fill(const struct entry *e, const struct agent_config *cfg, struct view *v)
{
	struct view_process *p = view_add(v);
	struct stranger *s = e->stranger;

	p->pid = e->pid;
	p->key = e->key;
	p->shallow = e->shallow;
	if (e->target) {
		if (e->most < DEPTH_WALK)
			p->shallow = SHALLOW_CONFIGURED;
		else if (!e->target->walk && is_young(e, cfg))
			p->shallow = SHALLOW_YOUNG;
		return view_fill(v, e->target);
	}
	s->refs++;
	p->identity = &s->who->id;
	p->exe = s->exe;
	p->go = s->go;
	p->why = s->why;
	p->started_real_ns = s->started_real_ns;
	p->depth = e->shallow == SHALLOW_NOT_STARTED ? DEPTH_WAITING : DEPTH_NONE;
	return view_hold(v, s, stranger_put);
}
