/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/place.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/text.h"

#define MAX_FRAMES 64 /* inlined at one pc that are looked at */

/* Whether the user's place may be in this frame. */
static bool is_users(const struct goframe *f)
{
	/* the HTTP/2 of net/http is a copy of it, and programs may use their own */
	static const char h2[] = "golang.org/x/net/http2";
	const char *vendored = strstr(f->function, "/vendor/");
	const char *name = vendored ? vendored + 8 : f->function;

	if (f->wrapper || goframe_is_std(f))
		return false;
	return strncmp(name, h2, sizeof(h2) - 1) ||
	       (name[sizeof(h2) - 1] != '.' && name[sizeof(h2) - 1] != '/');
}

bool place_of_pcs(struct goruntime *rt, const uint64_t *pcs, int npcs, bool first_is_pc,
		  struct place *out)
{
	bool injected = first_is_pc; /* looked up as it is, not at the call before */

	*out = (struct place){ 0 };
	for (int i = 0; i < npcs; i++) {
		struct goframe f[MAX_FRAMES];
		int n = goruntime_frames_at(rt, pcs[i], &injected, f, MAX_FRAMES);

		for (int k = 0; k < n; k++) {
			if (!is_users(&f[k]))
				continue;
			*out = place_of_frame(&f[k]);
			return true;
		}
	}
	return false;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool place_equal(const struct place *a, const struct place *b)
{
	return a->function && b->function && a->line == b->line &&
	       same_text(a->function, b->function) && same_text(a->file, b->file);
}

struct place_key place_key(const struct place *p)
{
	struct place_key k = { .line = (uint64_t)(int64_t)p->line };

	if (p->function)
		k.function = hash_bytes(p->function, strlen(p->function));
	if (p->file)
		k.file = hash_bytes(p->file, strlen(p->file));
	return k;
}

struct place place_of_frame(const struct goframe *f)
{
	return (struct place){
		.function = f->function, .file = f->file, .path = f->path, .line = f->line
	};
}

/* "notify.go:41", "notify.go" or "". */
static void words_line(const struct place *p, char *out, size_t size)
{
	char file[128];

	out[0] = '\0';
	if (!p->file)
		return;
	words_fit(p->file, 40, file, sizeof(file));
	if (p->line > 0)
		snprintf(out, size, "%s:%d", file, p->line);
	else
		snprintf(out, size, "%s", file);
}

char *words_place(const struct place *p, char *out, size_t size)
{
	char function[WORDS_FUNCTION_COLUMNS * 4 + 8], line[160];

	words_fit(p->function ? p->function : "an unknown place", WORDS_FUNCTION_COLUMNS, function,
		  sizeof(function));
	words_line(p, line, sizeof(line));
	snprintf(out, size, line[0] ? "%s (%s)" : "%s", function, line);
	return out;
}

/* Behind the package's path, which ends before a receiver or type arguments. */
static const char *without_path(const char *function)
{
	const char *name = function;

	for (const char *p = function; *p && *p != '(' && *p != '['; p++)
		if (*p == '/')
			name = p + 1;
	return name;
}

char *words_place_short(const struct place *p, char *out, size_t size)
{
	char function[200], line[160];

	words_fit(p->function ? without_path(p->function) : "?", 64, function, sizeof(function));
	words_line(p, line, sizeof(line));
	snprintf(out, size, line[0] ? "%s %s" : "%s", function, line);
	return out;
}
