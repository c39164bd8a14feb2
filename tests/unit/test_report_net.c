/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network, pools and locks in every kind of report, from a window written by
 * hand (net_window.h): goldens with every field, known and not known; hostile
 * hosts; tables of more than 1,000 rows.
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

#include "cli/screen_view.h"
#include "observe/detect.h"
#include "base/text.h"
#include "net_window.h"
#include "report/report.h"
#include "save_report.h"
#include "observe/window.h"

#define OUTPUT_MAX (64u << 20)

struct fixture {
	struct report r;
	struct buf out;
};

static void set_up(struct fixture *x, void (*fill)(struct window *w))
{
	memset(x, 0, sizeof(*x));
	fill(&x->r.window);
	x->r.findings = (struct findings){ 0 };
	buf_init(&x->out, OUTPUT_MAX);
}

static void tear_down(struct fixture *x)
{
	buf_deinit(&x->out);
	report_deinit(&x->r);
}

static const char *text(struct fixture *x, int columns)
{
	struct report_text_options o = { .columns = columns };

	buf_reset(&x->out);
	report_text(&x->r, &o, &x->out);
	assert_int_equal(x->out.err, 0);
	return x->out.data;
}

static json_t *parsed(struct fixture *x)
{
	json_error_t err;
	json_t *o;

	buf_reset(&x->out);
	save_report(&x->r, &x->out);
	assert_int_equal(x->out.err, 0);
	o = json_loads(x->out.data, JSON_REJECT_DUPLICATES, &err);
	if (!o)
		fail_msg("not JSON: %s", err.text);
	return o;
}

/* "net.phases.0.host"; NULL when absent. */
static json_t *at(json_t *o, const char *path)
{
	char part[64];

	while (o && *path) {
		size_t n = strcspn(path, ".");

		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		o = json_is_array(o) ? json_array_get(o, (size_t)atoi(part))
				     : json_object_get(o, part);
		path += n + (path[n] == '.');
	}
	return o;
}

static void has(const char *all, const char *words)
{
	if (!strstr(all, words)) {
		printf("%s\n", all); /* fail_msg() cuts */
		fail_msg("'%s' is not in it", words);
	}
}

static void has_not(const char *all, const char *words)
{
	if (strstr(all, words))
		fail_msg("'%s' is in it", words);
}

/* Says where the two differ: they are longer than cmocka prints. */
static void same(const char *is, const char *want)
{
	size_t i = 0;

	while (is[i] && is[i] == want[i])
		i++;
	if (is[i] != want[i])
		fail_msg("at %zu: '%.200s', wanted '%.200s'", i, is + i, want + i);
}

