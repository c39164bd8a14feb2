/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the seeds of the fuzz targets: `make_seeds FOLDER`, which has the
 * folders image, pclntab, buildinfo, decode and lint.  Run by hand when a format
 * gets a new shape; the results are in corpus/.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/tiny_elf.h"

static const char modinfo[] = "path\tshop.test/cmd\nmod\tshop.test\tv1.2.3\th1:x=\n"
			      "build\t-gcflags=\"all=-N -l\"\nbuild\tCGO_ENABLED=1\n";

static void write_seed(const char *dir, const char *target, const char *name, const void *data,
		       size_t size)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, target, name);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f)) {
		perror(path);
		exit(1);
	}
}

static void write_release(const char *dir, int minor)
{
	char version[16], name[32];
	uint8_t table[TINY_MAX];
	struct tiny t;
	size_t n;

	snprintf(version, sizeof(version), "go1.%d.1", minor);
	snprintf(name, sizeof(name), "go1.%d", minor);
	tiny_make(&t, minor, version, modinfo);
	write_seed(dir, "image", name, t.data, t.size);
	n = t.moduledata - t.pclntab;
	memcpy(table, t.data + t.gofunc, 64);
	memcpy(table + 64, t.data + t.pclntab, n);
	write_seed(dir, "pclntab", name, table, 64 + n);
	n = t.size - t.buildinfo - 14;
	write_seed(dir, "buildinfo", name, t.data + t.buildinfo + 14, n);
}

int main(int argc, char **argv)
{
	static const char code[] =
		"\x49\x3b\x66\x10\x76\x20\x55\x48\x89\xe5\x48\x83\xec\x18\x48\x8d\x05\x10\x00\x00"
		"\x00"
		"\xe8\x05\x00\x00\x00\x48\x85\xc0\x75\x02\x5d\xc3\x62\xf1\xfe\x48\x6f\x06"
		"\xc5\xfe\x6f\x06\xf0\x0f\xb1\x0a\x0f\x1f\x44\x00\x00\xcc";
	/* a flag in memory: "a flag in memory says whether" in tests/unit/test_lint.c */
	static const char paths[] =
		"\x55\x48\x83\xec\x10\x48\x85\xc0\x0f\x95\xc2\x88\x54\x24\x07\x75\x04\x31\xdb\xeb"
		"\x07\x48\x8d\x1d\xe4\xf0\x0f\x00\x48\x89\x5c\x24\x08\x80\x7c\x24\x07\x00\x74\x12"
		"\x48\x8b\x5c\x24\x08\x48\x8d\x05\xcc\xef\x0f\x00\x48\x83\xc4\x10\x5d\xc3\x31\xc0"
		"\x31\xdb\x48\x83\xc4\x10\x5d\xc3";
	static const char pointers[] = "\x08\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

	if (argc != 2) {
		fprintf(stderr, "usage: make_seeds FOLDER\n");
		return 2;
	}
	write_release(argv[1], 19);
	write_release(argv[1], 24);
	write_release(argv[1], 27);
	write_seed(argv[1], "decode", "function", code, sizeof(code) - 1);
	write_seed(argv[1], "lint", "flag", paths, sizeof(paths) - 1);
	write_seed(argv[1], "buildinfo", "pointers", pointers, sizeof(pointers) - 1);
	write_seed(argv[1], "image", "empty", "", 0);
	return 0;
}
