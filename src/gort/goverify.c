/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does what was found in the file fit the process?  The addresses of the
 * runtime's globals come from instructions, the offsets from a table: both are
 * proposals.  Each check compares two things that only agree when they are
 * right.  The program runs meanwhile, so a check that fails is repeated a few
 * times before it counts.
 */
#include "gort/goruntime_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "gort/gostack.h"

#define TRIES         6
#define START_WAIT_MS 300   /* for a process that has just been started */
#define SAMPLE        192   /* g's looked at */
#define SAMPLE_HEAD   64    /* of them the first ones: main and the runtime's own */
#define COUNT_MAX     20000 /* longer lists are not counted through at start */
#define STACKS_MAX    32

/* ---- is the image where we think? ---- */

static const char *image_misfit(struct goruntime *rt)
{
	const struct moduledata *md = &rt->gb->mod;
	int32_t text_off = go_off(rt, LAYOUT_MODULEDATA_TEXT);
	uint64_t header, text;

	if (mem_read_u64(rt->mem, md->addr + rt->bias, &header))
		return "the runtime's module data cannot be read";
	if (header != md->pclntab + rt->bias)
		return "the runtime's module data is not where the file says";
	if (text_off >= 0 &&
	    !mem_read_u64(rt->mem, md->addr + rt->bias + (uint64_t)text_off, &text) &&
	    text != md->text + rt->bias)
		return "the code is not where the file says";
	return NULL;
}

static const char *list_misfit(struct goruntime *rt)
{
	uint64_t array, len;
	int err = goread_list(rt, &array, &len);

	if (err == -ENOENT)
		return "the list of goroutines was not found in the code";
	if (err == -EAGAIN)
		return "the two places of the goroutine list disagree";
	if (err)
		return "the list of goroutines cannot be read";
	if (!len)
		return "the list of goroutines is empty";
	if (len > (1ull << 32) || !addr_is_plausible(array, 8))
		return "the list of goroutines has an impossible length";
	return NULL;
}

/* What a process that is just starting looks like: not relocated, no goroutine yet. */
static bool may_be_starting(struct goruntime *rt, const char *image_why)
{
	uint64_t array, len, header;
	int err;

	if (image_why)
		return !mem_read_u64(rt->mem, rt->gb->mod.addr + rt->bias, &header) &&
		       (header == rt->gb->mod.pclntab || !header);
	err = goread_list(rt, &array, &len);
	return err == -EAGAIN || (!err && !len);
}

static int wait_until_started(struct goruntime *rt, struct err *err)
{
	const char *image = NULL, *list = NULL;
	uint64_t until = clock_mono_ns() + START_WAIT_MS * NS_PER_MS;
	uint64_t word;

	do {
		switch (mem_read_u64(rt->mem, rt->gb->mod.addr + rt->bias, &word)) {
		case -ESRCH:
			return err_set(err, -ESRCH, "the process has ended");
		case -EPERM:
			return err_set(err, -EPERM, "the process's memory may not be read");
		}
		image = image_misfit(rt);
		list = image ? NULL : list_misfit(rt);
		if (!image && !list)
			return 0;
		if (!may_be_starting(rt, image))
			break;
		clock_nap_ms(2);
	} while (clock_mono_ns() < until);
	if (image)
		return err_set(err, -ENOEXEC, "%s", image);
	goruntime_off(rt, FACT_GOROUTINES, "%s", list);
	return 0;
}

/* ---- goroutines ---- */

struct sample {
	uint64_t addr[SAMPLE];
	struct goroutine g[SAMPLE];
	size_t n;
};

