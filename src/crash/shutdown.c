/* SPDX-License-Identifier: BSD-2-Clause */
#include "crash/shutdown.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/vec.h"
#include "crash/fill.h"
#include "gort/gostacks.h"
#include "trace/death.h"

#define MAX_ROWS    4096       /* while they are counted */
#define MAX_STACKS  (1u << 14) /* distinct ones that are looked at */
#define MAX_LINES   128        /* of one stack */
#define MAX_INLINED 64
#define LEAST_NS    (200 * NS_PER_MS)
#define SHARE       100 /* looks take at most so much of a CPU: one in a hundred */
#define MAIN_GOID   1

/* What a stack says, whoever's it is. */
struct standing {
	bool known, serves, own; /* own: at is in the program's code, or in a library's */
	struct place at, of;
	bool stops;
};

/* A look, as much of it as a report shows. */
struct kept {
	uint64_t ns;
	struct shutdown_row row[SHUTDOWN_MAX_ROWS];
	int nrow;
	uint64_t goroutines, left_out;
};

/* At the end the last look shows a process that is through with what it waited for: shown is
 * one from so long before it. */
#define BEFORE_NS NS_PER_S
#define KEPT      8

struct shutdown {
	struct gowalk walk;
	struct gostacks stacks;
	bool made;
	struct standing *standing; /* [MAX_STACKS], of this look */
	struct shutdown_row *row, *prev;
	size_t nrow, cap, nprev, prev_cap;
	uint64_t goroutines, left_out;
	uint64_t next_ns, seen_ns, prev_ns;
	struct kept *kept[KEPT]; /* owned; NULL: none yet */
	unsigned int nkept;      /* so far: the latest is the one before */
};

struct shutdown *shutdown_new(void)
{
	return calloc(1, sizeof(struct shutdown));
}

void shutdown_free(struct shutdown *s)
{
	if (!s)
		return;
	gowalk_deinit(&s->walk);
	if (s->made)
		gostacks_deinit(&s->stacks);
	free(s->standing);
	free(s->row);
	free(s->prev);
	for (int i = 0; i < KEPT; i++)
		free(s->kept[i]);
	free(s);
}

/* ---- what a stack says ---- */

static bool is_one_of(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(name, list[i]))
			return true;
	return false;
}

/* Waits until what a server has under way is over. */
static bool is_stop(const char *function)
{
	static const char *const list[] = { "net/http.(*Server).Shutdown",
					    "google.golang.org/grpc.(*Server).GracefulStop",
					    "google.golang.org/grpc.(*Server).stop" };

	return is_one_of(function, list, ARRAY_SIZE(list));
}

/* Where a server's goroutine for a connection or a request begins. */
static bool is_serving(const char *function)
{
	static const char *const list[] = { "net/http.(*conn).serve",
					    "net/http.(*http2serverConn).runHandler",
					    "net/http/internal/http2.(*serverConn).runHandler",
					    "golang.org/x/net/http2.(*serverConn).runHandler",
					    "google.golang.org/grpc.(*Server).handleStream" };

	return is_one_of(function, list, ARRAY_SIZE(list));
}

/* The user's outermost function inside the server's. */
static void take_handler(const struct place *line, int n, struct standing *out)
{
	for (int i = n - 1; i >= 0; i--)
		if (line[i].of == FRAME_OWN) {
			out->of = line[i];
			return;
		}
	out->of = out->at;
	out->of.in = NULL;
}

static void read_standing(struct goruntime *rt, const uint64_t *pcs, size_t npcs,
			  struct standing *out)
{
	struct place line[MAX_LINES];
	const struct place *at[MAX_LINES] = { NULL };
	const char *stop = NULL;
	bool injected = true; /* the first pc is where it stands */
	int n = 0;

	for (size_t i = 0; i < npcs && !out->serves; i++) {
		struct goframe f[MAX_INLINED];
		int got = goruntime_frames_at(rt, pcs[i], &injected, f, MAX_INLINED);

		for (int k = 0; k < got && !out->serves; k++) {
			if (f[k].wrapper || !f[k].function)
				continue;
			out->serves = is_serving(f[k].function);
			stop = !stop && is_stop(f[k].function) ? f[k].function : stop;
			if (out->serves || n == MAX_LINES)
				continue;
			line[n] = place_of_frame(&f[k]);
			at[n] = &line[n];
			n++;
		}
	}
	out->own = place_of_lines(at, n, false, &out->at);
	if (!out->own)
		place_of_lines(at, n, true, &out->at);
	out->stops = stop != NULL;
	if (stop)
		out->at.in = stop;
	if (out->serves && out->own)
		take_handler(line, n, out);
	out->known = true;
}

