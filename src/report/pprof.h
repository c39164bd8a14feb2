/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Profiles that `go tool pprof` opens: profile.proto of github.com/google/pprof,
 * encoded by hand (it has a dozen fields) and gzipped.
 */
#ifndef GOSPECT_REPORT_PPROF_H
#define GOSPECT_REPORT_PPROF_H

#include "base/buf.h"
#include "report/report.h"

/*
 * The goroutines by stack, with labels `state`, `wait_reason` and their own
 * pprof labels.  Appends the gzipped bytes.  0; -EOPNOTSUPP when the window has
 * no dump; -ENOMEM, -ENOSPC.
 */
int report_pprof_goroutines(const struct report *r, struct buf *out);
/* The heap profile with runtime/pprof's four sample types.  As above. */
int report_pprof_heap(const struct report *r, struct buf *out);

#endif
