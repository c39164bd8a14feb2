/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recording (for tests): the 8 bytes "gspmem1\n", then records until the
 * end, each u64 address, u32 length, bytes; little-endian.  Records may
 * overlap and touch: they are one memory, a later record overwrites.
 */
#include "proc/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/vec.h"

#define MEM_IOVS              512  /* pieces a call; the kernel takes 1,024 (IOV_MAX) */
#define MEM_MAX_FAILED_CALLS  4096 /* in one read: then the rest fails unread */
#define RECORDING_MAGIC       "gspmem1\n"
#define RECORDING_MAX         (64u << 20)
#define RECORDING_MAX_RECORDS (1u << 20)

static bool sane(const struct mem_piece *p)
{
	return p->addr >= 4096 && p->addr < ADDR_END_MOST && p->len <= ADDR_END_MOST - p->addr;
}

int mem_read_many(struct memreader *m, struct mem_piece *p, size_t n)
{
	int failed = m->ops->read_many(m, p, n);

	if (failed < 0) {
		for (size_t i = 0; i < n; i++)
			p[i].status = failed;
		m->failures += n;
		return failed;
	}
	m->failures += (uint64_t)failed;
	for (size_t i = 0; i < n; i++)
		if (!p[i].status)
			m->bytes += p[i].len;
	return failed;
}

int mem_read(struct memreader *m, uint64_t addr, void *dst, size_t len)
{
	struct mem_piece p = { .addr = addr, .dst = dst, .len = (uint32_t)len };
	int failed;

	if (len > UINT32_MAX)
		return -EFAULT;
	failed = mem_read_many(m, &p, 1);
	return failed < 0 ? failed : p.status;
}

int mem_read_u64(struct memreader *m, uint64_t addr, uint64_t *out)
{
	uint8_t b[8];
	int err = mem_read(m, addr, b, sizeof(b));

	if (!err)
		*out = load_u64(b);
	return err;
}

int mem_read_u32(struct memreader *m, uint64_t addr, uint32_t *out)
{
	uint8_t b[4];
	int err = mem_read(m, addr, b, sizeof(b));

	if (!err)
		*out = load_u32(b);
	return err;
}

void mem_free(struct memreader *m)
{
	if (m)
		m->ops->free(m);
}

/* ---- a live process ---- */

struct mem_live {
	struct memreader base;
	pid_t pid;
	struct iovec local[MEM_IOVS], remote[MEM_IOVS];
};

/* Fills the iovecs from p[0..n); returns the pieces taken. Neighbours in the target share one remote. */
static size_t live_gather(struct mem_live *l, const struct mem_piece *p, size_t n, size_t *nremote)
{
	size_t i, r = 0;

	for (i = 0; i < n && i < MEM_IOVS && sane(&p[i]); i++) {
		l->local[i] = (struct iovec){ p[i].dst, p[i].len };
		if (r &&
		    (uint64_t)(uintptr_t)l->remote[r - 1].iov_base + l->remote[r - 1].iov_len ==
			    p[i].addr) {
			l->remote[r - 1].iov_len += p[i].len;
			continue;
		}
		l->remote[r++] = (struct iovec){ (void *)(uintptr_t)p[i].addr, p[i].len };
	}
	*nremote = r;
	return i;
}

/* Of `got` bytes in order: the pieces that are whole. */
static size_t live_whole(struct mem_piece *p, size_t n, size_t got)
{
	size_t i;

	for (i = 0; i < n && got >= p[i].len; i++) {
		got -= p[i].len;
		p[i].status = 0;
	}
	return i;
}

/*
 * One call: how many pieces from p[0] are settled, read or failed; negative
 * when nothing can be read at all.  The kernel stops at the first page that is
 * not there: what came before is whole, that piece has failed, and what
 * follows is tried again.
 */
static ssize_t live_step(struct mem_live *l, struct mem_piece *p, size_t n, size_t *failed)
{
	size_t nremote, whole;
	ssize_t got;
	size_t taken = live_gather(l, p, n, &nremote);

	if (!taken) {
		p[0].status = -EFAULT;
		(*failed)++;
		return 1;
	}
	l->base.calls++;
	got = process_vm_readv(l->pid, l->local, taken, l->remote, nremote, 0);
	if (got < 0 && errno != EFAULT)
		return -errno;
	whole = live_whole(p, taken, got < 0 ? 0 : (size_t)got);
	if (whole == taken)
		return (ssize_t)taken;
	p[whole].status = -EFAULT;
	(*failed)++;
	return (ssize_t)whole + 1;
}

static int live_read_many(struct memreader *m, struct mem_piece *p, size_t n)
{
	struct mem_live *l = (struct mem_live *)m;
	size_t done = 0, failed = 0;

	while (done < n) {
		ssize_t step;

		if (failed >= MEM_MAX_FAILED_CALLS) {
			for (; done < n; done++, failed++)
				p[done].status = -EFAULT;
			break;
		}
		step = live_step(l, p + done, n - done, &failed);
		if (step < 0)
			return (int)step;
		done += (size_t)step;
	}
	return failed > INT32_MAX ? INT32_MAX : (int)failed;
}