/* ---- rows ---- */

static enum shutdown_what what_of(const struct goroutine *g, const struct standing *k)
{
	if (g->goid == MAIN_GOID)
		return SHUTDOWN_MAIN;
	if (k->stops)
		return SHUTDOWN_STOPS;
	if (k->serves)
		return k->own ? SHUTDOWN_HANDLES : SHUTDOWN_CONNECTION;
	return SHUTDOWN_OTHER;
}

struct row_key {
	uint64_t what, gopc, reason;
	struct place_key at, of;
};

static int add(struct shutdown *s, struct look *l, struct bytesmap *index,
	       const struct goroutine *g, const struct standing *k)
{
	const char *reason = goroutine_state(l->rt, g);
	enum shutdown_what what = what_of(g, k);
	struct row_key key;
	struct shutdown_row *r;
	uint64_t *at, gopc = g->gopc;
	bool made;

	memset(&key, 0, sizeof(key));
	key.what = what;
	key.gopc = gopc;
	key.reason = (uint64_t)(uintptr_t)reason;
	key.at = place_key(&k->at);
	key.of = place_key(&k->of);
	if (array_room(&s->row, s->nrow, &s->cap, sizeof(*s->row)))
		return -ENOMEM;
	at = bytesmap_put(index, &key, sizeof(key), s->nrow, &made);
	if (!at) {
		s->left_out++;
		return 0;
	}
	r = &s->row[*at];
	if (made) {
		*r = (struct shutdown_row){ .what = what,
					    .stops = k->stops,
					    .own = k->own,
					    .at = k->at,
					    .of = k->of,
					    .reason = reason,
					    .goroutine = g->goid };
		s->nrow++;
		if (what != SHUTDOWN_MAIN && gopc)
			place_of_pcs(l->rt, &gopc, 1, false, &r->created);
	}
	r->count++;
	r->goroutine = g->goid < r->goroutine ? g->goid : r->goroutine;
	return 0;
}

static int by_what(const void *x, const void *y)
{
	const struct shutdown_row *a = x, *b = y;

	if (a->what != b->what)
		return a->what < b->what ? -1 : 1;
	if (a->own != b->own)
		return a->own ? -1 : 1;
	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return (a->goroutine > b->goroutine) - (a->goroutine < b->goroutine);
}

/* A goroutine that the look before saw at the same: since then at least. */
static void date(struct shutdown *s, struct shutdown_row *r)
{
	if (r->what != SHUTDOWN_MAIN && r->what != SHUTDOWN_STOPS)
		return;
	for (size_t i = 0; i < s->nprev && s->prev[i].what <= SHUTDOWN_STOPS; i++) {
		const struct shutdown_row *p = &s->prev[i];

		if (p->what == r->what && p->goroutine == r->goroutine && p->stops == r->stops &&
		    place_equal(&p->at, &r->at))
			r->since_s = p->since_s + (double)(s->seen_ns - s->prev_ns) / 1e9;
	}
}

static int count_all(struct shutdown *s, struct look *l, const uint32_t *stack_of)
{
	static const struct standing nowhere = { .known = true };
	struct bytesmap index;
	int err = 0;

	bytesmap_init(&index, MAX_ROWS);
	memset(s->standing, 0, MAX_STACKS * sizeof(*s->standing));
	for (size_t i = 0; i < s->walk.n && !err; i++) {
		const struct goroutine *g = &s->walk.g[i];
		uint32_t k = stack_of[i];
		struct standing *of = k < MAX_STACKS ? &s->standing[k] : NULL;

		if (g->system || k == GOSTACK_ENDED)
			continue;
		s->goroutines++;
		if (of && !of->known)
			read_standing(l->rt, s->stacks.pc + s->stacks.stack[k].first,
				      s->stacks.stack[k].n, of);
		if (k < GOSTACK_MAX && !of)
			s->left_out++;
		else
			err = add(s, l, &index, g, of ? of : &nowhere);
	}
	bytesmap_deinit(&index);
	if (s->nrow)
		qsort(s->row, s->nrow, sizeof(*s->row), by_what);
	for (size_t i = 0; i < s->nrow; i++)
		date(s, &s->row[i]);
	return err;
}

/* ---- a look ---- */

static int signal_of(const struct look *l)
{
	return l->end_signal ? l->end_signal : SIGTERM;
}

static int make(struct shutdown *s)
{
	if (s->made)
		return 0;
	s->standing = calloc(MAX_STACKS, sizeof(*s->standing));
	s->made = s->standing && !gostacks_init(&s->stacks);
	return s->made ? 0 : -ENOMEM;
}

