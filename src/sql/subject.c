/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "sql/pgx.h"
#include "sql/pools.h"

static void sql_close(void *self)
{
	struct sql_state *s = self;

	sqlpools_free(s->std);
	pgxpools_free(s->pgx);
	free(s);
}

static int open_std(struct sql_state *s, const struct look *l, char *why)
{
	static const char *const names[] = { "database/sql.(*DB).connectionOpener" };
	int err;

	s->unlinked = !look_linked(l, names, 1);
	if (s->unlinked) {
		snprintf(why, WINDOW_MAX_WHY, "%s",
			 look_why_unlinked(l, "database/sql is not linked into this program"));
		return -EOPNOTSUPP;
	}
	err = sqlpools_new(&s->std, l->rt, l->types);
	if (err == -EOPNOTSUPP)
		snprintf(why, WINDOW_MAX_WHY,
			 "the layout of database/sql is not known for this release");
	return err;
}

static int sql_open(void **out, const struct look *l, char *why)
{
	struct sql_state *s = calloc(1, sizeof(*s));
	int err = s ? open_std(s, l, why) : -ENOMEM;

	if ((!err || err == -EOPNOTSUPP) && s && pgxpools_linked(l))
		err = pgxpools_new(&s->pgx, l);
	if (err) {
		if (s)
			sql_close(s);
		return err;
	}
	*out = s;
	return 0;
}

static int sql_look(void *self, struct look *l)
{
	struct sql_state *s = self;
	int err = s->std ? sqlpools_look(s->std, l) : 0;

	return !err && s->pgx ? pgxpools_look(s->pgx, l) : err;
}

static void sql_begin(void *self, const struct look *l, bool follows)
{
	struct sql_state *s = self;

	(void)l;
	(void)follows;
	if (s->std)
		sqlpools_begin(s->std);
}

static int sql_fill(void *self, struct look *l, struct window *w)
{
	struct sql_state *s = self;
	int err = s->std ? sqlpools_fill(s->std, w->sql) : 0;

	(void)l;
	if (!err && s->pgx)
		err = pgxpools_fill(s->pgx, w->sql);
	w->sql->known = !err;
	return err;
}

static void sql_cover(void *self, const struct look *l, struct window *w)
{
	struct sql_state *s = self;
	const char *why = s->std ? sqlpools_why(s->std) : "",
		   *pgx = s->pgx ? pgxpools_why(s->pgx) : "";

	if (s->std)
		look_cover_probes(l, SENSOR_SQL,
				  "who took a connection is known only where its goroutine still "
				  "shows it",
				  w);
	else
		window_cover_add(w, SENSOR_SQL, PARTIAL,
				 s->unlinked ? "database/sql is not linked; the pools of pgx are "
					       "seen, who holds their connections is not"
					     : "the layout of database/sql is not known for this "
					       "release; the pools of pgx are seen");
	if (why[0])
		window_cover_add(w, SENSOR_SQL, PARTIAL, "%s", why);
	if (pgx[0])
		window_cover_add(w, SENSOR_SQL, PARTIAL, "%s", pgx);
}

static const struct detector *const detectors[] = {
	&pool_exhausted_detector, &sql_no_deadline_detector, &transaction_open_detector,
	&rows_open_detector,      &sql_churn_detector,       NULL,
};

const struct subject sql_subject = {
	.name = "sql",
	.sensors = SENSOR_BIT(SENSOR_SQL),
	.needs = NEEDS_STACKS,
	.open = sql_open,
	.close = sql_close,
	.look = sql_look,
	.begin_window = sql_begin,
	.fill = sql_fill,
	.cover = sql_cover,
	.detectors = detectors,
};
