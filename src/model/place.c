/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/place.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/text.h"

#define MAX_FRAMES 64 /* inlined at one pc that are looked at */

static void take(struct frame_pick *p, const struct place *line, int i)
{
	if (line->function)
		frame_pick_add(p, line->of ? line->of : frame_of(line->function, line->path, NULL),
			       i);
}

int place_pick(const struct place *const *line, int n)
{
	struct frame_pick p = { 0 };

	for (int i = 0; i < n; i++)
		take(&p, line[i], i);
	return frame_pick_any(&p);
}

bool place_of_lines(const struct place *const *line, int n, bool std, struct place *out)
{
	struct frame_pick p = { 0 };
	int at, inside;

	for (int i = 0; i < n; i++)
		take(&p, line[i], i);
	at = std ? frame_pick_any(&p) : frame_pick_user(&p);
	inside = frame_pick_inside(&p, at, std);
	*out = at < 0 ? (struct place){ 0 } : *line[at];
	if (inside >= 0)
		out->in = line[inside]->function;
	return at >= 0;
}

bool place_of_pcs(struct goruntime *rt, const uint64_t *pcs, int npcs, bool first_is_pc,
		  struct place *out)
{
	bool injected = first_is_pc; /* looked up as it is, not at the call before */
	struct place
		first[FRAME_KINDS]; /* of each kind the innermost: all that the rule asks for */
	const struct place *line[FRAME_KINDS];
	bool seen[FRAME_KINDS] = { false };
	int nline = 0;

	for (int i = 0; i < npcs && !seen[FRAME_OWN]; i++) {
		struct goframe f[MAX_FRAMES];
		int n = goruntime_frames_at(rt, pcs[i], &injected, f, MAX_FRAMES);

		for (int k = 0; k < n && !seen[FRAME_OWN]; k++) {
			if (f[k].wrapper || seen[f[k].of])
				continue;
			seen[f[k].of] = true;
			first[nline] = place_of_frame(&f[k]);
			line[nline] = &first[nline];
			nline++;
		}
	}
	return place_of_lines(line, nline, false, out);
}

bool place_of_entry(struct gobin *gb, uint64_t entry, struct place *out)
{
	struct goframe f[MAX_FRAMES];
	int n = pclntab_frames(gb->pcln, entry, false, f, MAX_FRAMES);

	if (n <= 0)
		return false;
	*out = place_of_frame(&f[n - 1]);
	return true;
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
	return (struct place){ .function = f->function,
			       .file = f->file,
			       .path = f->path,
			       .line = f->line,
			       .of = f->of };
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

/* Behind the package's path, which ends before a receiver or type arguments. */
static const char *without_path(const char *function)
{
	const char *name = function;

	for (const char *p = function; *p && *p != '(' && *p != '['; p++)
		if (*p == '/')
			name = p + 1;
	return name;
}

char *words_place(const struct place *p, char *out, size_t size)
{
	char function[WORDS_FUNCTION_COLUMNS * 4 + 8], line[160], in[120];

	words_fit(p->function ? p->function : "an unknown place", WORDS_FUNCTION_COLUMNS, function,
		  sizeof(function));
	words_line(p, line, sizeof(line));
	if (line[0] && p->in)
		snprintf(out, size, "%s (%s, in %s)", function, line,
			 words_fit(without_path(p->in), 28, in, sizeof(in)));
	else
		snprintf(out, size, line[0] ? "%s (%s)" : "%s", function, line);
	return out;
}

char *words_place_short(const struct place *p, char *out, size_t size)
{
	char function[200], line[160], in[200];

	words_fit(p->function ? without_path(p->function) : "?", 64, function, sizeof(function));
	words_line(p, line, sizeof(line));
	snprintf(out, size, "%s%s%s%s%s",
		 p->in ? words_fit(without_path(p->in), 40, in, sizeof(in)) : "",
		 p->in ? " < " : "", function, line[0] ? " " : "", line);
	return out;
}
