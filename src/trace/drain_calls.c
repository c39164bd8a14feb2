/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads phases by host and calls by place out of the kernel, and what has begun. */
#include "trace/priv.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#define HOLD_MAX_NS (60 * NS_PER_S) /* kept when `holds` is full */

/*
 * Whether a "host:port" names an address or nothing at all.  The resolver is
 * asked for these too, and answers at once: no look-up.
 */
static bool is_literal(const char *hostport)
{
	const char *colon = strrchr(hostport, ':');
	char host[TRACE_MAX_HOST + 1];
	struct in6_addr addr;
	size_t n;

	if (hostport[0] == '[') {
		hostport++;
		n = strcspn(hostport, "]%");
	} else {
		/* more than one colon: an address without a port */
		n = colon && colon == strchr(hostport, ':') ? (size_t)(colon - hostport)
							    : strcspn(hostport, "%");
	}
	memcpy(host, hostport, n);
	host[n] = '\0';
	return !n || inet_pton(AF_INET, host, &addr) == 1 || inet_pton(AF_INET6, host, &addr) == 1;
}

uint64_t drain_max(const volatile struct gs_sum *s, uint32_t window)
{
	return s->max_window[window & 1] == window ? s->max_ns[window & 1] : 0;
}

const volatile struct gs_sum *drain_sum(const struct trace *t, uint32_t ref)
{
	uint32_t row = GS_ROW_NUMBER(ref);

	return t->sums && row && row < t->sizes.sums ? &t->sums[row] : NULL;
}

/* The row of a table's entry, or the one that many entries after it; NULL: no such row. */
static const volatile struct gs_sum *sum_of(const struct trace *t, const struct dump *d, size_t i,
					    uint32_t plus)
{
	uint32_t ref = rows_ref(d, i);

	return drain_sum(t, ref ? ref + plus : 0);
}

void drain_read_sum(const struct trace *t, struct trace_hist *h, const volatile struct gs_sum *s)
{
	h->count = s->count;
	h->sum_ns = s->sum_ns;
	h->max_ns = s->longest_ns;
	for (int i = 0; i < GS_SUM_PAGES; i++) {
		uint32_t page = s->page[i];

		for (int k = 0; page && page < t->sizes.pages && k < GS_PAGE_BUCKETS; k++)
			h->bucket[i * GS_PAGE_BUCKETS + k] = t->pages[page].bucket[k];
	}
}

/* What its count stands for. */
static struct trace_sample sample_of(const struct trace *t, const struct trace_reading *r,
				     const volatile struct gs_sum *s)
{
	struct trace_sample sample = { 0 };

	if (r->requests_sliced)
		sample = slices_of(t, (uint32_t)(s - t->sums));
	sample.sliced = r->requests_sliced;
	return sample;
}

/* Something was counted in a row whose host has lost its name: it is not said of which. */
static void note_nameless(struct trace *t, uint32_t ref)
{
	uint32_t row = GS_ROW_NUMBER(ref);

	t->nameless += row < t->sizes.sums && !t->age[row].still;
}

static int take_phase(const struct trace *t, struct trace_phase *p, const struct gs_phase_key *k,
		      uint32_t phase, const volatile struct gs_sum *s, uint32_t window)
{
	bool other = !k->host || hosts_is_nameless(t, k->host);
	const char *host = other ? "" : hosts_name(t, k->host);

	if (!s->count || !host)
		return -ENOENT;
	if (phase == NET_DNS && !other && is_literal(host))
		return -ENOENT;
	*p = (struct trace_phase){
		.phase = (enum net_phase)phase,
		.other = other,
		.errors = s->errors,
		.max_ns_window = drain_max(s, window),
	};
	memcpy(p->host, host, strlen(host) + 1);
	drain_read_sum(t, &p->hist, s);
	return 0;
}

/* The phases of one entry: as many as it has rows, at most. */
static void take_phases(struct trace *t, struct trace_reading *r, const struct row_table *table,
			size_t i, uint32_t window)
{
	const struct dump *d = table->d;
	const volatile struct gs_sum *s;
	struct gs_phase_key k;

	memcpy(&k, d->keys + i * sizeof(k), sizeof(k));
	if (k.target != TARGET || k.group > GS_PHASES_REQUEST)
		return;
	if (hosts_is_nameless(t, k.host))
		note_nameless(t, rows_ref(d, i));
	for (uint32_t n = 0; n < GS_PHASES_ROWS(k.group); n++) {
		s = sum_of(t, d, i, n);
		if (!s || take_phase(t, &r->phase[r->nphase], &k, GS_PHASES_FIRST(k.group) + n, s,
				     window))
			continue;
		if (k.group == GS_PHASES_REQUEST)
			r->phase[r->nphase].sample = sample_of(t, r, s);
		r->phase[r->nphase++].gone = table->gone[i];
	}
}

