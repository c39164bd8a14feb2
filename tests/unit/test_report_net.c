/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network, pools and locks in text and JSON, from a window written by hand
 * (net_window.h): goldens with every field, known and not known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "net_report.h"
#include "net_window.h"
#include "report/report.h"

/* ---- goldens ---- */

static const char text_golden[] =
	"network:    phases of requests and dials that ended in this window, by host; 2 errors\n"
	"  host                                   phase      count  errors    p50    p99    max  "
	"in all\n"
	"  inventory.shop.svc.cluster.local:8080  ttfb     ~12,050       -  3.0ms  4.5ms  6.0ms  "
	"~36.1s\n"
	"  inventory.shop.svc.cluster.local:8080  body     ~12,050       -  1.0ms  1.5ms  2.0ms  "
	"~12.1s\n"
	"  api.example.com:443                    dns           12       -  121ms  182ms  242ms    "
	"1.5s\n"
	"  api.example.com:443                    connect       12       2  4.0ms  6.0ms  8.0ms    "
	"48ms\n"
	"  api.example.com:443                    tls           10       -   11ms   16ms   22ms   "
	"110ms\n"
	"  api.example.com:443                    ttfb          10       -   20ms   30ms   40ms   "
	"200ms\n"
	"\n"
	"in flight:  10 requests, the oldest first\n"
	"  since  phase    host                                  timeout  goroutine  called at\n"
	"  14.2s  connect  api.example.com:443                   none          4711  main.charge "
	"charge.go:52\n"
	"  13.2s  connect  api.example.com:443                   none          4712  main.charge "
	"charge.go:52\n"
	"  12.2s  connect  api.example.com:443                   none          4713  main.charge "
	"charge.go:52\n"
	"  11.2s  connect  api.example.com:443                   none          4714  main.charge "
	"charge.go:52\n"
	"  10.2s  connect  api.example.com:443                   none          4715  main.charge "
	"charge.go:52\n"
	"   9.2s  ttfb     api.example.com:443                   none          4716  main.charge "
	"charge.go:52\n"
	"   8.2s  ttfb     api.example.com:443                   none          4717  main.charge "
	"charge.go:52\n"
	"  >2.2s  body     inventory.shop…vc.cluster.local:8080  30.0s         4711  main.charge "
	"charge.go:52\n"
	"                  2 more\n"
	"\n"
	"clients:    HTTP requests by call: ~12,062 requests begun (±4%), 2 failed; 7 hang "
	"without a timeout\n"
	"  called at                        timeout  requests  errors   p50    p99    max  in "
	"flight  longest\n"
	"  main.charge charge.go:52         none           12       2  40ms  900ms  950ms          "
	"7    14.2s\n"
	"  …*Client).Reserve client.go:118  30.0s     ~12,050       -     -      -      -          "
	"3    >2.2s\n"
	"\n"
	"unclosed:   50 responses neither read to EOF nor closed, and nobody reads them\n"
	"  now  at first   oldest  host                 got at\n"
	"   38         8  >10m10s  api.example.com:443  main.statusOnly check.go:19\n"
	"   12        12  >15m00s  api.example.com:443  (opened before gospect attached)\n"
	"\n"
	"connections: 53 open, 2 of them idle; 1 request waits for one\n"
	"  host                          protocol  open  idle  waiting       max  max idle  "
	"dialled   streams\n"
	"  api.example.com:443           http/1.1    52     2        1  no limit         2       "
	"12         -\n"
	"  inventory.…luster.local:8080  h2           1     -        -         ?         ?        "
	"-  1 of 250\n"
	"\n"
	"servers:    HTTP handlers: 900 requests, 3 in flight; 40 connections hang, no read "
	"timeout\n"
	"  handler                       pattern         requests    p50   p99    max  in flight  "
	"longest\n"
	"  main.(*Shop).cart cart.go:30  GET /cart/{id}       900  4.0ms  40ms  14.0s          3   "
	" 14.1s\n"
	"\n"
	"grpc:       client calls by method, 0 in flight\n"
	"  method                  calls  errors    p50    p99  in flight  longest  called at\n"
	"  /shop.v1.Stock/Reserve    300       1  2.0ms  8.0ms          -        -  main.charge "
	"charge.go:52\n"
	"\n"
	"sql:        2 database pools: 4 connections, 4 in use, 20 waiting for one, 2 open "
	"transactions\n"
	"  driver      in use  idle       max  waiting  longest  waits total  waited  tx  oldest "
	"tx\n"
	"  *pq.Driver       4     -         4       20     9.8s       20,441   1m28s   2      "
	"12.1s\n"
	"  ?                0     -  no limit        -        -            -       -   -          "
	"-\n"
	"\n"
	"held by:    who holds database connections\n"
	"  count   held  by           goroutine  driver      at\n"
	"      2  12.1s  transaction         31  *pq.Driver  main.holdTx tx.go:96\n"
	"      2   3.1s  rows                31  *pq.Driver  now main.(*Store).load store.go:33\n"
	"\n"
	"locks:      30 goroutines wait for locks; ~40,222 waits ended, p50 51µs, p99 4.0ms, max "
	"4.2s\n"
	"  waiting  before  longest  lock        at                             holder is now "
	"at\n"
	"       30      28     4.2s  sync.Mutex  main.(*Cache).Get cache.go:71  …in.(*Cache).fill "
	"cache.go:90\n"
	"\n"
	"coverage:   net, sql, locks exact\n"
	"losses:     nothing lost\n";

