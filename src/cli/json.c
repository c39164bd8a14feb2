/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/json.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/text.h"

void json_set_text(json_t *object, const char *key, const char *text)
{
	char clean[2048];

	if (text)
		json_object_set_new(object, key,
				    json_string(words_fit(text, INT_MAX, clean, sizeof(clean))));
}

void json_print(json_t *root, struct buf *out)
{
	char *s = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(12));

	json_decref(root);
	if (!s) {
		out->err = -ENOMEM;
		return;
	}
	buf_puts(out, s);
	buf_puts(out, "\n");
	free(s);
}
