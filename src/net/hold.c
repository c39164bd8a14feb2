/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether somebody still holds the body of a response: a connection waits for
 * it to be read or closed, and nobody reads it now.  It is held when a word of
 * a goroutine's own frames that is alive there (by the compiler's maps, as the
 * collector reads them) or a call it has deferred leads to the body, its
 * response or its wrapper, over at most MAX_DEPTH objects: a response, a
 * decoder, a struct with a decoder.  The frames of net/http do not count: it
 * always knows its connections.
 *
 * What only globals lead to is not held: a body in a list that nobody looks
 * at is as good as lost.  One that a goroutine finds there now and then and
 * reads differs by what is read of it: see net_conn.quiet_ns.
 */
#include "net/priv.h"

#include <stdio.h>

#include "base/clock.h"
#include "prove/heap.h"
#include "prove/stackmap.h"
#include "gort/gostack.h"

#define QUIET_NS      NS_PER_S        /* unread for longer than that */
#define DOUBT_NS      (10 * NS_PER_S) /* the same, when some goroutine could not be looked at */
#define MAX_DEPTH     3
#define BATCH         256         /* goroutines read at once */
#define STACK_BYTES   (64u << 10) /* of one stack; deeper frames are not looked at */
#define FIRST_BYTES   4096        /* of an object that a stack leads to: a list of bodies, too */
#define NEXT_BYTES    512         /* of one that an object leads to */
#define MAX_WORDS     200000      /* objects looked into, at each depth */
#define MAX_DEFERS    256         /* records of one goroutine that are on its stack */
#define RUNNING_TRIES 20

struct target {
	uint64_t from, to;
	uint32_t conn;
};

/* An object that may lead to a body: the part of it that is looked into. */
struct lead {
	uint64_t addr;
	uint32_t bytes, walk;
};

struct leads {
	struct lead *v; /* owned */
	size_t n, cap;
};

struct search {
	struct netwatch *nw;
	const struct gowalk *w;
	const uint32_t *stack_of;
	struct target *target; /* owned; by address */
	size_t ntarget;
	struct leads now, next; /* of this depth, and the next */
	struct u64map seen;     /* objects */
	struct heap heap;       /* its spans: where objects begin and end */
	uint32_t reach;         /* bytes of an object that are looked into */
	struct u64map skipped;  /* link-time pc -> whether its frame does not count */
	struct stackmaps maps;
	bool doubt; /* something could not be looked at */
	bool blind; /* objects cannot be distinguished */
	int err;    /* of what was taken in a stage */
};

bool nethold_is_candidate(const struct net_look *l, const struct net_conn *c)
{
	if (!c->awaits_body || c->dead || c->closed || c->reader || !(c->body || c->body_lost))
		return false;
	return c->quiet_ns && l->now_ns > c->quiet_ns + QUIET_NS;
}

