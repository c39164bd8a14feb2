/* SPDX-License-Identifier: BSD-2-Clause */
#include "observe/callwatch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "locks/contention.h"
#include "net/host.h"
#include "net/watch.h"
#include "sql/pools.h"
#include "plan/plan.h"
#include "gort/golocks.h"
#include "gort/gostacks.h"
#include "gort/gotypes.h"
#include "trace/trace.h"

/* One of the three sensors. */
struct part {
	bool on;
	char why[200]; /* why not */
};

struct callwatch {
	struct callwatch_config cfg;
	struct part net, sql, locks;
	struct gotypes *types; /* all owned; NULL where their sensor is off */
	struct netwatch *netwatch;
	struct sqlpools *sqlpools;
	struct contention *contention;
	/* the latest look */
	struct gostacks stacks;
	bool stacks_made;
	uint32_t *stack_of;
	size_t stack_cap;
	bool looked;
	uint64_t losses_base;          /* at the start of the window */
	struct netwatch_probes probes; /* of the window filled last */
};

static bool wants(const struct callwatch *cw, enum sensor s)
{
	return cw->cfg.sensors & SENSOR_BIT(s);
}

static bool part_off(struct part *p, const char *why)
{
	p->on = false;
	snprintf(p->why, sizeof(p->why), "%.190s", why);
	return false;
}

/* Whether a program has a package's function that everything of it leads to. */
static bool is_linked(struct callwatch *cw, const char *const *names, size_t n)
{
	struct gofunc fn[4];
	size_t i;

	if (pclntab_find_names(cw->cfg.rt->gb->pcln, names, n, fn))
		return false;
	for (i = 0; i < n; i++)
		if (fn[i].entry)
			return true;
	return false;
}

static int open_net(struct callwatch *cw)
{
	static const char *const net[] = { "net.(*Dialer).DialContext", "net/http.(*conn).serve",
					   "net/http.(*Transport).roundTrip" };
	int err;

	if (!is_linked(cw, net, 3)) {
		part_off(&cw->net, "no network client or HTTP server is linked into this program");
		return 0;
	}
	err = netwatch_new(&cw->netwatch, cw->cfg.rt, cw->types);
	if (err == -EOPNOTSUPP)
		part_off(&cw->net, "the layout of net/http is not known for this release");
	return err == -EOPNOTSUPP ? 0 : err;
}

static int open_sql(struct callwatch *cw)
{
	static const char *const sql[] = { "database/sql.(*DB).connectionOpener" };
	int err;

	if (!is_linked(cw, sql, 1)) {
		part_off(&cw->sql, "database/sql is not linked into this program");
		return 0;
	}
	err = sqlpools_new(&cw->sqlpools, cw->cfg.rt, cw->types);
	if (err == -EOPNOTSUPP)
		part_off(&cw->sql, "the layout of database/sql is not known for this release");
	return err == -EOPNOTSUPP ? 0 : err;
}

static int open_parts(struct callwatch *cw)
{
	const struct goruntime *rt = cw->cfg.rt;
	const char *no_stacks =
		rt->why_off[goruntime_has(rt, FACT_GOROUTINES) ? FACT_STACKS : FACT_GOROUTINES];
	int err = 0;

	cw->net.on = wants(cw, SENSOR_NET) && (!no_stacks[0] || part_off(&cw->net, no_stacks));
	cw->sql.on = wants(cw, SENSOR_SQL) && (!no_stacks[0] || part_off(&cw->sql, no_stacks));
	cw->locks.on =
		wants(cw, SENSOR_LOCKS) && (!no_stacks[0] || part_off(&cw->locks, no_stacks));
	if (cw->net.on || cw->sql.on)
		err = gotypes_new(&cw->types, cw->cfg.rt);
	if (!err && cw->net.on)
		err = open_net(cw);
	if (!err && cw->sql.on)
		err = open_sql(cw);
	if (!err && cw->locks.on) {
		err = contention_new(&cw->contention, cw->cfg.rt);
		if (err == -EOPNOTSUPP) {
			part_off(&cw->locks, "the layout of locks is not known for this release");
			err = 0;
		}
	}
	return err;
}

int callwatch_new(struct callwatch **out, const struct callwatch_config *cfg)
{
	struct callwatch *cw = calloc(1, sizeof(*cw));
	int err;

	if (!cw)
		return -ENOMEM;
	cw->cfg = *cfg;
	err = gostacks_init(&cw->stacks);
	cw->stacks_made = !err;
	if (!err)
		err = open_parts(cw);
	if (err)
		callwatch_free(cw);
	else
		*out = cw;
	return err;
}

