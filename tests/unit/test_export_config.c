/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration: defaults, file, environment, and what is refused, with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/vec.h"
#include "export/config.h"
#include "export/config_priv.h"

static char file[] = "/tmp/gospect-config-XXXXXX";

static int setup(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(file);
}

static int load_bytes(struct host_config **c, const char *text, size_t n, struct err *err)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	*err = (struct err){ 0 };
	*c = NULL;
	return config_load(c, file, err);
}

static int load(struct host_config **c, const char *text, struct err *err)
{
	return load_bytes(c, text, strlen(text), err);
}

static void defaults(void **state)
{
	struct agent_config agent = agent_config_default();
	struct host_config *c;
	struct err err;

	(void)state;
	assert_int_equal(config_load(&c, NULL, &err), 0);
	/* the table says what the agent has by itself */
	assert_int_equal(c->agent.tick_ns, agent.tick_ns);
	assert_int_equal(c->agent.walk_ns, agent.walk_ns);
	assert_int_equal(c->agent.scan_ns, agent.scan_ns);
	assert_int_equal(c->agent.young_ns, agent.young_ns);
	assert_int_equal(c->agent.prove, agent.prove);
	assert_int_equal(c->agent.max_processes, agent.max_processes);
	assert_int_equal(c->agent.keep_ns, agent.keep_ns);
	assert_int_equal(c->agent.nrule, 0);
	assert_string_equal(c->listen, "127.0.0.1:9464");
	assert_string_equal(c->otlp.endpoint, "");
	assert_int_equal(c->otlp.queue_bytes, 8 << 20);
	assert_string_equal(c->spool.dir, "/var/lib/gospect");
	assert_int_equal(c->spool.max_bytes, 256 << 20);
	config_free(c);
	/* a file without a word changes nothing */
	assert_int_equal(load(&c, "# nothing\n", &err), 0);
	assert_int_equal(c->agent.tick_ns, 15 * NS_PER_S);
	config_free(c);
	assert_int_equal(load(&c, "", &err), 0);
	config_free(c);
}

static void all_keys(void **state)
{
	static const char text[] = "interval: 5s\n"
				   "walk_interval: 2m\n"
				   "scan_interval: 30s\n"
				   "young: 500ms\n"
				   "prove: false\n"
				   "max_processes: 100\n"
				   "processes:\n"
				   "  - exe: /usr/sbin/*\n"
				   "    depth: none\n"
				   "  - {service: 'shop*', namespace: prod, depth: totals}\n"
				   "  - container: side*\n"
				   "    unit: a.service\n"
				   "  - {unit: b.service, depth: probes}\n"
				   "probes: {at_once: 3, time: 30s, rest: 5m}\n"
				   "listen: '[::1]:9999'\n"
				   "max_series: 2000\n"
				   "max_sites: 3\n"
				   "labels: {env: prod, rack: \"a,b\"}\n"
				   "otlp:\n"
				   "  endpoint: https://otel.example.com:4318\n"
				   "  headers:\n"
				   "    Authorization: Bearer x=y\n"
				   "  interval: 10s\n"
				   "  timeout: 3s\n"
				   "  queue: 2M\n"
				   "spool: {dir: /srv/spool, size: 64M, interval: 1m}\n";
	struct host_config *c;
	struct err err;

	(void)state;
	assert_int_equal(load(&c, text, &err), 0);
	assert_int_equal(c->agent.tick_ns, 5 * NS_PER_S);
	assert_int_equal(c->agent.walk_ns, 120 * NS_PER_S);
	assert_int_equal(c->agent.young_ns, NS_PER_S / 2);
	assert_false(c->agent.prove);
	assert_int_equal(c->agent.max_processes, 100);
	assert_string_equal(c->spool.dir, "/srv/spool");
	assert_int_equal(c->spool.max_bytes, 64 << 20);
	assert_int_equal(c->agent.keep_ns, 60 * NS_PER_S);
	assert_int_equal(c->agent.nrule, 4);
	assert_string_equal(c->agent.rule[0].exe, "/usr/sbin/*");
	assert_int_equal(c->agent.rule[0].depth, DEPTH_NONE);
	assert_null(c->agent.rule[0].service);
	assert_string_equal(c->agent.rule[1].k8s_namespace, "prod");
	assert_int_equal(c->agent.rule[1].depth, DEPTH_TOTALS);
	assert_string_equal(c->agent.rule[2].unit, "a.service");
	assert_int_equal(c->agent.rule[2].depth, DEPTH_WALK);
	assert_int_equal(c->agent.rule[1].probes, PROBE_NEVER);
	assert_int_equal(c->agent.rule[2].probes, PROBE_IF_SUSPECT);
	assert_int_equal(c->agent.rule[3].probes, PROBE_ALWAYS);
	assert_int_equal(c->agent.probes_at_once, 3);
	assert_int_equal(c->agent.probe_ns, 30 * NS_PER_S);
	assert_int_equal(c->agent.probe_rest_ns, 300 * NS_PER_S);
	assert_string_equal(c->listen, "[::1]:9999");
	assert_int_equal(c->max_series, 2000);
	assert_int_equal(c->max_sites, 3);
	assert_int_equal(c->labels.n, 2);
	assert_string_equal(c->labels.pair[1].value, "a,b");
	assert_string_equal(c->otlp.endpoint, "https://otel.example.com:4318");
	assert_string_equal(c->otlp.headers.pair[0].value, "Bearer x=y");
	assert_int_equal(c->otlp.every_ns, 10 * NS_PER_S);
	assert_int_equal(c->otlp.timeout_ns, 3 * NS_PER_S);
	assert_int_equal(c->otlp.queue_bytes, 2 << 20);
	config_free(c);
}

