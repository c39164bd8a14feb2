/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A list of what is refused, not of what is allowed: what the C library calls
 * differs by release (a new one would end in EPERM for clone3 or rseq), and
 * what would harm does not.
 */
#include "host/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/vec.h"

static uint64_t first; /* what was effective at the start */

static uint64_t effective(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	return syscall(SYS_capget, &h, d) ? 0 : d[0].effective | (uint64_t)d[1].effective << 32;
}

void privileges_begin(void)
{
	const struct rlimit none = { 0, 0 };

	first = effective();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
}

bool privileges_had(uint64_t caps)
{
	return !(caps & ~(first | effective()));
}

/* final: what is not effective is not permitted any more. */
static void set_caps(uint64_t keep, bool final)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return;
	for (int i = 0; i < 2; i++) {
		d[i].effective = d[i].permitted & (uint32_t)(keep >> (32 * i));
		d[i].inheritable = 0;
		if (final)
			d[i].permitted = d[i].effective;
	}
	syscall(SYS_capset, &h, d);
}

void privileges_lower(uint64_t keep)
{
	set_caps(keep, false);
}

void privileges_keep(uint64_t keep)
{
	set_caps(keep, true);
}

/* What else the kernel does not refuse. */
enum { MAY_LOAD = 1, MAY_SERVE = 2, MAY_WATCH = 4 };

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)

static const uint16_t refused[] = {
	SYS_execve,
	SYS_execveat,
	SYS_process_vm_writev,
	SYS_ptrace,
	SYS_perf_event_open,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_setns,
	SYS_unshare,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	SYS_userfaultfd,
	SYS_ioperm,
	SYS_iopl,
	SYS_open_by_handle_at,
	SYS_creat,
	SYS_mknod,
	SYS_mknodat,
	SYS_personality,
	SYS_settimeofday,
	SYS_setuid,
	SYS_clock_settime,
	425 /* io_uring_setup */,
	428 /* open_tree */,
	429 /* move_mount */,
	437 /* openat2 */,
	440 /* process_madvise */,
};

static const uint16_t sockets[] = { SYS_socket, SYS_connect, SYS_bind };

/* Of bpf(2) only what reads and writes maps that are there … */
static const uint16_t map_commands[] = {
	BPF_MAP_LOOKUP_ELEM,
	BPF_MAP_UPDATE_ELEM,
	BPF_MAP_DELETE_ELEM,
	BPF_MAP_GET_NEXT_KEY,
	BPF_MAP_LOOKUP_AND_DELETE_ELEM,
	BPF_MAP_LOOKUP_BATCH,
	BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	BPF_MAP_UPDATE_BATCH,
	BPF_MAP_DELETE_BATCH,
	BPF_OBJ_GET_INFO_BY_FD,
};

/* … and what makes maps and programs, before they are; arming is the keeper's. */
static const uint16_t load_commands[] = {
	BPF_MAP_CREATE,    BPF_PROG_LOAD,           BPF_BTF_LOAD, BPF_MAP_FREEZE,
	BPF_PROG_BIND_MAP, BPF_RAW_TRACEPOINT_OPEN, /* of exits and signals: nothing is written for it anywhere */
};

#define LOAD(what)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, what))
#define IF_NOT(k, n)   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 0, (n)) /* … skip n */
#define IF_IS(k, n)    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (n), 0)
#define ANSWER(result) BPF_STMT(BPF_RET | BPF_K, (result))
#define REFUSE         ANSWER(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW          ANSWER(SECCOMP_RET_ALLOW)
#define X32            0x40000000u
#define MAX_RULES      160

struct rules {
	struct sock_filter insn[MAX_RULES];
	unsigned short n;
};

#define ADD(r, ...)                                                                 \
	do {                                                                        \
		const struct sock_filter more[] = { __VA_ARGS__ };                  \
		for (size_t k = 0; k < ARRAY_SIZE(more) && (r)->n < MAX_RULES; k++) \
			(r)->insn[(r)->n++] = more[k];                              \
	} while (0)

static void add_bpf(struct rules *r, bool loads)
{
	size_t nload = loads ? ARRAY_SIZE(load_commands) : 0;

	ADD(r, IF_NOT(SYS_bpf, (uint8_t)(2 * (ARRAY_SIZE(map_commands) + nload) + 2)),
	    LOAD(args[0]));
	for (size_t i = 0; i < nload; i++)
		ADD(r, IF_NOT(load_commands[i], 1), ALLOW);
	for (size_t i = 0; i < ARRAY_SIZE(map_commands); i++)
		ADD(r, IF_NOT(map_commands[i], 1), ALLOW);
	ADD(r, REFUSE);
}

/* For writing only what is made by it: nothing that is there, such as /proc/PID/mem. */
static void add_open(struct rules *r, uint32_t call, int arg)
{
	uint32_t flags = (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)arg);

	ADD(r, IF_NOT(call, 9), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, flags),
	    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_ACCMODE), IF_NOT(O_RDONLY, 1), ALLOW,
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, flags),
	    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_CREAT | O_EXCL), IF_NOT(O_CREAT | O_EXCL, 1),
	    ALLOW, REFUSE);
}

static void filter(unsigned allowed)
{
	struct rules r = { .n = 0 };
	struct sock_fprog p;

	ADD(&r, LOAD(arch), IF_IS(AUDIT_ARCH_X86_64, 1), REFUSE, LOAD(nr),
	    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1), REFUSE);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (refused[i] != SYS_perf_event_open || !(allowed & MAY_WATCH))
			ADD(&r, IF_NOT(refused[i], 1), REFUSE);
	for (size_t i = 0; i < ARRAY_SIZE(sockets) && !(allowed & MAY_SERVE); i++)
		ADD(&r, IF_NOT(sockets[i], 1), REFUSE);
	add_open(&r, SYS_open, 1);
	add_open(&r, SYS_openat, 2);
	add_bpf(&r, allowed & MAY_LOAD);
	ADD(&r, ALLOW);
	p = (struct sock_fprog){ .len = r.n, .filter = r.insn };
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p);
}

static void close_to_others(unsigned allowed)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	filter(allowed);
}

#else

static void filter(unsigned allowed)
{
	(void)allowed;
}

/* LeakSanitizer traces its own process. */
static void close_to_others(unsigned allowed)
{
	(void)allowed;
}

#endif

void privileges_drop(uint64_t keep)
{
	privileges_keep(keep);
	close_to_others(0);
}

void privileges_serve(uint64_t keep)
{
	privileges_keep(keep);
	close_to_others(MAY_SERVE);
}

void privileges_watch(uint64_t keep)
{
	privileges_keep(keep);
	close_to_others(MAY_WATCH);
}

/* Older kernels know CAP_SYS_ADMIN alone. */
void privileges_prepare(uint64_t keep)
{
	const uint64_t bpf = PRIVILEGE_LOAD & ~PRIVILEGE_ADMIN & ~PRIVILEGE_MEMLOCK;

	keep |= PRIVILEGE_LOAD;
	if (!(bpf & ~effective()))
		keep &= ~PRIVILEGE_ADMIN;
	privileges_keep(keep);
	filter(MAY_LOAD);
}
