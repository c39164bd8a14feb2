/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect's end of the socket. */
#include "trace/keeper_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"

/* A keeper that does not answer for so long is ended. */
#define ANSWER_MS 30000
/* How long its end is waited for. */
#define STOP_MS 100

static struct {
	pid_t pid; /* 0: none */
	int sock;
	struct keeper_shared *shared;
	uint64_t used; /* slots */
	int closing;   /* DISARMs without an answer */
	unsigned int lapses;
} keeper;

_Static_assert(ATTACH_MAX_FDS == DESCRIPTORS_MAX, "two perf events a site: the most there are");

int keeper_start(void)
{
	pid_t parent = getpid();
	int pair[2];

	if (keeper.pid)
		return 0;
	if (!keeper.shared) {
		void *p = mmap(NULL, sizeof(*keeper.shared), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return -errno;
		keeper.shared = p;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	keeper_beat();
	keeper.pid = fork();
	if (!keeper.pid)
		keeper_main(pair[1], keeper.shared, parent);
	close(pair[1]);
	if (keeper.pid < 0) {
		int e = -errno;

		keeper.pid = 0;
		close(pair[0]);
		return e;
	}
	keeper.sock = pair[0];
	return 0;
}

static pid_t forget(void)
{
	pid_t pid = keeper.pid;

	close(keeper.sock);
	keeper.pid = 0;
	keeper.used = 0;
	keeper.closing = 0;
	return pid;
}

/* It ends when it has closed all: at once, but for perf events. */
void keeper_stop(void)
{
	pid_t pid = keeper.pid ? forget() : 0;

	for (int i = 0; pid && i < STOP_MS && !waitpid(pid, NULL, WNOHANG); i++)
		usleep(1000);
}

/* It was killed, or does not answer: what it held goes with it. */
static void keeper_lost(void)
{
	pid_t pid = forget();

	keeper.lapses++;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* The next answer, or a negative errno. */
static int answer(struct keeper_answer *a, int *fd, int timeout_ms)
{
	struct pollfd p = { .fd = keeper.sock, .events = POLLIN };
	uint64_t end = clock_mono_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	int fds[ATTACH_MAX_FDS], nfd, n;

	for (;;) {
		uint64_t now = clock_mono_ns();
		int left = now < end ? (int)((end - now) / NS_PER_MS) + 1 : 0;

		n = poll(&p, 1, timeout_ms < 0 ? -1 : left);
		if (n > 0)
			break;
		if (!n)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
	n = descriptors_receive(keeper.sock, a, sizeof(*a), fds, &nfd);
	*fd = nfd ? fds[0] : -1;
	return n == (int)sizeof(*a) ? 0 : -EPIPE;
}

/* The answer to another request; those of KEEPER_DISARM may come before. */
static int next_answer(struct keeper_answer *a, int *fd)
{
	int e;

	do {
		e = answer(a, fd, ANSWER_MS);
		if (!e && a->op == KEEPER_DISARM)
			keeper.closing--;
	} while (!e && a->op == KEEPER_DISARM);
	return e;
}

static int send_job(const struct keeper_job *j, int slot, bool last)
{
	const struct attach_point *p = &j->point;
	struct keeper_request r = {
		.op = KEEPER_ARM,
		.slot = slot,
		.multi = j->multi,
		.events = j->events,
		.cookies = j->cookies,
		.last = last,
		.pid = p->pid,
		.n = p->n,
	};
	int fds[2] = { p->prog_fd, p->exe_fd }, n;

	memcpy(r.offset, p->offsets, p->n * sizeof(r.offset[0]));
	memcpy(r.cookie, p->cookies, p->n * sizeof(r.cookie[0]));
	n = descriptors_send(keeper.sock, &r, sizeof(r), fds, 2, 0);
	return n < 0 ? n : 0;
}

static int free_slot(void)
{
	return ~keeper.used ? __builtin_ctzll(~keeper.used) : -1;
}

static int arm_all(struct keeper_job *jobs, const int *sent, int n)
{
	struct keeper_answer a;
	int e = n ? keeper_start() : 0, none;

	keeper_beat();
	for (int i = 0; !e && i < n; i++) {
		int slot = free_slot();

		keeper.used |= 1ull << slot;
		jobs[sent[i]].result = slot;
		e = send_job(&jobs[sent[i]], slot, i == n - 1);
	}
	if (!e && n)
		e = next_answer(&a, &none);
	for (int i = 0; !e && i < n; i++) {
		struct keeper_job *j = &jobs[sent[i]];

		if (a.result[i] >= 0)
			continue;
		keeper.used &= ~(1ull << j->result);
		j->result = a.result[i];
	}
	return e;
}

void keeper_arm(struct keeper_job *jobs, int n)
{
	int sent[KEEPER_MAX_JOBS], nsent = 0, e;

	for (int i = 0; i < n; i++) {
		jobs[i].result = -E2BIG;
		if (jobs[i].point.n && jobs[i].point.n <= ATTACH_MAX_SITES &&
		    nsent < KEEPER_MAX_JOBS &&
		    nsent + __builtin_popcountll(keeper.used) < KEEPER_SLOTS)
			sent[nsent++] = i;
	}
	e = arm_all(jobs, sent, nsent);
	if (!e)
		return;
	if (keeper.pid)
		keeper_lost();
	for (int i = 0; i < nsent; i++)
		jobs[sent[i]].result = e;
}

void keeper_disarm(const int *numbers, int n)
{
	struct keeper_request r = { .op = KEEPER_DISARM };

	for (int i = 0; i < n; i++)
		r.slots |= 1ull << numbers[i];
	if (!keeper.pid || !r.slots)
		return;
	keeper.used &= ~r.slots;
	if (descriptors_send(keeper.sock, &r, sizeof(r), NULL, 0, 0) < 0)
		keeper_lost();
	else
		keeper.closing++;
}

bool keeper_wait(int timeout_ms)
{
	struct keeper_answer a;
	int none;

	while (keeper.pid && keeper.closing) {
		int e = answer(&a, &none, timeout_ms);

		if (e == -ETIMEDOUT)
			return false;
		if (e)
			keeper_lost();
		else
			keeper.closing--;
	}
	return true;
}

int keeper_stats(void)
{
	const struct keeper_request r = { .op = KEEPER_STATS };
	struct keeper_answer a;
	int e = keeper_start(), fd;

	if (!e)
		e = descriptors_send(keeper.sock, &r, sizeof(r), NULL, 0, 0);
	if (e >= 0)
		e = next_answer(&a, &fd);
	if (e && keeper.pid)
		keeper_lost();
	return e ? e : a.result[0] ? a.result[0] : fd;
}

bool keeper_uses_events(void)
{
	return keeper.shared && __atomic_load_n(&keeper.shared->events, __ATOMIC_RELAXED);
}

void keeper_beat(void)
{
	if (keeper.shared)
		__atomic_store_n(&keeper.shared->beat_ns, clock_mono_ns(), __ATOMIC_RELAXED);
}

/* Whether it has ended, also with answers of its that nobody has read yet. */
static bool has_ended(void)
{
	struct pollfd p = { .fd = keeper.sock };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

unsigned int keeper_lapses(void)
{
	if (keeper.pid && has_ended())
		keeper_lost();
	return keeper.lapses +
	       (keeper.shared ? __atomic_load_n(&keeper.shared->lapses, __ATOMIC_RELAXED) : 0);
}
