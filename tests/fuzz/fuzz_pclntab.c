/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pclntab: the input is put into an executable, with a moduledata that
 * agrees with what its header says, so that the tables behind are reached.
 * The input's first 64 bytes are the function data (inline trees).
 */
#include <string.h>

#include "../unit/tiny_elf.h"
#include "base/cursor.h"
#include "in_memory.h"

#define TREE_SIZE 64
#define MAX_TABLE 4096

static uint64_t gap(const uint8_t *header, size_t from, size_t to)
{
	return load_u64(header + to) - load_u64(header + from);
}

static void put_moduledata(struct tiny *t, const uint8_t *h, uint64_t header, uint64_t room)
{
	uint64_t nfunc = load_u64(h + 8), funcs = load_u64(h + 64), last = 0;

	t->moduledata = t->size;
	tiny_put(t, header, 8);
	tiny_put(t, 0, 592);
	if (funcs < room && nfunc < 1000 && room - funcs >= nfunc * 8 + 4)
		last = load_u32(h + funcs + nfunc * 8);
	tiny_set_slice(t, 8, header + load_u64(h + 32), gap(h, 32, 40));
	tiny_set_slice(t, 32, header + load_u64(h + 40), gap(h, 40, 48) / 4);
	tiny_set_slice(t, 56, header + load_u64(h + 48), gap(h, 48, 56));
	tiny_set_slice(t, 80, header + load_u64(h + 56), gap(h, 56, 64));
	tiny_set_slice(t, 104, header + funcs, room - funcs);
	tiny_set_slice(t, 128, header + funcs, nfunc + 1);
	tiny_set(t, t->moduledata + 160, TINY_TEXT, 8);
	tiny_set(t, t->moduledata + 168, TINY_TEXT + last, 8);
	tiny_set(t, t->moduledata + 176, TINY_TEXT, 8);
	tiny_set(t, t->moduledata + 184, TINY_TEXT + 0x10, 8);
	tiny_set(t, t->moduledata + 304, TINY_BASE + t->gofunc, 8);
	tiny_set(t, t->moduledata + 320, TINY_BASE + t->gofunc, 8);
	tiny_set(t, t->moduledata + 344, TINY_BASE + t->gofunc, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tiny t;
	size_t data_off, end;

	if (size < TREE_SIZE + 72 || size > MAX_TABLE)
		return 0;
	memset(&t, 0, sizeof(t));
	tiny_put_headers(&t);
	tiny_put(&t, 0, 2 * 56);
	while (t.size < TINY_TEXT - TINY_BASE + 0x200)
		tiny_put(&t, 0x90, 1);
	t.gofunc = t.size;
	tiny_text(&t, data, TREE_SIZE);
	t.pclntab = t.size;
	tiny_text(&t, data + TREE_SIZE, size - TREE_SIZE);
	tiny_align(&t, 64);
	data_off = t.size;
	put_moduledata(&t, t.data + t.pclntab, TINY_BASE + t.pclntab, data_off - t.pclntab);
	tiny_align(&t, 64);
	end = t.size;
	t.size = 64;
	tiny_put_phdr(&t, 5, 0, TINY_BASE, data_off, data_off);
	tiny_put_phdr(&t, 6, data_off, TINY_DATA, end - data_off, 0x1000);
	ask_everything(file_in_memory(t.data, end));
	return 0;
}
