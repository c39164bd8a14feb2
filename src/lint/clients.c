/* SPDX-License-Identifier: BSD-2-Clause */
#include "lint/clients.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/vec.h"
#include "gobin/gobin.h"
#include "lint/callees.h"
#include "lint/merge.h"
#include "lint/own.h"

enum {
	MAX_ROWS = 1000,
	MAX_FRAMES = 16,
	MAX_NAME = 64,
	FLAG_ASSEMBLY = 4,
	CALL_BYTES = 5,
	TIMEOUT = 40,     /* in an http.Client: Transport, CheckRedirect, Jar, Timeout */
	TRANSPORT = 3,    /* bits of its words */
	KIND_STRUCT = 25, /* internal/abi */
	ITAB_TYPE = 8,
	WITHIN = 40 /* lines between the load of the default client and the call */
};

/* By name: the first are methods of http.Client, of them the first two are given a request. */
enum {
	DO,
	DO_INNER, /* what Do is where it is inlined */
	GET,
	HEAD,
	POST,
	POST_FORM,
	METHODS,
	HTTP_GET = METHODS,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_POST_FORM,
	NEW_REQUEST,
	NEW_REQUEST_WITH,
	BACKGROUND,
	TODO,
	FUNCTIONS
};
static const char *const names[FUNCTIONS] = {
	[DO] = "net/http.(*Client).Do",
	[DO_INNER] = "net/http.(*Client).do",
	[GET] = "net/http.(*Client).Get",
	[HEAD] = "net/http.(*Client).Head",
	[POST] = "net/http.(*Client).Post",
	[POST_FORM] = "net/http.(*Client).PostForm",
	[HTTP_GET] = "net/http.Get",
	[HTTP_HEAD] = "net/http.Head",
	[HTTP_POST] = "net/http.Post",
	[HTTP_POST_FORM] = "net/http.PostForm",
	[NEW_REQUEST] = "net/http.NewRequest",
	[NEW_REQUEST_WITH] = "net/http.NewRequestWithContext",
	[BACKGROUND] = "context.Background",
	[TODO] = "context.TODO",
};
static const char *const method[NEW_REQUEST] = {
	"Do", "Do", "Get", "Head", "Post", "PostForm", "Get", "Head", "Post", "PostForm",
};

/* What is known of a call of a method, on all paths that come to it. */
struct sighting {
	bool seen, other; /* other: of a client or a request that is not known */
	bool is_default;
	int64_t client; /* a THING, unless it is the default one */
	uint64_t stored;
};

struct search {
	struct lint *l;
	struct gobin *gb;
	const struct lint_options *o;
	struct callees *callees;
	uint64_t at[FUNCTIONS]; /* link-time; 0: not in this program */
	uint64_t type;          /* of http.Client; 0: not met yet */
	uint64_t default_at;    /* of the variable http.DefaultClient; 0: not known */
	bool names_default;     /* the function under way does */
	bool default_set;       /* somebody may have given it a Timeout, or put another there */
	uint8_t *sends;         /* by function */
	struct sighting *sight; /* by line of the function under way */
};

/* ---- which function, which type ---- */

static int function_at(const struct search *s, uint64_t addr)
{
	for (int i = 0; i < FUNCTIONS; i++)
		if (s->at[i] && s->at[i] == addr)
			return i;
	return -1;
}

static int called(const struct walk *w, size_t at)
{
	const struct line *l = &w->code->line[at];

	return l->e.flow == FLOW_CALL ? function_at(w->arg, l->e.target) : -1;
}

static bool is_client_type(struct search *s, const struct value *v)
{
	uint64_t type = (uint64_t)v->n;
	char name[MAX_NAME];
	int kind;

	if (v->kind != VALUE_NUMBER || type < s->gb->mod.types)
		return false;
	if (!s->type && itabs_type(s->gb, type, name, sizeof(name), &kind) && kind == KIND_STRUCT &&
	    !strcmp(name, "http.Client"))
		s->type = type;
	return type == s->type;
}

/* A context that never ends, by the type in its itab: up to 1.20 one type for both. */
static bool is_endless(struct search *s, const struct walk *w, const struct value *v)
{
	static const char *const types[] = { "context.backgroundCtx", "context.todoCtx",
					     "*context.emptyCtx" };
	char name[MAX_NAME];
	uint8_t raw[8];
	int kind;

	if (v->kind == VALUE_THING && THING_AT(v->n) < w->code->n && THING_W(v->n) == WORD_CALL) {
		int f = called(w, THING_AT(v->n));

		return f == BACKGROUND || f == TODO;
	}
	if (v->kind != VALUE_NUMBER || v->n <= 0 || v->shaky ||
	    image_read_addr(&s->gb->image, (uint64_t)v->n + ITAB_TYPE, raw, sizeof(raw)) ||
	    !itabs_type(s->gb, load_u64(raw), name, sizeof(name), &kind))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(name, types[i]))
			return true;
	return false;
}

