/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/stack_walk.h"
#include "base/vec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/place.h"
#include "gort/goslots.h"
#include "net/window.h"

#define MAX_KNOWN   65536
#define MAX_INLINED 32
#define MAX_CODE    (128u << 10)

/* ---- one stack ---- */

void netstacks_init(struct netstacks *s, struct goruntime *rt)
{
	memset(s, 0, sizeof(*s));
	s->rt = rt;
	bytesmap_init(&s->known, MAX_KNOWN + 1);
}

void netstacks_deinit(struct netstacks *s)
{
	bytesmap_deinit(&s->known);
	free(s->stack);
	memset(s, 0, sizeof(*s));
}

static void unwind(struct netwalk *w, const uint64_t *pcs, uint32_t n)
{
	struct goruntime *rt = w->s->rt;
	int32_t sp = 0, size;
	struct gofunc fn;

	w->n = 0;
	for (uint32_t i = 0; i < n && w->n < NETWALK_MAX_DEPTH; i++) {
		struct netframe *f = &w->frame[w->n];

		if (pclntab_find_pc(rt->gb->pcln, pcs[i] - rt->bias, &fn))
			break;
		*f = (struct netframe){ .pc = pcs[i], .sp = sp, .size = -1 };
		f->fn = netstack_function(fn.name, &f->plain);
		f->grpc = netgrpc_function(fn.name);
		f->upload = netupload_function(fn.name);
		f->lookup = netlookup_function(fn.name);
		w->n++;
		if (pclntab_frame_size(rt->gb->pcln, pcs[i] - rt->bias, &size) || size < 0 ||
		    size > (1 << 24) || sp > (1 << 26))
			break;
		f->size = size;
		sp += size + 8;
	}
}

void netwalk_take_slot(struct netwalk *w, int i, enum net_slot slot, unsigned int word)
{
	const struct netframe *f = &w->frame[i];
	int32_t off;

	if (w->out->slot[slot] != NETSLOT_NONE || f->size < 0 ||
	    goslot_arg(w->s->rt, f->pc, i == 0, word, &off))
		return;
	w->out->slot[slot] = f->sp + f->size + 8 + off;
}

/* The first frame outside of net/http itself, of the standard library's others. */
static void library_place(struct goruntime *rt, const uint64_t *pcs, int npcs, struct place *out)
{
	struct goframe f[MAX_INLINED];

	for (int i = 0; i < npcs; i++) {
		int n = pclntab_frames(rt->gb->pcln, pcs[i] - rt->bias, true, f, MAX_INLINED);

		for (int k = 0; k < n; k++)
			if (!strncmp(f[k].function, "net/http/", 9) &&
			    !strstr(f[k].function, "internal/")) {
				*out = place_of_frame(&f[k]);
				return;
			}
	}
}

struct place net_call_place(struct goruntime *rt, const uint64_t *pcs, int n)
{
	struct place place = { 0 };

	if (!place_of_pcs(rt, pcs, n, false, &place))
		/* a server that is all of the standard library: httputil.ReverseProxy */
		library_place(rt, pcs, n, &place);
	return place;
}

struct place netwalk_place_from(struct netwalk *w, int i)
{
	uint64_t pcs[NETWALK_MAX_DEPTH];
	int n = 0;

	for (int k = i + 1; k < w->n; k++)
		pcs[n++] = w->frame[k].pc;
	return net_call_place(w->s->rt, pcs, n);
}

/* Phase of a dial, by the frames inside of dialConn. */
static int dial_phase(const struct netwalk *w, int end)
{
	int phase = -1;

	for (int i = 0; i < end; i++) {
		/* the resolver has connections of its own */
		if (w->frame[i].fn == FN_IS_DNS)
			return NET_DNS;
		if (phase < 0 && w->frame[i].fn == FN_IS_CONNECT)
			phase = NET_CONNECT;
		if (phase < 0 && w->frame[i].fn == FN_IS_TLS)
			phase = NET_TLS;
	}
	return phase;
}

