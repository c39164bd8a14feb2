/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/self.h"

#include <dirent.h>

#include "base/clock.h"
#include "proc/usage.h"

static uint64_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n > 3 ? n - 3 : 0; /* ".", "..", and the folder's own */
}

void self_read(struct view_self *s)
{
	uint64_t fds = count_fds(), rss = usage_self_rss();

	s->cpu_ns = clock_self_cpu_ns();
	if (rss)
		s->rss_bytes = rss;
	if (fds)
		s->open_fds = fds;
}
