/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect lint: what the machine code of an executable shows. */
#include <string.h>

#include "base/clock.h"
#include "cli/executable.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/output.h"
#include "gobin/gobin.h"
#include "host/privileges.h"
#include "report/lint.h"

#define LINT_MAX_NS (60 * NS_PER_S) /* what is not reached by then is counted */

static int judge(const struct options *o, struct gobin *gb, struct output *out)
{
	struct lint_options how = { .std = o->std, .max_ns = LINT_MAX_NS };
	struct lint_report r = { 0 };
	struct err err = { 0 };
	int status;

	r.pid = (int)o->pid;
	r.file = o->file;
	r.of = executable_facts(gb);
	if (lint_run(&r.lint, gb, &how, &err)) {
		status = msg_fail(&err);
	} else {
		lint_find(&r.lint, &r.findings);
		r.partial = r.lint.too_complex || r.lint.partly || r.lint.not_reached ||
			    r.lint.senders_unjudged;
		if (o->format == FORMAT_JSON)
			report_lint_json(&r, &out->buf);
		else
			report_lint_text(&r, &out->text, &out->buf);
		status = output_status(output_write(out, &out->buf));
		if (status == EXIT_DONE && o->has_fail_on &&
		    findings_reach(&r.findings, o->fail_on))
			status = EXIT_FOUND;
	}
	findings_deinit(&r.findings);
	lint_deinit(&r.lint);
	return status;
}

int cmd_lint(const struct options *o)
{
	struct err err = { 0 };
	struct gobin *gb = NULL;
	struct output out;
	int status;

	status = output_open(&out, o);
	if (status != EXIT_DONE)
		return status;
	privileges_drop(PRIVILEGE_READ);
	status = executable_open(o, &gb, &err) ? msg_fail(&err) : judge(o, gb, &out);
	gobin_free(gb);
	return output_close(&out, status);
}
