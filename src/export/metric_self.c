/* SPDX-License-Identifier: BSD-2-Clause */
/* gospect itself: what it sees, what it could not, and what that costs. */
#include "export/metric.h"

#include "version.h"

#define SELF(name, value)                                                        \
	static void name(const struct metric_from *from, struct metric_sink *to) \
	{                                                                        \
		const struct view_self *s = &from->view->self;                   \
                                                                                 \
		metric_put(to, (double)(value));                                 \
	}

SELF(cpu, (double)s->cpu_ns / 1e9)
SELF(rss, s->rss_bytes)
SELF(bpf, s->bpf_bytes)
SELF(fds, s->open_fds)
SELF(started, (double)s->started_real_ns / 1e9)
SELF(lost, s->lost)
SELF(by_events, s->by_events)
SELF(proofs, s->proofs)
SELF(proof_time, (double)s->proof_ns / 1e9)
SELF(findings_dropped, s->findings_dropped)
SELF(processes, s->processes)
SELF(files, s->files)
SELF(beyond, s->beyond)
SELF(unreadable, s->unreadable)
SELF(probes_rss, s->probes_rss_bytes)
SELF(reload_ok, s->reload_ok)
SELF(reloaded, (double)s->reloaded_real_ns / 1e9)

static void build_info(const struct metric_from *from, struct metric_sink *to)
{
	(void)from;
	metric_put1(to, 1, "version", GOSPECT_VERSION);
}

static void taken(const struct metric_from *from, struct metric_sink *to)
{
	metric_put(to, (double)from->view->real_ns / 1e9);
}

static void targets(const struct metric_from *from, struct metric_sink *to)
{
	size_t n[DEPTHS] = { 0 };

	for (size_t i = 0; i < from->view->nprocess; i++)
		n[from->view->process[i].depth]++;
	for (int d = 0; d < DEPTHS; d++)
		metric_put1(to, (double)n[d], "depth", depth_word[d]);
}

static void open_findings(const struct metric_from *from, struct metric_sink *to)
{
	size_t n[SEVERITY_CRITICAL + 1] = { 0 };

	for (size_t i = 0; i < from->view->nprocess; i++)
		for (int k = 0; k < from->view->process[i].nfinding; k++)
			n[from->view->process[i].finding[k].finding->severity]++;
	for (int s = 0; s <= SEVERITY_CRITICAL; s++)
		metric_put1(to, (double)n[s], "severity", severity_word[s]);
}

static void failures(const struct metric_from *from, struct metric_sink *to)
{
	for (int i = SHALLOW_NOT + 1; i < SHALLOWS; i++)
		if (i != SHALLOW_YOUNG && i != SHALLOW_NOT_STARTED && i != SHALLOW_CONFIGURED)
			metric_put1(to, (double)from->view->self.failures[i], "reason",
				    shallow_word[i]);
}

static void probe_failures(const struct metric_from *from, struct metric_sink *to)
{
	for (int i = PROBED_ARMED + 1; i < PROBED_OUTCOMES; i++)
		metric_put1(to, (double)from->view->self.probe_failures[i], "reason",
			    probed_outcome_word[i]);
}

static void events(const struct metric_from *from, struct metric_sink *to)
{
	const struct view_self *s = &from->view->self;

	metric_put1(to, (double)s->execs, "event", "exec");
	metric_put1(to, (double)s->started, "event", "start");
	metric_put1(to, (double)s->ended, "event", "end");
	metric_put1(to, (double)s->scans, "event", "scan");
}

static void looks(const struct metric_from *from, struct metric_sink *to)
{
	for (int d = DEPTH_TOTALS; d < DEPTHS; d++)
		metric_put1(to, (double)from->view->self.looks[d], "depth", depth_word[d]);
}

static void look_time(const struct metric_from *from, struct metric_sink *to)
{
	for (int d = DEPTH_TOTALS; d < DEPTHS; d++)
		metric_put1(to, (double)from->view->self.look_ns[d] / 1e9, "depth", depth_word[d]);
}

static void series_dropped(const struct metric_from *from, struct metric_sink *to)
{
	metric_put(to, (double)from->stats->series_dropped);
}

static void snapshots(const struct metric_from *from, struct metric_sink *to)
{
	metric_put1(to, (double)from->view->self.snapshots, "outcome", "kept");
	metric_put1(to, (double)from->view->self.snapshots_failed, "outcome", "failed");
}

static void queue(const struct metric_from *from, struct metric_sink *to)
{
	if (from->stats->pushing)
		metric_put(to, (double)from->stats->queue_bytes);
}

static void pushes(const struct metric_from *from, struct metric_sink *to)
{
	const struct export_stats *s = from->stats;

	if (!s->pushing)
		return;
	metric_put1(to, (double)s->sent, "outcome", "accepted");
	metric_put1(to, (double)s->retried, "outcome", "retried");
	metric_put1(to, (double)s->failed, "outcome", "failed");
	metric_put1(to, (double)s->queue_dropped, "outcome", "dropped");
}