static bool is_at_default(const struct search *s, const struct operand *o)
{
	return o->kind == OPERAND_MEM && o->reg == EFFECT_PC && (uint64_t)o->value == s->default_at;
}

static bool is_default(const struct search *s, const struct walk *w, const struct value *v)
{
	if (!s->default_at || v->kind != VALUE_THING || THING_AT(v->n) >= w->code->n ||
	    THING_W(v->n) != WORD_LOAD)
		return false;
	return is_at_default(s, &w->code->line[THING_AT(v->n)].e.src);
}

/* ---- the rules of the walk ---- */

static const struct value *word(const struct walk *w, const struct state *st, int i)
{
	return &st->reg[w->gb->arch->abi[i]];
}

/* A client, or a request whose context has no deadline. */
static bool made(struct walk *w, const struct state *st, size_t at)
{
	struct search *s = w->arg;
	const struct line *l = &w->code->line[at];
	const struct callee *c =
		l->e.flow == FLOW_CALL ? callees_get(w->callees, l->e.target) : NULL;
	int f;

	if (c && c->kind == CALLEE_ALLOCATES) /* of a type, or of a size and a type */
		return is_client_type(s, word(w, st, 0)) || is_client_type(s, word(w, st, 1));
	f = called(w, at);
	return f == NEW_REQUEST || (f == NEW_REQUEST_WITH && is_endless(s, w, word(w, st, 0)));
}

static bool leaves(struct walk *w, size_t at)
{
	/* methods of a request, and what makes memory zero */
	static const char *const harmless[] = { "net/http.(*Request).", "runtime.typedmemclr",
						"runtime.wbZero", "runtime.memclr" };
	const struct line *l = &w->code->line[at];
	struct gofunc f;
	int known = called(w, at);

	if (known >= 0)
		return known < METHODS;
	if (l->e.flow != FLOW_CALL || pclntab_find_pc(w->gb->pcln, l->e.target, &f) || !f.name)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (!strncmp(f.name, harmless[i], strlen(harmless[i])))
			return true;
	return false;
}

static bool is_request(const struct walk *w, const struct own *o)
{
	return o && called(w, THING_AT(o->thing)) >= 0;
}

static void at_call(struct walk *w, const struct state *st, size_t at)
{
	struct search *s = w->arg;
	struct sighting *k = &s->sight[at];
	struct sighting now = { .seen = true };
	const struct own *own = own_find(st, *word(w, st, 0));
	int f = called(w, at);

	if (f < 0 || f >= NEW_REQUEST)
		return;
	if (f >= METHODS || is_default(s, w, word(w, st, 0))) {
		now.is_default = true;
	} else if (own && !is_request(w, own)) {
		now.client = own->thing;
		now.stored = own->stored;
	} else {
		now.other = true;
	}
	if (f == DO || f == DO_INNER)
		now.other |= !is_request(w, own_find(st, *word(w, st, 1)));
	if (k->seen)
		now.other |= k->other || k->client != now.client || k->is_default != now.is_default;
	now.stored |= k->stored;
	*k = now;
}

/* Whether the default client may get a Timeout here. */
static void at_store(struct walk *w, const struct state *st, size_t at)
{
	struct search *s = w->arg;
	const struct operand *o = &w->code->line[at].e.dst;
	const struct value *base;

	if (!s->names_default || o->reg == EFFECT_PC || o->reg >= EFFECT_REGS)
		return;
	base = &st->reg[o->reg];
	if (base->kind == VALUE_ANY ? o->reg != EFFECT_SP : is_default(s, w, base))
		s->default_set |= o->index != EFFECT_NO_REG || !o->size ||
				  (o->value <= TIMEOUT && o->value + o->size > TIMEOUT);
}

static const struct own_rules rules = { at_store, at_call, made, leaves };

/* ---- one function ---- */

/* The user's innermost place at a line; with --std: the innermost. */
static bool place_at(struct search *s, const struct code *c, size_t line, struct place *out)
{
	struct goframe f[MAX_FRAMES];
	int n = pclntab_frames(s->gb->pcln, c->f.entry + c->line[line].at, false, f, MAX_FRAMES);

	for (int i = 0; i < n; i++)
		if (!f[i].wrapper && (s->o->std || !goframe_is_std(&f[i]))) {
			*out = place_of_frame(&f[i]);
			return true;
		}
	return false;
}

