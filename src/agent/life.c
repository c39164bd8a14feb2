/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/life.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"

char *life_id(const struct identity *who, const struct finding *f, char out[LIFE_ID_SIZE])
{
	uint64_t part[4] = {
		hash_bytes(who->service_namespace, strlen(who->service_namespace)),
		hash_bytes(who->service_name, strlen(who->service_name)),
		hash_bytes(f->kind, strlen(f->kind)),
		hash_bytes(f->id, strlen(f->id)),
	};

	snprintf(out, LIFE_ID_SIZE, "%016" PRIx64, hash_bytes(part, sizeof(part)));
	return out;
}
