/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: durations, percentages, pids, options, operands. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/human.h"
#include "cli/message.h"
#include "cli/options.h"
#include "plan/sensor.h"

static void durations(void **state)
{
	static const struct {
		const char *s;
		uint64_t ns;
	} good[] = {
		{ "0", 0 },
		{ "500ms", 500 * NS_PER_MS },
		{ "5s", 5 * NS_PER_S },
		{ "2m", 120 * NS_PER_S },
		{ "1h", 3600 * NS_PER_S },
		{ "1.5s", 1500 * NS_PER_MS },
		{ "0s", 0 },
	};
	static const char *const bad[] = { "",
					   "5",
					   "s",
					   "-5s",
					   "+5s",
					   " 5s",
					   "5 s",
					   "5sec",
					   "0x5s",
					   "1e3s",
					   "nan",
					   "infs",
					   "99999999999999h",
					   "5s ",
					   "1..5s",
					   "ms" };
	uint64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(duration_parse(good[i].s, &ns), 0);
		assert_int_equal(ns, good[i].ns);
	}
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!duration_parse(bad[i], &ns))
			fail_msg("'%s' was taken for a duration", bad[i]);
}

static void percentages(void **state)
{
	static const char *const bad[] = { "",    "%", "-1",  "101", "100.1%",
					   "1%%", "x", "nan", "1e1", "0x1" };
	double v;
	size_t i;

	(void)state;
	assert_int_equal(percent_parse("1%", &v), 0);
	assert_true(v == 1);
	assert_int_equal(percent_parse("0.5", &v), 0);
	assert_true(v == 0.5);
	assert_int_equal(percent_parse("0", &v), 0);
	assert_true(v == 0);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!percent_parse(bad[i], &v))
			fail_msg("'%s' was taken for a percentage", bad[i]);
}

/* Parses "attach ARGS…" given as one string; stderr is not looked at. */
static int parse(const char *command, const char *args, struct options *o)
{
	static char copy[256];
	char *argv[16], *word;
	int argc = 0;

	snprintf(copy, sizeof(copy), "%s", args);
	for (word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	return options_parse(command_find(command), argc, argv, o);
}

static void attach_options(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse("attach", "42", &o), 0);
	assert_int_equal(o.pid, 42);
	assert_int_equal(o.sensors, SENSOR_ALL & ~SENSORS_NAMED);
	assert_true(SENSORS_NAMED & SENSOR_BIT(SENSOR_SLICES));
	assert_int_equal(o.rate_hz, 19);
	assert_int_equal(parse("snapshot", "42 --profile cpu --only gc", &o), 0);
	assert_int_equal(o.sensors, SENSOR_BIT(SENSOR_CPU) | SENSOR_BIT(SENSOR_GC));
	assert_int_equal(o.rate_hz, 97);
	assert_int_equal(parse("snapshot", "42 --profile cpu --rate 50", &o), 0);
	assert_int_equal(o.rate_hz, 50);
	assert_int_equal(parse("snapshot", "42", &o), 0);
	assert_false(o.sensors & SENSOR_BIT(SENSOR_CRASH));
	assert_int_equal(parse("attach", "42", &o), 0);
	assert_true(o.budget_pct == 1.0);
	assert_false(o.exact);
	assert_int_equal(o.for_ns, 0);

	assert_int_equal(parse("attach",
			       "--for 5s 42 --every=500ms --only gc,alloc --budget 2% --exact "
			       "--format=json -o x --redact-hosts",
			       &o),
			 0);
	assert_int_equal(o.pid, 42);
	assert_int_equal(o.for_ns, 5 * NS_PER_S);
	assert_int_equal(o.every_ns, 500 * NS_PER_MS);
	assert_int_equal(o.sensors, SENSOR_BIT(SENSOR_GC) | SENSOR_BIT(SENSOR_ALLOC));
	assert_true(o.budget_pct == 2.0);
	assert_true(o.exact && o.redact_hosts);
	assert_int_equal(o.format, FORMAT_JSON);
	assert_string_equal(o.output, "x");

	assert_int_equal(parse("attach", "--until-exit 42", &o), 0);
	assert_int_equal(o.until_exit, SIGTERM);
	assert_int_equal(o.pid, 42);
	assert_int_equal(parse("attach", "42 --until-exit", &o), 0);
	assert_int_equal(o.until_exit, SIGTERM);
	assert_int_equal(parse("attach", "--until-exit INT 42", &o), 0);
	assert_int_equal(o.until_exit, SIGINT);
	assert_int_equal(o.pid, 42);
	assert_int_equal(parse("attach", "42 --until-exit=SIGHUP", &o), 0);
	assert_int_equal(o.until_exit, SIGHUP);

	assert_int_equal(parse("attach", "--help", &o), 0);
	assert_true(o.help);
	assert_int_equal(parse("plan", "-- --odd", &o), 0);
	assert_string_equal(o.file, "--odd");
	assert_int_equal(parse("plan", "12", &o), 0);
	assert_int_equal(o.pid, 12);
	assert_int_equal(parse("plan", "./12", &o), 0);
	assert_string_equal(o.file, "./12");
}

