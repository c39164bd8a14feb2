/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one window with probes has shown of a process: taken out of its report by who probes,
 * handed over as bytes, and read by who asked.  Who probes reads hostile memory with more
 * privileges than who asked has: so nothing of it is believed but text and numbers in bounds.
 */
#ifndef GOSPECT_AGENT_PROBED_H
#define GOSPECT_AGENT_PROBED_H

#include <sys/types.h>

#include "base/buf.h"
#include "report/report.h"

/* Which process, and for how long. */
struct probe_ask {
	pid_t pid;
	uint64_t start_ticks; /* of that pid: else it is another process by now */
	uint64_t time_ns;
};

/* What became of it. */
enum probed_outcome {
	PROBED_ARMED,
	PROBED_ENDED,         /* the process has */
	PROBED_NOT_PERMITTED, /* privileges are missing */
	PROBED_KERNEL,        /* it has no probes that work */
	PROBED_EXECUTABLE,    /* there is nothing to arm in it */
	PROBED_FAILED,        /* for another reason */
	PROBED_OUTCOMES
};
extern const char *const probed_outcome_word[PROBED_OUTCOMES]; /* "", "ended", … */

/* Handed over when the probes are armed, or cannot be. */
struct probed_begin {
	uint32_t outcome;
	uint32_t probes;               /* armed */
	uint64_t rss_bytes, bpf_bytes; /* of who probes */
	char why[320];                 /* not armed: why */
};

enum probed_what {
	PROBED_BIRTHS, /* of goroutines, by place */
	PROBED_ALLOCS, /* large ones, by place */
	PROBED_CALLS,  /* of HTTP clients, by place */
	PROBED_PHASES, /* of their requests, by host and phase */
	PROBED_WHATS
};
extern const char *const probed_what_word[PROBED_WHATS]; /* "goroutine_births", … */

#define PROBED_ROWS     32 /* of each; what is beyond is one row more */
#define PROBED_FINDINGS 50

struct probed_row {
	uint32_t what, phase; /* enum net_phase, of PROBED_PHASES */
	uint8_t sampled;      /* estimated by slices of the time */
	int line;
	char name[WINDOW_MAX_HOST + 1]; /* the function, the host; "": all others */
	char file[128];
	uint64_t count, errors;
	uint64_t sum; /* bytes of allocations, ns of phases */
};

/* A window's end. */
struct probed {
	uint64_t begin_real_ns, end_real_ns;
	uint64_t window_ns, asked_ns;
	uint64_t cost_ns;              /* of the process's own CPU time */
	uint64_t cpu_ns;               /* of who probed */
	uint8_t paused;                /* the process was kept from running lately */
	uint8_t covered[PROBED_WHATS]; /* it was counted */
	uint32_t nrow, nfinding;       /* behind this, when it is handed over */
	struct probed_row *row;        /* owned; not handed over */
	struct findings findings;      /* likewise; those that need probes */
	void *texts;                   /* owned: what these point to */
};

/* Takes it out of a window whose findings were judged, and appends it. */
void probed_write(const struct report *r, const struct probe_ask *q, uint64_t cpu_ns,
		  struct buf *out);
/* Reads what probed_write() has appended: 0, -EBADMSG, -ENOMEM. */
int probed_read(struct probed *out, const char *bytes, size_t n);
void probed_deinit(struct probed *p); /* a zeroed one is fine */

/* Whether only probes can see findings of that kind. */
bool probed_is_kind(const char *kind);

/* --- all windows of a process ---------------------------------------------------- */

/* Never changed once it is made.  Counted: views have it. */
struct probed_sums {
	unsigned int refs;
	uint64_t windows, cost_ns;
	uint64_t covered_ns[PROBED_WHATS]; /* how long each was counted */
	uint64_t last_real_ns;             /* when the latest window ended */
	size_t nrow;
	struct probed_row
		row[]; /* PROBED_ROWS of each at most, those that came first, and the rest */
};

/* A new one: these (NULL: none yet) and a window more.  NULL: no memory. */
struct probed_sums *probed_add(const struct probed_sums *before, const struct probed *p);
struct probed_sums *probed_sums_get(struct probed_sums *s);
void probed_sums_put(void *s); /* NULL is fine */

#endif
