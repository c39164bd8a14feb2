/* SPDX-License-Identifier: BSD-2-Clause */
#include "gobin/buildinfo.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "gobin/image.h"

/* go/src/debug/buildinfo: the header is 32 bytes, aligned to 16. */
#define MAGIC           "\xff Go buildinf:"
#define MAGIC_SIZE      14
#define HEADER_SIZE     32
#define HEADER_ALIGN    16
#define FLAG_BIG_ENDIAN 1
#define FLAG_INLINE     2 /* since 1.18; before: pointers to Go strings */

#define MAX_VERSION 4096u        /* longer is damage; kept: sizeof(version) */
#define MAX_MODINFO (4u << 20)   /* a list of some ten thousand modules */
#define CHUNK       (128u << 10) /* of the scan */
#define MAX_TRIES   64           /* headers that may turn out to be none */
#define FRAME       16           /* bytes the linker puts on each side of the module text */

/* A varint length at *addr, then that many bytes: *addr moves to the bytes. */
static int read_length(struct image *im, uint64_t *addr, uint64_t max, uint64_t *len)
{
	const struct image_segment *s = image_segment_at(im, *addr);
	uint8_t raw[10];
	struct cursor c;
	uint64_t left;

	if (!s || *addr - s->addr >= s->file_size)
		return -EBADMSG;
	left = s->file_size - (*addr - s->addr);
	cursor_init(&c, raw, left < sizeof(raw) ? left : sizeof(raw));
	if (image_read_addr(im, *addr, raw, c.size))
		return -EBADMSG;
	*len = cursor_uvarint64(&c);
	if (c.bad || *len > max || *len > left - c.pos)
		return -EBADMSG;
	*addr += c.pos;
	return 0;
}

/* Cut to the table's width; control characters would reach people's terminals. */
static void copy_text(char *dst, size_t size, const char *src, size_t len)
{
	if (len >= size)
		len = size - 1;
	for (size_t i = 0; i < len; i++)
		dst[i] = iscntrl((unsigned char)src[i]) ? '?' : src[i];
	dst[len] = '\0';
}

/* The value of a build line, unquoted when Go quoted it (strconv.Quote). */
static void copy_value(char *dst, size_t size, const char *src, size_t len)
{
	size_t n = 0;

	if (len < 2 || src[0] != '"') {
		copy_text(dst, size, src, len);
		return;
	}
	for (size_t i = 1; i + 1 < len && n + 1 < size; i++) {
		if (src[i] == '\\' && i + 2 < len)
			i++;
		dst[n++] = src[i];
	}
	dst[n] = '\0';
}

/* -N as a word of its own in -gcflags: "-N -l", "all=-N -l". */
static bool gcflags_has_n(const char *flags)
{
	for (const char *p = strstr(flags, "-N"); p; p = strstr(p + 2, "-N")) {
		bool starts = p == flags || p[-1] == ' ' || p[-1] == '=';

		if (starts && (p[2] == '\0' || p[2] == ' '))
			return true;
	}
	return false;
}

static void take_setting(struct buildinfo *bi, const char *s, size_t len)
{
	const char *eq = memchr(s, '=', len);
	char key[64], value[1024];

	if (!eq)
		return;
	copy_value(key, sizeof(key), s, (size_t)(eq - s));
	copy_value(value, sizeof(value), eq + 1, len - (size_t)(eq + 1 - s));
	if (!strcmp(key, "-race"))
		bi->race = !strcmp(value, "true");
	else if (!strcmp(key, "CGO_ENABLED"))
		bi->cgo = !strcmp(value, "1");
	else if (!strcmp(key, "-gcflags"))
		bi->no_optimize = gcflags_has_n(value);
	else if (!strcmp(key, "GOEXPERIMENT"))
		copy_text(bi->goexperiment, sizeof(bi->goexperiment), value, strlen(value));
}