/* A member of the report as it is written. */
static const char net_golden[] =
	"{\"clients\":[{\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\",\"line\":52}"
	",\"timeout_s\":null,"
	"\"deadline\":false,\"cancel\":false,\"requests\":12,\"errors\":2,\"p50_ns\":40000000,"
	"\"p99_ns\":900000000,"
	"\"max_ns\":950000000,\"in_flight\":7,\"longest_in_flight_s\":14.2,\"age\":\"exact\","
	"\"hanging\":7,"
	"\"exactness\":\"exact\"},"
	"{\"place\":{\"function\":\"example.com/shop/internal/"
	"inventory.(*Client).Reserve\",\"file\":\"client.go\","
	"\"line\":118},\"timeout_s\":30.0,\"requests\":12050,\"errors\":0,\"margin\":440,\"in_"
	"flight\":3,"
	"\"longest_in_flight_s\":2.2,"
	"\"age\":\"at_least\",\"hanging\":0,\"exactness\":\"sampled\",\"rate\":0.25}],"
	"\"phases\":[{\"host\":\"api.example.com:443\",\"phase\":\"dns\",\"count\":12,\"errors\":0,"
	"\"p50_ns\":121000000,"
	"\"p99_ns\":181500000,\"max_ns\":242000000,\"total_ns\":1452000000,\"before_p50_ns\":"
	"2000000,"
	"\"before_count\":40,\"busiest\":{\"function\":\"main.charge\",\"file\":\"charge.go\","
	"\"line\":52},"
	"\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"phase\":\"connect\",\"count\":12,\"errors\":2,\"p50_"
	"ns\":4000000,"
	"\"p99_ns\":6000000,\"max_ns\":8000000,\"total_ns\":48000000,\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"phase\":\"tls\",\"count\":10,\"errors\":0,\"p50_ns\":"
	"11000000,"
	"\"p99_ns\":16500000,\"max_ns\":22000000,\"total_ns\":110000000,\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"phase\":\"ttfb\",\"count\":10,\"errors\":0,\"p50_ns\":"
	"20000000,"
	"\"p99_ns\":30000000,\"max_ns\":40000000,\"total_ns\":200000000,\"exactness\":\"exact\"},"
	"{\"host\":\"inventory.shop.svc.cluster.local:8080\",\"phase\":\"body\",\"count\":12050,"
	"\"errors\":0,"
	"\"p50_ns\":1000000,\"p99_ns\":1500000,\"max_ns\":2000000,\"total_ns\":12050000000,"
	"\"exactness\":\"sampled\","
	"\"rate\":0.25},"
	"{\"host\":\"inventory.shop.svc.cluster.local:8080\",\"phase\":\"ttfb\",\"count\":12050,"
	"\"errors\":0,"
	"\"p50_ns\":3000000,\"p99_ns\":4500000,\"max_ns\":6000000,\"total_ns\":36150000000,"
	"\"exactness\":\"sampled\","
	"\"rate\":0.25}],\"in_flight\":[{\"host\":\"api.example.com:443\",\"phase\":\"connect\","
	"\"since_s\":14.2,"
	"\"age\":\"exact\",\"goroutine\":4711,\"place\":{\"function\":\"main.charge\",\"file\":"
	"\"charge.go\",\"line\":52},"
	"\"timeout_s\":null,\"deadline\":false,\"cancel\":false,\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"phase\":\"connect\",\"since_s\":13.2,\"age\":"
	"\"exact\",\"goroutine\":4712,"
	"\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\",\"line\":52},\"timeout_s\":"
	"null,\"deadline\":false,"
	"\"cancel\":false,\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"phase\":\"connect\",\"since_s\":12.2,\"age\":"
	"\"exact\",\"goroutine\":4713,"
	"\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\",\"line\":52},\"timeout_s\":"
	"null,\"deadline\":false,"
	"\"cancel\":false,\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"phase\":\"connect\",\"since_s\":11.2,\"age\":"
	"\"exact\",\"goroutine\":4714,"
	"\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\",\"line\":52},\"timeout_s\":"
	"null,\"deadline\":false,"
	"\"cancel\":false,\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"phase\":\"connect\",\"since_s\":10.2,\"age\":"
	"\"exact\",\"goroutine\":4715,"
	"\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\",\"line\":52},\"timeout_s\":"
	"null,\"deadline\":false,"
	"\"cancel\":false,\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"phase\":\"ttfb\",\"since_s\":9.2,\"age\":\"exact\","
	"\"goroutine\":4716,"
	"\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\",\"line\":52},\"timeout_s\":"
	"null,\"deadline\":false,"
	"\"cancel\":false,\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"phase\":\"ttfb\",\"since_s\":8.2,\"age\":\"exact\","
	"\"goroutine\":4717,"
	"\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\",\"line\":52},\"timeout_s\":"
	"null,\"deadline\":false,"
	"\"cancel\":false,\"exactness\":\"exact\"},"
	"{\"host\":\"inventory.shop.svc.cluster.local:8080\",\"phase\":\"body\",\"since_s\":2.2,"
	"\"age\":\"at_least\","
	"\"goroutine\":4711,\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\","
	"\"line\":52},\"timeout_s\":30.0,"
	"\"exactness\":\"exact\"},"
	"{\"host\":\"inventory.shop.svc.cluster.local:8080\",\"phase\":\"ttfb\",\"since_s\":0.2,"
	"\"age\":\"exact\","
	"\"goroutine\":4711,\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\","
	"\"line\":52},\"deadline\":true,"
	"\"exactness\":\"exact\"},"
	"{\"exactness\":\"exact\"}],\"in_flight_total\":10,\"slow_requests\":[],\"unclosed_"
	"bodies\":[{\"host\":\"api."
	"example.com:443\","
	"\"count\":38,\"count_before\":8,\"oldest_s\":610.0,\"age\":\"at_least\",\"place\":{"
	"\"function\":\"main.statusOnly\","
	"\"file\":\"check.go\",\"line\":19},\"exactness\":\"exact\"},"
	"{\"host\":\"api.example.com:443\",\"count\":12,\"count_before\":12,\"oldest_s\":900.0,"
	"\"age\":\"at_least\","
	"\"exactness\":\"exact\"}],\"dials\":[],"
	"\"connections\":[{\"host\":\"api.example.com:443\",\"protocol\":"
	"\"http/1.1\",\"open\":52,"
	"\"idle\":2,\"max_per_host\":0,\"max_idle_per_host\":2,\"waiting\":1,\"dials\":12,"
	"\"exactness\":\"exact\"},"
	"{\"host\":\"inventory.shop.svc.cluster.local:8080\",\"protocol\":\"h2\",\"open\":1,"
	"\"idle\":0,\"waiting\":0,"
	"\"dials\":0,\"streams\":1,\"max_streams\":250,\"holders\":[{\"place\":{\"function\":"
	"\"main.charge\",\"file\":\"charge.go\",\"line\":52},\"count\":1,\"bodies\":0}],"
	"\"exactness\":\"exact\"}],\"silent_connections\":[],\"servers\":[{\"place\":{\"function\":"
	"\"main.(*Shop)"
	".cart\","
	"\"file\":\"cart.go\",\"line\":30},\"pattern\":\"GET "
	"/cart/{id}\",\"requests\":900,\"p50_ns\":4000000,"
	"\"p99_ns\":40000000,\"max_ns\":14000000000,\"in_flight\":3,\"longest_in_flight_s\":14.1,"
	"\"age\":\"exact\","
	"\"no_read_timeout\":true,\"hanging\":40,\"exactness\":\"exact\"}],"
	"\"grpc\":[{\"method\":\"/shop.v1.Stock/"
	"Reserve\",\"place\":{\"function\":\"main.charge\",\"file\":\"charge.go\","
	"\"line\":52},\"calls\":300,\"errors\":1,\"p50_ns\":2000000,\"p99_ns\":8000000,\"max_ns\":"
	"9000000,\"in_flight\":0,"
	"\"longest_in_flight_s\":0.0,\"age\":\"exact\",\"exactness\":\"exact\"}]}";

