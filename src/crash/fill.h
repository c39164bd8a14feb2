/* SPDX-License-Identifier: BSD-2-Clause */
/* From what the kernel side kept of the process's end to the crash part of a window. */
#ifndef GOSPECT_CRASH_FILL_H
#define GOSPECT_CRASH_FILL_H

#include "crash/window.h"
#include "gort/gotypes.h"
#include "gospect/crash.h"
#include "model/look.h"

/* Names of types, read from the file: the process is gone. */
struct crash_types {
	struct memreader mem;
	struct goruntime rt;   /* the process's, with that memory */
	struct gotypes *names; /* NULL: no names */
};
void crash_types_init(struct crash_types *t, const struct goruntime *rt);
void crash_types_deinit(struct crash_types *t);
/*
 * What the kernel could not read of a value or a message: constants that nobody had touched
 * are not in memory, but in the file.
 */
void crash_read_constants(struct crash_types *t, struct gs_crash_panic *p);
/* "main.MyErr"; NULL: nil or not known.  Owned by t. */
const char *crash_type_name(struct crash_types *t, uint64_t type);
/*
 * The value of a panic as the runtime prints it (runtime.printpanicval) into out
 * (CRASH_MAX_MESSAGE + 1 bytes); *cut: it is longer.
 */
void crash_value(struct crash_types *t, const struct gs_crash_panic *p, char *out, bool *cut);

/*
 * The same of a value as it was given: what errors of errors.New, fmt.Errorf and the runtime
 * print.  Those of other types have no message: theirs is made by code of the program.
 */
void crash_given(struct crash_types *t, const struct gs_crash_panic *p, char *out);
/* Panics that were recovered in the window: 0, -ENOMEM. */
int panics_fill(const struct look *l, struct crash_window *out);

/*
 * The pcs of a record's stack, innermost first, by the frame sizes of the function table,
 * beginning with the first frame that is not of the way to the end (throw, fatalpanic, …):
 * how many.  *whole: to where the goroutine began.
 */
int crash_unwind(const struct goruntime *rt, const struct gs_crash *c, uint64_t *pcs, int max,
		 bool *whole);

/* What other goroutines waited for when the record was made: 0, -ENOMEM. */
int crash_take_others(const struct look *l, const struct gs_crash *c, struct crash_window *out);

/* All that is known of an end that has come, or nothing.  d: NULL where there are no
 * tracepoints.  records: n copies.  0, -ENOMEM. */
int crash_fill(struct crash_window *out, const struct look *l, struct gs_crash *const *record,
	       int n, const struct gs_death *d);

/* "SIGTERM"; static. */
const char *crash_signal_name(int sig);
/* Sets out->ended and out->says. */
void crash_say(struct crash_window *out);

#endif
