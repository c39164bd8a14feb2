/* SPDX-License-Identifier: BSD-2-Clause */
#include "gobin/gobin.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/vec.h"

#define MAX_STARTS       65536 /* start functions remembered; full: start afresh */
#define MAX_WRAPPERS     4     /* wrappers of wrappers looked through */
#define MAX_WRAPPER_CODE 4096  /* bytes of a wrapper decoded */
#define MAX_PLACE_FRAMES 64
#define NO_FUNC_ID       255 /* of no function */

struct start {
	const char *name; /* of the pclntab */
	bool uncounted;
};

/* A layout of the table with other wait reasons. */
struct layout_own {
	struct layout layout;
	const char *reason[LAYOUT_MAX_REASONS];
	char text[LAYOUT_MAX_REASONS][LAYOUT_MAX_REASON];
};

struct gobin_cache {
	struct u64map by_pc; /* startpc -> index in start */
	struct start *start; /* owned */
	size_t n, cap;
};

/*
 * For programs whose build info has no version (garble writes "unknown", some
 * tools leave it out): functions that every program of a release on has, and
 * none before.
 */
static const struct {
	const char *func;
	int minor;
} dated[] = {
	{ "runtime.moduleTypelinks", 27 },
	{ "runtime.panicBounds", 26 },
	{ "runtime.runFinalizers", 25 },
	{ "runtime.mallocgcLarge", 24 },
	{ "runtime.traceAdvance", 23 },
	{ "runtime.gdestroy", 22 },
	{ "runtime.doInit1", 21 },
	{ "runtime.deductAssistCredit", 20 },
	{ "runtime.gcControllerCommit", 19 },
};

#define NDATED ARRAY_SIZE(dated)

/* Hardly a program has none of these. */
static bool hides_names(struct gobin *gb)
{
	static const char *const usual[] = { "errors.New",          "sync.(*Mutex).Unlock",
					     "sync.(*Once).doSlow", "os.(*File).Close",
					     "syscall.Close",       "internal/poll.(*FD).Close" };
	struct gofunc f[ARRAY_SIZE(usual)];

	if (pclntab_find_names(gb->pcln, usual, ARRAY_SIZE(usual), f))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (f[i].entry)
			return false;
	return true;
}

static int date_release(struct gobin *gb, struct err *e)
{
	const char *names[NDATED + 1] = { "runtime.newproc" };
	struct gofunc all[NDATED + 1], *found = all + 1;
	int err, first, last;

	for (size_t i = 0; i < NDATED; i++)
		names[i + 1] = dated[i].func;
	err = pclntab_find_names(gb->pcln, names, NDATED + 1, all);
	if (err)
		return err_set(e, err, "damaged function table (pclntab) in the executable");
	if (!all[0].entry)
		return err_set(e, -ENOEXEC,
			       "a Go program without the names of the runtime's "
			       "functions (obfuscated, as by 'garble -tiny')");
	pclntab_release_range(gb->pcln, &first, &last);
	for (size_t i = 0; i < NDATED; i++)
		if (found[i].entry && dated[i].minor > first && dated[i].minor <= last)
			first = dated[i].minor;
	gb->release_is_dated = true;
	gb->names_hidden = hides_names(gb);
	gb->release = (struct go_release){ .minor = first, .patch = -1 };
	return 0;
}

/* From the build info, unless it says nothing, or something the tables contradict. */
static int find_release(struct gobin *gb, struct err *err)
{
	int first, last;

	gb->release = gb->build.release;
	pclntab_release_range(gb->pcln, &first, &last);
	if (gb->release.minor >= first && gb->release.minor <= last)
		return 0;
	return date_release(gb, err);
}

static const char *goarch_of(uint16_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return "amd64";
	case EM_AARCH64:
		return "arm64";
	}
	return "";
}

static int read_tables(struct gobin *gb, struct err *err)
{
	int ret = pclntab_open(&gb->pcln, &gb->image, &gb->mod, err);

	if (ret)
		return ret;
	ret = find_release(gb, err);
	if (ret)
		return ret;
	ret = moduledata_finish(&gb->mod, &gb->image, gb->release.minor);
	if (ret)
		return err_set(err, ret, "damaged module data in the executable");
	gb->layout = layout_find(goarch_of(gb->image.machine), &gb->release, &gb->layout_is_newer);
	frames_own(&gb->build, gb->own_module, sizeof(gb->own_module));
	pclntab_set_release(gb->pcln, gb->release.minor,
			    gb->layout ? gb->layout->func_id_wrapper : NO_FUNC_ID, gb->mod.gofunc,
			    gb->own_module);
	return 0;
}