static int keep(struct shutdown *s)
{
	struct kept **at = &s->kept[s->nkept % KEPT], *k = *at ? *at : calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	*at = k;
	s->nkept++;
	k->ns = s->seen_ns;
	k->goroutines = s->goroutines;
	k->left_out = s->left_out;
	k->nrow = 0;
	for (size_t i = 0; i < s->nrow; i++) {
		if (i < SHUTDOWN_MAX_ROWS)
			k->row[k->nrow++] = s->row[i];
		else
			k->left_out += s->row[i].count;
	}
	return 0;
}

/* The latest that is not after ns; else the earliest; NULL: none. */
static const struct kept *kept_at(const struct shutdown *s, uint64_t ns)
{
	const struct kept *k = NULL;

	for (unsigned int i = s->nkept; i && i + KEPT > s->nkept; i--) {
		k = s->kept[(i - 1) % KEPT];
		if (k->ns <= ns)
			break;
	}
	return k;
}

/* The look before is there, to be compared with, and stays if this one fails. */
static int read_goroutines(struct shutdown *s, struct look *l)
{
	uint32_t *stack_of = NULL;
	int err = goruntime_walk(l->rt, &s->walk, NULL);

	if (!err) {
		stack_of = malloc((s->walk.n + 1) * sizeof(*stack_of));
		err = stack_of ? 0 : -ENOMEM;
	}
	if (!err) {
		gostacks_renew(&s->stacks);
		err = gostacks_read(&s->stacks, l->rt, &s->walk, stack_of);
	}
	if (!err) {
		struct shutdown_row *row = s->prev;
		size_t cap = s->prev_cap;

		s->prev = s->row;
		s->nprev = s->nrow;
		s->prev_cap = s->cap;
		s->prev_ns = s->seen_ns;
		s->row = row;
		s->cap = cap;
		s->nrow = 0;
		s->goroutines = s->left_out = 0;
		s->seen_ns = clock_mono_ns();
		err = count_all(s, l, stack_of);
		if (!err)
			err = keep(s);
	}
	free(stack_of);
	return err;
}

void shutdown_look(struct shutdown *s, struct look *l)
{
	uint64_t begin = clock_mono_ns(), cpu = clock_thread_cpu_ns(), took;

	if (!l->death || begin < s->next_ns)
		return;
	if (!death_asked_ns(l->death, signal_of(l)) || l->gone ||
	    !goruntime_has(l->rt, FACT_GOROUTINES) || !goruntime_has(l->rt, FACT_STACKS) || make(s))
		return;
	read_goroutines(s, l);
	took = (clock_thread_cpu_ns() - cpu) * SHARE;
	s->next_ns = begin + (took > LEAST_NS ? took : LEAST_NS);
}

static void take_sender(const struct gs_death *d, int sig, struct shutdown_window *out)
{
	const struct gs_signal *other = &d->from_others[sig], *own = &d->from_itself[sig];

	out->times = (uint64_t)other->count + own->count;
	out->sender.itself = !other->ns && own->ns;
	out->sender.known = other->ns != 0;
	if (!other->ns)
		return;
	out->sender.pid = (int)other->sender;
	memcpy(out->sender.name, other->comm, sizeof(other->comm));
}

int shutdown_fill(const struct shutdown *s, const struct look *l, bool gone,
		  struct shutdown_window *out)
{
	int sig = signal_of(l);
	uint64_t now = clock_mono_ns(), begin, end;
	const struct kept *k;
	struct gs_death d;

	if (!l->death)
		return 0;
	begin = death_asked_ns(l->death, sig);
	if (!begin)
		return 0;
	death_read(l->death, &d);
	out->known = true;
	out->signal_name = crash_signal_name(sig);
	take_sender(&d, sig, out);
	out->ended = gone;
	end = gone && d.exit_ns > begin ? d.exit_ns : now;
	out->lasted_s = end > begin ? (double)(end - begin) / 1e9 : 0;
	out->real_ns = clock_mono_to_real_ns(begin);
	k = kept_at(s, gone ? end - BEFORE_NS : end);
	if (!k || !k->nrow)
		return 0;
	out->row = calloc((size_t)k->nrow, sizeof(*out->row));
	if (!out->row)
		return -ENOMEM;
	memcpy(out->row, k->row, (size_t)k->nrow * sizeof(*out->row));
	out->nrow = k->nrow;
	out->seen = true;
	out->seen_s = k->ns > begin ? (double)(k->ns - begin) / 1e9 : 0;
	out->goroutines = k->goroutines;
	out->left_out = k->left_out;
	return 0;
}
