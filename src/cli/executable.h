/* SPDX-License-Identifier: BSD-2-Clause */
/* The executable that the operand PID or FILE means. */
#ifndef GOSPECT_CLI_EXECUTABLE_H
#define GOSPECT_CLI_EXECUTABLE_H

#include "base/err.h"
#include "cli/options.h"

struct gobin;

/* As gobin_open(). */
int executable_open(const struct options *o, struct gobin **gb, struct err *err);

#endif
