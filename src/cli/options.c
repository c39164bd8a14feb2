/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "cli/message.h"
#include "plan/sensor.h"
#include "report/spool.h"

#define RATE_HZ         19 /* of a report's tables: primes, in step with nothing */
#define RATE_PROFILE_HZ 97
#define MAX_RATE_HZ     999 /* more, and what is measured is the measuring */

const struct option_def option_defs[OPT_COUNT] = {
	[OPT_FOR] = { "--for", "DUR",
		      "stop after DUR (500ms, 5s, 2m, 1h); default: at Ctrl-C, or when the target "
		      "exits" },
	[OPT_FOR_WATCH] = { "--for", "DUR",
			    "watch for DUR; default: until every word has a proof or a sweep is "
			    "complete, at most 60s" },
	[OPT_FOR_HOST] = { "--for", "DUR", "with --once: watch for DUR (default 5s)" },
	[OPT_EVERY] = { "--every", "DUR",
			"report every DUR (default 5s; 1s on a screen); less often for a process "
			"with very many goroutines, so that reports take at most 1.5% of a CPU" },
	[OPT_WINDOW] = { "--window", "DUR",
			 "observe for DUR (default 5s; 0: read memory once, arm no probes)" },
	[OPT_ONLY] = { "--only", "SENSOR,...",
		       "only these sensors: goroutines, alloc, gc, net, sql, locks, lifetimes, "
		       "cpu, statements, crash, slices (errors is accepted but not implemented "
		       "yet)" },
	[OPT_BUDGET] = { "--budget", "PCT",
			 "what tracing may cost the target, in percent of the CPU time it uses "
			 "(default 1%, at least 2 ms/s; 0: read memory only, arm no probes)" },
	[OPT_BUDGET_WATCH] = { "--budget", "PCT",
			       "what watching may cost the target, in percent of the CPU time it "
			       "uses (default 1%, at least 10 ms/s)" },
	[OPT_EXACT] = { "--exact", NULL, "count every event, whatever the cost" },
	[OPT_SLOW] = { "--slow", "DUR",
		       "print a line for each HTTP client request that takes DUR (at least 100ms) "
		       "or longer, once it is over, with the time spent in each phase; print the "
		       "report only at the end. Requests are followed by reading memory a few "
		       "times a second and by probes: one that ends between two readings can be "
		       "missed" },
	[OPT_UNTIL_EXIT] = { "--until-exit", "[SIGNAL]",
			     "report nothing until the process is asked to exit (by TERM, or by "
			     "SIGNAL: TERM, INT, HUP, QUIT, USR1, USR2); then report what keeps it "
			     "alive, once per --every, until it is gone. gospect sends no signal" },
	[OPT_PROVE] = { "--prove", NULL,
			"prove leaks: the process is frozen for some milliseconds while its memory "
			"is copied; the expected pause is printed first" },
	[OPT_PROVE_WATCH] = { "--prove", NULL,
			      "find races sooner: hold a thread for up to 200 µs after a plain "
			      "store, so that others run into it; within --budget" },
	[OPT_MAX_STOP] = { "--max-stop", "DUR",
			   "do not freeze the process if the expected pause is longer (default "
			   "200ms)" },
	[OPT_MAX_MEMORY] = { "--max-memory", "SIZE",
			     "how much of this machine's memory judging leaks may use (800M, 2G; "
			     "default: 512M or a tenth of what is free, whichever is more, but at "
			     "most half of it)" },
	[OPT_GOROUTINES] = { "--goroutines", NULL, "list every goroutine, with its stack" },
	[OPT_ALL] = { "--all", NULL, "list all of them, not just the first 10,000" },
	[OPT_STD] = { "--std", NULL, "judge the functions of Go's standard library too" },
	[OPT_FORMAT] = { "--format", "text|json", "json: one object a line (default text)" },
	[OPT_FORMAT_ATTACH] = { "--format", "text|json|html",
				"json: one object a line; html: one file, written at the end, of "
				"the whole time, or of the last --every (default text)" },
	[OPT_FORMAT_SNAPSHOT] = { "--format", "text|json|html|pprof",
				  "json: schema gospect.report/1; html: one file with a flame "
				  "graph; pprof: a profile for 'go tool pprof' (default text)" },
	[OPT_FORMAT_WATCH] = { "--format", "text|json|html",
			       "json: schema gospect.watch/1; html: one file (default text)" },
	[OPT_FORMAT_SPOOL] = { "--format", "text|json|html", "what 'show' prints (default text)" },
	[OPT_PROFILE] = { "--profile", "goroutine|heap|allocs|cpu",
			  "which profile --format pprof writes (default goroutine), whatever "
			  "--only "
			  "has; with cpu, every format shows the CPU samples of the window" },
	[OPT_RATE] = { "--rate", "HZ",
		       "CPU samples per second on each CPU the program runs on (default 19; 97 "
		       "with --profile cpu)" },
	[OPT_OUTPUT] = { "-o", "FILE",
			 "write the report to FILE instead of standard output; an existing file is "
			 "replaced only once the new report is complete" },
	[OPT_FAIL_ON] = { "--fail-on", "SEVERITY",
			  "exit with status 10 if a finding is that severe or worse: info, low, "
			  "medium, high, critical" },
	[OPT_REDACT_HOSTS] = { "--redact-hosts", NULL,
			       "replace the hosts of network requests and connections by hashes, "
			       "with a key that is random in each run" },
	[OPT_REDACT_KEY] = { "--redact-key", "FILE",
			     "--redact-hosts with the secret in FILE (16 bytes or more) as the "
			     "key: reports with the same key can be compared" },
	[OPT_REDACT_MESSAGES] = { "--redact-messages", NULL,
				  "show only the type of a panic's value: its message may hold "
				  "secrets" },
	[OPT_ONCE] = { "--once", NULL,
		       "watch for --for (default 5s), print a table of all Go processes and what "
		       "was found, and exit" },
	[OPT_CONFIG] = { "--config", "FILE", "read the configuration from FILE, in YAML" },
	[OPT_CHECK] = { "--check", "FILE", "say whether FILE is a valid configuration, and exit" },
	[OPT_SET] = { "--set", "KEY=VALUE", "set one key of the configuration; may be repeated" },
	[OPT_STATUS] = { "--status", NULL,
			 "ask the running gospect host (where 'listen' of the configuration says) "
			 "which Go processes it has found, how deep each is watched, and why no "
			 "deeper" },
	[OPT_VERSION] = { "--version", NULL, "print the version of gospect-host" },
	[OPT_DIR] = { "--dir", "DIR",
		      "where the snapshots are kept (default: $GOSPECT_HOST_SPOOL_DIR, "
		      "else " SPOOL_DIR ")" },
	[OPT_HELP] = { "--help", NULL, "this text" },
};

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

