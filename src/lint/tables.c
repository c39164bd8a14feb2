/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/tables.h"

#include "lint/lint.h"

#define S struct typed_nil
static const struct column typed_nil_column[] = {
	PLACE(S, place, "place", "where the pointer becomes an error"),
	TEXT(S, type, "type", "its type"),
	WORD(S, certainty, "certainty", certainty_word,
	     "constant: it is nil whenever the line is reached; path: on a path to it; callee: a "
	     "called function can return nil there"),
	PLACE(S, condition, "condition", "the last condition on the path"),
	PLACE(S, callee, "callee", "the called function"),
};
#undef S

const struct table typed_nil_rows =
	TABLE("typed_nil", "A line that returns a nil pointer as an error that is not nil.",
	      struct typed_nil, typed_nil_column);
