/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From intent to probe sites: which instruction of which function, why that
 * one, and what a hit costs.  Works on a file alone; attaches nothing.
 *
 * The rules (measured): only instructions that the
 * kernel emulates; at or after the stack check (what comes before it runs
 * again when the stack grows); only at instruction starts reached by decoding
 * from the function's entry, and a function of which anything does not decode
 * is refused; code is read from the file, never from memory.
 */
#ifndef GOSPECT_PLAN_PLAN_H
#define GOSPECT_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/decode.h"
#include "base/err.h"
#include "gospect/kinds.h"
#include "plan/sensor.h"

struct gobin;

/* What functions of pgx begin with. */
#define PGX_V5 "github.com/jackc/pgx/v5"
#define PGX_V4 "github.com/jackc/pgx/v4"

enum site_kind {
	SITE_NONE,      /* refused or absent: why says it */
	SITE_BODY,      /* push %rbp after the stack check (or at +0 without one) */
	SITE_BRANCH,    /* the stack check's jbe: hits that take it do not count (Go <= 1.20) */
	SITE_CALL,      /* the call of an inner function */
	SITE_AFTER_CALL /* the first emulated instruction behind a call */
};

/* One instruction of the program. */
struct site {
	char function[64]; /* the function it is in */
	enum site_kind kind;
	uint64_t addr;      /* link-time address of the instruction */
	uint64_t file_off;  /* the same as offset in the file: what uprobes want */
	uint64_t func_off;  /* addr − entry of the function */
	uint64_t func_size; /* bytes of the function, padding behind it included */
	enum insn_class klass;
	char insn[64];     /* "push %rbp", "call runtime.runqput" */
	uint8_t bytes[16]; /* of the instruction, from the file */
	uint8_t len;
	int32_t slot; /* from SP to the argument that a hit reads; PROBE_NO_SLOT: none */
};

#define PROBE_MAX_SITES 24 /* more in one program: the probe is refused */
#define PROBE_NO_SLOT   INT32_MIN

struct probe {
	enum probe_id id;
	enum sensor sensor;
	enum probe_group group;
	char function[64];   /* the function it is placed in first, or would be */
	enum site_kind kind; /* of its first site; SITE_NONE: it has none */
	struct site site[PROBE_MAX_SITES];
	int nsite;      /* >= 1 unless kind is SITE_NONE */
	double cost_ns; /* per hit, measured; of the most expensive site; < 0: not measured */
	char why[160];  /* why there is no site; "" when there is one */
	bool absent;    /* the program has no such function: not a failure */
	bool useless;   /* … or for want of another, which has the reason */
};

/* Link-time code ranges [lo, hi) of functions whose callers' hits mean something else. */
enum plan_range {
	RANGE_RESOLVER_DIAL,  /* net.(*Resolver).dial */
	RANGE_SERVE_MUX,      /* net/http.(*ServeMux).ServeHTTP */
	RANGE_CLIENT_DO,      /* net/http.(*Client).do */
	RANGE_HANDLER_FUNC,   /* net/http.HandlerFunc.ServeHTTP */
	RANGE_HANDLER_METHOD, /* net/http.Handler.ServeHTTP as a func */
	RANGE_H2C,            /* golang.org/x/net/http2/h2c.(*h2cHandler).ServeHTTP */
	RANGE_HTTP, /* around net/http.(*Client).do: all of the standard library, net/http at least */
	RANGE_GIN, /* ServeHTTP of routers … */
	RANGE_ECHO,
	RANGE_CHI,
	RANGE_GRPC_STREAM, /* google.golang.org/grpc.(*Server).handleStream */
	RANGE_GRPC_CLOSE,  /* Close of its own HTTP/2 transport */
	RANGE_RUNTIME,     /* around runtime.growslice: the package, as far as it is in one piece */
	RANGE_COUNT
};

struct code_range {
	uint64_t lo, hi; /* both 0: not in the program */
};

/* One row per probe of the sensors asked for, in enum order. */
struct plan {
	struct probe probe[PROBE_COUNT];
	int n;
	struct code_range range[RANGE_COUNT];
};

/* What a hit of each class costs here, ns, measured by src/trace; < 0: not measured. */
struct cost_table {
	double ns[INSN_CLASS_COUNT];
};

/* 0, or a negative errno when the file cannot be read; a probe without a site is no error. */
int plan_make(struct plan *pl, struct gobin *gb, uint32_t sensors, struct err *err);
void plan_price(struct plan *pl, const struct cost_table *ct);
/* "goroutine-birth", …; static. */
const char *probe_name(enum probe_id id);
/* Whether a probe has a site and was not refused; pl may be NULL. */
bool plan_has(const struct plan *pl, enum probe_id id);
/* The probe of a plan, or NULL. */
const struct probe *plan_find(const struct plan *pl, enum probe_id id);

/*
 * Exposed for tests: sites in the code of one function.  code holds the whole
 * function at link-time address entry, at most SITE_MAX_CODE bytes.
 *
 * The whole function is decoded first: -EBADMSG when something does not decode
 * (padding behind the last instruction excepted) or a jump leads into the
 * middle of an instruction; -EOPNOTSUPP when the code is sound but has no site
 * by the rules; -ENOENT when the call is not there; -E2BIG, also when there are
 * more than max.  `why` says it in words ("" on success).
 */
#define SITE_MAX_CODE (256u << 10)

enum site_how {
	HOW_BODY,  /* at or after the stack check */
	HOW_CALL,  /* the first call of `callee` … */
	HOW_CALLS, /* all of them */
	HOW_LAST_CALL,
	HOW_AFTER_CALLS,    /* after each call of `callee` */
	HOW_AFTER_INDIRECT, /* after each indirect call */
	HOW_INTO,           /* the indirect call that is next after each call of `callee`: not
				 * a site, but what it calls begins with the results intact … */
	HOW_FIRST           /* … and this is the first emulated instruction of that */
};

struct site_query {
	enum site_how how;
	uint64_t callee; /* its entry */
	uint64_t behind; /* only calls that stand behind the first call of this one; 0 */
	uint32_t
		keep; /* HOW_AFTER_…, INTO, FIRST: result words that must be intact, bit per word */
	bool joined_ok; /* HOW_AFTER_…: other ways may lead to the site as well */
	bool some_ok;   /* HOW_AFTER_…: calls without a site are left out */
	bool branch;    /* HOW_BODY: the check's own branch, where there is a check */
};

/* The number of sites, in order of address, or a negative errno; *kind of all. */
int site_find(const struct arch *a, const uint8_t *code, size_t len, uint64_t entry,
	      const struct site_query *q, struct insn *out, int max, enum site_kind *kind,
	      char *why, size_t why_size);

#endif