static int open_image(struct gobin *gb, struct err *err)
{
	int ret = buildinfo_read(&gb->build, &gb->image);

	if (ret == -EBADMSG)
		return err_set(err, ret, "damaged build info in the executable");
	if (ret && ret != -ENOENT)
		return err_set(err, ret, "cannot read the executable");
	if (gb->build.release.minor && gb->build.release.minor < 18) {
		err_set(err, -ENOEXEC, "built by '%s'; Go 1.18 or newer is needed",
			gb->build.version);
		return -ENOEXEC;
	}
	return read_tables(gb, err);
}

/* UPX leaves its name behind the program headers, and at the end of the file. */
static bool is_packed(struct image *im)
{
	static const char magic[] = "UPX!";
	uint8_t head[1024], tail[64];
	size_t n = im->file_size < sizeof(head) ? im->file_size : sizeof(head);

	if (im->fd < 0 || n < sizeof(tail) || image_read(im, 0, head, n) ||
	    image_read(im, im->file_size - sizeof(tail), tail, sizeof(tail)))
		return false;
	return memmem(head, n, magic, 4) || memmem(tail, sizeof(tail), magic, 4);
}

int gobin_open_fd(struct gobin **out, int fd, struct err *err)
{
	struct gobin *gb = calloc(1, sizeof(*gb));
	int ret;

	*out = NULL;
	if (!gb)
		return err_set(err, -ENOMEM, "out of memory");
	gb->image.fd = -1;
	gb->cache = calloc(1, sizeof(*gb->cache));
	if (gb->cache)
		u64map_init(&gb->cache->by_pc, MAX_STARTS);
	ret = gb->cache ? image_init_fd(&gb->image, fd, err)
			: err_set(err, -ENOMEM, "out of memory");
	if (ret == -EINVAL) /* not a regular file: so not a program */
		ret = err_set(err, -ENOEXEC, "not a regular file");
	if (!ret)
		ret = open_image(gb, err);
	if (ret == -ENOEXEC && is_packed(&gb->image)) {
		ret = err_set(err, ret, "packed with UPX: it holds no Go tables");
		err_hint(err, "unpack it with 'upx -d', or run it as it was before it was packed");
	}
	if (ret) {
		gobin_free(gb);
		return ret;
	}
	gb->arch = arch_find(gb->image.machine);
	gobin_find_globals(gb);
	*out = gb;
	return 0;
}

/* Never waits on a FIFO, never wakes a device: looked at first, opened without blocking. */
int gobin_open(struct gobin **out, const char *path, struct err *err)
{
	struct stat st;
	int fd, ret;

	*out = NULL;
	if (stat(path, &st))
		return err_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -ENOEXEC, "'%s' is not a regular file", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
	ret = gobin_open_fd(out, fd, err);
	close(fd);
	if (ret && err) {
		struct err inner = *err;

		err_set(err, ret, "'%s': %s", path, inner.what);
		if (inner.hint[0])
			err_hint(err, "%s", inner.hint);
	}
	return ret;
}

void gobin_free(struct gobin *gb)
{
	if (!gb)
		return;
	pclntab_free(gb->pcln);
	image_deinit(&gb->image);
	if (gb->cache) {
		u64map_deinit(&gb->cache->by_pc);
		free(gb->cache->start);
	}
	free(gb->cache);
	free(gb->own);
	free(gb);
}

int gobin_take_wait_reasons(struct gobin *gb, char (*text)[LAYOUT_MAX_REASON], int n)
{
	struct layout_own *own = gb->own ? gb->own : calloc(1, sizeof(*own));

	if (!own)
		return -ENOMEM;
	own->layout = *gb->layout;
	memcpy(own->text, text, (size_t)n * sizeof(*text));
	for (int i = 0; i < n; i++)
		own->reason[i] = own->text[i];
	own->layout.wait_reason = own->reason;
	own->layout.n_wait_reason = n;
	gb->own = own;
	gb->layout = &own->layout;
	return 0;
}

/* Marks that only Go's linker leaves, for programs without build info. */
static bool has_go_marks(const struct image *im)
{
	static const char *const marks[] = {
		".gopclntab",
		".data.rel.ro.gopclntab",
		".go.module",
		".note.go.buildid",
	};

	if (im->go_build_id[0])
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (image_section_named(im, marks[i]))
			return true;
	return false;
}

int gobin_peek_fd(int fd, struct buildinfo *out, struct err *err)
{
	struct image im;
	int ret;

	memset(out, 0, sizeof(*out));
	out->release.patch = -1;
	ret = image_init_fd(&im, fd, err);
	if (ret)
		return ret == -EINVAL || ret == -EBADMSG ? -ENOEXEC : ret;
	ret = buildinfo_read(out, &im);
	if (ret == -ENOENT || ret == -EBADMSG)
		ret = has_go_marks(&im) ? 0 : err_set(err, -ENOEXEC, "not a Go program");
	image_deinit(&im);
	return ret;
}

