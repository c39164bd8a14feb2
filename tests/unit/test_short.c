/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Windows of less than half a second: what happened in one is a burst, and no finding rests on it,
 * whatever the subject; what has lasted is found as ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/window.h"
#include "memory/window.h"
#include "net_window.h"
#include "observe/detect.h"

#define HOST2 "b.example.com:443"
#define HOST3 "c.example.com:443"

static void slow(struct window *w)
{
	add_phase(w, API, NET_TTFB, 4, 150);
}

static void slower_than_before(struct window *w)
{
	struct net_phase_row *p = add_phase(w, API, NET_TTFB, 900, 30);

	p->before_count = 900;
	p->before_p50_ns = NS_MS;
}

static void one_very_slow(struct window *w)
{
	add_phase(w, API, NET_CONNECT, 1, 1500);
}

static void resolver(struct window *w)
{
	add_phase(w, API, NET_DNS, 1, 300);
	add_phase(w, HOST2, NET_DNS, 1, 300);
	add_phase(w, HOST3, NET_DNS, 1, 300);
}

static void failing_dials(struct window *w)
{
	add_phase(w, API, NET_CONNECT, 4, 1)->errors = 3;
}

static void failing_calls(struct window *w)
{
	struct net_failure_row *r = MORE(w->net->failure, w->net->nfailure);

	w->net->failures_known = true;
	strcpy(r->host, API);
	r->phase = NET_TTFB;
	r->kind = NET_FAILURE_CLOSED;
	r->count = r->seen = 3;
	add_phase(w, API, NET_TTFB, 4, 1);
}

static void failing_grpc(struct window *w)
{
	struct net_grpc *g = MORE(w->net->grpc, w->net->ngrpc);

	strcpy(g->method, "/shop.v1.Stock/Reserve");
	g->calls_known = true;
	g->calls = 4;
	g->errors = g->seen = g->code[NET_CODE_UNAVAILABLE] = 3;
}

static void dials(struct window *w)
{
	add_connections(w, API, 2, 1, 12);
	add_phase(w, API, NET_TTFB, 12, 1);
}

static void closes(struct window *w)
{
	struct sql_pool *p = add_pool(w, 10, 1, 0, 0);

	p->closes_known = true;
	p->closed = (struct sql_closes){ .lifetime = 12 };
}

static void busy_lock(struct window *w)
{
	add_lock(w, 6, 6, 0.15);
}

static void large(struct window *w)
{
	struct alloc_row *a = MORE(w->memory->alloc, w->memory->nalloc);

	w->coverage[w->ncoverage++].sensor = SENSOR_ALLOC;
	w->memory->alloc_known = true;
	a->place = AT_CHARGE;
	a->count = w->memory->large_count = 4;
	a->bytes = w->memory->large_bytes = w->memory->total_alloc_bytes = 200ull << 20;
}

static void collections(struct window *w)
{
	w->coverage[w->ncoverage++].sensor = SENSOR_GC;
	w->memory->gc.known = true;
	w->memory->gc.cycles = 60;
}

static void quota(struct window *w)
{
	w->coverage[w->ncoverage++].sensor = SENSOR_CPU;
	w->cpu->known = true;
	w->cpu->waits = (struct cpu_waits){ .known = true, .timed = 20, .slow = 10 };
	w->cpu->throttle = (struct cpu_throttle){ true, 5, 5, 300000000 };
	w->process = (struct process_window){ .known = true, .gomaxprocs = 2, .cpus = 1.5 };
}

static int found(void (*build)(struct window *), double window_s, bool *said)
{
	struct findings fs = { 0 };
	struct window w;
	int n;

	net_window_init(&w);
	w.window_s = window_s;
	build(&w);
	detect_all(&w, &fs);
	n = fs.n;
	*said = false;
	for (int i = 0; i < w.ncoverage; i++)
		*said |= w.coverage[i].name && !strcmp(w.coverage[i].name, "rates") &&
			 w.coverage[i].state == OFF;
	findings_deinit(&fs);
	window_deinit(&w);
	return n;
}

static void bursts_are_no_findings(void **state)
{
	void (*const build[])(struct window *) = {
		slow,          slower_than_before, one_very_slow, resolver, failing_dials,
		failing_calls, failing_grpc,       dials,         closes,   busy_lock,
		large,         collections,        quota,
	};
	bool said;

	(void)state;
	for (size_t i = 0; i < sizeof(build) / sizeof(*build); i++) {
		if (found(build[i], 1, &said) != 1 || said)
			fail_msg("%zu: not one finding in a second", i);
		if (found(build[i], 0.49, &said) || !said)
			fail_msg("%zu: found in 490 ms, or not said", i);
	}
}

static void what_lasts(struct window *w)
{
	for (int i = 0; i < 5; i++)
		add_request(w, API, NET_CONNECT, 8 + i);
}

static void hangs(struct window *w)
{
	add_client(w, 7, 14.2);
}

static void old_waits(struct window *w)
{
	add_lock(w, 2, 0, 4);
}

static void what_lasts_is_found(void **state)
{
	void (*const build[])(struct window *) = { what_lasts, hangs, old_waits };
	bool said;

	(void)state;
	for (size_t i = 0; i < sizeof(build) / sizeof(*build); i++) {
		if (found(build[i], 0.1, &said) != 1 || !said)
			fail_msg("%zu: not one finding in 100 ms", i);
		if (found(build[i], 0, &said) != 1 || said) /* from memory alone: no rates at all */
			fail_msg("%zu: not one finding in no time", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bursts_are_no_findings),
		cmocka_unit_test(what_lasts_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