static int sample_addresses(struct goruntime *rt, struct sample *s)
{
	struct mem_piece p[SAMPLE];
	uint8_t word[SAMPLE][8];
	uint64_t array, len;
	size_t rest = SAMPLE - SAMPLE_HEAD;
	int err = goread_list(rt, &array, &len);

	if (err)
		return err;
	s->n = len < SAMPLE ? (size_t)len : SAMPLE;
	for (size_t i = 0; i < s->n; i++) {
		uint64_t at = i;

		if (len > SAMPLE && i >= SAMPLE_HEAD)
			at = SAMPLE_HEAD + (i - SAMPLE_HEAD) * ((len - SAMPLE_HEAD) / rest);
		p[i] = (struct mem_piece){ .addr = array + 8 * at, .dst = word[i], .len = 8 };
	}
	if (mem_read_many(rt->mem, p, s->n))
		return -EFAULT;
	for (size_t i = 0; i < s->n; i++)
		s->addr[i] = load_u64(word[i]);
	return 0;
}

static int sample_read(struct goruntime *rt, struct sample *s)
{
	int err = sample_addresses(rt, s);

	for (size_t i = 0; i < s->n && !err; i++)
		err = goread_one(rt, s->addr[i], &s->g[i]);
	return err;
}

/* A pc of the program's own code, or of none (the g's of C threads have no start). */
static bool plausible_pc(const struct goruntime *rt, uint64_t pc)
{
	return !pc || go_in_text(rt, pc);
}

static bool sample_ids_unique(const struct sample *s)
{
	struct u64map seen;
	bool unique = true, made = true;

	u64map_init(&seen, 2 * SAMPLE);
	for (size_t i = 0; i < s->n; i++) {
		bool known;

		if (!gostatus_is_live(s->g[i].status, &known))
			continue;
		unique = unique && u64map_put(&seen, s->g[i].goid, 1, &made) && made;
	}
	u64map_deinit(&seen);
	return unique;
}

/* The first goroutine runs runtime.main, as long as it lives. */
static bool main_fits(struct goruntime *rt, const struct sample *s)
{
	struct gofunc fn;
	bool known;

	for (size_t i = 0; i < s->n; i++)
		if (s->g[i].goid == 1 && gostatus_is_live(s->g[i].status, &known))
			return !pclntab_find_name(rt->gb->pcln, "runtime.main", &fn) &&
			       s->g[i].startpc == fn.entry + rt->bias;
	return true;
}

static const char *sample_misfit(struct goruntime *rt, struct sample *s)
{
	size_t live = 0, foreign = 0;

	if (sample_read(rt, s))
		return "goroutines of the list cannot be read";
	for (size_t i = 0; i < s->n; i++) {
		const struct goroutine *g = &s->g[i];
		bool known;

		if (!gostatus_is_live(g->status, &known)) {
			if (!known)
				return "a goroutine has a state that no release has";
			continue;
		}
		if (!goroutine_is_sound(g))
			return "a goroutine has no id or an impossible stack";
		live++;
		if (!plausible_pc(rt, g->startpc) || !plausible_pc(rt, g->gopc) ||
		    !plausible_pc(rt, g->sched_pc))
			foreign++;
	}
	if (!live)
		return "none of the goroutines read is alive";
	/* plugins have code of their own: some may be elsewhere */
	if (foreign * 4 > live)
		return "goroutines were started outside the program's code";
	if (!sample_ids_unique(s))
		return "goroutines share an id";
	if (!main_fits(rt, s))
		return "goroutine 1 does not run runtime.main";
	return NULL;
}

static void verify_goroutines(struct goruntime *rt, struct sample *s)
{
	const char *why = NULL;

	if (!goruntime_has(rt, FACT_GOROUTINES))
		return;
	for (int i = 0; i < TRIES; i++) {
		why = sample_misfit(rt, s);
		if (!why)
			return;
		clock_nap_ms(1);
	}
	goruntime_off(rt, FACT_GOROUTINES, "%s", why);
}

/* ---- the scheduler's counters ---- */

static const char *scheduler_misfit(const struct goraw *raw, const struct gototals *t)
{
	if (!raw->has_sched)
		return "the scheduler's counters were not found in the code";
	if (!raw->has_p)
		return "the list of processors (allp) was not found or is inconsistent";
	if (!raw->p_ids_fit)
		return "the processors of allp are not numbered in order";
	if (!raw->allglen || raw->gfree + raw->ngsys > raw->allglen)
		return "the scheduler counts more idle goroutines than there are";
	if (raw->goidgen < raw->unspent_ids || raw->goidgen >> 56)
		return "the scheduler's counter of goroutine ids is impossible";
	if (raw->goidgen - raw->unspent_ids < t->live)
		return "more goroutines live than were created";
	return NULL;
}

