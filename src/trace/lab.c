/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/bpf.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/vec.h"
#include "trace/keeper.h"

/*
 * The functions.  Each does nothing; the probed instruction is at the label
 * …_site.  lab_stepped compares SP as nearly every Go function does at entry.
 */
#if defined(__x86_64__)
__asm__("	.text\n"
	"	.p2align 4\n"
	"	.globl lab_push, lab_jcc, lab_jmp, lab_call, lab_nop, lab_stepped\n"
	"	.hidden lab_push, lab_jcc, lab_jmp, lab_call, lab_nop, lab_stepped\n"
	"	.globl lab_jcc_site, lab_stepped_site\n"
	"	.hidden lab_jcc_site, lab_stepped_site\n"
	"lab_push:	push %rbp\n	pop %rbp\n	ret\n"
	"	.p2align 4\n"
	"lab_jcc:	test %rsp, %rsp\n"
	"lab_jcc_site:	jbe 1f\n"
	"1:	ret\n"
	"	.p2align 4\n"
	"lab_jmp:	jmp 1f\n"
	"1:	ret\n"
	"	.p2align 4\n"
	"lab_call:	call 1f\n"
	"1:	add $8, %rsp\n	ret\n"
	"	.p2align 4\n"
	"lab_nop:	nop\n	ret\n"
	"	.p2align 4\n"
	"lab_stepped:	push %r14\n	mov %rdi, %r14\n"
	"lab_stepped_site:	cmp 0x10(%r14), %rsp\n"
	"	pop %r14\n	ret\n");
#else
#error "no calibration functions for this architecture"
#endif

extern char lab_jcc_site[], lab_stepped_site[];
void lab_push(void *guard);
void lab_jcc(void *guard);
void lab_jmp(void *guard);
void lab_call(void *guard);
void lab_nop(void *guard);
void lab_stepped(void *guard);

#define REPEATS         15
#define REPEATS_WITHOUT 5 /* without probes: some ns, of a microsecond with one */

struct specimen {
	enum insn_class klass;
	void (*run)(void *guard);
	const char *site; /* NULL: at the function's entry */
	int calls;        /* per repeat: some 0.3 ms */
	bool few;         /* also where every probe is expensive to remove */
};

static const struct specimen specimens[] = {
	{ INSN_PUSH, lab_push, NULL, 25, false },
	{ INSN_JCC, lab_jcc, lab_jcc_site, 25, false },
	{ INSN_JMP, lab_jmp, NULL, 25, false },
	{ INSN_CALL, lab_call, NULL, 25, true },
	{ INSN_NOP, lab_nop, NULL, 25, false },
	{ INSN_STEPPED, lab_stepped, lab_stepped_site, 15, true },
};
#define SPECIMENS ARRAY_SIZE(specimens)

/* What parent and child share. */
struct lab_page {
	double ns[2][SPECIMENS]; /* per call: without and with probes */
	uint64_t calls;          /* with probes */
};

struct lab {
	struct lab_page *page; /* owned, shared with the child */
	pid_t child;           /* 0: none */
	int go[2], done[2];    /* pipes: to the child, from it; -1 closed */
	int map_fd, prog_fd;   /* counts hits */
	int armed;             /* the keeper's number; -1 */
	bool multi, events;
};

/*
 * A perf event takes 100 ms and more to close, one after the other: there one
 * emulated and one stepped instruction stand for their kinds.
 */
