/* SPDX-License-Identifier: BSD-2-Clause */
#include "gobin/pclntab.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "gobin/image.h"
#include "gobin/pclntab_priv.h"

#define MAX_INTERNED  (32u << 20) /* bytes of strings; full: -ENOSPC */
#define MAX_STRINGS   (1u << 18)
#define MAX_STRING    65535u /* bytes of one name; Go's are below 4 KiB */
#define MAX_NAMES     4096   /* remembered answers of find_names */
#define CHUNK_SIZE    (128u << 10)
#define SCAN_SIZE     (128u << 10) /* past the block cache */
#define FUNC_SIZE_118 40           /* runtime._func without pcdata and funcdata */
#define FUNC_SIZE_120 44
#define MAX_PCDATA    64 /* tables of a function; Go has 5 */

struct pcl_chunk {
	struct pcl_chunk *next;
	size_t used, size;
	char data[];
};

int pcl_read(struct pclntab *p, const struct pcregion *r, uint64_t pos, void *dst, size_t len)
{
	if (pos > r->size || len > r->size - pos)
		return -EBADMSG;
	return image_read(p->im, r->off + pos, dst, len);
}

/* Room for n bytes in the string store. */
static char *store_alloc(struct pclntab *p, size_t n)
{
	struct pcl_chunk *c = p->chunks;
	char *s;

	if (!c || c->size - c->used < n) {
		size_t size = n > CHUNK_SIZE ? n : CHUNK_SIZE;

		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		*c = (struct pcl_chunk){ .next = p->chunks, .size = size };
		p->chunks = c;
	}
	s = c->data + c->used;
	c->used += n;
	p->interned += n;
	return s;
}

/* Appends the C string's bytes at pos to buf; 0 with *len set, NUL excluded. */
static int read_cstring(struct pclntab *p, const struct pcregion *r, uint64_t pos, char *buf,
			size_t size, size_t *len)
{
	size_t n = 0;

	while (n < size && pos < r->size) {
		size_t step = size - n < 128 ? size - n : 128;
		char *nul;
		int err;

		if (step > r->size - pos)
			step = r->size - pos;
		err = pcl_read(p, r, pos, buf + n, step);
		if (err)
			return err;
		nul = memchr(buf + n, 0, step);
		if (nul) {
			*len = (size_t)(nul - buf);
			return 0;
		}
		n += step;
		pos += step;
	}
	return -EBADMSG;
}

/* Names and paths go to people's terminals: no control characters. */
static void copy_printable(char *dst, const char *src, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)src[i];

		dst[i] = c < 0x20 || c == 0x7f ? '?' : src[i];
	}
	dst[len] = '\0';
}

static int intern(struct pclntab *p, uint64_t key, const char *s, size_t len, const char **out)
{
	char *copy;

	if (p->interned + len + 1 > MAX_INTERNED || p->strings.len >= MAX_STRINGS)
		return -ENOSPC;
	copy = store_alloc(p, len + 1);
	if (!copy || !u64map_put(&p->strings, key, (uintptr_t)copy, NULL))
		return -ENOMEM;
	copy_printable(copy, s, len);
	*out = copy;
	return 0;
}

int pcl_string(struct pclntab *p, const struct pcregion *r, uint32_t off, const char **out)
{
	uint64_t key = (uint64_t)(r == &p->names) << 32 | off;
	uint64_t *found = u64map_find(&p->strings, key);
	char small[512], *big;
	size_t len;
	int err;

	if (found) {
		*out = (const char *)(uintptr_t)*found;
		return 0;
	}
	err = read_cstring(p, r, off, small, sizeof(small), &len);
	if (!err)
		return intern(p, key, small, len, out);
	if (err != -EBADMSG)
		return err;
	big = malloc(MAX_STRING);
	if (!big)
		return -ENOMEM;
	err = read_cstring(p, r, off, big, MAX_STRING, &len);
	if (!err)
		err = intern(p, key, big, len, out);
	free(big);
	return err;
}

