/* SPDX-License-Identifier: BSD-2-Clause */
#include "proc/procfs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/vec.h"

static int read_all(int fd, struct buf *b)
{
	char chunk[16384];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf_add(b, chunk, n);
		if (b->err)
			return b->err == -ENOSPC ? -EFBIG : b->err;
	}
	return 0;
}

int procfs_read(int dirfd, const char *name, char **text, size_t *len)
{
	struct buf b;
	int err;
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	buf_init(&b, PROCFS_MAX);
	buf_puts(&b, ""); /* an empty file gives "" */
	err = b.err ? b.err : read_all(fd, &b);
	close(fd);
	if (err) {
		buf_deinit(&b);
		return err;
	}
	*text = b.data;
	if (len)
		*len = b.len;
	return 0;
}

int procfs_read_short(int dirfd, const char *name, char *out, size_t size)
{
	size_t len = 0;
	int fd;

	out[0] = '\0';
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < size - 1) {
		ssize_t n = read(fd, out + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = -errno;
			close(fd);
			out[len] = '\0';
			return n;
		}
		if (n == 0)
			break;
		len += n;
	}
	close(fd);
	out[len] = '\0';
	return 0;
}

/* Fields after the name, counted as proc(5) does: the state is field 3. */
enum {
	STAT_STATE = 3,
	STAT_PPID = 4,
	STAT_FLAGS = 9,
	STAT_UTIME = 14,
	STAT_STIME = 15,
	STAT_THREADS = 20,
	STAT_START = 22,
	STAT_STACK = 28,
	STAT_ENV_START = 50,
	STAT_ENV_END = 51
};

static bool stat_field(struct procfs_stat *out, int field, const char *word)
{
	uint64_t v = strtoull(word, NULL, 10);

	switch (field) {
	case STAT_STATE:
		out->state = word[0];
		return word[0] != '\0';
	case STAT_PPID:
		out->ppid = (pid_t)v;
		break;
	case STAT_FLAGS:
		out->flags = (uint32_t)v;
		break;
	case STAT_UTIME:
		out->user_ticks = v;
		break;
	case STAT_STIME:
		out->system_ticks = v;
		break;
	case STAT_THREADS:
		out->threads = (int)v;
		break;
	case STAT_START:
		out->start_ticks = v;
		break;
	case STAT_STACK:
		out->start_stack = v;
		break;
	case STAT_ENV_START:
		out->env_start = v;
		break;
	case STAT_ENV_END:
		out->env_end = v;
		break;
	}
	return true;
}

int procfs_parse_stat(const char *text, struct procfs_stat *out)
{
	const char *open = strchr(text, '(');
	const char *close = strrchr(text, ')');
	int field = STAT_STATE;
	size_t n;

	memset(out, 0, sizeof(*out));
	if (!open || !close || close < open)
		return -EBADMSG;
	out->pid = (pid_t)strtol(text, NULL, 10);
	n = close - open - 1;
	if (n >= sizeof(out->comm))
		n = sizeof(out->comm) - 1;
	memcpy(out->comm, open + 1, n);

	for (const char *p = close + 1; *p && field <= STAT_ENV_END; field++) {
		while (*p == ' ')
			p++;
		if (!*p || *p == '\n' || !stat_field(out, field, p))
			break;
		while (*p && *p != ' ')
			p++;
	}
	/* Kernels differ in the tail, none in the first 22. */
	return field > STAT_START ? 0 : -EBADMSG;
}

/* A number followed by `after`; false when it is not so. */
static bool take_number(const char **p, int base, char after, uint64_t *out)
{
	char *end;

	if (!isxdigit((unsigned char)**p))
		return false;
	errno = 0;
	*out = strtoull(*p, &end, base);
	if (errno || (after && *end != after))
		return false;
	*p = after ? end + 1 : end;
	return true;
}

