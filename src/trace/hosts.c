/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of hosts, gRPC methods and routes, which the programs know by number.
 *
 * A number is never given twice, so what remembers the number of a name that has
 * made room for others can be mistaken for none of these: it is one without a name.
 */
#include "trace/priv.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gospect.skel.h"

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

static int dump_hosts(const struct trace *t, struct dump *d)
{
	return dump_map(d, trace_map_fd(t, TRACE_MAP_HOSTS), sizeof(struct gs_host),
			sizeof(uint64_t));
}

static uint64_t number_of(const struct dump *d, size_t i)
{
	uint64_t number;

	memcpy(&number, d->values + i * sizeof(number), sizeof(number));
	return number;
}

/* Read again only when some were added. */
int hosts_read(struct trace *t)
{
	struct host_table *ht = &t->hosts;
	uint64_t last = t->skel->bss->gs_last_host;
	struct host_name *names;
	struct dump d;
	int e;

	if (last == ht->seen && !ht->stale) {
		ht->settled = last;
		return 0;
	}
	e = dump_hosts(t, &d);
	names = e || !d.n ? NULL : calloc(d.n, sizeof(*names));
	if (!e && d.n && !names)
		e = -ENOMEM;
	for (size_t i = 0; !e && i < d.n; i++) {
		struct gs_host h;

		memcpy(&h, d.keys + i * sizeof(h), sizeof(h));
		host_from(&names[i], &h, number_of(&d, i));
	}
	if (!e) {
		if (names)
			qsort(names, d.n, sizeof(*names), by_number);
		free(ht->name);
		*ht = (struct host_table){
			.name = names, .n = d.n, .seen = last, .settled = ht->seen
		};
	}
	dump_deinit(&d);
	return e;
}

const char *hosts_name(const struct trace *t, uint64_t number)
{
	const struct host_name key = { .number = number };
	const struct host_name *found = NULL;

	if (t->hosts.n)
		found = bsearch(&key, t->hosts.name, t->hosts.n, sizeof(key), by_number);
	return found ? found->name : NULL;
}

bool hosts_is_nameless(const struct trace *t, uint64_t number)
{
	return number && number <= t->hosts.settled && !hosts_name(t, number);
}

/* --- making room -------------------------------------------------------------- */

/* Numbers that something has. */
struct used {
	struct u64map numbers;
	bool failed;
};

static int use(struct used *u, uint64_t number)
{
	if (number && !u64map_put(&u->numbers, number, 0, NULL))
		u->failed = true;
	return u->failed ? -ENOMEM : 0;
}

static int use_phase(void *ctx, const void *key, const void *value)
{
	const struct gs_phase_key *k = key;

	(void)value;
	return use(ctx, k->host);
}

static int use_call(void *ctx, const void *key, const void *value)
{
	const struct gs_call_key *k = key;

	(void)value;
	return use(ctx, k->text);
}

static int use_fail(void *ctx, const void *key, const void *value)
{
	const struct gs_fail_key *k = key;

	(void)value;
	return use(ctx, k->host);
}

/* What is under way.  A connection without a request looks its host up again. */
static int use_open(void *ctx, const void *key, const void *value)
{
	const struct gs_open_key *k = key;
	const struct gs_open *o = value;
	bool carries = k->kind == OPEN_CONN || k->kind == OPEN_STREAM;

	if (!o->start_ns || (carries && o->state == NET_NO_PHASE))
		return 0;
	return use(ctx, o->host);
}

static int find_used(const struct trace *t, struct used *u)
{
	const struct {
		enum trace_map map;
		uint32_t key, value;
		dump_fn fn;
	} of[] = {
		{ TRACE_MAP_PHASES, sizeof(struct gs_phase_key), sizeof(uint32_t), use_phase },
		{ TRACE_MAP_CALLS, sizeof(struct gs_call_key), sizeof(uint32_t), use_call },
		{ TRACE_MAP_FAILS, sizeof(struct gs_fail_key), sizeof(uint64_t), use_fail },
		{ TRACE_MAP_OPENS, sizeof(struct gs_open_key), sizeof(struct gs_open), use_open },
	};
	int e = 0;

	u->failed = false;
	u64map_init(&u->numbers, GS_MAX_OPENS + GS_MAX_HOSTS + GS_MAX_FAILS);
	for (size_t i = 0; !e && i < sizeof(of) / sizeof(of[0]); i++)
		e = dump_each(trace_map_fd(t, of[i].map), of[i].key, of[i].value, of[i].fn, u);
	return e;
}

/* Of the names in d those that nothing has leave the table; taken: of which. */
static size_t take_unused(const struct trace *t, const struct dump *d, bool *taken)
{
	int fd = trace_map_fd(t, TRACE_MAP_HOSTS);
	struct used u;
	int e = find_used(t, &u);
	size_t n = 0;

	for (size_t i = 0; !e && i < d->n; i++) {
		/* one that has just been added is about to be used */
		if (number_of(d, i) > t->hosts.settled || u64map_find(&u.numbers, number_of(d, i)))
			continue;
		taken[i] = !bpf_map_delete_elem(fd, d->keys + i * d->key_size);
		n += taken[i];
	}
	u64map_deinit(&u.numbers);
	return n;
}

/* Who found it in the table until then may have put its number somewhere meanwhile. */
static void put_back(const struct trace *t, const struct dump *d, const bool *taken)
{
	int fd = trace_map_fd(t, TRACE_MAP_HOSTS);
	struct used u;
	int e = find_used(t, &u);

	for (size_t i = 0; i < d->n; i++)
		if (taken[i] && (e || u64map_find(&u.numbers, number_of(d, i))))
			bpf_map_update_elem(fd, d->keys + i * d->key_size,
					    d->values + i * d->value_size, BPF_NOEXIST);
	u64map_deinit(&u.numbers);
}

void hosts_evict(struct trace *t)
{
	struct dump d;
	bool *taken;

	if (t->hosts.n < EVICT_NEARLY_FULL * t->sizes.hosts || !evict_can_wait())
		return;
	taken = dump_hosts(t, &d) ? NULL : calloc(d.n + 1, sizeof(*taken));
	if (taken && take_unused(t, &d, taken)) {
		evict_wait();
		put_back(t, &d, taken);
		t->hosts.stale = true;
	}
	dump_deinit(&d);
	free(taken);
}