static const char sql_golden[] =
	"{\"pools\":[{\"driver\":\"*pq.Driver\",\"library\":\"database/"
	"sql\",\"max_open\":4,\"open\":4,\"in_use\":4,\"idle\":0,"
	"\"waiters\":20,"
	"\"longest_wait_s\":9.8,\"age\":\"exact\",\"waits_at\":{\"function\":\"main.(*Store)."
	"load\",\"file\":\"store.go\","
	"\"line\":33},\"wait_count_total\":20441,\"wait_ns_total\":88000000000,\"transactions_"
	"open\":2,"
	"\"oldest_transaction_s\":12.1,\"transaction_age\":\"exact\",\"held_by_waiters\":0,"
	"\"holders\":[{\"place\":{"
	"\"function\":\"main.holdTx\","
	"\"file\":\"tx.go\",\"line\":96},\"place_is\":\"call\",\"count\":2,\"held_s\":12.1,\"age\":"
	"\"exact\","
	"\"transaction\":true,\"what\":\"transaction\",\"goroutine\":31,\"exactness\":\"exact\"},"
	"{\"place\":{\"function\":\"main.(*Store).load\",\"file\":\"store.go\",\"line\":33},"
	"\"place_is\":\"now\",\"count\":2,"
	"\"held_s\":3.1,\"age\":\"exact\",\"what\":\"rows\",\"goroutine\":31,\"exactness\":"
	"\"exact\"}],\"exactness\":\"exact\"},"
	"{\"library\":\"database/"
	"sql\",\"max_open\":0,\"open\":0,\"in_use\":0,\"idle\":0,\"waiters\":0,\"longest_wait_s\":"
	"0.0,"
	"\"age\":\"exact\","
	"\"wait_count_total\":0,\"wait_ns_total\":0,\"transactions_open\":0,\"oldest_transaction_"
	"s\":0.0,"
	"\"transaction_age\":\"exact\",\"held_by_waiters\":0,\"holders\":[],\"exactness\":"
	"\"exact\"}],\"queries\":[]}";

