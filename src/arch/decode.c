/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/decode.h"

#include "base/vec.h"
#include "arch/amd64.h"

static const struct arch *const archs[] = { &arch_amd64 };

const struct arch *arch_find(uint16_t elf_machine)
{
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++)
		if (archs[i]->elf_machine == elf_machine)
			return archs[i];
	return NULL;
}

const char *insn_class_name(enum insn_class c)
{
	static const char *const names[INSN_CLASS_COUNT] = {
		[INSN_PUSH] = "push",       [INSN_JCC] = "jcc", [INSN_JMP] = "jmp",
		[INSN_CALL] = "call",       [INSN_NOP] = "nop", [INSN_STEPPED] = "stepped",
		[INSN_REFUSED] = "refused",
	};

	return (unsigned int)c < INSN_CLASS_COUNT ? names[c] : "?";
}

const char *insn_class_run(enum insn_class c)
{
	if (c == INSN_REFUSED)
		return "refused";
	return c == INSN_STEPPED ? "stepped" : "emulated";
}
