/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gobin/argslots.h"
#include "gobin/gobin.h"

/*
 * Where each probe goes: the sites of all its places, each in the first of its
 * functions (newest release first) that has one.  The recipes themselves are
 * in include/gospect/probes.def.
 */
#define PLACE_MAX_FUNCTIONS 4
#define PLACE_MAX_CALLEES   2
#define RECIPE_MAX_PLACES   4
#define RANGE_MAX_FUNCTIONS 8192 /* a range is widened by, on either side */

struct place {
	const char *functions[PLACE_MAX_FUNCTIONS];
	enum site_how how;
	const char *callees[PLACE_MAX_CALLEES]; /* the first that the program has */
	const char *
		calls; /* the function is the one meant when it calls this one; NULL: by its name */
	const char *behind;
	const char *into; /* HOW_AFTER_CALLS: else the first instruction of this one, which an
				 * indirect call behind the call calls */
	uint32_t keep;    /* WORD(n): results that a hit reads */
	bool joined_ok, some_ok;
};

#define WORD(n) (1u << (n))

struct recipe {
	const char *name;
	enum sensor sensor;
	enum probe_group group;
	struct place place[RECIPE_MAX_PLACES];
	int slot;                 /* it reads the argument word slot - 1 from memory; 0: none */
	enum probe_id pair;       /* it is of no use without this one; 0 (GO_BIRTH): without any */
	enum probe_id instead_of; /* it is not needed where this one has a site; 0: it is */
	int since;                /* first minor release that has it at all */
	const char *absent;       /* why it is missing from a release that could have it … */
	const char *package;      /* … or the package whose absence explains it */
};

/* HTTP/2: bundled into net/http up to 1.26, a package of its own since, and
 * x/net's where a program links it itself. */
#define HTTP2_OLD   "net/http.(*http2"
#define HTTP2_NEW   "net/http/internal/http2.(*"
#define HTTP2_X     "golang.org/x/net/http2.(*"
#define PGX_V5_CONN PGX_V5 "/pgconn.(*PgConn)."
#define PGX_V4_CONN "github.com/jackc/pgconn.(*PgConn)."

/* clang-format off */
#define BODY_OF(...)  { { .functions = { __VA_ARGS__ }, .how = HOW_BODY } }
#define CALL_IN(f, c) { { .functions = { f }, .how = HOW_CALL, .callees = { c } } }
#define HTTP2_PLACES(method, ...)                                               \
	{ { .functions = { HTTP2_NEW method, HTTP2_OLD method }, __VA_ARGS__ }, \
	  { .functions = { HTTP2_X method }, __VA_ARGS__ } }
/* clang-format on */

#define PROBE(id, name_, sensor_, group_, program, fields, ...)                                 \
	[PROBE_##id] = {                                                                        \
		.name = name_, .sensor = SENSOR_##sensor_, .group = GROUP_##group_, __VA_ARGS__ \
	},
static const struct recipe recipes[PROBE_COUNT] = {
#include "gospect/probes.def"
};

const char *probe_name(enum probe_id id)
{
	return (unsigned int)id < PROBE_COUNT ? recipes[id].name : "?";
}

static const char *const range_function[] = {
	[RANGE_RESOLVER_DIAL] = "net.(*Resolver).dial",
	[RANGE_SERVE_MUX] = "net/http.(*ServeMux).ServeHTTP",
	[RANGE_CLIENT_DO] = "net/http.(*Client).do",
	[RANGE_HANDLER_FUNC] = "net/http.HandlerFunc.ServeHTTP",
	[RANGE_HANDLER_METHOD] = "net/http.Handler.ServeHTTP-fm",
	[RANGE_H2C] = "golang.org/x/net/http2/h2c.(*h2cHandler).ServeHTTP",
	[RANGE_HTTP] = "net/http.(*Client).do",
	[RANGE_GIN] = "github.com/gin-gonic/gin.(*Engine).ServeHTTP",
	[RANGE_ECHO] = "github.com/labstack/echo/v4.(*Echo).ServeHTTP",
	[RANGE_CHI] = "github.com/go-chi/chi/v5.(*Mux).ServeHTTP",
	[RANGE_GRPC_STREAM] = "google.golang.org/grpc.(*Server).handleStream",
	[RANGE_GRPC_CLOSE] = "google.golang.org/grpc/internal/transport.(*http2Server).Close",
	[RANGE_RUNTIME] = "runtime.growslice",
	/* to what append calls: what the runtime has under other names lies in between */
	[RANGE_COUNT] = "runtime.growsliceBuf",
	"runtime.growsliceNoAlias",
	"runtime.growsliceBufNoAlias",
};

