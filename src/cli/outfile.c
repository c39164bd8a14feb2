/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODE 0600 /* a report names hosts, paths and labels */

/* "-o /dev/stdout", and all that leads there: its offset is shared, not ours. */
static bool is_stdout(const struct stat *st)
{
	struct stat out;

	return !fstat(STDOUT_FILENO, &out) && out.st_dev == st->st_dev && out.st_ino == st->st_ino;
}

static int open_in_place(struct outfile *f, const char *path, bool there)
{
	f->fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC | (there ? 0 : O_CREAT), MODE);
	f->empties = there;
	return f->fd < 0 ? -errno : 0;
}

/* A name beside path, different for each n. */
static char *temp_name(const char *path, unsigned n)
{
	const char *slash = strrchr(path, '/');
	char *name;

	if (asprintf(&name, "%.*s.gospect-%d-%u", slash ? (int)(slash + 1 - path) : 0, path,
		     (int)getpid(), n) < 0)
		return NULL;
	return name;
}

static int open_unnamed(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
	int fd = folder ? open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, MODE) : -1;

	free(folder);
	return fd;
}

/* Gives the file a name that nobody has: 0 or -errno. */
static int name_it(struct outfile *f, int (*name)(struct outfile *f))
{
	int err = -EEXIST;

	for (unsigned n = 0; err == -EEXIST && n < 100; n++) {
		free(f->temp);
		f->temp = temp_name(f->path, n);
		err = f->temp ? name(f) : -ENOMEM;
	}
	if (!err)
		return 0;
	free(f->temp);
	f->temp = NULL;
	return err;
}

static int name_of_new(struct outfile *f)
{
	f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MODE);
	return f->fd < 0 ? -errno : 0;
}

static int name_of_unnamed(struct outfile *f)
{
	char self[40];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, f->temp, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

/* Without a name where the file system can: then SIGKILL leaves nothing behind. */
static int open_temp(struct outfile *f)
{
	f->fd = open_unnamed(f->path);
	f->unnamed = f->fd >= 0;
	return f->unnamed ? 0 : name_it(f, name_of_new);
}

static int open_beside(struct outfile *f, const char *path, bool there)
{
	int err;

	f->path = there ? realpath(path, NULL) : strdup(path);
	err = f->path ? open_temp(f) : -errno;
	if (!err)
		return 0;
	free(f->path);
	f->path = NULL;
	/* a folder in which nothing can be made, but the file be written */
	return there ? open_in_place(f, path, true) : err;
}

/* Whether it is mounted there by itself, as in a container: it cannot be replaced. */
static bool is_mounted(const char *path, const struct stat *st)
{
	struct stat folder;
	char *real = realpath(path, NULL), *slash = real ? strrchr(real, '/') : NULL;
	bool mounted = false;

	if (slash) {
		slash[1] = '\0';
		mounted = !stat(real, &folder) && folder.st_dev != st->st_dev;
	}
	free(real);
	return mounted;
}

int outfile_open(struct outfile *f, const char *path)
{
	struct stat st, link;
	bool there = !stat(path, &st);

	memset(f, 0, sizeof(*f));
	if (!there && errno != ENOENT)
		return -errno;
	if (there && is_stdout(&st)) {
		f->shared = true;
		f->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
		return f->fd < 0 ? -errno : 0;
	}
	if (there ? !S_ISREG(st.st_mode) || is_mounted(path, &st) : !lstat(path, &link))
		return open_in_place(f, path, there);
	if (there)
		f->before = st;
	return open_beside(f, path, there);
}

/* The mode and the owner of what it replaces; who may not give it away keeps it. */
static void as_before(const struct outfile *f)
{
	if (!f->before.st_mode)
		return;
	if (fchown(f->fd, f->before.st_uid, f->before.st_gid) ||
	    fchmod(f->fd, f->before.st_mode & 0777))
		fchmod(f->fd, MODE);
}

int outfile_keep(struct outfile *f)
{
	int again = dup(f->fd), err;

	/* a close says what a file system could not write: NFS, quotas */
	if (again < 0 || close(again))
		return -errno;
	if (!f->path)
		return 0;
	as_before(f);
	err = f->unnamed ? name_it(f, name_of_unnamed) : 0;
	f->unnamed = false;
	if (!err && rename(f->temp, f->path))
		err = -errno;
	if (err)
		return err;
	free(f->path);
	free(f->temp);
	f->path = f->temp = NULL;
	return 0;
}

static int settle(struct outfile *f, int err)
{
	struct stat st;

	if (f->shared || fstat(f->fd, &st) || !S_ISREG(st.st_mode))
		return err;
	if (err && lseek(f->fd, f->whole, SEEK_SET) < 0)
		return err;
	f->whole = lseek(f->fd, 0, SEEK_CUR);
	if ((err || f->empties) && ftruncate(f->fd, f->whole) && !err)
		err = -errno;
	f->empties = false;
	return err;
}

int outfile_written(struct outfile *f, int err)
{
	err = settle(f, err);
	return !err && f->stream ? outfile_keep(f) : err;
}

int outfile_close(struct outfile *f)
{
	int err = 0;

	if (f->path && f->temp && !f->unnamed)
		unlink(f->temp);
	if (f->fd >= 0 && close(f->fd) && errno != EINTR)
		err = -errno;
	free(f->path);
	free(f->temp);
	memset(f, 0, sizeof(*f));
	f->fd = -1;
	return err;
}
