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

#define S struct no_timeout
static const char *const client_word[] = { "own", "default" };

static void client_of(const struct row *r, struct value *v)
{
	v->text = client_word[((const S *)r->row)->is_default];
}

static const struct column no_timeout_column[] = {
	PLACE(S, place, "place", "where the request is sent"),
	TEXT(S, method, "method", "by which method of http.Client"),
	GOT(COLUMN_TEXT, "client", client_of,
	    "own: made in this function; default: http.DefaultClient"),
	PLACE(S, made, "made", "where an own one is made"),
	FLAG(S, transport, "transport", "an own one has a Transport of its own",
	     .flags = COLUMN_ABSENT_0),
};
#undef S

const struct table no_timeout_rows =
	TABLE("no_timeout", "A request that neither its client nor its context bounds.",
	      struct no_timeout, no_timeout_column);
