/* SPDX-License-Identifier: BSD-2-Clause */
/* What a text says and what not. */
#ifndef GOSPECT_TESTS_HAS_H
#define GOSPECT_TESTS_HAS_H

#include <stdio.h>
#include <string.h>

static inline void has(const char *all, const char *words)
{
	if (!strstr(all, words)) {
		printf("%s\n", all); /* fail_msg() cuts */
		fail_msg("'%s' is not in it", words);
	}
}

static inline void has_not(const char *all, const char *words)
{
	if (strstr(all, words))
		fail_msg("'%s' is in it", words);
}

#endif
