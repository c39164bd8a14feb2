/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of what a program is in the kernel for: those that Go programs call; others by number. */
#include <stdio.h>
#include <sys/syscall.h>

#include "base/vec.h"
#include "cpu/fill.h"

#define CALL(name) [SYS_##name] = "[kernel] " #name

static const char *const names[] = {
	CALL(read),
	CALL(write),
	CALL(open),
	CALL(close),
	CALL(stat),
	CALL(fstat),
	CALL(lstat),
	CALL(poll),
	CALL(lseek),
	CALL(mmap),
	CALL(mprotect),
	CALL(munmap),
	CALL(brk),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(ioctl),
	CALL(pread64),
	CALL(pwrite64),
	CALL(readv),
	CALL(writev),
	CALL(sched_yield),
	CALL(madvise),
	CALL(nanosleep),
	CALL(getpid),
	CALL(sendfile),
	CALL(socket),
	CALL(connect),
	CALL(sendto),
	CALL(recvfrom),
	CALL(sendmsg),
	CALL(recvmsg),
	CALL(shutdown),
	CALL(bind),
	CALL(listen),
	CALL(getsockname),
	CALL(getpeername),
	CALL(setsockopt),
	CALL(getsockopt),
	CALL(clone),
	CALL(wait4),
	CALL(fcntl),
	CALL(fsync),
	CALL(fdatasync),
	CALL(ftruncate),
	CALL(getdents64),
	CALL(rename),
	CALL(mkdir),
	CALL(unlink),
	CALL(gettid),
	CALL(futex),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(tgkill),
	CALL(openat),
	CALL(newfstatat),
	CALL(unlinkat),
	CALL(accept4),
	CALL(pipe2),
	CALL(splice),
	CALL(getrandom),
	CALL(mincore),
	CALL(clock_gettime),
	CALL(timer_create),
	CALL(timer_settime),
	CALL(copy_file_range),
	CALL(execve),
	CALL(io_uring_enter),
	CALL(process_vm_readv),
	CALL(sched_getaffinity),
};

const char *cpu_kernel_name(int nr)
{
	if (nr < 0)
		return "[kernel]";
	if ((size_t)nr < ARRAY_SIZE(names) && names[nr])
		return names[nr];
	return "[kernel] another system call";
}
