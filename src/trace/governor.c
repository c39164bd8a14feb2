/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/governor.h"

#include <stddef.h>

#include "base/vec.h"

#define SECOND 1e9
/* Aim a little below the budget: costs are estimates. */
#define AIM 0.85
/* A saved-up bucket holds this many seconds of income … */
#define CAP_S 1.0
/* … and of the floor: a program that is idle most of the time stays exact. */
#define CAP_FLOOR_S   5.0
#define PAUSE_NS      100000000ull /* shortest time off */
#define TICK_BUSY_NS  50000000ull
#define TICK_CALM_NS  100000000ull
#define TICK_TRIAL_NS 20000000ull /* while nothing is known of a group that is on */
#define TICK_SHORT_NS 25000000ull /* in slices of less than two ticks */
#define TICK_EXACT_NS 1000000000ull
#define TICK_MIN_NS   10000000ull
#define TICK_LEAST_NS 2000000ull /* to the end of a short slice */
/* Share of the requests that a slice's end may cut off. */
#define CUT_OFF_AIM 0.1
/* Memory of the smoothed rates, seconds. */
#define CPU_MEMORY_S    1.0
#define RATE_MEMORY_S   0.2
#define FOLLOW_INCOME_S 4.0 /* what following may cost */
#define RARE_MEMORY_S   1.0 /* a burst is no rate */
/* A slice is saved for that long at most: else it gets shorter. */
#define SAVE_S          5.0
#define SAVE_REQUESTS_S 1.5
/* A pause is longer than it has to be by up to this share of what must be saved, and
 * by up to so many of the shortest. */
#define DELAY_PRICE 0.5
#define DELAY_PAUSE 2.0
/* Slices have one length until their mean cost, over some eight, is that much of the income. */
#define SAMPLING_WEIGHT 0.125
#define SAMPLING_ENDS   0.8
/* So many hits are enough to count requests by. */
#define ENOUGH_HITS 3000
/* Of what a sharing group has, this is never taken for the rare one.  Births are
 * seen in short slices too; requests have to be followed. */
#define BIRTHS_KEEP   0.25
#define REQUESTS_KEEP 0.5
/* Ends live on what births and requests leave.  Where that is nothing, each of
 * them that does not fit anyway gives this of its part, for some ends are to be seen; but
 * births that fit stay exact.  The least is for the rare case that nobody has to give. */
#define ENDS_KEEP  0.25
#define ENDS_LEAST 0.05
/* The same of panics: this and that of ends are less than the aim leaves. */
#define PANICS_LEAST 0.05
/* CPU samples are never switched off, and leave so much of the budget to probes. */
#define PROBES_KEEP 0.1

static double smooth(double old, double now, double dt, double memory)
{
	return old < 0 ? now : old + (now - old) * dt / (dt + memory);
}