static const char locks_golden[] = "[{\"kind\":\"sync.Mutex\",\"lock\":\"0xc000123451\",\"place\":{"
				   "\"function\":\"main.(*Cache).Get\","
				   "\"file\":\"cache.go\",\"line\":71},\"waiters\":30,\"waiters_"
				   "before\":28,\"longest_wait_s\":4.2,\"age\":\"exact\","
				   "\"holder\":12,\"holder_at\":{\"function\":\"main.(*Cache)."
				   "fill\",\"file\":\"cache.go\",\"line\":90},"
				   "\"exactness\":\"exact\"}]";

static const char lock_waits_golden[] =
	"{\"count\":40222,\"p50_ns\":51000,\"p99_ns\":4000000,\"max_ns\":4200000000,\"exactness\":"
	"\"sampled\",\"rate\":0.5}";

static void text_of_every_fault(void **state)
{
	struct fixture x;
	const char *s;

	(void)state;
	set_up(&x, net_window_faulty);
	s = strstr(text(&x, false, 100), "network:");
	assert_non_null(s);
	same(s, text_golden);
	for (int columns = 40; columns <= 200; columns++)
		expect_tidy(text(&x, false, columns), columns);
	tear_down(&x);
}

static void expect_member(json_t *report, const char *key, const char *golden)
{
	char *s = json_dumps(json_object_get(report, key), JSON_COMPACT | JSON_REAL_PRECISION(6));
	json_t *want = json_loads(golden, JSON_REJECT_DUPLICATES, NULL);
	char *again = json_dumps(want, JSON_COMPACT | JSON_REAL_PRECISION(6));

	assert_true(s && want && again);
	same(s, again); /* order of keys included */
	free(again);
	free(s);
	json_decref(want);
}