/* runtime/symtab.go, funcNamePiecesForPrint() */
int pcl_name(struct pclntab *p, uint32_t off, const char **out)
{
	uint64_t key = 2ull << 32 | off, *found;
	const char *open, *close;
	char *shown;
	size_t head;
	int err = pcl_string(p, &p->names, off, out);

	if (err || !(open = strchr(*out, '[')) || !(close = strrchr(open, ']')))
		return err;
	found = u64map_find(&p->strings, key);
	if (found) {
		*out = (const char *)(uintptr_t)*found;
		return 0;
	}
	head = (size_t)(open - *out);
	shown = malloc(head + strlen(close) + 8);
	if (!shown)
		return -ENOMEM;
	memcpy(shown, *out, head);
	strcpy(shown + head, "[...");
	strcat(shown + head, close);
	err = intern(p, key, shown, strlen(shown), out);
	free(shown);
	return err;
}

static uint32_t entry_off(const struct pclntab *p, uint32_t i)
{
	return load_u32(p->ftab + (size_t)i * 8);
}

/* Never from _func.entryOff, which garble scrambles: ftab is what the runtime itself searches. */
static int pcl_func(struct pclntab *p, uint32_t index, struct funcrec *f)
{
	const size_t fixed = p->old_func ? FUNC_SIZE_118 : FUNC_SIZE_120;
	uint64_t pos;
	uint8_t raw[FUNC_SIZE_120];
	struct cursor c;
	int err;

	if (index >= p->nfunc)
		return -ENOENT;
	pos = load_u32(p->ftab + (size_t)index * 8 + 4);
	err = pcl_read(p, &p->funcs, pos, raw, fixed);
	if (err)
		return err;
	*f = (struct funcrec){ .index = index, .pcdata_pos = pos + fixed };
	f->entry = p->text + entry_off(p, index);
	f->end = p->text + entry_off(p, index + 1);
	cursor_init(&c, raw, fixed);
	cursor_seek(&c, 4);
	f->name_off = cursor_u32(&c);
	f->args = (int32_t)cursor_u32(&c);
	cursor_skip(&c, 4); /* deferreturn */
	f->pcsp = cursor_u32(&c);
	f->pcfile = cursor_u32(&c);
	f->pcln = cursor_u32(&c);
	f->npcdata = cursor_u32(&c);
	f->cu_off = cursor_u32(&c);
	if (!p->old_func)
		f->start_line = (int32_t)cursor_u32(&c);
	f->func_id = cursor_u8(&c);
	f->flag = cursor_u8(&c);
	cursor_skip(&c, 1);
	f->nfuncdata = cursor_u8(&c);
	return c.bad || f->npcdata > MAX_PCDATA ? -EBADMSG : 0;
}

int pcl_find(struct pclntab *p, uint64_t pc, struct funcrec *f)
{
	uint32_t lo = 0, hi = p->nfunc;
	uint64_t off;

	if (pc < p->text)
		return -ENOENT;
	off = pc - p->text;
	if (off < entry_off(p, 0) || off >= entry_off(p, p->nfunc))
		return -ENOENT;
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (entry_off(p, mid) <= off)
			lo = mid;
		else
			hi = mid;
	}
	return pcl_func(p, lo, f);
}

static int fill_func(struct pclntab *p, const struct funcrec *f, struct gofunc *out)
{
	const char *file;
	int err;

	*out = (struct gofunc){
		.index = f->index,
		.entry = f->entry,
		.end = f->end,
		.func_id = f->func_id,
		.flag = f->flag,
		.args_size = f->args,
	};
	err = pcl_string(p, &p->names, f->name_off, &out->name);
	if (err)
		return err;
	out->is_wrapper = p->id_wrapper && f->func_id == p->id_wrapper;
	if (out->is_wrapper)
		return 0;
	err = pcl_file(p, f, f->entry, &file);
	if (err)
		return err;
	out->is_wrapper = !strcmp(file, "<autogenerated>");
	return 0;
}

int pclntab_nfunc(const struct pclntab *p)
{
	return (int)p->nfunc;
}

int pclntab_func_at(struct pclntab *p, uint32_t index, struct gofunc *out)
{
	struct funcrec f;
	int err = pcl_func(p, index, &f);

	return err ? err : fill_func(p, &f, out);
}

int pclntab_find_pc(struct pclntab *p, uint64_t pc, struct gofunc *out)
{
	struct funcrec f;
	int err = pcl_find(p, pc, &f);

	return err ? err : fill_func(p, &f, out);
}

/* One search for several names. */
struct name_search {
	struct bytesmap wanted;              /* name -> index in names */
	uint8_t lengths[MAX_STRING / 8 + 1]; /* bit set: some wanted name has it */
	struct u64map offsets;               /* name offset -> index in names */
};