static void sizes(void **state)
{
	static const char *const bad[] = {
		"", "0", "0M", "5", "M", "-1M", "1K", "1.5G", "9999999G"
	};
	uint64_t v;

	(void)state;
	assert_int_equal(size_parse("800M", &v), 0);
	assert_int_equal(v, 800ull << 20);
	assert_int_equal(size_parse("3GiB", &v), 0);
	assert_int_equal(v, 3ull << 30);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!size_parse(bad[i], &v))
			fail_msg("'%s' is a size", bad[i]);
}

static void snapshot_options(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse("snapshot", "42", &o), 0);
	assert_int_equal(o.window_ns, 5 * NS_PER_S);
	assert_int_equal(o.max_stop_ns, 200 * NS_PER_MS);
	assert_int_equal(o.max_memory_bytes, 0);
	assert_false(o.prove || o.goroutines || o.has_fail_on);
	assert_int_equal(parse("snapshot",
			       "--window 0 --prove --max-stop 50ms --goroutines --format pprof "
			       "--profile heap "
			       "--fail-on high -o x 42",
			       &o),
			 0);
	assert_int_equal(o.window_ns, 0);
	assert_true(o.prove && o.goroutines && o.has_fail_on);
	assert_int_equal(o.max_stop_ns, 50 * NS_PER_MS);
	assert_int_equal(o.format, FORMAT_PPROF);
	assert_int_equal(o.profile, PROFILE_HEAP);
	assert_int_equal(o.fail_on, SEVERITY_HIGH);
	assert_int_equal(parse("leaks", "--prove --format json --max-memory 2G 42", &o), 0);
	assert_int_equal(o.max_memory_bytes, 2ull << 30);
	assert_int_equal(parse("diff", "a.json 42", &o), 0);
	assert_string_equal(o.file, "a.json");
	assert_string_equal(o.file2, "42");
}

static void wrong_usage(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"-5",
		"+5",
		"0x5",
		"5x",
		"4294967296",
		"99999999999999999999",
		"1 2",
		"1 --nosuch",
		"1 --for",
		"1 --for 5",
		"1 --for 0",
		"1 --every 1ms",
		"1 --only",
		"1 --only gc,",
		"1 --only ,gc",
		"1 --only GC",
		"1 --budget",
		"1 --budget x",
		"1 --exact=1",
		"1 --format",
		"1 --format html --slow 1s",
		"1 -x",
		"1 --until-exit=KILL",
		"1 --until-exit=",
		"1 --until-exit KILL",
		"1 --until-exit --only net",
		"1 --until-exit --slow 1s",
		"1 --fo 5s",
	};
	struct options o;
	size_t i;
	int keep = dup(STDERR_FILENO);

	(void)state;
	assert_non_null(freopen("/dev/null", "w", stderr));
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (parse("attach", bad[i], &o) != EXIT_USAGE)
			fail_msg("'attach %s' was taken", bad[i]);
	assert_int_equal(parse("list", "1", &o), EXIT_USAGE);
	assert_int_equal(parse("doctor", "--for 1s", &o), EXIT_USAGE);
	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	close(keep);
}

