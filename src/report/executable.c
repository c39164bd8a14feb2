/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/executable.h"

#include <stddef.h>

#include "gobin/gobin.h"

static const char *or_null(const char *s)
{
	return s[0] ? s : NULL;
}

struct executable_facts executable_facts(const struct gobin *gb)
{
	return (struct executable_facts){
		.go = gb->build.release.minor ? or_null(gb->build.version) : NULL,
		.arch = gb->arch ? gb->arch->name : NULL,
		.build_id = or_null(gb->image.go_build_id),
		.module = or_null(gb->build.module),
		.module_version = or_null(gb->build.module_version),
		.stripped = gb->image.is_stripped,
		.pie = gb->image.is_pie,
	};
}
