/* SPDX-License-Identifier: BSD-2-Clause */
/* How the process ended, as a part of a window: only of the last one. */
#ifndef GOSPECT_CRASH_WINDOW_H
#define GOSPECT_CRASH_WINDOW_H

#include "model/stacktable.h"
#include "model/window.h"

/* What it ended of. */
enum crash_cause {
	CRASH_BY_PANIC,   /* that nobody recovered */
	CRASH_BY_FATAL,   /* a fatal error of the Go runtime's */
	CRASH_BY_SIGNAL,  /* one that killed it, or that Go's handler ended it for */
	CRASH_BY_OOM,     /* the kernel's OOM killer */
	CRASH_BY_EXIT,    /* it ended itself: os.Exit, or the return of main */
	CRASH_BY_UNKNOWN, /* nothing that is known */
	CRASH_CAUSES
};
extern const char *const crash_cause_word[CRASH_CAUSES];

#define CRASH_MAX_MESSAGE 1024 /* bytes; longer ones are cut */
#define CRASH_MAX_TYPE    256

/* One panic of a chain, the first one first. */
struct crash_panic {
	char message[CRASH_MAX_MESSAGE + 1]; /* as the program prints it; foreign bytes */
	char type[CRASH_MAX_TYPE + 1];       /* of the value; "": nil, or not known */
	bool cut;                            /* the message is longer */
	bool recovered; /* it was, and another panic came before that was over */
};

/* Other goroutines of the program's own at the death, created and waiting alike. */
struct crash_other {
	const char *reason;   /* static, or of the layout */
	struct place created; /* its go statement; may have no function */
	uint64_t count;
	uint64_t goroutine; /* the lowest id */
};

/* Who sent a signal. */
struct crash_sender {
	bool known;    /* somebody else, or: */
	bool itself;   /* its own doing */
	int pid;       /* 0: not known */
	char name[17]; /* of the thread that sent it; foreign bytes */
};

/* What the OOM killer counted, roughly. */
struct crash_oom {
	uint64_t anon_bytes, file_bytes, shared_bytes;
};

/* What a goroutine is that is there when the process has been asked to end. */
enum shutdown_what {
	SHUTDOWN_MAIN,       /* the first one: the process ends when it returns */
	SHUTDOWN_STOPS,      /* in a server's Shutdown or GracefulStop */
	SHUTDOWN_HANDLES,    /* serves a request */
	SHUTDOWN_CONNECTION, /* of a server: reads a request, or the library serves it */
	SHUTDOWN_OTHER,
	SHUTDOWN_WHATS
};
extern const char *const shutdown_what_word[SHUTDOWN_WHATS];

#define SHUTDOWN_MAX_ROWS 100

/* Goroutines of one kind, created and waiting at the same places for the same. */
struct shutdown_row {
	enum shutdown_what what;
	bool stops;           /* in Shutdown or GracefulStop: MAIN may be, too */
	bool own;             /* at is in the user's code; else in the standard library */
	struct place at;      /* where it stands; may have no function */
	struct place of;      /* HANDLES: the user's outermost function of the request */
	struct place created; /* its go statement; may have no function */
	const char *reason;   /* static */
	uint64_t count;
	uint64_t goroutine; /* the lowest id */
	double since_s;     /* MAIN and STOPS: seen there at each look for so long; 0: only now */
};

/* From the signal that asks the process to end, until it does. */
struct shutdown_window {
	bool known; /* it has come */
	const char *signal_name;
	uint64_t times; /* that it came */
	struct crash_sender sender;
	uint64_t real_ns; /* when it came */
	double lasted_s;  /* until now, or: */
	bool ended;       /* until the process did */
	bool seen;        /* what is below */
	double seen_s;    /* so long after the signal */
	struct shutdown_row *row;
	int nrow; /* owned; in the order of `what`, own first, then most first */
	uint64_t goroutines, left_out; /* of the program's own; in no row, or not to be read */
	/* of other subjects: observe/shutdown.c */
	bool calls_known, transactions_known;
	uint64_t calls, transactions;   /* under way */
	struct place call, transaction; /* of the oldest; may have no function */
	double call_s, transaction_s;   /* of those: at least */
};

/* Panics that were recovered, by the place that panicked; type and message of the first. */
struct panic_row {
	bool other; /* of places that found no room, or that begun before they were watched */
	struct place place;
	uint64_t recovered;
	char type[CRASH_MAX_TYPE + 1];
	char message[CRASH_MAX_MESSAGE + 1]; /* "": not known, or redacted; foreign bytes */
	uint64_t first_ns;                   /* our monotonic clock */
	enum exactness exactness;
	double rate;
};

struct crash_window {
	struct shutdown_window shutdown; /* not only of the last window */
	/* likewise */
	bool recovered_known;
	struct panic_row *recovered; /* owned; most first */
	int nrecovered;
	/* all else is */
	bool known; /* it has ended, and something is known of how */
	enum crash_cause cause;
	char message[CRASH_MAX_MESSAGE + 1]; /* "": there is none */
	bool message_cut;
	char type[CRASH_MAX_TYPE + 1];      /* of the panic's value; "" none */
	char typed_nil[CRASH_MAX_TYPE + 1]; /* "*main.T": its Error read a nil receiver; "" */
	bool redacted;                      /* messages are left out */
	uint64_t goroutine;                 /* 0: not known */
	bool of_first;             /* no goroutine did it: this is the first one (a deadlock) */
	struct place created;      /* its go statement; the main goroutine has none */
	struct stack_table stacks; /* owned */
	uint32_t stack;            /* in it; STACK_NONE */
	bool stack_whole;
	struct crash_panic *panic; /* owned */
	int npanic;
	struct crash_other *other; /* owned; most first */
	int nother;
	/* of the others: that were read, and of how many at most (the runtime's own, and places
	 * of those that have ended, are among what was not read) */
	uint64_t others_read, others_total;
	/* signals */
	int signal;              /* 0: none */
	const char *signal_name; /* static */
	struct crash_sender sender;
	struct crash_oom oom; /* of CRASH_BY_OOM */
	/* the status */
	bool status_known;
	int exit_code;    /* of exit(2); < 0: it was killed by a signal */
	uint64_t real_ns; /* when; 0 not known */
	char ended[480];  /* one line: "the process ended: " … */
	const char *says; /* … of what: the rest of it */
};

void crash_window_deinit(struct crash_window *c);

#endif
