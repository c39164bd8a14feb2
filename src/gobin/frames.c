/* SPDX-License-Identifier: BSD-2-Clause */
#include "gobin/frames.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gobin/buildinfo.h"
#include "gobin/pclntab.h"

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static bool has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !strcmp(s + n - m, suffix);
}

static bool is_runtime(const char *function)
{
	/* runtime/internal became internal/runtime in 1.23; "type:" and "go:" are
	 * the linker's, with dots ("type..eq") up to 1.19. */
	static const char *const prefixes[] = {
		"runtime.",
		"runtime/internal/",
		"internal/runtime/",
		"internal/abi.",
		"internal/bytealg.",
		"internal/cpu.",
		"internal/chacha8rand.",
		"internal/goarch.",
		"type:",
		"type..",
		"go:",
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (has_prefix(function, prefixes[i]))
			return true;
	return false;
}

static bool is_std(const char *function)
{
	static const char *const roots[] = {
		"archive",  "bufio",    "bytes", "cmp",     "compress", "container", "context",
		"crypto",   "database", "debug", "embed",   "encoding", "errors",    "expvar",
		"flag",     "fmt",      "go",    "hash",    "html",     "image",     "index",
		"internal", "io",       "iter",  "log",     "maps",     "math",      "mime",
		"net",      "os",       "path",  "plugin",  "reflect",  "regexp",    "runtime",
		"simd",     "slices",   "sort",  "strconv", "strings",  "structs",   "sync",
		"syscall",  "testing",  "text",  "time",    "unicode",  "unique",    "unsafe",
		"uuid",     "vendor",   "weak",
	};
	/* "net/http.(*Server).Serve", "fmt.Println", but "go.uber.org/zap.New" */
	size_t i, path = strcspn(function, "([");
	const char *slash = memchr(function, '/', path);
	size_t len = slash ? (size_t)(slash - function) : strcspn(function, ".");

	for (i = 0; i < ARRAY_SIZE(roots); i++)
		if (strlen(roots[i]) == len && !memcmp(function, roots[i], len))
			return true;
	return is_runtime(function);
}

bool goframe_is_runtime(const struct goframe *f)
{
	return is_runtime(f->function);
}

bool goframe_is_std(const struct goframe *f)
{
	return is_std(f->function);
}

/* The HTTP/2 of net/http is a copy of it, and programs may use their own. */
static bool is_http2(const char *function)
{
	static const char h2[] = "golang.org/x/net/http2";

	return has_prefix(function, h2) && strchr("./", function[sizeof(h2) - 1]);
}

static bool is_plumbing(const char *function, const char *path)
{
	static const char *const modules[] = {
		"golang.org/x/",
		"google.golang.org/grpc",
		"google.golang.org/protobuf",
		"go.opentelemetry.io/",
		"github.com/sourcegraph/conc",
		"github.com/panjf2000/ants",
		"github.com/gin-gonic/gin",
		"github.com/labstack/echo",
		"github.com/go-chi/chi",
		"github.com/gorilla/",
		"github.com/go-resty/resty",
		"github.com/hashicorp/go-retryablehttp",
		"github.com/jmoiron/sqlx",
		"gorm.io/gorm",
		"github.com/jackc/pgx",
		"github.com/lib/pq",
		"github.com/go-sql-driver/mysql",
	};
	static const char *const generated[] = { ".pb.go", ".pb.gw.go", ".connect.go",
						 ".twirp.go" };

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		if (has_prefix(function, modules[i]))
			return true;
	for (size_t i = 0; path && i < ARRAY_SIZE(generated); i++)
		if (has_suffix(path, generated[i]))
			return true;
	return false;
}

/* A character of a symbol's name, which the compiler writes as %2e where it has to. */
static int next_char(const char **s)
{
	const char *p = *s;
	char hex[3];

	if (p[0] != '%' || !isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2])) {
		*s = p + (p[0] != '\0');
		return (unsigned char)p[0];
	}
	memcpy(hex, p + 1, 2);
	hex[2] = '\0';
	*s = p + 3;
	return (int)strtol(hex, NULL, 16);
}

static bool is_own(const char *function, const char *own)
{
	if (has_prefix(function, "main."))
		return true;
	if (!own || !*own)
		return false;
	for (; *own; own++)
		if (next_char(&function) != (unsigned char)*own)
			return false;
	return *function == '/' || *function == '.';
}

enum frame_of frame_of(const char *function, const char *path, const char *own)
{
	const char *vendored = strstr(function, "/vendor/");
	const char *name = vendored ? vendored + 8 : function;

	if (is_runtime(name))
		return FRAME_RUNTIME;
	if (is_http2(name))
		return FRAME_STD;
	if (is_plumbing(name, path))
		return FRAME_PLUMBING;
	if (!vendored && is_own(name, own))
		return FRAME_OWN;
	if (!is_std(name))
		return FRAME_LIBRARY;
	return has_prefix(name, "internal/") || has_prefix(name, "sync.") ? FRAME_INSIDE
									  : FRAME_STD;
}

/* Of the path of package main, what a repository is likely to be: without modules nothing says
 * it.  "github.com/a/b/cmd/c": github.com/a/b. */
static size_t repository(const char *path)
{
	static const char *const hosts[] = { "github.com/", "gitlab.com/", "bitbucket.org/" };
	const char *cmd = strstr(path, "/cmd/"), *end;

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		if (!has_prefix(path, hosts[i]))
			continue;
		end = strchr(path + strlen(hosts[i]), '/');
		return end ? (size_t)(end + 1 - path) + strcspn(end + 1, "/") : strlen(path);
	}
	return cmd ? (size_t)(cmd - path) : strlen(path);
}

void frames_own(const struct buildinfo *bi, char *out, size_t size)
{
	const char *path = bi->main_path;

	if (bi->module[0])
		snprintf(out, size, "%s", bi->module);
	else if (strchr(path, '/'))
		snprintf(out, size, "%.*s", (int)repository(path), path);
	else
		out[0] = '\0';
	/* a module called "log" or "time" cannot be told from the standard library */
	if (!strpbrk(out, "./") && is_std(out))
		out[0] = '\0';
}

int frame_pick_user(const struct frame_pick *p)
{
	for (int of = FRAME_OWN; of >= FRAME_PLUMBING; of--)
		if (p->first[of])
			return p->first[of] - 1;
	return -1;
}

int frame_pick_any(const struct frame_pick *p)
{
	int user = frame_pick_user(p);

	if (user >= 0)
		return user;
	return (p->last[FRAME_STD] ? p->last[FRAME_STD] : p->last[FRAME_INSIDE]) - 1;
}

int frame_pick_inside(const struct frame_pick *p, int picked, bool std)
{
	int library = p->first[FRAME_LIBRARY] - 1, plumbing = p->first[FRAME_PLUMBING] - 1;
	int inside = library < 0 || (plumbing >= 0 && plumbing < library) ? plumbing : library;

	if (std && (inside < 0 || inside >= picked))
		inside = p->first[FRAME_STD] - 1;
	return inside < picked ? inside : -1;
}
