/* SPDX-License-Identifier: BSD-2-Clause */
/* The page for people: findings, then every Go process with its last hour. */
#ifndef GOSPECT_EXPORT_HOME_H
#define GOSPECT_EXPORT_HOME_H

#include "agent/view.h"
#include "base/buf.h"
#include "export/history.h"

/* Appends the page; out->err tells. */
void home_page(const struct view *v, const struct history *h, struct buf *out);

#endif
