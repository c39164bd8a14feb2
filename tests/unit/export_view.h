/* SPDX-License-Identifier: BSD-2-Clause */
/* A view written by hand: processes with totals, one with a walk and findings. */
#ifndef GOSPECT_TESTS_EXPORT_VIEW_H
#define GOSPECT_TESTS_EXPORT_VIEW_H

#include <stdio.h>
#include <string.h>

#include "agent/view.h"
#include "export/export.h"
#include "parts.h"

#define VIEW_PROCESSES 300
#define VIEW_SITES     30

struct by_hand {
	struct view view;
	struct view_process process[VIEW_PROCESSES];
	struct identity identity[VIEW_PROCESSES];
	struct view_totals totals[VIEW_PROCESSES];
	/* of the first process */
	struct parts_by_hand parts;
	struct report walk;
	struct site_row site[VIEW_SITES];
	char function[VIEW_SITES][32];
	struct finding judged[2];
	struct view_finding finding[2];
	struct view_event event[2];
};

#define EVIL "a\\b\"c\nd\x1b[31m\xff\xe2\x80\xae<script>"

static void hand_process(struct by_hand *h, size_t i)
{
	struct identity *who = &h->identity[i];
	struct view_totals *t = &h->totals[i];

	snprintf(who->service_name, sizeof(who->service_name), "shop%zu", i);
	snprintf(who->service_instance_id, sizeof(who->service_instance_id), "host.shop%zu", i);
	*t = (struct view_totals){
		.real_ns = 1700000000ull * 1000000000,
		.has_live = true,
		.has_created = true,
		.has_heap = true,
		.live = 10 + i,
		.created = 1000 + i,
		.heap_live_bytes = 1 << 20,
		.heap_goal_bytes = 4 << 20,
		.gogc = 100,
		.gomaxprocs = 2,
		.memory_limit_bytes = INT64_MAX,
	};
	h->process[i] = (struct view_process){
		.key = 100 + i,
		.pid = (pid_t)(1000 + i),
		.identity = who,
		.started_real_ns = (1690000000ull + i) * 1000000000,
		.exe = "/srv/shop",
		.go = "go1.26.1",
		.module = "",
		.module_version = "",
		.build_id = "",
		.go_build_id = "",
		.depth = DEPTH_TOTALS,
		.why = "",
		.probes_why = "",
		.totals = t,
	};
}

static void hand_walk(struct by_hand *h)
{
	struct goroutines_window *g;

	parts_use(&h->parts, &h->walk.window);
	g = h->walk.window.goroutines;
	g->known = true;
	g->site = h->site;
	g->nsite = VIEW_SITES;
	for (int i = 0; i < VIEW_SITES; i++) {
		snprintf(h->function[i], sizeof(h->function[i]), "main.work%d", i);
		h->site[i].place = (struct place){ .function = h->function[i],
						   .file = "work.go",
						   .line = 10 + i };
		h->site[i].live = (uint64_t)(100 - i);
		h->site[i].oldest_s = 5;
		h->site[i].age = i % 2 ? AGE_EXACT : AGE_UNKNOWN;
	}
	h->process[0].walk = &h->walk;
	h->process[0].walked_real_ns = 1700000000ull * 1000000000;
	h->process[0].depth = DEPTH_WALK;
}

static void hand_findings(struct by_hand *h)
{
	for (int i = 0; i < 2; i++) {
		struct finding *f = &h->judged[i];

		*f = (struct finding){ .kind = "goroutine-leak",
				       .severity = SEVERITY_HIGH,
				       .place = { .function = EVIL, .file = "x.go", .line = 7 + i },
				       .exactness = EXACT };
		snprintf(f->id, sizeof(f->id), "leak:%d", i);
		snprintf(f->title, sizeof(f->title), "goroutines leak %s", EVIL);
		h->finding[i] = (struct view_finding){ .finding = f,
						       .worst = SEVERITY_HIGH,
						       .opened_real_ns = 1699999000ull * 1000000000,
						       .seen_real_ns = 1700000000ull * 1000000000 };
		snprintf(h->finding[i].id, sizeof(h->finding[i].id), "00000000000000%02d", i);
	}
	h->process[0].finding = h->finding;
	h->process[0].nfinding = 2;
}

/* n processes; the first with a walk and findings. */
static void hand_view(struct by_hand *h, size_t n)
{
	memset(h, 0, sizeof(*h));
	h->view = (struct view){ .seq = 1,
				 .mono_ns = 1000ull * 1000000000,
				 .real_ns = 1700000000ull * 1000000000,
				 .interval_ns = 15ull * 1000000000,
				 .host_name = "node<1>",
				 .self.why_polling = "",
				 .self.probes_off = "",
				 .process = h->process,
				 .nprocess = n };
	for (size_t i = 0; i < n; i++)
		hand_process(h, i);
	if (n) {
		hand_walk(h);
		hand_findings(h);
	}
}

static struct by_hand hand;
static struct host_config *config;
static const struct export_stats no_stats;

static int setup(void **state)
{
	struct err err;

	(void)state;
	return config_load(&config, NULL, &err);
}

static int teardown(void **state)
{
	(void)state;
	config_free(config);
	return 0;
}

#endif
