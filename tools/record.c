/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record PID PREFIX: records a Go process for the unit tests, which then need
 * neither the process nor its executable.
 *
 *	PREFIX.mem.gz	its memory (tests/unit/recording.h, "gspmem1"): the pages that the
 *			readers read, while it was stopped
 *	PREFIX.exe.gz	its executable, zero where nothing was read
 *
 * Whole pages, so that a slightly changed reader still finds what it needs.  The
 * tests unpack both.  tools/fixtures makes the committed ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "base/map.h"
#include "cli/watch.h"
#include "prove/freeze.h"
#include "prove/prove.h"
#include "gort/golabels.h"
#include "gort/golocks.h"
#include "gort/gostacks.h"
#include "gort/heapprof.h"

#define PAGE      4096u
#define MAX_PAGES (16u << 10) /* 64 MiB, as a recording may have */
#define DEPTH     256

/* ---- which pages of the executable are looked at: the linker leads image.c's readers here ---- */

static struct u64map file_page;

int __real_image_read(struct image *im, uint64_t off, void *dst, size_t len);
int __wrap_image_read(struct image *im, uint64_t off, void *dst, size_t len);
int __real_image_read_addr(struct image *im, uint64_t addr, void *dst, size_t len);
int __wrap_image_read_addr(struct image *im, uint64_t addr, void *dst, size_t len);

static void see(struct u64map *pages, uint64_t at, uint64_t len)
{
	for (uint64_t p = at / PAGE; len && p <= (at + len - 1) / PAGE; p++)
		if (!u64map_put(pages, p, 1, NULL)) {
			fprintf(stderr, "record: more than %u pages\n", MAX_PAGES);
			exit(1);
		}
}

int __wrap_image_read(struct image *im, uint64_t off, void *dst, size_t len)
{
	int err = __real_image_read(im, off, dst, len);

	if (!err)
		see(&file_page, off, len);
	return err;
}

int __wrap_image_read_addr(struct image *im, uint64_t addr, void *dst, size_t len)
{
	int err = __real_image_read_addr(im, addr, dst, len);
	uint64_t first, last;

	if (!err && len && !image_addr_to_off(im, addr, &first)) {
		if (image_addr_to_off(im, addr + len - 1, &last)) /* goes on in bss */
			last = im->file_size - 1;
		see(&file_page, first, last - first + 1);
	}
	return err;
}

/* ---- which pages of memory are looked at ---- */

struct watcher {
	struct memreader base;
	struct memreader *inner;
	struct u64map page;
};

static int watch_many(struct memreader *m, struct mem_piece *p, size_t n)
{
	struct watcher *w = (struct watcher *)m;
	int failed = mem_read_many(w->inner, p, n);

	for (size_t i = 0; failed >= 0 && i < n; i++)
		if (!p[i].status)
			see(&w->page, p[i].addr, p[i].len);
	return failed;
}

static const struct memreader_ops watch_ops = { watch_many, NULL };

/* ---- everything that is read of a process ---- */

static int read_frames(struct goruntime *rt, const struct gostacks *s)
{
	static struct goframe frame[DEPTH];

	for (size_t i = 0; i < s->n; i++)
		if (goruntime_frames(rt, s->pc + s->stack[i].first, (int)s->stack[i].n, frame,
				     DEPTH) <= 0)
			return -EBADMSG;
	return 0;
}

static int read_goroutines(struct goruntime *rt, struct err *err)
{
	struct gowalk w = { 0 };
	struct golabels labels = { 0 };
	struct golocks locks = { 0 };
	struct gostacks stacks = { 0 };
	struct goframe place;
	uint32_t *of = NULL;
	int code = goruntime_walk(rt, &w, err);

	if (code)
		return code;
	of = calloc(w.n + 1, sizeof(*of));
	if (!of || gostacks_init(&stacks) || golabels_init(&labels))
		return err_set(err, -ENOMEM, "no memory");
	code = gostacks_read(&stacks, rt, &w, of);
	if (!code)
		code = read_frames(rt, &stacks);
	if (!code)
		code = golabels_read(&labels, rt, &w, of);
	if (!code)
		code = golocks_read(&locks, rt, &w, 0);
	for (size_t i = 0; i < w.n; i++) {
		gobin_go_place(rt->gb, w.g[i].gopc - rt->bias, &place);
		gobin_start_name(rt->gb, w.g[i].startpc - rt->bias);
	}
	if (code)
		err_set(err, code, "its goroutines cannot be read: %s", strerror(-code));
	golocks_deinit(&locks);
	golabels_deinit(&labels);
	gostacks_deinit(&stacks);
	gowalk_deinit(&w);
	free(of);
	return code;
}

static int read_heap(struct goruntime *rt, struct err *err)
{
	struct gototals totals;
	struct heapprof h;
	char why[200];
	struct goframe frame;
	int code = goruntime_totals(rt, &totals);

	if (code)
		return err_set(err, code, "its totals cannot be read");
	code = heapprof_read(&h, rt, why, sizeof(why));
	if (code)
		return err_set(err, code, "its heap profile cannot be read: %s", why);
	for (size_t i = 0; i < h.npc; i++) {
		bool injected = false;

		goruntime_frames_at(rt, h.pc[i], &injected, &frame, 1);
	}
	heapprof_deinit(&h);
	return 0;
}

