/* SPDX-License-Identifier: BSD-2-Clause */
#include "prove/stackmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"

/* internal/abi/symtab.go, the same in 1.18 to 1.27 */
#define PCDATA_STACK_MAP_INDEX 1
#define FUNCDATA_ARGS          0
#define FUNCDATA_LOCALS        1
#define FUNCDATA_STACK_OBJECTS 2
#define FLAG_TOP_FRAME         1
#define FLAG_SP_WRITE          2
#define ARGS_UNKNOWN           INT32_MIN /* abi.ArgsSizeUnknown, -0x80000000 */

#define MAX_FRAMES        65536       /* pcs remembered */
#define MAX_BITS          (16u << 20) /* bytes of masks */
#define MAX_OBJECTS       (1u << 20)
#define MAX_FRAME_OBJECTS 65536
#define MAX_MAP_BYTES     (1u << 20) /* of one mask: 64 MB of stack */

void stackmaps_init(struct stackmaps *m, struct gobin *gb)
{
	memset(m, 0, sizeof(*m));
	m->gb = gb;
	u64map_init(&m->by_pc, MAX_FRAMES + 1);
}

void stackmaps_deinit(struct stackmaps *m)
{
	u64map_deinit(&m->by_pc);
	free(m->frame);
	free(m->bits);
	free(m->object);
	memset(m, 0, sizeof(*m));
}

void stackmaps_trim(struct stackmaps *m)
{
	if (m->nframe < MAX_FRAMES && m->nbits < MAX_BITS && m->nobject < MAX_OBJECTS)
		return;
	u64map_clear(&m->by_pc);
	m->nframe = m->nbits = m->nobject = 0;
}

/* Copies n bytes of the image into bits: their place, or STACKMAP_NONE. */
static uint32_t keep_bits(struct stackmaps *m, uint64_t addr, size_t n)
{
	uint32_t at = (uint32_t)m->nbits;

	if (n > MAX_MAP_BYTES)
		return STACKMAP_NONE;
	if (array_grow(&m->bits, m->nbits + n, &m->bits_cap, 1) ||
	    image_read_addr(&m->gb->image, addr, m->bits + at, n))
		return STACKMAP_NONE;
	m->nbits += n;
	return at;
}

/* runtime.stackmap: n bitmaps of nbit bits.  False: none fits. */
static bool read_map(struct stackmaps *m, uint64_t pc, int which, int32_t index, uint32_t *mask,
		     uint32_t *nbits)
{
	uint64_t addr;
	uint8_t head[8];
	uint32_t n, nbit, bytes;

	*mask = STACKMAP_NONE;
	*nbits = 0;
	if (pclntab_funcdata(m->gb->pcln, pc, which, &addr) ||
	    image_read_addr(&m->gb->image, addr, head, sizeof(head)))
		return false;
	n = load_u32(head);
	nbit = load_u32(head + 4);
	if (!n || n > INT32_MAX || nbit > 8 * MAX_MAP_BYTES)
		return false;
	if (!nbit)
		return true;
	if (index < 0 || (uint32_t)index >= n)
		return false;
	bytes = (nbit + 7) / 8;
	*mask = keep_bits(m, addr + 8 + (uint64_t)(uint32_t)index * bytes, bytes);
	if (*mask == STACKMAP_NONE)
		return false;
	*nbits = nbit;
	return true;
}

static int add_object(struct stackmaps *m, const uint8_t *raw)
{
	/* off, size, ptrBytes, gcdataoff: 1.18 to 1.27 */
	int32_t ptr_bytes = (int32_t)load_u32(raw + 8);
	struct stackobj o = {
		.off = (int32_t)load_u32(raw),
		.size = load_u32(raw + 4),
		.mask = STACKMAP_NONE,
	};

	if (array_room(&m->object, m->nobject, &m->object_cap, sizeof(*m->object)))
		return -ENOMEM;
	o.ptr_bytes = o.size; /* negative up to 1.23: a GC program; any word may be a pointer */
	if (ptr_bytes >= 0 && (uint32_t)ptr_bytes <= o.size) {
		o.ptr_bytes = (uint32_t)ptr_bytes;
		if (ptr_bytes)
			o.mask = keep_bits(m, m->gb->mod.rodata + load_u32(raw + 12),
					   ((uint32_t)ptr_bytes / 8 + 7) / 8);
	}
	m->object[m->nobject++] = o;
	return 0;
}