static int by_address(const void *a, const void *b)
{
	const struct target *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static int list_targets(struct search *s)
{
	struct net_look *l = &s->nw->cur;
	uint64_t body = (uint64_t)net_off(s->nw, LAYOUT_HTTP_BODYEOFSIGNAL_SIZE);
	uint64_t response = (uint64_t)net_off(s->nw, LAYOUT_HTTP_RESPONSE_SIZE);

	s->target = calloc(2 * l->nconn + 1, sizeof(*s->target));
	if (!s->target)
		return -ENOMEM;
	for (size_t i = 0; i < l->nconn; i++) {
		const struct net_conn *c = &l->conn[i];

		if (!nethold_is_candidate(l, c))
			continue;
		if (c->body) {
			uint64_t size = c->h2 ? neth2_layout(s->nw, c->x)->stream_bytes : body;

			s->target[s->ntarget++] =
				(struct target){ c->body, c->body + size, (uint32_t)i };
		}
		if (c->response)
			s->target[s->ntarget++] =
				(struct target){ c->response, c->response + response, (uint32_t)i };
	}
	qsort(s->target, s->ntarget, sizeof(*s->target), by_address);
	return 0;
}

/* The first of the targets that have addr in them, or ntarget.  Objects do not overlap, but one
 * whose memory is used again may be a target of two connections. */
static size_t first_target(const struct search *s, uint64_t addr)
{
	size_t lo = 0, hi = s->ntarget;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->target[mid].to <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The part of an object that is looked into: all of it, or from the pointer on. */
static bool part_of(const struct search *s, uint64_t word, struct lead *out)
{
	uint64_t base, size;
	bool noscan;

	if (!heap_object(&s->heap, word, &base, &size, &noscan) || noscan)
		return false;
	out->addr = base;
	if (size > s->reach && word - base > s->reach / 2)
		out->addr = word & ~7ull;
	out->bytes = size - (out->addr - base) < s->reach ? (uint32_t)(size - (out->addr - base))
							  : s->reach;
	return out->bytes >= 8;
}

/* NETROLE_… of a goroutine. */
static unsigned int roles_of(const struct search *s, uint32_t walk)
{
	uint32_t stack = s->stack_of[walk];

	return stack < GOSTACK_MAX ? s->nw->stacks.stack[s->nw->users.class_of[stack]].roles : 0;
}

/* The holder that a report names: the one that is nearest to the body, but one that is
 * in a request of its own only when no other leads to it (a word that an earlier
 * goroutine has left on its stack may be all that it has of this body). */
static void name_holder(const struct search *s, struct net_conn *c, uint32_t walk)
{
	if (!c->holder || ((roles_of(s, c->holder - 1) & NETROLE_REQUEST) &&
			   !(roles_of(s, walk) & NETROLE_REQUEST)))
		c->holder = walk + 1;
}

/* Whether a word leads into a body or its response: then it is held. */
static bool hit(struct search *s, uint64_t word, uint32_t walk)
{
	size_t first = first_target(s, word), i;

	for (i = first; i < s->ntarget && s->target[i].from <= word; i++) {
		struct net_conn *c = &s->nw->cur.conn[s->target[i].conn];

		c->held = true;
		name_holder(s, c, walk);
	}
	return i > first;
}

/* Takes one word: it is a body, or leads on. */
static int take(struct search *s, uint64_t word, uint32_t walk)
{
	struct lead lead = { .walk = walk };
	bool made;

	if (word < 4096 || word >> 47)
		return 0;
	if (hit(s, word, walk))
		return 0;
	if (!part_of(s, word, &lead))
		return 0;
	if (!u64map_put(&s->seen, lead.addr, 1, &made) || (made && s->next.n == MAX_WORDS)) {
		s->doubt = true;
		return 0;
	}
	if (!made)
		return 0;
	if (array_room(&s->next.v, s->next.n, &s->next.cap, sizeof(*s->next.v)))
		return -ENOMEM;
	s->next.v[s->next.n++] = lead;
	return 0;
}

/* ---- stacks ---- */

/* Frames that know connections by their trade, and those of the runtime. */
static bool is_skipped(struct search *s, uint64_t pc)
{
	static const char *const package[] = {
		"net/http.",   "net/http/internal", "golang.org/x/net/http2.",
		"net.",        "runtime.",          "internal/poll.",
		"crypto/tls.",
	};
	bool made;
	uint64_t *at = u64map_put(&s->skipped, pc, 0, &made);
	struct gofunc fn;

	if (at && !made)
		return *at;
	if (pclntab_find_pc(s->nw->rt->gb->pcln, pc, &fn))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(package); i++)
		if (!strncmp(fn.name, package[i], strlen(package[i]))) {
			if (at)
				*at = 1;
			return true;
		}
	return false;
}

/* A goroutine's stack, as it was read. */
struct stack {
	const struct goroutine *g;
	uint32_t walk;
	uint64_t pc, sp;
	const uint8_t *bytes;
	uint64_t len;
};

static int take_words(struct search *s, const struct stack *k, uint64_t from, uint64_t to)
{
	int err = 0;

	for (uint64_t a = from; a + 8 <= to && !err; a += 8)
		if (a >= k->sp && a + 8 <= k->sp + k->len)
			err = take(s, load_u64(k->bytes + (a - k->sp)), k->walk);
	return err;
}

static int take_masked(struct search *s, const struct stack *k, uint64_t from, uint32_t mask,
		       uint32_t n)
{
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++)
		if (stackmap_bit(s->maps.bits + mask, i))
			err = take_words(s, k, from + 8ull * i, from + 8ull * i + 8);
	return err;
}

/* What of a frame is alive: its maps, and all variables that something may point to. */
static int take_frame(struct search *s, const struct stack *k, const struct framemap *m,
		      uint64_t sp, bool conservative)
{
	uint64_t fp = sp + (uint64_t)m->size + 8, varp = fp - 8;
	int err;

	if (varp > sp)
		varp -= 8; /* saved frame pointer */
	if (conservative || m->no_locals)
		return take_words(s, k, sp, fp + m->args_bytes);
	err = m->nlocals ? take_masked(s, k, varp - 8ull * m->nlocals, m->locals, m->nlocals) : 0;
	if (!err && m->nargs && !m->no_args)
		err = take_masked(s, k, fp, m->args, m->nargs);
	for (uint32_t i = 0; i < m->nobjects && !err; i++) {
		struct stackobj o = s->maps.object[m->first_object + i];
		uint64_t at = (o.off < 0 ? varp : fp) + (uint64_t)(int64_t)o.off;

		err = take_words(s, k, at, at + o.size);
	}
	return err;
}

