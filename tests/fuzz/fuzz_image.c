/* SPDX-License-Identifier: BSD-2-Clause */
/* A whole executable. */
#include "in_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buildinfo bi;
	int fd = file_in_memory(data, size);

	gobin_peek_fd(fd, &bi, NULL);
	ask_everything(fd);
	return 0;
}
