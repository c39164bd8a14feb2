/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose code a frame is, and which frame of a stack is the user's: the one rule
 * for every place that is shown.  By names alone: it knows no processes.
 */
#ifndef GOSPECT_GOBIN_FRAMES_H
#define GOSPECT_GOBIN_FRAMES_H

#include <stdbool.h>
#include <stddef.h>

struct buildinfo;
struct goframe;

/* The more a user can do about it, the larger. */
enum frame_of {
	FRAME_UNKNOWN,
	FRAME_RUNTIME,
	FRAME_INSIDE,   /* of the standard library what nobody calls by name: internal/…, sync */
	FRAME_STD,      /* net, net/http, database/sql, io, …; golang.org/x/net/http2 */
	FRAME_PLUMBING, /* libraries that pass calls on (grpc, errgroup); generated stubs */
	FRAME_LIBRARY,  /* other modules */
	FRAME_OWN,      /* the main module's */
	FRAME_KINDS
};

/* path: the source file's, may be NULL; own: the main module's path, "" or NULL when not known. */
enum frame_of frame_of(const char *function, const char *path, const char *own);

/* Whether a frame belongs to the runtime's own machinery (runtime., runtime/internal,
 * internal/runtime, internal/abi …), to be skipped when looking for a user's place. */
bool goframe_is_runtime(const struct goframe *f);
/* Whether it is the standard library's (the runtime included): by the first
 * element of the import path, from the list of 1.18 to 1.27; not "main", and not
 * just any path without a dot, which many private modules have. */
bool goframe_is_std(const struct goframe *f);

/* The path that the main module's packages begin with: of the build info, or guessed from
 * the path of package main where there were no modules; "" when not known. */
void frames_own(const struct buildinfo *bi, char *out, size_t size);

/*
 * The user's frame of a stack whose frames are added innermost first: the innermost of the
 * main module, else of another, else of one that passes calls on.  Compiler-made frames are
 * not added.
 */
struct frame_pick {
	int first[FRAME_KINDS]; /* index + 1; 0: none */
	int last[FRAME_KINDS];
};

static inline void frame_pick_add(struct frame_pick *p, enum frame_of of, int index)
{
	if (!p->first[of])
		p->first[of] = index + 1;
	p->last[of] = index + 1;
}

/* Its index, or -1: all of it is the standard library's. */
int frame_pick_user(const struct frame_pick *p);
/* The same, and else the outermost of the standard library: -1: all the runtime's. */
int frame_pick_any(const struct frame_pick *p);
/* The innermost frame of a library inside the picked one, that the user's code has called;
 * with std also of the standard library; -1: none. */
int frame_pick_inside(const struct frame_pick *p, int picked, bool std);

#endif
