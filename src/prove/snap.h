/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that a judgement needs, copied from the process: its heap, its
 * goroutines with their stacks, its variables, and what else the garbage
 * collector takes for roots.  Read from the running process, or from the
 * frozen one; the buffers stay for the next reading.
 */
#ifndef GOSPECT_PROVE_SNAP_H
#define GOSPECT_PROVE_SNAP_H

#include "prove/freeze.h"
#include "prove/heap.h"
#include "prove/prove.h"
#include "prove/stackmap.h"
#include "proc/readbatch.h"
#include "gort/goruntime.h"

#define SNAP_MAX_MODULES 64
#define SNAP_NO_KIND     0xff

/* One entry of allgs. */
struct pgo {
	uint64_t addr, goid;
	uint64_t pc, sp; /* where it stands; of a system call, where it entered */
	uint64_t lo, hi; /* stack */
	uint64_t waiting, startpc, wait_since;
	uint64_t from;      /* lowest address of its stack that was copied */
	uint64_t stack_at;  /* of that in snap.stacks */
	uint64_t primitive; /* first one */
	uint32_t stack_len;
	uint32_t first_waiter; /* in snap.waiter */
	uint16_t nwaiter;
	uint8_t status, reason, seq;
	uint8_t kind;     /* enum leak_kind, SNAP_NO_KIND: not to be judged */
	bool live;        /* of allgs, and neither idle nor dead */
	bool whole_stack; /* no telling where its frames are: every word counts */
	bool inexact; /* stopped anywhere in its innermost function: every word of that frame counts */
	bool stack_unread;
	bool kept;   /* keep.c: its stack is the one that was copied before */
	bool later;  /* later.c: its stack is copied when it turns out to be reached */
	bool on_cpu; /* frozen: pc and sp are those of the thread that ran it */
	bool candidate, reached;
	bool held;  /* by who is named to hold what it waits for */
	bool stuck; /* leaked, or it would be if held ones depended on their holders only */
};

/* A sudog of a candidate: what it waits for. */
struct pwaiter {
	uint64_t sudog, primitive, elem;
	uint32_t next; /* + 1: another one that waits for the same object */
	uint32_t g;
};

struct pmodule {
	uint64_t base[2], size[2]; /* data, bss: run-time address, bytes */
	uint8_t *copy[2];          /* owned */
	uint8_t *mask[2];          /* owned: a bit per word; NULL: any word may be a pointer */
};

struct snap {
	struct goruntime *rt; /* borrowed */
	struct heap heap;
	struct stackmaps maps;
	bool frozen;
	const struct freeze *freeze; /* while frozen: registers */
	/* allgs: addresses, and the goroutines at the same index */
	uint64_t *gaddr;
	size_t ng, g_cap, gaddr_cap, list_seen;
	size_t nsorted; /* of gaddr; what came later is sorted by itself */
	struct pgo *g;
	uint32_t g_size;
	uint8_t *g_raw; /* one batch */
	uint8_t kind_of_reason[256];
	uint8_t reason_semacquire; /* 0xff: none that counts */
	/* stacks */
	uint8_t *stacks;
	uint64_t stacks_len, stacks_cap;
	struct mem_piece *stack_piece; /* one batch, and whose they are */
	uint32_t *stack_owner;
	/* keep.c: of the first nkeep goroutines, stacks that are not copied again */
	bool keeping;
	size_t nkeep;
	uint64_t stacks_ns; /* that copying stacks took */
	uint64_t *channel;  /* of receivers among them, by address */
	size_t nchannel, channel_cap;
	struct readbatch heads; /* of their queues, as they were in the freeze */
	/* later.c */
	bool sparing;      /* before a freeze, where that pays */
	uint64_t later_ns; /* that copying those took which were copied after all */
	uint32_t *reached; /* one batch of them */
	struct readbatch reached_g;
	uint64_t max_bytes;    /* of our own memory */
	uint64_t wanted_bytes; /* at least, when that was not enough */
	/* stacks of the runtime itself, where threads of the frozen process are; addr 0 */
	struct pgo *system;
	size_t nsystem, system_cap;
	struct pmodule module[SNAP_MAX_MODULES];
	int nmodule;
	/* words that are roots: registers, system stacks, queues */
	uint64_t *word;
	size_t nword, word_cap;
	/* g's of the runtime's own stacks: not in allgs */
	uint64_t *system_g;
	size_t nsystem_g, system_g_cap;
	/* objects whose contents are roots (finalizers) */
	uint64_t *object;
	size_t nobject, object_cap;
	/* what candidates wait for */
	struct pwaiter *waiter;
	size_t nwaiter, waiter_cap;
	struct u64map watched; /* bit of an object -> first waiter + 1 */
	uint32_t *live_queue;
	size_t nlive, live_cap;
	size_t candidates;
	/* held.c: pairs (borrowed), and the waiters of each holder */
	const struct prove_held *held;
	size_t nheld;
	struct u64map held_by; /* index of a holder -> first pair + 1 */
	uint32_t *held_next,
		*held_waiter; /* of each pair: another one of that holder + 1; index of the waiter */
	bool assuming;
	bool held_void; /* what it said did not stand the last look */
	uint64_t losses;
	bool misread; /* something that has to be a root could not be read */
	char why[240];
};

int snap_init(struct snap *s, struct goruntime *rt);
void snap_deinit(struct snap *s);

/*
 * Copies.  With a freeze, the process has to stand still until it returns.
 * -EBADMSG: what was read contradicts itself (why says how); -EFAULT: what has
 * to be there cannot be read (why); -ENOSPC, -ETIME, -ESRCH, -ENOMEM, -EINTR.
 */