/* A positive decimal that fits a pid. */
static int pid_parse(const char *s, long *pid)
{
	long v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (!isdigit((unsigned char)*s) || v > INT_MAX / 10)
			return -EINVAL;
		v = v * 10 + (*s - '0');
	}
	if (v <= 0 || v > INT_MAX)
		return -EINVAL;
	*pid = v;
	return 0;
}

static int usage(const struct command *c, const char *fmt, const char *subject)
{
	msg_error(fmt, subject);
	msg_hint("see 'gospect %s --help'", c->name);
	return EXIT_USAGE;
}

static int usage_valid(const struct command *c, const char *what, const char *bad,
		       const char *valid)
{
	msg_error("unknown %s '%s' (valid: %s)", what, bad, valid);
	msg_hint("see 'gospect %s --help'", c->name);
	return EXIT_USAGE;
}

/* The number of a word among those that an option takes ("text|json"), -1: it is none of them.
 * They are in the order of their enum. */
static int word_number(enum option_id id, const char *word)
{
	const char *list = option_defs[id].arg;
	size_t len = strlen(word);

	for (int i = 0;; i++) {
		size_t n = strcspn(list, "|");

		if (n == len && !strncmp(list, word, n))
			return i;
		if (!list[n])
			return -1;
		list += n + 1;
	}
}

static int set_profile(const struct command *c, const char *arg, struct options *o)
{
	int n = word_number(OPT_PROFILE, arg);

	if (n < 0)
		return usage_valid(c, "profile", arg, option_defs[OPT_PROFILE].arg);
	o->profile = (enum profile)n;
	return 0;
}

