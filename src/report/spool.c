/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each file is written under another name and renamed, ID.json last: where that is,
 * the snapshot is whole.  Nothing is waited for to be on the disk: who writes has
 * processes to watch.  Only new files are opened for writing (host/privileges.c).
 */
#include "report/spool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/vec.h"
#include "report/report.h"

#define SERVICE_CHARS 64
#define NEW           ".new-" /* begins the name of a file that is being written */
#define NEW_S         60      /* one of so long ago is nobody's any more */
#define TEXT_COLUMNS  100

const char *const spool_ending[SPOOL_FORMS] = { "json", "html", "txt" };

/* --- names ------------------------------------------------------------------------- */

static bool is_of_id(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

/* "20261130T161500Z-shop-42" */
bool spool_is_id(const char *s)
{
	size_t n = 0;

	while (is_of_id(s[n]))
		n++;
	return !s[n] && n > 17 && n < SPOOL_ID_SIZE && isdigit((unsigned char)*s) && s[15] == 'Z' &&
	       s[16] == '-';
}

static void make_id(const struct spool_what *what, char id[SPOOL_ID_SIZE])
{
	time_t s = (time_t)(what->real_ns / NS_PER_S);
	char service[SERVICE_CHARS + 1], time[20];
	struct tm tm;

	snprintf(service, sizeof(service), "%s", what->service);
	for (char *c = service; *c; c++)
		*c = is_of_id(*c) ? *c : '_';
	gmtime_r(&s, &tm);
	strftime(time, sizeof(time), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(id, SPOOL_ID_SIZE, "%s-%s-%d", time, *service ? service : "unknown", what->pid);
}

static void name_of(const char *id, enum spool_form form, char *out, size_t size)
{
	snprintf(out, size, "%s.%s", id, spool_ending[form]);
}

/* The id that a file is of; its form, SPOOL_FORMS: it is of none. */
static enum spool_form form_of(const char *name, char id[SPOOL_ID_SIZE])
{
	const char *dot = strrchr(name, '.');
	int form = 0;

	while (dot && form < SPOOL_FORMS && strcmp(dot + 1, spool_ending[form]))
		form++;
	if (!dot || form == SPOOL_FORMS || dot - name >= SPOOL_ID_SIZE)
		return SPOOL_FORMS;
	snprintf(id, SPOOL_ID_SIZE, "%.*s", (int)(dot - name), name);
	return spool_is_id(id) ? (enum spool_form)form : SPOOL_FORMS;
}

static int open_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* --- what is there ------------------------------------------------------------------ */

struct found {
	struct spool_entry e;
	bool form[SPOOL_FORMS];
};

struct folder {
	struct found *f;
	size_t n, cap;
};

static struct found *of_id(struct folder *all, const char *id)
{
	for (size_t i = 0; i < all->n; i++)
		if (!strcmp(all->f[i].e.id, id))
			return &all->f[i];
	if (array_room(&all->f, all->n, &all->cap, sizeof(*all->f)))
		return NULL;
	memset(&all->f[all->n], 0, sizeof(*all->f));
	snprintf(all->f[all->n].e.id, SPOOL_ID_SIZE, "%s", id);
	return &all->f[all->n++];
}

static int by_id(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return strcmp(x->e.id, y->e.id);
}

/* What somebody who was killed was about to write. */
static void sweep(int fd, const char *name, const struct stat *st)
{
	if (!strncmp(name, NEW, strlen(NEW)) && st->st_mtime + NEW_S < time(NULL))
		unlinkat(fd, name, 0);
}

static int look_at(int fd, const char *name, struct folder *all, bool clean)
{
	char id[SPOOL_ID_SIZE];
	enum spool_form form = form_of(name, id);
	struct found *f;
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return 0;
	if (clean)
		sweep(fd, name, &st);
	if (form == SPOOL_FORMS)
		return 0;
	f = of_id(all, id);
	if (!f)
		return -ENOMEM;
	f->form[form] = true;
	f->e.bytes += (uint64_t)st.st_size;
	return 0;
}

/* clean: what is nobody's goes. */
static int read_folder(int fd, struct folder *all, bool clean)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *e;

	if (!d) {
		err = -errno;
		if (again >= 0)
			close(again);
		return err;
	}
	while (!err && (e = readdir(d)))
		err = look_at(fd, e->d_name, all, clean);
	closedir(d);
	if (all->n)
		qsort(all->f, all->n, sizeof(*all->f), by_id);
	return err;
}

static void take_away(int fd, const char *id)
{
	char name[SPOOL_ID_SIZE + 8];

	for (int i = 0; i < SPOOL_FORMS; i++) { /* ID.json first: what is left is no snapshot */
		name_of(id, (enum spool_form)i, name, sizeof(name));
		unlinkat(fd, name, 0);
	}
}

/* The oldest go until so many bytes at most are there. */
static int make_room(int fd, uint64_t bytes)
{
	struct folder all = { 0 };
	int err = read_folder(fd, &all, true);
	uint64_t sum = 0;

	for (size_t i = 0; i < all.n; i++)
		sum += all.f[i].e.bytes;
	for (size_t i = 0; i < all.n && !err && sum > bytes; i++) {
		take_away(fd, all.f[i].e.id);
		sum -= all.f[i].e.bytes;
	}
	free(all.f);
	return err;
}

int spool_list(const char *dir, struct spool_entry **out, size_t *n)
{
	int fd = open_folder(dir), err;
	struct folder all = { 0 };

	if (fd < 0)
		return fd;
	err = read_folder(fd, &all, false);
	close(fd);
	*n = 0;
	*out = err ? NULL : calloc(all.n + 1, sizeof(**out));
	if (!err && !*out)
		err = -ENOMEM;
	for (size_t i = 0; i < all.n && !err; i++)
		if (all.f[i].form[SPOOL_JSON])
			(*out)[(*n)++] = all.f[i].e;
	free(all.f);
	return err;
}

/* --- writing ------------------------------------------------------------------------ */

static int write_all(int fd, const struct buf *b)
{
	for (size_t done = 0; done < b->len;) {
		ssize_t n = write(fd, b->data + done, b->len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int write_file(int dir, const char *name, const struct buf *b)
{
	char temp[SPOOL_ID_SIZE + 40];
	int fd, err;

	snprintf(temp, sizeof(temp), NEW "%d-%s", (int)getpid(), name);
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(fd, b);
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(dir, temp, dir, name))
		err = -errno;
	if (err)
		unlinkat(dir, temp, 0);
	return err;
}

static int render(const struct report *r, struct buf b[SPOOL_FORMS])
{
	const struct report_text_options o = { .columns = TEXT_COLUMNS };
	int err = report_html(r, &b[SPOOL_HTML]);

	report_json(r, &b[SPOOL_JSON]);
	report_text(r, &o, &b[SPOOL_TEXT]);
	for (int i = 0; i < SPOOL_FORMS; i++)
		err = err ? err : b[i].err;
	return err == -ENOSPC ? -EFBIG : err;
}

static int write_snapshot(int dir, uint64_t max_bytes, const struct buf b[SPOOL_FORMS],
			  const char *id)
{
	uint64_t size = 0;
	int err;

	for (int i = 0; i < SPOOL_FORMS; i++)
		size += b[i].len;
	if (size > max_bytes)
		return -EFBIG;
	err = make_room(dir, max_bytes - size);
	for (int i = SPOOL_FORMS - 1; i >= 0 && !err; i--) {
		char name[SPOOL_ID_SIZE + 8];

		name_of(id, (enum spool_form)i, name, sizeof(name));
		err = write_file(dir, name, &b[i]);
	}
	if (err)
		take_away(dir, id);
	return err;
}

void spool_drop(struct spool_files *f)
{
	for (int i = 0; i < SPOOL_FORMS; i++)
		buf_deinit(&f->form[i]);
}

int spool_make(const struct spool_what *what, struct spool_files *out)
{
	int code;

	for (int i = 0; i < SPOOL_FORMS; i++)
		buf_init(&out->form[i], SPOOL_MAX_SNAPSHOT);
	make_id(what, out->id);
	code = render(what->report, out->form);
	if (code)
		spool_drop(out);
	return code;
}

int spool_write(const char *dir, uint64_t max_bytes, const struct spool_files *f, struct err *err)
{
	int fd, code;

	mkdir(dir, 0700); /* or it is there, or opening says why not */
	fd = open_folder(dir);
	code = fd < 0 ? fd : write_snapshot(fd, max_bytes, f->form, f->id);
	if (fd >= 0)
		close(fd);
	if (code)
		err_set(err, code, "a snapshot cannot be kept in '%s': %s", dir, strerror(-code));
	return code;
}

int spool_read(const char *dir, const char *id, enum spool_form form, struct buf *out)
{
	char name[SPOOL_ID_SIZE + 8], chunk[65536];
	int folder = open_folder(dir), fd, err = 0;
	struct stat st;
	ssize_t n = 0;

	if (folder < 0)
		return folder;
	name_of(id, form, name, sizeof(name));
	fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		err = -errno;
	close(folder);
	if (err)
		return err;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		err = -ENOENT;
	while (!err && !out->err && (n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
	if (!err && n < 0)
		err = -errno;
	close(fd);
	return err ? err : out->err;
}
