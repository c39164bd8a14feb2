/* SPDX-License-Identifier: BSD-2-Clause */
/* The network from memory: hosts as they are written, and tests/progs/bodies of
 * several releases, whose every request and body is in a known state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "go_live.h"
#include "net/host.h"
#include "net/priv.h"
#include "net/watch.h"
#include "gort/gostacks.h"
#include "gort/gotypes.h"
#include "trace/trace.h"
#include "observe/window.h"

/* ---- hosts ---- */

static void check_host(const char *raw, const char *port, const char *want)
{
	char out[WINDOW_MAX_HOST + 1];

	net_host_format(raw, strlen(raw), port, out);
	assert_string_equal(out, want);
}

static void hosts_are_name_and_port(void **state)
{
	(void)state;
	check_host("API.Example.com", "443", "api.example.com:443");
	check_host("api.example.com:8443", "443", "api.example.com:8443");
	check_host("127.0.0.1", "80", "127.0.0.1:80");
	check_host("[::1]:8080", "80", "[::1]:8080");
	check_host("[::1]", "80", "[::1]:80");
	check_host("::1", "80", "[::1]:80");
	check_host("fe80::1%eth0", NULL, "[fe80::1%eth0]");
	check_host("host:", "80", "host:80");
	check_host("/run/x.sock", "80", "/run/x.sock");
	check_host("unix", NULL, "unix");
	check_host("", "80", "");
	check_host("a:123456", "80", "a:123456:80"); /* no port */
}

static void hostile_hosts_are_printable_and_short(void **state)
{
	char raw[2000], out[WINDOW_MAX_HOST + 1];

	(void)state;
	check_host("a\x1b[31m\n b\xff", "80", "a?[31m??b?:80");
	memset(raw, 'x', sizeof(raw));
	memcpy(raw + sizeof(raw) - 6, ":65535", 6);
	net_host_format(raw, sizeof(raw), "80", out);
	assert_int_equal(strlen(out), WINDOW_MAX_HOST);
	assert_string_equal(out + WINDOW_MAX_HOST - 7, "x:65535");
	memset(raw, ':', sizeof(raw));
	net_host_format(raw, sizeof(raw), "80", out);
	assert_int_equal(strlen(out), WINDOW_MAX_HOST);
	net_host_format(raw, 0, NULL, out);
	assert_string_equal(out, "");
}

static void check_url(const char *url, const char *want)
{
	char out[WINDOW_MAX_HOST + 1];

	net_host_of_url(url, strlen(url), out);
	assert_string_equal(out, want);
}

static void of_a_url_only_the_host_is_kept(void **state)
{
	(void)state;
	check_url("http://user:secret@Proxy:3128", "proxy:3128");
	check_url("https://gate/path?query#part", "gate:443");
	check_url("http://gate?q=a@b", "gate:80");
	check_url("socks5://u:p@[::1]", "[::1]:1080");
	check_url("proxy:3128", "proxy:3128");
	check_url("", "");
}

static void redacted_hosts_keep_their_port_and_differ(void **state)
{
	struct net_window w = { 0 };
	struct net_request r[3] = { { .host = "a.example:443" },
				    { .host = "b.example:443" },
				    { .host = "a.example:80" } };
	struct net_phase_row p = { .host = "a.example:443" };
	char other[WINDOW_MAX_HOST + 1] = "a.example:443";

	(void)state;
	w.in_flight = r;
	w.nin_flight = 3;
	w.phase = &p;
	w.nphase = 1;
	net_redact_hosts(&w, "salt");
	net_redact_host(other, "another");
	assert_string_equal(r[0].host, p.host);
	assert_int_equal(strlen(r[0].host), strlen("host-12345678:443"));
	assert_memory_equal(r[0].host, "host-", 5);
	assert_string_equal(r[0].host + 13, ":443");
	assert_string_not_equal(r[0].host, r[1].host);
	assert_memory_equal(r[0].host, r[2].host, 13); /* the same name */
	assert_string_not_equal(r[0].host, other);
}