static void expect_tidy(const char *s, int columns)
{
	char line[8192];
	int32_t code;

	while (*s) {
		size_t n = strcspn(s, "\n");

		assert_true(n < sizeof(line));
		memcpy(line, s, n);
		line[n] = '\0';
		if (words_columns(line) > columns)
			fail_msg("%d columns: '%s'", words_columns(line), line);
		for (const char *p = line; *p;) {
			p += utf8_next(p, &code);
			assert_true(code >= 0x20 && !(code >= 0x7f && code < 0xa0) &&
				    code != 0x202e);
		}
		assert_true(!n || line[n - 1] != ' ');
		s += n + 1;
	}
}

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
	s = strstr(text(&x, 100), "network:");
	assert_non_null(s);
	same(s, text_golden);
	for (int columns = 40; columns <= 200; columns++)
		expect_tidy(text(&x, columns), columns);
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
	assert_non_null(strstr(text(&x, 100),
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
	assert_non_null(strstr(text(&x, 100), "servers:    gRPC methods: 900 requests"));
	*(struct net_server *)MORE(n->server, n->nserver) =
		(struct net_server){ .place.function = "main.hello" };
	assert_non_null(strstr(text(&x, 100), "servers:    HTTP and gRPC handlers: "));
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
	text(&x, 100);
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
		assert_int_equal(!strstr(text(&x, 100), "40ms  900ms"), !of[i].p99);
		assert_int_equal(!strstr(text(&x, 100), "ended, p50 51µs"), !of[i].p50);
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
	has(text(&x, 100), "main.charge charge.go:52              none            -");
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
	text(&x, 100);
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

/* ---- hostile hosts ---- */

static void set_hosts(struct window *w, const char *host)
{
	snprintf(w->net->phase[0].host, sizeof(w->net->phase[0].host), "%s", host);
	snprintf(w->net->in_flight[0].host, sizeof(w->net->in_flight[0].host), "%s", host);
	snprintf(w->net->unclosed[0].host, sizeof(w->net->unclosed[0].host), "%s", host);
	snprintf(w->net->connection[0].host, sizeof(w->net->connection[0].host), "%s", host);
	snprintf(w->net->grpc[0].method, sizeof(w->net->grpc[0].method), "%s", host);
	snprintf(w->net->server[0].pattern, sizeof(w->net->server[0].pattern), "%s", host);
	snprintf(w->sql->pool[0].driver, sizeof(w->sql->pool[0].driver), "%s", host);
}

static void one_hostile_host(const char *host)
{
	struct screen_state st = { 0 };
	struct screen_view v;
	struct fixture x;
	json_t *o;

	set_up(&x, net_window_faulty);
	set_hosts(&x.r.window, host);
	detect_all(&x.r.window, &x.r.findings);
	assert_true(x.r.findings.n > 0);
	for (int columns = 40; columns <= 120; columns += 20)
		expect_tidy(text(&x, columns), columns);
	o = parsed(&x);
	for (const char *p = x.out.data; *p; p++) /* one line of ASCII */
		assert_true((*p >= 0x20 && *p < 0x7f) || (*p == '\n' && !p[1]));
	json_decref(o);
	buf_reset(&x.out);
	assert_int_equal(report_html(&x.r, &x.out), 0);
	has_not(x.out.data, "<img");
	has_not(x.out.data, "\x1b");
	screen_view_init(&v);
	screen_view_make(&v, &x.r, &st, 100, 24);
	for (int i = 0; i < v.nline; i++)
		expect_tidy(v.text.data + v.line[i].start, 100);
	screen_view_deinit(&v);
	tear_down(&x);
}

static void hostile_hosts(void **state)
{
	char longest[WINDOW_MAX_HOST + 1];

	(void)state;
	one_hostile_host("\x1b[31m\r\n\t\x07"
			 "a:1");
	one_hostile_host("<img src=x onerror='a'>\"&\\:443");
	one_hostile_host("\xff\xfe\xc3(\xe2\x80\xae\xf0\x9f\x92:80");
	one_hostile_host("%s%n%s%d:80");
	memset(longest, 'a', WINDOW_MAX_HOST);
	longest[WINDOW_MAX_HOST] = '\0';
	one_hostile_host(longest);
	memset(longest, '\xe6', WINDOW_MAX_HOST);
	one_hostile_host(longest);
	for (int i = 0; i + 3 <= WINDOW_MAX_HOST; i += 3) /* wide characters, the last cut */
		memcpy(longest + i, "\xe6\xbc\xa2", 3);
	one_hostile_host(longest);
}

/* A host in full, as it is, in JSON. */
static void json_keeps_the_whole_host(void **state)
{
	char longest[WINDOW_MAX_HOST + 1];
	struct fixture x;
	json_t *o;

	(void)state;
	memset(longest, 'a', WINDOW_MAX_HOST);
	longest[WINDOW_MAX_HOST] = '\0';
	set_up(&x, net_window_init);
	add_phase(&x.r.window, longest, NET_DNS, 1, 1);
	add_phase(&x.r.window, "[2001:db8::1]:443", NET_DNS, 1, 1);
	o = parsed(&x);
	assert_string_equal(json_string_value(at(o, "net.phases.0.host")), longest);
	assert_string_equal(json_string_value(at(o, "net.phases.1.host")), "[2001:db8::1]:443");
	json_decref(o);
	tear_down(&x);
}

/* ---- many rows ---- */

static void fill_many(struct window *w, int n)
{
	char host[40];

	for (int i = 0; i < n; i++) {
		snprintf(host, sizeof(host), "h%d:80", i);
		add_phase(w, host, NET_TTFB, 2, 1)->exactness = i == n - 1 ? SAMPLED : EXACT;
		add_client(w, 1, i);
		add_unclosed(w, host, 2, 1, i);
		add_connections(w, host, 2, 1, 3);
		add_server(w, 2, 0);
		*(struct net_grpc *)MORE(w->net->grpc, w->net->ngrpc) =
			(struct net_grpc){ .calls = 2, .calls_known = true };
		add_lock(w, 2, 1, i);
		add_holder(w->sql->npool ? w->sql->pool : add_pool(w, 0, 9, 0, 0), SQL_CALL, 2, i,
			   AT_QUERY);
	}
}

static int64_t sum(json_t *rows, const char *key)
{
	int64_t n = 0;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) n += json_integer_value(json_object_get(row, key));
	return n;
}

static void expect_cut(json_t *report, const char *path, const char *key, int64_t all)
{
	json_t *rows = at(report, path), *last = json_array_get(rows, 999);
	json_t *row;
	size_t i;

	if (json_array_size(rows) != 1000 || sum(rows, key) != all)
		fail_msg("%s: %zu rows, %lld", path, json_array_size(rows),
			 (long long)sum(rows, key));
	json_array_foreach(rows, i, row)
		assert_true(json_is_true(json_object_get(row, "other")) == (i == 999));
	assert_null(json_object_get(last, "host"));
	assert_null(json_object_get(last, "place"));
}

static void tables_are_cut_and_add_up(void **state)
{
	static const struct {
		const char *path, *key;
	} lists[] = {
		{ "net.phases", "count" },
		{ "net.unclosed_bodies", "count" },
		{ "net.connections", "open" },
		{ "net.servers", "requests" },
		{ "net.grpc", "calls" },
		{ "locks", "waiters" },
		{ "sql.pools.0.holders", "count" },
	};
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_init);
	fill_many(&x.r.window, 1203);
	x.r.window.net->client[0].other =
		true; /* the observer's own rest goes into the sum as well */
	o = parsed(&x);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		expect_cut(o, lists[i].path, lists[i].key, 2406);
	expect_cut(o, "net.clients", "in_flight", 1203);
	/* of a sum: the oldest, the least sure, no median */
	assert_true(json_number_value(at(o, "net.clients.999.longest_in_flight_s")) == 1202);
	assert_true(json_number_value(at(o, "net.unclosed_bodies.999.oldest_s")) == 1202);
	assert_string_equal(json_string_value(at(o, "net.phases.999.exactness")), "sampled");
	assert_true(!at(o, "net.phases.999.p50_ns") && at(o, "net.phases.999.total_ns"));
	assert_null(at(o, "net.connections.999.max_per_host"));
	json_decref(o);
	expect_tidy(text(&x, 100), 100);
	has(x.out.data, "1,184 more"); /* 20 rows of phases */
	tear_down(&x);
}