static int read_leaks(struct goruntime *rt, struct err *err)
{
	struct prove_config cfg = { .rt = rt, .passes = 1 };
	struct prove_result r;
	int code = prove_run(&cfg, &r, err);

	if (!code && r.verdict != LEAKS_PASSES)
		code = err_set(err, -EBADMSG, "its leaks cannot be judged: %s", r.why);
	prove_result_deinit(&r);
	return code;
}

/* From the beginning, as the tests do it: with nothing known of the process or its file. */
static int read_all(struct session *s, struct memreader *mem, struct err *err)
{
	struct goruntime rt;
	struct gobin *gb;
	int code = gobin_open_fd(&gb, s->proc.exe_fd, err);

	if (code)
		return code;
	code = goruntime_init(&rt, gb, mem, s->bias, s->proc.mono_offset_ns, err);
	if (!code) {
		code = read_goroutines(&rt, err);
		if (!code)
			code = read_heap(&rt, err);
		if (!code)
			code = read_leaks(&rt, err);
		goruntime_deinit(&rt);
	}
	gobin_free(gb);
	return code;
}

/* ---- writing ---- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Ascending; owned by the caller. */
static uint64_t *sorted(const struct u64map *pages, size_t *n)
{
	uint64_t *out = calloc(MAX_PAGES + 1, sizeof(*out)), key, *value;
	size_t pos = 0;

	for (*n = 0; out && u64map_next(pages, &pos, &key, &value); (*n)++)
		out[*n] = key;
	if (out)
		qsort(out, *n, sizeof(*out), by_number);
	return out;
}

static void store_le(uint8_t *out, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

static gzFile open_gz(const char *prefix, const char *ending)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s%s", prefix, ending);
	return gzopen(path, "wb9");
}

/* The runs of pages, each as one record. */
static int write_memory(const char *prefix, struct memreader *mem, const struct u64map *pages)
{
	size_t n, run;
	uint64_t *page = sorted(pages, &n);
	gzFile f = open_gz(prefix, ".mem.gz");
	int code = page && f && gzwrite(f, "gspmem1\n", 8) == 8 ? 0 : -EIO;

	for (size_t i = 0; i < n && !code; i += run) {
		uint8_t head[12], bytes[PAGE];

		for (run = 1; i + run < n && page[i + run] == page[i] + run; run++)
			;
		store_le(head, page[i] * PAGE, 8);
		store_le(head + 8, run * PAGE, 4);
		if (gzwrite(f, head, sizeof(head)) != sizeof(head))
			code = -EIO;
		for (size_t k = 0; k < run && !code; k++) {
			code = mem_read(mem, (page[i] + k) * PAGE, bytes, PAGE);
			if (!code && gzwrite(f, bytes, PAGE) != PAGE)
				code = -EIO;
		}
	}
	if (f && gzclose(f) != Z_OK)
		code = -EIO;
	free(page);
	printf("%s.mem.gz: %zu pages\n", prefix, n);
	return code;
}

static int write_executable(const char *prefix, struct image *im)
{
	static const uint8_t zeros[PAGE];
	gzFile f = open_gz(prefix, ".exe.gz");
	uint8_t bytes[PAGE];
	int code = f ? 0 : -EIO;

	for (uint64_t at = 0; at < im->file_size && !code; at += PAGE) {
		unsigned int len =
			im->file_size - at < PAGE ? (unsigned int)(im->file_size - at) : PAGE;
		/* the headers at its beginning are read by other ways, too */
		bool seen = !at || u64map_find(&file_page, at / PAGE);

		if (seen)
			code = __real_image_read(im, at, bytes, len);
		if (!code && gzwrite(f, seen ? bytes : zeros, len) != (int)len)
			code = -EIO;
	}
	if (f && gzclose(f) != Z_OK)
		code = -EIO;
	printf("%s.exe.gz: %zu pages of %llu\n", prefix, file_page.len,
	       (unsigned long long)(im->file_size / PAGE + 1));
	return code;
}

static int record(struct session *s, const char *prefix, struct err *err)
{
	struct watcher w = { .base.ops = &watch_ops, .inner = s->mem };
	const struct image_section *names = image_section_named(&s->gb->image, ".shstrtab");
	int code;

	u64map_init(&w.page, MAX_PAGES);
	u64map_clear(&file_page);
	if (names)
		see(&file_page, names->off, names->size);
	code = read_all(s, &w.base, err);
	if (!code) {
		code = write_memory(prefix, s->mem, &w.page);
		if (!code)
			code = write_executable(prefix, &s->gb->image);
		if (code)
			err_set(err, code, "cannot write '%s': %s", prefix, strerror(-code));
	}
	u64map_deinit(&w.page);
	return code;
}

int main(int argc, char **argv)
{
	struct session s;
	struct freeze f;
	struct err err = { 0 };
	int code;

	if (argc != 3) {
		fprintf(stderr, "usage: record PID PREFIX\n");
		return 2;
	}
	u64map_init(&file_page, MAX_PAGES);
	code = session_open(&s, atoi(argv[1]), &err);
	if (!code) {
		freeze_init(&f);
		code = freeze_open(&f);
		if (!code)
			code = freeze_begin(&f, s.proc.pid, UINT64_MAX, UINT64_MAX);
		if (!code)
			code = record(&s, argv[2], &err);
		else
			err_set(&err, code, "cannot stop process %s: %s", argv[1], strerror(-code));
		freeze_end(&f);
		freeze_deinit(&f);
	}
	session_close(&s);
	u64map_deinit(&file_page);
	if (code)
		fprintf(stderr, "record: %s\n", err.what);
	return code ? 1 : 0;
}