/* ---- a live program ---- */

struct watched {
	struct go_live prog;
	struct gotypes *types;
	struct netwatch *nw;
	struct gostacks stacks;
	uint32_t *stack_of;
	struct net_window w;
	struct losses losses;
	struct look look; /* at all of it */
};

static void read_stacks(struct watched *v)
{
	struct go_live *p = &v->prog;

	assert_int_equal(goruntime_walk(&p->rt, &p->walk, NULL), 0);
	v->stack_of = realloc(v->stack_of, (p->walk.n + 1) * sizeof(*v->stack_of));
	gostacks_deinit(&v->stacks);
	assert_int_equal(gostacks_init(&v->stacks), 0);
	netwatch_observe_frames(v->nw, &v->stacks);
	assert_int_equal(gostacks_read(&v->stacks, &p->rt, &p->walk, v->stack_of), 0);
}

static void look_at_them(struct watched *v)
{
	v->look = (struct look){ .walk = &v->prog.walk,
				 .stacks = &v->stacks,
				 .stack_of = v->stack_of,
				 .losses = &v->losses,
				 .now_ns = clock_mono_ns() };
	assert_int_equal(netwatch_look(v->nw, &v->look), 0);
}

static void look(struct watched *v)
{
	read_stacks(v);
	look_at_them(v);
}

static void fill(struct watched *v)
{
	assert_int_equal(netwatch_fill(v->nw, &v->look, NULL, &v->w), 0);
}

/* One more look, and what it saw instead of what was seen before. */
static void look_anew(struct watched *v)
{
	net_window_deinit(&v->w);
	look(v);
	fill(v);
}

static bool has_places(const struct watched *v)
{
	for (int i = 0; i < v->w.nin_flight; i++)
		if (!v->w.in_flight[i].place.function)
			return false;
	return true;
}

/* Looks for as long as nothing may have been read of a body that is left alone, and a little. */
static void watch(struct watched *v, const char *name, const char *const *args, double seconds)
{
	uint64_t begin;

	memset(v, 0, sizeof(*v));
	go_live_start_args(&v->prog, name, args);
	assert_int_equal(gotypes_new(&v->types, &v->prog.rt), 0);
	assert_int_equal(netwatch_new(&v->nw, &v->prog.rt, v->types), 0);
	assert_int_equal(gostacks_init(&v->stacks), 0);
	begin = clock_mono_ns();
	look(v);
	netwatch_begin_window(v->nw);
	while (clock_mono_ns() - begin < (uint64_t)(seconds * 1e9)) {
		usleep(100000);
		look(v);
	}
	fill(v);
	/* on a busy machine somebody may be about to run, whose stack cannot be read */
	for (int tries = 0; tries < 500 && !has_places(v); tries++) {
		usleep(20000);
		look_anew(v);
	}
	assert_true(v->w.known);
	assert_int_equal(v->losses.n[LOSS_NET_UNREAD], 0);
	assert_int_equal(v->losses.n[LOSS_NET_ROOM], 0);
}

/* Looks until n requests wait for their answer: READY says only that they have set out. */
static void watch_until_sent(struct watched *v, const char *const *args, int n)
{
	int sent = 0;

	watch(v, "bodies-usual-stripped", args, 0);
	for (int tries = 0; tries < 500; tries++) {
		sent = 0;
		for (int i = 0; i < v->w.nin_flight; i++)
			sent += v->w.in_flight[i].phase == NET_TTFB;
		if (sent == n)
			return;
		usleep(20000);
		look_anew(v);
	}
	fail_msg("%d of %d requests were sent", sent, n);
}

static void unwatch(struct watched *v)
{
	net_window_deinit(&v->w);
	gostacks_deinit(&v->stacks);
	free(v->stack_of);
	netwatch_free(v->nw);
	gotypes_free(v->types);
	go_live_stop(&v->prog);
}