/* "path\tP", "mod\tPATH\tVERSION\tSUM", "dep\t…", "build\tKEY=VALUE" (runtime/debug/mod.go). */
static void take_line(struct buildinfo *bi, const char *s, size_t len)
{
	const char *tab = memchr(s, '\t', len), *end = s + len, *next;
	size_t word = tab ? (size_t)(tab - s) : len;

	if (!tab)
		return;
	tab++;
	if (word == 4 && !memcmp(s, "path", 4)) {
		copy_text(bi->main_path, sizeof(bi->main_path), tab, (size_t)(end - tab));
	} else if (word == 3 && !memcmp(s, "mod", 3)) {
		next = memchr(tab, '\t', (size_t)(end - tab));
		copy_text(bi->module, sizeof(bi->module), tab, (size_t)((next ? next : end) - tab));
		if (!next)
			return;
		tab = next + 1;
		next = memchr(tab, '\t', (size_t)(end - tab));
		copy_text(bi->module_version, sizeof(bi->module_version), tab,
			  (size_t)((next ? next : end) - tab));
	} else if (word == 5 && !memcmp(s, "build", 5)) {
		take_setting(bi, tab, (size_t)(end - tab));
	}
}

static void parse_modinfo(struct buildinfo *bi, const char *s, size_t len)
{
	while (len) {
		const char *nl = memchr(s, '\n', len);
		size_t n = nl ? (size_t)(nl - s) : len;

		take_line(bi, s, n);
		n += nl != NULL;
		s += n;
		len -= n;
	}
}

static int read_modinfo(struct buildinfo *bi, struct image *im, uint64_t addr, uint64_t len)
{
	char *text;
	int err;

	/* As debug/buildinfo: 16 bytes of framing on each side, the text ends in a newline. */
	if (len < 2 * FRAME + 1)
		return 0;
	text = malloc(len);
	if (!text)
		return -ENOMEM;
	err = image_read_addr(im, addr, text, len);
	if (!err && text[len - FRAME - 1] == '\n')
		parse_modinfo(bi, text + FRAME, len - 2 * FRAME);
	free(text);
	return err;
}

static int read_version(struct buildinfo *bi, struct image *im, uint64_t addr, uint64_t len)
{
	size_t n = len < sizeof(bi->version) ? len : sizeof(bi->version) - 1;
	int err = image_read_addr(im, addr, bi->version, n);

	if (err)
		n = 0;
	bi->version[n] = '\0';
	for (size_t i = 0; i < n; i++) /* it goes to people's terminals */
		if (!isprint((unsigned char)bi->version[i]))
			return -EBADMSG;
	return err;
}

static int read_inline(struct buildinfo *bi, struct image *im, uint64_t header)
{
	uint64_t addr = header + HEADER_SIZE, len;
	int err = read_length(im, &addr, MAX_VERSION, &len);

	if (!err)
		err = read_version(bi, im, addr, len);
	if (err)
		return err;
	addr += len;
	err = read_length(im, &addr, MAX_MODINFO, &len);
	return err ? err : read_modinfo(bi, im, addr, len);
}

/* Before 1.18: pointers to Go strings.  Only the version, to name what is too old. */
static int read_pointers(struct buildinfo *bi, struct image *im, const uint8_t *header)
{
	uint8_t str[16];

	if (header[MAGIC_SIZE] != 8 || header[MAGIC_SIZE + 1] & FLAG_BIG_ENDIAN ||
	    image_read_addr(im, load_u64(header + 16), str, sizeof(str)) ||
	    load_u64(str + 8) > MAX_VERSION)
		return -EBADMSG;
	return read_version(bi, im, load_u64(str), load_u64(str + 8));
}

/* Parses what may be a header: 0, or -EBADMSG when it is not one, or damaged. */
static int read_at_header(struct buildinfo *bi, struct image *im, uint64_t addr)
{
	uint8_t header[HEADER_SIZE];
	int err;

	memset(bi, 0, sizeof(*bi));
	bi->release.patch = -1;
	err = image_read_addr(im, addr, header, sizeof(header));
	if (err)
		return err;
	if (header[MAGIC_SIZE + 1] & FLAG_INLINE)
		err = read_inline(bi, im, addr);
	else
		err = read_pointers(bi, im, header);
	if (err) {
		memset(bi, 0, sizeof(*bi));
		bi->release.patch = -1;
		return err;
	}
	bi->present = true;
	go_release_parse(bi->version, &bi->release);
	return 0;
}