static bool is_measured(const struct lab *l, size_t i)
{
	return l->multi || specimens[i].few;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * What a program does between two hits: it fills the level 1 caches with data
 * and code of its own, so that every hit finds the kernel's part of the way
 * cold.  In an empty loop a hit took 0.65 µs here; with this between two hits 1.1
 * to 1.4 µs; a real HTTP server (tools/bench) loses 1.4 µs a hit.
 */
#define BLOCK      "test %%edi,%%edi\n jz 1f\n .byte 0x0f,0x1f,0x84,0,0,0,0,0\n1: add $1,%%eax\n"
#define BLOCKS4    BLOCK BLOCK BLOCK BLOCK
#define BLOCKS16   BLOCKS4 BLOCKS4 BLOCKS4 BLOCKS4
#define BLOCKS64   BLOCKS16 BLOCKS16 BLOCKS16 BLOCKS16
#define BLOCKS256  BLOCKS64 BLOCKS64 BLOCKS64 BLOCKS64
#define BLOCKS2048 BLOCKS256 BLOCKS256 BLOCKS256 BLOCKS256 BLOCKS256 BLOCKS256 BLOCKS256 BLOCKS256

static void work(void)
{
	static volatile char data[64 << 10];

	for (size_t i = 0; i < sizeof(data); i += 64)
		data[i]++;
	__asm__ volatile("xor %%edi,%%edi\n" BLOCKS2048 ::: "rdi", "rax", "cc");
}

/* Work with the call in between against work alone, in turn: the machine's mood
 * changes within milliseconds, and hits both. */
static double measure(const struct specimen *s, int repeats)
{
	void (*volatile run)(void *) = s->run;
	static char guard[64];
	double t[REPEATS];

	for (int i = 0; i < repeats; i++) {
		uint64_t begin = clock_mono_ns(), middle;

		for (int k = 0; k < s->calls; k++)
			work();
		middle = clock_mono_ns();
		for (int k = 0; k < s->calls; k++) {
			work();
			run(guard);
		}
		t[i] = ((double)(clock_mono_ns() - middle) - (double)(middle - begin)) / s->calls;
	}
	qsort(t, (size_t)repeats, sizeof(t[0]), by_value);
	return t[repeats / 2];
}

/* The child's second thread: a round without probes, a round with them. */
static void *child_thread(void *arg)
{
	struct lab *l = arg;
	char byte = 0;

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < SPECIMENS; i++) {
			if (!is_measured(l, i))
				continue;
			l->page->ns[round][i] =
				measure(&specimens[i], round ? REPEATS : REPEATS_WITHOUT);
			if (round)
				l->page->calls += (uint64_t)REPEATS * (uint64_t)specimens[i].calls;
		}
		if (write(l->done[1], &byte, 1) != 1 || read(l->go[0], &byte, 1) != 1)
			break;
	}
	return NULL;
}

static void child_main(struct lab *l, pid_t parent)
{
	pthread_t t;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(l->go[1]);
	close(l->done[0]);
	if (getppid() == parent && !pthread_create(&t, NULL, child_thread, l))
		pthread_join(t, NULL);
	_exit(0);
}

static int child_start(struct lab *l)
{
	pid_t parent = getpid();

	if (pipe2(l->go, O_CLOEXEC) || pipe2(l->done, O_CLOEXEC))
		return -errno;
	l->child = fork();
	if (l->child < 0) {
		l->child = 0;
		return -errno;
	}
	if (!l->child)
		child_main(l, parent);
	close(l->go[0]);
	close(l->done[1]);
	l->go[0] = l->done[1] = -1;
	return 0;
}

/* Waits until the child finished a round. */
static int child_wait(struct lab *l)
{
	struct pollfd p = { .fd = l->done[0], .events = POLLIN };
	int n, timeout_ms = 3000;
	char byte;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -ETIMEDOUT;
	return read(l->done[0], &byte, 1) == 1 ? 0 : -ECHILD;
}

static int child_go_on(struct lab *l)
{
	char byte = 0;

	return write(l->go[1], &byte, 1) == 1 ? 0 : -ECHILD;
}

static void child_end(struct lab *l)
{
	if (!l->child)
		return;
	kill(l->child, SIGKILL);
	while (waitpid(l->child, NULL, 0) < 0 && errno == EINTR)
		;
	l->child = 0;
}

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })

static int load_program(const struct bpf_insn *insns, size_t n, bool multi)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);

	opts.expected_attach_type = multi ? ATTACH_UPROBE_MULTI : 0;
	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "gospect_lab", "Dual BSD/GPL", insns, n, &opts);
}

/* The least program that counts: one atomic add to the map's only value. */
static int load_counter(struct lab *l)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);

	l->map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "gospect_lab", 4, 8, 1, &opts);
	if (l->map_fd < 0)
		return l->map_fd;
	const struct bpf_insn insns[] = {
		INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, l->map_fd),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 1),
		INSN(BPF_STX | BPF_DW | BPF_ATOMIC, BPF_REG_1, BPF_REG_2, 0, BPF_ADD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	l->prog_fd = load_program(insns, ARRAY_SIZE(insns), l->multi);
	return l->prog_fd < 0 ? l->prog_fd : 0;
}

