/* SPDX-License-Identifier: BSD-2-Clause */
/* Hosts as they are written: of URLs, hostile, redacted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/host.h"
#include "net/priv.h"
#include "bodies_live.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_name_and_port),
		cmocka_unit_test(hostile_hosts_are_printable_and_short),
		cmocka_unit_test(of_a_url_only_the_host_is_kept),
		cmocka_unit_test(redacted_hosts_keep_their_port_and_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
