/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who a process is to the people who run it: container, pod, unit, service.
 * From its cgroup, the names of the log files that a kubelet links, what its
 * OpenTelemetry SDK publishes, and two variables of its environment; nothing is
 * asked of any server.
 *
 * Foreign text throughout, cut where it is too long.
 */
#ifndef GOSPECT_AGENT_IDENTITY_H
#define GOSPECT_AGENT_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

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
	/* the other attributes of its SDK and of OTEL_RESOURCE_ATTRIBUTES, in their order */
	struct identity_attribute attribute[IDENTITY_MAX_ATTRIBUTES];
	int nattribute;
	size_t attribute_used;
	char attribute_text[2048]; /* what they point into */
};

/* One that several have: counted, by the agent's thread alone.  It changes as long as nobody else
 * has it. */
struct who {
	unsigned int refs;
	struct identity id;
};

struct memreader;
struct otelctx;
struct process;

struct who *who_new(void); /* NULL: no memory */
struct who *who_get(struct who *w);
void who_put(struct who *w); /* NULL is fine */

#define IDENTITY_LOG_DIR "/var/log" /* of a kubelet */

/* A copy that stands by itself. */
void identity_copy(const struct identity *from, struct identity *to);
/* Of a process: all that can be found out now, but for what its executable says.  m: NULL where
 * its memory may not be read; context: where its SDK publishes, looked for where it is not known. */
void identity_of(struct identity *id, const struct process *p, struct memreader *m,
		 struct otelctx *context, const char *log_dir);
/* The version that its executable says, where nobody else did. */
void identity_version(struct identity *id, const char *module_version);
/* Looks for what its SDK publishes. */
void identity_find(const struct process *p, struct memreader *m, struct otelctx *context);

/* Its parts, in the order in which they are asked; each adds to *id, zeroed at first. */

/* The text of /proc/PID/cgroup: container, pod, unit, machine. */
void identity_cgroup(struct identity *id, const char *text);
/* What the links in log_dir/containers and log_dir/pods are called: pod, namespace, container. */
void identity_names(struct identity *id, const char *log_dir);
/* An attribute of the resource that its SDK publishes; arg: the identity. */
void identity_published(void *arg, const char *key, const char *value);
/* The bytes of an environment: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are kept. */
void identity_environ(struct identity *id, const char *bytes, size_t n);
/* The value of OTEL_RESOURCE_ATTRIBUTES.  -EBADMSG, and nothing is taken, where a part of it
 * does not parse (as its specification says). */
int identity_attributes(struct identity *id, const char *value);
/* What nobody said, by the conventions' order; host_name is set, exe a path. */
void identity_settle(struct identity *id, const char *exe);

#endif