static void what_is_refused(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *words;
	} bad[] = {
		{ "interval: 5s\nintervall: 5s\n", 2, "unknown key 'intervall'" },
		{ "otlp:\n  endpoint: http://x\n  nope: 1\n", 3, "unknown key 'otlp.nope'" },
		{ "otlp.endpoint: http://x\n", 1, "unknown key 'otlp.endpoint'" },
		{ "interval: 5s\n\ninterval: 6s\n", 3, "'interval' is there twice" },
		{ "interval: 5\n", 1, "'interval' is '5'" },
		{ "\n\nwalk_interval: 1ms\n", 3, "'walk_interval' is '1ms'" },
		{ "probes: {at_once: 5}\n", 1, "'probes.at_once' is '5'" },
		{ "probes:\n  time: 1ms\n", 2, "'probes.time' is '1ms'" },
		{ "probes:\n  at_once: 1\n  shops: x\n", 3, "unknown key 'probes.shops'" },
		{ "prove: maybe\n", 1, "'prove' is 'maybe'" },
		{ "max_series: 5\n", 1, "'max_series' is '5'" },
		{ "max_series: -5\n", 1, "'max_series' is '-5'" },
		{ "max_series: 99999999999999999999\n", 1, "'max_series' is" },
		{ "listen: localhost\n", 1, "'listen' is 'localhost'" },
		{ "listen: 127.0.0.1:99999\n", 1, "'listen' is" },
		{ "listen: '[::1:80'\n", 1, "'listen' is" },
		{ "otlp: {endpoint: 'ftp://x'}\n", 1, "'otlp.endpoint' is 'ftp://x'" },
		{ "otlp: 5\n", 1, "keys with values" },
		{ "interval: [1s]\n", 1, "one value is wanted" },
		{ "interval: {a: b}\n", 1, "one value is wanted" },
		{ "labels: prod\n", 1, "keys with values" },
		{ "labels:\n  a: b\n  le: 5\n", 3, "'labels' is 'le'" },
		{ "labels: {service_name: x}\n", 1, "'labels' is" },
		{ "labels: {'a-b': x}\n", 1, "'labels' is" },
		{ "labels: {a: x, a: y}\n", 1, "there twice" },
		{ "otlp: {headers: {\"a b\": x}}\n", 1, "'otlp.headers' is 'a b'" },
		{ "otlp:\n  headers:\n    x: \"a\\nb\"\n", 3, "'otlp.headers'" },
		{ "processes: /srv/*\n", 1, "a list of rules" },
		{ "processes:\n - exe: a\n   dept: none\n", 3, "'dept' is no key of a rule" },
		{ "processes:\n - exe: a\n   depth: deep\n", 3, "'depth' is 'deep'" },
		{ "processes:\n - exe: ''\n", 2, "'exe' is ''" },
		{ "processes: [a]\n", 1, "keys with values" },
		{ "- interval: 5s\n", 1, "keys with values" },
		{ "interval: 5s\n\tyoung: 1s\n", 2, "" },
		{ "interval: 'x\n", 2, "" },
		{ "interval: \"5s\\0\"\n", 1, "NUL" },
		{ "a: &a [*a]\n", 1, "" },
	};
	struct host_config *c;
	struct err err;
	char line[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(load(&c, bad[i].text, &err), -EINVAL);
		assert_null(c);
		snprintf(line, sizeof(line), "line %d: ", bad[i].line);
		if (!strstr(err.what, line) || !strstr(err.what, bad[i].words))
			fail_msg("%s gives: %s", bad[i].text, err.what);
	}
	/* bytes that are no text, and too many of them */
	assert_int_equal(load_bytes(&c, "\xff\xfe\x00\x01zz", 6, &err), -EINVAL);
	assert_int_equal(load_bytes(&c, "interval: \xff\n", 12, &err), -EINVAL);
	assert_int_equal(config_load(&c, "/nonexistent/x", &err), -ENOENT);
	assert_int_equal(config_load(&c, "/", &err), -EISDIR);
	assert_int_equal(config_load(&c, "/dev/zero", &err), -EINVAL);
}

