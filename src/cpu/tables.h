/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables about CPU time, described (model/schema.h). */
#ifndef GOSPECT_CPU_TABLES_H
#define GOSPECT_CPU_TABLES_H

#include "model/schema.h"

extern const struct table cpu_object, cpu_functions, cpu_sites;

#endif