/* What a wrong option says on stderr, in a static buffer. */
static const char *complaint(const char *command, const char *args)
{
	static char text[1024];
	int keep = dup(STDERR_FILENO);
	FILE *f = tmpfile();
	struct options o;
	size_t n;

	assert_non_null(f);
	fflush(stderr);
	dup2(fileno(f), STDERR_FILENO);
	assert_int_equal(parse(command, args, &o), EXIT_USAGE);
	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	close(keep);
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void unknown_words_list_the_valid_ones(void **state)
{
	const char *text;

	(void)state;
	text = complaint("attach", "1 --only gc,alocs,net");
	assert_non_null(strstr(text, "unknown sensor 'alocs'"));
	for (int i = 0; i < SENSOR_COUNT; i++)
		assert_non_null(strstr(text, sensor_name((enum sensor)i)));
	assert_non_null(strstr(complaint("attach", "1 --format pprof"), "(valid: text|json|html)"));
	assert_non_null(strstr(complaint("lint", "f --format html"), "(valid: text|json)"));
	assert_non_null(strstr(complaint("snapshot", "1 --format x"), "text|json|html|pprof"));
	text = complaint("snapshot", "1 --fail-on bad");
	for (int i = SEVERITY_INFO; i <= SEVERITY_CRITICAL; i++)
		assert_non_null(strstr(text, severity_word[i]));
	assert_non_null(strstr(complaint("attach", ""), "'attach' needs a PID"));
}

/* Of the words that an option says it takes, each is taken; and its help speaks of no other. */
static void words_of_options(void **state)
{
	const struct command *c;
	int walked = 0;

	(void)state;
	for (c = commands; c->name; c++)
		for (int i = 0; i < OPT_COUNT; i++) {
			const struct option_def *d = &option_defs[i];
			char args[128], list[64], *word;
			struct options o;

			if (!(c->options & OPT_BIT(i)) || !d->arg || !strchr(d->arg, '|'))
				continue;
			snprintf(list, sizeof(list), "%s|x", d->arg);
			for (word = strtok(list, "|"); word; word = strtok(NULL, "|")) {
				bool last = !strcmp(word, "x");
				char *argv[] = { "1", args, "2" };

				snprintf(args, sizeof(args), "%s=%s", d->flag, word);
				if (last) {
					int keep = dup(STDERR_FILENO);

					assert_non_null(freopen("/dev/null", "w", stderr));
					assert_int_equal(options_parse(c, 1, argv + 1, &o),
							 EXIT_USAGE);
					fflush(stderr);
					dup2(keep, STDERR_FILENO);
					close(keep);
					continue;
				}
				if (options_parse(c, c->operand == OPERAND_NONE ? 1 : 2,
						  c->operand == OPERAND_NONE ? argv + 1 : argv, &o))
					fail_msg("%s does not take %s", c->name, args);
				if (!strcmp(d->flag, "--format"))
					assert_int_equal(o.format,
							 !strcmp(word, "json")    ? FORMAT_JSON
							 : !strcmp(word, "html")  ? FORMAT_HTML
							 : !strcmp(word, "pprof") ? FORMAT_PPROF
										  : FORMAT_TEXT);
				else
					assert_int_equal(o.profile,
							 !strcmp(word, "heap")     ? PROFILE_HEAP
							 : !strcmp(word, "allocs") ? PROFILE_ALLOCS
							 : !strcmp(word, "cpu")
								 ? PROFILE_CPU
								 : PROFILE_GOROUTINE);
				walked++;
			}
		}
	assert_true(walked > 20);
}

/* What is about a target is not in the help of a command that has none. */
static void help_speaks_of_the_command(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->name; c++)
		for (int i = 0; i < OPT_COUNT; i++)
			if (c->options & OPT_BIT(i) && c->operand == OPERAND_NONE &&
			    strstr(option_defs[i].help, "target"))
				fail_msg("%s %s: %s", c->name, option_defs[i].flag,
					 option_defs[i].help);
	assert_int_equal(strncmp(complaint("host", "--for 5s"), "gospect: ", 9), 0);
	assert_non_null(strstr(complaint("host", "--fail-on high"), "'--fail-on' is for --once"));
}

/* A profile is made of what it needs, whatever else is asked for. */
static void profiles_have_what_they_need(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse("snapshot", "42 --format pprof --profile heap --only gc", &o), 0);
	assert_true(o.sensors & SENSOR_BIT(SENSOR_ALLOC));
	assert_int_equal(parse("snapshot", "42 --format pprof --only gc", &o), 0);
	assert_int_equal(o.sensors, SENSOR_BIT(SENSOR_GC) | SENSOR_BIT(SENSOR_GOROUTINES));
	assert_int_equal(parse("snapshot", "42 --profile heap --only gc", &o), 0);
	assert_int_equal(o.sensors, SENSOR_BIT(SENSOR_GC));
}