/* What the profile that is asked for is made of. */
static uint32_t profile_needs(const struct options *o)
{
	static const uint32_t needs[] = {
		[PROFILE_GOROUTINE] = SENSOR_BIT(SENSOR_GOROUTINES),
		[PROFILE_HEAP] = SENSOR_BIT(SENSOR_ALLOC),
		[PROFILE_ALLOCS] = SENSOR_BIT(SENSOR_ALLOC),
		[PROFILE_CPU] = SENSOR_BIT(SENSOR_CPU),
	};

	return o->format == FORMAT_PPROF || o->profile == PROFILE_CPU ? needs[o->profile] : 0;
}

static int set_rate(const struct command *c, const char *arg, struct options *o)
{
	char *end;
	unsigned long hz = strtoul(arg, &end, 10);

	if (arg[0] < '0' || arg[0] > '9' || *end || !hz || hz > MAX_RATE_HZ)
		return usage_valid(c, "rate", arg, "1 to 999");
	o->rate_hz = (unsigned int)hz;
	return 0;
}

static int set_sensors(const struct command *c, const char *arg, struct options *o)
{
	char word[40], valid[160];
	const char *bad;
	size_t len = 0;

	if (!sensor_parse(arg, &o->sensors, &bad))
		return 0;
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(bad, ","), bad);
	for (int i = 0; i < SENSOR_COUNT; i++)
		len += (size_t)snprintf(valid + len, sizeof(valid) - len, "%s%s", i ? ", " : "",
					sensor_name((enum sensor)i));
	return usage_valid(c, "sensor", word, valid);
}

static int set_format(const struct command *c, enum option_id id, const char *arg,
		      struct options *o)
{
	int n = word_number(id, arg);

	if (n < 0)
		return usage_valid(c, "format", arg, option_defs[id].arg);
	o->format = (enum format)n;
	return 0;
}

/* A signal that asks a process to end, with or without "SIG"; 0: none is called so. */
static int end_signal(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} signals[] = {
		{ "TERM", SIGTERM }, { "INT", SIGINT },   { "HUP", SIGHUP },
		{ "QUIT", SIGQUIT }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 },
	};

	name += strncmp(name, "SIG", 3) ? 0 : 3;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (!strcmp(name, signals[i].name))
			return signals[i].number;
	return 0;
}

static int set_until_exit(const struct command *c, const char *arg, struct options *o)
{
	o->until_exit = arg ? end_signal(arg) : SIGTERM;
	return o->until_exit ? 0
			     : usage_valid(c, "signal", arg, "TERM, INT, HUP, QUIT, USR1, USR2");
}