/* What the frames of a request say of it. */
static const struct rule {
	enum net_stage stage; /* NETSTAGE_OTHER: none */
	bool calls;           /* the user's call is further out */
	bool client, h2;
	uint8_t ntakes;
	struct {
		enum net_slot slot;
		unsigned int word; /* of its arguments */
	} takes[2];
} rules[] = {
	[FN_GETCONN] = { .stage = NETSTAGE_GETCONN,
			 .takes = { { NETSLOT_TRANSPORT, 0 }, { NETSLOT_TREQ, 1 } },
			 .ntakes = 2 },
	[FN_PC_ROUNDTRIP] = { .stage = NETSTAGE_HTTP1,
			      .takes = { { NETSLOT_CONN, 0 }, { NETSLOT_TREQ, 1 } },
			      .ntakes = 2 },
	[FN_H2_ROUNDTRIP] = { .stage = NETSTAGE_HTTP2,
			      .h2 = true,
			      .takes = { { NETSLOT_H2CONN, 0 } },
			      .ntakes = 1 },
	[FN_ROUNDTRIP] = { .calls = true,
			   .takes = { { NETSLOT_TRANSPORT, 0 }, { NETSLOT_INNER, 1 } },
			   .ntakes = 2 },
	[FN_TRANSPORT] = { .calls = true },
	[FN_DO] = { .calls = true,
		    .client = true,
		    .takes = { { NETSLOT_CLIENT, 0 }, { NETSLOT_REQUEST, 1 } },
		    .ntakes = 2 },
};

static void apply_rule(struct netwalk *w, int i, const struct rule *r)
{
	struct netstack *o = w->out;

	if (r->stage != NETSTAGE_OTHER)
		o->stage = r->stage;
	o->has_client = o->has_client || r->client;
	if (r->h2)
		o->plain_h2 = w->frame[i].plain;
	for (int k = 0; k < r->ntakes; k++)
		netwalk_take_slot(w, i, r->takes[k].slot, r->takes[k].word);
}

/* A body that is read; of HTTP/2 perhaps known by its pipe alone. */
static void find_body_read(struct netwalk *w, int i, int pipe)
{
	struct netstack *o = w->out;
	bool h2 = w->frame[i].fn == FN_H2_BODY_READ;

	if (o->roles & (NETROLE_BODY | NETROLE_STREAM_BODY))
		return;
	o->roles |= h2 ? NETROLE_STREAM_BODY : NETROLE_BODY;
	o->plain_h2 = w->frame[i].plain;
	netwalk_take_slot(w, i, NETSLOT_BODY, 0);
	if (pipe >= 0 && h2)
		netwalk_take_slot(w, pipe, NETSLOT_PIPE, 0);
	o->place = netwalk_place_from(w, i);
}

/* The innermost request on the stack, with what is known of it there. */
static void find_request(struct netwalk *w)
{
	int call = -1, pipe = -1;

	for (int i = 0; i < w->n && (call < 0 || w->frame[call].fn != FN_DO); i++) {
		enum netfn fn = (enum netfn)w->frame[i].fn;

		if (fn == FN_H2_PIPE_READ)
			pipe = i;
		else if (call < 0 && (fn == FN_BODY_READ || fn == FN_H2_BODY_READ))
			find_body_read(w, i, pipe);
		else if (fn < ARRAY_SIZE(rules))
			apply_rule(w, i, &rules[fn]);
		if (fn < ARRAY_SIZE(rules) && rules[fn].calls)
			call = i;
	}
	if (call < 0)
		return;
	w->out->roles |= NETROLE_REQUEST;
	w->out->place = netwalk_place_from(w, call);
}

static void find_dial(struct netwalk *w)
{
	for (int i = 0; i < w->n; i++) {
		if (w->frame[i].fn == FN_DIALCONN)
			w->out->dial_phase = dial_phase(w, i);
		if (w->frame[i].fn != FN_DIAL_FOR)
			continue;
		w->out->roles |= NETROLE_DIAL;
		netwalk_take_slot(w, i, NETSLOT_WANT, 1);
	}
}

/* ---- the loops of connections ---- */

/* A call of runtime.selectgo by the function itself, not by what is inlined there: its line, or 0. */
static int select_line(struct netstacks *s, const struct insn *in, uint64_t ret)
{
	struct goframe f[2];
	struct gofunc callee;

	if (in->flow != FLOW_CALL || pclntab_find_pc(s->rt->gb->pcln, in->target, &callee) ||
	    callee.entry != in->target || strcmp(callee.name, "runtime.selectgo"))
		return 0;
	return pclntab_frames(s->rt->gb->pcln, ret, true, f, 2) == 1 ? f[0].line : 0;
}

/* The last select of readLoop, in the order of its lines, is where it waits
 * for the end of the body (net/http/transport.go, in 1.18 to 1.27). */