static double clamp(double v, double lo, double hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static double diff(uint64_t now, uint64_t before)
{
	return now > before ? (double)(now - before) : 0;
}

/* Tokens per second at present, ns. */
static double governor_income(const struct governor *g)
{
	double share = AIM * g->cfg.budget_pct / 100 * g->cpu_per_s;
	double all = share > g->cfg.floor_ns ? share : (double)g->cfg.floor_ns;

	return clamp(all - g->samples_per_s, PROBES_KEEP * all, all);
}

/* What the group would cost per second if it were on, ns. */
static double expected_cost(const struct gov_bucket *b)
{
	return b->hits_per_s > 0 ? b->hits_per_s * b->cost_per_hit : 0;
}

/* What must be saved before a slice begins. */
static double slice_price(const struct gov_bucket *b, double income, double lead_s)
{
	double slice_s = (double)b->slice_ns / SECOND;
	double price = expected_cost(b) * (slice_s + lead_s) - income * slice_s;

	return price > 0 ? price : 0;
}

static void bucket_switch(struct gov_bucket *b, bool on, uint64_t now)
{
	if (b->on != on)
		b->since_ns = now;
	b->on = on;
}

static bool must_stop(const struct gov_bucket *b, double income, double lead_s, uint64_t now)
{
	double rate = expected_cost(b);
	double lead = rate > income ? rate * lead_s : 0;
	double debt = income * ((double)b->slice_ns / SECOND) + (double)2e6;

	if (now - b->since_ns >= b->slice_ns)
		return b->tokens < lead || b->sampling;
	return b->tokens < -debt; /* far more than was saved for */
}

/* What a step gives a bucket: all per second or since the last step. */
struct flow {
	double dt, income, floor, spent, lead_s;
	uint64_t now;
	bool held; /* must be off */
};

static void bucket_step(struct gov_bucket *b, const struct flow *f)
{
	double price = slice_price(b, f->income, f->lead_s);
	double cap = f->income * CAP_S;

	if (cap < f->floor * CAP_FLOOR_S)
		cap = f->floor * CAP_FLOOR_S;
	if (cap < price * (1 + DELAY_PRICE))
		cap = price * (1 + DELAY_PRICE);
	b->tokens += f->income * f->dt - f->spent;
	if (b->tokens > cap)
		b->tokens = cap;
	if (f->held) {
		bucket_switch(b, false, f->now);
	} else if (b->on && b->trial && b->hits_per_s >= 0) {
		/* Now it is known: on from the start only what a whole slice is saved for. */
		b->trial = false;
		if (price > b->tokens)
			bucket_switch(b, false, f->now);
	} else if (b->on) {
		if (must_stop(b, f->income, f->lead_s, f->now))
			bucket_switch(b, false, f->now);
	} else if (b->tokens >= price * (1 + DELAY_PRICE * b->delay) &&
		   (double)(f->now - b->since_ns) >= PAUSE_NS * (1 + DELAY_PAUSE * b->delay)) {
		bucket_switch(b, true, f->now);
	}
}

static double lead_s(const struct governor *g, enum probe_group group)
{
	return (double)g->cfg.detach_ns[group] / SECOND;
}

/* How long slices are at present: as long as `whole`, where that is not saved for too long. */
static void fit_slice(struct gov_bucket *b, double income, double lead_s, double save_s,
		      uint64_t least, uint64_t whole)
{
	double cost = expected_cost(b), slice_s = (double)whole / SECOND;

	if (cost > income)
		slice_s = clamp((save_s * income - cost * lead_s) / (cost - income),
				(double)least / SECOND, slice_s);
	b->slice_ns = (uint64_t)(slice_s * SECOND);
}

/* 0..1, as good as random. */
static double throw_dice(struct governor *g)
{
	g->dice = g->dice * 1664525u + 1013904223u;
	return (double)(g->dice >> 8) / (1u << 24);
}

/* Rates seen since the last step. */
static void learn(struct governor *g, const struct governor_input *in, double dt)
{
	double cost = diff(in->samples_ns, g->last.samples_ns);

	g->samples_per_s = smooth(g->samples_per_s, cost / dt, dt, CPU_MEMORY_S);
	for (int i = 0; i < GROUP_COUNT; i++) {
		struct gov_bucket *b = &g->b[i];
		double hits = diff(in->hits[i], g->last.hits[i]);
		double spent = diff(in->cost_ns[i], g->last.cost_ns[i]);
		double on_s = diff(in->on_ns[i], g->last.on_ns[i]) / SECOND;

		cost += spent;
		if (hits > 0)
			b->cost_per_hit = smooth(b->cost_per_hit, spent / hits, dt, RATE_MEMORY_S);
		b->slice_hits += hits;
		b->slice_s += on_s;
		if (b->on)
			b->hits_per_s = smooth(b->hits_per_s, hits / (on_s > 1e-3 ? on_s : dt), dt,
					       i == GROUP_RARE ? RARE_MEMORY_S : RATE_MEMORY_S);
	}
	/* The probes' own cost is part of the CPU time the kernel counts. */
	g->cpu_per_s = smooth(g->cpu_per_s, diff(in->cpu_ns, g->last.cpu_ns + (uint64_t)cost) / dt,
			      dt, CPU_MEMORY_S);
	if (in->created && g->last.created)
		g->births_per_s = smooth(g->births_per_s, diff(in->created, g->last.created) / dt,
					 dt, RATE_MEMORY_S);
}

/* While births are off, memory still says how many there are: a hit each, and
 * who is born ends. */
static void predict(struct governor *g)
{
	static const enum probe_group known[] = { GROUP_BIRTHS, GROUP_ENDS };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (g->births_per_s >= 0 && !g->b[known[i]].on)
			g->b[known[i]].hits_per_s = g->births_per_s;
}

/* The groups that share what the rare one leaves. */
static const enum probe_group sharing[] = { GROUP_BIRTHS, GROUP_REQUESTS };
#define SHARING ARRAY_SIZE(sharing)

/* A group's share of the income: at least half, and what the other does not use. */
static double share_of(const struct governor *g, enum probe_group group)
{
	enum probe_group other = group == GROUP_BIRTHS ? GROUP_REQUESTS : GROUP_BIRTHS;
	double left = governor_income(g) - expected_cost(&g->b[GROUP_RARE]);
	double used = expected_cost(&g->b[other]);

	return used < left / 2 ? 1 - used / left : used > 0 ? 0.5 : 1;
}

/* What it gives to ends, of its income. */
static double given_to_ends(const struct governor *g, enum probe_group group, double income)
{
	bool fits = expected_cost(&g->b[group]) <= income;

	return g->cfg.cost_per_hit_ns[GROUP_ENDS] > 0 && !fits ? ENDS_KEEP * income : 0;
}

static double income_of_ends(const struct governor *g)
{
	double all = governor_income(g), unused = all - expected_cost(&g->b[GROUP_RARE]);
	double given = 0, least = ENDS_LEAST * all;

	for (size_t i = 0; i < SHARING; i++) {
		double income = all * share_of(g, sharing[i]);
		double cost = expected_cost(&g->b[sharing[i]]);

		given += given_to_ends(g, sharing[i], income);
		unused -= cost < income ? cost : income;
	}
	unused = unused > given ? unused : given;
	return unused > least ? unused : least;
}

static double income_of_sharing(const struct governor *g, enum probe_group group)
{
	double income = governor_income(g) * share_of(g, group);

	return income - given_to_ends(g, group, income);
}

/* What a group takes of its income. */
static double taken(const struct governor *g, enum probe_group group, double income)
{
	double cost = expected_cost(&g->b[group]);

	return cost < income ? cost : income;
}

static double income_of_panics(const struct governor *g)
{
	double all = governor_income(g), left = all - expected_cost(&g->b[GROUP_RARE]);

	for (size_t i = 0; i < SHARING; i++)
		left -= taken(g, sharing[i], income_of_sharing(g, sharing[i]));
	left -= taken(g, GROUP_ENDS, income_of_ends(g));
	return left > PANICS_LEAST * all ? left : PANICS_LEAST * all;
}

static double income_of(const struct governor *g, enum probe_group group)
{
	return group == GROUP_ENDS     ? income_of_ends(g)
	       : group == GROUP_PANICS ? income_of_panics(g)
				       : income_of_sharing(g, group);
}

static uint64_t next_look(const struct governor *g, enum probe_group group, uint64_t now)
{
	const struct gov_bucket *b = &g->b[group];
	double income = income_of(g, group), wait;

	if (b->on && b->trial)
		return now + TICK_TRIAL_NS;
	if (b->on && expected_cost(b) > income && b->slice_ns < TICK_BUSY_NS * 2) {
		wait = (double)b->slice_ns - (double)(now - b->since_ns);
		if (wait <= 0) /* it goes on with what is left */
			wait = TICK_SHORT_NS;
		return now + (uint64_t)clamp(wait, TICK_LEAST_NS, TICK_SHORT_NS);
	}
	if (b->on)
		return now + (expected_cost(b) > income / 4 ? TICK_BUSY_NS : TICK_CALM_NS);
	wait = (slice_price(b, income, lead_s(g, group)) * (1 + DELAY_PRICE * b->delay) -
		b->tokens) /
	       income * SECOND;
	return now + (uint64_t)clamp(wait, TICK_MIN_NS, TICK_CALM_NS);
}

static void schedule(struct governor *g, uint64_t now)
{
	static const enum probe_group looked_at[] = { GROUP_BIRTHS, GROUP_REQUESTS, GROUP_ENDS,
						      GROUP_PANICS };

	g->next_ns = now + TICK_EXACT_NS;
	for (size_t i = 0; !g->cfg.exact && i < ARRAY_SIZE(looked_at); i++) {
		uint64_t next;

		if (looked_at[i] == GROUP_ENDS && !g->b[GROUP_BIRTHS].on)
			continue; /* held until births are on */
		next = next_look(g, looked_at[i], now);

		if (next < g->next_ns)
			g->next_ns = next;
	}
}

static unsigned int groups_on(const struct governor *g)
{
	unsigned int on = 0;

	for (int i = 0; i < GROUP_COUNT; i++)
		if (g->b[i].on)
			on |= GROUP_BIT(i);
	return on;
}

/* Ends are on from the start where births are and they can be paid. */
static void begin_ends(struct governor *g)
{
	struct gov_bucket *e = &g->b[GROUP_ENDS];
	double price = slice_price(e, income_of_ends(g), lead_s(g, GROUP_ENDS));

	if (!g->cfg.exact && (price > e->tokens || !g->b[GROUP_BIRTHS].on))
		e->on = false;
}

unsigned int governor_init(struct governor *g, const struct governor_config *cfg,
			   const struct governor_input *in)
{
	struct gov_bucket *b = &g->b[GROUP_BIRTHS];

	*g = (struct governor){ .cfg = *cfg,
				.last = *in,
				.births_per_s = cfg->births_per_s,
				.cpu_per_s = cfg->cpu_ns_per_s < 0 ? 0 : cfg->cpu_ns_per_s };
	for (int i = 0; i < GROUP_COUNT; i++)
		g->b[i] =
			(struct gov_bucket){ .tokens = (double)cfg->floor_ns,
					     .hits_per_s = -1,
					     .cost_per_hit = cfg->cost_per_hit_ns[i],
					     .on = true,
					     .slice_ns = i == GROUP_REQUESTS ? GOV_SLICE_REQUESTS_NS
									     : GOV_SLICE_NS,
					     .since_ns = in->now_ns };
	g->b[GROUP_REQUESTS].trial = true;
	g->b[GROUP_REQUESTS].whole_ns = GOV_SLICE_REQUESTS_NS;
	g->dice = (uint32_t)(in->now_ns >> 10);
	/* rare until seen otherwise */
	g->b[GROUP_RARE].hits_per_s = g->b[GROUP_PANICS].hits_per_s = 0;
	if (cfg->births_per_s >= 0)
		b->hits_per_s = g->b[GROUP_ENDS].hits_per_s = cfg->births_per_s;
	/* A program known to be too busy begins with saving up, not with debt. */
	if (!cfg->exact && slice_price(b, governor_income(g), lead_s(g, GROUP_BIRTHS)) > b->tokens)
		b->on = false;
	begin_ends(g);
	schedule(g, in->now_ns);
	return groups_on(g);
}

void governor_cut_off(struct governor *g, double share)
{
	struct gov_bucket *b = &g->b[GROUP_REQUESTS];

	b->whole_ns =
		(uint64_t)clamp((double)b->whole_ns * share / CUT_OFF_AIM,
				(double)GOV_SLICE_REQUESTS_NS, (double)GOV_SLICE_REQUESTS_MAX_NS);
	b->slice_ns = b->whole_ns;
}

uint64_t governor_follow_ns(const struct governor *g)
{
	double cost = expected_cost(&g->b[GROUP_REQUESTS]);
	double pays = FOLLOW_INCOME_S * governor_income(g) * share_of(g, GROUP_REQUESTS);

	return cost > 0 ? (uint64_t)clamp(pays / cost * SECOND, 0, SECOND) : 0;
}

/* What a group spent since the last step. */
static double spent_by(const struct governor *g, const struct governor_input *in,
		       enum probe_group group)
{
	return diff(in->cost_ns[group], g->last.cost_ns[group]);
}

/* What of the rare one's cost a group with that income bears. */
static double carried(enum probe_group group, double cost, double income)
{
	return clamp(cost, 0, income * (1 - (group == GROUP_BIRTHS ? BIRTHS_KEEP : REQUESTS_KEEP)));
}

/* Those that take long need long slices. */
static uint64_t least_of_requests(const struct gov_bucket *b)
{
	if (b->whole_ns > GOV_SLICE_REQUESTS_NS || b->hits_per_s <= 0)
		return b->whole_ns;
	return (uint64_t)clamp(ENOUGH_HITS / b->hits_per_s * SECOND, GOV_SLICE_REQUESTS_MIN_NS,
			       GOV_SLICE_REQUESTS_NS);
}

/* How long its slices are, from what the rare one leaves of its income. */
static void fit_sharing(struct governor *g, enum probe_group group, double share,
			const struct flow *f)
{
	struct gov_bucket *b = &g->b[group];
	double income =
		f->income - carried(group, share * expected_cost(&g->b[GROUP_RARE]), f->income);

	if (group == GROUP_BIRTHS)
		fit_slice(b, income, f->lead_s, SAVE_S, GOV_SLICE_MIN_NS, GOV_SLICE_NS);
	else
		fit_slice(b, income, f->lead_s, SAVE_REQUESTS_S, least_of_requests(b), b->whole_ns);
}

/* A slice of requests is over. */
static void learn_slice(struct gov_bucket *b, double income)
{
	double per_s = b->slice_s > 1e-3 ? b->slice_hits / b->slice_s : b->hits_per_s;

	b->mean_per_s =
		b->sampling ? b->mean_per_s + (per_s - b->mean_per_s) * SAMPLING_WEIGHT : per_s;
	b->sampling = b->mean_per_s * b->cost_per_hit > SAMPLING_ENDS * income;
}

/*
 * The two that share: each lives on its share, and carries as much of the rare
 * one; but keeps a part of what it has, for rare probes are not sliced when
 * they alone are over the budget, and something is to be seen of the rest.
 */
static void step_sharing(struct governor *g, const struct governor_input *in,
			 const struct flow *all)
{
	struct flow f[SHARING];

	for (size_t i = 0; i < SHARING; i++) {
		double share = share_of(g, sharing[i]);

		f[i] = *all;
		f[i].income = income_of(g, sharing[i]);
		f[i].floor *= share;
		f[i].lead_s = lead_s(g, sharing[i]);
		f[i].spent = spent_by(g, in, sharing[i]) +
			     carried(sharing[i], share * spent_by(g, in, GROUP_RARE),
				     f[i].income * all->dt);
		fit_sharing(g, sharing[i], share, &f[i]);
	}
	for (size_t i = 0; i < SHARING; i++) {
		struct gov_bucket *b = &g->b[sharing[i]];
		bool on = b->on;

		bucket_step(b, &f[i]);
		if (on == b->on)
			continue;
		if (on)
			b->delay = throw_dice(g);
		if (on && sharing[i] == GROUP_REQUESTS)
			learn_slice(b, f[i].income);
		b->slice_hits = b->slice_s = 0;
	}
}

/* After births, which they are on with: an end says how long it took only where
 * its birth was seen. */
static void step_ends(struct governor *g, const struct governor_input *in, const struct flow *all)
{
	struct gov_bucket *e = &g->b[GROUP_ENDS];
	struct flow f = *all;

	f.income = income_of_ends(g);
	f.floor *= f.income / all->income;
	f.lead_s = lead_s(g, GROUP_ENDS);
	f.spent = spent_by(g, in, GROUP_ENDS);
	f.held = !g->b[GROUP_BIRTHS].on;
	fit_slice(e, f.income, f.lead_s, SAVE_S, GOV_SLICE_MIN_NS, GOV_SLICE_NS);
	bucket_step(e, &f);
}

static void step_panics(struct governor *g, const struct governor_input *in, const struct flow *all)
{
	struct gov_bucket *b = &g->b[GROUP_PANICS];
	struct flow f = *all;
	bool on = b->on;

	f.income = income_of_panics(g);
	f.floor *= f.income / all->income;
	f.lead_s = lead_s(g, GROUP_PANICS);
	f.spent = spent_by(g, in, GROUP_PANICS);
	fit_slice(b, f.income, f.lead_s, SAVE_S, GOV_SLICE_MIN_NS, GOV_SLICE_NS);
	bucket_step(b, &f);
	if (on && !b->on)
		b->delay = throw_dice(g);
}

/* Rare probes may take half of the budget before they are sliced. */
static void step_rare(struct governor *g, const struct governor_input *in, const struct flow *all)
{
	struct gov_bucket *r = &g->b[GROUP_RARE];
	struct flow f = *all;

	f.income /= 2;
	f.floor /= 2;
	f.lead_s = lead_s(g, GROUP_RARE);
	f.spent = spent_by(g, in, GROUP_RARE);
	bucket_step(r, &f);
	if (r->hits_per_s < GOV_RARE_HITS_PER_S)
		bucket_switch(r, true, in->now_ns);
}

unsigned int governor_step(struct governor *g, const struct governor_input *in)
{
	double dt = diff(in->now_ns, g->last.now_ns) / SECOND;
	struct flow f;

	if (dt < 1e-3)
		return groups_on(g);
	learn(g, in, dt);
	predict(g);
	f = (struct flow){ .dt = dt,
			   .income = governor_income(g),
			   .floor = (double)g->cfg.floor_ns,
			   .now = in->now_ns };
	if (!g->cfg.exact) {
		step_sharing(g, in, &f);
		step_ends(g, in, &f);
		step_panics(g, in, &f);
		step_rare(g, in, &f);
	}
	g->last = *in;
	schedule(g, in->now_ns);
	return groups_on(g);
}
