/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Go executable: the facts that can be had from the file alone, without
 * symbols, DWARF or section headers.  Knows nothing of processes.
 */
#ifndef GOSPECT_GOBIN_GOBIN_H
#define GOSPECT_GOBIN_GOBIN_H

#include "arch/decode.h"
#include "base/err.h"
#include "gobin/buildinfo.h"
#include "gobin/frames.h"
#include "gobin/image.h"
#include "gobin/layout.h"
#include "gobin/moduledata.h"
#include "gobin/pclntab.h"

/* The runtime's globals, link-time addresses; 0 when not found. */
enum goglobal {
	GLOBAL_ALLGS, /* slice header */
	GLOBAL_ALLGLEN,
	GLOBAL_ALLGPTR,
	GLOBAL_SCHED,
	GLOBAL_MHEAP,
	GLOBAL_MEMSTATS,
	GLOBAL_MBUCKETS,
	GLOBAL_WORK,
	GLOBAL_GCCONTROLLER,
	GLOBAL_ALLP, /* slice header */
	GLOBAL_ALLM,
	GLOBAL_SEMTABLE,
	GLOBAL_FIRSTMODULEDATA,
	GLOBAL_ALLFIN,     /* blocks of queued finalizers */
	GLOBAL_GCCLEANUPS, /* queue of cleanups, since 1.25 */
	GLOBAL_MEMPROFILERATE,
	GLOBAL_IO_EOF,   /* io.EOF; only where net/http is linked */
	GLOBAL_ALLPOOLS, /* sync.allPools, slice header */
	GLOBAL_OLDPOOLS,
	GLOBAL_COUNT
};

/* What is said of names_hidden. */
#define GOBIN_NAMES_HIDDEN \
	"the program's names are obfuscated (as by garble): its functions cannot be recognised"

struct gobin {
	struct image image;
	const struct arch *arch; /* NULL: machine not supported by the decoder */
	struct buildinfo build;
	char own_module[256];      /* frames_own() */
	struct go_release release; /* from build info, else dated by its functions */
	bool release_is_dated;     /* no version in the file: judged by runtime functions */
	bool names_hidden;         /* obfuscated, as by garble: but for the runtime's */
	struct pclntab *pcln;      /* owned */
	struct moduledata mod;
	const struct layout *layout; /* NULL when the release is not known at all; borrowed */
	bool layout_is_newer; /* the release is newer than the table: layout is a guess to verify */
	uint64_t global[GLOBAL_COUNT];
	const char *global_why[GLOBAL_COUNT]; /* why it is 0, static; NULL when found */
	struct gobin_cache *cache;            /* owned: start functions seen */
	struct layout_own *own;               /* owned: gobin_take_wait_reasons() */
};

/*
 * Opens the executable that fd refers to.  -ENOEXEC: not a Go program (no
 * pclntab and moduledata), a release before 1.18, or one whose runtime has no
 * names; -EBADMSG: damaged tables,
 * never a partial result.  *out owned by the caller: gobin_free().
 */
int gobin_open_fd(struct gobin **out, int fd, struct err *err);
/* By path, opened without blocking (a FIFO, device or folder gives -ENOEXEC). */
int gobin_open(struct gobin **out, const char *path, struct err *err);
void gobin_free(struct gobin *gb);

/* Only the build info and whether it is Go at all, for lists: fast, no tables. 0, -ENOEXEC. */
int gobin_peek_fd(int fd, struct buildinfo *out, struct err *err);
/* The same of a shared library, of which most have no Go in them: by Go's sections alone. */
int gobin_peek_library_fd(int fd, struct buildinfo *out);

/* Replaces the layout's wait reasons by those of the process itself, copied: 0 or
 * -ENOMEM.  For a release newer than the table. */
int gobin_take_wait_reasons(struct gobin *gb, char (*text)[LAYOUT_MAX_REASON], int n);

/* "allgs", "sched", …; static. */
const char *goglobal_name(enum goglobal g);
/* Finds global[] from the code of runtime functions; gobin_open*() has done it. */
void gobin_find_globals(struct gobin *gb);

/*
 * The place of a `go` statement from gopc (a return address): innermost frame,
 * compiler wrappers and the runtime's newproc skipped.  0 or negative errno
 * (-ENOENT: gopc is 0 or in no function).
 */
int gobin_go_place(struct gobin *gb, uint64_t gopc, struct goframe *out);
/* The same with the functions that it is inlined into, at most max: how many, or negative. */
int gobin_go_frames(struct gobin *gb, uint64_t gopc, struct goframe *out, int max);
/* The function a goroutine runs: startpc, with …gowrapN and other compiler-made
 * wrappers looked through (what is inlined in them, else the first direct call
 * that is not the runtime's).  The name is owned by the pclntab; "?" when not
 * known.  Remembered: cheap to ask for every goroutine. */
const char *gobin_start_name(struct gobin *gb, uint64_t startpc);
/*
 * Whether sched.ngsys counts what starts there, so that NumGoroutine leaves it out:
 * newproc1 asks runtime.isSystemGoroutine(newg, fixed=false) (traceback.go) at birth,
 * when no callback runs yet: "runtime." except main, handleAsyncEvent and corostart
 * (since 1.22); those that run user callbacks, runfinq (to 1.24), runFinalizers and
 * runCleanups (since 1.25), are system here.  Remembered.
 */
bool gobin_is_uncounted_start(struct gobin *gb, uint64_t startpc);
#endif
