/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/golist.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/vec.h"
#include "gobin/gobin.h"
#include "gort/goruntime.h"
#include "host/golib.h"
#include "proc/process.h"

#define MAX_FILES 65536 /* different executables remembered; more are looked at anew */

/* One executable of the machine: what it is is asked once, however many processes run it. */
struct file {
	uint64_t dev, ino;
	struct buildinfo build;
};

struct scan {
	struct golist *list;
	struct u64map libraries; /* golib_find() */
	struct u64map seen;      /* hash of dev and ino -> index in file + 1, 0: not Go */
	struct file *file;
	size_t nfile, file_cap, file_of_cap;
	size_t *file_of; /* for each entry of the list */
};

static uint64_t file_key(uint64_t dev, uint64_t ino)
{
	uint64_t id[2] = { dev, ino };

	return hash_bytes(id, sizeof(id));
}

static struct file *new_file(struct scan *s)
{
	struct file *f;

	if (array_room(&s->file, s->nfile, &s->file_cap, sizeof(*s->file)))
		return NULL;
	f = &s->file[s->nfile++];
	memset(f, 0, sizeof(*f));
	return f;
}

static int open_exe(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

#define NONE   -1 /* gone, or not to be read */
#define NOT_GO -2

/* The index of the Go executable a process runs, or one of the above. */
static ssize_t find_file(struct scan *s, pid_t pid)
{
	char path[32];
	struct buildinfo build;
	uint64_t *known, key;
	struct file *f;
	struct stat st;
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (stat(path, &st)) {
		if (errno == EACCES || errno == EPERM) {
			s->list->processes++;
			s->list->unreadable++;
		}
		return NONE; /* ENOENT: a kernel thread, or gone */
	}
	s->list->processes++;
	key = file_key(st.st_dev, st.st_ino);
	known = u64map_find(&s->seen, key);
	if (known)
		return *known ? (ssize_t)*known - 1 : NOT_GO;
	fd = open_exe(pid);
	if (fd < 0)
		return NONE;
	err = gobin_peek_fd(fd, &build, NULL);
	close(fd);
	f = err ? NULL : new_file(s);
	u64map_put(&s->seen, key, f ? s->nfile : 0, NULL);
	if (!f)
		return NOT_GO;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->build = build;
	return (ssize_t)s->nfile - 1;
}

static struct golist_entry *new_entry(struct scan *s)
{
	struct golist *l = s->list;
	struct golist_entry *e;

	if (l->n == GOLIST_MAX) {
		l->beyond++;
		return NULL;
	}
	if (array_room(&l->e, l->n, &l->cap, sizeof(*l->e)) ||
	    array_room(&s->file_of, l->n, &s->file_of_cap, sizeof(*s->file_of)))
		return NULL;
	e = &l->e[l->n++];
	memset(e, 0, sizeof(*e));
	return e;
}

static void fill_entry(struct golist_entry *e, const struct process *p, const struct buildinfo *b)
{
	e->pid = p->pid;
	memcpy(e->exe, p->exe, sizeof(e->exe));
	e->exe_deleted = p->exe_deleted;
	if (strcmp(b->version, "unknown"))
		memcpy(e->go, b->version, sizeof(e->go));
	memcpy(e->module, b->module[0] ? b->module : b->main_path, sizeof(e->module));
	memcpy(e->module_version, b->module_version, sizeof(e->module_version));
	memcpy(e->container, p->container, sizeof(e->container));
	e->start_real_ns = p->start_real_ns;
	snprintf(e->why, sizeof(e->why), "not counted: out of time");
}

/* Another program with Go in a library: listed, with the reason why it cannot be traced. */
static void look_at_library(struct scan *s, const struct process *p)
{
	struct buildinfo build;
	struct golist_entry *e;
	char path[sizeof(e->library)];

	if (golib_find(p->proc_fd, &s->libraries, path, sizeof(path), &build) ||
	    !(e = new_entry(s)))
		return;
	fill_entry(e, p, &build);
	snprintf(e->library, sizeof(e->library), "%s", path);
	snprintf(e->why, sizeof(e->why), GOLIB_WHY);
	s->file_of[e - s->list->e] = SIZE_MAX;
}

static void look_at(struct scan *s, pid_t pid)
{
	ssize_t file = find_file(s, pid);
	struct process p;

	if (file == NONE || process_init(&p, pid, NULL))
		return;
	if (file == NOT_GO) {
		look_at_library(s, &p);
		process_deinit(&p);
		return;
	}
	/* still the file that was looked at? */
	if (p.exe_dev == s->file[file].dev && p.exe_ino == s->file[file].ino) {
		struct golist_entry *e = new_entry(s);

		if (e) {
			fill_entry(e, &p, &s->file[file].build);
			s->file_of[e - s->list->e] = (size_t)file;
		}
	}
	process_deinit(&p);
}

static int scan_proc(struct scan *s, struct err *err)
{
	struct dirent *d;
	DIR *dir = opendir("/proc");

	if (!dir) {
		int code = -errno;

		return err_set(err, code, "cannot list '/proc': %s", strerror(-code));
	}
	while ((d = readdir(dir))) {
		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		look_at(s, (pid_t)strtol(d->d_name, NULL, 10));
	}
	closedir(dir);
	return 0;
}

/* ---- how many goroutines ---- */

static int count_in(struct golist_entry *e, const struct process *p, struct gobin *gb,
		    struct err *err)
{
	struct memreader *mem;
	struct goruntime rt;
	struct gototals t;
	uint64_t bias;
	int code = process_bias(p, &gb->image, &bias, err);

	if (code)
		return code;
	code = mem_open_pid(&mem, p->pid, err);
	if (code)
		return code;
	code = goruntime_init(&rt, gb, mem, bias, p->mono_offset_ns, err);
	if (!code) {
		code = goruntime_totals(&rt, &t);
		if (!code && t.has_live) {
			e->has_goroutines = true;
			e->goroutines = t.live;
		} else {
			err_set(err, -ENOENT, "%s", rt.why_off[FACT_LIVE]);
		}
		goruntime_deinit(&rt);
	}
	mem_free(mem);
	return code;
}

static void count_goroutines(struct golist_entry *e, const struct file *f, struct gobin *gb)
{
	struct err err = { 0 };
	struct process p;

	if (process_init(&p, e->pid, &err)) {
		snprintf(e->why, sizeof(e->why), "%.150s", err.what);
		return;
	}
	if (p.exe_dev != f->dev || p.exe_ino != f->ino)
		err_set(&err, -ESTALE, "the process has called exec");
	else
		count_in(e, &p, gb, &err);
	snprintf(e->why, sizeof(e->why), "%.150s", e->has_goroutines ? "" : err.what);
	process_deinit(&p);
}

/* All processes of one executable: its tables are read once. */
static void count_for_file(struct scan *s, size_t file, uint64_t until)
{
	struct golist *l = s->list;
	struct err err = { 0 };
	struct gobin *gb = NULL;

	for (size_t i = 0; i < l->n && clock_mono_ns() < until; i++) {
		struct golist_entry *e = &l->e[i];

		if (s->file_of[i] != file)
			continue;
		if (!gb) {
			int fd = open_exe(e->pid);

			if (fd < 0)
				continue;
			if (gobin_open_fd(&gb, fd, &err))
				gb = NULL;
			close(fd);
		}
		if (gb)
			count_goroutines(e, &s->file[file], gb);
		else
			snprintf(e->why, sizeof(e->why), "%.150s", err.what);
	}
	gobin_free(gb);
}

static int by_pid(const void *a, const void *b)
{
	const struct golist_entry *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int golist_scan(struct golist *l, uint64_t budget_ns, struct err *err)
{
	uint64_t until = clock_mono_ns() + budget_ns;
	struct scan s = { .list = l };
	int code;

	memset(l, 0, sizeof(*l));
	u64map_init(&s.libraries, GOLIB_MAX);
	u64map_init(&s.seen, MAX_FILES);
	code = scan_proc(&s, err);
	for (size_t i = 0; !code && budget_ns && i < s.nfile; i++)
		count_for_file(&s, i, until);
	if (l->n)
		qsort(l->e, l->n, sizeof(*l->e), by_pid);
	u64map_deinit(&s.libraries);
	u64map_deinit(&s.seen);
	free(s.file);
	free(s.file_of);
	if (code)
		golist_deinit(l);
	return code;
}

void golist_deinit(struct golist *l)
{
	free(l->e);
	memset(l, 0, sizeof(*l));
}
