/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/words.h"

#include <stdio.h>

#include "base/human.h"
#include "base/text.h"

#define HOST_COLUMNS 52

char *net_words_host(const char *host, char *out)
{
	if (!host || !*host)
		host = "an unknown host";
	return words_fit(host, HOST_COLUMNS, out, NET_WORDS_HOST);
}

char *net_words_age(enum age_kind age, double s, char *out)
{
	char text[HUMAN_MAX];

	if (age == AGE_UNKNOWN)
		snprintf(out, NET_WORDS_AGE, "an unknown time");
	else
		snprintf(out, NET_WORDS_AGE, "%s%s", age == AGE_AT_LEAST ? "at least " : "",
			 s > 0 ? human_seconds(s, text) : "0s");
	return out;
}

const char *net_words_phase(int phase)
{
	static const char *const words[NET_PHASES] = {
		[NET_POOL_WAIT] = "waiting for a connection from the pool",
		[NET_DNS] = "the DNS look-up",
		[NET_CONNECT] = "the TCP connect",
		[NET_TLS] = "the TLS handshake",
		[NET_REQUEST_WRITE] = "writing the request",
		[NET_TTFB] = "waiting for the response's first byte",
		[NET_BODY] = "reading the response's body",
	};

	return phase >= 0 && phase < NET_PHASES ? words[phase] : "between phases";
}

const char *net_words_s(uint64_t n)
{
	return n == 1 ? "" : "s";
}

void net_words_subject(const char *host, enum net_phase phase, char *out, size_t size)
{
	snprintf(out, size, "%s:%s", host, net_phase_name(phase));
}

char *words_percentiles(uint64_t n, uint64_t p50_ns, uint64_t p99_ns, uint64_t max_ns, char *out)
{
	bool has_p99 = n >= LEAST_FOR_P99;
	char a[HUMAN_MAX], b[HUMAN_MAX];

	human_seconds((double)p50_ns / 1e9, a);
	human_seconds((double)(has_p99 ? p99_ns : max_ns) / 1e9, b);
	snprintf(out, WORDS_PERCENTILES_MAX, "%s%s%s%s %s", n >= LEAST_FOR_P50 ? "p50 " : "",
		 n >= LEAST_FOR_P50 ? a : "", n >= LEAST_FOR_P50 ? ", " : "",
		 has_p99 ? "p99" : "max", b);
	return out;
}