/* What a command does begins in one column, however long its operands are. */
static void help_is_aligned(void **state)
{
	char *text = NULL, *line;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int lines = 0;

	(void)state;
	assert_non_null(f);
	help_all(f);
	fclose(f);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (strncmp(line, "  ", 2) || line[2] < 'a' || line[2] > 'z')
			continue;
		assert_true(strlen(line) > 24);
		if (line[22] != ' ' || line[23] == ' ')
			fail_msg("not aligned: %s", line);
		lines++;
	}
	assert_true(lines >= 7);
	free(text);
}

/* Every option of the table is in the help of its commands and in the manual. */
static void help_is_complete(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	const struct command *c;
	int i;

	(void)state;
	assert_non_null(f);
	for (c = commands; c->name; c++) {
		rewind(f);
		help_command(c, f);
		fputc('\0', f);
		fflush(f);
		for (i = 0; i < OPT_COUNT; i++)
			if (c->options & OPT_BIT(i))
				assert_non_null(strstr(text, option_defs[i].flag));
		assert_non_null(c->run);
	}
	rewind(f);
	help_man(f, "x");
	fputc('\0', f);
	fflush(f);
	for (c = commands; c->name; c++)
		assert_non_null(strstr(text, c->name));
	assert_non_null(strstr(text, ".SH EXIT STATUS"));
	fclose(f);
	free(text);
}

static void exit_statuses(void **state)
{
	(void)state;
	assert_int_equal(exit_status_of(-ENOEXEC), EXIT_NOT_GO);
	assert_int_equal(exit_status_of(-EBADMSG), EXIT_NOT_GO);
	assert_int_equal(exit_status_of(-ESRCH), EXIT_NOT_GO);
	assert_int_equal(exit_status_of(-EPERM), EXIT_NOT_PERMITTED);
	assert_int_equal(exit_status_of(-EACCES), EXIT_NOT_PERMITTED);
	assert_int_equal(exit_status_of(-ENOMEM), EXIT_FAILED);
	assert_int_equal(exit_status_of(0), EXIT_DONE);
}

static void human_numbers(void **state)
{
	char b[HUMAN_MAX];
	char c[HUMAN_MAX];

	(void)state;
	assert_string_equal(human_percent(0, 0, b), "0%");
	assert_string_equal(human_percent(0.02, 0, b), "<1%");
	assert_string_equal(human_percent(0.5, 2, b), "0.50%");
	assert_string_equal(human_percent(0.004, 2, b), "<0.01%");
	assert_string_equal(human_percent(0.04, 1, b), "<0.1%");
	assert_string_equal(human_percent(99.4, 0, b), "99%");
	assert_string_equal(human_percent(99.6, 0, b), ">99%");
	assert_string_equal(human_percent(100, 0, b), "100%");
	assert_string_equal(human_percent(250, 0, b), "250%");
	assert_string_equal(human_count(0, b), "0");
	assert_string_equal(human_count(999, b), "999");
	assert_string_equal(human_count(1204, b), "1,204");
	assert_string_equal(human_count(UINT64_MAX, b), "18,446,744,073,709,551,615");
	assert_string_equal(human_counted(1, "pass", c), "1 pass");
	assert_string_equal(human_counted(0, "pass", c), "0 passes");
	assert_string_equal(human_counted(1204, "GC cycle", c), "1,204 GC cycles");
	assert_string_equal(human_counted(2, "response body", c), "2 response bodies");
	assert_string_equal(human_counted(2, "key", c), "2 keys");
	assert_string_equal(human_counted(2, "switch", c), "2 switches");
	assert_string_equal(human_counted(2, "path", c), "2 paths");
	assert_string_equal(human_bytes(10485760, b), "10.0 MiB");
	assert_string_equal(human_bytes(512, b), "512 B");
	assert_string_equal(human_seconds(10681.2, b), "2h58m");
	assert_string_equal(human_seconds(14.2, b), "14.2s");
	assert_string_equal(human_seconds(0.00031, b), "310µs");
	assert_string_equal(human_seconds(90061, b), "1d01h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(percentages),
		cmocka_unit_test(attach_options),
		cmocka_unit_test(sizes),
		cmocka_unit_test(snapshot_options),
		cmocka_unit_test(wrong_usage),
		cmocka_unit_test(help_is_complete),
		cmocka_unit_test(unknown_words_list_the_valid_ones),
		cmocka_unit_test(help_is_aligned),
		cmocka_unit_test(words_of_options),
		cmocka_unit_test(help_speaks_of_the_command),
		cmocka_unit_test(profiles_have_what_they_need),
		cmocka_unit_test(exit_statuses),
		cmocka_unit_test(human_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