static int add_row(struct search *s, const struct code *c, size_t at, const struct sighting *k)
{
	struct lint *l = s->l;
	struct no_timeout row = { .is_default = k->is_default, .transport = k->stored & TRANSPORT };
	int f = function_at(s, c->line[at].e.target), err;

	if (f < 0 || f >= NEW_REQUEST || !place_at(s, c, at, &row.place) ||
	    (!k->is_default && !place_at(s, c, THING_AT(k->client), &row.made)))
		return 0;
	row.method = method[f];
	for (int i = 0; i < l->nclient; i++) /* inlined in several functions */
		if (place_equal(&l->client[i].place, &row.place))
			return 0;
	if (l->nclient == MAX_ROWS)
		return 0;
	err = array_room(&l->client, (size_t)l->nclient, &l->client_cap, sizeof(row));
	if (!err)
		l->client[l->nclient++] = row;
	return err;
}

/* What is done with the variable itself: it is written, or its address is taken. */
static void note_default(struct search *s, const struct code *c)
{
	s->names_default = false;
	for (size_t i = 0; i < c->n && s->default_at; i++) {
		const struct effect *e = &c->line[i].e;
		bool to = is_at_default(s, &e->dst), from = is_at_default(s, &e->src);

		s->names_default |= to || from;
		s->default_set |= (to && e->kind != EFFECT_COMPARE && e->kind != EFFECT_TEST) ||
				  (from && e->kind == EFFECT_ADDRESS);
	}
}

static void nothing(struct walk *w, struct state *s, size_t at)
{
	(void)w;
	(void)s;
	(void)at;
}

static int walk_function(struct search *s, const struct code *c, bool sends)
{
	struct walk w = { .gb = s->gb,
			  .code = c,
			  .callees = s->callees,
			  .end_ns = s->callees->end_ns,
			  .own = &rules,
			  .on_return = nothing,
			  .arg = s };
	bool whole;
	int err;

	note_default(s, c);
	s->sight = calloc(c->n, sizeof(*s->sight));
	if (!s->sight)
		return -ENOMEM;
	err = merge_run(&w);
	whole = !w.complex && !w.mixed && !w.blind;
	s->l->steps += w.steps;
	s->l->senders_unjudged += sends && !whole;
	s->default_set |= s->names_default && !whole;
	for (size_t i = 0; i < c->n && !err && whole; i++) {
		const struct sighting *k = &s->sight[i];

		if (k->seen && !k->other && !(k->stored >> TIMEOUT / 8 & 1))
			err = add_row(s, c, i, k);
	}
	free(s->sight);
	return err;
}

/* ---- all ---- */

static bool is_looked_at(const struct search *s, const struct gofunc *f)
{
	struct goframe frame = { .function = f->name };

	return !(f->flag & FLAG_ASSEMBLY) && !f->is_wrapper &&
	       (s->o->std || !goframe_is_std(&frame));
}

/* Whether some bytes of code may call a method, or name the default client: quick, and before
 * decoding. */
static bool may_send(const struct search *s, const uint8_t *code, size_t len, uint64_t addr)
{
	for (size_t i = 0; i + CALL_BYTES <= len; i++) {
		uint64_t to;
		int f;

		if (code[i] != 0xe8)
			continue;
		to = addr + i + CALL_BYTES + (uint64_t)(int64_t)(int32_t)load_u32(code + i + 1);
		f = function_at(s, to);
		if (f >= 0 && f < NEW_REQUEST)
			return true;
	}
	return false;
}

static bool may_name_default(const struct search *s, const uint8_t *code, size_t len, uint64_t addr)
{
	for (size_t i = 0; i + 4 <= len && s->default_at; i++) {
		uint64_t to = addr + i + 4 + (uint64_t)(int64_t)(int32_t)load_u32(code + i);

		/* behind the displacement nothing, or a number of one byte or of four */
		if (to == s->default_at || to + 1 == s->default_at || to + 4 == s->default_at)
			return true;
	}
	return false;
}

/* The variable that the first argument of a call has been loaded from; 0: another origin. */
static uint64_t loaded_for(const struct search *s, const struct code *c, size_t call)
{
	uint8_t reg = s->gb->arch->abi[0];

	for (size_t k = call; k-- > 0 && call - k < WITHIN;) {
		const struct effect *e = &c->line[k].e;
		bool is_move =
			e->kind == EFFECT_MOVE && e->dst.kind == OPERAND_REG && e->dst.reg == reg;

		if (is_move && e->src.kind == OPERAND_REG && e->src.reg < EFFECT_REGS)
			reg = e->src.reg;
		else if (is_move)
			return e->src.kind == OPERAND_MEM && e->src.reg == EFFECT_PC &&
					       e->src.size == 8
				       ? (uint64_t)e->src.value
				       : 0;
		else if (e->flow != FLOW_NEXT || e->written >> reg & 1)
			break;
	}
	return 0;
}

