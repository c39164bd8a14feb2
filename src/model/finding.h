/* SPDX-License-Identifier: BSD-2-Clause */
/* A finding: what is wrong, where, how sure, and what to do about it. */
#ifndef GOSPECT_MODEL_FINDING_H
#define GOSPECT_MODEL_FINDING_H

#include "model/window.h"

enum severity { SEVERITY_INFO, SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH, SEVERITY_CRITICAL };

#define FINDING_MAX_NUMBERS  8
#define FINDING_MAX_EVIDENCE 8

struct finding_number {
	const char *name; /* "count", "per_minute"; static */
	double value;
	bool is_integer;
};

struct finding {
	char id[320];     /* stable over runs: "leak:main.(*Server).notify:notify.go:41" */
	const char *kind; /* "goroutine-leak"; static */
	enum severity severity;
	char title[320];    /* one sentence a tired engineer understands */
	struct place place; /* strings borrowed from the window */
	struct finding_number number[FINDING_MAX_NUMBERS];
	int nnumber;
	enum exactness exactness;
	double since_s; /* how long it has been so in this observation; < 0 not known */
	char evidence[FINDING_MAX_EVIDENCE][240];
	int nevidence;
	char advice[320];
	int lines;     /* of a text that it may have; 0: as many as any */
	double weight; /* order within a severity, larger first */
	/* What it is about beside its place, for observe/explain.c; borrowed from the window. */
	struct {
		const char *host; /* NULL: none, or all */
		int phase;        /* enum net_phase; -1: none */
		const void *row;  /* a pool, a holder, a lock's waits, an allocation; NULL */
	} about;
	char caused_by[320]; /* id of the finding that explains it; "": none known */
};

/* At most this many; the least are dropped and counted. */
#define FINDINGS_MAX 200

/* Empty where it is zeroed. */
struct findings {
	struct finding *f; /* owned */
	int n;
	uint64_t dropped;
	bool only_new; /* none is added whose id is there */
};

/* "info", …, "critical".  severity_parse: 0 or -EINVAL. */
extern const char *const severity_word[SEVERITY_CRITICAL + 1];
int severity_parse(const char *word, enum severity *out);

void findings_deinit(struct findings *fs);
/* A new, zeroed finding with kind, place, severity and id set
 * (id = id_prefix ":" function ":" file ":" line); NULL when full. */
struct finding *findings_add(struct findings *fs, const char *kind, const char *id_prefix,
			     enum severity s, const struct place *p);
/* The same about something else than a place (a host, a pool), which may have
 * one beside it: id = kind ":" subject, and the place if there is one.  The
 * subject is foreign text; a long one is cut and told apart by a hash. */
struct finding *findings_add_about(struct findings *fs, const char *kind, const char *subject,
				   enum severity s, const struct place *p);
/* What such an id begins with, and is when there is no place.  Returns out
 * (>= FINDING_PREFIX_MAX bytes). */
#define FINDING_PREFIX_MAX 128
char *finding_prefix(const char *kind, const char *subject, char *out);
void finding_title(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void finding_number(struct finding *f, const char *name, double v);
void finding_count(struct finding *f, const char *name, uint64_t v);
void finding_evidence(struct finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Before all other evidence; the last gives way where there is no more room. */
void finding_evidence_first(struct finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void finding_advice(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether one is that severe, or worse. */
bool findings_reach(const struct findings *fs, enum severity s);
/* Worst first, then weight, then id; a cause stands before what it causes. */
void findings_sort(struct findings *fs);

#endif