static int set_option(const struct command *c, enum option_id id, const char *arg,
		      struct options *o)
{
	switch (id) {
	case OPT_FOR:
	case OPT_FOR_WATCH:
	case OPT_FOR_HOST:
		if (duration_parse(arg, &o->for_ns) || !o->for_ns)
			return usage(c, "not a duration: '%s'", arg);
		return 0;
	case OPT_EVERY:
		if (duration_parse(arg, &o->every_ns) || o->every_ns < 100 * NS_PER_MS)
			return usage(c, "not a duration of 100ms or more: '%s'", arg);
		return 0;
	case OPT_ONLY:
		o->has_only = true;
		return set_sensors(c, arg, o);
	case OPT_BUDGET:
	case OPT_BUDGET_WATCH:
		if (percent_parse(arg, &o->budget_pct))
			return usage(c, "not a percentage between 0 and 100: '%s'", arg);
		return 0;
	case OPT_FORMAT:
	case OPT_FORMAT_ATTACH:
	case OPT_FORMAT_SNAPSHOT:
	case OPT_FORMAT_WATCH:
	case OPT_FORMAT_SPOOL:
		return set_format(c, id, arg, o);
	case OPT_WINDOW:
		if (duration_parse(arg, &o->window_ns) ||
		    (o->window_ns && o->window_ns < 100 * NS_PER_MS))
			return usage(c, "not 0 or a duration of 100ms or more: '%s'", arg);
		return 0;
	case OPT_MAX_STOP:
		if (duration_parse(arg, &o->max_stop_ns))
			return usage(c, "not a duration: '%s'", arg);
		return 0;
	case OPT_MAX_MEMORY:
		if (size_parse(arg, &o->max_memory_bytes))
			return usage(c, "not a size: '%s'", arg);
		return 0;
	case OPT_SLOW:
		if (duration_parse(arg, &o->slow_ns) || o->slow_ns < 100 * NS_PER_MS)
			return usage(c, "not a duration of 100ms or more: '%s'", arg);
		return 0;
	case OPT_UNTIL_EXIT:
		return set_until_exit(c, arg, o);
	case OPT_PROVE:
	case OPT_PROVE_WATCH:
		o->prove = true;
		return 0;
	case OPT_GOROUTINES:
		o->goroutines = true;
		return 0;
	case OPT_ALL:
		o->all = true;
		return 0;
	case OPT_STD:
		o->std = true;
		return 0;
	case OPT_PROFILE:
		return set_profile(c, arg, o);
	case OPT_RATE:
		return set_rate(c, arg, o);
	case OPT_FAIL_ON:
		o->has_fail_on = true;
		if (severity_parse(arg, &o->fail_on))
			return usage_valid(c, "severity", arg, "info, low, medium, high, critical");
		return 0;
	case OPT_OUTPUT:
		if (!*arg)
			return usage(c, "-o needs a file name%s", "");
		o->output = arg;
		return 0;
	case OPT_EXACT:
		o->exact = true;
		return 0;
	case OPT_REDACT_KEY:
		o->redact_key = arg;
		o->redact_hosts = true;
		return 0;
	case OPT_REDACT_MESSAGES:
		o->redact_messages = true;
		return 0;
	case OPT_REDACT_HOSTS:
		o->redact_hosts = true;
		return 0;
	case OPT_ONCE:
		o->once = true;
		return 0;
	case OPT_STATUS:
		o->status = true;
		return 0;
	case OPT_VERSION:
		o->version = true;
		return 0;
	case OPT_CONFIG:
		o->config = arg;
		return 0;
	case OPT_CHECK:
		o->check = arg;
		return 0;
	case OPT_SET:
		if (!strchr(arg, '=') || o->nset == OPTIONS_SETS)
			return usage(c, "not KEY=VALUE, or too many: '%s'", arg);
		o->set[o->nset++] = arg;
		return 0;
	case OPT_DIR:
		o->dir = arg;
		return 0;
	case OPT_HELP:
		o->help = true;
		return 0;
	case OPT_COUNT:
		break;
	}
	return EXIT_USAGE;
}

/* The option that arg is ("--for", "--for=5s"), or OPT_COUNT; *value past the '='. */
static enum option_id find_option(const struct command *c, const char *arg, const char **value)
{
	size_t len = strcspn(arg, "=");

	*value = arg[len] == '=' && !strncmp(arg, "--", 2) ? arg + len + 1 : NULL;
	if (!strcmp(arg, "-h"))
		return OPT_HELP;
	if (!strncmp(arg, "-o", 2) && arg[2] && (c->options & OPT_BIT(OPT_OUTPUT))) {
		*value = arg + 2;
		return OPT_OUTPUT;
	}
	for (int i = 0; i < OPT_COUNT; i++)
		if ((c->options & OPT_BIT(i)) && strlen(option_defs[i].flag) == len &&
		    !strncmp(option_defs[i].flag, arg, len))
			return (enum option_id)i;
	return OPT_COUNT;
}

static int set_operand(const struct command *c, const char *arg, struct options *o)
{
	if (c->operand == OPERAND_TWO_FILES && !o->file2) {
		if (!*arg)
			return usage(c, "empty file name%s", "");
		*(o->file ? &o->file2 : &o->file) = arg;
		return 0;
	}
	if ((c->operand == OPERAND_PID_AND_WORDS && o->pid) || c->operand == OPERAND_WORDS) {
		if (o->nword == OPTIONS_WORDS)
			return usage(c, "more than four words at a time: '%s'", arg);
		o->word[o->nword++] = arg;
		return 0;
	}
	if (c->operand == OPERAND_NONE || o->pid || o->file)
		return usage(c, "unexpected operand '%s'", arg);
	if (!pid_parse(arg, &o->pid))
		return 0;
	if (c->operand == OPERAND_PID || c->operand == OPERAND_PID_AND_WORDS)
		return usage(c, "not a process id: '%s'", arg);
	if (!*arg)
		return usage(c, "empty file name%s", "");
	o->file = arg;
	return 0;
}

