/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the path of a cgroup says.  A pod's is looked for anywhere in it, not
 * behind "kubepods": from a cgroup namespace of its own, as a pod has it, the
 * path of another one begins with "/../".
 */
#include "agent/identity.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proc/procfs.h"

#define UUID 36 /* characters, with dashes */
#define HASH 32 /* of a static pod, whose UID is a hash */

static bool is_hex(char c)
{
	return isdigit((unsigned char)c) || (c >= 'a' && c <= 'f');
}

/* A UUID with '-' or, in systemd's names, '_' at s. */
static bool is_uuid(const char *s, const char *end)
{
	if (end - s < UUID)
		return false;
	for (int i = 0; i < UUID; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' && s[i] != '_' : !is_hex(s[i]))
			return false;
	}
	return end - s == UUID || !isalnum((unsigned char)s[UUID]);
}

static bool is_hash(const char *s, const char *end)
{
	if (end - s < HASH)
		return false;
	for (int i = 0; i < HASH; i++)
		if (!is_hex(s[i]))
			return false;
	return end - s == HASH || s[HASH] == '/' || s[HASH] == '.';
}

/* "…/podUID/…", "…-podUID.slice": the innermost. */
static void find_pod(struct identity *id, const char *path, const char *end)
{
	for (const char *p = path; p + 3 < end; p++) {
		const char *uid = p + 3;
		size_t n = 0;

		if (memcmp(p, "pod", 3) || (p > path && p[-1] != '/' && p[-1] != '-'))
			continue;
		n = is_uuid(uid, end) ? UUID : is_hash(uid, end) ? HASH : 0;
		for (size_t i = 0; i < n; i++)
			id->pod_uid[i] = uid[i] == '_' ? '-' : uid[i];
		if (n)
			id->pod_uid[n] = '\0';
	}
}

static bool ends_with(const char *s, size_t n, const char *suffix)
{
	size_t k = strlen(suffix);

	return n > k && !memcmp(s + n - k, suffix, k);
}

/* What is between prefix and suffix of an element. */
static bool between(const char *s, size_t n, const char *prefix, const char *suffix, char *out,
		    size_t size)
{
	size_t k = strlen(prefix), m = strlen(suffix);

	if (n <= k + m || memcmp(s, prefix, k) || (m && !ends_with(s, n, suffix)))
		return false;
	snprintf(out, size, "%.*s", (int)(n - k - m), s + k);
	return true;
}

static bool find_machine(struct identity *id, const char *s, size_t n)
{
	char *out = id->machine;
	size_t size = sizeof(id->machine);

	return between(s, n, "lxc.payload.", "", out, size) ||
	       between(s, n, "machine-", ".scope", out, size) ||
	       between(s, n, "systemd-nspawn@", ".service", out, size);
}

/* Elements from the outside to the inside: a machine has units of its own. */
static void find_unit(struct identity *id, const char *path, const char *end)
{
	bool lxc = false;

	id->unit[0] = id->machine[0] = '\0';
	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		size_t n = (size_t)((slash ? slash : end) - path);

		if (lxc && n)
			snprintf(id->machine, sizeof(id->machine), "%.*s", (int)n, path);
		lxc = n == 3 && !memcmp(path, "lxc", 3);
		if (find_machine(id, path, n))
			id->unit[0] = '\0';
		/* what is only in a user's manager is no unit of its own */
		else if (ends_with(path, n, ".service") && memcmp(path, "user@", 5))
			snprintf(id->unit, sizeof(id->unit), "%.*s", (int)n, path);
		path += n + 1;
	}
}

/* Whether systemd has made it: version 2, or its own hierarchy of version 1. */
static bool is_systemds(const char *line, const char *path)
{
	return !memcmp(line, "0::", 3) || memmem(line, (size_t)(path - line), ":name=systemd:", 14);
}

void identity_cgroup(struct identity *id, const char *text)
{
	size_t longest = 0;

	procfs_parse_container(text, id->container_id, sizeof(id->container_id));
	while (*text) {
		const char *end = strchrnul(text, '\n');
		const char *path = memchr(text, ':', (size_t)(end - text));

		if (path)
			path = memchr(path + 1, ':', (size_t)(end - path - 1));
		if (path++) {
			find_pod(id, path, end);
			if (is_systemds(text, path) && (size_t)(end - path) > longest) {
				longest = (size_t)(end - path);
				find_unit(id, path, end);
			}
		}
		text = *end ? end + 1 : end;
	}
	/* the unit of a container's runtime is not the container's */
	if (id->container_id[0] || id->pod_uid[0])
		id->unit[0] = '\0';
}
