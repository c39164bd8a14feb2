/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `gospect host` knows at one moment of all Go processes of the machine:
 * made once a tick, never changed afterwards, shared by reference.  Everything
 * it points to lives as long as somebody has the view, also when the process
 * has ended meanwhile.
 *
 * Knows nothing of how it was found out, nor of who shows it.  One thread.
 *
 * Strings are never NULL: "" is not known.  What comes from a process (names,
 * paths, attributes) is foreign text, of bounded length but any bytes.
 * *_ns are nanoseconds, *_bytes bytes; a number is there only where has_… says so.
 */
#ifndef GOSPECT_AGENT_VIEW_H
#define GOSPECT_AGENT_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/identity.h"
#include "agent/probed.h"
#include "base/err.h"
#include "gort/golatency.h"
#include "model/finding.h"
#include "observe/window.h"
#include "report/report.h"
#include "report/spool.h"

/* How deep a process is watched. */
enum depth {
	DEPTH_NONE,    /* found, not read: `why` says for what reason */
	DEPTH_WAITING, /* too young, or its runtime has not started yet */
	DEPTH_TOTALS,  /* each tick a few words */
	DEPTH_WALK,    /* and its goroutines, requests, pools, now and then */
	DEPTH_PROBES,  /* and probes are armed in it just now */
	DEPTHS
};
extern const char *const depth_word[DEPTHS]; /* "none", "waiting", "totals", "walk", "probes" */

/* Why a process is not watched deeper; as a label, from a fixed list. */
enum shallow {
	SHALLOW_NOT,           /* it is watched as deep as there is */
	SHALLOW_YOUNG,         /* for a second after its start */
	SHALLOW_NOT_STARTED,   /* its runtime is not up */
	SHALLOW_NOT_PERMITTED, /* its memory may not be read */
	SHALLOW_EXECUTABLE,    /* it cannot be analysed: too old, packed, damaged */
	SHALLOW_LAYOUT,        /* its runtime is not as expected */
	SHALLOW_CONFIGURED,    /* the configuration says so */
	SHALLOW_FAILED,        /* reading failed for another reason */
	SHALLOWS
};
extern const char *const shallow_word[SHALLOWS]; /* "", "young", "not-started", … */

/* The counters and gauges of one process, as read at one moment. */
struct view_totals {
	uint64_t mono_ns, real_ns; /* when */
	bool has_live, has_created, has_gc, has_heap, has_alloc, has_mapped, has_cpu;
	uint64_t live, system; /* goroutines, as NumGoroutine; and the runtime's own beside them */
	uint64_t created;      /* goroutines since the start */
	uint64_t gc_cycles, gc_forced, gc_pause_ns; /* since the start */
	uint64_t heap_live_bytes, heap_goal_bytes;  /* goal 0: none */
	uint64_t alloc_bytes, free_bytes;           /* since the start */
	/* of has_mapped: spans in use; free ones; given back; all that it has and has not given back */
	uint64_t heap_in_use_bytes, heap_free_bytes, heap_released_bytes, mapped_bytes;
	uint32_t gomaxprocs;        /* 0: not known */
	int32_t gogc;               /* percent, -1 off; valid with has_heap */
	int64_t memory_limit_bytes; /* INT64_MAX none, -1 not known */
	uint64_t cpu_ns, rss_bytes; /* of the process, by the kernel */
	int threads;
	/* the runtime's own histograms, since the start */
	bool has_to_run, has_pauses;
	struct golatency_folded to_run, pauses;
};

/* A finding that is open, or was just closed. */
struct view_finding {
	char id[17]; /* 16 hex digits; the same over restarts of gospect: service, kind, place */
	const struct finding *finding;         /* as judged last */
	enum severity worst;                   /* since it was opened */
	uint64_t opened_real_ns, seen_real_ns; /* first and last judged so */
	char snapshot[SPOOL_ID_SIZE];          /* kept when it opened; "": none */
};

