/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/execs.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "execs.skel.h"
#include "trace/pidns.h"
#include "trace/quiet.h"

struct execs {
	struct execs_bpf *skel;
	struct bpf_link *link;
	struct ring_buffer *ring;
	const volatile uint64_t *lost; /* mapped */
	void (*seen)(void *arg, pid_t pid);
	void *arg;
};

static int one_seen(void *self, void *data, size_t size)
{
	const struct execs *e = self;
	uint64_t pid;

	if (size >= sizeof(pid)) {
		memcpy(&pid, data, sizeof(pid));
		e->seen(e->arg, (pid_t)pid);
	}
	return 0;
}

static int load(struct execs *e, struct err *err)
{
	struct pidns ns;
	void *p;
	int r;

	e->skel = execs_bpf__open();
	if (!e->skel)
		return err_set(err, -ENOMEM, "cannot open the BPF object of starts");
	pidns_of(getpid(), &ns);
	e->skel->rodata->pidns_dev = ns.dev;
	e->skel->rodata->pidns_ino = ns.ino;
	r = execs_bpf__load(e->skel);
	if (r == -EPERM)
		return err_set(err, r, "BPF programs are not permitted");
	if (r)
		return err_set(err, -EOPNOTSUPP,
			       "this kernel does not load the BPF program of starts (%s)",
			       strerror(-r));
	p = mmap(NULL, sizeof(*e->lost), PROT_READ, MAP_SHARED, bpf_map__fd(e->skel->maps.lost), 0);
	if (p == MAP_FAILED)
		return err_set(err, -ENOMEM, "cannot map the count of lost starts");
	e->lost = p;
	e->ring = ring_buffer__new(bpf_map__fd(e->skel->maps.execs), one_seen, e, NULL);
	return e->ring ? 0 : err_set(err, -ENOMEM, "cannot map the ring of starts");
}

int execs_open(struct execs **out, struct err *err)
{
	struct execs *e = calloc(1, sizeof(*e));
	libbpf_print_fn_t before;
	int r;

	*out = NULL;
	if (!e)
		return err_set(err, -ENOMEM, "no memory for starts");
	before = libbpf_set_print(quiet_print);
	r = load(e, err);
	if (!r) {
		e->link = bpf_program__attach(e->skel->progs.exec_seen);
		if (!e->link)
			r = err_set(err, errno == EPERM ? -EPERM : -EOPNOTSUPP,
				    "the tracepoint of starts cannot be used: %s", strerror(errno));
	}
	libbpf_set_print(before);
	if (r)
		execs_close(e);
	else
		*out = e;
	return r;
}

void execs_close(struct execs *e)
{
	if (!e)
		return;
	bpf_link__destroy(e->link);
	ring_buffer__free(e->ring);
	if (e->lost)
		munmap((void *)(uintptr_t)e->lost, sizeof(*e->lost));
	execs_bpf__destroy(e->skel);
	free(e);
}

int execs_fd(const struct execs *e)
{
	return ring_buffer__epoll_fd(e->ring);
}

int execs_take(struct execs *e, void (*seen)(void *arg, pid_t pid), void *arg)
{
	int r;

	e->seen = seen;
	e->arg = arg;
	r = ring_buffer__consume(e->ring);
	return r < 0 ? r : 0;
}

uint64_t execs_lost(const struct execs *e)
{
	return *e->lost;
}

uint64_t execs_bytes(const struct execs *e)
{
	long page = sysconf(_SC_PAGESIZE);

	/* the ring, its two pages of positions, and the count */
	return bpf_map__max_entries(e->skel->maps.execs) + 3 * (uint64_t)(page > 0 ? page : 4096);
}
