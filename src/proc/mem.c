/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cursor.h"
#include "base/parallel.h"
#include "base/vec.h"

#define MEM_IOVS             512  /* pieces a call; the kernel takes 1,024 (IOV_MAX) */
#define MEM_MAX_FAILED_CALLS 4096 /* in one read: then the rest fails unread */

static bool sane(const struct mem_piece *p)
{
	return p->addr >= 4096 && p->addr < ADDR_END_MOST && p->len <= ADDR_END_MOST - p->addr;
}

/* The books of one read. */
static int count(struct memreader *m, struct mem_piece *p, size_t n, int failed)
{
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

int mem_read_many(struct memreader *m, struct mem_piece *p, size_t n)
{
	return count(m, p, n, m->ops->read_many(m, p, n));
}

int mem_read_many_by(struct memreader *m, struct mem_piece *p, size_t n, int threads)
{
	if (threads < 2 || n < 2 || !m->ops->read_many_by)
		return mem_read_many(m, p, n);
	return count(m, p, n, m->ops->read_many_by(m, p, n, threads));
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

/* Pieces of one thread. */
struct live_part {
	struct mem_live own;
	struct mem_piece *p;
	size_t n;
	int failed;
};

static void live_read_part(void *arg)
{
	struct live_part *part = arg;

	part->failed = live_read_many(&part->own.base, part->p, part->n);
}

/* Neighbours stay together, and each thread has as many bytes. */
static int live_read_many_by(struct memreader *m, struct mem_piece *p, size_t n, int threads)
{
	struct mem_live *l = (struct mem_live *)m;
	struct live_part *part;
	uint64_t all = 0, taken = 0;
	size_t at = 0;
	int failed = 0;

	threads = threads > PARALLEL_MAX ? PARALLEL_MAX : threads;
	part = calloc((size_t)threads, sizeof(*part));
	if (!part)
		return live_read_many(m, p, n);
	for (size_t i = 0; i < n; i++)
		all += p[i].len;
	for (int t = 0; t < threads; t++) {
		part[t].own.pid = l->pid;
		part[t].p = p + at;
		while (at < n &&
		       (t == threads - 1 || taken < all * (unsigned)(t + 1) / (unsigned)threads))
			taken += p[at++].len;
		part[t].n = (size_t)(p + at - part[t].p);
	}
	parallel_run(live_read_part, part, sizeof(*part), threads);
	for (int t = 0; t < threads; t++) {
		l->base.calls += part[t].own.base.calls;
		failed = failed < 0 || part[t].failed < 0
				 ? (part[t].failed < failed ? part[t].failed : failed)
				 : failed + part[t].failed;
	}
	free(part);
	return failed;
}

static void live_free(struct memreader *m)
{
	free(m);
}

static const struct memreader_ops live_ops = { live_read_many, live_free, live_read_many_by };

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
