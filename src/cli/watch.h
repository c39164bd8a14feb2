/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One process under observation: opened, probes armed where they can be,
 * observed.  What `attach` and `snapshot` have in common.
 */
#ifndef GOSPECT_CLI_WATCH_H
#define GOSPECT_CLI_WATCH_H

#include "cli/options.h"
#include "observe/observer.h"
#include "plan/plan.h"
#include "proc/mem.h"
#include "proc/process.h"
#include "prove/freeze.h"
#include "prove/prove.h"
#include "trace/trace.h"

struct output;
struct pollfd;

/* One Go process opened for reading: identity, executable, memory, runtime. */
struct session {
	struct process proc;
	struct gobin *gb;      /* owned */
	struct memreader *mem; /* owned */
	struct goruntime rt;
	uint64_t bias;
	bool proc_open, rt_open;
};

/* Fills err with what to say; session_close() is right also after a failure. */
int session_open(struct session *s, pid_t pid, struct err *err);
void session_close(struct session *s);
/* Why there is no more to be seen, of what process_check() returned. */
const char *session_gone(int check);

struct watch {
	const struct options *o; /* borrowed */
	struct session s;
	struct plan plan;
	struct trace *trace;
	struct observer *observer;
	struct sampler *sampler; /* NULL: no CPU samples */
	char sampler_off[320];   /* why, where they were asked for */
	struct death *death;     /* NULL: exits and signals are not seen */
	char death_off[320];     /* why, where they were asked for */
	char memory_only[320];   /* why there are no probes, "" when there are */
	char redact_salt[64];    /* with --redact-hosts */
	int signal_fd;
	struct freeze freeze; /* opened with --prove */
	uint64_t
		passes_max_bytes; /* of memory, for passes over the running process; 0: no less than for a proof */
	bool signalled; /* by one of those that end us */
	int stop_fd;    /* SIGTSTP, from watch_start() to watch_disarm(); -1 */
	bool stop_asked;
	uint64_t check_ns;      /* when to ask again whether it is still the same */
	bool target_gone;       /* it ended, or became another program */
	const char *end_reason; /* why it is over, for people; NULL: it is not */
};

/* What is special about a command. */
struct watch_mode {
	const char *no_probes;           /* why none are to be armed; NULL: arm them */
	bool dump, dump_all, heap, once; /* as struct look has them */
	uint64_t pace_ns;                /* the report interval */
};

#define WATCH_MAX_MORE 2 /* descriptors */
#define WATCH_OF(o)                                      \
	{                                                \
		.o = (o), .signal_fd = -1, .stop_fd = -1 \
	}

/*
 * What comes before anything is attached: opens the output that the options
 * name and catches SIGINT and its like.  Says what fails; returns the exit
 * status.  The caller closes both when it is EXIT_DONE.
 */
int watch_prepare(struct watch *w, struct output *out);
/* Opens the process, arms, takes the baseline.  Says what fails; returns the exit status. */
int watch_start(struct watch *w, const struct watch_mode *mode);
/*
 * Waits for a signal, the process's end, or something on the n descriptors of
 * `more`, but no longer than until due_ns, and then does what is due by itself
 * (the governor's steps).  Sets end_reason, stop_asked, and revents of `more`.
 */
void watch_wait(struct watch *w, uint64_t due_ns, struct pollfd *more, int n);
/* Takes the probes away for good: before the last or only report is written, for
 * its reader may never read it. */
void watch_disarm(struct watch *w, struct output *out);
/*
 * Stops this process as was asked, with no probe armed, until it is continued
 * (on_terminal: in the foreground).  The window that was under way is lost unless
 * it was taken before; another one begins, unless end_reason is set.
 */
void watch_stop(struct watch *w, bool on_terminal);
/* When the process was asked to end, by the signal that --until-exit names or by SIGTERM (our
 * monotonic clock); 0: it was not, or signals are not seen. */
uint64_t watch_asked_to_end_ns(const struct watch *w);
/* Whether the terminal on standard output is somebody else's now. */
bool watch_in_background(void);
/* Whether a signal has come since this was asked last; it is over then. */
bool watch_interrupted(struct watch *w);
void watch_close(struct watch *w);

/*
 * As prove_run(), with --max-stop and --max-memory as the options say.  Says on
 * stderr what is being done and what was not done.  A signal ends it: with what is
 * known so far, or -EINTR.  locks: what is inferred of who
 * holds what, or NULL.
 */
int proof_run(struct watch *w, bool prove, const struct deadlocks_window *locks,
	      struct prove_result *out, struct err *err);

#endif
