/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/kernel_types.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"

#define VMLINUX     "/sys/kernel/btf/vmlinux"
#define MAX_BYTES   (256u << 20)
#define MAX_MATCHES 64
#define MAX_DEPTH   4  /* of structs without a name in each other */
#define TYPE_BYTES  12 /* name, info, size or type */
#define KINDS       20
#define NOT_ONCE    UINT32_MAX
#define BITS_OF(v)  ((v)&0xffffff) /* where kind_flag says that the rest is the field's width */

/* Behind a type: bytes of its own, and of each of its `vlen` parts. */
static const struct {
	uint8_t own, part;
} behind[KINDS] = {
	[BTF_KIND_INT] = { 4, 0 },      [BTF_KIND_ARRAY] = { 12, 0 },
	[BTF_KIND_STRUCT] = { 0, 12 },  [BTF_KIND_UNION] = { 0, 12 },
	[BTF_KIND_ENUM] = { 0, 8 },     [BTF_KIND_FUNC_PROTO] = { 0, 8 },
	[BTF_KIND_VAR] = { 4, 0 },      [BTF_KIND_DATASEC] = { 0, 12 },
	[17 /* DECL_TAG */] = { 4, 0 }, [19 /* ENUM64 */] = { 0, 12 },
};

struct btf_text {
	const uint8_t *types;
	size_t types_len;
	const char *names; /* ends with a 0 */
	size_t names_len;
	uint32_t *at; /* of each type, from 1 on; owned */
	uint32_t n;
};

static int parse_header(struct btf_text *b, const uint8_t *data, size_t size)
{
	struct cursor c;
	uint32_t header, types, names, names_len;

	cursor_init(&c, data, size);
	if (cursor_u16(&c) != BTF_MAGIC)
		return -EBADMSG;
	cursor_skip(&c, 2);
	header = cursor_u32(&c);
	types = cursor_u32(&c);
	b->types_len = cursor_u32(&c);
	names = cursor_u32(&c);
	names_len = cursor_u32(&c);
	cursor_seek(&c, header);
	cursor_skip(&c, types);
	b->types = cursor_bytes(&c, b->types_len);
	cursor_seek(&c, header);
	cursor_skip(&c, names);
	b->names = (const char *)cursor_bytes(&c, names_len);
	b->names_len = names_len;
	if (c.bad || !names_len || b->names[names_len - 1])
		return -EBADMSG;
	return 0;
}

static const char *name_at(const struct btf_text *b, uint32_t off)
{
	return off < b->names_len ? b->names + off : "";
}

static uint32_t kind_of(uint32_t info)
{
	return info >> 24 & 0x1f;
}

static uint32_t parts_of(uint32_t info)
{
	return info & 0xffff;
}

static bool is_record(uint32_t kind)
{
	return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION;
}

/* A struct that is asked for; there may be several of one name. */
struct match {
	uint32_t id;
	uint32_t asked; /* number of the member */
};

struct matches {
	struct match match[MAX_MATCHES];
	size_t n;
};

static void note_struct(const struct btf_text *b, uint32_t id, const struct kernel_member *m,
			size_t n, struct matches *found)
{
	const char *name = name_at(b, load_u32(b->types + b->at[id]));

	for (size_t i = 0; i < n && found->n < MAX_MATCHES; i++)
		if (name[0] == m[i].type[0] && !strcmp(name, m[i].type))
			found->match[found->n++] = (struct match){ id, (uint32_t)i };
}