/*
 * The ids handed out and the runtime's counter (from 1.26) count the same, but
 * for the g's of C threads, which have an id and are not counted.
 */
static const char *created_misfit(const struct goraw *raw, const struct gototals *t)
{
	uint64_t by_id = raw->goidgen - raw->unspent_ids;

	if (raw->has_created_counter && (t->created > by_id + 16 || by_id - t->created > 4096 + 16))
		return "the two counters of goroutines created disagree";
	return NULL;
}

static uint64_t sample_max_goid(const struct sample *s)
{
	uint64_t max = 0;
	bool known;

	for (size_t i = 0; i < s->n; i++)
		if (gostatus_is_live(s->g[i].status, &known) && s->g[i].goid > max)
			max = s->g[i].goid;
	return max;
}

static void verify_scheduler(struct goruntime *rt, const struct sample *s)
{
	const char *why = NULL, *created = NULL;
	struct gototals t;
	struct goraw raw;

	for (int i = 0; i < TRIES; i++) {
		if (goread_counters(rt, &raw, &t)) {
			why = "the scheduler's counters cannot be read";
			break;
		}
		why = scheduler_misfit(&raw, &t);
		if (!why && goruntime_has(rt, FACT_GOROUTINES) && sample_max_goid(s) > raw.goidgen)
			why = "a goroutine has an id that was not assigned yet";
		created = created_misfit(&raw, &t);
		if ((!why && !created) || !raw.has_sched)
			break;
		clock_nap_ms(1);
	}
	if (why) {
		goruntime_off(rt, FACT_LIVE, "%s", why);
		goruntime_off(rt, FACT_CREATED, "%s", why);
	} else if (created) {
		goruntime_off(rt, FACT_CREATED, "%s", created);
	}
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* The walk counts what the scheduler counts, but for what happens meanwhile. */
static bool counts_agree(struct goruntime *rt, struct gowalk *w, uint64_t *walked,
			 uint64_t *counted)
{
	struct gototals before, after;
	uint64_t slack;

	if (goruntime_totals(rt, &before) || goruntime_walk(rt, w, NULL) ||
	    goruntime_totals(rt, &after))
		return false;
	*walked = w->user;
	*counted = after.live;
	slack = 2 + after.live / 50 + apart(before.live, after.live) +
		(after.created - before.created);
	return apart(w->user, after.live) <= slack;
}

static void verify_counts(struct goruntime *rt)
{
	uint64_t array, len, walked = 0, counted = 0;
	struct gowalk w = { 0 };
	bool agree = false;

	if (!goruntime_has(rt, FACT_GOROUTINES) || !goruntime_has(rt, FACT_LIVE) ||
	    goread_list(rt, &array, &len) || len > COUNT_MAX)
		return;
	for (int i = 0; i < TRIES && !agree; i++) {
		if (i)
			clock_nap_ms(1);
		agree = counts_agree(rt, &w, &walked, &counted);
	}
	gowalk_deinit(&w);
	if (!agree)
		goruntime_off(rt, FACT_LIVE,
			      "the scheduler counts %" PRIu64 " goroutines, the list has %" PRIu64,
			      counted, walked);
}

/* ---- garbage collection ---- */

static const char *gc_misfit(const struct goraw *raw, const struct gototals *t)
{
	if (!raw->has_memstats)
		return "the memory statistics were not found in the code";
	if (!raw->gc_ring_fits)
		return "the history of collections contradicts itself";
	if (raw->has_cycles && raw->work_cycles - t->numgc > 1)
		return "the two counters of collections disagree";
	if (t->numforcedgc > t->numgc || !(t->gc_cpu_fraction >= 0 && t->gc_cpu_fraction <= 1))
		return "the memory statistics are impossible";
	return NULL;
}

/*
 * heapMinimum is 4 MiB * GOGC/100 (mgcpacer.go, setGCPercent; 512 KiB with
 * GOEXPERIMENT=heapminimum512kib); GOGC=off leaves -1 and no minimum to compare.
 */
static const char *heap_misfit(const struct goraw *raw, const struct gototals *t)
{
	uint64_t percent = t->gogc < 0 ? 0 : (uint64_t)t->gogc;

	if (!raw->has_controller)
		return "the collector's pacer was not found in the code";
	if (t->gogc < -1 || t->heap_live >> 48 || t->heap_marked >> 48)
		return "the pacer's numbers are impossible";
	if (t->gogc >= 0 && raw->heap_minimum != (4ull << 20) * percent / 100 &&
	    raw->heap_minimum != (512ull << 10) * percent / 100)
		return "the pacer's minimum heap does not follow from its GOGC";
	if (t->has_total_alloc && t->total_free > t->total_alloc)
		return "more was freed than allocated";
	return NULL;
}

static void verify_heap(struct goruntime *rt)
{
	const char *gc = NULL, *heap = NULL;
	struct gototals t;
	struct goraw raw;

	for (int i = 0; i < TRIES; i++) {
		if (goread_counters(rt, &raw, &t)) {
			gc = heap = "the memory statistics cannot be read";
			break;
		}
		gc = gc_misfit(&raw, &t);
		heap = heap_misfit(&raw, &t);
		/* what was not found will not come */
		if ((!gc || !raw.has_memstats) && (!heap || !raw.has_controller))
			break;
		clock_nap_ms(1);
	}
	if (gc)
		goruntime_off(rt, FACT_GC, "%s", gc);
	if (heap)
		goruntime_off(rt, FACT_HEAP, "%s", heap);
}

/* ---- stacks ---- */

static void verify_stacks(struct goruntime *rt, const struct sample *s)
{
	size_t tried = 0, whole = 0;
	uint64_t pcs[512];

	if (!goruntime_has(rt, FACT_GOROUTINES)) {
		goruntime_off(rt, FACT_STACKS, "%s", rt->why_off[FACT_GOROUTINES]);
		return;
	}
	if (strcmp(rt->gb->layout->arch, "amd64")) {
		goruntime_off(rt, FACT_STACKS, "stacks are read on amd64 only");
		return;
	}
	for (size_t i = 0; i < s->n && tried < STACKS_MAX; i++) {
		bool reached;
		int n;

		if (s->g[i].status != GO_WAITING)
			continue;
		n = gostack_unwind(rt, &s->g[i], pcs, 512, &reached);
		if (!n)
			continue; /* runs by now */
		tried++;
		whole += reached || n == 512;
	}
	if (whole * 4 < tried * 3)
		goruntime_off(rt, FACT_STACKS, "%zu of %zu stacks could not be unwound completely",
			      tried - whole, tried);
}

/* ---- releases newer than the table ---- */

static void verify_reasons(struct goruntime *rt)
{
	int err = rt->gb->layout_is_newer ? goreasons_learn(rt) : 0;

	if (err)
		goruntime_off(rt, FACT_REASONS, "what goroutines wait for is not known: %s",
			      err == -ENOMEM ? "no memory"
					     : "the names of its wait reasons were not found");
}

/* --- */

int goruntime_verify(struct goruntime *rt, struct err *err)
{
	struct sample *s;
	int code = wait_until_started(rt, err);

	if (code)
		return code;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "no memory");
	verify_goroutines(rt, s);
	verify_scheduler(rt, s);
	verify_counts(rt);
	verify_heap(rt);
	verify_stacks(rt, s);
	verify_reasons(rt);
	free(s);
	rt->read_failures = 0; /* of the trying: not losses of a report */
	if (!goruntime_has(rt, FACT_GOROUTINES) && !goruntime_has(rt, FACT_LIVE))
		return err_set(err, -ENOEXEC,
			       "the Go runtime in this process is not as expected: %s",
			       rt->why_off[FACT_GOROUTINES]);
	return 0;
}
