/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/config.h"

struct agent_config agent_config_default(void)
{
	return (struct agent_config){
		.tick_ns = AGENT_TICK_NS,
		.walk_ns = AGENT_WALK_NS,
		.scan_ns = AGENT_SCAN_NS,
		.young_ns = AGENT_YOUNG_NS,
		.walks_pct = 2,
		.keep_ns = AGENT_KEEP_NS,
		.probes_at_once = 1,
		.probe_ns = PROBE_NS,
		.probe_rest_ns = PROBE_REST_NS,
		.prove = true,
		.max_processes = AGENT_MAX,
	};
}
