/* SPDX-License-Identifier: BSD-2-Clause */
/* A program that is not Go: prints READY and sleeps until its standard input ends. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	char c;

	printf("READY pid=%d\n", (int)getpid());
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
