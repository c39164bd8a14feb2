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
#define CRASH_MAX_CHAIN   8

/* One panic of a chain, the first one first. */
struct crash_panic {
	char message[CRASH_MAX_MESSAGE + 1]; /* as the program prints it; foreign bytes */
	char type[CRASH_MAX_TYPE + 1];       /* of the value; "": nil, or not known */
	bool cut;                            /* the message is longer */
	bool recovered; /* it was, and another panic came before that was over */
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

struct crash_window {
	bool known; /* it has ended, and something is known of how */
	enum crash_cause cause;
	char message[CRASH_MAX_MESSAGE + 1]; /* "": there is none */
	bool message_cut;
	char type[CRASH_MAX_TYPE + 1]; /* of the panic's value; "" none */
	bool redacted;                 /* messages are left out */
	uint64_t goroutine;            /* 0: not known */
	bool of_first;                 /* no goroutine did it: this is the first one (a deadlock) */
	struct place created;          /* its go statement; the main goroutine has none */
	struct stack_table stacks;     /* owned */
	uint32_t stack;                /* in it; STACK_NONE */
	bool stack_whole;
	struct crash_panic *panic; /* owned */
	int npanic;
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
