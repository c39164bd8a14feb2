/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of findings: opened, worsened, closed.
 *
 * A finding opens when it was judged so in two walks in a row, at once when it is
 * severe (high or worse); it closes when it was not in three walks in a row, or when its
 * process has ended.  Each time it comes back after it was closed it takes twice as many
 * walks to close.  Those of severity info are in the walk, and no more.  A leak or a
 * deadlock that several passes over memory agreed on closes only when a later verdict does
 * not have it.
 *
 * What probes have found opens at once, for a window of theirs is a minute.  It closes when a later
 * window with probes does not have it: a walk cannot see it, and says nothing.
 *
 * Knows nothing of processes but their key.  One thread.
 */
#ifndef GOSPECT_AGENT_LIFE_H
#define GOSPECT_AGENT_LIFE_H

#include "agent/view.h"

#define LIFE_ID_SIZE            17
#define LIFE_MAX                8192 /* findings at a time, of all processes; more are dropped and counted */
#define LIFE_MAX_EVENTS         4096 /* that nobody has taken yet; the oldest are dropped, and counted */
#define LIFE_OPENS              2
#define LIFE_CLOSES             3
#define LIFE_CLOSES_MOST        24
#define LIFE_CLOSES_PROBED      1 /* windows with probes, and at most … */
#define LIFE_CLOSES_PROBED_MOST 4

struct life;

/* What was judged of one walk. */
struct life_walk {
	uint64_t key; /* of the process */
	pid_t pid;
	const struct identity *who; /* borrowed */
	const struct findings *findings;
	uint64_t real_ns;
	bool verdict; /* leaks were looked for: their absence means something */
	bool paused;  /* the process was kept from running: absence means nothing */
	bool probed;  /* no walk, but a window with probes: of what only they can see */
};

/* NULL: no memory. */
struct life *life_new(void);
void life_free(struct life *l); /* NULL is fine */
void life_judge(struct life *l, const struct life_walk *w);
/* The process is gone; why: "ended" or "exec", static. */
void life_end(struct life *l, uint64_t key, uint64_t real_ns, const char *why);

/* That process is not probed any more: what only probes have seen is not known any more. */
void life_unprobed(struct life *l, uint64_t key, uint64_t real_ns);
/* How many findings of it are open; of them, that only probes can close. */
int life_open(const struct life *l, uint64_t key, int *probed);

/* Whether findings of that process may open or close at the next walk: it should be soon. */
bool life_is_undecided(const struct life *l, uint64_t key);
/* Whether a leak with a verdict was not seen at the last walk: another verdict is wanted. */
bool life_wants_verdict(const struct life *l, uint64_t key);

/* Whether a severe finding of that process has no snapshot. */
bool life_wants_snapshot(const struct life *l, uint64_t key);
/* Those have this one now. */
void life_keep(struct life *l, uint64_t key, const char *snapshot);

size_t life_open_all(const struct life *l);     /* findings, of all processes */
size_t life_events(const struct life *l);       /* that were not taken yet */
uint64_t life_events_all(const struct life *l); /* since the start */
uint64_t life_dropped(const struct life *l); /* findings and events for which there was no room */
/* Adds the open ones of a process to the one that was added last, worst first. */
void life_fill(struct life *l, uint64_t key, struct view *v);
/* Adds the events, which are taken then. */
void life_take_events(struct life *l, struct view *v);

/* What a finding is called over restarts, of gospect and of the process: by service, kind and
 * place.  16 hex digits; returns out. */
char *life_id(const struct identity *who, const struct finding *f, char out[LIFE_ID_SIZE]);

#endif
