/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/identity.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/otelctx.h"
#include "base/vec.h"
#include "proc/mem.h"
#include "proc/process.h"
#include "proc/procfs.h"

#define ENVIRON_MAX  (128u << 10) /* bytes of an environment that are looked through */
#define ENVIRON_READ 4096
#define NAMES_MAX    100000 /* entries of a directory */

/* --- the names of log files -------------------------------------------------------- */

/* At most size - 1 bytes. */
static void take(char *out, size_t size, const char *from, size_t n)
{
	if (n >= size)
		n = size - 1;
	memcpy(out, from, n);
	out[n] = '\0';
}

/* POD_NAMESPACE_CONTAINER-ID.log: none of these names has an underscore. */
static bool container_link(struct identity *id, const char *name)
{
	size_t n = strlen(name), k = strlen(id->container_id);
	const char *ns = strchr(name, '_'), *container = ns ? strchr(ns + 1, '_') : NULL;
	const char *end = name + n - k - 5; /* the dash before "ID.log" */

	if (!container || n < k + 5 || end <= container || *end != '-' ||
	    strcmp(name + n - 4, ".log") || memcmp(end + 1, id->container_id, k))
		return false;
	take(id->pod_name, sizeof(id->pod_name), name, (size_t)(ns - name));
	take(id->pod_namespace, sizeof(id->pod_namespace), ns + 1, (size_t)(container - ns - 1));
	take(id->container_name, sizeof(id->container_name), container + 1,
	     (size_t)(end - container - 1));
	return true;
}

/* NAMESPACE_POD_UID */
static bool pod_folder(struct identity *id, const char *name)
{
	const char *pod = strchr(name, '_'), *uid = pod ? strchr(pod + 1, '_') : NULL;

	if (!uid || strcmp(uid + 1, id->pod_uid))
		return false;
	take(id->pod_namespace, sizeof(id->pod_namespace), name, (size_t)(pod - name));
	take(id->pod_name, sizeof(id->pod_name), pod + 1, (size_t)(uid - pod - 1));
	return true;
}

static bool look_in(struct identity *id, const char *log_dir, const char *folder,
		    bool (*fits)(struct identity *id, const char *name))
{
	struct dirent *d;
	bool found = false;
	char path[512];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", log_dir, folder);
	dir = opendir(path);
	for (int i = 0; dir && !found && i < NAMES_MAX && (d = readdir(dir)); i++)
		found = fits(id, d->d_name);
	if (dir)
		closedir(dir);
	return found;
}

void identity_names(struct identity *id, const char *log_dir)
{
	if (id->container_id[0] && look_in(id, log_dir, "containers", container_link))
		return;
	if (id->pod_uid[0])
		look_in(id, log_dir, "pods", pod_folder);
}

/* --- the environment --------------------------------------------------------------- */

static int hex(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10
					    : -1;
}

/* One "key=value" of the list, percent-decoded into out; where the value begins there, or -1. */
static int decode(const char *from, size_t n, char *out)
{
	const char *equals = memchr(from, '=', n);
	size_t key = equals ? (size_t)(equals - from) : 0, k = 0;
	int value;

	while (key && isspace((unsigned char)from[0]))
		from++, key--, n--;
	while (key && isspace((unsigned char)from[key - 1]))
		key--;
	if (!key)
		return -1;
	memcpy(out, from, key);
	out[key] = '\0';
	value = (int)key + 1;
	for (const char *p = equals + 1, *end = from + n; p < end; k++) {
		if (*p != '%') {
			out[value + (int)k] = *p++;
			continue;
		}
		if (end - p < 3 || hex(p[1]) < 0 || hex(p[2]) < 0 || !(hex(p[1]) | hex(p[2])))
			return -1;
		out[value + (int)k] = (char)(hex(p[1]) << 4 | hex(p[2]));
		p += 3;
	}
	out[value + (int)k] = '\0';
	return value;
}

