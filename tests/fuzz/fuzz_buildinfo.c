/* SPDX-License-Identifier: BSD-2-Clause */
/* Build info: the input is what follows the magic, in a writable segment. */
#include <string.h>

#include "../unit/tiny_elf.h"
#include "in_memory.h"

static void check_terminated(const struct buildinfo *bi)
{
	if (strnlen(bi->version, sizeof(bi->version)) == sizeof(bi->version) ||
	    strnlen(bi->module, sizeof(bi->module)) == sizeof(bi->module) ||
	    strnlen(bi->main_path, sizeof(bi->main_path)) == sizeof(bi->main_path))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tiny t;
	struct buildinfo bi;
	struct image im;
	size_t end;

	if (size > TINY_MAX - 256)
		return 0;
	memset(&t, 0, sizeof(t));
	tiny_put_headers(&t);
	tiny_put(&t, 0, 2 * 56);
	tiny_align(&t, 16);
	tiny_text(&t, "\xff Go buildinf:", 14);
	tiny_text(&t, data, size);
	end = t.size;
	t.size = 64;
	tiny_put_phdr(&t, 5, 0, TINY_BASE, 64, 64);
	tiny_put_phdr(&t, 6, 64, TINY_DATA, end - 64, end);
	if (image_init_fd(&im, file_in_memory(t.data, end), NULL))
		abort();
	if (!buildinfo_read(&bi, &im) != bi.present)
		abort();
	check_terminated(&bi);
	image_deinit(&im);
	return 0;
}
