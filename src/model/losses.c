/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/losses.h"

#include "base/vec.h"
#include "model/window.h"

#define EVENTS        offsetof(struct window, lost_events)
#define MAP_FULL      offsetof(struct window, lost_map_full)
#define READ_FAILURES offsetof(struct window, lost_read_failures)

static const struct {
	size_t sum_at; /* in the window */
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
	/* births and allocations without a place are counted all the same */
	static const enum loss counts[] = { LOSS_REQUEST_ROOM, LOSS_EVENT_READS, LOSS_READINGS,
					    LOSS_SLICES, LOSS_ALLOC_ROWS };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (l->n[counts[i]] && losses[counts[i]].sensors & SENSOR_BIT(s))
			return true;
	return false;
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
		*(uint64_t *)((char *)w + losses[id].sum_at) += l->n[id];
		cover(w, (enum loss)id, l->n[id]);
	}
}
