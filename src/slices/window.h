/* SPDX-License-Identifier: BSD-2-Clause */
/* Slices that append moved to a larger array, as a part of a window. */
#ifndef GOSPECT_SLICES_WINDOW_H
#define GOSPECT_SLICES_WINDOW_H

#include "model/window.h"

struct slice_row {
	bool other;          /* appended by the standard library, or found no room */
	struct place place;  /* the user's append */
	const char *element; /* type, owned by the observer; NULL not known */
	uint64_t growths;    /* reallocations */
	uint64_t begun;      /* of them, that gave a slice its first array on the heap */
	uint64_t bytes;      /* copied */
	/* since the observation began, of a slice here: the longest when it was moved, and the
	 * capacity that it was given, before that is rounded up to a size class */
	uint64_t max_length, capacity;
	enum exactness exactness;
	double rate; /* share of the window that was counted */
};

struct slices_window {
	bool known;
	struct slice_row *row;
	int nrow; /* owned; most bytes first */
	uint64_t growths, bytes;
	uint64_t alloc_bytes; /* all that the program allocated; 0 not known */
	enum exactness exactness;
};

/* Reallocations for each slice that begins; 0: none has begun. */
double slice_row_per_slice(const struct slice_row *r);
/* Frees what it owns; it is then empty. */
void slices_window_deinit(struct slices_window *s);

#endif