static int search_name(struct name_search *s, const char *name, size_t len, uint64_t off)
{
	uint64_t *which;

	if (len >= MAX_STRING || !(s->lengths[len / 8] & 1u << len % 8))
		return 0;
	which = bytesmap_find(&s->wanted, name, len);
	return which && !u64map_put(&s->offsets, off, *which, NULL) ? -ENOMEM : 0;
}

/* Goes through the name table once; *buf is SCAN_SIZE bytes. */
static int search_names(struct pclntab *p, struct name_search *s, char *buf)
{
	uint64_t pos = 0;

	while (pos < p->names.size) {
		uint64_t left = p->names.size - pos;
		size_t n = left < SCAN_SIZE ? left : SCAN_SIZE, at = 0;
		char *nul;
		int err = pcl_read(p, &p->names, pos, buf, n);

		while (!err && (nul = memchr(buf + at, 0, n - at))) {
			err = search_name(s, buf + at, (size_t)(nul - buf) - at, pos + at);
			at = (size_t)(nul - buf) + 1;
		}
		if (err)
			return err;
		if (!at) /* no name is that long */
			return n == left ? 0 : -EBADMSG;
		pos += at;
	}
	return 0;
}

/* Goes through the functions once and takes the best of each name: a body before a wrapper. */
static int search_funcs(struct pclntab *p, struct name_search *s, struct gofunc *out)
{
	for (uint32_t i = 0; i < p->nfunc; i++) {
		uint64_t pos = load_u32(p->ftab + (size_t)i * 8 + 4), *which;
		struct gofunc f;
		uint8_t raw[4];
		int err = pcl_read(p, &p->funcs, pos + 4, raw, sizeof(raw));

		if (err)
			return err;
		which = u64map_find(&s->offsets, load_u32(raw));
		if (!which)
			continue;
		err = pclntab_func_at(p, i, &f);
		if (err)
			return err;
		if (!out[*which].entry || (out[*which].is_wrapper && !f.is_wrapper))
			out[*which] = f;
	}
	return 0;
}

static void remember(struct pclntab *p, const char *name, const struct gofunc *f)
{
	bytesmap_put(&p->by_name, name, strlen(name), f->entry ? (uint64_t)f->index + 1 : 0, NULL);
}

/* Fills what is remembered and puts the rest into the search: 0 or negative errno. */
static int search_prepare(struct pclntab *p, struct name_search *s, const char *const *names,
			  size_t n, struct gofunc *out)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);
		uint64_t *known = bytesmap_find(&p->by_name, names[i], len);
		int err = 0;

		memset(&out[i], 0, sizeof(out[i]));
		if (known && *known)
			err = pclntab_func_at(p, (uint32_t)(*known - 1), &out[i]);
		if (err)
			return err;
		if (known || len >= MAX_STRING)
			continue;
		if (!bytesmap_put(&s->wanted, names[i], len, i, NULL))
			return -ENOMEM;
		s->lengths[len / 8] |= (uint8_t)(1u << len % 8);
	}
	return 0;
}

static int search_run(struct pclntab *p, struct name_search *s, struct gofunc *out)
{
	char *buf = malloc(SCAN_SIZE);
	int err = -ENOMEM;

	if (buf)
		err = search_names(p, s, buf);
	if (!err && s->offsets.len)
		err = search_funcs(p, s, out);
	free(buf);
	return err;
}

int pclntab_find_names(struct pclntab *p, const char *const *names, size_t n, struct gofunc *out)
{
	struct name_search *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	bytesmap_init(&s->wanted, n);
	u64map_init(&s->offsets, 16 * n + 64);
	err = search_prepare(p, s, names, n, out);
	if (!err && s->wanted.len)
		err = search_run(p, s, out);
	for (size_t i = 0; i < n && !err; i++) { /* a name given twice is found once */
		uint64_t *which = bytesmap_find(&s->wanted, names[i], strlen(names[i]));

		if (which)
			out[i] = out[*which];
		remember(p, names[i], &out[i]);
	}
	u64map_deinit(&s->offsets);
	bytesmap_deinit(&s->wanted);
	free(s);
	return err;
}

int pclntab_find_name(struct pclntab *p, const char *name, struct gofunc *out)
{
	int err = pclntab_find_names(p, &name, 1, out);

	return err ? err : out->entry ? 0 : -ENOENT;
}