static void as_many_as_fit_have_no_rest(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_init);
	fill_many(&x.r.window, 1000);
	o = parsed(&x);
	assert_int_equal(json_array_size(at(o, "net.phases")), 1000);
	assert_null(at(o, "net.phases.999.other"));
	json_decref(o);
	x.r.window.net->phase[3].other =
		true; /* one is the observer's rest: it is the last row then */
	o = parsed(&x);
	assert_int_equal(json_array_size(at(o, "net.phases")), 1000);
	assert_true(json_is_true(at(o, "net.phases.999.other")));
	assert_int_equal(sum(at(o, "net.phases"), "count"), 2000);
	json_decref(o);
	add_phase(&x.r.window, "last:80", NET_TTFB, 2, 1);
	o = parsed(&x);
	assert_int_equal(json_array_size(at(o, "net.phases")), 1000);
	assert_int_equal(sum(at(o, "net.phases"), "count"), 2002);
	json_decref(o);
	tear_down(&x);
}

static void many_requests_and_pools(void **state)
{
	struct fixture x;
	json_t *o;

	(void)state;
	set_up(&x, net_window_init);
	for (int i = 0; i < 1100; i++) {
		add_request(&x.r.window, API, NET_TTFB, 2000 - i);
		add_pool(&x.r.window, 4, 1, 0, 0);
	}
	x.r.window.net->in_flight_total = 10000;
	o = parsed(&x);
	assert_int_equal(json_array_size(at(o, "net.in_flight")), 1000);
	assert_int_equal(json_integer_value(at(o, "net.in_flight_total")), 10000);
	assert_int_equal(json_array_size(at(o, "sql.pools")), 1000);
	assert_true(json_is_true(at(o, "sql.pools.999.other")));
	assert_int_equal(sum(at(o, "sql.pools"), "in_use"), 1100);
	json_decref(o);
	text(&x, 100);
	has(x.out.data, "in flight:  10,000 requests, the oldest first\n");
	has(x.out.data, "9,992 more");
	has(x.out.data, "1,091 more");
	tear_down(&x);
}

