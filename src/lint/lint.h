/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What can be seen wrong in the machine code of an executable, without running it.
 *
 * Typed nils: a function returns an error whose type word is set and whose pointer is nil, so
 * that `err != nil` is true though nothing went wrong.  Only what is certain: the nil is
 * constant on a path that nothing known rules out, or it is what a called function returns with
 * these arguments, and nobody looked at it.
 *
 * Requests without a timeout (lint/clients.h).  Knows the file alone.
 */
#ifndef GOSPECT_LINT_LINT_H
#define GOSPECT_LINT_LINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "lint/itabs.h"
#include "model/finding.h"
#include "model/place.h"

/* How it is known. */
enum certainty {
	CERTAIN_CONSTANT, /* whenever this is reached, the pointer is nil */
	CERTAIN_PATH,     /* on one path to it */
	CERTAIN_CALLEE    /* a called function has returned nil */
};
extern const char *const certainty_word[CERTAIN_CALLEE + 1];

/* Strings are the executable's (gobin) and the itabs'. */
struct typed_nil {
	struct place place; /* where the pointer becomes an error */
	const char *type;   /* "*main.MyError" */
	enum certainty certainty;
	struct place condition; /* the last condition on the path; may have no function */
	struct place callee;    /* of CALLEE */
};

/* A request whose end nothing in the function bounds. */
struct no_timeout {
	struct place place; /* where it is sent */
	const char *method; /* "Get", of http.Client; static */
	bool is_default;    /* by http.DefaultClient */
	struct place made;  /* else: where the client is made */
	bool transport;     /* … and has a Transport of its own */
};

struct lint_options {
	bool std;        /* the standard library, too */
	uint64_t max_ns; /* of time; what is not reached then is counted */
};

struct lint {
	struct itabs itabs;
	struct typed_nil *nil; /* owned; by place */
	int nnil;
	size_t nil_cap;

	struct no_timeout *client; /* owned; by place */
	int nclient;
	size_t client_cap;

	uint64_t functions;   /* that were looked into: assembly and the standard library apart */
	uint64_t walked;      /* of them, those that take the address of such an itab */
	uint64_t too_complex; /* of these: not judged */
	uint64_t partly;      /* of these: a jump leads nobody knows where */
	uint64_t not_reached; /* functions for which there was no time */
	uint64_t senders;     /* functions that call methods of http.Client */
	uint64_t senders_unjudged;
	uint64_t steps; /* instructions followed, for tests and measurements */
};

/* 0; -EOPNOTSUPP: an architecture that is not decoded; -ENOMEM.  lint_deinit() in any case. */
int lint_run(struct lint *l, struct gobin *gb, const struct lint_options *o, struct err *err);
void lint_deinit(struct lint *l);
/* The findings of it, sorted; the second adds those of requests. */
void lint_find(const struct lint *l, struct findings *found);
void lint_find_no_timeout(const struct lint *l, struct findings *found);

#endif