/* Where an attribute has a place of its own; NULL: it has not. */
static char *place_of(struct identity *id, const char *key, size_t *size)
{
	const struct {
		const char *key;
		char *place;
		size_t size;
	} table[] = {
		{ "service.name", id->service_name, sizeof(id->service_name) },
		{ "service.namespace", id->service_namespace, sizeof(id->service_namespace) },
		{ "service.instance.id", id->service_instance_id, sizeof(id->service_instance_id) },
		{ "service.version", id->service_version, sizeof(id->service_version) },
		{ "k8s.pod.name", id->pod_name, sizeof(id->pod_name) },
		{ "k8s.namespace.name", id->pod_namespace, sizeof(id->pod_namespace) },
		{ "k8s.container.name", id->container_name, sizeof(id->container_name) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(key, table[i].key)) {
			*size = table[i].size;
			return table[i].place;
		}
	return NULL;
}

/* What came first stays, and what the machine says itself is not for a process to say.  True: the
 * text is needed. */
static bool keep(struct identity *id, const char *key, const char *value)
{
	static const char *const ours[] = { "container.id", "k8s.pod.uid", "host.name",
					    "process.pid" };
	size_t size;
	char *place = place_of(id, key, &size);

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (!strcmp(key, ours[i]))
			return false;
	if (place && !place[0])
		take(place, size, value, strlen(value));
	for (int i = 0; i < id->nattribute; i++)
		if (!strcmp(key, id->attribute[i].key))
			return false;
	if (place || id->nattribute == IDENTITY_MAX_ATTRIBUTES)
		return false;
	id->attribute[id->nattribute++] = (struct identity_attribute){ key, value };
	return true;
}

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* Of the process, its machine and its SDK others know better; "unknown_service" is none. */
void identity_published(void *arg, const char *key, const char *value)
{
	struct identity *id = arg;
	char *text = id->attribute_text + id->attribute_used;
	size_t k = strlen(key) + 1, n = k + strlen(value) + 1;

	if (begins(key, "process.") || begins(key, "telemetry.") ||
	    (!strcmp(key, "service.name") && begins(value, "unknown_service")) ||
	    n > sizeof(id->attribute_text) - id->attribute_used)
		return;
	memcpy(text, key, k);
	memcpy(text + k, value, n - k);
	if (keep(id, text, text + k))
		id->attribute_used += n;
}

int identity_attributes(struct identity *id, const char *value)
{
	const size_t room = sizeof(id->attribute_text) - id->attribute_used;
	char text[sizeof(id->attribute_text)], *kept = id->attribute_text + id->attribute_used;
	int key[64], val[64], n = 0;
	size_t used = 0;

	while (*value) {
		const char *end = strchrnul(value, ',');
		size_t len = (size_t)(end - value);

		if (n == (int)ARRAY_SIZE(key) || used + len + 2 > room)
			return -EBADMSG;
		if (strspn(value, " \t") < len) { /* an empty one is none */
			int at = decode(value, len, text + used);

			if (at < 0)
				return -EBADMSG;
			key[n] = (int)used;
			val[n] = (int)used + at;
			used = (size_t)val[n] + strlen(text + val[n]) + 1;
			n++;
		}
		value = *end ? end + 1 : end;
	}
	memcpy(kept, text, used);
	id->attribute_used += used;
	for (int i = 0; i < n; i++)
		keep(id, kept + key[i], kept + val[i]);
	return 0;
}

/* The value of a variable, if the entry is it. */
static const char *value_of(const char *entry, size_t n, const char *name)
{
	size_t k = strlen(name);

	return n > k && !memcmp(entry, name, k) && entry[k] == '=' ? entry + k + 1 : NULL;
}

void identity_environ(struct identity *id, const char *bytes, size_t n)
{
	char attributes[sizeof(id->attribute_text)] = "";

	while (n) {
		size_t len = strnlen(bytes, n);
		const char *v = value_of(bytes, len, "OTEL_SERVICE_NAME");

		if (v && !id->service_name[0])
			take(id->service_name, sizeof(id->service_name), v,
			     len - (size_t)(v - bytes));
		v = value_of(bytes, len, "OTEL_RESOURCE_ATTRIBUTES");
		if (v && len - (size_t)(v - bytes) < sizeof(attributes))
			take(attributes, sizeof(attributes), v, len - (size_t)(v - bytes));
		bytes += len;
		n -= len;
		if (n)
			bytes++, n--;
	}
	identity_attributes(id, attributes);
}

/* Through memory: /proc/PID/environ is refused to who is not its user, even with CAP_SYS_PTRACE. */
static void read_environ(struct identity *id, const struct process *p, struct memreader *m)
{
	struct procfs_stat st;
	char stat[2048], *bytes;
	size_t n = 0, size;

	if (procfs_read_short(p->proc_fd, "stat", stat, sizeof(stat)) ||
	    procfs_parse_stat(stat, &st) || st.env_end <= st.env_start)
		return;
	size = st.env_end - st.env_start;
	size = size > ENVIRON_MAX ? ENVIRON_MAX : size;
	bytes = malloc(size);
	while (bytes && n < size) {
		size_t piece = size - n < ENVIRON_READ ? size - n : ENVIRON_READ;

		if (mem_read(m, st.env_start + n, bytes + n, piece))
			break;
		n += piece;
	}
	if (n)
		identity_environ(id, bytes, n);
	if (bytes)
		explicit_bzero(bytes, size); /* others' secrets */
	free(bytes);
}

/* --- what nobody said --------------------------------------------------------------- */

/* Letters that Kubernetes makes suffixes of (apimachinery's util/rand). */
static size_t suffix_run(const char *s, size_t n, size_t least, size_t most)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	size_t k = 0;

	while (k < n && memchr(letters, s[n - 1 - k], sizeof(letters) - 1))
		k++;
	return k >= least && k <= most && n > k + 1 && s[n - 1 - k] == '-' ? k + 1 : 0;
}

