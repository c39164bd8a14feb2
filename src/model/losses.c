/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/losses.h"

#include "base/vec.h"
#include "model/window.h"

enum member { EVENTS, MAP_FULL, READ_FAILURES };

static const struct {
	enum member member;
	uint32_t sensors;
	const char *what;
} losses[LOSS_COUNT] = {
#define S(sensor)                       SENSOR_BIT(SENSOR_##sensor)
#define LOSS(id, member, sensors, what) [LOSS_##id] = { member, sensors, what },
#include "model/losses.def"
#undef LOSS
#undef S
};

bool losses_of_counts(const struct losses *l, enum sensor s)
{
	static const enum loss counts[] = { LOSS_BIRTH_ROOM,  LOSS_ALLOC_ROOM,   LOSS_REQUEST_ROOM,
					    LOSS_EVENT_READS, LOSS_ALLOC_STACKS, LOSS_READINGS,
					    LOSS_SLICES,      LOSS_ALLOC_ROWS };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (l->n[counts[i]] && losses[counts[i]].sensors & SENSOR_BIT(s))
			return true;
	return false;
}

static void add(struct window *w, enum member m, uint64_t n)
{
	uint64_t *sum = m == EVENTS     ? &w->lost_events
			: m == MAP_FULL ? &w->lost_map_full
					: &w->lost_read_failures;

	*sum += n;
}

static void cover(struct window *w, enum loss id, uint64_t n)
{
	for (int s = 0; s < SENSOR_COUNT; s++) {
		const struct coverage *c = window_coverage(w, (enum sensor)s);

		if (c && c->state != OFF && losses[id].sensors & SENSOR_BIT(s))
			window_cover_add(w, (enum sensor)s, PARTIAL, "missing: %s (%llu)",
					 losses[id].what, (unsigned long long)n);
	}
}

void losses_report(const struct losses *l, struct window *w)
{
	for (int id = 0; id < LOSS_COUNT; id++) {
		if (!l->n[id])
			continue;
		add(w, losses[id].member, l->n[id]);
		cover(w, (enum loss)id, l->n[id]);
	}
}