void callwatch_free(struct callwatch *cw)
{
	if (!cw)
		return;
	netwatch_free(cw->netwatch);
	sqlpools_free(cw->sqlpools);
	contention_free(cw->contention);
	gotypes_free(cw->types);
	if (cw->stacks_made)
		gostacks_deinit(&cw->stacks);
	free(cw->stack_of);
	free(cw);
}

bool callwatch_is_on(const struct callwatch *cw)
{
	return cw->net.on || cw->sql.on || cw->locks.on;
}

static int read_stacks(struct callwatch *cw, struct gowalk *walk)
{
	int err;

	if (cw->stack_cap < walk->n + 1) {
		uint32_t *more = realloc(cw->stack_of, (walk->n + 1) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		cw->stack_of = more;
		cw->stack_cap = walk->n + 1;
	}
	/* Begun anew each time: what is kept of a stack has no end otherwise. */
	gostacks_deinit(&cw->stacks);
	err = gostacks_init(&cw->stacks);
	cw->stacks_made = !err;
	if (!err && cw->netwatch)
		netwatch_listen(cw->netwatch, &cw->stacks);
	return err ? err : gostacks_read(&cw->stacks, cw->cfg.rt, walk, cw->stack_of);
}

static int look_at_locks(struct callwatch *cw, const struct gowalk *walk, uint64_t now)
{
	struct golocks locks = { 0 };
	int err = golocks_read(&locks, cw->cfg.rt, walk);

	if (err == -ESRCH || err == -ENOMEM)
		return err;
	/* without them nobody is said to hold a lock */
	err = contention_look(cw->contention, walk, &cw->stacks, cw->stack_of, err ? NULL : &locks,
			      now);
	golocks_deinit(&locks);
	return err;
}

int callwatch_look(struct callwatch *cw, struct gowalk *walk)
{
	uint64_t now = clock_mono_ns();
	int err;

	cw->looked = false;
	if (!callwatch_is_on(cw))
		return 0;
	err = read_stacks(cw, walk);
	if (!err && cw->netwatch)
		err = netwatch_look(cw->netwatch, walk, &cw->stacks, cw->cfg.trace, now);
	if (!err && cw->sqlpools)
		err = sqlpools_look(cw->sqlpools, walk, &cw->stacks, cw->stack_of, cw->cfg.trace,
				    now);
	if (!err && cw->contention)
		err = look_at_locks(cw, walk, now);
	cw->looked = !err;
	return err;
}

void callwatch_begin_window(struct callwatch *cw)
{
	if (cw->netwatch)
		netwatch_begin_window(cw->netwatch);
}

/* --- a window's end ------------------------------------------------------------ */

static bool armed(const struct callwatch *cw, enum probe_id id)
{
	return cw->cfg.trace && plan_has(cw->cfg.plan, id);
}

static void probes_of(const struct callwatch *cw, const struct trace_reading *b,
		      const struct trace_reading *n, struct netwatch_probes *p)
{
	*p = (struct netwatch_probes){
		.calls = armed(cw, PROBE_CALL_BEGIN),
		.handlers = armed(cw, PROBE_HANDLER_BEGIN),
		.grpc = armed(cw, PROBE_GRPC_BEGIN),
		.phases = armed(cw, PROBE_DNS_BEGIN) || armed(cw, PROBE_CONNECT_BEGIN) ||
			  armed(cw, PROBE_CONN_BEGIN),
		.requests_sliced = n->requests_sliced,
		.rare_sliced = n->rare_sliced,
		.requests_rate = trace_share(n->requests_seen, b->requests_seen, n->requests_all,
					     b->requests_all),
		.rare_rate = trace_share(n->rare_on_ns, b->rare_on_ns, n->wall_ns, b->wall_ns),
	};
}

/* A probe of the sensor that should be there and is not; NULL: all are. */
static const struct probe *refused(const struct callwatch *cw, enum sensor s)
{
	int i;

	for (i = 0; cw->cfg.plan && i < cw->cfg.plan->n; i++) {
		const struct probe *p = &cw->cfg.plan->probe[i];

		if (p->sensor == s && !p->absent && p->why[0])
			return p;
	}
	return NULL;
}

/* How well a sensor was covered; `what` is missing when there are no probes,
 * `why` what memory did not tell. */
static void cover_part(const struct callwatch *cw, enum sensor s, const struct part *part,
		       bool known, const char *what, const char *why, struct window *w)
{
	const struct netwatch_probes *p = &cw->probes;
	const struct probe *missing = refused(cw, s);
	struct coverage *c = window_cover(w, s, COVERAGE_EXACT, "");

	if (!part->on) {
		c->state = COVERAGE_OFF;
		snprintf(c->why, sizeof(c->why), "%s", part->why);
	} else if (!known) {
		c->state = COVERAGE_OFF;
		snprintf(c->why, sizeof(c->why),
			 "the process ended, or its memory could not be read");
	} else if (!cw->cfg.trace) {
		c->state = COVERAGE_PARTIAL;
		snprintf(c->why, sizeof(c->why), "from memory alone: %s (%.110s)", what,
			 cw->cfg.memory_only);
	} else if (missing) {
		c->state = COVERAGE_PARTIAL;
		snprintf(c->why, sizeof(c->why), "%s: %.150s", probe_name(missing->id),
			 missing->why);
	} else if (p->requests_sliced || p->rare_sliced) {
		c->state = COVERAGE_SAMPLED;
		c->rate = p->rare_sliced && (!p->requests_sliced || p->rare_rate < p->requests_rate)
				  ? p->rare_rate
				  : p->requests_rate;
		snprintf(c->why, sizeof(c->why),
			 "budget: what is counted per request is scaled from slices; "
			 "what is read from memory is exact");
	} else if (why[0]) {
		c->state = COVERAGE_PARTIAL;
		snprintf(c->why, sizeof(c->why), "%.190s", why);
	}
}

static int fill_net(struct callwatch *cw, const struct gowalk *walk,
		    const struct trace_reading *base, const struct trace_reading *now,
		    struct window *w)
{
	bool probed = cw->cfg.trace != NULL;
	int err = netwatch_fill(cw->netwatch, walk, &cw->stacks, cw->stack_of, cw->cfg.trace,
				probed ? base : NULL, probed ? now : NULL, &cw->probes, w->net);

	w->net->known = !err;
	if (!err && cw->cfg.redact_salt)
		net_redact_hosts(w->net, cw->cfg.redact_salt);
	return err;
}

/* What the slow path's probe counted, scaled when it was armed in slices. */
static void fill_lock_waits(const struct callwatch *cw, const struct trace_reading *base,
			    const struct trace_reading *now, struct locks_window *c)
{
	double rate = cw->probes.requests_sliced ? cw->probes.requests_rate : 1;

	if (!armed(cw, PROBE_LOCK_BEGIN) || !armed(cw, PROBE_LOCK_END))
		return;
	contention_fill_waits(base, now, rate, c);
	if (rate > 0)
		c->waits = (uint64_t)((double)c->waits / rate + 0.5);
}

int callwatch_fill(struct callwatch *cw, const struct gowalk *walk,
		   const struct trace_reading *base, const struct trace_reading *now,
		   struct window *w)
{
	uint64_t losses;
	int err = 0;

	probes_of(cw, base, now, &cw->probes);
	if (!cw->looked)
		return 0;
	if (cw->netwatch)
		err = fill_net(cw, walk, base, now, w);
	if (!err && cw->sqlpools) {
		err = sqlpools_fill(cw->sqlpools, w->sql);
		w->sql->known = !err;
	}
	if (!err && cw->contention) {
		err = contention_fill(cw->contention, w->locks);
		w->locks->known = !err;
		if (!err)
			fill_lock_waits(cw, base, now, w->locks);
	}
	losses = cw->netwatch ? netwatch_losses(cw->netwatch) : 0;
	w->lost_read_failures += losses - cw->losses_base;
	cw->losses_base = losses;
	return err;
}

void callwatch_cover(const struct callwatch *cw, enum sensor s, struct window *w)
{
	switch (s) {
	case SENSOR_NET:
		cover_part(cw, s, &cw->net, w->net->known, "no phases, and no counts by call",
			   cw->netwatch ? netwatch_why(cw->netwatch) : "", w);
		break;
	case SENSOR_SQL:
		cover_part(cw, s, &cw->sql, w->sql->known,
			   "who took a connection is known only where its goroutine still shows it",
			   cw->sqlpools ? sqlpools_why(cw->sqlpools) : "", w);
		break;
	default:
		cover_part(cw, s, &cw->locks, w->locks->known,
			   "waits that are over are not counted", "", w);
	}
}
