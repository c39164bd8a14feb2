/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks one after the other, of which each writes only what has changed, beside those that begin anew. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gort/goruntime_priv.h"
#include "runtime_world.h"

#define ROUNDS 4000

/* ---- memory that can be changed after it was bound ---- */

struct changing {
	struct memreader base;
	struct world *w;
};

static int read_piece(struct world *w, struct mem_piece *p)
{
	for (uint32_t i = 0; i < p->len; i++) {
		uint64_t addr = p->addr + i;
		size_t k = 0;

		while (k < w->n &&
		       (addr < w->area[k].addr || addr >= w->area[k].addr + w->area[k].len))
			k++;
		if (k == w->n)
			return -EFAULT;
		((uint8_t *)p->dst)[i] = w->area[k].data[addr - w->area[k].addr];
	}
	return 0;
}

static int read_many(struct memreader *m, struct mem_piece *p, size_t n)
{
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		p[i].status = read_piece(((struct changing *)m)->w, &p[i]);
		failed += p[i].status != 0;
	}
	return failed;
}

static void free_nothing(struct memreader *m)
{
	(void)m;
}

static const struct memreader_ops changing_ops = { read_many, free_nothing };

static void bind(struct world *w, struct changing *m)
{
	world_make(w, "usual");
	assert_int_equal(world_bind(w, NULL), 0);
	*m = (struct changing){ .base.ops = &changing_ops, .w = w };
	w->rt.mem = &m->base;
}

/* ---- */

/* One thing that happens to one of them. */
static void happen(struct world *w, unsigned int *seed)
{
	static const enum layout_field field[] = {
		LAYOUT_G_GOID,       LAYOUT_G_SCHED_PC,   LAYOUT_G_SCHED_SP,    LAYOUT_G_GOPC,
		LAYOUT_G_SYSCALLPC,  LAYOUT_G_SYSCALLSP,  LAYOUT_G_LABELS,      LAYOUT_G_WAITING,
		LAYOUT_G_LOCKEDM,    LAYOUT_G_WAITSINCE,  LAYOUT_G_M,           LAYOUT_G_SCHED_BP,
		LAYOUT_G_PARENTGOID, LAYOUT_G_WAITREASON, LAYOUT_G_TRACKINGSEQ,
	};
	static const int status[] = { GO_DEAD, GO_DEAD, GO_WAITING, GO_RUNNABLE, GO_SYSCALL };
	uint64_t g = G_ADDR(rand_r(seed) % NG), value = 1 + (uint64_t)rand_r(seed) % 100;
	size_t k = (size_t)rand_r(seed) % (2 * ARRAY_SIZE(field));

	if (k >= ARRAY_SIZE(field))
		put_field(w, g, LAYOUT_G_ATOMICSTATUS, (uint64_t)status[value % ARRAY_SIZE(status)],
			  4);
	else
		put_field(w, g, field[k], value,
			  field[k] == LAYOUT_G_WAITREASON || field[k] == LAYOUT_G_TRACKINGSEQ ? 1
											      : 8);
}

static void same_but_moved(const struct goroutine *a, const struct goroutine *b)
{
	struct goroutine x = *a, y = *b;

	x.moved = y.moved = 0;
	assert_memory_equal(&x, &y, sizeof(x));
}

static void each_is_as_one_that_begins_anew(void **state)
{
	unsigned int seed = 20;
	struct gowalk kept = { 0 };
	struct changing m;
	struct world w;
	size_t least = NG, most = 0;

	(void)state;
	bind(&w, &m);
	for (int round = 0; round < ROUNDS; round++) {
		struct gowalk anew = { 0 };

		for (int n = rand_r(&seed) % 4; n > 0; n--)
			happen(&w, &seed);
		assert_int_equal(goruntime_walk(&w.rt, &kept, NULL), 0);
		assert_int_equal(goruntime_walk(&w.rt, &anew, NULL), 0);
		assert_int_equal(kept.n, anew.n);
		assert_int_equal(kept.user, anew.user);
		assert_int_equal(kept.system, anew.system);
		for (size_t i = 0; i < kept.n; i++) {
			same_but_moved(&kept.g[i], &anew.g[i]);
			assert_true(!i || kept.g[i].addr > kept.g[i - 1].addr);
		}
		least = kept.n < least ? kept.n : least;
		most = kept.n > most ? kept.n : most;
		gowalk_deinit(&anew);
	}
	assert_true(least < 4 && most > 8);
	gowalk_deinit(&kept);
	world_free(&w);
}

/* Who moved is known by the number of the walk that has seen it; who did not, and who is new. */
static void who_moves_is_known(void **state)
{
	static const enum layout_field field[] = { LAYOUT_G_WAITSINCE, LAYOUT_G_SCHED_SP,
						   LAYOUT_G_GOID, LAYOUT_G_WAITING };
	struct gowalk walk = { 0 };
	struct changing m;
	struct world w;

	(void)state;
	bind(&w, &m);
	assert_int_equal(goruntime_walk(&w.rt, &walk, NULL), 0);
	assert_int_equal(walk.g[2].moved, walk.number);
	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		assert_int_equal(goruntime_walk(&w.rt, &walk, NULL), 0);
		assert_true(walk.g[2].moved < walk.number);
		put_field(&w, G_ADDR(2), field[i], 4711, 8);
		assert_int_equal(goruntime_walk(&w.rt, &walk, NULL), 0);
		assert_int_equal(walk.g[2].moved, walk.number);
		assert_true(walk.before == walk.number - 1 && walk.g[0].moved < walk.before);
	}
	put_field(&w, G_ADDR(9), LAYOUT_G_ATOMICSTATUS, GO_RUNNABLE, 4); /* born, behind the rest */
	put_field(&w, G_ADDR(1), LAYOUT_G_ATOMICSTATUS, GO_DEAD, 4);
	assert_int_equal(goruntime_walk(&w.rt, &walk, NULL), 0);
	assert_int_equal(walk.g[walk.n - 1].addr, G_ADDR(9));
	assert_int_equal(walk.g[walk.n - 1].moved, walk.number);
	assert_int_equal(walk.g[1].addr, G_ADDR(2));
	assert_true(walk.g[1].moved < walk.number);
	/* that it is being scanned is no step */
	put_field(&w, G_ADDR(2), LAYOUT_G_ATOMICSTATUS, GO_WAITING, 4);
	assert_int_equal(goruntime_walk(&w.rt, &walk, NULL), 0);
	assert_true(walk.g[1].moved < walk.before);
	gowalk_deinit(&walk);
	world_free(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_as_one_that_begins_anew),
		cmocka_unit_test(who_moves_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
