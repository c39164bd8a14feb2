/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "agent/life.h"
#include "agent/target.h"
#include "agent/view_build.h"
#include "base/clock.h"

static int fill(struct view *v, struct target *t)
{
	const struct findings *fs = &t->walk->report.findings;
	struct view_process *p = view_add(v);
	int r = view_fill(v, t);

	p->key = 1;
	for (int i = 0; !r && i < fs->n; i++) {
		struct view_finding *f = view_add_finding(v);

		life_id(&t->who->id, &fs->f[i], f->id);
		f->finding = &fs->f[i];
		f->worst = fs->f[i].severity;
		f->opened_real_ns = f->seen_real_ns = t->walk->real_ns;
	}
	return r;
}

static int make(const struct view **out, struct target *t)
{
	struct view *v = view_new(1, (size_t)t->walk->report.findings.n, 0);
	int r = v ? fill(v, t) : -ENOMEM;

	if (r) {
		view_put(v);
		return r;
	}
	v->seq = 1;
	v->mono_ns = clock_mono_ns();
	v->real_ns = clock_real_ns();
	v->host_name = t->who->id.host_name;
	*out = v;
	return 0;
}

int view_of_process(const struct view **out, pid_t pid, struct err *err)
{
	struct target_look look = { .verdict = VERDICT_NO, .at_once = true };
	struct target *t = NULL;
	struct process p;
	int r = process_init(&p, pid, err);

	if (r)
		return r;
	r = target_open(&t, &p, NULL, NULL, err);
	if (r) {
		process_deinit(&p);
		return r;
	}
	r = target_totals(t);
	if (r)
		err_set(err, r, "process %d cannot be read: %s", (int)pid, strerror(-r));
	else
		r = target_walk(t, &look, err);
	if (!r && make(out, t))
		r = err_set(err, -ENOMEM, "out of memory");
	target_close(t);
	return r;
}
