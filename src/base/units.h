/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers with units, as people write them in options and configurations. */
#ifndef GOSPECT_BASE_UNITS_H
#define GOSPECT_BASE_UNITS_H

#include <stdint.h>

/* "500ms", "5s", "2m", "1h" (also "0"): 0 or -EINVAL. */
int duration_parse(const char *s, uint64_t *ns);
/* "800M", "2G" (powers of 1024; also "2GiB"): 0 or -EINVAL. */
int size_parse(const char *s, uint64_t *bytes);
/* "1%" or "1": 0 or -EINVAL. */
int percent_parse(const char *s, double *pct);

#endif