/* 7f12-7f34 r-xp 00001000 08:01 1234   /path */
static bool parse_mapping(const char *line, const char *end, struct procfs_mapping *m)
{
	uint64_t major, minor;

	if (!take_number(&line, 16, '-', &m->start) || !take_number(&line, 16, ' ', &m->end))
		return false;
	if (end - line < 5 || line[4] != ' ')
		return false;
	m->read = line[0] == 'r';
	m->write = line[1] == 'w';
	m->exec = line[2] == 'x';
	line += 5;
	if (!take_number(&line, 16, ' ', &m->off) || !take_number(&line, 16, ':', &major) ||
	    !take_number(&line, 16, ' ', &minor) || !take_number(&line, 10, 0, &m->ino))
		return false;
	if (line > end || m->end <= m->start)
		return false;
	m->dev = makedev(major, minor);
	while (line < end && *line == ' ')
		line++;
	m->path = line;
	m->path_len = end - line;
	return true;
}

int procfs_next_mapping(const char **pos, struct procfs_mapping *out)
{
	while (**pos) {
		const char *line = *pos;
		const char *end = strchrnul(line, '\n');

		*pos = *end ? end + 1 : end;
		if (parse_mapping(line, end, out))
			return 1;
	}
	return 0;
}

int procfs_status_u64(const char *text, const char *field, int base, uint64_t *out)
{
	size_t n = strlen(field);
	const char *p = text;

	while (*p) {
		const char *end = strchrnul(p, '\n');

		if ((size_t)(end - p) > n && !memcmp(p, field, n) && p[n] == ':') {
			const char *v = p + n + 1;

			while (v < end && (*v == ' ' || *v == '\t'))
				v++;
			if (v == end || !isxdigit((unsigned char)*v))
				return -ENOENT;
			*out = strtoull(v, NULL, base);
			return 0;
		}
		p = *end ? end + 1 : end;
	}
	return -ENOENT;
}

static size_t hex_run(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!isdigit((unsigned char)s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			break;
	return i;
}

static bool starts_with(const char *s, size_t n, const char *prefix)
{
	size_t k = strlen(prefix);

	return n >= k && !memcmp(s, prefix, k);
}

/*
 * One element of a cgroup path.  A container's is its id (64 hex digits)
 * alone, or behind the runtime's name: docker-ID.scope, cri-containerd-ID.scope,
 * crio-ID.scope, libpod-ID.scope, and kubepods-….slice:cri-containerd:ID.
 * crio-conmon- and libpod-conmon- are the monitor outside the container.
 */
static bool container_in_element(const char *s, size_t n, char *out, size_t size)
{
	static const char *const runtime[] = { "docker-", "cri-containerd-", "crio-", "libpod-" };
	const char *colon = memrchr(s, ':', n);
	bool named = false;
	size_t k;

	if (n > 6 && !memcmp(s + n - 6, ".scope", 6))
		n -= 6;
	if (colon && colon < s + n) {
		n -= colon + 1 - s;
		s = colon + 1;
		named = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(runtime); i++) {
		if (!starts_with(s, n, runtime[i]))
			continue;
		s += strlen(runtime[i]);
		n -= strlen(runtime[i]);
		named = true;
		break;
	}
	k = hex_run(s, n);
	if (k != n || k >= size || k > 64 || k < (named ? 12 : 64))
		return false;
	memcpy(out, s, n);
	out[n] = '\0';
	return true;
}

static bool container_in_path(const char *path, const char *end, char *out, size_t size)
{
	/* The innermost container is the one that counts (docker in docker). */
	while (end > path) {
		const char *slash = memrchr(path, '/', end - path);
		const char *from = slash ? slash + 1 : path;

		if (container_in_element(from, end - from, out, size))
			return true;
		if (!slash)
			break;
		end = slash;
	}
	return false;
}

void procfs_parse_container(const char *text, char *out, size_t size)
{
	const char *p = text;

	out[0] = '\0';
	while (*p) {
		const char *end = strchrnul(p, '\n');
		/* hierarchy:controllers:path; the path may hold colons */
		const char *path = memchr(p, ':', end - p);

		if (path)
			path = memchr(path + 1, ':', end - path - 1);
		if (path && container_in_path(path + 1, end, out, size))
			return;
		p = *end ? end + 1 : end;
	}
}

int64_t procfs_parse_timens_mono(const char *text)
{
	const char *p = strstr(text, "monotonic");
	int64_t s, ns;

	if (!p || sscanf(p + strlen("monotonic"), "%" SCNd64 " %" SCNd64, &s, &ns) != 2)
		return 0;
	if (s > INT64_MAX / 1000000000 - 1 || s < INT64_MIN / 1000000000 + 1)
		return 0;
	return s * 1000000000 + ns;
}
