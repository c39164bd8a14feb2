/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Go process that tools/record has recorded (tests/fixtures, made by `make
 * fixtures` from tests/progs/recorded), and what it said of itself.
 */
#ifndef GOSPECT_TESTS_RECORDED_H
#define GOSPECT_TESTS_RECORDED_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <zlib.h>

#include "gobin/gobin.h"
#include "gort/goruntime.h"
#include "recording.h"

#define TRUTH_MAX   64  /* goroutines */
#define TRUTH_DEPTH 112 /* frames of the program's own; the runtime shows 100 */

static const char *const recordings[] = { "1.22", "1.27" };
#define NRECORDINGS (sizeof(recordings) / sizeof(recordings[0]))

struct truth_frame {
	char function[80];
	int line;
};

/* A block of the program's goroutine dump; the runtime's own frames are left out. */
struct truth_goroutine {
	uint64_t id, creator;
	char state[48];
	struct truth_frame frame[TRUTH_DEPTH], created;
	int n;
	bool cut; /* "...N frames elided..." */
};

struct truth {
	char release[32];
	uint64_t goroutines, cycles, forced;
	char heap_function[64];
	uint64_t alloc_count, alloc_bytes, in_use_count, in_use_bytes;
	char labelled[64], label[2][2][32];
	struct truth_goroutine g[TRUTH_MAX];
	size_t n;
};

struct recorded {
	struct gobin *gb;
	struct memreader *mem;
	struct goruntime rt;
	struct truth *truth;
	uint8_t *exe, *memory; /* the files, unpacked */
	size_t exe_len, memory_len;
};

/* ---- files ---- */

static void fixture_path(char *out, size_t size, const char *release, const char *ending)
{
	snprintf(out, size, "tests/fixtures/go%s%s", release, ending);
	if (access(out, R_OK))
		fail_msg("'%s' cannot be read: is this the top of the repository?", out);
}

/* Packed or not; owned by the caller, with a NUL behind. */
static uint8_t *read_gz(const char *path, size_t *len)
{
	gzFile f = gzopen(path, "rb");
	size_t cap = 1u << 16;
	uint8_t *out = malloc(cap);
	int n;

	assert_non_null(f);
	for (*len = 0; (n = gzread(f, out + *len, (unsigned int)(cap - *len - 1))) > 0;) {
		*len += (size_t)n;
		if (*len + 1 == cap)
			out = realloc(out, cap *= 2);
		assert_non_null(out);
	}
	assert_int_equal(n, 0);
	gzclose(f);
	out[*len] = 0;
	return out;
}

