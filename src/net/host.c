/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/host.h"
#include "net/tables.h"
#include "net/window.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/vec.h"

#define MAX_PORT 5

const char *net_scheme_port(const char *scheme, size_t n)
{
	static const struct {
		const char *scheme, *port;
	} known[] = {
		{ "http", "80" }, { "https", "443" },   { "ws", "80" },
		{ "wss", "443" }, { "socks5", "1080" }, { "socks5h", "1080" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].scheme) == n && !strncasecmp(scheme, known[i].scheme, n))
			return known[i].port;
	return NULL;
}

/* Length of ":port" at the end, 0 when there is none. */
static size_t port_at_end(const char *s, size_t n)
{
	size_t digits = 0;

	while (digits < n && digits <= MAX_PORT && s[n - 1 - digits] >= '0' &&
	       s[n - 1 - digits] <= '9')
		digits++;
	if (!digits || digits > MAX_PORT || digits == n || s[n - 1 - digits] != ':')
		return 0;
	return digits + 1;
}

/* An IPv6 address without brackets: two colons or more. */
static bool is_bare_v6(const char *s, size_t n)
{
	size_t colons = 0;

	if (n && s[0] == '[')
		return false;
	for (size_t i = 0; i < n; i++)
		colons += s[i] == ':';
	return colons > 1;
}

static char printable(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c > ' ' && c < 0x7f ? c : '?';
}

void net_host_format(const char *raw, size_t n, const char *port, char out[WINDOW_MAX_HOST + 1])
{
	char tail[MAX_PORT + 2] = "";
	bool v6 = is_bare_v6(raw, n);
	size_t tail_len, room, at = 0;

	if (n && raw[n - 1] == ':') /* an empty port counts as no port */
		n -= !v6;
	if (!v6 && (tail_len = port_at_end(raw, n))) {
		snprintf(tail, sizeof(tail), "%.*s", (int)tail_len, raw + n - tail_len);
		n -= tail_len;
	} else if (port && n && raw[0] != '/') {
		snprintf(tail, sizeof(tail), ":%.5s", port);
	}
	room = WINDOW_MAX_HOST - strlen(tail) - (v6 ? 2 : 0);
	if (v6)
		out[at++] = '[';
	for (size_t i = 0; i < n && i < room; i++)
		out[at++] = printable(raw[i]);
	if (v6)
		out[at++] = ']';
	snprintf(out + at, WINDOW_MAX_HOST + 1 - at, "%s", tail);
}

void net_host_of_url(const char *url, size_t n, char out[WINDOW_MAX_HOST + 1])
{
	const char *colon = memchr(url, ':', n), *port, *at;
	size_t scheme = colon ? (size_t)(colon - url) : 0;

	port = net_scheme_port(url, scheme);
	if (colon && n - scheme >= 3 && !memcmp(colon, "://", 3)) {
		url += scheme + 3;
		n -= scheme + 3;
	}
	for (size_t i = 0; i < n; i++)
		if (url[i] == '/' || url[i] == '?' || url[i] == '#')
			n = i;
	at = memrchr(url, '@', n);
	if (at) { /* never the user's name and password */
		n -= (size_t)(at + 1 - url);
		url = at + 1;
	}
	net_host_format(url, n, port, out);
}

static uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1], v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0], v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1], v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2], v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

/* SipHash-2-4: whoever knows some hosts and their hashes learns nothing of the others. */
static uint64_t siphash(uint64_t k0, uint64_t k1, const char *s, size_t n)
{
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull,
			  k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull };
	uint64_t m = 0;

	for (size_t i = 0; i <= n; i++) {
		m |= (uint64_t)(i < n ? (uint8_t)s[i] : 0) << 8 * (i % 8);
		if (i == n)
			m |= (uint64_t)n << 56;
		if (i % 8 != 7 && i < n)
			continue;
		v[3] ^= m;
		sip_round(v), sip_round(v);
		v[0] ^= m;
		m = 0;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t salted(const char *salt, const char *s, size_t n)
{
	size_t len = strlen(salt);

	return siphash(siphash(0, 1, salt, len), siphash(0, 2, salt, len), s, n);
}

void net_redact_host(char host[WINDOW_MAX_HOST + 1], const char *salt)
{
	char port[MAX_PORT + 2] = "";
	size_t n = strlen(host), tail;

	if (!n)
		return;
	tail = port_at_end(host, n);
	memcpy(port, host + n - tail, tail);
	snprintf(host, WINDOW_MAX_HOST + 1, "host-%08x%s", (uint32_t)salted(salt, host, n - tail),
		 port);
}

static void redact(char *host, const void *salt)
{
	net_redact_host(host, salt);
}

void net_redact_hosts(struct net_window *w, const char *salt)
{
	schema_hosts(&net_object, w, redact, salt);
}
