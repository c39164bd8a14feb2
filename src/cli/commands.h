/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands, one file each. Each returns the exit status. */
#ifndef GOSPECT_CLI_COMMANDS_H
#define GOSPECT_CLI_COMMANDS_H

struct options;

int cmd_attach(const struct options *o);
int cmd_snapshot(const struct options *o);
int cmd_leaks(const struct options *o);
int cmd_diff(const struct options *o);
int cmd_plan(const struct options *o);
int cmd_list(const struct options *o);
int cmd_doctor(const struct options *o);

#endif
