/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a table of the report is, described once: text, live screen, HTML, JSON,
 * diff, the redaction of hosts, the JSON Schema and the document of the report
 * all walk these descriptions.  Each subject describes its own in tables.c.
 *
 * A table is a list of rows of one struct; an object is a table of one row.
 * Columns stand in the order of the JSON members; people see those that have
 * a heading, in the order of `pos`.
 */
#ifndef GOSPECT_MODEL_SCHEMA_H
#define GOSPECT_MODEL_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/vec.h"
#include "model/stacktable.h"
#include "model/window.h"

#define SCHEMA_MAX_FRAMES 512 /* of one stack, inlined ones included */

struct table;

/* A row under the eyes of a walker. */
struct row {
	const struct window *w;
	const void *row;   /* of the table's struct */
	const void *owner; /* the row that the list is in; NULL: the window's own */
	uint64_t nrest;    /* > 0: the sum of so many rows that are not shown */
};

/* And what it is in memory. */
enum column_type {
	COLUMN_NONE,      /* for people alone: `cell` says it */
	COLUMN_COUNT,     /* uint64_t */
	COLUMN_BYTES,     /* uint64_t */
	COLUMN_NS,        /* uint64_t */
	COLUMN_GOID,      /* uint64_t; 0 not known */
	COLUMN_ADDRESS,   /* uint64_t */
	COLUMN_TIME,      /* uint64_t, nanoseconds since 1970; 0 not known */
	COLUMN_INTEGER,   /* int64_t */
	COLUMN_INT,       /* int */
	COLUMN_MOST,      /* int64_t: 0 is no limit, less is not known */
	COLUMN_REAL,      /* double, rounded to `step`; not finite: not known */
	COLUMN_LIMIT,     /* as REAL; its enum known is at `kind_at`, KNOWN_NO: null */
	COLUMN_FLAG,      /* bool */
	COLUMN_KNOWN,     /* enum known */
	COLUMN_TEXT,      /* const char *; NULL not known */
	COLUMN_CHARS,     /* char[] */
	COLUMN_HOST,      /* char[WINDOW_MAX_HOST + 1]; redacted where that is asked for */
	COLUMN_WORD,      /* enum: `word` names its values; another one: not known */
	COLUMN_PLACE,     /* struct place */
	COLUMN_AGE,       /* double, seconds; its enum age_kind is at `kind_at` */
	COLUMN_EXACTNESS, /* enum exactness; its rate, a double, at `kind_at` */
	COLUMN_STACK,     /* uint32_t, in the table of `stacks`, or places: how many at `kind_at` */
	COLUMN_PAIRS,     /* object with the names of `pair` */
	COLUMN_OBJECT,    /* one row of `sub`: pointer to it */
	COLUMN_ROWS,      /* rows of `sub`: pointer to them; how many, an int, at `kind_at` */
};

enum column_flag {
	COLUMN_DASH_0 = 1 << 0,     /* people see "-" for 0 */
	COLUMN_ABSENT_0 = 1 << 1,   /* absent when it is 0, false or "" */
	COLUMN_MARK = 1 << 2,       /* people see "~" where the row is not exact */
	COLUMN_INSIDE = 1 << 3,     /* of an object: in the struct itself, no pointer to it */
	COLUMN_NO_REST = 1 << 4,    /* the sum of the rest has none */
	COLUMN_NAME_REST = 1 << 5,  /* people see "12 more" here in the sum */
	COLUMN_MAX_REST = 1 << 6,   /* the sum has the largest */
	COLUMN_POSITIVE = 1 << 7,   /* of a real number: less than 0 is not known */
	COLUMN_BOUND = 1 << 8,      /* of an age only "at_least" is said */
	COLUMN_RIGHT = 1 << 9,      /* people see it aligned to the right, as numbers are */
	COLUMN_END = 1 << 10,       /* shrunk, it loses its beginning, as places do */
	COLUMN_SOMETIMES = 1 << 11, /* absent for a reason that no other flag says */
	COLUMN_STREAM = 1 << 12,    /* rows without a maximum, and without a sum */
	COLUMN_NULL = 1 << 13,      /* null where it is known that there is none */
	COLUMN_FUNCTION =
		1 << 14, /* of a place: rows of two reports are the same by its function */
};

/* What a getter says. */
struct value {
	enum { VALUE_ABSENT, VALUE_NULL, VALUE_THERE } is;
	union {
		uint64_t count;
		int64_t integer; /* COLUMN_INTEGER, INT, MOST */
		double real;     /* COLUMN_REAL, LIMIT, AGE */
		bool flag;
		const char *text; /* COLUMN_TEXT, CHARS, HOST, WORD */
		const struct place *place;
		enum exactness exactness;
		struct {
			const void *first;
			size_t n;
		} rows; /* COLUMN_OBJECT and COLUMN_ROWS */
	};
	enum age_kind age;
	double rate; /* of EXACTNESS; 0: none */
};

