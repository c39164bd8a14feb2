/* SPDX-License-Identifier: BSD-2-Clause */
/* What the linker wrote about the build ("\xff Go buildinf:"), as `go version -m` shows it. */
#ifndef GOSPECT_GOBIN_BUILDINFO_H
#define GOSPECT_GOBIN_BUILDINFO_H

#include <stdbool.h>

struct image;

struct go_release {
	int minor; /* 26 of go1.26.8; 0: not known */
	int patch; /* 8; -1 not known (tip, rc) */
};

struct buildinfo {
	bool present;     /* found and well-formed */
	char version[96]; /* "go1.26.8", may carry " X:exp" ; "" or "unknown" when not known */
	struct go_release release;
	char main_path[256];     /* package path of main */
	char module[256];        /* main module, or "" */
	char module_version[96]; /* "v1.2.3", "(devel)" or "" */
	bool race, cgo;          /* from the build settings, false when absent */
	bool no_optimize;        /* -gcflags has -N: recipes may not hold */
	char goexperiment[160];
};

/* 0, -ENOENT when there is none, -EBADMSG when damaged. */
int buildinfo_read(struct buildinfo *bi, struct image *im);
/* Parses "go1.26.8", "go1.27rc1", "devel go1.28-abcdef …": 0 or -EINVAL. */
int go_release_parse(const char *version, struct go_release *out);

#endif