static void find_body_wait(struct netstacks *s, uint64_t pc)
{
	struct gobin *gb = s->rt->gb;
	struct gofunc fn;
	struct insn in;
	uint8_t *text;
	int last = 0;

	if (s->body_wait_sought)
		return;
	s->body_wait_sought = true;
	if (!gb->arch || pclntab_find_pc(gb->pcln, pc - s->rt->bias, &fn) ||
	    fn.end - fn.entry > MAX_CODE)
		return;
	text = malloc(fn.end - fn.entry);
	if (!text || image_read_addr(&gb->image, fn.entry, text, fn.end - fn.entry))
		goto out;
	for (size_t pos = 0, len = fn.end - fn.entry; pos < len; pos += in.len) {
		int line;

		if (gb->arch->decode(text + pos, len - pos, fn.entry + pos, false, &in))
			break;
		line = select_line(s, &in, fn.entry + pos + in.len);
		if (line > last) {
			last = line;
			s->body_wait = fn.entry + pos + in.len;
		}
	}
out:
	free(text);
}

/* Functions whose goroutine has a part of its own, with what their first argument leads to. */
static const struct part {
	enum netfn fn;
	enum net_role role;
	enum net_slot slot;
} parts[] = {
	{ FN_READLOOP, NETROLE_READLOOP, NETSLOT_LOOP },
	{ FN_WRITELOOP, NETROLE_WRITELOOP, NETSLOT_LOOP },
	{ FN_H2_STREAM, NETROLE_STREAM, NETSLOT_STREAM },
	{ FN_H2_READLOOP, NETROLE_H2CONN, NETSLOT_H2CONN },
	{ FN_SERVE, NETROLE_SERVER, NETSLOT_SERVE },
	{ FN_ACCEPT, NETROLE_LISTEN, NETSLOT_SERVER },
};

static void find_part(struct netwalk *w, int i)
{
	const struct netframe *f = &w->frame[i];

	for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
		if ((int)parts[k].fn != f->fn)
			continue;
		w->out->roles |= parts[k].role;
		netwalk_take_slot(w, i, parts[k].slot, 0);
		if (parts[k].role & (NETROLE_STREAM | NETROLE_H2CONN))
			w->out->plain_h2 = f->plain;
	}
}

/* What the goroutine of a stream waits for while it sends the request, from the inside out. */
static enum net_waits waits_of(const struct netwalk *w)
{
	bool connection = false;

	for (int i = 0; i < w->n; i++) {
		switch (w->frame[i].fn) {
		case FN_H2_AWAIT_STREAM:
			return NET_WAITS_STREAM;
		case FN_H2_AWAIT_FLOW:
			return NET_WAITS_FLOW;
		case FN_LOCK: /* somebody else writes */
		case FN_FLUSH:
		case FN_H2_FRAMER:
			connection = true;
			break;
		case FN_H2_WRITE_HEADER:
			return connection ? NET_WAITS_SOCKET : NET_WAITS_NOTHING;
		case FN_H2_WRITE_BODY:
			return connection ? NET_WAITS_SOCKET : NET_WAITS_BODY;
		default:
			break;
		}
	}
	return NET_WAITS_NOTHING;
}

static void find_loops(struct netwalk *w)
{
	struct netstack *o = w->out;

	for (int i = 0; i < w->n; i++) {
		const struct netframe *f = &w->frame[i];
		int inner = i ? f[-1].fn : FN_NONE;

		find_part(w, i);
		if (f->fn == FN_READLOOP) {
			o->loop_sp = f->sp;
			o->loop_size = f->size;
			find_body_wait(w->s, f->pc);
			o->awaits_body =
				f->pc - w->s->rt->bias == w->s->body_wait && inner == FN_SELECT;
		} else if (f->fn == FN_WRITELOOP) {
			/* it selects, or tells the others that it has written */
			o->writing = i > 0 && inner != FN_SELECT && inner != FN_RUNTIME;
			netupload_classify(w, i);
		}
	}
}

/* ---- servers ---- */

static bool is_of_http(const struct place *p)
{
	return !strncmp(p->function, "net/http.", 9);
}

/*
 * Who serves the request: what the server calls, or, where that is a mux or what
 * net/http puts around another, what the mux calls.  Its route is what the first mux
 * has chosen.  As the probes count it (bpf/call.bpf.c).
 */
