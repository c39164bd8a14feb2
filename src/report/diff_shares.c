/* SPDX-License-Identifier: BSD-2-Clause */
/* Shares of samples compared: who is not listed has less than who is, which is not none. */
#include "report/diff.h"

#include <math.h>
#include <stdio.h>

#include "base/human.h"
#include "model/schema.h"
#include "report/grid.h"

#define POINTS_LEAST 1.0

const char *const diff_change_word[] = { "appeared", "grew", "shrank", "went away", "" };

const char *diff_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

double diff_number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

enum diff_change diff_change_of(const struct diff_item *i)
{
	if (!i->a)
		return APPEARED;
	if (!i->b)
		return WENT;
	return i->after > i->before ? GREW : i->after < i->before ? SHRANK : SAME;
}

void diff_read_shares(struct diff_part *p, const json_t *report, int which)
{
	const json_t *o = json_object_get(report, p->object), *row;
	double least = 100;
	bool rest = false;
	size_t i;

	p->of[which] = diff_number(o, p->table->diff_of);
	json_array_foreach(json_object_get(o, p->list), i, row)
	{
		rest |= json_is_true(json_object_get(row, "other"));
		least = fmin(least, diff_number(row, p->value->key));
	}
	p->unlisted[which] = rest ? least : 0;
}

/* How much more it is, at the least. */
static double share_by(const struct diff_part *p, const struct diff_item *i)
{
	double before = i->a ? i->before : fmin(p->unlisted[0], i->after);

	return (i->b ? i->after : fmin(p->unlisted[1], i->before)) - before;
}

bool diff_is_share_change(const struct diff_part *p, const struct diff_item *i)
{
	double by = share_by(p, i), n = p->of[0] + p->of[1], mean, sd;

	if (p->of[0] <= 0 || p->of[1] <= 0)
		return false;
	mean = fmin(1, (i->before * p->of[0] + i->after * p->of[1]) / n / 100);
	sd = 100 * sqrt(mean * (1 - mean) * (1 / p->of[0] + 1 / p->of[1]));
	return fabs(by) >= POINTS_LEAST && fabs(by) > 3 * sd;
}

static void share_cell(struct grid *t, double pct, const char *sign)
{
	char cell[HUMAN_MAX];

	snprintf(cell, sizeof(cell), "%s%.1f%%", sign, pct);
	grid_cell(t, cell);
}

/* Of what is not listed only a bound is known. */
void diff_print_shares(struct grid *t, const struct diff_part *p, const struct diff_item *i)
{
	double by = share_by(p, i);
	bool bound[] = { !i->a && p->unlisted[0] > 0, !i->b && p->unlisted[1] > 0 };

	grid_cell(t, bound[0] || bound[1] ? diff_change_word[by > 0 ? GREW : SHRANK]
					  : diff_change_word[diff_change_of(i)]);
	share_cell(t, bound[0] ? p->unlisted[0] : i->before, bound[0] ? "< " : "");
	share_cell(t, bound[1] ? p->unlisted[1] : i->after, bound[1] ? "< " : "");
	share_cell(t, fabs(by), by < 0 ? "-" : "+");
}
