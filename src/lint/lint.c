/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/lint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "gobin/gobin.h"
#include "lint/callees.h"
#include "lint/clients.h"
#include "lint/returns.h"

enum { MAX_ROWS = 1000, FLAG_ASSEMBLY = 4 };

struct scan {
	struct lint *l;
	struct gobin *gb;
	const struct lint_options *o;
	struct callees callees;
	struct returns returns;
};

/* ---- one function ---- */

/* The function at a line: the innermost, as it was written. */
static bool frame_at(struct scan *s, const struct code *c, uint32_t line, struct goframe *out)
{
	return pclntab_frames(s->gb->pcln, c->f.entry + c->line[line].at, false, out, 1) > 0;
}

/*
 * Where the address of the itab is taken.  The compiler may have put that among instructions
 * of a function of the standard library that is inlined: then where the user's returns.
 */
static bool place_at(struct scan *s, const struct code *c, const struct nil_return *k,
		     struct goframe *out)
{
	if (!frame_at(s, c, k->origin, out))
		return false;
	if (s->o->std || !goframe_is_std(out))
		return true;
	return frame_at(s, c, k->at, out) && !goframe_is_std(out);
}

static int add_row(struct scan *s, const struct code *c, const struct nil_return *k)
{
	struct lint *l = s->l;
	const struct itab *itab = itabs_at(&l->itabs, (uint64_t)k->itab);
	struct typed_nil row = {
		.certainty = k->always ? CERTAIN_CONSTANT : CERTAIN_PATH,
	};
	struct goframe f;
	int err;

	if (!itab || !place_at(s, c, k, &f) || f.wrapper)
		return 0;
	row.place = place_of_frame(&f);
	row.type = itab->type;
	if (k->branch >= 0 && frame_at(s, c, (uint32_t)k->branch, &f))
		row.condition = place_of_frame(&f);
	if (k->call >= 0) {
		row.certainty = CERTAIN_CALLEE;
		if (pclntab_frames(s->gb->pcln, c->line[k->call].e.target, false, &f, 1) > 0)
			row.callee = place_of_frame(&f);
	}
	for (int i = 0; i < l->nnil; i++) /* inlined in several functions */
		if (place_equal(&l->nil[i].place, &row.place) &&
		    !strcmp(l->nil[i].type, row.type)) {
			if (row.certainty < l->nil[i].certainty)
				l->nil[i] = row;
			return 0;
		}
	if (l->nnil == MAX_ROWS)
		return 0;
	err = array_room(&l->nil, (size_t)l->nnil, &l->nil_cap, sizeof(row));
	if (!err)
		l->nil[l->nnil++] = row;
	return err;
}

static int walk_function(struct scan *s, const struct code *c)
{
	int err = returns_find(&s->returns, s->gb, c, &s->l->itabs, &s->callees);

	s->l->steps += s->returns.steps;
	s->l->too_complex += s->returns.complex;
	s->l->partly += s->returns.blind && !s->returns.complex;
	for (int i = 0; i < s->returns.n && !err; i++)
		err = add_row(s, c, &s->returns.nil[i]);
	return err;
}

static int look_into(struct scan *s, const struct gofunc *f)
{
	struct goframe frame;
	struct code c;
	int err;

	if (f->flag & FLAG_ASSEMBLY || f->is_wrapper)
		return 0;
	if (!s->o->std) {
		frame = (struct goframe){ .function = f->name };
		if (goframe_is_std(&frame))
			return 0;
	}
	s->l->functions++;
	err = code_read(&c, s->gb, f, &s->l->itabs);
	if (err == -ENOENT)
		return 0;
	s->l->walked++;
	if (err == -ENOMEM)
		return err;
	if (err) {
		s->l->too_complex++;
		return 0;
	}
	err = walk_function(s, &c);
	code_deinit(&c);
	return err;
}

/* ---- all ---- */

static int by_place(const void *a, const void *b)
{
	const struct typed_nil *x = a, *y = b;
	int order = strcmp(x->place.function, y->place.function);

	return order ? order : x->place.line - y->place.line;
}

int lint_run(struct lint *l, struct gobin *gb, const struct lint_options *o, struct err *err)
{
	uint64_t end = clock_mono_ns() + o->max_ns;
	struct scan s = { .l = l, .gb = gb, .o = o };
	int code, n = pclntab_nfunc(gb->pcln);

	memset(l, 0, sizeof(*l));
	if (!gb->arch)
		return err_set(err, -EOPNOTSUPP, "the code of this architecture is not understood");
	callees_init(&s.callees, gb, end);
	code = itabs_find(&l->itabs, gb);
	for (int i = 0; i < n && !code && l->itabs.n; i++) {
		struct gofunc f;

		if (clock_mono_ns() > end) {
			l->not_reached = (uint64_t)(n - i);
			break;
		}
		if (!pclntab_func_at(gb->pcln, (uint32_t)i, &f))
			code = look_into(&s, &f);
	}
	if (!code)
		code = clients_find(l, gb, o, &s.callees);
	l->steps += s.callees.steps;
	callees_deinit(&s.callees);
	if (l->nnil)
		qsort(l->nil, (size_t)l->nnil, sizeof(*l->nil), by_place);
	return code ? err_set(err, code, "no memory") : 0;
}

void lint_deinit(struct lint *l)
{
	itabs_deinit(&l->itabs);
	free(l->nil);
	free(l->client);
	memset(l, 0, sizeof(*l));
}
