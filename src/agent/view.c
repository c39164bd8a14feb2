/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/target.h"
#include "agent/view_build.h"
#include "base/vec.h"

const char *const depth_word[DEPTHS] = { "none", "waiting", "totals", "walk", "probes" };
const char *const shallow_word[SHALLOWS] = {
	[SHALLOW_NOT] = "",
	[SHALLOW_YOUNG] = "young",
	[SHALLOW_NOT_STARTED] = "not-started",
	[SHALLOW_NOT_PERMITTED] = "not-permitted",
	[SHALLOW_EXECUTABLE] = "executable",
	[SHALLOW_LAYOUT] = "layout",
	[SHALLOW_CONFIGURED] = "configured",
	[SHALLOW_FAILED] = "failed",
};
const char *const view_event_word[] = { "opened", "worsened", "closed" };

/* What a view keeps alive. */
struct view_hold {
	void *object;
	void (*put)(void *object);
};

struct view_store {
	unsigned int refs;
	struct view_process *process;
	struct view_totals *totals; /* of each process */
	struct view_finding *finding;
	struct view_event *event;
	size_t nfinding;
	struct view_hold *hold;
	size_t nhold, hold_cap;
};

static void view_free(struct view *v)
{
	struct view_store *s = v->store;

	while (s && s->nhold) {
		struct view_hold *h = &s->hold[--s->nhold];

		h->put(h->object);
	}
	if (s) {
		free(s->process);
		free(s->totals);
		free(s->finding);
		free(s->event);
		free(s->hold);
	}
	free(s);
	free(v);
}

struct view *view_new(size_t processes, size_t findings, size_t events)
{
	struct view *v = calloc(1, sizeof(*v));
	struct view_store *s = calloc(1, sizeof(*s));

	if (!v || !s) {
		free(v);
		free(s);
		return NULL;
	}
	v->store = s;
	s->refs = 1;
	s->process = calloc(processes + 1, sizeof(*s->process));
	s->totals = calloc(processes + 1, sizeof(*s->totals));
	s->finding = calloc(findings + 1, sizeof(*s->finding));
	s->event = calloc(events + 1, sizeof(*s->event));
	/* so that holding what it was made for cannot fail */
	if (!s->process || !s->totals || !s->finding || !s->event ||
	    array_grow(&s->hold, 5 * processes + findings + events + 1, &s->hold_cap,
		       sizeof(*s->hold))) {
		view_free(v);
		return NULL;
	}
	v->process = s->process;
	v->event = s->event;
	v->host_name = v->self.why_polling = v->self.probes_off = "";
	return v;
}

struct view_process *view_add(struct view *v)
{
	struct view_process *p = &v->store->process[v->nprocess++];

	p->exe = p->go = p->module = p->module_version = p->build_id = p->go_build_id = p->why = "";
	p->probes_why = "";
	p->finding = &v->store->finding[v->store->nfinding];
	return p;
}

struct view_finding *view_add_finding(struct view *v)
{
	v->store->process[v->nprocess - 1].nfinding++;
	return &v->store->finding[v->store->nfinding++];
}

struct view_event *view_add_event(struct view *v)
{
	struct view_event *e = &v->store->event[v->nevent++];

	e->reason = "";
	return e;
}

int view_hold(struct view *v, void *object, void (*put)(void *object))
{
	struct view_store *s = v->store;

	if (array_room(&s->hold, s->nhold, &s->hold_cap, sizeof(*s->hold))) {
		put(object);
		return -ENOMEM;
	}
	s->hold[s->nhold++] = (struct view_hold){ object, put };
	return 0;
}

struct view_process *view_last(struct view *v)
{
	return &v->store->process[v->nprocess - 1];
}

const char *view_text(struct view *v, const char *s)
{
	char *copy = strdup(s);

	return copy && !view_hold(v, copy, free) ? copy : "";
}

static void put_target(void *t)
{
	target_put(t);
}

static void put_who(void *w)
{
	who_put(w);
}

static void put_walk(void *w)
{
	walk_put(w);
}

/* Strings are the target's: the view keeps it. */
int view_fill(struct view *v, struct target *t)
{
	struct view_store *s = v->store;
	struct view_process *p = &s->process[v->nprocess - 1];
	const struct gobin *gb = t->exe->gb;

	p->pid = t->proc.pid;
	p->started_real_ns = t->proc.start_real_ns;
	p->start_ticks = t->proc.start_ticks;
	p->exe = t->proc.exe;
	p->go = gb->build.release.minor ? gb->build.version : "";
	p->module = gb->build.module[0] ? gb->build.module : gb->build.main_path;
	p->module_version = gb->build.module_version;
	p->build_id = gb->image.build_id;
	p->go_build_id = gb->image.go_build_id;
	p->identity = &t->who->id;
	p->depth = t->walk ? DEPTH_WALK : t->has_totals ? DEPTH_TOTALS : DEPTH_WAITING;
	if (t->has_totals) {
		s->totals[v->nprocess - 1] = t->totals;
		p->totals = &s->totals[v->nprocess - 1];
	}
	if (view_hold(v, target_get(t), put_target) || view_hold(v, who_get(t->who), put_who))
		return -ENOMEM;
	if (!t->walk)
		return 0;
	if (view_hold(v, walk_get(t->walk), put_walk))
		return -ENOMEM;
	p->walk = &t->walk->report;
	p->walked_real_ns = t->walk->real_ns;
	return 0;
}

const struct view *view_get(const struct view *v)
{
	v->store->refs++;
	return v;
}

void view_put(const struct view *v)
{
	if (v && !--v->store->refs)
		view_free((struct view *)(uintptr_t)v);
}