/* Whether a package is linked shows by its initialisation. */
static const struct {
	const char *package, *function;
} packages[] = {
	{ "os", "os.init" },
	{ "net", "net.init" },
	{ "net/http", "net/http.init" },
	{ "crypto/tls", "crypto/tls.init" },
	{ "database/sql", "database/sql.init" },
	{ "google.golang.org/grpc", "google.golang.org/grpc.init" },
};
#define PACKAGES ARRAY_SIZE(packages)

/* All names of all recipes, looked up in one pass over the function table. */
#define LOOKUP_MAX \
	(PROBE_COUNT * (PLACE_MAX_FUNCTIONS + PLACE_MAX_CALLEES + 3) + RANGE_COUNT + 3 + PACKAGES)

struct lookup {
	const char *name[LOOKUP_MAX];
	struct gofunc func[LOOKUP_MAX];
	size_t n;
	bool full;
};

static void lookup_add(struct lookup *l, const char *name)
{
	for (size_t i = 0; name && i < l->n; i++)
		if (!strcmp(l->name[i], name))
			return;
	if (name && l->n == LOOKUP_MAX)
		l->full = true;
	else if (name)
		l->name[l->n++] = name;
}

static void lookup_add_place(struct lookup *l, const struct place *pl)
{
	for (int i = 0; i < PLACE_MAX_FUNCTIONS; i++)
		lookup_add(l, pl->functions[i]);
	for (int i = 0; i < PLACE_MAX_CALLEES; i++)
		lookup_add(l, pl->callees[i]);
	lookup_add(l, pl->behind);
	lookup_add(l, pl->calls);
	lookup_add(l, pl->into);
}

static int lookup_all(struct lookup *l, struct gobin *gb, struct err *err)
{
	int e;

	for (int i = 0; i < PROBE_COUNT; i++)
		for (size_t k = 0; k < RECIPE_MAX_PLACES; k++)
			lookup_add_place(l, &recipes[i].place[k]);
	for (size_t k = 0; k < ARRAY_SIZE(range_function); k++)
		lookup_add(l, range_function[k]);
	for (size_t k = 0; k < PACKAGES; k++)
		lookup_add(l, packages[k].function);
	if (l->full)
		return err_set(err, -E2BIG, "too many functions to look for");
	e = pclntab_find_names(gb->pcln, l->name, l->n, l->func);
	if (e < 0)
		return err_set(err, e, "the function table cannot be read: %s", strerror(-e));
	return 0;
}

/* NULL: the program has no such function. */
static const struct gofunc *lookup_find(const struct lookup *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->name[i], name))
			return l->func[i].entry ? &l->func[i] : NULL;
	return NULL;
}

/* Text that must never be touched: assembly (no convention to rely on), and
 * Go's FIPS 140 module, which hashes its own text when the program starts. */
static const char *untouchable(const struct gofunc *fn)
{
	enum { FUNC_FLAG_ASM = 4 }; /* internal/abi/symtab.go */

	if (fn->flag & FUNC_FLAG_ASM)
		return "an assembly function";
	if (fn->name && !strncmp(fn->name, "crypto/internal/fips140", 23))
		return "part of the FIPS 140 module, which checks its own text";
	return NULL;
}

/* What a site is looked for with. */
struct search {
	struct gobin *gb;
	const struct lookup *l;
	struct probe *p;
	const struct recipe *r;
	uint8_t *code; /* SITE_MAX_CODE bytes */
};

static int refuse(struct probe *p, int err, const char *why)
{
	snprintf(p->why, sizeof(p->why), "%s", why);
	return err;
}

static int add_site(struct search *s, const struct gofunc *fn, const char *function,
		    const struct insn *in, enum site_kind kind, const char *callee)
{
	struct probe *p = s->p;
	struct site *site;
	uint64_t off;

	if (p->nsite == PROBE_MAX_SITES)
		return refuse(p, -E2BIG, "the program has more such sites than can be probed");
	if (image_addr_to_off(&s->gb->image, in->addr, &off))
		return refuse(p, -EBADMSG, "its code is not in the file");
	site = &p->site[p->nsite++];
	*site = (struct site){
		.kind = kind,
		.addr = in->addr,
		.file_off = off,
		.func_off = in->addr - fn->entry,
		.func_size = fn->end - fn->entry,
		.klass = in->klass,
		.len = in->len,
	};
	snprintf(site->function, sizeof(site->function), "%s", function);
	memcpy(site->bytes, s->code + site->func_off, in->len);
	if (callee)
		snprintf(site->insn, sizeof(site->insn), "call %s", callee);
	else
		snprintf(site->insn, sizeof(site->insn), "%s", in->text);
	return 0;
}

