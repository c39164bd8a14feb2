/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a failure travels.
 *
 * Functions return 0 or a negative errno.  The one that knows what happened
 * also fills a `struct err` (when the caller passed one); only src/cli prints
 * it.  The codes have one meaning everywhere:
 *
 *   -ENOENT      absent: looked for, and it is not there
 *   -EOPNOTSUPP  there, but of a kind that is not supported
 *   -EBADMSG     foreign bytes that contradict themselves (damaged or hostile)
 *   -ENOEXEC     not a Go program, or not one that can be read
 *   -ESRCH       the process does not exist (any more)
 *   -ESTALE      the process is no longer the one that was opened (exec, pid reuse)
 *   -EPERM, -EACCES  not permitted
 *   -EFAULT      memory of the target that cannot be read
 *   -ENOSPC      a bounded table is full
 *   -ENOMEM      no memory
 */
#ifndef GOSPECT_BASE_ERR_H
#define GOSPECT_BASE_ERR_H

struct err {
	int code;       /* the negative errno, 0 while unset */
	char what[320]; /* one sentence, lower case, subject in single quotes */
	char hint[320]; /* what to do about it, or "" */
};

/* Sets code and sentence, empties the hint; returns code. e may be NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Adds the hint to what err_set() said. e may be NULL. */
void err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
