/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The formats are those of the compiler (cmd/compile/internal/ssagen,
 * EmitArgInfo; liveness/arg.go) and of the runtime's printArgs, the same in
 * 1.18 to 1.27.
 */
#include "gobin/argslots.h"

#include <errno.h>

#include "base/cursor.h"
#include "gobin/gobin.h"

/* internal/abi/symtab.go */
#define PCDATA_ARG_LIVE_INDEX  3
#define FUNCDATA_ARG_INFO      5
#define FUNCDATA_ARG_LIVE_INFO 6
#define ARGS_END_SEQ           0xff
#define ARGS_START_AGG         0xfe
#define ARGS_END_AGG           0xfd
#define ARGS_DOTDOTDOT         0xfc
#define ARGS_OFFSET_TOO_LARGE  0xfb
#define ARGS_SPECIAL           0xf0
/* TraceArgsMaxLen: (maxDepth * 3 + 2) * limit + 1 */
#define ARGS_MAX_BYTES 171

/* Which spill slots are filled. */
struct liveness {
	bool known;      /* false: all of them */
	uint8_t start;   /* smaller offsets are always filled */
	uint8_t bits[2]; /* at most 10 slots are described */
};

/* Up to max bytes at a link-time address: as many as the file has there. */
static size_t read_some(struct gobin *gb, uint64_t addr, uint8_t *out, size_t max)
{
	size_t n = max;

	while (n && image_read_addr(&gb->image, addr, out, n))
		n--;
	return n;
}

/*
 * -1 stands for "all" and, at first, for the function's first instructions,
 * which have not stored anything yet: whoever stands there has not been called
 * through them, but for morestack, around which they are all stored.
 */
static int read_liveness(struct gobin *gb, uint64_t pc, bool is_probe, struct liveness *l)
{
	uint64_t addr, since;
	struct gofunc fn;
	int32_t index;
	int err = pclntab_funcdata(gb->pcln, pc, FUNCDATA_ARG_LIVE_INFO, &addr);

	*l = (struct liveness){ .known = false };
	if (err)
		return err == -ENOENT ? 0 : err;
	err = pclntab_pcdata_since(gb->pcln, pc, PCDATA_ARG_LIVE_INDEX, &index, &since);
	if (!err)
		err = pclntab_find_pc(gb->pcln, pc, &fn);
	if (err)
		return err;
	if (index <= 0)
		return is_probe && since == fn.entry ? -ENOENT : 0;
	l->known = true;
	if (image_read_addr(&gb->image, addr, &l->start, 1) ||
	    !read_some(gb, addr + (uint32_t)index, l->bits, sizeof(l->bits)))
		return -EBADMSG;
	return 0;
}

static bool is_filled(const struct liveness *l, uint8_t off, unsigned int slot)
{
	if (!l->known || off < l->start)
		return true;
	return slot < 8 * sizeof(l->bits) && l->bits[slot / 8] & 1u << slot % 8;
}

/* As printArgs() walks it. */
static int read_words(const uint8_t *info, size_t len, const struct liveness *l, struct argslots *s)
{
	unsigned int word = 0, slot = 0;
	struct cursor c;

	cursor_init(&c, info, len);
	for (;;) {
		uint8_t op = cursor_u8(&c), size;

		if (c.bad)
			return -EBADMSG;
		if (op == ARGS_END_SEQ ||
		    op == ARGS_DOTDOTDOT) /* behind it words cannot be counted */
			return 0;
		if (op == ARGS_START_AGG || op == ARGS_END_AGG)
			continue;
		if (op == ARGS_OFFSET_TOO_LARGE) {
			word++;
			continue;
		}
		size = cursor_u8(&c);
		if (op >= ARGS_SPECIAL || c.bad || word >= ARGSLOT_WORDS)
			return -EBADMSG;
		if (size <= 8 && is_filled(l, op, slot)) {
			s->off[word] = op;
			s->size[word] = size;
		}
		if (!l->known || op >= l->start)
			slot++;
		word++;
	}
}

static int learn(struct gobin *gb, uint64_t pc, bool is_probe, struct argslots *s)
{
	uint8_t info[ARGS_MAX_BYTES];
	struct liveness l;
	uint64_t addr;
	int err;

	for (int i = 0; i < ARGSLOT_WORDS; i++)
		s->off[i] = ARGSLOT_NONE;
	err = pclntab_funcdata(gb->pcln, pc, FUNCDATA_ARG_INFO, &addr);
	if (!err)
		err = read_liveness(gb, pc, is_probe, &l);
	if (err)
		return err;
	return read_words(info, read_some(gb, addr, info, sizeof(info)), &l, s);
}

/* Filled at the instruction before, and at this one. */
static int learn_innermost(struct gobin *gb, uint64_t pc, struct argslots *s)
{
	struct argslots before;
	struct gofunc fn;
	int err = pclntab_find_pc(gb->pcln, pc, &fn);

	if (!err && pc == fn.entry) /* it has not begun: nothing is stored yet */
		err = -ENOENT;
	if (!err)
		err = learn(gb, pc, false, s);
	if (!err)
		err = learn(gb, pc - 1, false, &before);
	for (int i = 0; i < ARGSLOT_WORDS && !err; i++)
		if (before.off[i] == ARGSLOT_NONE)
			s->off[i] = ARGSLOT_NONE;
	return err;
}

int gobin_arg_slots(struct gobin *gb, uint64_t pc, bool is_return, struct argslots *out)
{
	return is_return ? learn(gb, pc - 1, false, out) : learn_innermost(gb, pc, out);
}

static int whole_word(const struct argslots *s, unsigned int n, int32_t *off)
{
	if (n >= ARGSLOT_WORDS || s->off[n] == ARGSLOT_NONE || s->size[n] != 8)
		return -ENOENT;
	*off = s->off[n];
	return 0;
}

int gobin_arg_from_sp(struct gobin *gb, uint64_t pc, unsigned int n, int32_t *off)
{
	struct argslots s;
	int32_t size;
	int err = learn(gb, pc, true, &s);

	if (!err)
		err = whole_word(&s, n, off);
	if (!err)
		err = pclntab_frame_size(gb->pcln, pc, &size);
	if (!err && !size) /* the frame is not made yet, or not any more */
		err = -ENOENT;
	if (!err)
		*off += size + 8; /* the return address between them */
	return err;
}
