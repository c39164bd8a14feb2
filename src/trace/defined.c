/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/defined.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "trace/events.h"

struct defined {
	struct attachment at; /* what holds it; n = 0: not made */
	unsigned int serial;
	bool failed; /* it cannot be made */
	/* for what */
	uint32_t n, prog;
	dev_t dev;
	ino_t ino;
	uint64_t offset[ATTACH_MAX_SITES], cookie[ATTACH_MAX_SITES];
};

static struct {
	struct defined of[KEEPER_SLOTS];
	int n;
	unsigned int serial;
} d;

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static bool is_for(const struct defined *x, const struct keeper_request *r, uint32_t prog,
		   const struct stat *st)
{
	size_t bytes = r->n * sizeof(r->offset[0]);

	return x->n == r->n && x->prog == prog && x->dev == st->st_dev && x->ino == st->st_ino &&
	       !memcmp(x->offset, r->offset, bytes) && !memcmp(x->cookie, r->cookie, bytes);
}

int defined_for(const struct keeper_request *r, int prog_fd, int exe_fd)
{
	uint32_t prog = program_id(prog_fd);
	struct defined *x = &d.of[d.n];
	struct stat st;

	if (!prog || fstat(exe_fd, &st) || events_open())
		return -1;
	for (int i = 0; i < d.n; i++)
		if (is_for(&d.of[i], r, prog, &st))
			return d.of[i].failed ? -1 : i;
	if (d.n == KEEPER_SLOTS)
		return -1;
	x->n = r->n;
	x->prog = prog;
	x->dev = st.st_dev;
	x->ino = st.st_ino;
	memcpy(x->offset, r->offset, r->n * sizeof(x->offset[0]));
	memcpy(x->cookie, r->cookie, r->n * sizeof(x->cookie[0]));
	return d.n++;
}

bool defined_is_made(int number)
{
	return d.of[number].at.n;
}

void defined_renew(int number)
{
	if (!d.of[number].at.n)
		d.of[number].serial = ++d.serial;
}

int defined_make(int number, const struct attach_point *p, bool cookies, struct attachment *made)
{
	return events_define(made, p, cookies, d.of[number].serial);
}

int defined_attach(int number, const struct attach_point *p, struct attachment *at)
{
	return events_attach(at, p, d.of[number].serial);
}

void defined_take(int number, struct attachment *made, int err)
{
	struct defined *x = &d.of[number];

	x->at = *made;
	made->n = 0;
	x->failed = err;
}

/* By the end of a child that has them alone: see keeper.h. */
void defined_end(void)
{
	int gate[2];
	pid_t pid;
	char byte;

	if (!d.n || pipe(gate))
		return;
	pid = fork();
	if (!pid) {
		close(gate[1]);
		while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
			;
		keeper_die();
	}
	if (pid < 0)
		return;
	for (int i = 0; i < d.n; i++)
		attachment_close(&d.of[i].at);
	close(gate[1]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	events_remove_all();
}