static bool is_inlined_get(const struct search *s, const struct code *c, size_t call)
{
	struct goframe f[MAX_FRAMES];
	int n = pclntab_frames(s->gb->pcln, c->f.entry + c->line[call].at, false, f, MAX_FRAMES);

	for (int i = 0; i < n; i++)
		for (int m = HTTP_GET; m <= HTTP_POST_FORM; m++)
			if (!strcmp(f[i].function, names[m]))
				return true;
	return false;
}

/* http.Get and its like load the default client and call a method. */
static void learn_default(struct search *s, const struct code *c)
{
	for (size_t i = 0; i < c->n && !s->default_at; i++) {
		int f = c->line[i].e.flow == FLOW_CALL ? function_at(s, c->line[i].e.target) : -1;

		if (f >= 0 && f < METHODS && is_inlined_get(s, c, i))
			s->default_at = loaded_for(s, c, i);
	}
}

typedef int each_fn(struct search *s, uint32_t index, const struct gofunc *f, const uint8_t *code);

static int look_for_calls(struct search *s, uint32_t index, const struct gofunc *f,
			  const uint8_t *code)
{
	struct code c;
	int err;

	if (!is_looked_at(s, f) || !may_send(s, code, f->end - f->entry, f->entry))
		return 0;
	s->sends[index] = 1;
	if (s->default_at)
		return 0;
	err = code_read(&c, s->gb, f, NULL);
	if (err)
		return err == -ENOMEM ? err : 0;
	learn_default(s, &c);
	code_deinit(&c);
	return 0;
}

static int judge(struct search *s, uint32_t index, const struct gofunc *f, const uint8_t *code)
{
	struct code c;
	int err;

	if (!is_looked_at(s, f) ||
	    (!s->sends[index] && !may_name_default(s, code, f->end - f->entry, f->entry)))
		return 0;
	s->l->senders += s->sends[index];
	err = code_read(&c, s->gb, f, NULL);
	if (err) {
		s->l->senders_unjudged += s->sends[index];
		s->default_set = true; /* it may be named there */
		return err == -ENOMEM ? err : 0;
	}
	err = walk_function(s, &c, s->sends[index]);
	code_deinit(&c);
	return err;
}

static int each_function(struct search *s, each_fn *fn)
{
	int n = pclntab_nfunc(s->gb->pcln), err = 0;
	uint8_t *bytes = malloc(CODE_MAX_BYTES);

	for (int i = 0; bytes && i < n && !err; i++) {
		struct gofunc f;

		if (clock_mono_ns() > s->callees->end_ns) {
			s->default_set = true;
			s->l->not_reached = (uint64_t)(n - i) > s->l->not_reached
						    ? (uint64_t)(n - i)
						    : s->l->not_reached;
			break;
		}
		if (!pclntab_func_at(s->gb->pcln, (uint32_t)i, &f) && f.end > f.entry &&
		    f.end - f.entry <= CODE_MAX_BYTES &&
		    !image_read_addr(&s->gb->image, f.entry, bytes, f.end - f.entry))
			err = fn(s, (uint32_t)i, &f, bytes);
	}
	free(bytes);
	return bytes ? err : -ENOMEM;
}

/* Of the default client nothing is said where somebody may have set it up. */
static void drop_default(struct lint *l)
{
	int n = 0;

	for (int i = 0; i < l->nclient; i++)
		if (!l->client[i].is_default)
			l->client[n++] = l->client[i];
	l->nclient = n;
}

static int by_place(const void *a, const void *b)
{
	const struct no_timeout *x = a, *y = b;
	int order = strcmp(x->place.function, y->place.function);

	return order ? order : x->place.line - y->place.line;
}

int clients_find(struct lint *l, struct gobin *gb, const struct lint_options *o,
		 struct callees *callees)
{
	struct search s = { .l = l, .gb = gb, .o = o, .callees = callees };
	struct gofunc f[FUNCTIONS];
	bool any = false;
	int err;

	memset(f, 0, sizeof(f));
	if (pclntab_find_names(gb->pcln, names, FUNCTIONS, f))
		return 0;
	for (int i = 0; i < FUNCTIONS; i++) {
		s.at[i] = f[i].entry;
		any |= i < METHODS && f[i].entry;
	}
	if (!any)
		return 0;
	s.sends = calloc((size_t)pclntab_nfunc(gb->pcln) + 1, 1);
	if (!s.sends)
		return -ENOMEM;
	for (int i = HTTP_GET; i <= HTTP_POST_FORM; i++) {
		struct code c;

		if (!f[i].entry || s.default_at || code_read(&c, gb, &f[i], NULL))
			continue;
		learn_default(&s, &c);
		code_deinit(&c);
	}
	err = each_function(&s, look_for_calls);
	if (!err)
		err = each_function(&s, judge);
	free(s.sends);
	if (s.default_set || !s.default_at)
		drop_default(l);
	if (l->nclient)
		qsort(l->client, (size_t)l->nclient, sizeof(*l->client), by_place);
	return err;
}
