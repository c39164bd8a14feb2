/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/pace.h"

#include "base/clock.h"

#define MIN_PACE_NS (200 * NS_PER_MS)
/* One of so many: what looks and ends take of a CPU together; looks that come in any case; and
 * those of the first seconds, so that what grows is seen to grow, as far as there is room. */
#define SHARE       125
#define LOOK_SHARE  500
#define FIRST_SHARE 250
#define FIRST_NS    (10 * NS_PER_S)
#define PLAIN_LOOKS 2

void pace_set(struct pace *p, uint64_t interval_ns)
{
	p->interval_ns = interval_ns;
	p->least_ns = interval_ns / 5;
	if (p->least_ns < MIN_PACE_NS)
		p->least_ns = MIN_PACE_NS;
	if (p->least_ns > NS_PER_S)
		p->least_ns = NS_PER_S;
}

void pace_begin(struct pace *p, uint64_t now_ns)
{
	p->window_ns = now_ns;
	p->spent_ns = 0;
	if (!p->begin_ns)
		p->begin_ns = now_ns;
}

void pace_looked(struct pace *p, uint64_t begin_ns, uint64_t walk_ns, uint64_t all_ns, bool whole,
		 bool recorded)
{
	p->walk_ns = walk_ns;
	if (whole) {
		p->whole_at_ns = begin_ns;
		p->whole_ns = all_ns;
	}
	if (recorded)
		p->look_ns = begin_ns;
	p->spent_ns += all_ns;
	p->looks += p->looks < PLAIN_LOOKS;
}

void pace_spend(struct pace *p, uint64_t took_ns)
{
	p->spent_ns += took_ns;
}

/* The first look reads every stack; those whose goroutine has not moved are kept.  Tables take less
 * than a walk. */
void pace_expect(struct pace *p, uint64_t moved, uint64_t all)
{
	uint64_t stacks = p->whole_ns > p->walk_ns ? p->whole_ns - p->walk_ns : 0;

	if (p->ended || p->looks < PLAIN_LOOKS || p->end_ns)
		return;
	p->end_ns = p->walk_ns + p->walk_ns * 3 / 4;
	if (all)
		p->end_ns += (uint64_t)((double)stacks * (double)moved / (double)all);
}

void pace_end(struct pace *p, uint64_t now_ns)
{
	p->unspent_ns = p->spent_ns;
	p->forced = now_ns < pace_end_ns(p);
}

/* What was asked for at once is no debt. */
void pace_ended(struct pace *p, uint64_t took_ns, uint64_t now_ns)
{
	uint64_t spent = p->unspent_ns + took_ns, had = (now_ns - p->window_ns) / SHARE;

	p->spent_ns = !p->forced && spent > had ? spent - had : 0;
	p->end_ns = took_ns;
	p->ended = true;
	p->window_ns = now_ns;
}

/* Whether the window can still end on time. */
static bool has_room(const struct pace *p, uint64_t cost_ns)
{
	return (p->spent_ns + cost_ns + p->end_ns) * SHARE <= p->interval_ns;
}

/* The second look comes in any case: the first, which reads everything, says nothing of what one
 * costs, and by a third it is known who has not moved. */
uint64_t pace_look_ns(const struct pace *p)
{
	bool first = !p->begin_ns || p->look_ns < p->begin_ns + FIRST_NS;
	uint64_t share = first && has_room(p, p->walk_ns) ? FIRST_SHARE : LOOK_SHARE;
	uint64_t least = p->looks < PLAIN_LOOKS ? 0 : p->walk_ns * share;

	return p->look_ns + (least > p->least_ns ? least : p->least_ns);
}

bool pace_whole(const struct pace *p, uint64_t now_ns)
{
	return now_ns >= p->whole_at_ns + p->whole_ns * LOOK_SHARE && has_room(p, p->whole_ns);
}

uint64_t pace_end_ns(const struct pace *p)
{
	return p->window_ns + (p->spent_ns + p->end_ns) * SHARE;
}