static int read_objects(struct stackmaps *m, uint64_t pc, struct framemap *f)
{
	uint8_t raw[16], head[8];
	uint64_t addr, n;

	f->first_object = (uint32_t)m->nobject;
	if (pclntab_funcdata(m->gb->pcln, pc, FUNCDATA_STACK_OBJECTS, &addr))
		return 0;
	if (image_read_addr(&m->gb->image, addr, head, sizeof(head)))
		return -EBADMSG;
	n = load_u64(head);
	if (n > MAX_FRAME_OBJECTS)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i++)
		if (image_read_addr(&m->gb->image, addr + 8 + 16 * i, raw, sizeof(raw)) ||
		    add_object(m, raw))
			return -EBADMSG;
	f->nobjects = (uint32_t)n;
	return 0;
}

/* stkframe.go, getStackMap */
static int read_frame(struct stackmaps *m, const struct gofunc *fn, uint64_t pc, struct framemap *f)
{
	int32_t index = -1;
	int32_t args = fn->args_size;

	/* before the first instruction the map is that of the entry */
	if (pc != fn->entry && pclntab_pcdata(m->gb->pcln, pc - 1, PCDATA_STACK_MAP_INDEX, &index))
		return -EBADMSG;
	if (index == -1)
		index = 0;
	f->no_locals = !read_map(m, pc, FUNCDATA_LOCALS, index, &f->locals, &f->nlocals);
	if (args == ARGS_UNKNOWN) {
		f->unknown_args = !strcmp(fn->name, "reflect.makeFuncStub") ||
				  !strcmp(fn->name, "reflect.methodValueCall");
		args = 0;
	}
	if (args < 0)
		return -EBADMSG;
	f->args_bytes = (uint32_t)args / 8 * 8;
	if (f->args_bytes)
		f->no_args = !read_map(m, pc, FUNCDATA_ARGS, index, &f->args, &f->nargs);
	return read_objects(m, pc, f);
}

static bool read_pc(struct stackmaps *m, uint64_t pc, struct framemap *f)
{
	const struct layout *l = m->gb->layout;
	struct gofunc fn;

	memset(f, 0, sizeof(*f));
	if (pclntab_find_pc(m->gb->pcln, pc, &fn) ||
	    pclntab_frame_size(m->gb->pcln, pc, &f->size) || f->size % 8)
		return false;
	f->top = fn.flag & FLAG_TOP_FRAME;
	/* cgocallback writes SP, but keeps both stacks valid (traceback.go) */
	f->sp_write = (fn.flag & FLAG_SP_WRITE) && strcmp(fn.name, "runtime.cgocallback");
	f->sigpanic = fn.func_id == l->func_id_sigpanic;
	f->injected =
		fn.func_id == l->func_id_asyncpreempt || !strncmp(fn.name, "runtime.debugCall", 17);
	return !read_frame(m, &fn, pc, f);
}

const struct framemap *stackmaps_at(struct stackmaps *m, uint64_t pc)
{
	uint64_t *known = u64map_find(&m->by_pc, pc);

	if (known)
		return *known ? &m->frame[*known - 1] : NULL;
	if (array_room(&m->frame, m->nframe, &m->frame_cap, sizeof(*m->frame)))
		return NULL;
	if (!read_pc(m, pc, &m->frame[m->nframe])) {
		u64map_put(&m->by_pc, pc, 0, NULL);
		return NULL;
	}
	u64map_put(&m->by_pc, pc, m->nframe + 1, NULL); /* full: looked up anew */
	return &m->frame[m->nframe++];
}
