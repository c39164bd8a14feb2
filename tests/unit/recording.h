/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reader of recorded memory: the 8 bytes "gspmem1\n", then records until the end,
 * each u64 address, u32 length, bytes; little-endian (tools/record.c).  Records may
 * overlap and touch: they are one memory, a later record overwrites.
 */
#ifndef GOSPECT_TESTS_RECORDING_H
#define GOSPECT_TESTS_RECORDING_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/vec.h"
#include "proc/mem.h"

#define RECORDING_MAGIC       "gspmem1\n"
#define RECORDING_MAX         (64u << 20)
#define RECORDING_MAX_RECORDS (1u << 20)

struct mem_range {
	uint64_t addr, len;
	uint8_t *data; /* into mem_file.bytes */
};

struct mem_file {
	struct memreader base;
	struct mem_range *range; /* by address, neither overlapping nor touching */
	size_t n;
	uint8_t *bytes;
};

static inline const struct mem_range *file_find(const struct mem_file *f, uint64_t addr)
{
	size_t lo = 0, hi = f->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (f->range[mid].addr + f->range[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < f->n && f->range[lo].addr <= addr ? &f->range[lo] : NULL;
}

static inline int file_read_many(struct memreader *m, struct mem_piece *p, size_t n)
{
	const struct mem_file *f = (struct mem_file *)m;
	int failed = 0;

	m->calls++;
	for (size_t i = 0; i < n; i++) {
		const struct mem_range *r = file_find(f, p[i].addr);

		p[i].status = -EFAULT;
		if (r && p[i].len <= r->len - (p[i].addr - r->addr)) {
			memcpy(p[i].dst, r->data + (p[i].addr - r->addr), p[i].len);
			p[i].status = 0;
		}
		failed += p[i].status != 0;
	}
	return failed;
}

static inline void file_free(struct memreader *m)
{
	struct mem_file *f = (struct mem_file *)m;

	free(f->range);
	free(f->bytes);
	free(f);
}

static const struct memreader_ops file_ops = { file_read_many, file_free };

static inline int by_addr(const void *a, const void *b)
{
	const struct mem_range *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* The records as the file has them: count, or -EBADMSG. data points into the text. */
static inline ssize_t parse_records(const struct buf *b, struct mem_range **out)
{
	struct mem_range *rec = NULL;
	size_t n = 0, cap = 0;
	struct cursor c;

	cursor_init(&c, b->data, b->len);
	if (cursor_left(&c) < 8 || memcmp(cursor_bytes(&c, 8), RECORDING_MAGIC, 8))
		return -EBADMSG;
	while (cursor_left(&c) && !c.bad && n < RECORDING_MAX_RECORDS) {
		struct mem_range r;

		r.addr = cursor_u64(&c);
		r.len = cursor_u32(&c);
		r.data = (uint8_t *)(uintptr_t)cursor_bytes(&c, r.len);
		if (c.bad || !r.len || r.addr >= ADDR_END_MOST)
			break;
		if (array_room(&rec, n, &cap, sizeof(*rec))) {
			free(rec);
			return -ENOMEM;
		}
		rec[n++] = r;
	}
	if (c.bad || cursor_left(&c)) {
		free(rec);
		return -EBADMSG;
	}
	*out = rec;
	return (ssize_t)n;
}

/* The union of the records, then their bytes painted into it in the file's order. */
static inline int file_build(struct mem_file *f, const struct mem_range *rec, size_t n)
{
	uint64_t total = 0;
	uint8_t *at;

	f->range = calloc(n + 1, sizeof(*f->range));
	if (!f->range)
		return -ENOMEM;
	if (!n)
		return 0;
	memcpy(f->range, rec, n * sizeof(*rec));
	qsort(f->range, n, sizeof(*f->range), by_addr);
	for (size_t i = 0; i < n; i++) {
		struct mem_range *last = f->n ? &f->range[f->n - 1] : NULL;
		struct mem_range r = f->range[i];

		if (!last || r.addr > last->addr + last->len)
			f->range[f->n++] = r;
		else if (r.addr + r.len > last->addr + last->len)
			last->len = r.addr + r.len - last->addr;
	}
	for (size_t i = 0; i < f->n; i++)
		total += f->range[i].len;
	at = f->bytes = malloc(total); /* <= the file's size */
	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < f->n; at += f->range[i].len, i++)
		f->range[i].data = at;
	for (size_t i = 0; i < n; i++) {
		const struct mem_range *r = file_find(f, rec[i].addr);

		memcpy(r->data + (rec[i].addr - r->addr), rec[i].data, rec[i].len);
	}
	return 0;
}

static inline int load_file(const char *path, struct buf *b)
{
	char chunk[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(b, chunk, (size_t)n);
	n = n < 0 ? -errno : b->err;
	close(fd);
	return (int)n;
}

static inline int mem_open_file(struct memreader **out, const char *path, struct err *err)
{
	struct mem_range *rec = NULL;
	struct mem_file *f;
	struct buf b;
	ssize_t n;

	buf_init(&b, RECORDING_MAX);
	f = calloc(1, sizeof(*f));
	n = f ? load_file(path, &b) : -ENOMEM;
	if (!n)
		n = parse_records(&b, &rec);
	if (n >= 0)
		n = file_build(f, rec, (size_t)n);
	free(rec);
	buf_deinit(&b);
	if (n < 0) {
		if (f)
			file_free(&f->base);
		return err_set(err, (int)n, "cannot use the recording '%s': %s", path,
			       strerror((int)-n));
	}
	f->base.ops = &file_ops;
	*out = &f->base;
	return 0;
}

#endif
