/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks of samples: what the kernel side walked by frame pointers, with the
 * caller that these lose (by the frame's size at the pc), cut where a stack
 * ends, and named where it is not Go's.
 */
#include "cpu/fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gobin/gobin.h"
#include "trace/sampler.h"

#define MAX_PCS (GS_CPU_FRAMES + 4)

static const char foreign[] = "[C]", vdso[] = "[vdso]";

/* A stack while it is put together. */
struct making {
	struct cpu_window *c;
	struct goruntime *rt;
	struct stack_builder builder;
	uint64_t pc[MAX_PCS];
	size_t n;
	bool whole, gc;
	bool in_c;  /* it stood in C */
	bool sched; /* of no goroutine */
};

/* Functions below which there is nothing of a stack. */
static bool is_root(const struct making *m, const char *name)
{
	static const char *const roots[] = { "runtime.mcall",   "runtime.mstart",
					     "runtime.rt0_go",  "runtime.sigtramp",
					     "runtime.goexit",  "runtime.cgocallback",
					     "runtime.mstart1", "runtime.sigreturn__sigaction",
					     "runtime.clone" };

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		if (!strcmp(name, roots[i]))
			return true;
	return m->sched && !strcmp(name, "runtime.morestack"); /* what it preempted has gone */
}

static bool is_gc(const char *name)
{
	static const char *const gc[] = { "runtime.gcBgMarkWorker", "runtime.gcAssistAlloc",
					  "runtime.bgsweep",        "runtime.bgscavenge",
					  "runtime.gcStart",        "runtime.gcMarkTermination",
					  "runtime.gcMarkDone",     "runtime.gcDrain",
					  "runtime.gcDrainN",       "runtime.deductSweepCredit" };

	for (size_t i = 0; i < ARRAY_SIZE(gc); i++)
		if (!strcmp(name, gc[i]))
			return true;
	return false;
}

static void push(struct making *m, uint64_t pc)
{
	if (m->n < MAX_PCS)
		m->pc[m->n++] = pc;
}

/* One of Go's; false: the stack ends there. */
static bool push_go(struct making *m, uint64_t pc, bool is_return)
{
	struct gofunc f;

	if (pclntab_find_pc(m->rt->gb->pcln, pc - m->rt->bias - is_return, &f))
		return false;
	m->gc = m->gc || is_gc(f.name);
	if (!strcmp(f.name, "runtime.goexit")) {
		m->whole = true;
		return false;
	}
	/* stacks are of return addresses: where it stood is one behind itself, as in Go's profiles */
	push(m, pc + !is_return);
	m->whole = is_root(m, f.name) || !strcmp(f.name, "runtime.main");
	return !is_root(m, f.name);
}

/* The caller that frame pointers have lost; 0: none. */
static uint64_t lost_caller(const struct making *m, const volatile struct gs_cpu_stack *s)
{
	int32_t size;

	if (pclntab_frame_size(m->rt->gb->pcln, s->pcs[0] - m->rt->bias, &size))
		return 0;
	if (!size)
		return s->ret;
	return s->saved_ret && size == 8 * (int32_t)(s->saved_at + 1) ? s->saved_ret : 0;
}

static uint64_t named(struct making *m, const char *name)
{
	return stack_builder_name(&m->builder, name);
}

/* C is linked into Go's code where the race detector is: it has C++'s and the compiler's names. */
static bool is_c(const struct making *m, const volatile struct gs_cpu_stack *s)
{
	struct gofunc f;

	if (s->flags & GS_CPU_FOREIGN)
		return !(s->flags & GS_CPU_VDSO);
	return s->npcs && !pclntab_find_pc(m->rt->gb->pcln, s->pcs[0] - m->rt->bias, &f) &&
	       (!strncmp(f.name, "_Z", 2) || !strncmp(f.name, "__", 2));
}

/* The physical frames of a sample into pc[]. */
static void put_together(struct making *m, const volatile struct gs_cpu_stack *s)
{
	uint32_t n = s->npcs < GS_CPU_FRAMES ? s->npcs : GS_CPU_FRAMES;
	bool goes_on = n;

	m->n = 0;
	m->whole = m->gc = false;
	m->in_c = is_c(m, s);
	m->sched = s->flags & GS_CPU_SCHED;
	if (s->flags & GS_CPU_KERNEL)
		push(m, named(m, cpu_kernel_name(s->system_call)));
	if (goes_on && (m->in_c || s->flags & GS_CPU_VDSO)) {
		push(m, named(m, m->in_c ? foreign : vdso));
	} else if (goes_on) {
		uint64_t lost = lost_caller(m, s);

		goes_on = push_go(m, s->pcs[0], false);
		if (goes_on && lost)
			goes_on = push_go(m, lost, true);
	}
	for (uint32_t i = 1; i < n && goes_on; i++)
		goes_on = push_go(m, s->pcs[i], true);
}

static enum cpu_kind kind_of(const struct making *m, const volatile struct gs_cpu_stack *s)
{
	if (m->gc)
		return CPU_GC;
	if (s->flags & GS_CPU_KERNEL)
		return CPU_KERNEL;
	if (s->flags & GS_CPU_SCHED)
		return CPU_SCHEDULER;
	return m->in_c ? CPU_FOREIGN : CPU_GO;
}

/* The go statement; the main goroutine has none, and is at home where it begins. */
static void created_at(const struct making *m, const volatile struct gs_cpu_stack *s,
		       struct place *out)
{
	enum { MAIN = 1 }; /* the id that the runtime's first goroutine has */
	uint64_t gopc = s->gopc;
	struct gofunc fn;

	if (s->goid == MAIN && !pclntab_find_name(m->rt->gb->pcln, "runtime.main", &fn))
		place_of_entry(m->rt->gb, fn.entry, out);
	else if (gopc)
		place_of_pcs(m->rt, &gopc, 1, false, out);
}

/*
 * What a goroutine was stopped by that stood there.  A function's entry, where the stack is
 * checked, is where the scheduler stops one that calls functions; a new one stands at its own.
 */
static void count_left(const struct making *m, const struct cpu_met *met, struct cpu_sample *out)
{
	static const char *const leaves[] = { "syscall.", "internal/runtime/syscall.",
					      "internal/syscall/", "golang.org/x/sys/" };
	static const char *const yields[] = { "runtime.Gosched", "runtime.goyield",
					      "runtime.cgocall", "runtime.notetsleepg",
					      "runtime.coroswitch_m" };
	uint64_t n = met->stop[GS_CPU_LEFT], pc = met->at->left_pc - m->rt->bias;
	bool left = false;
	struct gofunc f;

	if (!n || pclntab_find_pc(m->rt->gb->pcln, pc, &f) || pc == f.entry)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		left |= !strncmp(f.name, leaves[i], strlen(leaves[i]));
	for (size_t i = 0; i < ARRAY_SIZE(yields); i++)
		left |= !strcmp(f.name, yields[i]);
	if (left)
		out->left += n;
	else if (strncmp(f.name, "runtime.", 8) != 0)
		out->forced += n;
}

/* Those of a slot that was written meanwhile, and is of this window, are there. */
static uint32_t labels_of(struct cpu_window *c, const struct cpu_met *met)
{
	uint32_t at = met->at->labels;

	if (!at)
		return 0;
	if (at <= GS_CPU_LABEL_SLOTS && c->labels && c->labels[at - 1].ready)
		return at;
	c->labels_unknown += met->count;
	return 0;
}

static int add(struct making *m, const struct cpu_met *met)
{
	struct cpu_window *c = m->c;
	struct cpu_sample *out = &c->sample[c->nsample];
	int err;

	put_together(m, met->at);
	err = stack_builder_add(&m->builder, m->pc, m->n, m->whole, false);
	if (err)
		return err;
	*out = (struct cpu_sample){ .stack = (uint32_t)c->stacks.nstack - 1,
				    .count = met->count,
				    .kind = kind_of(m, met->at),
				    .goid = met->at->goid,
				    .thread = met->at->thread,
				    .labels = labels_of(c, met),
				    .gopc = met->at->gopc,
				    .forced = met->stop[GS_CPU_FORCED],
				    .parked = met->stop[GS_CPU_PARKED] };
	count_left(m, met, out);
	created_at(m, met->at, &out->created);
	c->nsample++;
	c->placed += met->count;
	c->kind[out->kind] += met->count;
	if (m->whole)
		c->whole += met->count;
	return 0;
}

/* What the target wrote; where it is cut, the last character may be. */
static void end_text(char *s, size_t size)
{
	size_t n = strnlen(s, size - 1);

	bool cut = n == size - 1;

	while (cut && n && (s[n - 1] & 0xc0) == 0x80)
		n--;
	if (cut && n && s[n - 1] & 0x80)
		n--;
	s[n] = '\0';
}

/* A copy of them, for the window. */
static int take_labels(struct cpu_window *c, const struct look *l, const struct cpu_met *met,
		       size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n && !any; i++)
		any = met[i].at->labels;
	if (!any)
		return 0;
	c->labels = malloc(GS_CPU_LABEL_SLOTS * sizeof(*c->labels));
	if (!c->labels)
		return -ENOMEM;
	memcpy(c->labels, (const void *)sampler_labels(l->sampler),
	       GS_CPU_LABEL_SLOTS * sizeof(*c->labels));
	for (int i = 0; i < GS_CPU_LABEL_SLOTS * GS_CPU_LABELS; i++) {
		struct gs_cpu_labels *set = &c->labels[i / GS_CPU_LABELS];
		struct gs_cpu_label *label = &set->label[i % GS_CPU_LABELS];

		end_text(label->key, sizeof(label->key));
		end_text(label->value, sizeof(label->value));
		if (set->n > GS_CPU_LABELS)
			set->n = GS_CPU_LABELS;
	}
	return 0;
}

static int by_count(const void *x, const void *y)
{
	const struct cpu_sample *a = x, *b = y;

	return a->count != b->count ? (a->count < b->count ? 1 : -1)
				    : (a->stack > b->stack) - (a->stack < b->stack);
}

int cpu_samples_fill(struct cpu_window *c, const struct look *l, const struct cpu_met *met,
		     size_t n)
{
	struct making m = { .c = c, .rt = l->rt };
	int err = 0;

	c->sample = calloc(n + 1, sizeof(*c->sample));
	if (!c->sample || take_labels(c, l, met, n))
		return -ENOMEM;
	stack_builder_init(&m.builder, &c->stacks, l->rt);
	for (size_t i = 0; i < n && !err; i++)
		err = add(&m, &met[i]);
	stack_builder_deinit(&m.builder);
	if (!err && c->nsample)
		qsort(c->sample, c->nsample, sizeof(*c->sample), by_count);
	return err;
}
