/* SPDX-License-Identifier: BSD-2-Clause */
/* Go inside of another program: a shared library that it has loaded. */
#ifndef GOSPECT_HOST_GOLIB_H
#define GOSPECT_HOST_GOLIB_H

#include "base/map.h"
#include "gobin/buildinfo.h"

#define GOLIB_MAX 65536 /* different files remembered */
#define GOLIB_WHY "Go is in a shared library: not supported yet"

/*
 * The first library that the process of /proc/PID (proc_fd) runs code of and
 * that has Go in it: 0, -ENOENT, or what reading said.  path: as that process
 * sees it.  seen: what was looked at before, by file; may be NULL.
 */
int golib_find(int proc_fd, struct u64map *seen, char *path, size_t size, struct buildinfo *build);

#endif
