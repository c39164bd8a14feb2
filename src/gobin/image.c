/* SPDX-License-Identifier: BSD-2-Clause */
#include "gobin/image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"

/*
 * Block cache: 1.5 MiB in all.  Look-ups in a pclntab touch a handful of
 * neighbourhoods (ftab's _func, names, pc tables, files) over and over.
 */
#define BLOCK_SIZE  16384u
#define BLOCK_COUNT 96

#define EHDR_SIZE 64 /* of ELF64 */
#define PHDR_SIZE 56
#define SHDR_SIZE 64
#define MAX_PHDRS 1024        /* beyond: no linker makes that, refused */
#define MAX_SHDRS 4096        /* beyond: the sections are ignored */
#define MAX_NOTES (64 * 1024) /* bytes looked at of one PT_NOTE */

struct block {
	uint64_t no;   /* offset / BLOCK_SIZE */
	uint64_t used; /* tick of the last use; 0: empty */
	uint32_t len;  /* bytes present, < BLOCK_SIZE at the end of the file */
	uint8_t *data; /* owned, NULL until first used */
};

struct image_cache {
	uint64_t tick;
	int last; /* the block of the last hit */
	struct block block[BLOCK_COUNT];
};

/* The header's fields that say where the rest is. */
struct elf_places {
	uint64_t phoff, shoff;
	uint16_t type, machine, phentsize, phnum, shentsize, shnum, shstrndx;
};

