/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GOSPECT_BASE_THREAD_H
#define GOSPECT_BASE_THREAD_H

#include <pthread.h>

/* A thread with all signals blocked: they are for those that were there before.  The
 * caller's to join or to detach.  0 or -errno. */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
