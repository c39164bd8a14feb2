/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/libpools.h"
#include "sql/pools.h"
#include "sql/statements.h"

static const struct pool_library *const library[SQL_LIBRARIES] = {
	&pgx5_library,
	&pgx4_library,
	&redis9_library,
	&redis8_library,
};

static void sql_close(void *self)
{
	struct sql_state *s = self;

	sqlpools_free(s->std);
	for (int i = 0; i < SQL_LIBRARIES; i++)
		libpools_free(s->lib[i]);
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

static int open_libraries(struct sql_state *s, const struct look *l, int std)
{
	int err = 0, n = 0;

	for (int i = 0; i < SQL_LIBRARIES && !err; i++)
		if (libpools_linked(library[i], l)) {
			err = libpools_new(&s->lib[i], library[i], l);
			n++;
		}
	return err ? err : n ? 0 : std;
}

static int sql_open(void **out, const struct look *l, char *why)
{
	struct sql_state *s = calloc(1, sizeof(*s));
	int err = s ? open_std(s, l, why) : -ENOMEM;

	if (!err || err == -EOPNOTSUPP)
		err = open_libraries(s, l, err);
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

	for (int i = 0; i < SQL_LIBRARIES && !err; i++)
		if (s->lib[i])
			err = libpools_look(s->lib[i], l);
	return err;
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

	for (int i = 0; i < SQL_LIBRARIES && !err; i++)
		if (s->lib[i])
			err = libpools_fill(s->lib[i], w->sql);
	if (!err)
		err = statements_fill(l, w->sql);
	w->sql->known = !err;
	return err;
}

/* "pgx, go-redis" */
static const char *library_names(const struct sql_state *s, char *out, size_t size)
{
	const char *last = "";
	size_t n = 0;

	out[0] = '\0';
	for (int i = 0; i < SQL_LIBRARIES && n < size; i++) {
		if (!s->lib[i] || !strcmp(last, library[i]->of))
			continue;
		n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", library[i]->of);
		last = library[i]->of;
	}
	return out;
}

static void sql_cover(void *self, const struct look *l, struct window *w)
{
	struct sql_state *s = self;
	const char *why = s->std ? sqlpools_why(s->std) : "";
	char names[64];

	if (s->std)
		look_cover_probes(l, SENSOR_SQL,
				  "who took a connection is known only where its goroutine still "
				  "shows it",
				  w);
	else
		window_cover_add(w, SENSOR_SQL, PARTIAL, "%s; pools of %s are seen",
				 s->unlinked ? "database/sql is not linked"
					     : "the layout of database/sql is not known for this "
					       "release",
				 library_names(s, names, sizeof(names)));
	if (why[0])
		window_cover_add(w, SENSOR_SQL, PARTIAL, "%s", why);
	statements_cover(l, w);
	for (int i = 0; i < SQL_LIBRARIES; i++)
		if (s->lib[i] && libpools_why(s->lib[i])[0])
			window_cover_add(w, SENSOR_SQL, PARTIAL, "%s", libpools_why(s->lib[i]));
	if (!s->std && (s->lib[0] || s->lib[1]))
		window_cover_add(w, SENSOR_SQL, PARTIAL,
				 "who holds the connections of pgx is not known");
}

static const struct detector *const detectors[] = {
	&pool_exhausted_detector, &sql_no_deadline_detector, &transaction_open_detector,
	&rows_open_detector,      &sql_churn_detector,       NULL,
};

const struct subject sql_subject = {
	.name = "sql",
	.sensors = SENSOR_BIT(SENSOR_SQL) | SENSOR_BIT(SENSOR_STATEMENTS),
	.needs = NEEDS_STACKS,
	.open = sql_open,
	.close = sql_close,
	.look = sql_look,
	.begin_window = sql_begin,
	.fill = sql_fill,
	.cover = sql_cover,
	.detectors = detectors,
};