int snap_copy(struct snap *s, const struct freeze *f, uint64_t max_bytes, uint64_t deadline_ns);
/*
 * Finds candidates and marks from the roots; the process is no longer read, unless it is sparing.
 * -EFAULT: something reachable could not be read, so that everything may be; -EAGAIN: frozen, and
 * all stacks have to be copied; -EINTR, -ENOMEM.
 */
int snap_judge(struct snap *s);
/* Goroutine i turned out to be alive; what it keeps is marked by snap_continue(). */
void snap_revive(struct snap *s, size_t i);
int snap_continue(struct snap *s);
/* The same of one that is stuck; of the assumption nothing is left then. */
void snap_take_back(struct snap *s, size_t i);
/* Memory that is needed for ng goroutines, as far as the rest is known by now. */
uint64_t snap_bytes(const struct snap *s, size_t ng);
/* Gives the copies of heap and stacks back: no further judgement; snap_is_leaked() still works. */
void snap_drop_copies(struct snap *s);
static inline bool snap_is_leaked(const struct snap *s, size_t i)
{
	return s->g[i].candidate && !s->g[i].reached;
}

/* ---- parts, each in its own file ---- */

/* modules.c: variables; the memory of all modules. */
int snap_read_modules(struct snap *s);
int snap_copy_modules(struct snap *s);
void snap_free_modules(struct snap *s);
void snap_mark_modules(struct snap *s);
/* A word of a variable, of the copy. */
int snap_variable(struct snap *s, uint64_t addr, uint64_t *out);
/* A word of the variables with pointers, out of the copy; false: addr is not among them. */
bool snap_module_word(const struct snap *s, uint64_t addr, uint64_t *out);
/* goroutines.c */
int snap_read_goroutines(struct snap *s);
/* The goroutine whose g is at addr. */
bool snap_find_g(const struct snap *s, uint64_t addr, size_t *index);
/* Revives the leaked ones that have changed since. */
int snap_look_again(struct snap *s);
/* Copies [g->from, g->hi) behind the stacks that are there. */
int snap_copy_stack(struct snap *s, struct pgo *g);
/* The same of n goroutines, from where each is to be searched; one that fails is stack_unread. */
int snap_copy_stacks(struct snap *s, const uint32_t *index, size_t n);
/* What comes from the g itself, out of its bytes; and whether a goroutine still stands as it did. */
void snap_decode_g(const struct snap *s, uint64_t addr, const uint8_t *raw, struct pgo *g);
bool snap_is_same(const struct pgo *a, const struct pgo *b);
/* Whether a thread is in a system call that Go code made: its registers hold nothing. */
bool snap_thread_rests(const struct snap *s, const struct frozen_thread *t);
/*
 * keep.c.  snap_keep(): after a judgement of the running process, for the freeze to come.  A
 * judgement of the frozen copy says -EAGAIN when a stack was written to all the same: then
 * snap_keep_nothing(), and another freeze.
 */
struct snap_kept {
	int64_t less_ns;  /* than the last copy the frozen one will take */
	uint64_t rest_ns; /* and this much more where everything has to be copied */
};
int snap_keep(struct snap *s, struct snap_kept *kept);
void snap_keep_nothing(struct snap *s);
bool snap_keeps(const struct snap *s, const struct pgo *before, const struct pgo *now);
int snap_read_heads(struct snap *s);
int snap_check_kept(const struct snap *s);
/*
 * later.c.  Of a goroutine that is to be judged only who is reached has a stack that counts.
 * Before a freeze (sparing) those stacks are copied while marking reaches them; in it, those of
 * whom it did not reach are left out (snap_stays_later()).  A judgement of the frozen copy, and
 * the last look, say -EAGAIN when one of these is needed after all: as above.
 */
bool snap_may_be_later(const struct snap *s, const struct pgo *g);
bool snap_stays_later(const struct snap *s, const struct pgo *before, const struct pgo *now);
/* Of those that are to be marked next, the stacks that are still to be copied. */
int snap_copy_reached(struct snap *s);
/* After that, those of whom it did not reach, if they are that many at most. */
int snap_copy_few(struct snap *s, size_t most);
/* roots.c: finalizers, cleanups, weak handles; registers and stacks of the system. */
int snap_read_roots(struct snap *s);
/* Since 1.26 a preempted goroutine's vector registers are outside its stack; raw: its g. */
int snap_take_vector_registers(struct snap *s, const uint8_t *raw);
/* P's, without what the collector keeps in them. */
void snap_mark_ps(struct snap *s);
/* waiters.c: which goroutines are candidates, and what they wait for. */
void snap_learn_reasons(struct snap *s);
int snap_find_candidates(struct snap *s);
/* What it waits for is an object whose marking is noticed; 1: it cannot be, it may run; -ENOMEM. */
int snap_watch(struct snap *s, uint32_t waiter);
/* held.c: before candidates are found; when a goroutine is; when all marking is done; at the end. */
int snap_take_held(struct snap *s);
void snap_revive_held(struct snap *s, size_t holder);
int snap_drop_held(struct snap *s);
void snap_forget_held(struct snap *s);
/* running.c: stacks of those that ran when it was frozen; *out is the caller's. */
int snap_running(const struct snap *s, struct prove_running **out, size_t *n);
/* stackscan.c: marks what a stack keeps. */
void snap_mark_stack(struct snap *s, const struct pgo *g);
/* The function names of a stack, innermost first: whether one is `name` within `depth` frames. */
bool snap_stack_has(struct snap *s, const struct pgo *g, const char *name, int depth);

int snap_fail(struct snap *s, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