/* ---- text, HTML, screen ---- */

static void hosts_stand_together_busiest_first(void **state)
{
	const char *a, *b, *c, *d;
	struct fixture x;

	(void)state;
	set_up(&x, net_window_init);
	add_phase(&x.r.window, "z:1", NET_TTFB, 10, 50);
	add_phase(&x.r.window, "y:1", NET_TTFB, 10, 40);
	add_phase(&x.r.window, "y:1", NET_DNS, 10, 20);
	add_phase(&x.r.window, "", NET_DNS, 1000, 20)->other = true;
	text(&x, 100);
	a = strstr(x.out.data, "  y:1     dns");
	b = strstr(x.out.data, "  y:1     ttfb");
	c = strstr(x.out.data, "  z:1     ttfb");
	d = strstr(x.out.data, "  1 more");
	assert_true(a && b && c && d && a < b && b < c && c < d);
	tear_down(&x);
}

static void nothing_found_says_what_was_looked_at(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x, net_window_init);
	add_request(&x.r.window, API, NET_TTFB, 0.1);
	add_connections(&x.r.window, API, 3, 2, 0);
	add_pool(&x.r.window, 4, 1, 0, 0);
	text(&x, 100);
	has(x.out.data, "nothing found. Looked at 1 request in flight, 3 connections, 1 database "
			"pool, for 20.0s");
	tear_down(&x);
}

static void html_has_the_same_tables(void **state)
{
	struct fixture x;

	(void)state;
	set_up(&x, net_window_faulty);
	assert_int_equal(report_html(&x.r, &x.out), 0);
	has(x.out.data, "<h2>Network phases by host</h2>");
	has(x.out.data, "<h2>Database pools</h2>");
	has(x.out.data, "<h2>Waits for locks</h2>");
	has(x.out.data, "<td>api.example.com:443</td><td>dns</td><td class=\"n\">12</td>");
	has(x.out.data, "<td>main.(*Cache).Get cache.go:71</td>");
	has(x.out.data, "<td>(opened before gospect attached)</td>");
	x.r.window.net->unclosed[1]
		.count_before--; /* the second one: one came since, by a call that was not seen */
	buf_reset(&x.out);
	assert_int_equal(report_html(&x.r, &x.out), 0);
	has(x.out.data, "<td>(call site unknown)</td>");
	tear_down(&x);
	set_up(&x, net_window_init);
	assert_int_equal(report_html(&x.r, &x.out), 0);
	has_not(x.out.data, "Network, pools, locks");
	tear_down(&x);
}