static void one_response_is_it(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x, net_window_faulty);
	x.r.window.net->nunclosed = 1;
	x.r.window.net->unclosed[0].count = 1;
	assert_non_null(strstr(text(&x, false, 100),
			       "unclosed:   1 response neither read to EOF nor closed, and "
			       "nobody reads it\n"));
	tear_down(&x);
}

static void handlers_are_of_what_they_are(void **state)
{
	struct net_window *n;
	struct fixture x;

	(void)state;
	set_up(&x, net_window_faulty);
	n = x.r.window.net;
	assert_int_equal(n->nserver, 1);
	n->server[0].place.function = NET_GRPC_HANDLER;
	assert_non_null(strstr(text(&x, false, 100), "servers:    gRPC methods: 900 requests"));
	*(struct net_server *)MORE(n->server, n->nserver) =
		(struct net_server){ .place.function = "main.hello" };
	assert_non_null(strstr(text(&x, false, 100), "servers:    HTTP and gRPC handlers: "));
	tear_down(&x);
}

static void json_of_every_fault(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_faulty);
	o = parsed(&x);
	expect_member(o, "net", net_golden);
	expect_member(o, "sql", sql_golden);
	expect_member(o, "locks", locks_golden);
	expect_member(o, "lock_waits", lock_waits_golden);
	json_decref(o);
	tear_down(&x);
}

/* ---- absent, and empty ---- */

static void nothing_there_is_an_empty_list(void **state)
{
	static const char *const lists[] = { "net.clients",     "net.phases",
					     "net.in_flight",   "net.unclosed_bodies",
					     "net.connections", "net.servers",
					     "sql.pools",       "locks" };
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_init);
	o = parsed(&x);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		assert_true(json_is_array(at(o, lists[i])));
		assert_int_equal(json_array_size(at(o, lists[i])), 0);
	}
	assert_int_equal(json_integer_value(at(o, "net.in_flight_total")), 0);
	assert_true(json_is_integer(at(o, "net.in_flight_total")));
	assert_null(at(o, "lock_waits"));
	json_decref(o);
	text(&x, false, 100);
	has(x.out.data, "nothing found");
	has_not(x.out.data, "network:");
	has_not(x.out.data, "sql:");
	tear_down(&x);
}

/* Of one duration there is no percentile, of some no 99th: nobody is told one. */
static void few_have_no_percentiles(void **state)
{
	static const struct {
		uint64_t timed;
		bool p50, p99;
	} of[] = { { 1, false, false },
		   { 2, false, false },
		   { 3, true, false },
		   { 99, true, false },
		   { 100, true, true } };
	struct fixture x;

	(void)state;
	set_up(&x, net_window_faulty);
	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
		struct net_window *n = x.r.window.net;
		json_t *o;

		n->phase[0].timed = n->client[0].timed = n->server[0].timed = of[i].timed;
		n->grpc[0].timed = x.r.window.locks->timed = of[i].timed;
		o = parsed(&x);
		for (size_t k = 0; k < 4; k++) {
			static const char *const row[] = { "net.phases.0", "net.clients.0",
							   "net.servers.0", "net.grpc.0" };
			char p50[64], p99[64], max[64];

			snprintf(p50, sizeof(p50), "%s.p50_ns", row[k]);
			snprintf(p99, sizeof(p99), "%s.p99_ns", row[k]);
			snprintf(max, sizeof(max), "%s.max_ns", row[k]);
			assert_int_equal(!!at(o, p50), of[i].p50);
			assert_int_equal(!!at(o, p99), of[i].p99);
			assert_true(at(o, max));
		}
		assert_int_equal(!!at(o, "lock_waits.p99_ns"), of[i].p99);
		json_decref(o);
		assert_int_equal(!strstr(text(&x, false, 100), "40ms  900ms"), !of[i].p99);
		assert_int_equal(!strstr(text(&x, false, 100), "ended, p50 51µs"), !of[i].p50);
	}
	tear_down(&x);
}

