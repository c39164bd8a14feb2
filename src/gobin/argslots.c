/* SPDX-License-Identifier: BSD-2-Clause */
#include "gobin/argslots.h"

#include <errno.h>

#include "gobin/gobin.h"

/* internal/abi/symtab.go, all releases. */
#define PCDATA_ARG_LIVE_INDEX 3
#define FUNCDATA_ARG_INFO 5
#define FUNCDATA_ARG_LIVE_INFO 6

/* The bytes of FUNCDATA_ArgInfo: runtime/traceback.go, printArgs(). */
enum {
	ARGS_SPECIAL = 0xf0,	/* below it offsets, each followed by a size */
	ARGS_OFFSET_TOO_LARGE = 0xfb,
	ARGS_DOTDOTDOT = 0xfc,
	ARGS_END_AGG = 0xfd,
	ARGS_START_AGG = 0xfe,
	ARGS_END = 0xff,
	ARGS_MAX_BYTES = (5 * 3 + 2) * 10 + 1	/* abi.TraceArgsMaxLen */
};

/* One word of the arguments. */
struct argword {
	uint8_t off, size;
	uint8_t slot;		/* its bit in the liveness bitmaps */
	bool tracked;		/* it has one */
};

/* The n-th word; start: lowest offset that has a bit (0xff: none has). */
static int find_word(struct gobin *gb, uint64_t info, uint8_t start, unsigned int n, struct argword *w)
{
	uint8_t slot = 0, op, size;
	unsigned int i, word = 0;

	for (i = 0; i < ARGS_MAX_BYTES; i++) {
		if (image_read_addr(&gb->image, info + i, &op, 1))
			return -EBADMSG;
		if (op == ARGS_END || op == ARGS_DOTDOTDOT)
			return -ENOENT;
		if (op == ARGS_START_AGG || op == ARGS_END_AGG)
			continue;
		if (op == ARGS_OFFSET_TOO_LARGE) {
			if (word++ == n)
				return -ENOENT;
			continue;
		}
		if (op >= ARGS_SPECIAL || image_read_addr(&gb->image, info + ++i, &size, 1))
			return -EBADMSG;
		if (word++ == n) {
			*w = (struct argword){ op, size, slot, op >= start };
			return 0;
		}
		slot += op >= start;
	}
	return -EBADMSG;
}

/* Whether the slot is filled: the bitmap of this pc, or all when there is none. */
static int check_live(struct gobin *gb, uint64_t live, uint64_t pc, const struct argword *w)
{
	int32_t index;
	uint8_t bits;
	int err;

	err = pclntab_pcdata(gb->pcln, pc, PCDATA_ARG_LIVE_INDEX, &index);
	if (err)
		return err;
	if (!w->tracked || index <= 0)
		return 0;
	if (image_read_addr(&gb->image, live + (uint32_t)index + w->slot / 8, &bits, 1))
		return -EBADMSG;
	return bits & (1u << (w->slot % 8)) ? 0 : -ENOENT;
}

int gobin_arg_slot(struct gobin *gb, uint64_t pc, bool is_return, unsigned int n, int32_t *off)
{
	uint64_t at = is_return ? pc - 1 : pc, info, live = 0;
	uint8_t start = 0xff;
	struct argword w;
	int err;

	err = pclntab_funcdata(gb->pcln, at, FUNCDATA_ARG_INFO, &info);
	if (err)
		return err;
	err = pclntab_funcdata(gb->pcln, at, FUNCDATA_ARG_LIVE_INFO, &live);
	if (err && err != -ENOENT)
		return err;
	if (!err && image_read_addr(&gb->image, live, &start, 1))
		return -EBADMSG;
	err = find_word(gb, info, start, n, &w);
	if (!err && w.size != 8)
		err = -ENOENT;
	if (!err && live)
		err = check_live(gb, live, at, &w);
	if (!err)
		*off = w.off;
	return err;
}

int gobin_arg_from_sp(struct gobin *gb, uint64_t pc, unsigned int n, int32_t *off)
{
	int32_t slot, frame;
	int err = gobin_arg_slot(gb, pc, false, n, &slot);

	if (!err)
		err = pclntab_frame_size(gb->pcln, pc, &frame);
	if (!err)
		*off = frame + (int32_t)sizeof(uint64_t) + slot;	/* the return address between them */
	return err;
}
