/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-copy: how fast this machine copies another process's memory, in GB/s as
 * JSON: process_vm_readv in pieces of 4 MiB by one and two threads, into pages
 * that were in use before and into fresh ones; and what a small piece costs.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define BYTES  (512ull << 20)
#define PIECE  (4u << 20)
#define ROUNDS 5
#define SMALL  256 /* bytes, one in 2 KiB, as stacks lie */
#define IOVS   512

struct part {
	pid_t pid;
	uint8_t *from, *to;
	uint64_t bytes;
	int failed;
};

static uint8_t *room(void)
{
	uint8_t *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("bench-copy: mmap");
		exit(1);
	}
	madvise(p, BYTES, MADV_HUGEPAGE);
	return p;
}

static void *copy(void *arg)
{
	struct part *p = arg;

	for (uint64_t at = 0; at < p->bytes && !p->failed; at += PIECE) {
		struct iovec here = { p->to + at, PIECE }, there = { p->from + at, PIECE };

		p->failed = process_vm_readv(p->pid, &here, 1, &there, 1, 0) != PIECE;
	}
	return NULL;
}

static void *copy_small(void *arg)
{
	struct part *p = arg;
	struct iovec here[IOVS], there[IOVS];

	for (uint64_t at = 0; at < p->bytes && !p->failed; at += IOVS * 2048) {
		for (uint64_t i = 0; i < IOVS; i++) {
			here[i] = (struct iovec){ p->to + (at / 2048 + i) * SMALL, SMALL };
			there[i] = (struct iovec){ p->from + at + i * 2048, SMALL };
		}
		p->failed = process_vm_readv(p->pid, here, IOVS, there, IOVS, 0) != IOVS * SMALL;
	}
	return NULL;
}

/* Nanoseconds of the fastest of the rounds. */
static uint64_t fastest(void *(*fn)(void *), pid_t pid, uint8_t *from, int threads, bool fresh)
{
	uint64_t best = UINT64_MAX;
	uint8_t *to = room();

	if (!fresh)
		memset(to, 1, BYTES);
	for (int round = 0; round < ROUNDS; round++) {
		struct part part[2];
		pthread_t other;
		uint64_t began = clock_mono_ns(), took;

		for (int t = 0; t < threads; t++)
			part[t] = (struct part){ pid, from + (uint64_t)t * BYTES / threads,
						 to + (uint64_t)t * BYTES / threads,
						 BYTES / threads, 0 };
		if (threads > 1 && pthread_create(&other, NULL, fn, &part[1]))
			exit(1);
		fn(&part[0]);
		if (threads > 1)
			pthread_join(other, NULL);
		took = clock_mono_ns() - began;
		if (part[0].failed || (threads > 1 && part[1].failed)) {
			fprintf(stderr, "bench-copy: its memory cannot be read\n");
			kill(pid, SIGKILL);
			exit(1);
		}
		best = took < best ? took : best;
		if (fresh) {
			munmap(to, BYTES);
			to = room();
		}
	}
	munmap(to, BYTES);
	return best;
}

int main(void)
{
	uint8_t *from =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ready[2];
	pid_t pid;
	char c;

	if (from == MAP_FAILED || pipe(ready))
		return 1;
	madvise(from, BYTES, MADV_HUGEPAGE);
	pid = fork();
	if (!pid) { /* stands still, as a frozen program does */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memset(from, 1, BYTES);
		if (write(ready[1], "", 1) != 1)
			return 1;
		for (;;)
			pause();
	}
	if (pid < 0 || read(ready[0], &c, 1) != 1)
		return 1;
	printf("{\"one\":%.2f,\"two\":%.2f,\"one_fresh\":%.2f,\"two_fresh\":%.2f,"
	       "\"small_ns\":%.0f,\"small_two_ns\":%.0f}\n",
	       (double)BYTES / (double)fastest(copy, pid, from, 1, false),
	       (double)BYTES / (double)fastest(copy, pid, from, 2, false),
	       (double)BYTES / (double)fastest(copy, pid, from, 1, true),
	       (double)BYTES / (double)fastest(copy, pid, from, 2, true),
	       (double)fastest(copy_small, pid, from, 1, false) / (BYTES / 2048.0),
	       (double)fastest(copy_small, pid, from, 2, false) / (BYTES / 2048.0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}
