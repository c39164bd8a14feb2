/* SPDX-License-Identifier: BSD-2-Clause */
/* Executables opened for the tests of gobin, whole, damaged, or made here. */
#ifndef GOSPECT_TESTS_GOBIN_OPEN_H
#define GOSPECT_TESTS_GOBIN_OPEN_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gobin/gobin.h"
#include "tiny_elf.h"
#include "releases.h"

static size_t missing; /* programs that were not there, of the test that runs */

/* As program_path(); those that are not there are counted. */
#define find_program(...) (program_path(__VA_ARGS__) || (missing++, false))

static inline int start_counting(void **state)
{
	(void)state;
	missing = 0;
	return 0;
}

/* A test that did not see all its programs is a skip, not a pass. */
static inline void skip_if_missing(void)
{
	if (missing)
		skip();
}

static inline struct gobin *open_ok(const char *path)
{
	struct err err = { 0 };
	struct gobin *gb;

	if (gobin_open(&gb, path, &err))
		fail_msg("%s: %s", path, err.what);
	return gb;
}

/* A copy in memory that a test may damage. */
static inline int memfd_of(const void *data, size_t size)
{
	int fd = memfd_create("gobin", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, size, 0), size);
	return fd;
}

static inline uint8_t *load_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *p;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	p = malloc(*size);
	assert_non_null(p);
	assert_int_equal(read(fd, p, *size), *size);
	close(fd);
	return p;
}

/* --- whole programs ------------------------------------------------------- */

/* The queues are looked for where the prover wants them: allfin from 1.20 on,
 * gcCleanups where the release has it; io.EOF where there is an HTTP client; pools. */
static inline bool is_looked_for(const struct gobin *gb, int g)
{
	struct gofunc fn;

	if (g == GLOBAL_ALLPOOLS || g == GLOBAL_OLDPOOLS)
		return !pclntab_find_name(gb->pcln, "sync.poolCleanup", &fn);
	if (g == GLOBAL_IO_EOF)
		return !pclntab_find_name(gb->pcln, "net/http.(*persistConn).readLoop.func4", &fn);
	return (g != GLOBAL_ALLFIN || gb->release.minor >= 20) &&
	       (g != GLOBAL_GCCLEANUPS || gb->release.minor >= 25);
}

/* --- the same facts by other ways ----------------------------------------- */

static inline struct gobin *open_copy(const uint8_t *p, size_t size)
{
	struct err err = { 0 };
	struct gobin *gb;
	int fd = memfd_of(p, size);

	if (gobin_open_fd(&gb, fd, &err))
		fail_msg("%s", err.what);
	close(fd);
	return gb;
}

/* --- a program made here -------------------------------------------------- */

static const char modinfo[] =
	"path\tshop.test/cmd/shop\nmod\tshop.test\tv1.2.3\th1:x=\n"
	"dep\tgithub.com/a/b\tv0.1.0\th1:y=\nbuild\t-gcflags=\"all=-N -l\"\n"
	"build\t-race=true\nbuild\tCGO_ENABLED=1\nbuild\tGOEXPERIMENT=rangefunc,x\n";

static inline struct gobin *open_tiny(const struct tiny *t)
{
	return open_copy(t->data, t->size);
}

#endif
