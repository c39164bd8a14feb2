/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql/window.h"

#include <stdlib.h>
#include <string.h>

void sql_window_deinit(struct sql_window *s)
{
	for (int i = 0; i < s->npool; i++)
		free(s->pool[i].holder);
	free(s->pool);
	free(s->query);
	free(s->statement);
	memset(s, 0, sizeof(*s));
}
