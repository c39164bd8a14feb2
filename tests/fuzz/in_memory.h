/* SPDX-License-Identifier: BSD-2-Clause */
/* A file in memory for fuzz targets, and what is asked of a program that opens. */
#ifndef GOSPECT_FUZZ_IN_MEMORY_H
#define GOSPECT_FUZZ_IN_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gobin/argslots.h"
#include "gobin/gobin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The one file of this process, filled anew. */
static inline int file_in_memory(const void *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	return fd;
}

static inline void ask_function(struct gobin *gb, const struct gofunc *f)
{
	struct argslots slots;
	struct goframe fr[16];
	uint64_t addr;
	int32_t v;

	for (int k = 0; k < 8; k++) {
		uint64_t pc = f->entry + (f->end - f->entry) * (uint64_t)k / 8;
		int n = pclntab_frames(gb->pcln, pc, k & 1, fr, 16);

		while (n-- > 0)
			if (!fr[n].function || !fr[n].path || !fr[n].file)
				abort();
		pclntab_frame_size(gb->pcln, pc, &v);
		pclntab_pcdata(gb->pcln, pc, k, &v);
		pclntab_funcdata(gb->pcln, pc, k, &addr);
		gobin_arg_slots(gb, pc, k & 1, &slots);
		gobin_arg_from_sp(gb, pc, 1, &v);
	}
	if (!gobin_start_name(gb, f->entry))
		abort();
	gobin_is_uncounted_start(gb, f->entry);
	gobin_go_place(gb, f->end, &fr[0]);
}

/* Opens it, asks everything there is to ask, closes it. */
static inline void ask_everything(int fd)
{
	static const char *const names[] = { "main.main", "runtime.newproc", "" };
	struct gofunc f, several[3];
	struct err err;
	struct gobin *gb;

	if (gobin_open_fd(&gb, fd, &err)) {
		if (gb || !err.what[0])
			abort();
		return;
	}
	for (int i = 0; i < pclntab_nfunc(gb->pcln) && i < 64; i++)
		if (!pclntab_func_at(gb->pcln, (uint32_t)i, &f))
			ask_function(gb, &f);
	pclntab_find_names(gb->pcln, names, 3, several);
	gobin_free(gb);
}

#endif