int gobin_peek_library_fd(int fd, struct buildinfo *out)
{
	struct image im;
	int ret = image_init_fd(&im, fd, NULL);

	memset(out, 0, sizeof(*out));
	if (ret)
		return -ENOEXEC;
	ret = has_go_marks(&im) ? 0 : -ENOEXEC;
	if (!ret)
		buildinfo_read(out, &im);
	image_deinit(&im);
	return ret;
}

/* The compiler's and the runtime's steps between a `go` statement and newproc. */
static bool is_go_machinery(const struct goframe *f)
{
	return f->wrapper || !strncmp(f->function, "runtime.newproc", 15);
}

int gobin_go_frames(struct gobin *gb, uint64_t gopc, struct goframe *out, int max)
{
	int i, n;

	if (!gopc)
		return -ENOENT;
	n = pclntab_frames(gb->pcln, gopc, true, out, max);
	for (i = 0; i < n - 1 && is_go_machinery(&out[i]); i++)
		;
	if (n > 0)
		memmove(out, out + i, (size_t)(n - i) * sizeof(*out));
	return n > 0 ? n - i : n;
}

int gobin_go_place(struct gobin *gb, uint64_t gopc, struct goframe *out)
{
	struct goframe frames[MAX_PLACE_FRAMES];
	int n = gobin_go_frames(gb, gopc, frames, MAX_PLACE_FRAMES);

	if (n < 0)
		return n;
	*out = frames[0];
	return 0;
}

/* The first direct call in f that leaves f and is not to the runtime: 0 or -ENOENT. */
static int first_call(struct gobin *gb, const struct gofunc *f, struct gofunc *callee)
{
	size_t len = f->end - f->entry < MAX_WRAPPER_CODE ? f->end - f->entry : MAX_WRAPPER_CODE;
	uint8_t code[MAX_WRAPPER_CODE];
	size_t pos = 0;
	struct insn in;

	if (!gb->arch || image_read_addr(&gb->image, f->entry, code, len))
		return -ENOENT;
	for (; pos < len; pos += in.len) {
		if (gb->arch->decode(code + pos, len - pos, f->entry + pos, false, &in))
			return -ENOENT;
		/* A tail call of a wrapper is a jump. */
		if (in.flow != FLOW_CALL && in.flow != FLOW_JMP)
			continue;
		if (in.target >= f->entry && in.target < f->end)
			continue;
		if (!pclntab_find_pc(gb->pcln, in.target, callee) && callee->entry == in.target &&
		    strncmp(callee->name, "runtime.", 8))
			return 0;
	}
	return -ENOENT;
}

/* Looks through compiler-made functions; f is the start function. */
static const char *body_name(struct gobin *gb, struct gofunc f)
{
	struct goframe inlined, at[MAX_PLACE_FRAMES];
	struct gofunc callee;
	int n;

	for (int i = 0; i < MAX_WRAPPERS && f.is_wrapper; i++) {
		if (!pclntab_inlined_body(gb->pcln, f.entry, &inlined))
			return inlined.function;
		if (first_call(gb, &f, &callee))
			break;
		f = callee;
	}
	if (strchr(f.name, '[') &&
	    (n = pclntab_frames(gb->pcln, f.entry, false, at, MAX_PLACE_FRAMES)) > 0)
		return at[n - 1].function;
	return f.name;
}

/* runtime/traceback.go: isSystemGoroutine(); there by funcID, which the names determine. */
static void classify(struct start *s, const char *name)
{
	static const char *const user[] = {
		"runtime.main",
		"runtime.handleAsyncEvent",
		"runtime.corostart",
	};

	s->uncounted = !strncmp(name, "runtime.", 8);
	for (size_t i = 0; i < ARRAY_SIZE(user); i++)
		if (!strcmp(name, user[i]))
			s->uncounted = false;
}

static void judge_start(struct gobin *gb, uint64_t startpc, struct start *s)
{
	struct gofunc f;

	*s = (struct start){ .name = "?" };
	if (pclntab_find_pc(gb->pcln, startpc, &f))
		return;
	classify(s, f.name);
	s->name = body_name(gb, f);
}

static bool cache_room(struct gobin_cache *c)
{
	if (c->n == MAX_STARTS) {
		u64map_clear(&c->by_pc);
		c->n = 0;
	}
	return !array_room(&c->start, c->n, &c->cap, sizeof(*c->start));
}

static struct start find_start(struct gobin *gb, uint64_t startpc)
{
	struct gobin_cache *c = gb->cache;
	uint64_t *found = u64map_find(&c->by_pc, startpc);
	struct start s;

	if (found)
		return c->start[*found];
	judge_start(gb, startpc, &s);
	if (cache_room(c) && u64map_put(&c->by_pc, startpc, c->n, NULL))
		c->start[c->n++] = s;
	return s;
}

const char *gobin_start_name(struct gobin *gb, uint64_t startpc)
{
	return find_start(gb, startpc).name;
}

bool gobin_is_uncounted_start(struct gobin *gb, uint64_t startpc)
{
	return find_start(gb, startpc).uncounted;
}
