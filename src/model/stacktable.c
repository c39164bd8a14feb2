/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/stacktable.h"
#include "base/vec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/place.h"

#define MAX_LOCATIONS (1u << 22)
#define MAX_INLINED   64
#define MAX_LINES     512 /* of a stack, looked at for the user's */

enum { KEY_PLAIN, KEY_INJECTED, KEY_LOGICAL, KEY_LAST };

void stack_builder_init(struct stack_builder *b, struct stack_table *t, struct goruntime *rt)
{
	memset(b, 0, sizeof(*b));
	b->t = t;
	b->rt = rt;
	u64map_init(&b->location_at, MAX_LOCATIONS);
}

void stack_builder_deinit(struct stack_builder *b)
{
	u64map_deinit(&b->location_at);
}

void stack_table_deinit(struct stack_table *t)
{
	free(t->location);
	free(t->line);
	free(t->at);
	free(t->stack);
	memset(t, 0, sizeof(*t));
}

/* Compiler-made frames, as the runtime's own tracebacks leave them out. */
static int without_wrappers(struct goframe *f, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++)
		if (!f[i].wrapper)
			f[kept++] = f[i];
	return kept;
}

static int add_location(struct stack_builder *b, uint64_t pc, const struct goframe *f, int n)
{
	struct stack_table *t = b->t;
	struct stack_location loc = { .pc = pc, .first = (uint32_t)t->nline, .n = (uint32_t)n };

	for (int i = 0; i < n; i++) {
		if (array_room(&t->line, t->nline, &b->line_cap, sizeof(*t->line)))
			return -ENOMEM;
		t->line[t->nline++] = place_of_frame(&f[i]);
	}
	if (array_room(&t->location, t->nlocation, &b->location_cap, sizeof(*t->location)))
		return -ENOMEM;
	t->location[t->nlocation++] = loc;
	return 0;
}

#define NOT_SHOWN INT64_MAX /* a location of wrappers only */

#define NAMED (1ull << 61) /* pcs from here on are names; two bits are left for the key */

uint64_t stack_builder_name(struct stack_builder *b, const char *name)
{
	int i = 0;

	while (i < b->nname && b->name[i] != name)
		i++;
	if (i == STACK_MAX_NAMES)
		i--; /* more than there are */
	else if (i == b->nname)
		b->name[b->nname++] = name;
	return NAMED + (uint64_t)i;
}

/* The location's number, or negative.  *injected as goruntime_frames_at() has it. */
static int64_t location_of(struct stack_builder *b, uint64_t pc, int kind, bool *injected)
{
	uint64_t key = pc << 2 | (uint64_t)kind, *at = u64map_find(&b->location_at, key);
	struct goframe f[MAX_INLINED];
	int n;

	if (at) { /* bit 0: the one above it is injected */
		*injected = *at & 1;
		return *at >> 1 == NOT_SHOWN ? NOT_SHOWN : (int64_t)(*at >> 1);
	}
	if (pc >= NAMED) {
		memset(f, 0, sizeof(*f));
		f->function = b->name[pc - NAMED];
		n = 1;
	} else {
		n = goruntime_frames_at(b->rt, pc, injected, f, MAX_INLINED);
	}
	if (n < 0)
		n = 0;
	if (kind == KEY_LOGICAL && n > 1)
		n = 1; /* its callers have pcs of their own */
	if (n && !(n = without_wrappers(f, n))) {
		u64map_put(&b->location_at, key, (uint64_t)NOT_SHOWN << 1 | *injected, NULL);
		return NOT_SHOWN;
	}
	if (add_location(b, pc, f, n))
		return -ENOMEM;
	u64map_put(&b->location_at, key, (uint64_t)(b->t->nlocation - 1) << 1 | *injected, NULL);
	return (int64_t)b->t->nlocation - 1;
}

int stack_builder_add(struct stack_builder *b, const uint64_t *pcs, size_t n, bool whole,
		      bool logical)
{
	struct stack_table *t = b->t;
	struct stack_entry e = { .first = (uint32_t)t->nat, .n = (uint32_t)n, .whole = whole };
	bool injected = false;

	for (size_t i = 0; i < n; i++) {
		int kind = !logical ? injected : i + 1 < n ? KEY_LOGICAL : KEY_LAST;
		int64_t loc = location_of(b, pcs[i], kind, &injected);

		if (loc == NOT_SHOWN) {
			e.n--;
			continue;
		}
		if (loc < 0 || array_room(&t->at, t->nat, &b->at_cap, sizeof(*t->at)))
			return -ENOMEM;
		t->at[t->nat++] = (uint32_t)loc;
	}
	if (array_room(&t->stack, t->nstack, &b->stack_cap, sizeof(*t->stack)))
		return -ENOMEM;
	t->stack[t->nstack++] = e;
	return 0;
}

bool stack_line_is_runtime(const struct place *line)
{
	struct goframe f = { .function = line->function };

	return line->function && goframe_is_runtime(&f);
}

const struct place *stack_table_at(const struct stack_table *t, uint32_t stack)
{
	const struct place *line[MAX_LINES];
	int at = place_pick(line, stack_lines(t, stack, line, MAX_LINES));

	return at < 0 ? NULL : line[at];
}

bool stack_table_place(const struct stack_table *t, uint32_t stack, struct place *out)
{
	const struct place *line[MAX_LINES];

	return place_of_lines(line, stack_lines(t, stack, line, MAX_LINES), true, out);
}

int stack_lines(const struct stack_table *t, uint32_t stack, const struct place **out, int max)
{
	const struct stack_entry *e;
	int n = 0;

	if (stack >= t->nstack)
		return 0;
	e = &t->stack[stack];
	for (uint32_t i = 0; i < e->n; i++) {
		const struct stack_location *loc = &t->location[t->at[e->first + i]];

		for (uint32_t k = 0; k < loc->n && n < max; k++)
			out[n++] = &t->line[loc->first + k];
	}
	return n;
}