static int read_phases(struct trace *t, struct trace_reading *r, const struct row_table *table,
		       uint32_t window)
{
	if (table->d->n) {
		r->phase = calloc(table->d->n * GS_PHASE_BLOCK, sizeof(*r->phase));
		if (!r->phase)
			return -ENOMEM;
	}
	for (size_t i = 0; i < table->d->n; i++)
		take_phases(t, r, table, i, window);
	return 0;
}

static int take_call(const struct trace *t, struct trace_call *c, const struct gs_call_key *k,
		     const volatile struct gs_sum *s, uint32_t window)
{
	bool named = k->text && (k->kind == CALL_GRPC || k->kind == CALL_HANDLER);
	const char *text = named ? hosts_name(t, k->text) : "";

	if (k->target != TARGET || k->kind >= CALL_KINDS || !(s->begun || s->count) || !text)
		return -ENOENT;
	*c = (struct trace_call){
		.kind = (enum call_kind)k->kind,
		.other = !k->text && !k->pcs[0],
		.begun = s->begun,
		.errors = s->errors,
		.max_ns_window = drain_max(s, window),
	};
	memcpy(c->text, text, strlen(text) + 1);
	memcpy(c->pcs, k->pcs, sizeof(c->pcs));
	while (c->npcs < TRACE_CALL_FRAMES && c->pcs[c->npcs])
		c->npcs++;
	drain_read_sum(t, &c->hist, s);
	return 0;
}

static int read_calls(struct trace *t, struct trace_reading *r, const struct row_table *table,
		      uint32_t window)
{
	const struct dump *d = table->d;

	if (d->n) {
		r->call = calloc(d->n, sizeof(*r->call));
		if (!r->call)
			return -ENOMEM;
	}
	for (size_t i = 0; i < d->n; i++) {
		const volatile struct gs_sum *s = sum_of(t, d, i, 0);
		struct gs_call_key k;

		memcpy(&k, d->keys + i * sizeof(k), sizeof(k));
		if (hosts_is_nameless(t, k.text))
			note_nameless(t, rows_ref(d, i));
		if (!s || take_call(t, &r->call[r->ncall], &k, s, window))
			continue;
		if (k.kind != CALL_SQL_WAIT)
			r->call[r->ncall].sample = sample_of(t, r, s);
		r->call[r->ncall++].gone = table->gone[i];
	}
	return 0;
}

static int take_failure(const struct trace *t, struct trace_failure *f, const struct gs_fail_key *k)
{
	const char *host = !k->host || hosts_is_nameless(t, k->host) ? "" : hosts_name(t, k->host);

	if (k->target != TARGET || !f->count || !host)
		return -ENOENT;
	f->phase = k->phase < NET_PHASES ? (int)k->phase : -1;
	f->types = k->types;
	f->detail = k->detail;
	f->reused = k->of == GS_FAIL_REUSED;
	f->dial = k->of == GS_FAIL_DIAL;
	f->grpc = k->of == GS_FAIL_GRPC;
	memcpy(f->host, host, strlen(host) + 1);
	memcpy(f->pcs, k->pcs, sizeof(f->pcs));
	while (f->npcs < TRACE_CALL_FRAMES && f->pcs[f->npcs])
		f->npcs++;
	return 0;
}

static int read_failures(struct trace *t, struct trace_reading *r, const struct dump *d,
			 const bool *gone)
{
	if (d->n) {
		r->failure = calloc(d->n, sizeof(*r->failure));
		if (!r->failure)
			return -ENOMEM;
	}
	for (size_t i = 0; i < d->n; i++) {
		struct trace_failure f = { .gone = gone[i] };
		struct gs_fail_key k;

		memcpy(&k, d->keys + i * sizeof(k), sizeof(k));
		memcpy(&f.count, d->values + i * sizeof(f.count), sizeof(f.count));
		if (!take_failure(t, &f, &k))
			r->failure[r->nfailure++] = f;
	}
	return 0;
}

/* Copies of the tables, and which of their entries make room. */
enum { PHASES, CALLS, FAILS, TABLES };
struct copies {
	struct dump of[TABLES];
	bool *gone[TABLES]; /* owned; NULL: not read, nobody uses it */
	struct row_table rows[TABLES];
};

static uint64_t fail_count(const void *value)
{
	uint64_t n;

	memcpy(&n, value, sizeof(n));
	return n;
}

