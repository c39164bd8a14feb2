/* SPDX-License-Identifier: BSD-2-Clause */
/* gRPC calls by method. */
#include "net/fill.h"

struct grpc {
	struct net_grpc row;
	struct times *times;
};

static struct grpc *grpc_of(struct rowset *s, const char *method, const struct place *place)
{
	bool made, other;
	struct grpc *r = rowset_put(s, method, strlen(method), &made, &other);

	if (r && made) {
		r->row.other = other;
		snprintf(r->row.method, sizeof(r->row.method), "%s", other ? "other" : method);
	}
	if (r && !r->row.place.function && !other)
		r->row.place = *place;
	return r;
}

static int count_grpc(struct fill *f, struct rowset *s)
{
	int err = 0;

	for (size_t i = 0; f->now && f->p->grpc && i < f->now->ncall && !err; i++) {
		const struct trace_call *c = &f->now->call[i], *b;
		char method[192];
		struct place place = { 0 };
		struct grpc *r;
		size_t k;

		if (c->kind != CALL_GRPC)
			continue;
		b = fill_base_of(f, c);
		if (c->begun == (b ? b->begun : 0) && c->hist.count == (b ? b->hist.count : 0))
			continue;
		for (k = 0; k < sizeof(method) - 1 && c->text[k]; k++)
			method[k] =
				(char)(c->text[k] > ' ' && c->text[k] < 0x7f ? c->text[k] : '?');
		method[k] = '\0';
		place_of_pcs(f->nw->rt, c->pcs, (int)c->npcs, false, &place);
		r = grpc_of(s, method, &place);
		if (!r)
			return -ENOMEM;
		r->row.calls += fill_scaled(c->begun - (b ? b->begun : 0), f->p->requests_sliced,
					    f->p->requests_rate);
		r->row.errors += fill_scaled(c->errors - (b ? b->errors : 0), f->p->requests_sliced,
					     f->p->requests_rate);
		err = fill_add_times(&r->times, c, b);
	}
	return err;
}

int fill_grpc(struct fill *f)
{
	const struct net_look *l = &f->nw->cur;
	struct net_window *w = f->out;
	struct rowset s;
	int err;

	rowset_init(&s, sizeof(struct grpc));
	err = count_grpc(f, &s);
	for (size_t i = 0; i < l->ngcall && !err; i++) {
		const struct net_gcall *c = &l->gcall[i];
		struct grpc *r = grpc_of(&s, c->method, &f->nw->stacks.stack[c->stack].place);
		double age = fill_age_s(f, c->start_ns);

		if (!r) {
			err = -ENOMEM;
			break;
		}
		r->row.in_flight++;
		if (age >= r->row.longest_in_flight_s) {
			r->row.longest_in_flight_s = age;
			r->row.age = c->age;
		}
	}
	w->grpc = err ? NULL : calloc(s.n + 1, sizeof(*w->grpc));
	if (!w->grpc)
		err = -ENOMEM;
	for (size_t i = 0; i < s.n; i++) {
		struct grpc *r = (struct grpc *)s.row + i;

		if (!err) {
			if (r->times)
				fill_percentiles(r->times, &r->row.p50_ns, &r->row.p99_ns,
						 &r->row.max_ns);
			r->row.exactness = fill_exactness(f);
			r->row.rate = f->p->requests_sliced ? f->p->requests_rate : 1;
			w->grpc[w->ngrpc++] = r->row;
		}
		free(r->times);
	}
	rowset_deinit(&s);
	return err;
}