/* A member whose name is no word of ours. */
struct pair {
	const char *key; /* foreign text */
	char words[280]; /* room for it */
	enum column_type type;
	union {
		uint64_t count;
		double real;
		const char *text;
	};
};

struct column {
	const char *key;  /* of the JSON member; NULL: for people alone */
	const char *what; /* for the document; NULL: for people alone */
	enum column_type type;
	unsigned flags;
	bool flat;         /* a place whose function, file and line are the row's own members */
	uint16_t at;       /* offset in the row */
	uint16_t kind_at;  /* this and those below: offset + 1, or 0 where there is none */
	uint16_t of_at;    /* of an age: its uint64_t count; 0 of them: an age of 0 */
	uint16_t known_at; /* of a bool in the row that says whether it is known */
	uint16_t timed_at; /* of a percentile: the uint64_t that says of how many it is */
	uint16_t least;    /* … and how many it takes: fewer, and it is not known */
	uint16_t nword;    /* of word[] */
	int16_t pos;       /* for people: 1, 2, …; 0: not shown */
	int16_t min;       /* may be shrunk to; 0: never shrunk */
	int16_t id;        /* > 0: names the row in a comparison of reports, in that order */
	double step;
	const char *age_key;                               /* "age" where NULL */
	const char *const *word;                           /* by value */
	bool (*known)(const struct row *r);                /* NULL: always */
	void (*get)(const struct row *r, struct value *v); /* instead of the offset; v is zeroed */
	const struct stack_table *(*stacks)(const struct window *w);
	bool (*pair)(const struct row *r, size_t i, struct pair *out); /* false: no more */
	const struct table *sub;

	/* for people */
	const char *head;
	const char *none; /* for what is not known; "-" where NULL */
	void (*cell)(const struct row *r, struct buf *out); /* instead of what the type says */
	bool (*left_out)(const struct window *w);           /* the column is not in this table */

	const char *metric; /* name of its metric, where it is one */
};

struct table {
	const char *name; /* of a row, one word: "client" */
	const char *what; /* a sentence for the document */
	const struct column *column;
	int ncolumn;
	size_t size;     /* of a row */
	size_t other_at; /* offset + 1 of a bool: the row is a sum already; 0: there is none */
	bool bare;       /* a row is the value of its first column */
	/* Of an object that is a part of the window: it, or NULL where nothing is known. */
	const void *(*part)(const struct window *w);
	/* At most so many rows in this window's report, beside REPORT_MAX_ROWS; NULL: no matter. */
	size_t (*most)(const struct window *w);
	/* What a sum needs beside its columns; 0 or -ENOMEM. */
	int (*add)(void *sum, const void *row, bool first);
	void (*free_sum)(void *sum);
	/* How exact the marked columns are: where the row says it (offset + 1), or for all rows. */
	size_t exactness_at;
	enum exactness (*exactness)(const struct window *w);

	/* for people */
	const char *label, *title;           /* "in flight", "Requests in flight" */
	bool (*any)(const struct window *w); /* NULL: where there are rows, or: */
	bool with_part;                      /* wherever its object is known */
	void (*sentence)(const struct window *w, struct buf *out);
	int lines;          /* of the sentence, at most; 0: 2 */
	const char *label2; /* of a second sentence; NULL: there is none */
	void (*sentence2)(const struct window *w, struct buf *out);
	int lines2;
	int max_rows; /* in a text; 0: as many as are asked for */
	/* What the list is a member of: an object, or a table each of whose rows has a list. */
	const struct table *of;
	uint64_t (*total)(
		const struct window *w); /* how many there are, where the rows are not all */
	void (*sort)(struct row *row, size_t n);
	void (*below)(const struct window *w, struct buf *out); /* lines under the table */

	/* for a comparison of reports */
	const char *diff_title; /* NULL: not compared */
	const char *diff_key;   /* the number that is compared */
	const char *diff_of; /* it is a share, in percent: of so many, in the object; else NULL */
	bool diff_per_s;     /* per second of the window */
};

/* The lines of a stack in a row, innermost first, at most max: how many. */
int schema_stack(const struct column *c, const struct row *r, const struct place **line, int max);
/* The value of a column in a row. */
void schema_value(const struct column *c, const struct row *r, struct value *v);

/* The rows of a table, cut to a maximum; what is not shown is summed in the last. */
struct rows {
	struct row *row; /* owned, and so is the sum */
	size_t n;
	void *sum;
	const struct table *table;
};