/* A mode's host, as reports have it. */
static const char *host_of(const struct watched *v, const char *mode)
{
	return go_live_text(&v->prog, mode);
}

static uint64_t unclosed(const struct watched *v, const char *mode)
{
	uint64_t n = 0;

	for (int i = 0; i < v->w.nunclosed; i++)
		if (!strcmp(v->w.unclosed[i].host, host_of(v, mode))) {
			n += v->w.unclosed[i].count;
			assert_true(v->w.unclosed[i].oldest_s > 1);
			assert_int_equal(v->w.unclosed[i].count_before, v->w.unclosed[i].count);
		}
	return n;
}

/* Requests to a mode's host in a phase, which a function has made. */
static int in_flight(const struct watched *v, const char *mode, enum net_phase phase,
		     const char *function)
{
	int n = 0;

	for (int i = 0; i < v->w.nin_flight; i++) {
		const struct net_request *r = &v->w.in_flight[i];

		if (strcmp(r->host, host_of(v, mode)))
			continue;
		assert_int_equal(r->phase, phase);
		assert_non_null(r->place.function);
		if (function)
			assert_string_equal(r->place.function, function);
		assert_int_not_equal(r->goroutine, 0);
		n++;
	}
	return n;
}

static const struct net_request *one_of(const struct watched *v, const char *host)
{
	for (int i = 0; i < v->w.nin_flight; i++)
		if (!strcmp(v->w.in_flight[i].host, host))
			return &v->w.in_flight[i];
	fail_msg("no request to '%s'", host);
	return NULL;
}

static void check_healthy(const struct watched *v, const char *mode, int n, const char *function)
{
	assert_int_equal(unclosed(v, mode), 0);
	assert_int_equal(in_flight(v, mode, NET_BODY, function), n);
}

#define LEFT_ALONE        8  /* rows of unclosed bodies that checked() makes */
#define BODIES_LEFT_ALONE 17 /* in them */

/* Of both protocols. */
static void check_left_alone(const struct watched *v)
{
	assert_int_equal(unclosed(v, "leak"), 3);
	assert_int_equal(unclosed(v, "timeout"), 2);
	assert_int_equal(unclosed(v, "gzip"), 2);
	assert_int_equal(unclosed(v, "part"), 2);
	assert_int_equal(unclosed(v, "list"), 2);
	assert_int_equal(unclosed(v, "leak/h2"), 3);
	assert_int_equal(unclosed(v, "list/h2"), 2);
	assert_int_equal(v->w.nunclosed, LEFT_ALONE); /* and the one that came later */
}

/* It was seen in flight: so its place is known, and that it is new. */
static void check_dropped(const struct watched *v)
{
	for (int i = 0; i < v->w.nunclosed; i++) {
		const struct net_body_row *r = &v->w.unclosed[i];

		if (strcmp(r->host, host_of(v, "drop")))
			continue;
		assert_int_equal(r->count, 1);
		assert_int_equal(r->count_before, 0);
		assert_non_null(r->place.function);
		assert_string_equal(r->place.function, "main.get");
		return;
	}
	fail_msg("the dropped body is not listed");
}

static void check_held(const struct watched *v)
{
	check_healthy(v, "late", 2, "main.late");
	check_healthy(v, "slow", 2, "main.slow");
	check_healthy(v, "owner", 2, "main.(*owner).run");
	check_healthy(v, "wrapped", 2, "main.(*downloader).run");
	check_healthy(v, "json", 2, "main.decode");
	check_healthy(v, "lines", 2, "main.lines");
	check_healthy(v, "unzip", 2, "main.unzip");
	check_healthy(v, "closure", 2, NULL);
	check_healthy(v, "reading", 2, "main.reading");
	check_healthy(v, "late/h2", 2, "main.late");
	check_healthy(v, "slow/h2", 2, "main.slow");
	check_healthy(v, "owner/h2", 2, "main.(*owner).run");
	check_healthy(v, "json/h2", 2, "main.decode");
	check_healthy(v, "reading/h2", 2, "main.reading");
}

