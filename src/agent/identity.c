/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/identity.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void identity_of_exe(struct identity *id, const char *exe)
{
	const char *base = strrchr(exe, '/');

	memset(id, 0, sizeof(*id));
	if (gethostname(id->host_name, sizeof(id->host_name) - 1))
		id->host_name[0] = '\0';
	base = base ? base + 1 : exe;
	snprintf(id->service_name, sizeof(id->service_name), "%s", base[0] ? base : "unknown");
	snprintf(id->service_instance_id, sizeof(id->service_instance_id), "%s.%s", id->host_name,
		 id->service_name);
	id->service_guessed = true;
}