static int read_code(struct search *s, const struct gofunc *fn)
{
	const char *no = untouchable(fn);
	int err;

	if (no)
		return refuse(s->p, -EOPNOTSUPP, no);
	if (fn->end <= fn->entry || fn->end - fn->entry > SITE_MAX_CODE)
		return refuse(s->p, -E2BIG, "its code is too large");
	err = image_read_addr(&s->gb->image, fn->entry, s->code, fn->end - fn->entry);
	if (err)
		snprintf(s->p->why, sizeof(s->p->why), "its code cannot be read: %s",
			 strerror(-err));
	return err;
}

/* The sites in one function: 0, or a negative errno with p->why. */
static int place_in(struct search *s, const struct gofunc *fn, const char *function,
		    const char *callee, const struct site_query *q)
{
	struct insn in[PROBE_MAX_SITES];
	struct probe *p = s->p;
	enum site_kind kind;
	int i, n, err = read_code(s, fn);

	if (err)
		return err;
	n = site_find(s->gb->arch, s->code, fn->end - fn->entry, fn->entry, q, in, PROBE_MAX_SITES,
		      &kind, p->why, sizeof(p->why));
	for (i = 0; !err && i < n; i++)
		err = add_site(s, fn, function, &in[i], kind, kind == SITE_CALL ? callee : NULL);
	return n < 0 ? n : err;
}

/* No site behind the call itself, but in what is called next, if its
 * registers are still those that the call left. */
static int place_into(struct search *s, const struct place *pl, const struct gofunc *fn,
		      struct site_query q)
{
	const struct gofunc *into = pl->into ? lookup_find(s->l, pl->into) : NULL;
	struct insn in[PROBE_MAX_SITES];
	enum site_kind kind;
	int n, err;

	if (!into)
		return -EOPNOTSUPP;
	err = read_code(s, fn);
	if (err)
		return err;
	q.how = HOW_INTO;
	n = site_find(s->gb->arch, s->code, fn->end - fn->entry, fn->entry, &q, in, PROBE_MAX_SITES,
		      &kind, s->p->why, sizeof(s->p->why));
	if (n < 0)
		return n;
	/* Its own stack check jumps back to its entry. */
	q.how = HOW_FIRST;
	q.joined_ok = true;
	return place_in(s, into, pl->into, NULL, &q);
}

static const struct gofunc *find_callee(const struct search *s, const struct place *pl,
					const char **name)
{
	for (int i = 0; i < PLACE_MAX_CALLEES && pl->callees[i]; i++) {
		const struct gofunc *fn = lookup_find(s->l, pl->callees[i]);

		*name = pl->callees[i];
		if (fn)
			return fn;
	}
	return NULL;
}

/* -ENOENT: the program has not what this place is made of. */
static int query_of(struct search *s, const struct place *pl, struct site_query *q,
		    const char **callee)
{
	const struct gofunc *behind = pl->behind ? lookup_find(s->l, pl->behind) : NULL, *fn;

	*q = (struct site_query){ .how = pl->how,
				  .keep = pl->keep,
				  .joined_ok = pl->joined_ok,
				  .some_ok = pl->some_ok,
				  .branch = s->r->group != GROUP_RARE &&
					    s->r->group != GROUP_PANICS };
	*callee = NULL;
	if (!pl->callees[0])
		return 0;
	fn = find_callee(s, pl, callee);
	if (fn && (behind || !pl->behind)) {
		q->callee = fn->entry;
		q->behind = behind ? behind->entry : 0;
		return 0;
	}
	snprintf(s->p->why, sizeof(s->p->why), "the program has no %s to be called",
		 fn ? pl->behind : pl->callees[0]);
	return -ENOENT;
}

/* Closures have numbers for names: whether this is the one that is meant. */
static bool is_meant(struct search *s, const struct place *pl, const struct gofunc *fn)
{
	const struct gofunc *called = pl->calls ? lookup_find(s->l, pl->calls) : NULL;
	struct site_query q = { .how = HOW_CALL, .callee = called ? called->entry : 0 };
	int before = s->p->nsite;
	bool found = called && !place_in(s, fn, "", NULL, &q);

	s->p->nsite = before;
	return found || !pl->calls;
}

