/* SPDX-License-Identifier: BSD-2-Clause */
#include "goroutines/given.h"

#include <string.h>

#include "base/vec.h"

#define MAX_FRAMES 256

/* By their names: what starts a goroutine for others is mostly called like that. */
static bool is_spawner(const char *function)
{
	static const char *const names[] = { "Go", "TryGo", "SafeGo", "GoSafe", "Spawn" };
	static const char *const others[] = { "github.com/oklog/run.(*Group).Run",
					      "k8s.io/apimachinery/pkg/util/wait.(*Group).Start" };
	const char *dot = strrchr(function, '.');

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strstr(function, others[i]))
			return true; /* vendored, too */
	for (size_t i = 0; dot && i < ARRAY_SIZE(names); i++)
		if (!strcmp(dot + 1, names[i]))
			return true;
	return false;
}

/* Whether it is a closure of that function. */
static bool is_nested(const char *name, const char *function)
{
	size_t n = strlen(function);

	return !strncmp(name, function, n) && name[n] == '.';
}

/* The start function is what was given: behind a wrapper (a method as a value) by its name. */
static bool start_place(struct gobin *gb, uint64_t start, const char *name, struct place *out)
{
	struct gofunc fn;

	if (!strcmp(name, "?") || pclntab_find_pc(gb->pcln, start, &fn))
		return false;
	if (fn.is_wrapper && pclntab_find_name(gb->pcln, name, &fn))
		return false;
	return place_of_entry(gb, fn.entry, out);
}

static bool is_users(const struct place *p)
{
	return p->of == FRAME_OWN || p->of == FRAME_LIBRARY;
}

/* The main goroutine is started by assembly, without a go statement (its gopc lies in a
 * wrapper): it is at home where it begins. */
static bool is_main(struct gobin *gb, uint64_t start)
{
	struct gofunc fn;

	return !pclntab_find_pc(gb->pcln, start, &fn) && !strcmp(fn.name, "runtime.main");
}

void go_site_of(struct goruntime *rt, uint64_t gopc, uint64_t startpc, struct go_site *out)
{
	struct gobin *gb = rt->gb;
	uint64_t start = startpc - rt->bias;
	struct goframe f[MAX_FRAMES];
	const char *spawner = NULL;
	struct place given;
	int n = 0;

	*out = (struct go_site){ .start = gobin_start_name(gb, start) };
	if (is_main(gb, start)) {
		place_of_entry(gb, start, &out->place);
		return;
	}
	if (gopc)
		n = gobin_go_frames(gb, gopc - rt->bias, f, MAX_FRAMES);
	if (n <= 0)
		return;
	out->place = place_of_frame(&f[0]);
	if (is_spawner(f[0].function)) {
		spawner = f[0].function;
		if (n > 1) { /* inlined: the line that calls it is known */
			out->place = place_of_frame(&f[1]);
			out->place.in = spawner;
			return;
		}
		out->given = is_nested(out->start, spawner);
	} else if (f[0].of < FRAME_LIBRARY) {
		spawner = f[0].function; /* time.goFunc */
	}
	if (spawner && !out->given && start_place(gb, start, out->start, &given) &&
	    is_users(&given)) {
		out->place = given;
		out->place.in = spawner;
	}
}

/* Nothing that was given: the goroutine's first functions, the spawner's own, its recover(). */
static bool is_spawners(const struct goframe *f, const struct go_site *site)
{
	const char *spawner = site->place.function;

	return f->wrapper || f->of == FRAME_RUNTIME || f->of == FRAME_INSIDE ||
	       !strcmp(f->function, site->start) ||
	       !strncmp(f->function, spawner, (size_t)(strrchr(spawner, '.') + 1 - spawner)) ||
	       !strncmp(f->function, "github.com/sourcegraph/conc/panics.", 35);
}

bool given_place(struct goruntime *rt, const uint64_t *pcs, int npcs, const struct go_site *site,
		 struct place *out)
{
	struct goframe f[MAX_FRAMES];
	int n = goruntime_frames(rt, pcs, npcs, f, MAX_FRAMES);

	if (n <= 0 || n == MAX_FRAMES || strcmp(f[n - 1].function, site->start) != 0)
		return false;
	while (n > 0 && is_spawners(&f[n - 1], site))
		n--;
	if (!n)
		return false;
	*out = place_of_frame(&f[n - 1]);
	out->line = f[n - 1].start_line; /* in it, it may stand anywhere */
	if (!out->line && !f[n - 1].inlined && !place_of_entry(rt->gb, f[n - 1].entry, out))
		return false;
	out->in = site->place.function;
	return true;
}