static size_t number_run(const char *s, size_t n)
{
	size_t k = 0;

	while (k < n && isdigit((unsigned char)s[n - 1 - k]))
		k++;
	return k && n > k + 1 && s[n - 1 - k] == '-' ? k + 1 : 0;
}

/* "shop-7d9c5b8f6d-x2k4p" and "shop-0" are "shop": a guess. */
static void name_of_pod(const char *pod, char *out, size_t size)
{
	size_t n = strlen(pod), cut = suffix_run(pod, n, 5, 5);

	n -= cut ? cut : number_run(pod, n);
	if (cut)
		n -= suffix_run(pod, n, 8, 10);
	take(out, size, pod, n);
}

static void name_of_unit(const char *unit, char *out, size_t size)
{
	size_t n = strlen(unit);

	take(out, size, unit, n > 8 && !strcmp(unit + n - 8, ".service") ? n - 8 : n);
}

static void settle_name(struct identity *id, const char *exe)
{
	const char *base = strrchr(exe, '/');
	char *out = id->service_name;
	size_t size = sizeof(id->service_name);

	if (out[0])
		return;
	base = base ? base + 1 : exe;
	id->service_guessed = true;
	if (id->pod_name[0])
		name_of_pod(id->pod_name, out, size);
	else if (id->container_name[0])
		take(out, size, id->container_name, strlen(id->container_name));
	else if (id->unit[0])
		name_of_unit(id->unit, out, size);
	else
		take(out, size, base[0] ? base : "unknown", base[0] ? strlen(base) : 7);
}

static void settle_instance(struct identity *id)
{
	char what[256];

	if (id->service_instance_id[0])
		return;
	if (id->pod_name[0] && id->container_name[0]) {
		snprintf(id->service_instance_id, sizeof(id->service_instance_id),
			 "%.63s.%.253s.%.253s", id->pod_namespace, id->pod_name,
			 id->container_name);
		return;
	}
	if (id->container_id[0])
		take(what, sizeof(what), id->container_id, 12);
	else if (id->unit[0])
		name_of_unit(id->unit, what, sizeof(what));
	else
		take(what, sizeof(what), id->service_name, strlen(id->service_name));
	snprintf(id->service_instance_id, sizeof(id->service_instance_id), "%s.%s", id->host_name,
		 what);
}

void identity_settle(struct identity *id, const char *exe)
{
	settle_name(id, exe);
	if (!id->service_namespace[0])
		take(id->service_namespace, sizeof(id->service_namespace), id->pod_namespace,
		     strlen(id->pod_namespace));
	settle_instance(id);
}

void identity_version(struct identity *id, const char *module_version)
{
	if (!id->service_version[0] && strcmp(module_version, "(devel)"))
		take(id->service_version, sizeof(id->service_version), module_version,
		     strlen(module_version));
}

/* Attributes point into the identity itself. */
void identity_copy(const struct identity *from, struct identity *to)
{
	*to = *from;
	for (int i = 0; i < to->nattribute; i++) {
		to->attribute[i].key =
			to->attribute_text + (from->attribute[i].key - from->attribute_text);
		to->attribute[i].value =
			to->attribute_text + (from->attribute[i].value - from->attribute_text);
	}
}

void identity_find(const struct process *p, struct memreader *m, struct otelctx *context)
{
	char *maps;

	if (procfs_read(p->proc_fd, "maps", &maps, NULL))
		return;
	otelctx_find(context, m, maps);
	free(maps);
}

static void read_published(struct identity *id, const struct process *p, struct memreader *m,
			   struct otelctx *context)
{
	if (!context->addr)
		identity_find(p, m, context);
	if (context->addr)
		otelctx_read(context, m, identity_published, id);
}

void identity_of(struct identity *id, const struct process *p, struct memreader *m,
		 struct otelctx *context, const char *log_dir)
{
	char *text;

	memset(id, 0, sizeof(*id));
	if (gethostname(id->host_name, sizeof(id->host_name) - 1))
		id->host_name[0] = '\0';
	if (!procfs_read(p->proc_fd, "cgroup", &text, NULL)) {
		identity_cgroup(id, text);
		free(text);
	}
	identity_names(id, log_dir);
	if (m && context)
		read_published(id, p, m, context);
	if (m)
		read_environ(id, p, m);
	identity_settle(id, p->exe);
}

struct who *who_new(void)
{
	struct who *w = calloc(1, sizeof(*w));

	if (w)
		w->refs = 1;
	return w;
}

struct who *who_get(struct who *w)
{
	w->refs++;
	return w;
}

void who_put(struct who *w)
{
	if (w && !--w->refs)
		free(w);
}
