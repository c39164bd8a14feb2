/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line as one table: it is parsed from it, --help prints it and
 * the man page is made of it.
 */
#ifndef GOSPECT_CLI_OPTIONS_H
#define GOSPECT_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/units.h"
#include "model/finding.h"

struct options;

/*
 * The command line as one table: it is parsed from it, --help prints it and
 * the man page is made of it.
 */

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_HTML, FORMAT_PPROF };
enum profile { PROFILE_GOROUTINE, PROFILE_HEAP, PROFILE_ALLOCS, PROFILE_CPU };

#define OPTIONS_SETS  32
#define OPTIONS_WORDS 4 /* debug registers */

struct options {
	long pid;          /* operand PID, or 0 */
	const char *file;  /* operand FILE of `plan` and `lint`, first one of `diff`, or NULL */
	const char *file2; /* second operand of `diff`, or NULL */
	const char *dir;   /* --dir; NULL: the usual one */
	uint64_t for_ns;   /* --for; 0: until stopped */
	uint64_t every_ns; /* --every */
	uint32_t sensors;  /* --only */
	double budget_pct; /* --budget */
	bool exact;
	uint64_t slow_ns; /* --slow; 0: not asked for */
	int until_exit;   /* --until-exit: the signal that begins the end; 0: not asked for */
	enum format format;
	const char *output; /* -o, or NULL: standard output */
	bool redact_hosts, redact_messages;
	const char *redact_key; /* file, or NULL: a random one */
	uint64_t window_ns;     /* --window; 0: from memory, once */
	bool prove;
	uint64_t max_stop_ns;      /* --max-stop */
	uint64_t max_memory_bytes; /* --max-memory; 0: as proof.c has it */
	bool goroutines;           /* list each of them */
	bool std;                  /* the standard library, too */
	bool all;                  /* also where a list would be cut */
	enum profile profile;
	unsigned int rate_hz; /* of CPU samples */
	bool has_only;        /* sensors were named */
	bool has_fail_on;
	enum severity fail_on;
	bool once;                     /* --once */
	bool status, version;          /* --status, --version */
	const char *config;            /* --config; NULL: none */
	const char *check;             /* --check; NULL: not asked for */
	const char *set[OPTIONS_SETS]; /* --set, in their order */
	int nset;
	const char *word[OPTIONS_WORDS]; /* operands of `watch` and `spool` */
	int nword;
	bool help;
	char **argv; /* of the program, for who hands it on */
};

enum operand {
	OPERAND_NONE,
	OPERAND_PID,
	OPERAND_PID_OR_FILE,
	OPERAND_PID_AND_WORDS,
	OPERAND_TWO_FILES,
	OPERAND_WORDS
};

struct command {
	const char *name;
	const char *summary; /* one line */
	const char *about;   /* a paragraph for --help and the man page */
	enum operand operand;
	uint64_t options;                    /* mask of OPT_BIT(enum option_id) */
	int (*run)(const struct options *o); /* returns the exit status */
};

enum option_id {
	OPT_FOR,
	OPT_FOR_WATCH,
	OPT_FOR_HOST,
	OPT_EVERY,
	OPT_WINDOW,
	OPT_ONLY,
	OPT_BUDGET,
	OPT_BUDGET_WATCH,
	OPT_EXACT,
	OPT_SLOW,
	OPT_UNTIL_EXIT,
	OPT_PROVE,
	OPT_PROVE_WATCH,
	OPT_MAX_STOP,
	OPT_MAX_MEMORY,
	OPT_GOROUTINES,
	OPT_ALL,
	OPT_STD,
	OPT_FORMAT,
	OPT_FORMAT_ATTACH,
	OPT_FORMAT_SNAPSHOT,
	OPT_FORMAT_WATCH,
	OPT_FORMAT_SPOOL,
	OPT_PROFILE,
	OPT_RATE,
	OPT_OUTPUT,
	OPT_FAIL_ON,
	OPT_REDACT_HOSTS,
	OPT_REDACT_KEY,
	OPT_REDACT_MESSAGES,
	OPT_ONCE,
	OPT_CONFIG,
	OPT_CHECK,
	OPT_SET,
	OPT_STATUS,
	OPT_VERSION,
	OPT_DIR,
	OPT_HELP,
	OPT_COUNT
};
#define OPT_BIT(o) (1ull << (o))

struct option_def {
	const char *flag; /* "--for" */
	const char *arg;  /* "DUR"; "[SIGNAL]": may be left out; NULL: none */
	const char *help;
};

/* Exit status; help.c says what each means. */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_GO = 3,
	EXIT_NOT_PERMITTED = 4,
	EXIT_TARGET_ENDED = 5,
	EXIT_FOUND = 10
};

extern const struct command commands[]; /* ends with name NULL */
extern const struct option_def option_defs[OPT_COUNT];

const struct command *command_find(const char *name);
/* argv without program and command.  0, or EXIT_USAGE after saying what is wrong on stderr. */
int options_parse(const struct command *c, int argc, char **argv, struct options *out);

void help_all(FILE *f);
void help_command(const struct command *c, FILE *f);
/* The manual page, in man(7) macros. */
void help_man(FILE *f, const char *version);

/* The commands, one file each.  Each returns the exit status. */
int cmd_attach(const struct options *o);
int cmd_snapshot(const struct options *o);
int cmd_leaks(const struct options *o);
int cmd_diff(const struct options *o);
int cmd_lint(const struct options *o);
int cmd_watch(const struct options *o);
int cmd_plan(const struct options *o);
int cmd_list(const struct options *o);
int cmd_host(const struct options *o);
/* The help of gospect-host, which has the keys of its configuration as well; returns only where that
 * is not installed.  argv: of the program. */
void host_help(char **argv);
int cmd_spool(const struct options *o);
int cmd_doctor(const struct options *o);

#endif
