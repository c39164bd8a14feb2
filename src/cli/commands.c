/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options.h"

const struct command commands[] = {
	{
		.name = "attach",
		.operand = OPERAND_PID,
		.run = cmd_attach,
		.summary = "a live report of a running Go process",
		.about =
			"Attaches to a running Go process and reports what it is doing: goroutines "
			"by creation site with their births and deaths, large allocations, garbage "
			"collection, CPU time, network time by host, requests in flight, database "
			"pools, findings. On a terminal it redraws a screen; into a pipe or file "
			"it prints one report per --every. Ctrl-C detaches and prints a last "
			"report, with all tables, of the time since the one before; Ctrl-Z removes "
			"the probes until it is resumed. Reports that nobody reads (a full pipe) "
			"are skipped, and the next one covers their time; at the end, a reader "
			"that takes nothing for 3 s is given up on, with status 1.",
		.options = OPT_BIT(OPT_FOR) | OPT_BIT(OPT_EVERY) | OPT_BIT(OPT_ONLY) |
			   OPT_BIT(OPT_BUDGET) | OPT_BIT(OPT_EXACT) | OPT_BIT(OPT_SLOW) |
			   OPT_BIT(OPT_UNTIL_EXIT) | OPT_BIT(OPT_FORMAT_ATTACH) |
			   OPT_BIT(OPT_OUTPUT) | OPT_BIT(OPT_REDACT_HOSTS) |
			   OPT_BIT(OPT_REDACT_KEY) | OPT_BIT(OPT_REDACT_MESSAGES) |
			   OPT_BIT(OPT_HELP),
	},
	{
		.name = "snapshot",
		.operand = OPERAND_PID,
		.run = cmd_snapshot,
		.summary = "one report of what is wrong and where, worst first",
		.about = "Observes a running Go process for --window and prints one report: ranked "
			 "findings, then every goroutine grouped by stack, the heap profile, "
			 "allocations, garbage collection, CPU time, network requests, database "
			 "pools and lock waits. The process is not stopped (except by --prove) and "
			 "nothing in it changes; with --window 0 no probes are armed.",
		.options =
			OPT_BIT(OPT_WINDOW) | OPT_BIT(OPT_ONLY) | OPT_BIT(OPT_PROVE) |
			OPT_BIT(OPT_MAX_STOP) | OPT_BIT(OPT_MAX_MEMORY) | OPT_BIT(OPT_GOROUTINES) |
			OPT_BIT(OPT_FORMAT_SNAPSHOT) | OPT_BIT(OPT_PROFILE) | OPT_BIT(OPT_RATE) |
			OPT_BIT(OPT_OUTPUT) | OPT_BIT(OPT_FAIL_ON) | OPT_BIT(OPT_REDACT_HOSTS) |
			OPT_BIT(OPT_REDACT_KEY) | OPT_BIT(OPT_REDACT_MESSAGES) | OPT_BIT(OPT_HELP),
	},
	{
		.name = "leaks",
		.operand = OPERAND_PID,
		.run = cmd_leaks,
		.summary = "every goroutine that can never run again",
		.about = "Lists the goroutines that nothing can wake any more, because nothing "
			 "that can still run reaches what they wait for. Without --prove the "
			 "process is not stopped, and a goroutine is listed when several passes "
			 "over its memory agree; with --prove the process is frozen for some "
			 "milliseconds while its memory is copied, and the verdict is certain. Go "
			 "1.20 and newer.",
		.options = OPT_BIT(OPT_PROVE) | OPT_BIT(OPT_MAX_STOP) | OPT_BIT(OPT_MAX_MEMORY) |
			   OPT_BIT(OPT_ALL) | OPT_BIT(OPT_FORMAT) | OPT_BIT(OPT_OUTPUT) |
			   OPT_BIT(OPT_HELP),
	},
	{
		.name = "lint",
		.operand = OPERAND_PID_OR_FILE,
		.run = cmd_lint,
		.summary = "mistakes that the machine code of an executable shows",
		.about = "Follows every path through the machine code of an executable and lists "
			 "the lines that return a typed nil: an error that is not nil although the "
			 "pointer in it is, so that 'if err != nil' is taken although nothing went "
			 "wrong. Only what is certain is reported; functions too complex to judge "
			 "are counted. Nothing is run or attached to, and a FILE needs no "
			 "privileges.",
		.options = OPT_BIT(OPT_STD) | OPT_BIT(OPT_FORMAT) | OPT_BIT(OPT_FAIL_ON) |
			   OPT_BIT(OPT_HELP),
	},
	{
		.name = "watch",
		.operand = OPERAND_PID_AND_WORDS,
		.run = cmd_watch,
		.summary = "data races on words of memory, by hardware watchpoints",
		.about =
			"Watches up to four words of a running process in slices, and tells which "
			"lines of which goroutines read and write them. Two threads that touch a "
			"word at the same time, one of them with a plain store, are a data race: "
			"that is a proof, whatever locks there are. WORD is main.cfg, "
			"main.cfg->Enabled, main.cfg->+24:1, 0xADDR, 0xADDR:LEN or file.go:31 (the "
			"variables that this line stores to). Without one, it looks for candidates "
			"in the program's code "
			"and sweeps over all of them. That nothing is found proves nothing: "
			"what was watched, and for how long, is said. An access that is seen "
			"takes some 10 µs, within --budget.",
		.options = OPT_BIT(OPT_FOR_WATCH) | OPT_BIT(OPT_BUDGET_WATCH) |
			   OPT_BIT(OPT_PROVE_WATCH) | OPT_BIT(OPT_FORMAT_WATCH) |
			   OPT_BIT(OPT_OUTPUT) | OPT_BIT(OPT_FAIL_ON) | OPT_BIT(OPT_HELP),
	},
	{
		.name = "diff",
		.operand = OPERAND_TWO_FILES,
		.run = cmd_diff,
		.summary = "two snapshots compared",
		.about = "Compares two reports of one program, written by 'gospect snapshot PID "
			 "--format json -o FILE': what appeared, grew, shrank or went away, by "
			 "finding, creation site, stack, function (CPU time), memory in use, host "
			 "and database pool.",
		.options = OPT_BIT(OPT_OUTPUT) | OPT_BIT(OPT_HELP),
	},
	{
		.name = "plan",
		.operand = OPERAND_PID_OR_FILE,
		.run = cmd_plan,
		.summary = "what would be probed, where and at what cost; attaches nothing",
		.about = "Prints every function that would be probed, with the instruction, its "
			 "cost class and the cost of a hit as measured on this machine now, or why "
			 "it cannot be probed. A FILE needs no privileges; the cost may then be "
			 "'not measured'.",
		.options = OPT_BIT(OPT_ONLY) | OPT_BIT(OPT_FORMAT) | OPT_BIT(OPT_HELP),
	},
	{
		.name = "list",
		.operand = OPERAND_NONE,
		.run = cmd_list,
		.summary = "the Go processes of this machine",
		.about = "Lists every Go process: pid, age, goroutines, Go release, container, "
			 "executable and module. What cannot be read without more privileges is "
			 "shown as '-'.",
		.options = OPT_BIT(OPT_FORMAT) | OPT_BIT(OPT_HELP),
	},
	{
		.name = "host",
		.operand = OPERAND_NONE,
		.run = cmd_host,
		.summary = "all Go processes of this machine, watched all the time",
		.about = "Finds every Go process as it starts, reads its memory now and then, and "
			 "reports what it sees: metrics for Prometheus and a page for people on "
			 "127.0.0.1:9464, metrics and findings by OTLP where configured, and a "
			 "line on standard output for each finding that opens, gets worse or "
			 "closes. A process that is suspicious has probes for a minute, one at a "
			 "time (probes.at_once of the configuration; 0: none); no process is "
			 "stopped. SIGHUP reloads the configuration; SIGTERM ends it. With --once "
			 "it watches for some seconds, "
			 "prints a table and exits. It is a program of its own, gospect-host, "
			 "which is looked for beside gospect.",
		.options = OPT_BIT(OPT_CONFIG) | OPT_BIT(OPT_SET) | OPT_BIT(OPT_CHECK) |
			   OPT_BIT(OPT_ONCE) | OPT_BIT(OPT_FOR_HOST) | OPT_BIT(OPT_FORMAT) |
			   OPT_BIT(OPT_FAIL_ON) | OPT_BIT(OPT_STATUS) | OPT_BIT(OPT_VERSION) |
			   OPT_BIT(OPT_HELP),
	},
	{
		.name = "spool",
		.operand = OPERAND_WORDS,
		.run = cmd_spool,
		.summary = "the snapshots that gospect host has kept",
		.about = "'gospect host' keeps a snapshot when a finding of severity high or worse "
			 "opens: the report with every goroutine by stack. 'ls' lists them, the "
			 "latest first; 'show ID' prints one as text, JSON or HTML (--format); "
			 "'diff ID ID' compares two of one program.",
		.options = OPT_BIT(OPT_DIR) | OPT_BIT(OPT_FORMAT_SPOOL) | OPT_BIT(OPT_OUTPUT) |
			   OPT_BIT(OPT_HELP),
	},
	{
		.name = "doctor",
		.operand = OPERAND_NONE,
		.run = cmd_doctor,
		.summary = "what this kernel and these privileges allow",
		.about = "Tests each kernel feature, privilege and library that matters and says "
			 "what works in full, what is limited, what is missing, why, and what to "
			 "do.",
		.options = OPT_BIT(OPT_FORMAT) | OPT_BIT(OPT_HELP),
	},
	{ .name = 0 },
};