static void what_is_off_is_absent(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_faulty);
	x.r.window.net->known = x.r.window.net->phases_known = x.r.window.sql->known = false;
	x.r.window.locks->known = x.r.window.locks->waits_known = false;
	o = parsed(&x);
	assert_true(!at(o, "net") && !at(o, "sql") && !at(o, "locks") && !at(o, "lock_waits"));
	json_decref(o);
	tear_down(&x);
}

/* From memory alone there are no phases and no counts, without memory nothing that is true now. */
static void one_of_memory_and_probes(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_faulty);
	x.r.window.net->phases_known = false;
	for (int i = 0; i < x.r.window.net->nclient; i++)
		x.r.window.net->client[i].requests_known = false;
	x.r.window.net->server[0].requests_known = false;
	o = parsed(&x);
	assert_true(at(o, "net.in_flight.0") && at(o, "net.clients.0.in_flight") &&
		    at(o, "net.connections.0.open"));
	assert_true(!at(o, "net.phases") && !at(o, "net.clients.0.requests") &&
		    !at(o, "net.clients.0.errors") && !at(o, "net.servers.0.requests") &&
		    !at(o, "net.connections.0.dials"));
	json_decref(o);
	has(text(&x, false, 100), "main.charge charge.go:52              none            -");
	x.r.window.net->phases_known = true;
	x.r.window.net->known = false;
	o = parsed(&x);
	assert_true(at(o, "net.phases.0") && at(o, "net.clients.0.timeout_s") &&
		    at(o, "net.servers.0"));
	assert_true(!at(o, "net.in_flight") && !at(o, "net.in_flight_total") &&
		    !at(o, "net.unclosed_bodies") && !at(o, "net.connections") &&
		    !at(o, "net.clients.0.in_flight") && !at(o, "net.servers.0.in_flight") &&
		    !at(o, "net.clients.0.longest_in_flight_s"));
	json_decref(o);
	text(&x, false, 100);
	has_not(x.out.data, "in flight:");
	tear_down(&x);
}

static void known_to_be_none_is_not_unknown(void **state)
{
	struct net_client *c;
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_init);
	c = add_client(&x.r.window, 1, 5);
	c->age = AGE_UNKNOWN;
	c->rate = 0.5; /* stale: it is exact */
	add_client(&x.r.window, 0, 0);
	o = parsed(&x);
	assert_true(json_is_null(at(o, "net.clients.0.timeout_s")));
	assert_true(json_is_false(at(o, "net.clients.0.deadline")));
	assert_true(!at(o, "net.clients.0.age") && !at(o, "net.clients.0.longest_in_flight_s") &&
		    !at(o, "net.clients.0.rate"));
	/* none in flight: zero, and exactly */
	assert_true(json_is_real(at(o, "net.clients.1.longest_in_flight_s")));
	assert_string_equal(json_string_value(at(o, "net.clients.1.age")), "exact");
	json_decref(o);
	c = &x.r.window.net->client[0];
	c->timeout = c->deadline = UNKNOWN;
	o = parsed(&x);
	assert_true(at(o, "net.clients.0") && !at(o, "net.clients.0.timeout_s") &&
		    !at(o, "net.clients.0.deadline"));
	json_decref(o);
	tear_down(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_every_fault),
		cmocka_unit_test(one_response_is_it),
		cmocka_unit_test(handlers_are_of_what_they_are),
		cmocka_unit_test(json_of_every_fault),
		cmocka_unit_test(nothing_there_is_an_empty_list),
		cmocka_unit_test(what_is_off_is_absent),
		cmocka_unit_test(one_of_memory_and_probes),
		cmocka_unit_test(known_to_be_none_is_not_unknown),
		cmocka_unit_test(few_have_no_percentiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
