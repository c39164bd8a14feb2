/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine code, decoded from its start as a function is. */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "in_memory.h"

static void check(const struct insn *in, size_t left, uint64_t addr)
{
	if (!in->len || in->len > 15 || in->len > left || in->addr != addr)
		abort();
	if (in->klass >= INSN_CLASS_COUNT || !insn_class_name(in->klass) ||
	    !insn_class_run(in->klass))
		abort();
	if (!in->text[0] || strnlen(in->text, sizeof(in->text)) == sizeof(in->text))
		abort();
	if ((in->klass == INSN_JMP || in->klass == INSN_JCC || in->klass == INSN_CALL) &&
	    in->flow == FLOW_NEXT)
		abort();
	if (in->data == DATA_NONE && in->data_addr)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct arch *arch = arch_find(EM_X86_64);
	struct insn in;
	size_t pos;
	int err;

	for (pos = 0; pos < size; pos += in.len) {
		err = arch->decode(data + pos, size - pos, 0x400000 + pos, true, &in);
		if (err == -EBADMSG || err == -ENODATA)
			break;
		if (err)
			abort();
		check(&in, size - pos, 0x400000 + pos);
	}
	return 0;
}
