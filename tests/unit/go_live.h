/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Go program of tests/progs that runs, with what it says of itself, and the
 * reader on it.  It prints facts, one "name value…" a line, then READY, and
 * ends when its standard input is closed.  Include it behind cmocka.h.
 */
#ifndef GO_LIVE_H
#define GO_LIVE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "go_child.h"

#include "base/clock.h"
#include "gobin/gobin.h"
#include "gort/goruntime.h"
#include "proc/mem.h"
#include "proc/process.h"
#include "releases.h"

#define GO_LIVE_FACTS 64

struct go_live {
	pid_t pid;
	int in; /* its standard input */
	char fact[GO_LIVE_FACTS][256];
	int nfact;
	struct process proc;
	struct gobin *gb;
	struct memreader *mem;
	struct goruntime rt;
	struct gowalk walk;
};

static inline const char *go_live_text(const struct go_live *p, const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; i < p->nfact; i++)
		if (!strncmp(p->fact[i], name, n) && p->fact[i][n] == ' ')
			return p->fact[i] + n + 1;
	fail_msg("the program did not say '%s'", name);
	return "";
}

static inline uint64_t go_live_u64(const struct go_live *p, const char *name)
{
	return strtoull(go_live_text(p, name), NULL, 0);
}

static inline void go_live_read_facts(struct go_live *p, int fd)
{
	FILE *f = fdopen(fd, "r");
	char line[256];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && strcmp(line, "READY\n")) {
		line[strcspn(line, "\n")] = '\0';
		assert_true(p->nfact < GO_LIVE_FACTS);
		strcpy(p->fact[p->nfact++], line);
	}
	assert_string_equal(line, "READY\n");
	fclose(f);
}

/* With up to 60 arguments, ended by NULL.  Skips the test when the program has not been built. */
static inline void go_live_start_args(struct go_live *p, const char *name, const char *const *args)
{
	char *argv[62] = { NULL };
	char path[512];
	int from;
	uint64_t bias;

	memset(p, 0, sizeof(*p));
	if (!program_path(path, sizeof(path), "%s", name))
		skip();
	argv[0] = path;
	for (int i = 0; i < 60 && args && args[i]; i++)
		argv[i + 1] = (char *)args[i];
	p->pid = go_child(argv, &p->in, &from);
	go_live_read_facts(p, from);
	assert_int_equal(process_init(&p->proc, p->pid, NULL), 0);
	assert_int_equal(gobin_open_fd(&p->gb, p->proc.exe_fd, NULL), 0);
	assert_int_equal(mem_open_pid(&p->mem, p->pid, NULL), 0);
	assert_int_equal(process_bias(&p->proc, &p->gb->image, &bias, NULL), 0);
	assert_int_equal(goruntime_init(&p->rt, p->gb, p->mem, bias, 0, NULL), 0);
}

static inline void go_live_start(struct go_live *p, const char *name)
{
	go_live_start_args(p, name, NULL);
}

static inline void go_live_stop(struct go_live *p)
{
	gowalk_deinit(&p->walk);
	goruntime_deinit(&p->rt);
	mem_free(p->mem);
	gobin_free(p->gb);
	process_deinit(&p->proc);
	close(p->in);
	assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
}

#endif
