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
#include "gospect.skel.h"

#define HOLD_MAX_NS (60 * NS_PER_S) /* kept when `holds` is full */

static int by_number(const void *a, const void *b)
{
	const struct host_name *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* Of a URL's host: an IPv6 address is in brackets there. */
static bool has_port(const char *name, size_t n)
{
	const char *colon = memrchr(name, ':', n), *bracket = memrchr(name, ']', n);

	return colon && (!bracket || colon > bracket);
}

/* A string ends at the first NUL, a name from the target may hold some. */
static void host_from(struct host_name *to, const struct gs_host *h, uint64_t number)
{
	uint32_t len = h->len & GS_HOST_LEN;
	size_t n = len < TRACE_MAX_HOST ? len : TRACE_MAX_HOST;

	to->number = number;
	memcpy(to->name, h->name, n);
	to->name[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (!to->name[i])
			to->name[i] = '?';
	if (h->len & GS_HOST_TLS && n + 4 <= TRACE_MAX_HOST && !has_port(to->name, n))
		memcpy(to->name + n, ":443", 5);
}

/* Nothing leaves that table: it is read again only when it has grown. */
static int read_hosts(struct trace *t)
{
	struct host_table *ht = &t->hosts;
	uint64_t last = t->skel->bss->gs_last_host;
	struct host_name *names;
	struct dump d;
	int e;

	if (last == ht->seen || ht->n == GS_MAX_HOSTS)
		return 0;
	e = dump_map(&d, trace_map_fd(t, TRACE_MAP_HOSTS), sizeof(struct gs_host),
		     sizeof(uint64_t));
	names = e || !d.n ? NULL : calloc(d.n, sizeof(*names));
	if (!e && d.n && !names)
		e = -ENOMEM;
	for (size_t i = 0; !e && i < d.n; i++) {
		struct gs_host h;
		uint64_t number;

		memcpy(&h, d.keys + i * sizeof(h), sizeof(h));
		memcpy(&number, d.values + i * sizeof(number), sizeof(number));
		host_from(&names[i], &h, number);
	}
	if (!e) {
		if (names)
			qsort(names, d.n, sizeof(*names), by_number);
		free(ht->name);
		*ht = (struct host_table){ .name = names, .n = d.n, .seen = last };
	}
	dump_deinit(&d);
	return e;
}

/* NULL: a name that came after the table was read; the next reading has it. */
const char *drain_host(const struct trace *t, uint64_t number)
{
	const struct host_name key = { .number = number };
	const struct host_name *found = NULL;

	if (t->hosts.n)
		found = bsearch(&key, t->hosts.name, t->hosts.n, sizeof(key), by_number);
	return found ? found->name : NULL;
}

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

const volatile struct gs_sum *drain_sum(const struct trace *t, uint32_t row)
{
	return t->sums && row && row < t->sizes.sums ? &t->sums[row] : NULL;
}

/* The row of a table's entry, or the one that many entries after it; NULL: no such row. */
static const volatile struct gs_sum *sum_of(const struct trace *t, const struct dump *d, size_t i,
					    uint32_t plus)
{
	uint32_t row;

	memcpy(&row, d->values + i * sizeof(row), sizeof(row));
	return drain_sum(t, row ? row + plus : 0);
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

static int take_phase(const struct trace *t, struct trace_phase *p, const struct gs_phase_key *k,
		      uint32_t phase, const volatile struct gs_sum *s, uint32_t window)
{
	const char *host = k->host ? drain_host(t, k->host) : "";

	if (!s->count || !host)
		return -ENOENT;
	if (phase == NET_DNS && k->host && is_literal(host))
		return -ENOENT;
	*p = (struct trace_phase){
		.phase = (enum net_phase)phase,
		.other = !k->host,
		.errors = s->errors,
		.max_ns_window = drain_max(s, window),
	};
	memcpy(p->host, host, strlen(host) + 1);
	drain_read_sum(t, &p->hist, s);
	return 0;
}

/* The phases of one entry: as many as it has rows, at most. */
static void take_phases(const struct trace *t, struct trace_reading *r, const struct dump *d,
			size_t i, uint32_t window)
{
	const volatile struct gs_sum *s;
	struct gs_phase_key k;

	memcpy(&k, d->keys + i * sizeof(k), sizeof(k));
	if (k.target != TARGET || k.group > GS_PHASES_REQUEST)
		return;
	for (uint32_t n = 0; n < GS_PHASES_ROWS(k.group); n++) {
		s = sum_of(t, d, i, n);
		if (!s || take_phase(t, &r->phase[r->nphase], &k, GS_PHASES_FIRST(k.group) + n, s,
				     window))
			continue;
		if (k.group == GS_PHASES_REQUEST)
			r->phase[r->nphase].sample = sample_of(t, r, s);
		r->nphase++;
	}
}

static int read_phases(struct trace *t, struct trace_reading *r, uint32_t window)
{
	struct dump d;
	int e = dump_map(&d, trace_map_fd(t, TRACE_MAP_PHASES), sizeof(struct gs_phase_key),
			 sizeof(uint32_t));

	if (!e)
		e = read_hosts(t); /* after the rows: it has their names */
	if (!e && d.n) {
		r->phase = calloc(d.n * GS_PHASES_ROWS(GS_PHASES_DIAL), sizeof(*r->phase));
		e = r->phase ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !e && i < d.n; i++)
		take_phases(t, r, &d, i, window);
	dump_deinit(&d);
	return e;
}

static int take_call(const struct trace *t, struct trace_call *c, const struct gs_call_key *k,
		     const volatile struct gs_sum *s, uint32_t window)
{
	bool named = k->text && (k->kind == CALL_GRPC || k->kind == CALL_HANDLER);
	const char *text = named ? drain_host(t, k->text) : "";

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

static int read_calls(struct trace *t, struct trace_reading *r, uint32_t window)
{
	struct dump d;
	int e = dump_map(&d, trace_map_fd(t, TRACE_MAP_CALLS), sizeof(struct gs_call_key),
			 sizeof(uint32_t));

	if (!e && trace_uses(t, SENSOR_BIT(SENSOR_NET)))
		e = read_hosts(t);
	if (!e && d.n) {
		r->call = calloc(d.n, sizeof(*r->call));
		e = r->call ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !e && i < d.n; i++) {
		const volatile struct gs_sum *s = sum_of(t, &d, i, 0);
		struct gs_call_key k;

		memcpy(&k, d.keys + i * sizeof(k), sizeof(k));
		if (!s || take_call(t, &r->call[r->ncall], &k, s, window))
			continue;
		if (k.kind != CALL_SQL_WAIT)
			r->call[r->ncall].sample = sample_of(t, r, s);
		r->ncall++;
	}
	dump_deinit(&d);
	return e;
}

static int take_failure(const struct trace *t, struct trace_failure *f, const struct gs_fail_key *k)
{
	const char *host = k->host ? drain_host(t, k->host) : "";

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

static int read_failures(struct trace *t, struct trace_reading *r)
{
	struct dump d;
	int e = dump_map(&d, trace_map_fd(t, TRACE_MAP_FAILS), sizeof(struct gs_fail_key),
			 sizeof(uint64_t));

	if (!e)
		e = read_hosts(t);
	if (!e && d.n) {
		r->failure = calloc(d.n, sizeof(*r->failure));
		e = r->failure ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !e && i < d.n; i++) {
		struct trace_failure f = { 0 };
		struct gs_fail_key k;

		memcpy(&k, d.keys + i * sizeof(k), sizeof(k));
		memcpy(&f.count, d.values + i * sizeof(f.count), sizeof(f.count));
		if (!take_failure(t, &f, &k))
			r->failure[r->nfailure++] = f;
	}
	dump_deinit(&d);
	return e;
}

int drain_calls(struct trace *t, struct trace_reading *r, uint32_t window)
{
	int e = 0;

	if (trace_uses(t, SENSOR_BIT(SENSOR_NET)))
		e = read_phases(t, r, window);
	if (!e && trace_uses(t, SENSOR_BIT(SENSOR_NET)))
		e = read_failures(t, r);
	if (!e && trace_uses(t, NET_SENSORS))
		e = read_calls(t, r, window);
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
	u64map_deinit(&t->calls_before);
	bytesmap_deinit(&t->idle_sites);
	bytesmap_deinit(&t->idle_stacks);
}
