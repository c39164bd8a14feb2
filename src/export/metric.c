/* SPDX-License-Identifier: BSD-2-Clause */
/* Which processes have series, and what tells them apart. */
#include "export/metric.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_identity(const struct identity *a, const struct identity *b)
{
	int d = strcmp(a->service_instance_id, b->service_instance_id);

	if (!d)
		d = strcmp(a->service_name, b->service_name);
	if (!d)
		d = strcmp(a->service_namespace, b->service_namespace);
	if (!d)
		d = strcmp(a->pod_name, b->pod_name);
	if (!d)
		d = strcmp(a->container_name, b->container_name);
	return d ? d : strcmp(a->pod_namespace, b->pod_namespace);
}

/* Same identity together, the oldest first. */
static int by_identity_and_age(const void *a, const void *b)
{
	const struct view_process *x = (*(struct metric_target *const *)a)->process,
				  *y = (*(struct metric_target *const *)b)->process;
	int d = by_identity(x->identity, y->identity);

	if (!d)
		d = (x->started_real_ns > y->started_real_ns) -
		    (x->started_real_ns < y->started_real_ns);
	return d ? d : (x->key > y->key) - (x->key < y->key);
}

static void name_instances(struct metric_target **t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct view_process *p = t[i]->process;
		const char *id = p->identity->service_instance_id;

		if (i && !by_identity(p->identity, t[i - 1]->process->identity))
			snprintf(t[i]->instance, sizeof(t[i]->instance), "%s%s%d", id,
				 *id ? "." : "", (int)p->pid);
		else
			snprintf(t[i]->instance, sizeof(t[i]->instance), "%s", id);
	}
}

struct metric_target *metric_targets(const struct view *v, size_t *n)
{
	struct metric_target *t, **order;

	*n = 0;
	if (!v->nprocess)
		return NULL;
	t = calloc(v->nprocess, sizeof(*t));
	order = calloc(v->nprocess, sizeof(struct metric_target *));
	if (!t || !order) {
		free(t);
		free(order);
		*n = SIZE_MAX;
		return NULL;
	}
	for (size_t i = 0; i < v->nprocess; i++)
		if (v->process[i].totals || v->process[i].nfinding) {
			order[*n] = &t[*n];
			t[(*n)++].process = &v->process[i];
		}
	qsort(order, *n, sizeof(struct metric_target *), by_identity_and_age);
	name_instances(order, *n);
	free(order);
	return t;
}

int metric_identity(const struct metric_target *t, const struct host_config *c,
		    struct metric_label *out)
{
	const struct identity *i = t->process->identity;
	int n = 0;

	out[n++] = (struct metric_label){ "service.name", i->service_name };
	out[n++] = (struct metric_label){ "service.namespace", i->service_namespace };
	out[n++] = (struct metric_label){ "service.instance.id", t->instance };
	out[n++] = (struct metric_label){ "k8s.namespace.name", i->pod_namespace };
	out[n++] = (struct metric_label){ "k8s.pod.name", i->pod_name };
	out[n++] = (struct metric_label){ "k8s.container.name", i->container_name };
	for (size_t k = 0; k < c->labels.n; k++)
		out[n++] = (struct metric_label){ c->labels.pair[k].name, c->labels.pair[k].value };
	return n;
}

int metric_description(const struct view_process *p, struct metric_label *out)
{
	const struct identity *i = p->identity;
	const struct metric_label all[METRIC_MAX_DESCRIPTION] = {
		{ "process.executable.path", p->exe },
		{ "process.executable.build_id.go", p->go_build_id },
		{ "process.runtime.version", p->go },
		{ "service.version", *i->service_version ? i->service_version : p->module_version },
		{ "container.id", i->container_id },
		{ "k8s.pod.uid", i->pod_uid },
		{ "host.name", i->host_name },
		{ "systemd.unit", i->unit },
	};

	memcpy(out, all, sizeof(all));
	return METRIC_MAX_DESCRIPTION;
}
