/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who a process is to the people who run it: container, pod, unit, service.
 * From its cgroup, the names of the log files that a kubelet links, and two
 * variables of its environment; nothing is asked of any server.
 *
 * Foreign text throughout, cut where it is too long.
 */
#ifndef GOSPECT_AGENT_IDENTITY_H
#define GOSPECT_AGENT_IDENTITY_H

#include <stdbool.h>

#define IDENTITY_MAX_ATTRIBUTES 16

struct identity_attribute {
	const char *key, *value;
};

/* Each "" when not known, never NULL. */
struct identity {
	/* by the semantic conventions' order; service_name is never "" */
	char service_name[256], service_namespace[256], service_instance_id[640];
	char service_version[128];
	bool service_guessed; /* the name is the pod's less its suffix, or the file's: nobody said it */
	char container_id[80];
	char pod_uid[40]; /* with dashes */
	char pod_name[256], pod_namespace[64], container_name[256];
	char unit[256];    /* "shop.service" */
	char machine[128]; /* of lxc or systemd-nspawn */
	char host_name[256];
	/* the other attributes of OTEL_RESOURCE_ATTRIBUTES, in its order */
	struct identity_attribute attribute[IDENTITY_MAX_ATTRIBUTES];
	int nattribute;
	char attribute_text[2048]; /* what they point into */
};

/* Of a process of which only its executable is known; fills all of it. */
void identity_of_exe(struct identity *id, const char *exe);

#endif
