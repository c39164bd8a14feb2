/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/entry.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/view_build.h"
#include "base/clock.h"
#include "base/vec.h"

#define BUSY_NS   (10 * NS_PER_S) /* to the next try, where another snapshot is being written */
#define STARTS_NS (5 * NS_PER_S)  /* a runtime that is not up after so long never will be */

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

	if (s && !--s->refs)
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

enum depth entry_depth(const struct agent_config *cfg, const struct identity *who, const char *exe)
{
	for (int i = 0; i < cfg->nrule; i++) {
		const struct agent_rule *r = &cfg->rule[i];

		if (fits(r->exe, exe) && fits(r->service, who->service_name) &&
		    (fits(r->container, who->container_id) ||
		     fits(r->container, who->container_name)) &&
		    fits(r->k8s_namespace, who->pod_namespace) && fits(r->unit, who->unit))
			return r->depth;
	}
	return DEPTH_WALK;
}

/* --- opening --------------------------------------------------------------------- */

/* What is known of one that is not read. */
static void note_stranger(struct entry *e, const struct process *p, const struct target *t,
			  const char *why)
{
	struct stranger *s = calloc(1, sizeof(*s));

	if (!s)
		return;
	s->refs = 1;
	if (t)
		identity_copy(&t->identity, &s->who);
	else
		identity_of(&s->who, p, NULL, IDENTITY_LOG_DIR, "");
	snprintf(s->exe, sizeof(s->exe), "%s", p->exe);
	if (t)
		snprintf(s->go, sizeof(s->go), "%s", t->exe->gb->build.version);
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
	struct identity *id = &e->target->identity;
	size_t n = strlen(id->service_instance_id);

	for (size_t i = 0; i < all->n; i++) {
		const struct entry *o = all->e[i];

		if (o == e || !o->target ||
		    strcmp(o->target->identity.service_instance_id, id->service_instance_id) ||
		    strcmp(o->target->identity.service_name, id->service_name))
			continue;
		snprintf(id->service_instance_id + n, sizeof(id->service_instance_id) - n, ".%d",
			 (int)e->pid);
		return;
	}
}

static enum open_result opened(struct entry *e, struct target *t, struct entries *all,
			       const struct agent_config *cfg)
{
	e->target = t;
	e->shallow = SHALLOW_NOT;
	e->due_ns = UINT64_MAX;
	tell_apart(e, all);
	e->most = entry_depth(cfg, &t->identity, t->proc.exe);
	if (e->most != DEPTH_NONE)
		return OPEN_DONE;
	entry_let_go(e, all);
	return OPEN_NO;
}

void entry_let_go(struct entry *e, const struct entries *all)
{
	note_stranger(e, &e->target->proc, e->target, "left out by the configuration");
	target_close(e->target);
	e->target = NULL;
	leave_analysis(all, e);
	e->shallow = SHALLOW_CONFIGURED;
	e->due_ns = UINT64_MAX;
}

static enum open_result bind(struct entry *e, struct process *p, struct entries *all,
			     const struct agent_config *cfg)
{
	bool young = clock_real_ns() < p->start_real_ns + STARTS_NS;
	struct err err = { 0 };
	struct target *t;
	int r = target_open(&t, p, e->analysis->x, &err);

	if (!r)
		return opened(e, t, all, cfg);
	if (r == -ESRCH || r == -ESTALE) {
		process_deinit(p);
		return OPEN_GONE;
	}
	note_stranger(e, p, NULL, err.what);
	process_deinit(p);
	if (r == -EPERM || r == -EACCES)
		return again(e, SHALLOW_NOT_PERMITTED);
	if (young && r == -ENOEXEC) /* its list of goroutines is empty */
		return again(e, SHALLOW_NOT_STARTED);
	return again(e, r == -ENOEXEC ? SHALLOW_LAYOUT : SHALLOW_FAILED);
}

static enum open_result not_analysed(struct entry *e, struct process *p)
{
	note_stranger(e, p, NULL, e->analysis->why);
	process_deinit(p);
	return never(e, SHALLOW_EXECUTABLE);
}

enum open_result entry_open(struct entry *e, struct entries *all, struct files *files,
			    const struct agent_config *cfg)
{
	struct err err = { 0 };
	struct process p;
	int r = process_init(&p, e->pid, &err);

	if (r == -EPERM || r == -EACCES)
		return again(e, SHALLOW_NOT_PERMITTED);
	if (r)
		return OPEN_GONE;
	/* it may run another program than at the last try */
	if (e->analysis)
		files_leave(e->analysis);
	e->analysis = files_analyse(files, &p);
	if (!e->analysis) {
		process_deinit(&p);
		return again(e, SHALLOW_FAILED);
	}
	if (!e->analysis->x)
		return not_analysed(e, &p);
	return bind(e, &p, all, cfg);
}

bool entry_keep(struct entry *e, const struct agent_config *cfg, char id[SPOOL_ID_SIZE], int *err)
{
	const struct walk *w = e->target->walk;
	const struct spool_what what = {
		.report = &w->report,
		.real_ns = w->real_ns,
		.service = e->target->identity.service_name,
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
	p->identity = &s->who;
	p->exe = s->exe;
	p->go = s->go;
	p->why = s->why;
	p->started_real_ns = s->started_real_ns;
	p->depth = e->shallow == SHALLOW_NOT_STARTED ? DEPTH_WAITING : DEPTH_NONE;
	return view_hold(v, s, stranger_put);
}
