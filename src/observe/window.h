/* SPDX-License-Identifier: BSD-2-Clause */
/* A window with all of its parts, as one owned value. */
#ifndef GOSPECT_OBSERVE_WINDOW_H
#define GOSPECT_OBSERVE_WINDOW_H

#include "cpu/window.h"
#include "crash/window.h"
#include "goroutines/window.h"
#include "locks/window.h"
#include "memory/window.h"
#include "model/window.h"
#include "net/window.h"
#include "slices/window.h"
#include "sql/window.h"

/* Empty, with a part for each subject: 0, or -ENOMEM and then it has none. */
int window_init(struct window *w);
/* Frees what the window owns, not the window; a zeroed one is fine. */
void window_deinit(struct window *w);

#endif
