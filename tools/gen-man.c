/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints the manual page from the same tables that parse the command line. */
#include "cli/options.h"
#include "version.h"

int main(void)
{
	help_man(stdout, GOSPECT_VERSION);
	return 0;
}