static void find_handler(struct netwalk *w, int i)
{
	struct netstack *o = w->out;
	bool expected = true;

	for (; i >= 0; i--) {
		switch (w->frame[i].fn) {
		case FN_MUX:
			if (!o->routed)
				netwalk_take_slot(w, i, NETSLOT_ROUTED, 3); /* mux, w (2), r */
			o->routed = true;
			o->is_around = o->in_handler && !is_of_http(&o->handler);
			if (o->is_around)
				return;
			expected = true;
			o->is_func = false;
			break;
		case FN_HANDLER_FUNC:
			o->is_func = expected || o->is_func;
			break;
		case FN_H2C:
			break;
		default:
			if (expected &&
			    net_handler_place(w->s->rt->gb, w->frame[i].pc - w->s->rt->bias,
					      &o->handler)) {
				o->in_handler = true;
				expected = false;
				if (o->routed)
					return;
			}
		}
	}
}

static void find_server(struct netwalk *w)
{
	struct netstack *o = w->out;
	int caller = -1;

	for (int i = 0; i < w->n; i++) {
		switch (w->frame[i].fn) {
		case FN_READ_REQUEST:
			o->reading_request = true;
			break;
		case FN_H2_HANDLER:
			o->roles |= NETROLE_SERVER;
			caller = caller < 0 ? i : caller;
			break;
		case FN_SERVER_HANDLER:
			caller = i;
			break;
		case FN_GRPC_STREAM:
			o->roles |= NETROLE_SERVER;
			o->is_stream = true;
			o->in_handler = net_handler_place(
				w->s->rt->gb, w->frame[i].pc - w->s->rt->bias, &o->handler);
			netwalk_take_slot(w, i, NETSLOT_STREAM_BY, 1); /* server, transport (2) */
			return;
		case FN_H2_CONN:
			o->roles &= ~(uint32_t)NETROLE_SERVER;
			return;
		case FN_ACCEPT:
			o->serves = netwalk_place_from(w, i);
			break;
		default:
			break;
		}
	}
	if (o->roles & NETROLE_SERVER)
		find_handler(w, caller - 1);
}

/* What has to be kept of such a stack's bytes. */
static void reach_slots(struct netstack *o)
{
	int64_t end = 0;

	for (int k = 0; k < NETSLOT_COUNT; k++) {
		if (o->slot[k] == NETSLOT_NONE)
			continue;
		o->at[k] = o->nslot++;
		if (o->slot[k] + 8ll > end)
			end = o->slot[k] + 8ll;
	}
	o->keeps_frame = o->awaits_body && o->loop_sp >= 0 && o->loop_size > 0 &&
			 o->loop_size <= NETSTACK_MAX_FRAME;
	if (o->keeps_frame && (int64_t)o->loop_sp + o->loop_size > end)
		end = (int64_t)o->loop_sp + o->loop_size;
	o->reach = (uint32_t)end;
}

static void classify(struct netstacks *s, const struct gostacks *gs, const struct gostack *k,
		     struct netstack *out)
{
	struct netwalk w = { .s = s, .out = out };

	*out = (struct netstack){ .dial_phase = -1 };
	for (int i = 0; i < NETSLOT_COUNT; i++)
		out->slot[i] = NETSLOT_NONE;
	unwind(&w, gs->pc + k->first, k->n);
	find_request(&w);
	find_dial(&w);
	find_loops(&w);
	if (out->roles & NETROLE_STREAM)
		out->waits = waits_of(&w);
	find_server(&w);
	netgrpc_classify(&w);
	netlookup_classify(&w);
	reach_slots(out);
}

void netstacks_begin(struct netstacks *s)
{
	if (s->n <= MAX_KNOWN / 2)
		return;
	bytesmap_deinit(&s->known);
	bytesmap_init(&s->known, MAX_KNOWN + 1);
	s->n = 0;
}

int netstacks_classify(struct netstacks *s, const struct gostacks *gs, size_t from,
		       uint32_t *class_of)
{
	for (size_t i = from; i < gs->n; i++) {
		const struct gostack *k = &gs->stack[i];
		uint64_t *at;
		bool made;

		at = bytesmap_put(&s->known, gs->pc + k->first, k->n * sizeof(*gs->pc), s->n,
				  &made);
		if (array_room(&s->stack, s->n, &s->cap, sizeof(*s->stack)))
			return -ENOMEM;
		if (at && !made) {
			class_of[i] = (uint32_t)*at;
			continue;
		}
		classify(s, gs, k, &s->stack[s->n]);
		class_of[i] = (uint32_t)s->n++;
	}
	return 0;
}