int options_parse(const struct command *c, int argc, char **argv, struct options *o)
{
	bool only_operands = false;
	int err;

	*o = (struct options){ .sensors = SENSOR_ALL,
			       .budget_pct = 1.0,
			       .window_ns = 5 * NS_PER_S,
			       .max_stop_ns = 200 * NS_PER_MS };
	for (int i = 0; i < argc; i++) {
		const char *arg = argv[i], *value;
		enum option_id id;

		if (!only_operands && !strcmp(arg, "--")) {
			only_operands = true;
			continue;
		}
		if (only_operands || arg[0] != '-' || !arg[1]) {
			err = set_operand(c, arg, o);
			if (err)
				return err;
			continue;
		}
		id = find_option(c, arg, &value);
		if (id == OPT_COUNT)
			return usage(c, "unknown option '%s'", arg);
		if (id == OPT_UNTIL_EXIT && !value) {
			/* what names no signal is the next operand */
			if (i + 1 < argc && end_signal(argv[i + 1]))
				value = argv[++i];
		} else if (option_defs[id].arg && !value) {
			if (++i == argc)
				return usage(c, "option '%s' needs a value", arg);
			value = argv[i];
		} else if (!option_defs[id].arg && value) {
			return usage(c, "this option takes no value: '%s'", arg);
		}
		err = set_option(c, id, value, o);
		if (err)
			return err;
		if (o->help)
			return 0;
	}
	if (!o->has_only)
		o->sensors &= ~SENSORS_NAMED;
	/* Who looks for some seconds does not wait for the end. */
	if (!o->has_only && !strcmp(c->name, "snapshot"))
		o->sensors &= ~SENSOR_BIT(SENSOR_CRASH);
	o->sensors |= profile_needs(o);
	if (!o->rate_hz)
		o->rate_hz = o->profile == PROFILE_CPU ? RATE_PROFILE_HZ : RATE_HZ;
	/* Two hits a goroutine instead of one: not unless it is asked for. */
	if (o->exact && !o->has_only)
		o->sensors &= ~SENSOR_BIT(SENSOR_LIFETIMES);
	if (o->slow_ns && o->format == FORMAT_JSON)
		return usage(c, "--slow prints lines of text; %s",
			     "in JSON each report has slow_requests");
	if (o->slow_ns && o->format == FORMAT_HTML)
		return usage(c, "--slow prints lines of text; %s", "html is one file");
	if (o->slow_ns && !(o->sensors & SENSOR_BIT(SENSOR_NET)))
		return usage(c, "--slow needs the sensor '%s'", "net");
	if (o->until_exit && o->slow_ns)
		return usage(c, "--until-exit and %s exclude each other", "--slow");
	if (o->until_exit && !(o->sensors & SENSOR_BIT(SENSOR_CRASH)))
		return usage(c, "--until-exit needs the sensor '%s'", "crash");
	if (c->options & OPT_BIT(OPT_ONCE) && o->for_ns && !o->once)
		return usage(c, "'%s' is for --once", "--for");
	if (c->options & OPT_BIT(OPT_ONCE) && o->has_fail_on && !o->once)
		return usage(c, "'%s' is for --once", "--fail-on");
	if ((c->operand == OPERAND_PID || c->operand == OPERAND_PID_AND_WORDS) && !o->pid)
		return usage(c, "'%s' needs a PID (try: gospect list)", c->name);
	if (c->operand == OPERAND_PID_OR_FILE && !o->pid && !o->file)
		return usage(c, "'%s' needs a PID or a FILE", c->name);
	if (c->operand == OPERAND_TWO_FILES && !o->file2)
		return usage(c, "'%s' needs two files", c->name);
	return 0;
}