/*
 * At most max of the rows at v, the sum of the others included; a row that is
 * a sum already is always in it.  0 or -ENOMEM, and then there are none.
 */
int rows_init(struct rows *rows, const struct table *t, const struct window *w, const void *owner,
	      const struct value *v, size_t max);
/* Whether people see the table. */
bool table_any(const struct table *t, const struct window *w);
/* The rows that they see. */
int rows_of_window(struct rows *rows, const struct table *t, const struct window *w, size_t max);
void rows_deinit(struct rows *rows);

/* Each host in a row and in the lists of it, but not in what a getter or a part leads to. */
void schema_hosts(const struct table *t, void *row, void (*fn)(char *host, const void *arg),
		  const void *arg);

/* ---- descriptions ---- */

/* The offset of a member that has to be of that type. */
#define AT(S, M, T)     (offsetof(S, M) + 0 * sizeof((T *)0 == &((S *)0)->M))
#define OFFSET(S, M, T) (AT(S, M, T) + 1) /* of one that may be missing */
#define COLUMN(TYPE, KEY, PLACE_, WHAT, ...)                                        \
	{                                                                           \
		.type = TYPE, .key = KEY, .at = PLACE_, .what = WHAT, ##__VA_ARGS__ \
	}

#define COUNT(S, M, KEY, WHAT, ...) \
	COLUMN(COLUMN_COUNT, KEY, AT(S, M, uint64_t), WHAT, ##__VA_ARGS__)
#define BYTES(S, M, KEY, WHAT, ...) \
	COLUMN(COLUMN_BYTES, KEY, AT(S, M, uint64_t), WHAT, ##__VA_ARGS__)
#define NS(S, M, KEY, WHAT, ...) COLUMN(COLUMN_NS, KEY, AT(S, M, uint64_t), WHAT, ##__VA_ARGS__)
/* Percentiles of TIMED durations. */
#define P50_NS(S, M, TIMED, KEY, WHAT, ...)                                    \
	NS(S, M, KEY, WHAT "; absent of fewer than 3", .least = LEAST_FOR_P50, \
	   .timed_at = OFFSET(S, TIMED, uint64_t), .flags = COLUMN_NO_REST, ##__VA_ARGS__)
#define P99_NS(S, M, TIMED, KEY, WHAT, ...)                                               \
	NS(S, M, KEY, WHAT "; absent of fewer than 100: it would be the longest of them", \
	   .least = LEAST_FOR_P99, .timed_at = OFFSET(S, TIMED, uint64_t),                \
	   .flags = COLUMN_NO_REST, ##__VA_ARGS__)
#define GOID(S, M, KEY, WHAT, ...) COLUMN(COLUMN_GOID, KEY, AT(S, M, uint64_t), WHAT, ##__VA_ARGS__)
#define TIME(S, M, KEY, WHAT, ...) COLUMN(COLUMN_TIME, KEY, AT(S, M, uint64_t), WHAT, ##__VA_ARGS__)
#define INTEGER(S, M, KEY, WHAT, ...) \
	COLUMN(COLUMN_INTEGER, KEY, AT(S, M, int64_t), WHAT, ##__VA_ARGS__)
#define INT(S, M, KEY, WHAT, ...)  COLUMN(COLUMN_INT, KEY, AT(S, M, int), WHAT, ##__VA_ARGS__)
#define MOST(S, M, KEY, WHAT, ...) COLUMN(COLUMN_MOST, KEY, AT(S, M, int64_t), WHAT, ##__VA_ARGS__)
#define LIMIT(S, M, KNOWN, KEY, WHAT, ...)                                                         \
	COLUMN(COLUMN_LIMIT, KEY, AT(S, M, double), WHAT, .kind_at = OFFSET(S, KNOWN, enum known), \
	       .step = 0.001, ##__VA_ARGS__)
#define KNOWN(S, M, KEY, WHAT, ...) \
	COLUMN(COLUMN_KNOWN, KEY, AT(S, M, enum known), WHAT, ##__VA_ARGS__)
#define REAL(S, M, KEY, STEP, WHAT, ...) \
	COLUMN(COLUMN_REAL, KEY, AT(S, M, double), WHAT, .step = STEP, ##__VA_ARGS__)
#define FLAG(S, M, KEY, WHAT, ...) COLUMN(COLUMN_FLAG, KEY, AT(S, M, bool), WHAT, ##__VA_ARGS__)
#define TEXT(S, M, KEY, WHAT, ...) \
	COLUMN(COLUMN_TEXT, KEY, AT(S, M, const char *), WHAT, ##__VA_ARGS__)
#define CHARS(S, M, KEY, WHAT, ...) COLUMN(COLUMN_CHARS, KEY, offsetof(S, M), WHAT, ##__VA_ARGS__)
#define HOST(S, M, WHAT, ...)       COLUMN(COLUMN_HOST, "host", offsetof(S, M), WHAT, ##__VA_ARGS__)
#define WORD(S, M, KEY, WORDS, WHAT, ...)                                                         \
	COLUMN(COLUMN_WORD, KEY, offsetof(S, M), WHAT, .word = WORDS, .nword = ARRAY_SIZE(WORDS), \
	       ##__VA_ARGS__)
#define PLACE(S, M, KEY, WHAT, ...) \
	COLUMN(COLUMN_PLACE, KEY, AT(S, M, struct place), WHAT, ##__VA_ARGS__)
/* function, file and line are members of the row */
#define PLACE_FLAT(S, M, WHAT, ...) PLACE(S, M, "", WHAT, .flat = true, ##__VA_ARGS__)
#define AGE(S, M, KIND, KEY, WHAT, ...)                                \
	COLUMN(COLUMN_AGE, KEY, AT(S, M, double), WHAT, .step = 0.001, \
	       .kind_at = OFFSET(S, KIND, enum age_kind), ##__VA_ARGS__)
#define EXACTNESS(S, M, ...)                                            \
	COLUMN(COLUMN_EXACTNESS, "exactness", AT(S, M, enum exactness), \
	       "how exact the counts of this row are", ##__VA_ARGS__)
/* beside a count that may be sampled */
#define MARGIN(S, M, OF)                                                                       \
	COUNT(S, M, "margin",                                                                  \
	      "of `" OF "`, where it is sampled: in 19 of 20 windows the truth is no farther " \
	      "from it; absent: it is exact",                                                  \
	      .flags = COLUMN_ABSENT_0)
/* the same beside errors, which may come in bursts */
#define ERRORS_MARGIN(S, M)                                                               \
	COUNT(S, M, "errors_margin",                                                      \
	      "of `errors`, where they are sampled, as `margin` is; absent: it is exact", \
	      .flags = COLUMN_ABSENT_0)
#define RATE(S, M)                  .kind_at = OFFSET(S, M, double)
#define PAIRS(KEY, PAIR, WHAT, ...) COLUMN(COLUMN_PAIRS, KEY, 0, WHAT, .pair = PAIR, ##__VA_ARGS__)
#define STACK(S, M, STACKS, WHAT, ...) \
	COLUMN(COLUMN_STACK, "stack", AT(S, M, uint32_t), WHAT, .stacks = STACKS, ##__VA_ARGS__)
#define STACK_INSIDE(S, M, N, WHAT, ...)                                                  \
	COLUMN(COLUMN_STACK, "stack", offsetof(S, M), WHAT, .kind_at = OFFSET(S, N, int), \
	       ##__VA_ARGS__)
#define ROWS(S, M, N, KEY, SUB, WHAT, ...)                                                       \
	COLUMN(COLUMN_ROWS, KEY, offsetof(S, M), WHAT, .kind_at = OFFSET(S, N, int), .sub = SUB, \
	       ##__VA_ARGS__)
#define TABLE_ROWS(S, C) .column = C, .ncolumn = ARRAY_SIZE(C), .size = sizeof(S)
/* one of which nothing more is to be said */
#define TABLE(NAME, WHAT, S, C, ...)                                        \
	{                                                                   \
		.name = NAME, .what = WHAT, TABLE_ROWS(S, C), ##__VA_ARGS__ \
	}
/* whatever a getter says */
#define GOT(TYPE, KEY, GET, WHAT, ...) COLUMN(TYPE, KEY, 0, WHAT, .get = GET, ##__VA_ARGS__)
/* for people alone */
#define CELL(HEAD, POS, FN, ...)                                    \
	{                                                           \
		.head = HEAD, .pos = POS, .cell = FN, ##__VA_ARGS__ \
	}
#define SHOWN(POS, HEAD) .pos = POS, .head = HEAD

/* Numbers without a name: struct uint64_t is the row. */
extern const struct table schema_ids;
#define IDS(S, M, N, KEY, WHAT, ...)                                                 \
	COLUMN(COLUMN_ROWS, KEY, offsetof(S, M), WHAT, .kind_at = OFFSET(S, N, int), \
	       .sub = &schema_ids, .flags = COLUMN_INSIDE | COLUMN_NO_REST, ##__VA_ARGS__)
/* Every row of a nested list is exact. */
void schema_exact(const struct row *r, struct value *v);

#endif
