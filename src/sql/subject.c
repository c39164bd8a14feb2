/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/subject.h"

#include <errno.h>
#include <stdio.h>

#include "sql/pools.h"

static int sql_open(void **out, const struct look *l, char *why)
{
	static const char *const names[] = { "database/sql.(*DB).connectionOpener" };
	struct sqlpools *p;
	int err;

	if (!look_linked(l, names, 1)) {
		snprintf(why, WINDOW_MAX_WHY, "%s",
			 look_why_unlinked(l, "database/sql is not linked into this program"));
		return -EOPNOTSUPP;
	}
	err = sqlpools_new(&p, l->rt, l->types);
	if (err == -EOPNOTSUPP)
		snprintf(why, WINDOW_MAX_WHY,
			 "the layout of database/sql is not known for this release");
	if (!err)
		*out = p;
	return err;
}

static void sql_close(void *self)
{
	sqlpools_free(self);
}

static int sql_look(void *self, struct look *l)
{
	return sqlpools_look(self, l);
}

static void sql_begin(void *self, const struct look *l, bool follows)
{
	(void)l;
	(void)follows;
	sqlpools_begin(self);
}

static int sql_fill(void *self, struct look *l, struct window *w)
{
	int err = sqlpools_fill(self, w->sql);

	(void)l;
	w->sql->known = !err;
	return err;
}

static void sql_cover(void *self, const struct look *l, struct window *w)
{
	const char *why = sqlpools_why(self);

	look_cover_probes(l, SENSOR_SQL,
			  "who took a connection is known only where its goroutine still shows it",
			  w);
	if (why[0])
		window_cover_add(w, SENSOR_SQL, PARTIAL, "%s", why);
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
