/* SPDX-License-Identifier: BSD-2-Clause */
/* A last look at the running process before a verdict is given. */
#ifndef GOSPECT_PROVE_VERIFY_H
#define GOSPECT_PROVE_VERIFY_H

#include "prove/snap.h"

/*
 * Takes back what does not stand the look; what cannot be read is a loss.  0, -EFAULT as snap_judge(),
 * -EBADMSG, -ESRCH, -ENOMEM.
 */
int verify_leaks(struct snap *s);

#endif