/* One walk over all types: where each is, and which are asked for. */
static int walk(struct btf_text *b, const struct kernel_member *m, size_t n, struct matches *found)
{
	size_t pos = 0, more;

	b->at = malloc((b->types_len / TYPE_BYTES + 2) * sizeof(*b->at));
	if (!b->at)
		return -ENOMEM;
	while (b->types_len - pos >= TYPE_BYTES) {
		uint32_t info = load_u32(b->types + pos + 4), kind = kind_of(info);

		if (!kind || kind >= KINDS)
			return -EBADMSG;
		more = TYPE_BYTES + behind[kind].own + (size_t)behind[kind].part * parts_of(info);
		if (more > b->types_len - pos)
			return -EBADMSG;
		b->at[++b->n] = (uint32_t)pos;
		if (kind == BTF_KIND_STRUCT)
			note_struct(b, b->n, m, n, found);
		pos += more;
	}
	return 0;
}

/* The bytes before a member of struct number id. */
static uint32_t member_in(const struct btf_text *b, uint32_t id, const char *member, int depth)
{
	const uint8_t *type, *part;
	uint32_t info;

	if (!id || id > b->n)
		return KERNEL_ABSENT;
	type = b->types + b->at[id];
	info = load_u32(type + 4);
	if (!is_record(kind_of(info)))
		return KERNEL_ABSENT;
	part = type + TYPE_BYTES;
	for (uint32_t i = 0; i < parts_of(info); i++, part += 12) {
		const char *name = name_at(b, load_u32(part));
		uint32_t bits = load_u32(part + 8), inner;
		uint32_t off = (info >> 31 ? BITS_OF(bits) : bits) / 8;

		if (!strcmp(name, member))
			return off;
		if (name[0] || depth == MAX_DEPTH)
			continue;
		inner = member_in(b, load_u32(part + 4), member, depth + 1);
		if (inner != KERNEL_ABSENT)
			return off + inner;
	}
	return KERNEL_ABSENT;
}

static uint32_t look_up(const struct btf_text *b, uint32_t id, const char *member)
{
	return member ? member_in(b, id, member, 0) : load_u32(b->types + b->at[id] + 8);
}

/* Structs of one name must agree. */
static void resolve(const struct btf_text *b, const struct matches *found,
		    const struct kernel_member *m)
{
	for (size_t i = 0; i < found->n; i++) {
		const struct kernel_member *want = &m[found->match[i].asked];
		uint32_t off = look_up(b, found->match[i].id, want->member);
		bool first = true;

		for (size_t k = 0; k < i; k++)
			first &= found->match[k].asked != found->match[i].asked;
		*want->off = first || *want->off == off ? off : KERNEL_ABSENT;
	}
}

int kernel_members_in(const void *btf, size_t size, const struct kernel_member *m, size_t n)
{
	struct matches found = { .n = 0 };
	struct btf_text b = { 0 };
	int e = parse_header(&b, btf, size);

	for (size_t i = 0; i < n; i++)
		*m[i].off = KERNEL_ABSENT;
	if (!e)
		e = walk(&b, m, n, &found);
	if (!e)
		resolve(&b, &found, m);
	free(b.at);
	return e;
}

/* In a copy: it can be mapped from Linux 6.16 on only. */
static int read_and_find(int fd, size_t size, const struct kernel_member *m, size_t n)
{
	uint8_t *copy = malloc(size);
	size_t got = 0;
	ssize_t r = 1;
	int e;

	if (!copy)
		return -ENOMEM;
	while (got < size && r > 0) {
		r = read(fd, copy + got, size - got);
		got += r > 0 ? (size_t)r : 0;
	}
	e = r < 0 ? -errno : kernel_members_in(copy, got, m, n);
	free(copy);
	return e;
}

int kernel_members_find(const struct kernel_member *m, size_t n)
{
	int fd = open(VMLINUX, O_RDONLY | O_CLOEXEC), e;
	struct stat st;
	void *p;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || st.st_size <= 0 || st.st_size > MAX_BYTES) {
		close(fd);
		return -EBADMSG;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		e = read_and_find(fd, (size_t)st.st_size, m, n);
	} else {
		e = kernel_members_in(p, (size_t)st.st_size, m, n);
		munmap(p, (size_t)st.st_size);
	}
	close(fd);
	return e;
}