static void check_streams(const struct watched *v)
{
	int n = 0;

	assert_int_equal(in_flight(v, "waiting/h2", NET_TTFB, "main.get"), 2);
	for (int i = 0; i < v->w.nconnection; i++) {
		if (strcmp(v->w.connection[i].protocol, "h2"))
			continue;
		n++;
		assert_int_equal(v->w.connection[i].open, 1);
		assert_int_equal(v->w.connection[i].idle, 0);
	}
	assert_int_equal(n, 8);
}

static const struct net_connections *connections_to(const struct watched *v, const char *mode)
{
	for (int i = 0; i < v->w.nconnection; i++)
		if (!strcmp(v->w.connection[i].host, host_of(v, mode)))
			return &v->w.connection[i];
	fail_msg("no connections of '%s'", mode);
	return NULL;
}

static void check_limits(const struct watched *v, const char *mode, enum known timeout,
			 enum known deadline, enum known cancel)
{
	const struct net_request *r = one_of(v, host_of(v, mode));

	assert_int_equal(r->timeout, timeout);
	assert_int_equal(r->deadline, deadline);
	assert_int_equal(r->cancel, cancel);
}

static void check_pool(const struct watched *v)
{
	const struct net_connections *c = connections_to(v, "pool");
	int wait = 0, ttfb = 0;

	for (int i = 0; i < v->w.nin_flight; i++)
		if (!strcmp(v->w.in_flight[i].host, host_of(v, "pool"))) {
			wait += v->w.in_flight[i].phase == NET_POOL_WAIT;
			ttfb += v->w.in_flight[i].phase == NET_TTFB;
		}
	assert_int_equal(wait, 3);
	assert_int_equal(ttfb, 1);
	assert_int_equal(c->open, 1);
	assert_int_equal(c->idle, 0);
	assert_int_equal(c->waiting, 3);
	assert_int_equal(c->max_per_host, 1);
	assert_int_equal(c->max_idle_per_host, 7);
	assert_string_equal(c->protocol, "http/1.1");
}

/* One row per calling place: main.get calls for waiting, limit and the dials. */
static void check_clients(const struct watched *v)
{
	for (int i = 0; i < v->w.nclient; i++) {
		const struct net_client *c = &v->w.client[i];

		if (!c->place.function || strcmp(c->place.function, "main.get"))
			continue;
		assert_false(c->requests_known);
		assert_int_equal(c->timeout, KNOWN_NO);
		assert_int_equal(c->deadline, KNOWN_NO);
		/* pool 4, dns, connect, shake 2 each, waiting 1 and 2, 2 that wait for the proxy: no limit */
		assert_int_equal(c->hanging, 15);
		assert_true(c->longest_hanging_s > 3);
		return;
	}
	fail_msg("no row of main.get");
}

static void check_servers(const struct watched *v)
{
	uint64_t hanging = 0, serve = 0;

	for (int i = 0; i < v->w.nserver; i++) {
		const struct net_server *s = &v->w.server[i];

		assert_true(
			s->no_read_timeout); /* HTTP/2 has its handlers on goroutines of their own */
		hanging += s->hanging;
		if (s->place.function && !strcmp(s->place.function, "main.serve")) {
			serve += s->in_flight;
			assert_true(s->longest_in_flight_s > 3);
			assert_true(s->place.line > 0);
		}
	}
	assert_int_equal(hanging, 2);
	/* 29 bodies and 15 streams; waiting/h2 2; limit, deadline, cancel 2 each, pool 1, waiting 1, proxy 2;
	 * drop 1 */
	assert_int_equal(serve, 57);
}