static int copy_table(struct trace *t, struct copies *c, int table)
{
	static const struct {
		enum trace_map map;
		uint32_t key, value, nrow;
	} kind[TABLES] = {
		[PHASES] = { TRACE_MAP_PHASES, sizeof(struct gs_phase_key), sizeof(uint32_t),
			     GS_PHASE_BLOCK },
		[CALLS] = { TRACE_MAP_CALLS, sizeof(struct gs_call_key), sizeof(uint32_t), 1 },
		[FAILS] = { TRACE_MAP_FAILS, sizeof(struct gs_fail_key), sizeof(uint64_t), 0 },
	};
	const uint32_t room[TABLES] = { t->sizes.phases, t->sizes.calls, t->sizes.fails };
	int fd = trace_map_fd(t, kind[table].map);
	int e = dump_map(&c->of[table], fd, kind[table].key, kind[table].value);

	c->gone[table] = e ? NULL : calloc(c->of[table].n + 1, sizeof(bool));
	c->rows[table] = (struct row_table){ &c->of[table], fd, room[table], kind[table].nrow,
					     c->gone[table] };
	return e ? e : c->gone[table] ? 0 : -ENOMEM;
}

/* Those that are idle make room; then nothing is added to them any more. */
static void make_room(struct trace *t, struct copies *c, bool net)
{
	const struct evict_table fails = { c->rows[FAILS].fd, t->sizes.fails, &t->idle_fails,
					   fail_count };

	for (int i = net ? PHASES : CALLS; i <= CALLS; i++)
		rows_pick(t, &c->rows[i]);
	rows_take_out(t, &c->rows[net ? PHASES : CALLS], net ? 2 : 1);
	if (net)
		evict_idle(t, &fails, &c->of[FAILS], c->gone[FAILS]);
}

static void give_back(struct trace *t, const struct copies *c)
{
	static const int pool[] = { [PHASES] = GS_POOL_PHASES, [CALLS] = GS_POOL_CALLS };

	for (int i = PHASES; i <= CALLS; i++)
		for (size_t k = 0; k < c->of[i].n; k++)
			if (c->gone[i][k])
				rows_give_back(t, pool[i], rows_ref(&c->of[i], k), c->rows[i].nrow);
}

/* After the rows were taken out: names that only they had make room as well. */
static int read_copies(struct trace *t, struct trace_reading *r, struct copies *c, bool net,
		       uint32_t window)
{
	int e = net ? hosts_read(t) : 0;

	if (!e && net)
		e = read_phases(t, r, &c->rows[PHASES], window);
	if (!e && net)
		e = read_failures(t, r, &c->of[FAILS], c->gone[FAILS]);
	if (!e)
		e = read_calls(t, r, &c->rows[CALLS], window);
	give_back(t, c);
	if (!e && net)
		hosts_evict(t);
	return e;
}

int drain_calls(struct trace *t, struct trace_reading *r, uint32_t window)
{
	bool net = trace_uses(t, SENSOR_BIT(SENSOR_NET));
	struct copies c = { 0 };
	int e = 0;

	if (!trace_uses(t, NET_SENSORS))
		return 0;
	for (int i = net ? PHASES : CALLS; !e && i <= (net ? FAILS : CALLS); i++)
		e = copy_table(t, &c, i);
	if (!e) {
		make_room(t, &c, net);
		e = read_copies(t, r, &c, net, window);
	}
	for (int i = 0; i < TABLES; i++) {
		dump_deinit(&c.of[i]);
		free(c.gone[i]);
	}
	return e;
}

/*
 * Connections whose return was not seen (the probe was off) stay in `holds`.
 * When it was full, all that is older than a minute goes: of what is still
 * held by then memory says who holds it.
 */
void sweep_holds(struct trace *t, uint64_t full)
{
	int fd = trace_map_fd(t, TRACE_MAP_HOLDS);
	struct gs_open_key next;
	struct gs_open o;
	bool more;

	if (full == t->holds_full)
		return;
	t->holds_full = full;
	more = !bpf_map_get_next_key(fd, NULL, &next);
	while (more) {
		struct gs_open_key key = next;

		more = !bpf_map_get_next_key(fd, &key, &next);
		if (!bpf_map_lookup_elem(fd, &key, &o) &&
		    o.start_ns + HOLD_MAX_NS < clock_mono_ns())
			bpf_map_delete_elem(fd, &key);
	}
}

void drain_calls_deinit(struct trace *t)
{
	free(t->hosts.name);
	free(t->age);
	u64map_deinit(&t->calls_before);
	bytesmap_deinit(&t->idle_sites);
	bytesmap_deinit(&t->idle_stacks);
	bytesmap_deinit(&t->idle_fails);
}