static void live_free(struct memreader *m)
{
	free(m);
}

static const struct memreader_ops live_ops = { live_read_many, live_free };

static int yama_scope(void)
{
	char c = '0';
	int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, &c, 1) != 1)
			c = '0';
		close(fd);
	}
	return c - '0';
}

static int cannot_read(pid_t pid, int code, struct err *err)
{
	if (code == -ESRCH)
		return err_set(err, code, "there is no process '%d'", pid);
	err_set(err, code, "cannot read the memory of process '%d': %s", pid, strerror(-code));
	if (code == -ENOSYS)
		err_hint(err, "this kernel has no process_vm_readv (CONFIG_CROSS_MEMORY_ATTACH)");
	else if (yama_scope() > 0 && geteuid() != 0)
		err_hint(err,
			 "run as root or with CAP_SYS_PTRACE: kernel.yama.ptrace_scope is %d, "
			 "so being the same user is not enough",
			 yama_scope());
	else if (geteuid() != 0)
		err_hint(err, "run as root, as the same user, or with CAP_SYS_PTRACE");
	else
		err_hint(err, "CAP_SYS_PTRACE is missing, or seccomp or a security module forbids "
			      "process_vm_readv");
	return code;
}

int mem_open_pid(struct memreader **out, pid_t pid, struct err *err)
{
	struct mem_live *l;
	char byte;
	struct iovec local = { &byte, 1 }, remote = { (void *)4096, 1 };

	/*
	 * A read of nothing succeeds without a look at the target, so ask for
	 * one byte where hardly anything is: EFAULT says that reading is allowed.
	 */
	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) < 0 && errno != EFAULT)
		return cannot_read(pid, -errno, err);
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "no memory");
	l->base.ops = &live_ops;
	l->pid = pid;
	*out = &l->base;
	return 0;
}

/* ---- a recording ---- */

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

static const struct mem_range *file_find(const struct mem_file *f, uint64_t addr)
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

static int file_read_many(struct memreader *m, struct mem_piece *p, size_t n)
{
	const struct mem_file *f = (struct mem_file *)m;
	int failed = 0;

	m->calls++;
	for (size_t i = 0; i < n; i++) {
		const struct mem_range *r = sane(&p[i]) ? file_find(f, p[i].addr) : NULL;

		p[i].status = -EFAULT;
		if (r && p[i].len <= r->len - (p[i].addr - r->addr)) {
			memcpy(p[i].dst, r->data + (p[i].addr - r->addr), p[i].len);
			p[i].status = 0;
		}
		failed += p[i].status != 0;
	}
	return failed;
}

static void file_free(struct memreader *m)
{
	struct mem_file *f = (struct mem_file *)m;

	free(f->range);
	free(f->bytes);
	free(f);
}

static const struct memreader_ops file_ops = { file_read_many, file_free };

static int by_addr(const void *a, const void *b)
{
	const struct mem_range *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* The records as the file has them: count, or -EBADMSG. data points into the text. */
static ssize_t parse_records(const struct buf *b, struct mem_range **out)
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
static int file_build(struct mem_file *f, const struct mem_range *rec, size_t n)
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

static int load_file(const char *path, struct buf *b)
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

int mem_open_file(struct memreader **out, const char *path, struct err *err)
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

/* ---- the recorder ---- */

struct mem_recorder {
	struct memreader base;
	struct memreader *inner; /* borrowed */
	FILE *file;
	uint64_t written;
};

static void store_le(uint8_t *out, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

static int recorder_read_many(struct memreader *m, struct mem_piece *p, size_t n)
{
	struct mem_recorder *r = (struct mem_recorder *)m;
	int failed = mem_read_many(r->inner, p, n);

	m->calls++;
	for (size_t i = 0; i < n && failed >= 0; i++) {
		uint8_t head[12];

		if (p[i].status || !p[i].len)
			continue;
		r->written += sizeof(head) + p[i].len;
		if (r->written > RECORDING_MAX - 8)
			return -ENOSPC;
		store_le(head, p[i].addr, 8);
		store_le(head + 8, p[i].len, 4);
		if (fwrite(head, sizeof(head), 1, r->file) != 1 ||
		    fwrite(p[i].dst, p[i].len, 1, r->file) != 1)
			return -EIO;
	}
	return failed;
}

static void recorder_free(struct memreader *m)
{
	struct mem_recorder *r = (struct mem_recorder *)m;

	fclose(r->file);
	free(r);
}

static const struct memreader_ops recorder_ops = { recorder_read_many, recorder_free };

int mem_open_recorder(struct memreader **out, struct memreader *inner, const char *path,
		      struct err *err)
{
	struct mem_recorder *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(err, -ENOMEM, "no memory");
	r->file = fopen(path, "we");
	if (!r->file || fwrite(RECORDING_MAGIC, 8, 1, r->file) != 1) {
		int code = -errno;

		if (r->file)
			fclose(r->file);
		free(r);
		return err_set(err, code, "cannot write '%s': %s", path, strerror(-code));
	}
	r->base.ops = &recorder_ops;
	r->inner = inner;
	*out = &r->base;
	return 0;
}