/* Unclosed bodies of all rows, never more than there are. */
static uint64_t left_alone(const struct watched *v)
{
	uint64_t n = 0;

	for (int i = 0; i < v->w.nunclosed; i++)
		n += v->w.unclosed[i].count;
	assert_true(n <= BODIES_LEFT_ALONE && v->w.nunclosed <= LEFT_ALONE);
	return n;
}

/* A body that is missed is looked for some more times (a word that was left on a
 * stack may hold it for a while, or as long as that goroutine waits); a wrong one
 * never.  Whether all were found. */
static bool look_again(struct watched *v)
{
	for (int i = 0; i < 20 && left_alone(v) < BODIES_LEFT_ALONE; i++) {
		usleep(200000);
		look_anew(v);
	}
	return left_alone(v) == BODIES_LEFT_ALONE;
}

/* Dead responses are gone and their memory is used again: their connections are
 * still there.  False: one is missed. */
static bool check_collected(struct watched *v)
{
	struct gototals before, now;

	assert_int_equal(goruntime_totals(&v->prog.rt, &before), 0);
	assert_int_equal(write(v->prog.in, "gc\n", 3), 3);
	do {
		usleep(20000);
		assert_int_equal(goruntime_totals(&v->prog.rt, &now), 0);
	} while (now.numforcedgc < before.numforcedgc + 2);
	do /* one that runs may hold anything */
		look(v);
	while (v->stacks.running || v->stacks.unread);
	look_anew(v);
	if (!look_again(v))
		return false;
	check_left_alone(v);
	check_held(v);
	return true;
}

/* False: a body is missed, which another process will hardly repeat. */
static bool checked(const char *name)
{
	static const char *const args[] = {
		"leak=3",       "timeout=2",    "gzip=2",     "part=2",
		"list=2",       "late=2",       "slow=2",     "owner=2",
		"wrapped=2",    "json=2",       "lines=2",    "unzip=2",
		"closure=2",    "reading=2",    "leak/h2=3",  "list/h2=2",
		"late/h2=2",    "slow/h2=2",    "owner/h2=2", "json/h2=2",
		"reading/h2=2", "waiting/h2=2", "limit=2",    "deadline=2",
		"cancel=2",     "pool=4",       "dns=2",      "connect=2",
		"shake=2",      "proxy=2",      "request=2",  "unread=1",
		"waiting=1",    "idle=3",       "drop=1",     NULL
	};
	const struct net_request *limit;
	struct watched v;
	bool complete;

	watch(&v, name, args, 3.6);
	complete = look_again(&v);
	if (!complete)
		goto out;
	assert_int_equal(in_flight(&v, "waiting", NET_TTFB, "main.get"), 1);
	assert_int_equal(in_flight(&v, "connect", NET_CONNECT, "main.get"), 2);
	assert_int_equal(in_flight(&v, "shake", NET_TLS, "main.get"), 2);
	assert_int_equal(in_flight(&v, "unread", NET_REQUEST_WRITE, "main.unread"), 1);
	assert_int_equal(
		in_flight(&v, "proxy", NET_TTFB, "net/http/httputil.(*ReverseProxy).ServeHTTP"), 2);
	assert_int_equal(one_of(&v, "name.example.test:80")->phase, NET_DNS);
	check_pool(&v);
	check_limits(&v, "waiting", KNOWN_NO, KNOWN_NO, KNOWN_NO);
	check_limits(&v, "limit", KNOWN_YES, KNOWN_NO, KNOWN_NO);
	check_limits(&v, "deadline", KNOWN_NO, KNOWN_YES, KNOWN_NO);
	check_limits(&v, "cancel", KNOWN_NO, KNOWN_NO, KNOWN_YES);
	check_limits(&v, "proxy", KNOWN_NO, KNOWN_NO, KNOWN_YES); /* the server's own context */
	limit = one_of(&v, host_of(&v, "limit"));
	assert_int_equal(limit->age, AGE_EXACT); /* by the deadline of its client */
	assert_true(limit->timeout_s == 3600);
	assert_true(limit->since_s > 3.6 && limit->since_s < 60);
	assert_int_equal(one_of(&v, host_of(&v, "waiting"))->age, AGE_AT_LEAST);
	check_left_alone(&v);
	check_dropped(&v);
	assert_int_equal(connections_to(&v, "idle")->open, 1);
	assert_int_equal(connections_to(&v, "idle")->idle, 1);
	check_held(&v);
	check_streams(&v);
	check_clients(&v);
	check_servers(&v);
	complete = check_collected(&v);
out:
	unwatch(&v);
	return complete;
}

