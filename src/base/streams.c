/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/streams.h"

#include <fcntl.h>
#include <unistd.h>

void streams_occupy(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}