/* Lists of lists of lists that refer to themselves are no reason to run for ever. */
static void refers_to_itself(void **state)
{
	struct host_config *c;
	struct err err;

	(void)state;
	assert_int_equal(load(&c, "&x otlp: &y\n  headers: *y\n", &err), -EINVAL);
	assert_int_equal(load(&c, "a: &a [x,x,x]\nb: &b [*a,*a]\n", &err), -EINVAL);
	/* a value said once and used twice is fine */
	assert_int_equal(load(&c, "interval: &i 5s\nwalk_interval: *i\n", &err), 0);
	assert_int_equal(c->agent.walk_ns, 5 * NS_PER_S);
	config_free(c);
}

static void environment(void **state)
{
	struct host_config *c;
	struct err err;

	(void)state;
	setenv("GOSPECT_HOST_INTERVAL", "7s", 1);
	setenv("GOSPECT_HOST_LABELS", "a=b,c=d", 1);
	setenv("GOSPECT_HOST_PROCESSES", "exe=/x/*,depth=none;service=y", 1);
	setenv("GOSPECT_HOST_OTLP_ENDPOINT", "http://collector:4318", 1);
	assert_int_equal(load(&c, "interval: 5s\nlabels: {z: z}\nprocesses: [{exe: q}]\n", &err),
			 0);
	assert_int_equal(c->agent.tick_ns, 7 * NS_PER_S);
	assert_int_equal(c->labels.n, 2);
	assert_string_equal(c->labels.pair[0].name, "a");
	assert_int_equal(c->agent.nrule, 2);
	assert_int_equal(c->agent.rule[0].depth, DEPTH_NONE);
	assert_string_equal(c->agent.rule[1].service, "y");
	assert_string_equal(c->otlp.endpoint, "http://collector:4318");
	/* an option is stronger still */
	assert_int_equal(config_set(c, "interval", "9s", &err), 0);
	assert_int_equal(c->agent.tick_ns, 9 * NS_PER_S);
	assert_int_equal(config_set(c, "interval", "soon", &err), -EINVAL);
	assert_int_equal(c->agent.tick_ns, 9 * NS_PER_S);
	assert_int_equal(config_set(c, "nothing", "9s", &err), -EINVAL);
	assert_int_equal(config_set(c, "listen", "", &err), 0);
	assert_string_equal(c->listen, "");
	config_free(c);
	setenv("GOSPECT_HOST_INTERVAL", "soon", 1);
	assert_int_equal(config_load(&c, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.what, "GOSPECT_HOST_INTERVAL"));
	unsetenv("GOSPECT_HOST_INTERVAL");
	unsetenv("GOSPECT_HOST_LABELS");
	unsetenv("GOSPECT_HOST_PROCESSES");
	unsetenv("GOSPECT_HOST_OTLP_ENDPOINT");
}

static void bounded(void **state)
{
	char text[65536] = "processes:\n";
	struct host_config *c;
	struct err err;

	(void)state;
	for (int i = 0; i < AGENT_RULES_MAX + 1; i++)
		strcat(text, " - exe: x\n");
	assert_int_equal(load(&c, text, &err), -EINVAL);
	assert_non_null(strstr(err.what, "line 66: 'processes' has more than 64 rules"));
	strcpy(text, "labels:\n");
	for (int i = 0; i < CONFIG_MAX_PAIRS + 1; i++)
		sprintf(text + strlen(text), "  l%d: x\n", i);
	assert_int_equal(load(&c, text, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),        cmocka_unit_test(all_keys),
		cmocka_unit_test(what_is_refused), cmocka_unit_test(refers_to_itself),
		cmocka_unit_test(environment),     cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