static int take_stack(struct search *s, const struct stack *k)
{
	uint64_t pc = k->pc, sp = k->sp, bias = s->nw->rt->bias;
	bool conservative = false;
	int err = 0;

	stackmaps_trim(&s->maps);
	while (!err) {
		const struct framemap *m = stackmaps_at(&s->maps, pc - bias);

		if (!m || m->size < 0 || sp + (uint64_t)m->size + 8 > k->sp + k->len)
			break;
		if (!is_skipped(s, pc - bias))
			err = take_frame(s, k, m, sp, conservative || m->injected || m->sigpanic);
		if (m->top || m->unknown_args || m->sp_write)
			break;
		conservative = m->injected || m->sigpanic;
		pc = load_u64(k->bytes + (sp + (uint64_t)m->size - k->sp));
		sp += (uint64_t)m->size + 8;
		if (!pc)
			break;
	}
	return err;
}

/* Deferred calls whose records are on the stack, where no map shows them; what a
 * record in the heap has to call is found as everything in the heap. */
static int take_defers(struct search *s, const struct stack *k, uint64_t d)
{
	uint64_t fn = (uint64_t)net_off(s->nw, LAYOUT_DEFER_FN),
		 link = (uint64_t)net_off(s->nw, LAYOUT_DEFER_LINK);
	int err = 0;

	for (int n = 0; n < MAX_DEFERS && !err && d; n++) {
		if (d < k->sp || d + fn + 8 > k->sp + k->len || d + link + 8 > k->sp + k->len)
			return take(s, d, k->walk);
		err = take(s, load_u64(k->bytes + (d + fn - k->sp)), k->walk);
		d = load_u64(k->bytes + (d + link - k->sp));
	}
	return err;
}

/* Its part in a request makes it know a body that it does not hold. */
static bool is_machinery(unsigned int roles)
{
	return roles & (NETROLE_READLOOP | NETROLE_WRITELOOP | NETROLE_STREAM | NETROLE_H2CONN |
			NETROLE_DIAL);
}

/* A goroutine while its stack is read, between two reads of what says that it stands. */
struct looked_at {
	struct goroutine g;
	uint32_t walk;
	bool missed;
};

static uint32_t stack_bytes(const struct goroutine *g, uint64_t sp)
{
	return g->stack_hi - sp < STACK_BYTES ? (uint32_t)(g->stack_hi - sp) : STACK_BYTES;
}

static void ask_stack(void *owner, void *item, struct readpiece *piece)
{
	const struct search *s = owner;
	struct looked_at *v = item;
	uint64_t pc, sp;

	v->missed = true;
	if (!gostack_start(&v->g, &pc, &sp))
		return;
	piece[0] = (struct readpiece){ sp, stack_bytes(&v->g, sp) };
	/* behind its stack: whether it still is where it was */
	piece[1] = (struct readpiece){ v->g.addr, (uint32_t)net_off(s->nw, LAYOUT_G_GOID) + 40 };
}

static void take_read_stack(void *owner, void *item, const uint8_t *const *bytes)
{
	struct search *s = owner;
	struct netwatch *nw = s->nw;
	struct looked_at *v = item;
	const uint8_t *a = bytes[1];
	struct stack k = { .g = &v->g, .walk = v->walk, .bytes = bytes[0] };

	v->missed = !k.bytes || !a || net_u64(nw, a, LAYOUT_G_GOID) != v->g.goid ||
		    net_u64(nw, a, LAYOUT_G_SCHED_SP) != v->g.sched_sp ||
		    net_u64(nw, a, LAYOUT_G_SYSCALLSP) != v->g.syscall_sp ||
		    a[net_off(nw, LAYOUT_G_TRACKINGSEQ)] != v->g.tracking_seq;
	if (v->missed || s->err || !gostack_start(&v->g, &k.pc, &k.sp))
		return;
	k.len = stack_bytes(&v->g, k.sp);
	s->err = take_stack(s, &k);
	if (!s->err)
		s->err = take_defers(s, &k, net_u64(nw, a, LAYOUT_G_DEFER));
}

/* The stacks of some goroutines. */
static int take_batch(struct search *s, struct looked_at *v, size_t n)
{
	struct readstage stage = { s, v, n, sizeof(*v), ask_stack, take_read_stack, true };
	int err = readbatch_stage(&s->nw->batch, s->nw->rt->mem, &stage);

	return err ? err : s->err;
}

