/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the code in memory still the file's?  A debugger's or another tracer's
 * breakpoint, or code patched by whoever, is a reason to stay away: two
 * patches of one place undo each other in the wrong order.
 */
#include "trace/priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gobin/image.h"
#include "proc/mem.h"

/* Whether a probe of the plan has its place there: link-time address. */
static bool is_site(const struct trace *t, uint64_t addr)
{
	for (int i = 0; i < t->plan.n; i++)
		for (int k = 0; k < t->plan.probe[i].nsite; k++)
			if (t->plan.probe[i].site[k].addr == addr)
				return true;
	return false;
}

/*
 * The kernel shares one int3 among all uprobes of a place, so another
 * gospect's are no obstacle; a debugger's would be, but that needs ptrace.
 */
static bool are_shared_uprobes(struct trace *t, uint64_t entry, const uint8_t *file,
			       const uint8_t *mem, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (file[i] != mem[i] &&
		    (t->cfg.ptracer || mem[i] != 0xcc || !is_site(t, entry + i)))
			return false;
	t->found_armed = true;
	return true;
}

/* NULL, or why the function of this place must be left alone. */
static const char *compare(struct trace *t, const struct site *s, uint8_t *file, uint8_t *mem)
{
	uint64_t entry = s->addr - s->func_off;
	size_t len = s->func_size;

	if (len > SITE_MAX_CODE || s->func_off + s->len > len)
		return "its code could not be compared with the file's";
	if (image_pread(t->cfg.exe_fd, file, len, s->file_off - s->func_off) != (ssize_t)len)
		return "its code can no longer be read from the file";
	if (memcmp(file + s->func_off, s->bytes, s->len))
		return "the file was changed since it was read";
	if (mem_read(t->cfg.mem, entry + t->cfg.bias, mem, len))
		return "its code cannot be read from the process";
	if (memcmp(file, mem, len) && !are_shared_uprobes(t, entry, file, mem, len))
		return "its code in the process differs from the file: another tracer or a "
		       "debugger changed it";
	return NULL;
}

int verify_breakpoints(const struct trace *t)
{
	uint8_t byte;
	int n = 0;

	for (int i = 0; t->cfg.mem && i < t->plan.n; i++) {
		const struct probe *p = &t->plan.probe[i];

		for (int k = 0; k < p->nsite; k++)
			n += !mem_read(t->cfg.mem, p->site[k].addr + t->cfg.bias, &byte, 1) &&
			     byte == 0xcc && p->site[k].bytes[0] != 0xcc;
	}
	return n;
}

void verify_text(struct trace *t)
{
	uint8_t *buf = malloc(2 * SITE_MAX_CODE);

	/* The verdicts first: is_site() wants to know all places. */
	for (int i = 0; i < t->plan.n; i++) {
		struct probe *p = &t->plan.probe[i];
		const char *why = NULL;

		for (int k = 0; !why && k < p->nsite; k++)
			why = buf ? compare(t, &p->site[k], buf, buf + SITE_MAX_CODE)
				  : "its code could not be compared with the file's";
		if (why) {
			p->kind = SITE_NONE;
			snprintf(p->why, sizeof(p->why), "%s", why);
		}
	}
	for (int i = 0; i < t->plan.n; i++)
		if (t->plan.probe[i].kind == SITE_NONE)
			t->plan.probe[i].nsite = 0;
	free(buf);
}