static void all_of(const char *name)
{
	int i;

	for (i = 0; i < 3 && !checked(name); i++)
		print_message("%s: a body was missed\n", name);
	assert_true(i < 3);
}

/* ---- joined with what probes counted ---- */

static void add_times(struct trace_hist *h, uint64_t ns, uint64_t n)
{
	unsigned int b = 0;

	while (b + 1 < TRACE_HIST_BUCKETS && trace_hist_value(b + 1) <= ns)
		b++;
	h->bucket[b] += n;
	h->count += n;
	h->sum_ns += ns * n;
	if (n && ns > h->max_ns)
		h->max_ns = ns;
}

static struct trace_phase *add_phase(struct trace_reading *r, const char *host,
				     enum net_phase phase, uint64_t ns, uint64_t n, uint64_t errors)
{
	struct trace_phase *p = &r->phase[r->nphase++];

	snprintf(p->host, sizeof(p->host), "%s", host);
	p->phase = phase;
	p->errors = errors;
	p->max_ns_window = n ? ns : 0;
	add_times(&p->hist, ns, n);
	return p;
}

static const struct net_phase_row *phase_row(const struct net_window *w, const char *host,
					     enum net_phase phase)
{
	for (int i = 0; i < w->nphase; i++)
		if (!strcmp(w->phase[i].host, host) && w->phase[i].phase == phase)
			return &w->phase[i];
	fail_msg("no row of '%s'", host);
	return NULL;
}

/* Two writings of a host are one; what was there before the window is not of it. */
static void check_phases(const struct net_window *w)
{
	const struct net_phase_row *dns = phase_row(w, "api.example:443", NET_DNS);
	const struct net_phase_row *ttfb = phase_row(w, "api.example:443", NET_TTFB);

	assert_int_equal(w->nphase, 3);
	assert_int_equal(dns->count, 7);
	assert_int_equal(dns->errors, 2);
	assert_int_equal(dns->exactness, EXACT);
	assert_int_equal(dns->before_count, 10);
	assert_in_range(dns->before_p50_ns, 800000, 1200000);
	assert_in_range(dns->p50_ns, 87000000, 100000000);
	assert_int_equal(dns->max_ns, 100000000);
	assert_int_equal(dns->total_ns, 700000000);
	assert_int_equal(ttfb->exactness, SAMPLED);
	assert_int_equal(ttfb->count, 16); /* 4, seen in a quarter of the time */
	assert_true(ttfb->rate == 0.25);
	assert_int_equal(phase_row(w, "?[31mevil:80", NET_TTFB)->count, 4);
}