/* 0; -ENOENT: no such function or call; else why the probe is refused. */
static int take_place(struct search *s, const struct place *pl, bool *found)
{
	struct site_query q;
	const char *callee;
	int err = -ENOENT;

	for (int k = 0; k < PLACE_MAX_FUNCTIONS && pl->functions[k]; k++) {
		const struct gofunc *fn = lookup_find(s->l, pl->functions[k]);

		if (!fn || !is_meant(s, pl, fn))
			continue;
		if (!*found)
			snprintf(s->p->function, sizeof(s->p->function), "%s", pl->functions[k]);
		*found = true;
		err = query_of(s, pl, &q, &callee);
		if (!err)
			err = place_in(s, fn, pl->functions[k], callee, &q);
		if (err == -EOPNOTSUPP && pl->into)
			err = place_into(s, pl, fn, q);
		if (!err)
			return 0;
	}
	return err;
}

static bool is_linked(const struct lookup *l, const char *package)
{
	for (size_t i = 0; i < PACKAGES; i++)
		if (!strcmp(packages[i].package, package))
			return lookup_find(l, packages[i].function) != NULL;
	return false;
}

static void explain_absence(struct search *s)
{
	const struct recipe *r = s->r;
	struct probe *p = s->p;
	int minor = s->gb->release.minor;

	if (s->gb->names_hidden && strncmp(r->place[0].functions[0], "runtime.", 8) != 0) {
		snprintf(p->why, sizeof(p->why), "%s", GOBIN_NAMES_HIDDEN);
		return;
	}
	p->absent = r->since || r->absent || r->package;
	if (r->package && !is_linked(s->l, r->package))
		snprintf(p->why, sizeof(p->why), "%s is not linked into this program", r->package);
	else if (r->since && minor && minor < r->since)
		snprintf(p->why, sizeof(p->why), "this Go release has no such function");
	else if (r->package)
		snprintf(p->why, sizeof(p->why),
			 "this program has no use for it: the function is not linked");
	else if (r->absent)
		snprintf(p->why, sizeof(p->why), "%s", r->absent);
	else
		snprintf(p->why, sizeof(p->why), "the program has no function of this name");
}

/* Hits of a stack check's branch are judged by the flags: by probe, not by site. */
static int check_kinds(struct probe *p)
{
	for (int i = 1; i < p->nsite; i++)
		if ((p->site[i].kind == SITE_BRANCH) != (p->site[0].kind == SITE_BRANCH))
			return refuse(p, -EOPNOTSUPP, "its sites are of different kinds");
	return 0;
}

/* Where the argument is that a hit reads. */
static int find_slots(struct search *s)
{
	struct probe *p = s->p;

	for (int i = 0; i < p->nsite; i++) {
		struct site *at = &p->site[i];

		at->slot = PROBE_NO_SLOT;
		if (s->r->slot &&
		    gobin_arg_from_sp(s->gb, at->addr, (unsigned int)s->r->slot - 1, &at->slot))
			return refuse(p, -ENOENT, "the argument it reads is not in memory there");
	}
	return 0;
}

static void probe_place(struct search *s)
{
	struct probe *p = s->p;
	int minor = s->gb->release.minor;
	bool found = false, old = minor && minor < s->r->since;
	int err = 0;

	for (int k = 0; !old && !err && k < RECIPE_MAX_PLACES && s->r->place[k].functions[0]; k++) {
		err = take_place(s, &s->r->place[k], &found);
		if (err == -ENOENT)
			err = 0; /* another of its places may be there */
	}
	if (!found)
		explain_absence(s);
	if (!err && p->nsite)
		err = check_kinds(p);
	if (!err && p->nsite)
		err = find_slots(s);
	if (err || !p->nsite) {
		p->nsite = 0;
		return;
	}
	memcpy(p->function, p->site[0].function, sizeof(p->function));
	p->kind = p->site[0].kind;
	p->why[0] = '\0';
}

static void probe_init(struct probe *p, enum probe_id id)
{
	p->id = id;
	p->sensor = recipes[id].sensor;
	p->group = recipes[id].group;
	p->cost_ns = -1;
	snprintf(p->function, sizeof(p->function), "%s", recipes[id].place[0].functions[0]);
}

/* A begin without an end, or the reverse, costs and is of no use. */
static void drop_halves(struct plan *pl)
{
	for (int i = 0; i < pl->n; i++) {
		struct probe *p = &pl->probe[i];
		enum probe_id id = recipes[p->id].pair;
		const struct probe *other = id ? plan_find(pl, id) : NULL;

		if (!other || other->kind != SITE_NONE || p->kind == SITE_NONE)
			continue;
		p->kind = SITE_NONE;
		p->nsite = 0;
		p->absent = other->absent;
		p->useless = true;
		snprintf(p->why, sizeof(p->why), "useless without %s", recipes[id].name);
	}
}