/* One that ran or moved: some more tries.  It may have ended. */
static int take_again(struct search *s, uint32_t walk)
{
	const struct goroutine *was = &s->w->g[walk];

	for (int i = 0; i < RUNNING_TRIES; i++) {
		struct looked_at v = { .walk = walk };
		int err = goruntime_read_g(s->nw->rt, was->addr, &v.g);

		if (err == -ESRCH || err == -EPERM)
			return err;
		if (err || v.g.goid != was->goid || v.g.status == GO_DEAD || v.g.status == GO_IDLE)
			return 0;
		err = take_batch(s, &v, 1);
		if (err || !v.missed)
			return err;
	}
	s->doubt = true;
	return 0;
}

static int take_stacks(struct search *s)
{
	struct looked_at v[BATCH];
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i <= s->w->n && !err; i++) {
		bool end = i == s->w->n;

		if (!end && !s->w->g[i].system && s->stack_of[i] != GOSTACK_ENDED &&
		    !is_machinery(roles_of(s, (uint32_t)i)))
			v[n++] = (struct looked_at){ .g = s->w->g[i], .walk = (uint32_t)i };
		if (n < BATCH && !end)
			continue;
		err = take_batch(s, v, n);
		for (size_t k = 0; k < n && !err; k++)
			if (v[k].missed)
				err = take_again(s, v[k].walk);
		n = 0;
	}
	return err;
}

/* ---- objects ---- */

/* What net/http itself has to call later, or waits with. */
static bool is_machinery_closure(struct search *s, uint64_t word)
{
	const struct moduledata *m = &s->nw->rt->gb->mod;
	uint64_t pc = word - s->nw->rt->bias;

	return pc >= m->text && pc < m->etext && is_skipped(s, pc);
}

static void ask_object(void *owner, void *item, struct readpiece *piece)
{
	const struct lead *l = item;

	(void)owner;
	*piece = (struct readpiece){ l->addr, l->bytes };
}

/* Looks into an object that the depth before has named. */
static void take_object(void *owner, void *item, const uint8_t *const *bytes)
{
	struct search *s = owner;
	const struct lead l = *(const struct lead *)item;

	if (!bytes[0] || is_machinery_closure(s, load_u64(bytes[0])))
		return;
	for (uint32_t at = 0; at + 8 <= l.bytes && !s->err; at += 8)
		s->err = take(s, load_u64(bytes[0] + at), l.walk);
}

static int follow(struct search *s)
{
	int err = 0;

	for (int depth = 0; depth < MAX_DEPTH && !err; depth++) {
		struct leads done = s->now;

		s->now = s->next;
		s->next = done;
		s->next.n = 0;
		s->reach = NEXT_BYTES;
		err = readbatch_stage(&s->nw->batch, s->nw->rt->mem,
				      &(struct readstage){ s, s->now.v, s->now.n, sizeof(*s->now.v),
							   ask_object, take_object, false });
		err = err ? err : s->err;
	}
	return err;
}

/* What could not be looked at may hold those that are not old. */
static void give_doubt(struct search *s)
{
	struct net_look *l = &s->nw->cur;

	for (size_t i = 0; i < l->nconn; i++) {
		struct net_conn *c = &l->conn[i];

		if (nethold_is_candidate(l, c) && !c->body_lost &&
		    (s->blind || l->now_ns < c->quiet_ns + DOUBT_NS))
			c->held = true;
	}
}

/* Without the spans only what stacks hold themselves is seen: that is not enough. */
static int read_spans(struct search *s)
{
	int err = heap_init(&s->heap, s->nw->rt);

	if (!err)
		err = heap_read_spans(&s->heap);
	if (!err || err == -ESRCH || err == -EPERM || err == -ENOMEM)
		return err;
	s->doubt = s->blind = true;
	snprintf(s->nw->why, sizeof(s->nw->why),
		 "whether bodies are still held is not known: %.90s", s->heap.why);
	return 0;
}

int nethold_find(struct netwatch *nw)
{
	struct search s = { .nw = nw, .w = nw->look->walk, .stack_of = nw->look->stack_of };
	int err;

	for (size_t i = 0; i < nw->cur.nconn; i++) {
		nw->cur.conn[i].held = false;
		nw->cur.conn[i].holder = 0;
	}
	u64map_init(&s.seen, 4 * MAX_WORDS);
	u64map_init(&s.skipped, 65536);
	stackmaps_init(&s.maps, nw->rt->gb);
	s.reach = FIRST_BYTES;
	err = list_targets(&s);
	if (!err && s.ntarget)
		err = read_spans(&s);
	if (!err && s.ntarget) {
		err = take_stacks(&s);
		if (!err)
			err = follow(&s);
		if (!err && s.doubt)
			give_doubt(&s);
	}
	u64map_deinit(&s.seen);
	u64map_deinit(&s.skipped);
	stackmaps_deinit(&s.maps);
	heap_deinit(&s.heap);
	free(s.target);
	free(s.now.v);
	free(s.next.v);
	return err;
}