static void probes_are_joined(void **state)
{
	static const char *const args[] = { "waiting=1", NULL };
	static struct trace_phase before[4], after[8];
	static struct trace_call calls_before[1], calls[2];
	struct trace_reading base = { .phase = before, .call = calls_before },
			     now = { .phase = after, .call = calls };
	const struct netwatch_probes probes = { .calls = true,
						.phases = true,
						.requests_sliced = true,
						.requests_rate = 0.25,
						.rare_rate = 1 };
	struct watched v;

	(void)state;
	watch_until_sent(&v, args, 1);
	net_window_deinit(&v.w);
	add_phase(&base, "api.example:443", NET_DNS, 1000000, 10, 1);
	add_phase(&now, "api.example:443", NET_DNS, 1000000, 10, 1)->max_ns_window = 0;
	add_phase(&now, "API.example:443", NET_DNS, 100000000, 7, 2);
	add_phase(&now, "api.example:443", NET_TTFB, 5000000, 4, 0);
	add_phase(&now, "\x1b[31mEvil", NET_TTFB, 5000000, 1, 0);
	/* nothing in this window: no row */
	add_phase(&base, "old.example:443", NET_TLS, 1000000, 3, 0);
	add_phase(&now, "old.example:443", NET_TLS, 1000000, 3, 0);
	calls_before[0] = (struct trace_call){ .kind = CALL_HTTP, .begun = 5, .errors = 1 };
	calls[0] = (struct trace_call){
		.kind = CALL_HTTP,
		.begun = 8,
		.errors = 2,
		.max_ns_window = 20000000,
		.sample = { .sliced = true, .total = 12, .margin = 3, .share = 0.25 },
	};
	calls[1] = (struct trace_call){ .kind = CALL_SQL_WAIT, .begun = 100 };
	add_times(&calls[0].hist, 20000000, 3);
	base.ncall = 1;
	now.ncall = 2;
	v.look.rbase = &base;
	v.look.rnow = &now;
	assert_int_equal(netwatch_fill(v.nw, &v.look, &probes, &v.w), 0);
	assert_true(v.w.phases_known);
	check_phases(&v.w);
	assert_int_equal(v.w.nclient, 2); /* one whose place is not known, and main.get */
	assert_int_equal(v.w.client[0].requests, 12);
	assert_int_equal(v.w.client[0].errors, 4);
	assert_int_equal(v.w.client[0].max_ns, 20000000);
	assert_in_range(v.w.client[0].p99_ns, 17500000, 20000000);
	assert_int_equal(v.w.client[0].exactness, SAMPLED);
	assert_int_equal(v.w.client[1].in_flight, 1);
	assert_true(v.w.client[1].requests_known);
	unwatch(&v);
}

#define TESTS_OF(id, release)                 \
	static void bodies_##id(void **state) \
	{                                     \
		(void)state;                  \
		all_of("bodies-" release);    \
	}

TESTS_OF(oldest, "oldest-stripped")
TESTS_OF(1_19, "1.19-stripped")
TESTS_OF(1_20, "1.20-stripped")
TESTS_OF(1_22, "1.22-stripped")
TESTS_OF(1_24, "1.24-stripped")
TESTS_OF(usual, "usual-stripped")
TESTS_OF(newest, "newest-stripped")
TESTS_OF(pie, "usual-pie")
TESTS_OF(noopt, "usual-noopt")

/* Between its stack and what the stack leads to: what the words say is over then. */
static void who_has_moved_is_left_out(void **state)
{
	static const char *const args[] = { "waiting=2", NULL };
	struct goroutine *moved = NULL;
	struct watched v;

	(void)state;
	watch_until_sent(&v, args, 2);
	assert_int_equal(in_flight(&v, "waiting", NET_TTFB, "main.get"), 2);
	read_stacks(&v);
	for (size_t i = 0; i < v.prog.walk.n; i++)
		if (v.prog.walk.g[i].goid == v.nw->cur.inflight[0].goid)
			moved = &v.prog.walk.g[i];
	assert_non_null(moved);
	moved->tracking_seq++;
	v.nw->users.begin_ns = 0; /* that was long ago */
	look_at_them(&v);
	assert_int_equal(v.nw->cur.ninflight, 1);
	assert_int_not_equal(v.nw->cur.inflight[0].goid, moved->goid);
	assert_int_equal(v.nw->moved, 1);
	unwatch(&v);
}