static void drop_replaced(struct plan *pl)
{
	for (int i = 0; i < pl->n; i++) {
		struct probe *p = &pl->probe[i];
		enum probe_id id = recipes[p->id].instead_of;

		if (!id || p->kind == SITE_NONE || !plan_has(pl, id))
			continue;
		p->kind = SITE_NONE;
		p->nsite = 0;
		p->absent = true;
		snprintf(p->why, sizeof(p->why), "not needed: %s sees more", recipes[id].name);
	}
}

typedef bool (*frame_test)(const struct goframe *f);

static bool is_at(struct gobin *gb, uint64_t pc, struct gofunc *fn, frame_test is)
{
	struct goframe f = { 0 };

	if (pclntab_find_pc(gb->pcln, pc, fn) || fn->end <= fn->entry)
		return false;
	f.function = fn->name;
	return is(&f);
}

/* Packages lie one behind the other: the functions around these that are of
 * the standard library, or of the runtime, too. */
static void widen(struct gobin *gb, struct code_range *r, frame_test is)
{
	struct gofunc fn;

	for (int i = 0; r->hi && i < RANGE_MAX_FUNCTIONS && is_at(gb, r->lo - 1, &fn, is); i++)
		r->lo = fn.entry;
	for (int i = 0; r->hi && i < RANGE_MAX_FUNCTIONS && is_at(gb, r->hi, &fn, is); i++)
		r->hi = fn.end;
}

static void reach(struct code_range *r, const struct gofunc *fn)
{
	if (fn)
		*r = (struct code_range){ r->hi && r->lo < fn->entry ? r->lo : fn->entry,
					  r->hi > fn->end ? r->hi : fn->end };
}

static void find_ranges(struct plan *pl, struct gobin *gb, const struct lookup *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(range_function); i++)
		reach(&pl->range[i < RANGE_COUNT ? i : RANGE_RUNTIME],
		      lookup_find(l, range_function[i]));
	widen(gb, &pl->range[RANGE_HTTP], goframe_is_std);
	widen(gb, &pl->range[RANGE_RUNTIME], goframe_is_runtime);
}

static void place_all(struct plan *pl, struct search *s, uint32_t sensors)
{
	for (int i = 0; i < PROBE_COUNT; i++) {
		struct probe *p = &pl->probe[pl->n];

		if (!(sensors & SENSOR_BIT(recipes[i].sensor)))
			continue;
		pl->n++;
		probe_init(p, (enum probe_id)i);
		s->p = p;
		s->r = &recipes[i];
		if (s->gb->arch)
			probe_place(s);
		else
			refuse(p, -EOPNOTSUPP, "code of this architecture cannot be decoded yet");
	}
	drop_halves(pl);
	drop_replaced(pl);
}

int plan_make(struct plan *pl, struct gobin *gb, uint32_t sensors, struct err *err)
{
	struct lookup *l = calloc(1, sizeof(*l));
	struct search s = { .gb = gb, .l = l, .code = malloc(SITE_MAX_CODE) };
	int e = 0;

	memset(pl, 0, sizeof(*pl));
	if (!l || !s.code)
		e = err_set(err, -ENOMEM, "no memory for the plan");
	if (!e)
		e = lookup_all(l, gb, err);
	if (!e) {
		find_ranges(pl, gb, l);
		place_all(pl, &s, sensors);
	}
	free(s.code);
	free(l);
	return e;
}

void plan_price(struct plan *pl, const struct cost_table *ct)
{
	for (int i = 0; i < pl->n; i++) {
		struct probe *p = &pl->probe[i];

		p->cost_ns = -1;
		for (int k = 0; k < p->nsite; k++)
			if (ct->ns[p->site[k].klass] > p->cost_ns)
				p->cost_ns = ct->ns[p->site[k].klass];
	}
}

const struct probe *plan_find(const struct plan *pl, enum probe_id id)
{
	for (int i = 0; i < pl->n; i++)
		if (pl->probe[i].id == id)
			return &pl->probe[i];
	return NULL;
}

bool plan_has(const struct plan *pl, enum probe_id id)
{
	const struct probe *p = pl ? plan_find(pl, id) : NULL;

	return p && p->kind != SITE_NONE && !p->why[0];
}
