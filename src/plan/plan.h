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

/* Numbered as in include/gospect/abi.h (asserted in src/trace).  "After" is the
 * first emulated instruction behind a call, its results still in registers. */
enum probe_id {
	PROBE_GO_BIRTH,   /* newproc.func1: call runqput; new g in RBX */
	PROBE_CORO_BIRTH, /* newcoro.func1: call newproc1; callerpc in RCX, fn in RAX (Go >= 1.23) */
	PROBE_ALLOC_LARGE, /* the call of (*mcache).allocLarge; size in RBX */
	PROBE_GC_START,    /* gcStart, body */
	PROBE_GC_END,      /* gcMarkTermination, body */
	PROBE_STW_BEGIN,   /* stopTheWorldWithSema, body */
	PROBE_STW_END,     /* startTheWorldWithSema, body */
	/* network, rare */
	PROBE_DNS_BEGIN, /* net.(*Resolver).internetAddrList, body */
	PROBE_DNS_END,   /* after lookupIPAddr in it; error's itab in RDI */
	PROBE_CONNECT_BEGIN, /* (*Dialer).DialContext: calls of dialParallel (dialSerial); sysDialer in RAX */
	PROBE_CONNECT_END, /* after them; connection in RAX:RBX, error's itab in RCX */
	PROBE_TLS_NAME, /* (*persistConn).addTLS, body: the host that clientHandshake will shake hands with */
	PROBE_TLS_BEGIN,  /* crypto/tls.(*Conn).clientHandshake, body */
	PROBE_TLS_END,    /* handshakeContext: after every indirect call; error's itab in RAX */
	PROBE_POOL_BEGIN, /* queueForDial: the wantConn goes into the queue of MaxConnsPerHost */
	PROBE_POOL_DELIVERED, /* tryPutIdleConn: calls of tryDeliver; wantConn in RAX */
	PROBE_POOL_DIAL,      /* dialConnFor, body; wantConn in RBX */
	PROBE_POOL_CANCEL,    /* (*wantConn).cancel, body */
	/* network, per request */
	PROBE_CALL_BEGIN,      /* (*Client).do, body; *Request in RBX */
	PROBE_CALL_FAILED,     /* urlErrorOp, body: only what fails comes by */
	PROBE_CONN_BEGIN,      /* (*persistConn).roundTrip, body */
	PROBE_CONN_WRITTEN,    /* writeLoop: after Flush; pc in its slot, error's itab in RAX */
	PROBE_CONN_FIRST_BYTE, /* (*persistConn).readResponse, body */
	PROBE_CONN_CLOSED,     /* (*persistConn).close, body */
	PROBE_CONN_BODY_END, /* readLoop.func4, body: what ends a body; error in RAX:RBX, closure in RDX */
	PROBE_STREAM_BEGIN,      /* (*clientStream).doRequest, body; request in RBX */
	PROBE_STREAM_WRITTEN,    /* writeRequest: the last selectgo; cs in its slot */
	PROBE_STREAM_FIRST_BYTE, /* (*clientConnReadLoop).handleResponse, body; cs in RBX */
	PROBE_STREAM_ANSWERED, /* (*ClientConn).RoundTrip: after selectgo, on the caller's goroutine */
	PROBE_STREAM_END,      /* (*clientStream).cleanupWriteRequest, body */
	PROBE_HANDLER_BEGIN, /* http.HandlerFunc.ServeHTTP, body; the function in RAX */
	PROBE_HANDLER_END, /* (*conn).serve: after hijacked, behind ServeHTTP; HTTP/2: runHandler.func1 */
	PROBE_GRPC_BEGIN,  /* grpc.(*ClientConn).Invoke, body */
	PROBE_GRPC_END,    /* grpc.(*clientStream).finish, body; error's itab in RBX */
	PROBE_GRPC_FAILED, /* grpc.invoke: after newClientStream; error's itab in RCX */
	/* database/sql */
	PROBE_SQL_WAIT_BEGIN, /* (*DB).conn: call of selectgo */
	PROBE_SQL_WAIT_END,   /* after it */
	PROBE_SQL_BEGIN_TX,   /* (*DB).beginDC, body */
	PROBE_SQL_ROWS,       /* (*DB).queryDC, body */
	PROBE_SQL_CONN, /* after (*DB).conn in (*DB).Conn or its closure; *driverConn in RAX */
	PROBE_SQL_PUT,  /* (*DB).putConn, body */
	/* locks */
	PROBE_LOCK_BEGIN, /* (*Mutex).lockSlow: call of runtime_SemacquireMutex */
	PROBE_LOCK_END,   /* after it */
	PROBE_COUNT
};

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

#define PROBE_MAX_SITES 8 /* more in one program: the probe is refused */
#define PROBE_NO_SLOT   INT32_MIN

struct probe {
	enum probe_id id;
	enum sensor sensor;
	bool rare;           /* never sliced below 2,000 hits/s */
	char function[64];   /* the function it is placed in first, or would be */
	enum site_kind kind; /* of its first site; SITE_NONE: it has none */
	struct site site[PROBE_MAX_SITES];
	int nsite;      /* >= 1 unless kind is SITE_NONE */
	double cost_ns; /* per hit, measured; the dearest site's; < 0: not measured */
	char why[160];  /* why there is no site; "" when there is one */
	bool absent;    /* the program has no such function: not a failure */
};

/* Link-time code ranges [lo, hi) of functions whose callers' hits mean something else. */
enum plan_range {
	RANGE_RESOLVER_DIAL,  /* net.(*Resolver).dial */
	RANGE_SERVE_MUX,      /* net/http.(*ServeMux).ServeHTTP */
	RANGE_SERVER_HANDLER, /* net/http.serverHandler.ServeHTTP */
	RANGE_HTTP, /* around net/http.(*Client).do: all of the standard library, net/http at least */
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