const struct metric metrics_self[] = {
	{ "gospect_build_info", NULL, METRIC_GAUGE, "1", "Version of gospect; value 1.",
	  build_info },
	{ "gospect_view_timestamp_seconds", NULL, METRIC_GAUGE, "s",
	  "When all of this was taken, since 1970.", taken },
	{ "gospect_targets", "gospect.targets", METRIC_AMOUNT, "{process}",
	  "Go processes by how deep they are watched.", targets },
	{ "gospect_open_findings", "gospect.open_findings", METRIC_AMOUNT, "{finding}",
	  "Open findings of all processes.", open_findings },
	{ "gospect_target_failures", "gospect.target.failures", METRIC_COUNTER, "{process}",
	  "Processes that could not be watched, or not as deep, by reason.", failures },
	{ "gospect_attach_failures", "gospect.attach.failures", METRIC_COUNTER, "{process}",
	  "Windows with probes that could not begin, or did not end, by reason.", probe_failures },
	{ "gospect_targets_beyond", "gospect.targets.beyond", METRIC_AMOUNT, "{process}",
	  "Go processes for which there is no room (max_processes).", beyond },
	{ "gospect_unreadable_processes", "gospect.unreadable_processes", METRIC_AMOUNT,
	  "{process}", "Processes whose executable may not be read.", unreadable },
	{ "gospect_machine_processes", "gospect.machine.processes", METRIC_AMOUNT, "{process}",
	  "All processes of the machine, as of the last pass.", processes },
	{ "gospect_executables", "gospect.executables", METRIC_AMOUNT, "{file}",
	  "Go executables that are analysed and kept.", files },
	{ "gospect_discovery_by_events", NULL, METRIC_GAUGE, "1",
	  "1 where the kernel tells starts, 0 where /proc is polled.", by_events },
	{ "gospect_discovery_events", "gospect.discovery.events", METRIC_COUNTER, "{event}",
	  "Programs executed, Go processes begun and ended, passes over /proc.", events },
	{ "gospect_discovery_lost", "gospect.discovery.lost", METRIC_COUNTER, "{event}",
	  "Events lost; a pass over /proc makes up for them.", lost },
	{ "gospect_looks", "gospect.looks", METRIC_COUNTER, "{look}", "Readings by depth.", looks },
	{ "gospect_look_cpu_seconds", "gospect.look.cpu.time", METRIC_COUNTER, "s",
	  "CPU time of gospect for them.", look_time },
	{ "gospect_proofs", "gospect.proofs", METRIC_COUNTER, "{proof}",
	  "Searches for goroutines that can never run again.", proofs },
	{ "gospect_proof_cpu_seconds", "gospect.proof.cpu.time", METRIC_COUNTER, "s",
	  "CPU time of gospect for them.", proof_time },
	{ "gospect_findings_dropped", "gospect.findings.dropped", METRIC_COUNTER, "{finding}",
	  "Findings for which there was no room.", findings_dropped },
	{ "gospect_series_dropped", NULL, METRIC_GAUGE, "{series}",
	  "Series left out of the page before this one (max_series).", series_dropped },
	{ "gospect_snapshots", "gospect.snapshots", METRIC_COUNTER, "{snapshot}",
	  "Snapshots of severe findings: kept; failed, as with a full disk.", snapshots },
	{ "gospect_export_queue_bytes", "gospect.export.queue.size", METRIC_AMOUNT, "By",
	  "Data that waits to be pushed.", queue },
	{ "gospect_export_requests", "gospect.export.requests", METRIC_COUNTER, "{request}",
	  "Pushes by what became of them.", pushes },
	{ "gospect_config_last_reload_successful", NULL, METRIC_GAUGE, "1",
	  "1 when the last reload of the configuration was good.", reload_ok },
	{ "gospect_config_last_reload_success_timestamp_seconds", NULL, METRIC_GAUGE, "s",
	  "When the configuration in use was read, since 1970.", reloaded },
	{ "gospect_bpf_memory_bytes", "gospect.bpf.memory", METRIC_AMOUNT, "By",
	  "Kernel memory of gospect's BPF tables.", bpf },
	{ "gospect_probes_resident_memory_bytes", "gospect.probes.memory", METRIC_AMOUNT, "By",
	  "Resident memory of the processes that hold probes now, beside gospect's own.",
	  probes_rss },
	{ "process_cpu_seconds", "process.cpu.time", METRIC_COUNTER, "s",
	  "CPU time of gospect itself.", cpu },
	{ "process_resident_memory_bytes", "process.memory.usage", METRIC_AMOUNT, "By",
	  "Resident memory of gospect itself.", rss },
	{ "process_open_fds", "process.unix.file_descriptor.count", METRIC_AMOUNT,
	  "{file_descriptor}", "File descriptors of gospect itself.", fds },
	{ "process_start_time_seconds", NULL, METRIC_GAUGE, "s",
	  "When gospect itself started, since 1970.", started },
	{ NULL, NULL, METRIC_GAUGE, NULL, NULL, NULL },
};
