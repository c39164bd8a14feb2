/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file that -o names.  It is replaced when there is something whole to
 * replace it with, by a file of the same folder: until then, and when nothing
 * comes of it, it is what it was.  What is no regular file is written in place.
 */
#ifndef GOSPECT_CLI_OUTFILE_H
#define GOSPECT_CLI_OUTFILE_H

#include <stdbool.h>
#include <sys/stat.h>

struct outfile {
	int fd;
	char *path;         /* what it becomes when it is kept; NULL: it is that already */
	char *temp;         /* its name until then */
	bool unnamed;       /* … which it gets only then */
	bool empties;       /* what was there is cut off behind what is written first */
	bool stream;        /* it is kept as soon as something whole is in it */
	bool shared;        /* it is standard output: nothing is cut off */
	off_t whole;        /* bytes of what was written whole */
	struct stat before; /* of the file that is replaced; st_mode 0: there was none */
};

/* May block, as open() may.  0 or -errno. */
int outfile_open(struct outfile *f, const char *path);
/* To be called after all of something was written, or not: err is write()'s, and what
 * was written in part is cut off again.  0 or -errno; may block, as those below. */
int outfile_written(struct outfile *f, int err);
/* It gets its name: from now on it is written in place. */
int outfile_keep(struct outfile *f);
/* What was not kept is gone. */
int outfile_close(struct outfile *f);

#endif