/* The file's bytes of [addr, addr + size). */
static int set_region(struct pclntab *p, struct pcregion *r, uint64_t addr, uint64_t size)
{
	r->size = size;
	return image_addr_to_off(p->im, addr, &r->off);
}

static int set_regions(struct pclntab *p, const struct pcheader *h, const struct moduledata *md)
{
	const struct image_segment *s = image_segment_at(p->im, h->at.header);
	uint64_t room = s->file_size - (h->at.pclntable - s->addr);

	if (md->npclntable > room || md->npclntable < h->at.nfunc * 8 + 4 + FUNC_SIZE_118)
		return -EBADMSG;
	if (set_region(p, &p->names, h->at.funcname, md->nfuncname) ||
	    set_region(p, &p->cutab, h->at.cutab, h->at.filetab - h->at.cutab) ||
	    set_region(p, &p->filetab, h->at.filetab, md->nfiletab) ||
	    set_region(p, &p->pctab, h->at.pctab, md->npctab) ||
	    set_region(p, &p->funcs, h->at.pclntable, md->npclntable))
		return -EBADMSG;
	return 0;
}

/* runtime.moduledataverify1(): sorted; and every _func inside its table. */
static int check_ftab(const struct pclntab *p, const struct moduledata *md)
{
	const uint64_t max_func = p->funcs.size - FUNC_SIZE_118;

	for (uint32_t i = 0; i < p->nfunc; i++)
		if (entry_off(p, i) > entry_off(p, i + 1) ||
		    load_u32(p->ftab + (size_t)i * 8 + 4) > max_func)
			return -EBADMSG;
	if (p->text + entry_off(p, 0) != md->minpc || p->text + entry_off(p, p->nfunc) != md->maxpc)
		return -EBADMSG;
	return 0;
}

static int read_ftab(struct pclntab *p, const struct moduledata *md)
{
	size_t size = (size_t)p->nfunc * 8 + 4;
	int err;

	p->ftab = malloc(size); /* at most what the file itself holds, 128 MiB */
	if (!p->ftab)
		return -ENOMEM;
	err = pcl_read(p, &p->funcs, 0, p->ftab, size);
	return err ? err : check_ftab(p, md);
}

int pclntab_open(struct pclntab **out, struct image *im, struct moduledata *md, struct err *err)
{
	struct pclntab *p;
	struct pcheader h;
	int ret;

	*out = NULL;
	ret = pcheader_find(&h, md, im, err);
	if (ret)
		return ret;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	p->im = im;
	p->text = md->text;
	p->magic = h.magic;
	p->min_lc = h.min_lc;
	p->old_func = h.magic == PCLNTAB_MAGIC_118;
	p->nfunc = (uint32_t)h.at.nfunc;
	u64map_init(&p->strings, MAX_STRINGS);
	bytesmap_init(&p->by_name, MAX_NAMES);
	pcl_cache_init(p);
	ret = h.text_start && h.text_start != md->text ? -EBADMSG : set_regions(p, &h, md);
	if (!ret)
		ret = read_ftab(p, md);
	if (ret) {
		pclntab_free(p);
		return err_set(err, ret,
			       ret == -ENOMEM
				       ? "out of memory"
				       : "damaged function table (pclntab) in the executable");
	}
	*out = p;
	return 0;
}

void pclntab_set_release(struct pclntab *p, int minor, uint8_t id_wrapper, uint64_t gofunc,
			 const char *own)
{
	p->own = own;
	p->old_func = minor < 20;
	p->id_wrapper = id_wrapper;
	p->gofunc = gofunc;
	bytesmap_deinit(&p->by_name); /* judged without the wrapper's number */
	bytesmap_init(&p->by_name, MAX_NAMES);
}

void pclntab_release_range(const struct pclntab *p, int *first, int *last)
{
	*first = p->magic == PCLNTAB_MAGIC_120 ? 20 : 18;
	*last = p->magic == PCLNTAB_MAGIC_118 ? 19 : INT_MAX;
}

void pclntab_free(struct pclntab *p)
{
	struct pcl_chunk *c;

	if (!p)
		return;
	while ((c = p->chunks)) {
		p->chunks = c->next;
		free(c);
	}
	pcl_cache_deinit(p);
	u64map_deinit(&p->strings);
	bytesmap_deinit(&p->by_name);
	free(p->ftab);
	free(p);
}