bool lab_has_cookies(void)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, 174 /* bpf_get_attach_cookie */),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	int fd = load_program(insns, ARRAY_SIZE(insns), false);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* File offset of an address of this executable: the first object listed. */
struct offset_search {
	uint64_t addr, off;
	bool found;
};

static int search_offset(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct offset_search *s = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD || s->addr < start || s->addr - start >= ph->p_filesz)
			continue;
		s->off = s->addr - start + ph->p_offset;
		s->found = true;
	}
	return 1; /* no further object */
}

static int attach_specimens(struct lab *l)
{
	uint64_t offsets[SPECIMENS], cookies[SPECIMENS] = { 0 };
	struct keeper_job j = { .multi = l->multi,
				.events = l->events,
				.point = { .prog_fd = l->prog_fd,
					   .pid = l->child,
					   .offsets = offsets,
					   .cookies = cookies } };

	for (size_t i = 0; i < SPECIMENS; i++) {
		const struct specimen *s = &specimens[i];
		struct offset_search o = { .addr = s->site ? (uintptr_t)s->site
							   : (uintptr_t)s->run };

		if (!is_measured(l, i))
			continue;
		dl_iterate_phdr(search_offset, &o);
		if (!o.found)
			return -ENOENT;
		offsets[j.point.n++] = o.off;
	}
	j.point.exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (j.point.exe_fd < 0)
		return -errno;
	keeper_arm(&j, 1);
	close(j.point.exe_fd);
	l->armed = j.result;
	return j.result < 0 ? j.result : 0;
}

static void price(const struct lab *l, struct cost_table *ct)
{
	for (size_t i = 0; i < SPECIMENS; i++) {
		enum insn_class k = specimens[i].klass;
		double ns = l->page->ns[1][i] - l->page->ns[0][i];

		if (is_measured(l, i) && ns > 0)
			ct->ns[k] = ns;
	}
	for (size_t i = 0; i < SPECIMENS; i++)
		if (!is_measured(l, i))
			ct->ns[specimens[i].klass] = ct->ns[INSN_CALL];
}

static int read_result(struct lab *l, struct lab_result *r)
{
	uint32_t zero = 0;
	int err = bpf_map_lookup_elem(l->map_fd, &zero, &r->hits);

	if (err)
		return err;
	r->calls = l->page->calls;
	if (r->hits >= r->calls) /* without hits there is nothing to measure */
		price(l, &r->cost);
	return 0;
}

static int lab_init(struct lab *l, enum lab_how how)
{
	memset(l, 0, sizeof(*l));
	l->multi = how == LAB_MULTI;
	l->events = how == LAB_EVENTS;
	l->go[0] = l->go[1] = l->done[0] = l->done[1] = l->map_fd = l->prog_fd = -1;
	l->armed = -1;
	l->page = mmap(NULL, sizeof(*l->page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (l->page == MAP_FAILED) {
		l->page = NULL;
		return -errno;
	}
	return 0;
}

static void lab_deinit(struct lab *l)
{
	int *const fds[] = {
		&l->go[0], &l->go[1], &l->done[0], &l->done[1], &l->map_fd, &l->prog_fd
	};

	child_end(l); /* first: with its memory gone there is less to undo */
	if (l->armed >= 0)
		keeper_disarm(&l->armed, 1); /* in the background */
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	if (l->page)
		munmap(l->page, sizeof(*l->page));
}

int lab_run(struct lab_result *r, enum lab_how how, struct err *err)
{
	struct lab l;
	int e;

	memset(r, 0, sizeof(*r));
	for (int i = 0; i < INSN_CLASS_COUNT; i++)
		r->cost.ns[i] = -1;
	e = lab_init(&l, how);
	if (!e)
		e = child_start(&l);
	if (!e)
		r->attach_err = load_counter(&l);
	if (!e)
		e = child_wait(&l);
	if (!e && !r->attach_err)
		r->attach_err = attach_specimens(&l);
	if (!e && !r->attach_err) {
		e = child_go_on(&l);
		if (!e)
			e = child_wait(&l);
		if (!e)
			e = read_result(&l, r);
	}
	lab_deinit(&l);
	if (e)
		err_set(err, e, "the probe experiment on a child process failed: %s", strerror(-e));
	return e;
}
