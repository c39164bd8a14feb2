/* SPDX-License-Identifier: BSD-2-Clause */
/* Picks a command; nothing else. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/streams.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/output.h"
#include "host/privileges.h"
#include "report/document.h"
#include "report/report.h"
#include "trace/keeper.h"
#include "version.h"

/* What was printed must have arrived: the file may be full. */
static int printed(void)
{
	return ferror(stdout) || fclose(stdout) ? output_status(-errno) : EXIT_DONE;
}

static int print_schema(void)
{
	struct buf out;
	int err;

	buf_init(&out, 1u << 20);
	report_json_schema(&out);
	err = out.err;
	if (err)
		msg_error("cannot make the schema: %s", strerror(-err));
	else
		fputs(out.data, stdout);
	buf_deinit(&out);
	return err ? EXIT_FAILED : printed();
}

int main(int argc, char **argv)
{
	const struct command *c;
	struct options o;
	int status;

	streams_occupy();
	/* another program may have what its file gives it */
	if (argc < 2 || strcmp(argv[1], "host"))
		privileges_begin();
	if (argc < 2) {
		help_all(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help_all(stdout);
		return printed();
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
		printf("gospect %s\nreport schema %s\n", GOSPECT_VERSION, REPORT_SCHEMA);
		return printed();
	}
	if (!strcmp(argv[1], "--schema"))
		return print_schema();
	c = command_find(argv[1]);
	if (!c) {
		msg_error("unknown command '%s'", argv[1]);
		msg_hint("see 'gospect --help'");
		return EXIT_USAGE;
	}
	status = options_parse(c, argc - 2, argv + 2, &o);
	if (status)
		return status;
	if (o.help) {
		if (c->run == cmd_host)
			host_help(argv);
		help_command(c, stdout);
		return printed();
	}
	o.argv = argv;
	status = c->run(&o);
	msg_end();
	keeper_stop();
	return status;
}
