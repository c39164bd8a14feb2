/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From intent to probe sites: which instruction of which function, why that
 * one, and what a hit costs.  Works on a file alone; attaches nothing.
 *
 * The rules (measured; see README, "Probes"): only instructions that the
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
#include "plan/sensor.h"

struct gobin;

enum probe_id {
	PROBE_GO_BIRTH,		/* newproc.func1: call runqput; new g in RBX */
	PROBE_CORO_BIRTH,	/* newcoro.func1: call newproc1; callerpc in RCX, fn in RAX (Go >= 1.23) */
	PROBE_GO_DEATH,		/* gdestroy (goexit0 <= 1.21): call casgstatus; dying g in RAX */
	PROBE_ALLOC_LARGE,	/* the call of (*mcache).allocLarge; size in RBX */
	PROBE_GC_START,		/* gcStart, body */
	PROBE_GC_END,		/* gcMarkTermination, body */
	PROBE_STW_BEGIN,	/* stopTheWorldWithSema, body */
	PROBE_STW_END,		/* startTheWorldWithSema, body */
	PROBE_COUNT
};

enum site_kind {
	SITE_NONE,	/* refused or absent: why says it */
	SITE_BODY,	/* push %rbp after the stack check (or at +0 without one) */
	SITE_BRANCH,	/* the stack check's jbe: hits that take it do not count (Go <= 1.20) */
	SITE_CALL	/* the call of an inner function */
};

struct probe {
	enum probe_id id;
	enum sensor sensor;
	bool rare;		/* never sliced below 2,000 hits/s */
	char function[64];	/* the function it is placed in, or would be */
	enum site_kind kind;
	uint64_t addr;		/* link-time address of the instruction */
	uint64_t file_off;	/* the same as offset in the file: what uprobes want */
	uint64_t func_off;	/* addr − entry of the function */
	uint64_t func_size;	/* bytes of the function, padding behind it included */
	enum insn_class klass;
	char insn[64];		/* "push %rbp", "call runtime.runqput" */
	uint8_t bytes[16];	/* of the instruction, from the file */
	uint8_t len;
	double cost_ns;		/* per hit, measured; < 0: not measured */
	char why[160];		/* why there is no site; "" when there is one */
	bool absent;		/* the release has no such function: not a failure */
};

/* One row per probe of the sensors asked for, in enum order. */
struct plan {
	struct probe probe[PROBE_COUNT];
	int n;
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
/* The probe of a plan, or NULL. */
const struct probe *plan_find(const struct plan *pl, enum probe_id id);

/*
 * Exposed for tests: the site after the stack check of the code of one function.
 * code holds the whole function at link-time address entry, at most
 * SITE_MAX_CODE bytes.
 *
 * Both decode the whole function first: -EBADMSG when something does not
 * decode (padding behind the last instruction excepted) or a jump leads into
 * the middle of an instruction; -EOPNOTSUPP when the code is sound but has no
 * site by the rules; -ENOENT when the call is not there; -E2BIG.  `why` says
 * it in words (nothing is written on success).
 */
#define SITE_MAX_CODE (256u << 10)

int site_body(const struct arch *a, const uint8_t *code, size_t len, uint64_t entry,
	      struct insn *out, enum site_kind *kind, char *why, size_t why_size);
/* The first direct call of `callee` in it. */
int site_call(const struct arch *a, const uint8_t *code, size_t len, uint64_t entry,
	      uint64_t callee, struct insn *out, char *why, size_t why_size);

#endif
