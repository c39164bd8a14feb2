/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process by windows with probes: what was counted while they were armed, since gospect began.
 * Never of all the time: gospect_probed_seconds_total beside it says of how much.
 */
#include "export/metric.h"

#include <stdio.h>
#include <string.h>

#include "agent/probed.h"

static void armed(const struct metric_from *from, struct metric_sink *to)
{
	if (from->process->has_probes)
		metric_put(to, from->process->probes);
}

static void cost(const struct metric_from *from, struct metric_sink *to)
{
	const struct probed_sums *s = from->process->probed;

	if (s)
		metric_put(to, (double)s->cost_ns / 1e9);
}

static void seconds(const struct metric_from *from, struct metric_sink *to)
{
	const struct probed_sums *s = from->process->probed;

	for (int i = 0; s && i < PROBED_WHATS; i++)
		if (s->covered_ns[i])
			metric_put1(to, (double)s->covered_ns[i] / 1e9, "counted",
				    probed_what_word[i]);
}

static void at_place(struct metric_sink *to, double value, const struct probed_row *r)
{
	char line[16] = "";
	const struct metric_label label[] = {
		{ "code.function.name", *r->name ? r->name : "other" },
		{ "code.file.path", r->file },
		{ "code.line.number", line },
		{ "exactness", exactness_word[r->sampled ? SAMPLED : EXACT] },
	};

	if (r->line > 0)
		snprintf(line, sizeof(line), "%d", r->line);
	to->put(to, value, label, 4);
}

/* "api.example.com:443", "[::1]:80": address and port. */
static void at_host(struct metric_sink *to, double value, const struct probed_row *r)
{
	const char *colon = *r->name ? strrchr(r->name, ':') : NULL;
	size_t n = colon ? (size_t)(colon - r->name) : strlen(r->name);
	bool brackets = n > 1 && r->name[0] == '[' && r->name[n - 1] == ']';
	char address[sizeof(r->name)] = "other";
	const struct metric_label label[] = {
		{ "server.address", address },
		{ "server.port", colon ? colon + 1 : "" },
		{ "phase", *r->name ? net_phase_names[r->phase] : "other" },
		{ "exactness", exactness_word[r->sampled ? SAMPLED : EXACT] },
	};

	if (n)
		snprintf(address, sizeof(address), "%.*s", (int)(n - 2 * brackets),
			 r->name + brackets);
	to->put(to, value, label, 4);
}

/* All rows of that kind; those without errors have zero. */
static void rows(const struct metric_from *from, struct metric_sink *to, enum probed_what what,
		 double (*value)(const struct probed_row *r))
{
	const struct probed_sums *s = from->process->probed;

	for (size_t i = 0; s && i < s->nrow; i++) {
		if (s->row[i].what != what)
			continue;
		if (what == PROBED_PHASES)
			at_host(to, value(&s->row[i]), &s->row[i]);
		else
			at_place(to, value(&s->row[i]), &s->row[i]);
	}
}

static double count_of(const struct probed_row *r)
{
	return (double)r->count;
}

static double errors_of(const struct probed_row *r)
{
	return (double)r->errors;
}

static double sum_of(const struct probed_row *r)
{
	return (double)r->sum;
}

static double seconds_of(const struct probed_row *r)
{
	return (double)r->sum / 1e9;
}

#define ROWS(name, what, value)                                                  \
	static void name(const struct metric_from *from, struct metric_sink *to) \
	{                                                                        \
		rows(from, to, what, value);                                     \
	}

ROWS(births, PROBED_BIRTHS, count_of)
ROWS(allocs, PROBED_ALLOCS, count_of)
ROWS(alloc_bytes, PROBED_ALLOCS, sum_of)
ROWS(calls, PROBED_CALLS, count_of)
ROWS(call_errors, PROBED_CALLS, errors_of)
ROWS(phases, PROBED_PHASES, count_of)
ROWS(phase_errors, PROBED_PHASES, errors_of)
ROWS(phase_seconds, PROBED_PHASES, seconds_of)

const struct metric metrics_probes[] = {
	{ "gospect_target_probes", "gospect.target.probes", METRIC_AMOUNT, "{probe}",
	  "Probes armed in a process now.", armed },
	{ "gospect_target_cost_cpu_seconds", "gospect.target.cost", METRIC_COUNTER, "s",
	  "CPU time of the process that probes took, since gospect began.", cost },
	{ "gospect_probed_seconds", "gospect.probed.time", METRIC_COUNTER, "s",
	  "How long probes counted: rates of gospect_probed_* are by this, not by the clock.",
	  seconds },
	{ "gospect_probed_goroutine_births", "gospect.probed.goroutine.births", METRIC_COUNTER,
	  "{goroutine}", "Goroutines created while probes were armed, by place.", births },
	{ "gospect_probed_large_allocations", "gospect.probed.large_allocations", METRIC_COUNTER,
	  "{allocation}", "Allocations of 32 KiB and more while probes were armed, by place.",
	  allocs },
	{ "gospect_probed_large_allocation_bytes", "gospect.probed.large_allocation.size",
	  METRIC_COUNTER, "By", "Their bytes.", alloc_bytes },
	{ "gospect_probed_http_client_requests", "gospect.probed.http.client.requests",
	  METRIC_COUNTER, "{request}", "Requests begun while probes were armed, by place.", calls },
	{ "gospect_probed_http_client_errors", "gospect.probed.http.client.errors", METRIC_COUNTER,
	  "{request}", "Of these, those that failed.", call_errors },
	{ "gospect_probed_http_client_phases", "gospect.probed.http.client.phases", METRIC_COUNTER,
	  "{phase}", "Phases of requests that ended while probes were armed.", phases },
	{ "gospect_probed_http_client_phase_errors", "gospect.probed.http.client.phase.errors",
	  METRIC_COUNTER, "{phase}", "Of these, those that failed.", phase_errors },
	{ "gospect_probed_http_client_phase_seconds", "gospect.probed.http.client.phase.time",
	  METRIC_COUNTER, "s", "How long these took, together.", phase_seconds },
	{ NULL, NULL, METRIC_GAUGE, NULL, NULL, NULL },
};