ssize_t image_pread(int fd, void *dst, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (uint8_t *)dst + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -EIO;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static struct block *cache_lookup(struct image_cache *c, uint64_t no)
{
	if (c->block[c->last].used && c->block[c->last].no == no)
		return &c->block[c->last];
	for (int i = 0; i < BLOCK_COUNT; i++) {
		if (c->block[i].used && c->block[i].no == no) {
			c->last = i;
			return &c->block[i];
		}
	}
	return NULL;
}

static struct block *cache_oldest(struct image_cache *c)
{
	int oldest = 0;

	for (int i = 1; i < BLOCK_COUNT; i++)
		if (c->block[i].used < c->block[oldest].used)
			oldest = i;
	c->last = oldest;
	return &c->block[oldest];
}

static int cache_get(struct image *im, uint64_t no, struct block **out)
{
	struct block *b = cache_lookup(im->cache, no);
	ssize_t n;

	if (!b) {
		b = cache_oldest(im->cache);
		b->used = 0;
		if (!b->data)
			b->data = malloc(BLOCK_SIZE);
		if (!b->data)
			return -ENOMEM;
		n = image_pread(im->fd, b->data, BLOCK_SIZE, no * BLOCK_SIZE);
		if (n < 0)
			return (int)n;
		b->no = no;
		b->len = (uint32_t)n;
	}
	b->used = ++im->cache->tick;
	*out = b;
	return 0;
}

int image_read(struct image *im, uint64_t off, void *dst, size_t len)
{
	uint8_t *p = dst;

	if (off > im->file_size || len > im->file_size - off)
		return -EBADMSG;
	if (len > BLOCK_SIZE) { /* a table: not through the cache */
		ssize_t n = image_pread(im->fd, dst, len, off);

		return n < 0 ? (int)n : (size_t)n == len ? 0 : -EBADMSG;
	}
	while (len) {
		size_t in = off % BLOCK_SIZE, n = BLOCK_SIZE - in;
		struct block *b = NULL;
		int err = cache_get(im, off / BLOCK_SIZE, &b);

		if (err)
			return err;
		if (n > len)
			n = len;
		if (in + n > b->len) /* the file has shrunk since */
			return -EBADMSG;
		memcpy(p, b->data + in, n);
		p += n;
		off += n;
		len -= n;
	}
	return 0;
}

const struct image_segment *image_segment_at(const struct image *im, uint64_t addr)
{
	for (int i = 0; i < im->nseg; i++)
		if (addr >= im->seg[i].addr && addr - im->seg[i].addr < im->seg[i].mem_size)
			return &im->seg[i];
	return NULL;
}

int image_addr_to_off(const struct image *im, uint64_t addr, uint64_t *off)
{
	const struct image_segment *s = image_segment_at(im, addr);

	if (!s || addr - s->addr >= s->file_size)
		return -EBADMSG;
	*off = s->off + (addr - s->addr);
	return 0;
}

int image_read_addr(struct image *im, uint64_t addr, void *dst, size_t len)
{
	const struct image_segment *s = image_segment_at(im, addr);
	uint64_t in;
	size_t n = 0;
	int err;

	if (!len)
		return 0;
	if (!s || len > s->mem_size - (addr - s->addr))
		return -EBADMSG;
	in = addr - s->addr;
	if (in < s->file_size) {
		n = len < s->file_size - in ? len : s->file_size - in;
		err = image_read(im, s->off + in, dst, n);
		if (err)
			return err;
	}
	memset((uint8_t *)dst + n, 0, len - n);
	return 0;
}

const struct image_section *image_section_named(const struct image *im, const char *name)
{
	for (int i = 0; i < im->nsec; i++)
		if (!strcmp(im->sec[i].name, name))
			return &im->sec[i];
	return NULL;
}

static int check_ident(const uint8_t *h, struct err *err)
{
	if (memcmp(h, ELFMAG, SELFMAG))
		return err_set(err, -ENOEXEC, "not an ELF executable");
	if (h[EI_CLASS] == ELFCLASS32)
		return err_set(err, -ENOEXEC,
			       "a 32-bit executable; only 64-bit ones are supported");
	if (h[EI_CLASS] != ELFCLASS64)
		return err_set(err, -EBADMSG, "damaged ELF header: class %d", h[EI_CLASS]);
	if (h[EI_DATA] == ELFDATA2MSB)
		return err_set(err, -ENOEXEC,
			       "a big-endian executable; only little-endian ones are supported");
	if (h[EI_DATA] != ELFDATA2LSB)
		return err_set(err, -EBADMSG, "damaged ELF header: byte order %d", h[EI_DATA]);
	return 0;
}

static int parse_places(struct cursor *c, struct elf_places *e, struct err *err)
{
	cursor_seek(c, 16);
	e->type = cursor_u16(c);
	e->machine = cursor_u16(c);
	cursor_skip(c, 4 + 8); /* e_version, e_entry */
	e->phoff = cursor_u64(c);
	e->shoff = cursor_u64(c);
	cursor_skip(c, 4 + 2); /* e_flags, e_ehsize */
	e->phentsize = cursor_u16(c);
	e->phnum = cursor_u16(c);
	e->shentsize = cursor_u16(c);
	e->shnum = cursor_u16(c);
	e->shstrndx = cursor_u16(c);
	if (e->type != ET_EXEC && e->type != ET_DYN)
		return err_set(err, -ENOEXEC, "an ELF file, but not an executable (type %d)",
			       e->type);
	if (!e->phnum || e->phnum > MAX_PHDRS || e->phentsize != PHDR_SIZE)
		return err_set(err, -EBADMSG, "damaged ELF header: %d program headers of %d bytes",
			       e->phnum, e->phentsize);
	if (e->shentsize != SHDR_SIZE || e->shnum > MAX_SHDRS)
		e->shnum = 0;
	return 0;
}

static void put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/*
 * A copy for libelf: the ELF header, then the program headers, then (when
 * they can be read) the section headers, with the offsets pointing there.
 * libelf so never sees more of the file, nor a file that changes under it.
 */
static int copy_headers(struct image *im, struct elf_places *e, const uint8_t *ehdr, uint8_t **copy,
			size_t *size, struct err *err)
{
	size_t ph = (size_t)e->phnum * PHDR_SIZE, sh = (size_t)e->shnum * SHDR_SIZE;
	uint8_t *p;

	if (e->shoff > im->file_size || sh > im->file_size - e->shoff)
		sh = 0;
	p = calloc(1, EHDR_SIZE + ph + sh);
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(p, ehdr, EHDR_SIZE);
	if (image_read(im, e->phoff, p + EHDR_SIZE, ph)) {
		free(p);
		return err_set(err, -EBADMSG,
			       "damaged or truncated: program headers beyond the end of the file");
	}
	if (sh && image_read(im, e->shoff, p + EHDR_SIZE + ph, sh))
		sh = 0;
	put_u64(p + 32, EHDR_SIZE);
	put_u64(p + 40, sh ? EHDR_SIZE + ph : 0);
	if (!sh) { /* e_shnum, e_shstrndx */
		memset(p + 60, 0, 4);
		e->shnum = 0;
	}
	*copy = p;
	*size = EHDR_SIZE + ph + sh;
	return 0;
}

static int add_segment(struct image *im, const GElf_Phdr *ph, struct err *err)
{
	struct image_segment *s = &im->seg[im->nseg];

	if (!ph->p_memsz)
		return 0;
	if (im->nseg == IMAGE_MAX_SEGMENTS)
		return err_set(err, -EBADMSG, "more than %d load segments", IMAGE_MAX_SEGMENTS);
	if (ph->p_filesz > ph->p_memsz || ph->p_vaddr + ph->p_memsz < ph->p_vaddr)
		return err_set(err, -EBADMSG,
			       "damaged: impossible size of the load segment at 0x%llx",
			       (unsigned long long)ph->p_vaddr);
	if (ph->p_offset > im->file_size || ph->p_filesz > im->file_size - ph->p_offset)
		return err_set(err, -EBADMSG,
			       "damaged or truncated: the load segment at 0x%llx "
			       "ends beyond the end of the file",
			       (unsigned long long)ph->p_vaddr);
	*s = (struct image_segment){
		.addr = ph->p_vaddr,
		.off = ph->p_offset,
		.file_size = ph->p_filesz,
		.mem_size = ph->p_memsz,
		.read = ph->p_flags & PF_R,
		.write = ph->p_flags & PF_W,
		.exec = ph->p_flags & PF_X,
	};
	for (int i = im->nseg++; i > 0 && im->seg[i].addr < im->seg[i - 1].addr; i--) {
		struct image_segment t = im->seg[i];

		im->seg[i] = im->seg[i - 1];
		im->seg[i - 1] = t;
	}
	return 0;
}

static void to_hex(const uint8_t *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", p[i]);
}

/* It goes to people's terminals. */
static bool is_printable(const uint8_t *p, size_t n)
{
	while (n--)
		if (*p < 0x20 || *p++ > 0x7e)
			return false;
	return true;
}

static void take_note(struct image *im, const char *name, uint32_t namesz, uint32_t type,
		      const uint8_t *desc, uint32_t descsz)
{
	if (namesz == 4 && !memcmp(name, "GNU", 4) && type == NT_GNU_BUILD_ID &&
	    descsz <= IMAGE_MAX_BUILD_ID && !im->build_id[0])
		to_hex(desc, descsz, im->build_id);
	/* cmd/link/internal/ld/elf.go: ELF_NOTE_GOBUILDID_TAG = 4, name "Go\0\0" */
	if (namesz == 4 && !memcmp(name, "Go\0", 4) && type == 4 &&
	    descsz < sizeof(im->go_build_id) && !im->go_build_id[0] && is_printable(desc, descsz)) {
		memcpy(im->go_build_id, desc, descsz);
		im->go_build_id[descsz] = '\0';
	}
}

static void parse_notes(struct image *im, const uint8_t *p, size_t size, size_t align)
{
	struct cursor c;

	cursor_init(&c, p, size);
	while (cursor_left(&c) >= 12 && !c.bad) {
		uint32_t namesz = cursor_u32(&c), descsz = cursor_u32(&c);
		uint32_t type = cursor_u32(&c);
		const uint8_t *desc;
		const uint8_t *name = cursor_bytes(&c, namesz);

		if (c.pos % align)
			cursor_skip(&c, align - c.pos % align);
		desc = cursor_bytes(&c, descsz);
		if (!name || !desc || c.bad)
			return;
		take_note(im, (const char *)name, namesz, type, desc, descsz);
		if (c.pos % align)
			cursor_skip(&c, align - c.pos % align);
	}
}

static void read_notes(struct image *im, uint64_t off, uint64_t size, uint64_t align)
{
	uint8_t *p;

	if (size > MAX_NOTES)
		size = MAX_NOTES;
	p = malloc(size ? size : 1);
	if (p && !image_read(im, off, p, size))
		parse_notes(im, p, size, align == 8 ? 8 : 4);
	free(p);
}

static int parse_segments(struct image *im, Elf *elf, struct err *err)
{
	size_t n = 0;
	GElf_Phdr ph;
	int e;

	if (elf_getphdrnum(elf, &n))
		return err_set(err, -EBADMSG, "damaged program headers: %s", elf_errmsg(-1));
	for (size_t i = 0; i < n; i++) {
		if (!gelf_getphdr(elf, (int)i, &ph))
			return err_set(err, -EBADMSG, "damaged program headers: %s",
				       elf_errmsg(-1));
		e = 0;
		if (ph.p_type == PT_LOAD)
			e = add_segment(im, &ph, err);
		else if (ph.p_type == PT_INTERP)
			im->is_dynamic = true;
		else if (ph.p_type == PT_DYNAMIC)
			im->dynamic = (struct image_range){ ph.p_vaddr, ph.p_filesz };
		else if (ph.p_type == PT_NOTE)
			read_notes(im, ph.p_offset, ph.p_filesz, ph.p_align);
		if (e)
			return e;
	}
	if (!im->nseg)
		return err_set(err, -EBADMSG, "damaged: no load segment");
	return 0;
}

/* The name of a section, cut to the table's width; "" when it cannot be read. */
static void section_name(struct image *im, const GElf_Shdr *strtab, uint64_t name_off, char *out)
{
	size_t n = sizeof(im->sec[0].name) - 1;

	out[0] = '\0';
	if (name_off >= strtab->sh_size)
		return;
	if (n > strtab->sh_size - name_off)
		n = strtab->sh_size - name_off;
	if (image_read(im, strtab->sh_offset + name_off, out, n))
		n = 0;
	out[n] = '\0';
}

/*
 * Sections are a convenience: what does not make sense is left out, and the
 * rest of gobin does without.
 */
static void parse_sections(struct image *im, Elf *elf, const struct elf_places *e)
{
	GElf_Shdr strtab, sh;
	Elf_Scn *scn;

	im->is_stripped = true;
	if (!e->shnum || e->shstrndx >= e->shnum ||
	    !gelf_getshdr(elf_getscn(elf, e->shstrndx), &strtab) ||
	    strtab.sh_offset > im->file_size || strtab.sh_size > im->file_size - strtab.sh_offset)
		return;
	for (size_t i = 1; i < e->shnum; i++) {
		struct image_section *s = &im->sec[im->nsec];

		scn = elf_getscn(elf, i);
		if (!gelf_getshdr(scn, &sh))
			continue;
		if (sh.sh_type == SHT_SYMTAB)
			im->is_stripped = false;
		if (im->nsec == IMAGE_MAX_SECTIONS || sh.sh_type == SHT_NULL)
			continue;
		section_name(im, &strtab, sh.sh_name, s->name);
		s->addr = sh.sh_addr;
		s->off = s->size = 0;
		if (sh.sh_type != SHT_NOBITS && sh.sh_offset <= im->file_size &&
		    sh.sh_size <= im->file_size - sh.sh_offset) {
			s->off = sh.sh_offset;
			s->size = sh.sh_size;
		}
		if (s->name[0])
			im->nsec++;
	}
}

static int parse_copy(struct image *im, const struct elf_places *e, uint8_t *copy, size_t size,
		      struct err *err)
{
	Elf *elf;
	int ret;

	elf_version(EV_CURRENT);
	elf = elf_memory((char *)copy, size);
	if (!elf || elf_kind(elf) != ELF_K_ELF)
		ret = err_set(err, -EBADMSG, "damaged ELF header: %s", elf_errmsg(-1));
	else
		ret = parse_segments(im, elf, err);
	if (!ret)
		parse_sections(im, elf, e);
	elf_end(elf);
	return ret;
}

static int parse_elf(struct image *im, struct err *err)
{
	uint8_t ehdr[EHDR_SIZE], *copy = NULL;
	struct elf_places e;
	struct cursor c;
	size_t size = 0;
	int ret;

	if (im->file_size < EHDR_SIZE || image_read(im, 0, ehdr, sizeof(ehdr)))
		return err_set(err, -ENOEXEC, "not an ELF executable");
	ret = check_ident(ehdr, err);
	if (ret)
		return ret;
	cursor_init(&c, ehdr, sizeof(ehdr));
	ret = parse_places(&c, &e, err);
	if (ret)
		return ret;
	im->machine = e.machine;
	im->is_pie = e.type == ET_DYN;
	ret = copy_headers(im, &e, ehdr, &copy, &size, err);
	if (ret)
		return ret;
	ret = parse_copy(im, &e, copy, size, err);
	free(copy);
	return ret;
}

int image_init_fd(struct image *im, int fd, struct err *err)
{
	struct stat st;
	int ret;

	memset(im, 0, sizeof(*im));
	im->fd = -1;
	if (fstat(fd, &st))
		return err_set(err, -errno, "cannot stat: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "not a regular file");
	im->file_size = (uint64_t)st.st_size;
	im->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (im->fd < 0)
		return err_set(err, -errno, "cannot duplicate the file descriptor: %s",
			       strerror(errno));
	im->cache = calloc(1, sizeof(*im->cache));
	ret = im->cache ? parse_elf(im, err) : err_set(err, -ENOMEM, "out of memory");
	if (ret)
		image_deinit(im);
	return ret;
}

void image_forget(struct image *im)
{
	for (int i = 0; im->cache && i < BLOCK_COUNT; i++)
		free(im->cache->block[i].data);
	if (im->cache)
		memset(im->cache, 0, sizeof(*im->cache));
}

void image_deinit(struct image *im)
{
	if (im->fd >= 0)
		close(im->fd);
	im->fd = -1;
	image_forget(im);
	free(im->cache);
	im->cache = NULL;
}
