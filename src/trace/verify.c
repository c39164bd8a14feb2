/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the code in memory still the file's?  A debugger's or another tracer's
 * breakpoint, or code patched by whoever, is a reason to stay away: two
 * patches of one place undo each other in the wrong order.
 */
#include "trace/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/mem.h"

static int read_file(int fd, uint64_t off, uint8_t *dst, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, dst + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EBADMSG;
		done += (size_t)n;
	}
	return 0;
}

/*
 * The kernel shares one int3 among all uprobes of a place, so another
 * gospect's is no obstacle; a debugger's would be, but that needs ptrace.
 */
static bool is_shared_uprobe(const struct trace *t, const struct probe *p, const uint8_t *file,
			     const uint8_t *mem, size_t len)
{
	size_t at = p->func_off;

	return !t->cfg.ptracer && at < len && mem[at] == 0xcc &&
	       !memcmp(file, mem, at) && !memcmp(file + at + 1, mem + at + 1, len - at - 1);
}

static void refuse(struct probe *p, const char *why)
{
	snprintf(p->why, sizeof(p->why), "%s", why);
	p->kind = SITE_NONE;
}

static void compare(struct trace *t, struct probe *p, uint8_t *file, uint8_t *mem)
{
	size_t len = p->func_size;

	if (read_file(t->cfg.exe_fd, p->file_off - p->func_off, file, len)) {
		refuse(p, "its code can no longer be read from the file");
		return;
	}
	if (memcmp(file + p->func_off, p->bytes, p->len)) {
		refuse(p, "the file was changed since it was read");
		return;
	}
	if (mem_read(t->cfg.mem, p->addr - p->func_off + t->cfg.bias, mem, len)) {
		refuse(p, "its code cannot be read from the process");
		return;
	}
	if (memcmp(file, mem, len) && !is_shared_uprobe(t, p, file, mem, len))
		refuse(p, "its code in the process differs from the file: another tracer or a debugger changed it");
}

void verify_text(struct trace *t)
{
	uint8_t *buf = malloc(2 * SITE_MAX_CODE);
	int i;

	for (i = 0; i < t->plan.n; i++) {
		struct probe *p = &t->plan.probe[i];

		if (p->kind == SITE_NONE)
			continue;
		if (!buf || p->func_size > SITE_MAX_CODE || p->func_off + p->len > p->func_size)
			refuse(p, "its code could not be compared with the file");
		else
			compare(t, p, buf, buf + SITE_MAX_CODE);
	}
	free(buf);
}