/* A search: the magic also occurs in the data of programs that look for it. */
struct search {
	struct buildinfo *bi;
	struct image *im;
	uint8_t *chunk; /* CHUNK bytes */
	int tries;      /* headers that may still be tried */
	bool damaged;   /* one of them looked like one and was not */
};

static int scan_chunk(struct search *s, uint64_t addr, size_t n)
{
	int err;

	for (size_t i = 0; i + HEADER_SIZE <= n && s->tries; i += HEADER_ALIGN) {
		if (s->chunk[i] != 0xff || memcmp(s->chunk + i, MAGIC, MAGIC_SIZE))
			continue;
		s->tries--;
		err = read_at_header(s->bi, s->im, addr + i);
		if (err != -EBADMSG)
			return err;
		s->damaged = true;
	}
	return -ENOENT;
}

/* Looks in [addr, addr + size), all in the file: 0, -ENOENT or a failure to read. */
static int scan_range(struct search *s, uint64_t addr, uint64_t size)
{
	uint64_t skip = -addr % HEADER_ALIGN;

	if (skip > size)
		return -ENOENT;
	for (addr += skip, size -= skip; size >= HEADER_SIZE;) {
		size_t n = size < CHUNK ? size : CHUNK;
		int err = image_read_addr(s->im, addr, s->chunk, n);

		if (!err)
			err = scan_chunk(s, addr, n);
		if (err != -ENOENT || n == size)
			return err;
		n -= HEADER_SIZE - HEADER_ALIGN; /* one across the border is seen next time */
		addr += n;
		size -= n;
	}
	return -ENOENT;
}

/* Every linker keeps it among the writable data (the runtime once wrote to it). */
static int scan_segments(struct search *s)
{
	int err;

	for (int i = 0; i < s->im->nseg; i++) {
		const struct image_segment *seg = &s->im->seg[i];

		if (!seg->write)
			continue;
		err = scan_range(s, seg->addr, seg->file_size);
		if (err != -ENOENT)
			return err;
	}
	return -ENOENT;
}

static int search_all(struct search *s)
{
	const struct image_section *sec = image_section_named(s->im, ".go.buildinfo");
	int err = -ENOENT;

	if (sec && sec->size >= HEADER_SIZE)
		err = scan_range(s, sec->addr, HEADER_SIZE);
	if (err) /* the section headers may lie */
		err = scan_segments(s);
	return err == -ENOENT && s->damaged ? -EBADMSG : err;
}

int buildinfo_read(struct buildinfo *bi, struct image *im)
{
	struct search s = { .bi = bi, .im = im, .tries = MAX_TRIES };
	int err;

	memset(bi, 0, sizeof(*bi));
	bi->release.patch = -1;
	s.chunk = malloc(CHUNK);
	if (!s.chunk)
		return -ENOMEM;
	err = search_all(&s);
	free(s.chunk);
	return err;
}

/* At most four digits at *s: the number, or -1. */
static int take_number(const char **s)
{
	int n = 0, digits = 0;

	for (; isdigit((unsigned char)**s) && digits < 4; (*s)++, digits++)
		n = n * 10 + (**s - '0');
	return digits && !isdigit((unsigned char)**s) ? n : -1;
}

int go_release_parse(const char *version, struct go_release *out)
{
	int minor;

	out->minor = 0;
	out->patch = -1;
	if (!strncmp(version, "devel ", 6))
		version += 6;
	if (strncmp(version, "go1.", 4))
		return -EINVAL;
	version += 4;
	minor = take_number(&version);
	if (minor < 0)
		return -EINVAL;
	out->minor = minor;
	if (*version == '.') {
		version++;
		out->patch = take_number(&version);
	} else if (*version == '\0' || *version == ' ') {
		out->patch = 0; /* up to 1.20 the first release has no patch number */
	}
	return 0;
}