struct view_process {
	uint64_t key; /* of this run of this program: the same in every view, never used again */
	pid_t pid;
	const struct identity *identity; /* who it is */
	uint64_t started_real_ns;
	uint64_t
		start_ticks; /* the kernel's: with the pid, this process and no other; 0: not read */
	const char *exe, *go, *module, *module_version, *build_id,
		*go_build_id; /* build ids as in the file */
	enum depth depth;
	enum shallow shallow;             /* why no deeper */
	const char *why;                  /* the same as a sentence; "" */
	const struct view_totals *totals; /* NULL: none yet */
	/* The last walk as a report: window.goroutines, net, sql, locks, memory and what was found in
	 * it.  NULL: none yet.  No probes: what only they count is off there. */
	const struct report *walk;
	uint64_t walked_real_ns;            /* when; 0 none */
	const struct view_finding *finding; /* open ones, worst first */
	int nfinding;
	/* Probes.  What windows with them have counted so far; NULL: there was none. */
	const struct probed_sums *probed;
	bool has_probes;               /* they may be armed in it, so that `probes` is known */
	uint32_t probes;               /* armed now */
	uint64_t probes_since_real_ns; /* armed since; 0: none are */
	const char *probes_why; /* why: "findings", "configured", …; or why none are: a sentence */
};

enum view_event_kind { VIEW_OPENED, VIEW_WORSENED, VIEW_CLOSED };
extern const char *const view_event_word[VIEW_CLOSED + 1]; /* "opened", "worsened", "closed" */

/* Something that happened to a finding since the view before. */
struct view_event {
	uint64_t seq; /* 1, 2, … in this run */
	enum view_event_kind kind;
	uint64_t real_ns; /* when */
	struct view_finding finding;
	const struct identity *identity; /* of its process, which may be gone */
	pid_t pid;
	uint64_t process_key;
	const char *reason; /* VIEW_CLOSED: "ended", "gone"; static; else "" */
};

/* gospect itself. */
struct view_self {
	uint64_t started_real_ns;
	uint64_t cpu_ns, rss_bytes, bpf_bytes;
	uint64_t open_fds;
	bool by_events;          /* starts are told by the kernel; false: /proc is polled */
	const char *why_polling; /* by_events false: why; else "" */
	/* since the start */
	uint64_t execs, ends,
		scans;           /* events of the kernel; ends of Go processes; passes over /proc */
	uint64_t lost;           /* events lost: a pass over /proc made up for them */
	uint64_t started, ended; /* Go processes that came and went */
	uint64_t failures[SHALLOWS];             /* processes that could not be read, by reason */
	uint64_t looks[DEPTHS], look_ns[DEPTHS]; /* readings by depth, and their CPU time */
	uint64_t proofs, proof_ns;               /* leak passes */
	uint64_t probe_failures
		[PROBED_OUTCOMES]; /* windows with probes that could not be, by outcome */
	uint64_t events;           /* of findings */
	uint64_t snapshots, snapshots_failed; /* kept; that could not be */
	uint64_t findings_dropped;            /* no room for them */
	/* now */
	uint64_t processes; /* all of the machine, as of the last pass */
	uint64_t files,
		files_not_go;   /* executables: analysed ones that are kept; known not to be Go */
	uint64_t beyond;        /* Go processes for which there is no room */
	uint64_t unreadable;    /* processes whose executable may not be read */
	const char *probes_off; /* why no process is probed; "": they may be */
	uint64_t probes_rss_bytes; /* of those who probe now */
	/* configuration */
	bool reload_ok;
	uint64_t reloaded_real_ns; /* the last that was good: the start counts */
};

struct view {
	uint64_t seq; /* 1, 2, … */
	uint64_t mono_ns, real_ns, interval_ns;
	const char *host_name;
	const struct view_process *process; /* by pid */
	size_t nprocess;
	const struct view_event *event; /* by seq; those since the view before */
	size_t nevent;
	struct view_self self;
	struct view_store *store; /* private */
};

/* Another reference; returns v. */
const struct view *view_get(const struct view *v);
/* NULL is fine. */
void view_put(const struct view *v);

/*
 * One view of one process, read now: identity, totals, one walk and what is found in it.
 * -ESRCH, -EPERM, -ENOEXEC, … with err as for `gospect snapshot`.  For tests and for who
 * asks once.
 */
int view_of_process(const struct view **out, pid_t pid, struct err *err);

#endif