/* Words that lie beyond what was read of a stack are asked for, and are none when there is no more. */
static void words_beyond_the_bytes_are_asked_for(void **state)
{
	static const char *const args[] = { "waiting=1", NULL };
	struct gostack_bytes b = { .len = 8 };
	static uint8_t bytes[4096];
	struct net_users *ps;
	const struct goroutine *g;
	struct watched v;
	size_t before;

	(void)state;
	watch_until_sent(&v, args, 1);
	ps = &v.nw->users;
	b.walk = v.nw->cur.inflight[0].walk;
	b.stack = v.stack_of[b.walk];
	b.bytes = bytes;
	g = &v.prog.walk.g[b.walk];
	assert_true(g->stack_hi - g->sched_sp < sizeof(bytes));
	assert_int_equal(mem_read(v.prog.mem, g->sched_sp, bytes, g->stack_hi - g->sched_sp), 0);
	before = ps->n;
	assert_int_equal(netusers_observe(v.nw, &v.stacks, &b), 1);
	assert_int_equal(ps->n, before);
	b.all = true;
	assert_int_equal(netusers_observe(v.nw, &v.stacks, &b), 0);
	assert_int_equal(ps->n, before + 1);
	for (size_t i = ps->v[before].word; i < ps->nword; i++)
		assert_int_equal(ps->word[i], 0);
	b.len = g->stack_hi - g->sched_sp;
	assert_int_equal(netusers_observe(v.nw, &v.stacks, &b), 0);
	for (size_t i = ps->v[before + 1].word; i < ps->nword; i++)
		assert_int_not_equal(ps->word[i], 0);
	unwatch(&v);
}

/* Beyond what is kept of a kind the rest is left out, and the report says so. */
static void what_has_no_room_is_lost(void **state)
{
	static const char *const args[] = { "waiting=5", NULL };
	struct window w = { 0 };
	struct watched v;
	size_t left_out;

	(void)state;
	watch_until_sent(&v, args, 5);
	assert_int_equal(v.nw->cur.ninflight, 5);
	assert_true(v.nw->cur.nconn > 3 && v.nw->cur.nserving > 2); /* it is its own server */
	left_out = v.nw->cur.nconn - 3 + v.nw->cur.nserving - 2 + 5 - 2;
	v.nw->max_conns = 3;
	v.nw->max_inflight = 2;
	look_anew(&v);
	assert_int_equal(v.losses.n[LOSS_NET_ROOM], left_out);
	look_anew(&v); /* the look before had no room for them either */
	assert_int_equal(v.losses.n[LOSS_NET_ROOM], 2 * left_out);
	assert_int_equal(v.nw->cur.nconn, 3);
	assert_int_equal(v.w.in_flight_total, 2);
	assert_int_equal(window_init(&w), 0);
	window_cover(&w, SENSOR_NET, EXACT, "");
	losses_report(&v.losses, &w);
	assert_int_equal(w.lost_map_full, v.losses.n[LOSS_NET_ROOM]);
	assert_int_equal(window_coverage(&w, SENSOR_NET)->state, PARTIAL);
	window_deinit(&w);
	unwatch(&v);
}

#define RUN(id) cmocka_unit_test(bodies_##id)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_name_and_port),
		cmocka_unit_test(hostile_hosts_are_printable_and_short),
		cmocka_unit_test(of_a_url_only_the_host_is_kept),
		cmocka_unit_test(redacted_hosts_keep_their_port_and_differ),
		cmocka_unit_test(probes_are_joined),
		cmocka_unit_test(who_has_moved_is_left_out),
		cmocka_unit_test(words_beyond_the_bytes_are_asked_for),
		cmocka_unit_test(what_has_no_room_is_lost),
		RUN(oldest),
		RUN(1_19),
		RUN(1_20),
		RUN(1_22),
		RUN(1_24),
		RUN(usual),
		RUN(newest),
		RUN(pie),
		RUN(noopt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