static void screen_has_a_line_for_network_and_pools(void **state)
{
	struct screen_state st = { 0 };
	struct screen_view v;
	struct fixture x;
	char all[8192] = "";

	(void)state;
	set_up(&x, net_window_faulty);
	screen_view_init(&v);
	screen_view_make(&v, &x.r, &st, 100, 24);
	for (int i = 0; i < v.nline; i++) {
		strcat(all, v.text.data + v.line[i].start);
		strcat(all, "\n");
	}
	has(all, "network     10 in flight (14.2s), 50 unclosed, 2 errors; ttfb p50 3.0ms at "
		 "inventory…ster.local:8080\n");
	has(all, "sql         *pq.Driver 4 of 4 in use, 20 waiting (9.8s), 2 open transactions "
		 "(12.1s); 1 more pool\n");
	tear_down(&x);
	set_up(&x, net_window_init);
	screen_view_make(&v, &x.r, &st, 100, 24);
	for (int i = 0; i < v.nline; i++)
		assert_true(strncmp(v.text.data + v.line[i].start, "network", 7) &&
			    strncmp(v.text.data + v.line[i].start, "sql", 3));
	screen_view_deinit(&v);
	tear_down(&x);
}

/* ---- diff ---- */

static void two_reports_compared(void **state)
{
	struct fixture before, after;
	struct err err = { 0 };
	struct buf out;

	(void)state;
	set_up(&before, net_window_faulty);
	save_report(&before.r, &before.out);
	set_up(&after, net_window_faulty);
	detect_all(&after.r.window, &after.r.findings);
	after.r.window.net->phase[0].p50_ns = 400 * NS_MS; /* was 121 */
	after.r.window.net->phase[1].p50_ns += NS_MS / 2;  /* 4.0 and 4.5 ms: the same */
	after.r.window.net->unclosed[0].count = 50;
	after.r.window.net->client[0].in_flight = 9;
	after.r.window.sql->pool[0].in_use = 2;
	save_report(&after.r, &after.out);
	buf_init(&out, 1u << 20);
	assert_int_equal(report_diff(before.out.data, before.out.len, after.out.data, after.out.len,
				     100, &out, &err),
			 0);
	has(out.data, "appeared    high no-timeout: 7 requests at main.charge");
	has(out.data, "network phases (p50): 1 of 6 changed\n"
		      "        before  after      by  at\n"
		      "  grew   121ms  400ms  +279ms  dns api.example.com:443\n");
	has(out.data,
	    "unclosed response bodies: 1 of 2 changed\n"
	    "        before  after   by  at\n"
	    "  grew      38     50  +12  api.example.com:443 at main.statusOnly check.go:19\n");
	has(out.data, "requests in flight by call: 1 of 2 changed\n");
	has(out.data, "connections: 0 of 2 changed\n");
	has(out.data, "  shrank       4      2  -2  *pq.Driver\n");
	buf_deinit(&out);
	tear_down(&before);
	tear_down(&after);
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
		cmocka_unit_test(hostile_hosts),
		cmocka_unit_test(few_have_no_percentiles),
		cmocka_unit_test(json_keeps_the_whole_host),
		cmocka_unit_test(tables_are_cut_and_add_up),
		cmocka_unit_test(as_many_as_fit_have_no_rest),
		cmocka_unit_test(many_requests_and_pools),
		cmocka_unit_test(hosts_stand_together_busiest_first),
		cmocka_unit_test(nothing_found_says_what_was_looked_at),
		cmocka_unit_test(html_has_the_same_tables),
		cmocka_unit_test(screen_has_a_line_for_network_and_pools),
		cmocka_unit_test(two_reports_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
