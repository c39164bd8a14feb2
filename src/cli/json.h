/* SPDX-License-Identifier: BSD-2-Clause */
/* The little of JSON that the commands share; src/report has the report's own. */
#ifndef GOSPECT_CLI_JSON_H
#define GOSPECT_CLI_JSON_H

#include <jansson.h>

#include "base/buf.h"

/* Foreign text as a member; left out when NULL. Invalid UTF-8 is replaced. */
void json_set_text(json_t *object, const char *key, const char *text);
/* Appends the object on one line and frees it. */
void json_print(json_t *root, struct buf *out);

#endif