/* A file in memory, for who wants a path or a descriptor; -> its descriptor. */
static int file_of(const uint8_t *bytes, size_t len, char *path, size_t size)
{
	int fd = memfd_create("fixture", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	snprintf(path, size, "/proc/self/fd/%d", fd);
	return fd;
}

/* ---- what the program said ---- */

/* "main.f(0x1, {...})" -> "main.f" */
static void without_arguments(const char *line, char *out, size_t size)
{
	const char *end = strrchr(line, '(');
	size_t n = end ? (size_t)(end - line) : strlen(line);

	snprintf(out, size, "%.*s", (int)n, line);
}

static int line_number(const char *line)
{
	const char *colon = strrchr(line, ':');

	assert_non_null(colon);
	return atoi(colon + 1);
}

static void parse_created(struct truth_goroutine *g, const char *line, const char *at)
{
	const char *in = strstr(line, " in goroutine ");

	assert_non_null(in);
	snprintf(g->created.function, sizeof(g->created.function), "%.*s", (int)(in - line), line);
	g->created.line = line_number(at);
	g->creator = strtoull(in + strlen(" in goroutine "), NULL, 10);
}

static void parse_goroutine(struct truth_goroutine *g, char **save)
{
	char *line, *at;

	while ((line = strsep(save, "\n")) && *line) {
		struct truth_frame *f = &g->frame[g->n];

		if (!strncmp(line, "...", 3)) {
			g->cut = true;
			continue;
		}
		at = strsep(save, "\n");
		assert_non_null(at);
		if (!strncmp(line, "created by ", 11)) {
			parse_created(g, line + 11, at);
		} else if (strncmp(line, "runtime.", 8)) {
			assert_true(g->n < TRUTH_DEPTH);
			without_arguments(line, f->function, sizeof(f->function));
			f->line = line_number(at);
			g->n++;
		}
	}
}

static void parse_dump(struct truth *t, char *text)
{
	char *line;

	while ((line = strsep(&text, "\n"))) {
		struct truth_goroutine *g = &t->g[t->n];
		unsigned long long id;

		if (sscanf(line, "goroutine %llu [%47[^],]", &id, g->state) != 2)
			continue;
		assert_true(t->n < TRUTH_MAX);
		g->id = id;
		parse_goroutine(g, &text);
		t->n++;
	}
}

static struct truth *read_truth(const char *release)
{
	struct truth *t = calloc(1, sizeof(*t));
	char path[128];
	size_t len;
	char *text, *dump;

	assert_non_null(t);
	fixture_path(path, sizeof(path), release, ".txt");
	text = (char *)read_gz(path, &len);
	dump = strstr(text, "\n\n");
	assert_non_null(dump);
	assert_int_equal(sscanf(text,
				"release %31s\ngoroutines %lu\ncycles %lu forced %lu\n"
				"labels %63s %31[^=]=%31s %31[^=]=%31s\nheap %63s %lu %lu %lu %lu",
				t->release, &t->goroutines, &t->cycles, &t->forced, t->labelled,
				t->label[0][0], t->label[0][1], t->label[1][0], t->label[1][1],
				t->heap_function, &t->alloc_count, &t->alloc_bytes,
				&t->in_use_count, &t->in_use_bytes),
			 14);
	parse_dump(t, dump + 2);
	assert_int_equal(t->n, t->goroutines);
	free(text);
	return t;
}

static const struct truth_goroutine *truth_of(const struct truth *t, uint64_t id)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->g[i].id == id)
			return &t->g[i];
	return NULL;
}

/* The function it was started with. */
static const char *truth_start(const struct truth_goroutine *g)
{
	return g->n ? g->frame[g->n - 1].function : "";
}

/* Whether the program says that it can never run again. */
static inline bool truth_is_leaked(const struct truth_goroutine *g)
{
	return !strncmp(truth_start(g), "main.leak", 9);
}

/* ---- opening ---- */

static void open_files(struct recorded *r)
{
	char path[64];
	struct err err = { 0 };
	int fd = file_of(r->exe, r->exe_len, path, sizeof(path));

	if (gobin_open_fd(&r->gb, fd, &err))
		fail_msg("%s", err.what);
	close(fd);
	fd = file_of(r->memory, r->memory_len, path, sizeof(path));
	assert_int_equal(mem_open_file(&r->mem, path, NULL), 0);
	close(fd);
}

static void recorded_open(struct recorded *r, const char *release)
{
	char path[128];
	struct err err = { 0 };

	memset(r, 0, sizeof(*r));
	r->truth = read_truth(release);
	fixture_path(path, sizeof(path), release, ".exe.gz");
	r->exe = read_gz(path, &r->exe_len);
	fixture_path(path, sizeof(path), release, ".mem.gz");
	r->memory = read_gz(path, &r->memory_len);
	open_files(r);
	if (goruntime_init(&r->rt, r->gb, r->mem, 0, 0, &err))
		fail_msg("%s", err.what);
}

static void recorded_close(struct recorded *r)
{
	goruntime_deinit(&r->rt);
	mem_free(r->mem);
	gobin_free(r->gb);
	free(r->truth);
	free(r->exe);
	free(r->memory);
}

/* Each test on each recording. */
#define ON_EACH(r)                                                                               \
	struct recorded r;                                                                       \
	for (size_t each = 0; each < NRECORDINGS && (recorded_open(&r, recordings[each]), true); \
	     recorded_close(&r), each++)

#endif
