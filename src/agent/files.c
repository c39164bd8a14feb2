/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/files.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/map.h"
#include "base/vec.h"

#define FIRST_BYTES 4096
#define NOTES_MAX   4
#define NOTE_BYTES  4096
#define TABLE_BYTES 65536

struct files {
	struct u64map is_go; /* hash of a file -> 0, 1 */
	size_t not_go;
	struct analysis **kept; /* owned */
	size_t n, cap;
};

struct files *files_new(void)
{
	struct files *f = calloc(1, sizeof(*f));

	if (f)
		u64map_init(&f->is_go, FILES_MAX);
	return f;
}

void files_free(struct files *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++) {
		executable_put(f->kept[i]->x);
		free(f->kept[i]);
	}
	free(f->kept);
	u64map_deinit(&f->is_go);
	free(f);
}

/* --- which are Go ----------------------------------------------------------------- */

static uint64_t file_hash(const struct stat *st)
{
	uint64_t id[7] = {
		st->st_dev,
		st->st_ino,
		(uint64_t)st->st_size,
		(uint64_t)st->st_mtim.tv_sec,
		(uint64_t)st->st_mtim.tv_nsec,
		(uint64_t)st->st_ctim.tv_sec,
		(uint64_t)st->st_ctim.tv_nsec,
	};

	return hash_bytes(id, sizeof(id));
}

static int failure(void)
{
	return errno == EACCES || errno == EPERM ? -EACCES : -ESRCH;
}

static int look_at(int fd)
{
	struct buildinfo build;

	return !gobin_peek_fd(fd, &build, NULL);
}

static void remember(struct files *f, uint64_t hash, int is_go)
{
	if (f->is_go.len == FILES_MAX) {
		u64map_clear(&f->is_go);
		f->not_go = 0;
	}
	if (u64map_put(&f->is_go, hash, (uint64_t)is_go, NULL))
		f->not_go += !is_go;
}

int files_is_go(struct files *f, pid_t pid)
{
	const uint64_t *known;
	struct stat st;
	char path[32];
	int fd, is_go;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if (stat(path, &st))
		return failure();
	known = u64map_find(&f->is_go, file_hash(&st));
	if (known)
		return (int)*known;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return failure();
	/* of the file that was opened: the process may have called exec meanwhile */
	if (fstat(fd, &st)) {
		close(fd);
		return -ESRCH;
	}
	is_go = look_at(fd);
	close(fd);
	remember(f, file_hash(&st), is_go);
	return is_go;
}

size_t files_not_go(const struct files *f)
{
	return f->not_go;
}

/* --- programs ---------------------------------------------------------------------- */

static uint64_t hash_range(int fd, uint64_t off, uint64_t size, uint64_t so_far)
{
	uint8_t *bytes = malloc(size);
	ssize_t n = bytes ? image_pread(fd, bytes, size, off) : -ENOMEM;
	uint64_t h = n > 0 ? hash_bytes(bytes, (size_t)n) : 0;

	free(bytes);
	return hash_u64(so_far * 31 + h);
}

/* Build ids are in notes, which may be anywhere. */
static uint64_t hash_notes(int fd, struct cursor *c, uint64_t h)
{
	uint64_t phoff;
	int count, notes = 0;

	cursor_seek(c, offsetof(Elf64_Ehdr, e_phoff));
	phoff = cursor_u64(c);
	cursor_seek(c, offsetof(Elf64_Ehdr, e_phnum));
	count = cursor_u16(c);
	for (int i = 0; i < count && notes < NOTES_MAX; i++) {
		size_t at = (size_t)phoff + (size_t)i * sizeof(Elf64_Phdr);
		uint64_t off, size;

		if (phoff > FIRST_BYTES)
			break;
		cursor_seek(c, at);
		if (cursor_u32(c) != PT_NOTE)
			continue;
		cursor_seek(c, at + offsetof(Elf64_Phdr, p_offset));
		off = cursor_u64(c);
		cursor_seek(c, at + offsetof(Elf64_Phdr, p_filesz));
		size = cursor_u64(c);
		if (c->bad)
			break;
		h = hash_range(fd, off, size < NOTE_BYTES ? size + 1 : NOTE_BYTES, h);
		notes++;
	}
	return h;
}

/* What two programs that differ differ in, if they have build ids; 0: not known. */
static uint64_t headers_hash(int fd, uint64_t size)
{
	uint8_t first[FIRST_BYTES];
	ssize_t n = image_pread(fd, first, sizeof(first), 0);
	struct cursor c;
	uint64_t shoff, table, h;

	if (n < (ssize_t)sizeof(Elf64_Ehdr))
		return 0;
	h = hash_u64(hash_bytes(first, (size_t)n) + size);
	cursor_init(&c, first, (size_t)n);
	cursor_seek(&c, offsetof(Elf64_Ehdr, e_shoff));
	shoff = cursor_u64(&c);
	cursor_seek(&c, offsetof(Elf64_Ehdr, e_shnum));
	table = (uint64_t)cursor_u16(&c) * sizeof(Elf64_Shdr);
	h = hash_range(fd, shoff, table < TABLE_BYTES ? table + 1 : TABLE_BYTES, h);
	h = hash_notes(fd, &c, h);
	return c.bad || !h ? 0 : h;
}

static struct analysis *find(struct files *f, uint64_t file, uint64_t headers)
{
	for (size_t i = 0; i < f->n; i++) {
		struct analysis *a = f->kept[i];

		if (a->file == file || (headers && a->headers == headers))
			return a;
	}
	return NULL;
}

static void analyse(struct analysis *a, const struct process *p)
{
	struct err err = { 0 };

	a->code = executable_new(&a->x, p, &err);
	if (a->code)
		snprintf(a->why, sizeof(a->why), "%.190s", err.what);
	/* nothing in it says which it is: only the file does */
	else if (!a->x->gb->image.go_build_id[0] && !a->x->gb->image.build_id[0])
		a->headers = 0;
}

struct analysis *files_analyse(struct files *f, const struct process *p)
{
	struct analysis *a;
	uint64_t file, headers;
	struct stat st;

	if (fstat(p->exe_fd, &st))
		return NULL;
	file = file_hash(&st);
	headers = headers_hash(p->exe_fd, (uint64_t)st.st_size);
	a = find(f, file, headers);
	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a || array_room(&f->kept, f->n, &f->cap, sizeof(*f->kept))) {
			free(a);
			return NULL;
		}
		a->file = file;
		a->headers = headers;
		analyse(a, p);
		f->kept[f->n++] = a;
	} else if (a->x && !a->users) {
		files_lend(a, p);
	}
	a->users++;
	return a;
}

void files_lend(struct analysis *a, const struct process *other)
{
	int fd = a->x ? openat(other->proc_fd, "exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

	if (fd < 0)
		return;
	/* still the program that it was? */
	if (!process_check(other) && dup3(fd, a->x->gb->image.fd, O_CLOEXEC) >= 0)
		a->x->from = other->pid;
	close(fd);
}

void files_leave(struct analysis *a)
{
	a->users--;
}

void files_sweep(struct files *f)
{
	for (size_t i = f->n; i > 0; i--) {
		struct analysis *a = f->kept[i - 1];

		if (a->users)
			continue;
		executable_put(a->x);
		free(a);
		f->kept[i - 1] = f->kept[--f->n];
	}
}

size_t files_known(const struct files *f)
{
	return f->n;
}
