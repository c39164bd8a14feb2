/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/look.h"

#include "base/vec.h"

bool look_linked(const struct look *l, const char *const *names, size_t n)
{
	struct gofunc fn[8];

	if (n > ARRAY_SIZE(fn) || pclntab_find_names(l->rt->gb->pcln, names, n, fn))
		return false;
	for (size_t i = 0; i < n; i++)
		if (fn[i].entry)
			return true;
	return false;
}

const char *look_why_unlinked(const struct look *l, const char *unlinked)
{
	return l->rt->gb->names_hidden ? GOBIN_NAMES_HIDDEN : unlinked;
}

bool look_armed(const struct look *l, enum probe_id id)
{
	return l->trace && plan_has(l->plan, id);
}

const char *look_why_not(const struct look *l, enum probe_id id)
{
	const struct probe *p = l->plan ? plan_find(l->plan, id) : NULL;

	if (l->memory_only)
		return l->memory_only;
	return p && p->why[0] ? p->why : "not probed";
}

enum exactness look_exactness(const struct look *l, enum sensor s, bool sliced)
{
	return sliced ? SAMPLED : losses_of_counts(l->losses, s) ? PARTIAL : EXACT;
}

/* Probes of the sensor that should be there and are not. */
static void cover_refused(const struct look *l, enum sensor s, struct window *w)
{
	for (int i = 0; l->plan && i < l->plan->n; i++) {
		const struct probe *p = &l->plan->probe[i];

		if (p->sensor == s && !p->absent && p->why[0])
			window_cover_add(w, s, PARTIAL, "%s: %.150s", probe_name(p->id), p->why);
	}
}

void look_cover_probes(const struct look *l, enum sensor s, const char *without, struct window *w)
{
	const struct look_rates *r = &l->rates;
	struct coverage *c;

	if (!l->trace) {
		window_cover_add(w, s, PARTIAL, "from memory alone: %s (%.110s)", without,
				 l->memory_only);
		return;
	}
	cover_refused(l, s, w);
	if (!r->requests_sliced && !r->rare_sliced)
		return;
	c = window_cover_add(w, s, SAMPLED,
			     "budget: per-request counts are extrapolated from sampled slices; "
			     "state read from memory is exact");
	c->rate = r->rare < r->requests ? r->rare : r->requests;
}
