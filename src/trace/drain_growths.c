/* SPDX-License-Identifier: BSD-2-Clause */
/* Slices that append moved, by place and type. */
#include "trace/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void growth_from(struct trace_growth *g, const struct gs_growth_key *k,
			const struct gs_growth *v)
{
	*g = (struct trace_growth){ k->pc,       k->type,       v->count,       v->begun,
				    v->elements, v->max_length, v->max_capacity };
}

int drain_growths(struct trace *t, struct trace_reading *r)
{
	struct dump d;
	int e;

	if (!trace_uses(t, SENSOR_BIT(SENSOR_SLICES)))
		return 0;
	e = dump_map(&d, trace_map_fd(t, TRACE_MAP_GROWTHS), sizeof(struct gs_growth_key),
		     sizeof(struct gs_growth));
	if (!e && d.n)
		r->growth = calloc(d.n, sizeof(*r->growth));
	if (!e && d.n && !r->growth)
		e = -ENOMEM;
	for (size_t i = 0; !e && i < d.n; i++) {
		struct gs_growth_key k;
		struct gs_growth v;

		memcpy(&k, d.keys + i * sizeof(k), sizeof(k));
		memcpy(&v, d.values + i * sizeof(v), sizeof(v));
		if (k.target == TARGET && v.count)
			growth_from(&r->growth[r->ngrowth++], &k, &v);
	}
	dump_deinit(&d);
	return e;
}
