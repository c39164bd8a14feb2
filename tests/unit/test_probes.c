/* SPDX-License-Identifier: BSD-2-Clause */
/* src/agent/probes: whose turn it is, and what becomes of windows that end in any way. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/probes.h"
#include "base/clock.h"

#define N 6

struct world {
	struct agent_config cfg;
	struct life *life;
	struct probes *p;
	int epoll_fd;
	struct entries all;
	struct entry *at[N];
	struct entry entry[N];
	struct target target[N];
	struct who who[N];
	struct analysis file[N];
	/* what was asked for: the other ends, by the process */
	int other[N], asked[N];
	int refuse; /* with this */
};

static int probe(void *arg, const struct probe_ask *q)
{
	struct world *w = arg;
	int fd[2], i = (int)q->pid - 100;

	if (w->refuse)
		return w->refuse;
	assert_int_equal(q->start_ticks, 1000 + i);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	assert_int_equal(w->other[i], -1);
	w->other[i] = fd[1];
	w->asked[i]++;
	return fd[0];
}

static void setup(struct world *w, uint32_t at_once)
{
	memset(w, 0, sizeof(*w));
	w->cfg = agent_config_default();
	w->cfg.probe = probe;
	w->cfg.probe_arg = w;
	w->cfg.probes_at_once = at_once;
	w->epoll_fd = epoll_create1(0);
	w->life = life_new();
	w->p = probes_new(w->epoll_fd, w->life);
	assert_non_null(w->p);
	w->all = (struct entries){ .e = w->at, .n = N };
	for (int i = 0; i < N; i++) {
		struct entry *e = &w->entry[i];

		w->at[i] = e;
		w->other[i] = -1;
		w->target[i].who = &w->who[i];
		w->target[i].proc.start_ticks = 1000 + (uint64_t)i;
		w->target[i].proc.start_real_ns = clock_real_ns() - 60 * NS_PER_S;
		*e = (struct entry){ .pid = 100 + i,
				     .key = 1 + (uint64_t)i,
				     .target = &w->target[i],
				     .analysis = &w->file[i],
				     .most = DEPTH_WALK };
		e->probing.known_ns = clock_mono_ns() - (uint64_t)(N - i) * NS_PER_S;
		e->probing.when = PROBE_ALWAYS;
		e->probing.suspicion = SUSPECT_CONFIGURED;
	}
}

static void teardown(struct world *w)
{
	for (int i = 0; i < N; i++)
		if (w->other[i] >= 0)
			close(w->other[i]);
	probes_free(w->p);
	for (int i = 0; i < N; i++)
		probing_deinit(&w->entry[i].probing);
	life_free(w->life);
	close(w->epoll_fd);
}

static int under_way(const struct world *w)
{
	int n = 0;

	for (int i = 0; i < N; i++)
		n += w->other[i] >= 0;
	return n;
}

/* Its other end says that, and closes. */
static void end(struct world *w, int i, const void *bytes, size_t n)
{
	struct epoll_event ev[8];
	bool over = false;

	if (n)
		assert_int_equal(write(w->other[i], bytes, n), n);
	close(w->other[i]);
	w->other[i] = -1;
	for (int k = 0; k < 10 && !over; k++) {
		int got = epoll_wait(w->epoll_fd, ev, 8, 0);

		for (int m = 0; m < got; m++) {
			assert_true(probes_is_event(ev[m].data.u64));
			over |= probes_take(w->p, ev[m].data.u64, &w->all);
		}
	}
	assert_true(over);
}

static void cannot(struct world *w, int i)
{
	struct probed_begin b = { .outcome = PROBED_KERNEL, .why = "no such thing" };

	end(w, i, &b, sizeof(b));
}

static void test_bounds(void **state)
{
	struct world w;

	(void)state;
	setup(&w, 0);
	probes_turn(w.p, &w.all, &w.cfg);
	assert_int_equal(under_way(&w), 0);
	for (uint32_t n = 1; n <= PROBES_MOST; n++) {
		w.cfg.probes_at_once = n;
		probes_turn(w.p, &w.all, &w.cfg);
		probes_turn(w.p, &w.all, &w.cfg);
		assert_int_equal(under_way(&w), n);
	}
	assert_int_equal(w.other[0] >= 0, 1); /* who has waited longest */
	assert_int_equal(w.other[5], -1);
	/* all are to end where it is turned off */
	w.cfg.probes_at_once = 0;
	probes_turn(w.p, &w.all, &w.cfg);
	for (int i = 0; i < PROBES_MOST; i++) {
		char byte;

		assert_int_equal(read(w.other[i], &byte, 1), 0); /* it was shut down */
	}
	teardown(&w);
}

static void test_who_may_not(void **state)
{
	struct world w;
	int n;

	(void)state;
	setup(&w, PROBES_MOST);
	w.entry[0].probing.suspicion = SUSPECT_NOT;
	w.entry[1].probing.when = PROBE_NEVER;
	w.entry[2].target->proc.start_real_ns = clock_real_ns(); /* young, */
	w.cfg.young_ns = 0;                                      /* whatever is configured */
	w.entry[3].most = DEPTH_TOTALS;
	w.entry[5].analysis = w.entry[4].analysis; /* of one file */
	probes_turn(w.p, &w.all, &w.cfg);
	n = under_way(&w);
	assert_int_equal(n, 1);
	assert_true(w.other[4] >= 0);
	/* the other one is next; then the first has to rest */
	w.entry[4].probing.when = PROBE_IF_SUSPECT;
	cannot(&w, 4);
	probes_turn(w.p, &w.all, &w.cfg);
	assert_int_equal(under_way(&w), 1);
	assert_true(w.other[5] >= 0);
	teardown(&w);
}

/* Each has its turn; who was suspected more does not keep others waiting for ever. */
static void test_turns(void **state)
{
	struct world w;

	(void)state;
	setup(&w, 1);
	for (int i = 1; i < N; i++) {
		w.entry[i].probing.when = PROBE_IF_SUSPECT;
		w.entry[i].probing.suspicion = SUSPECT_CPU;
	}
	w.entry[0].probing.known_ns = clock_mono_ns(); /* named, but it has just come */
	for (int turn = 0; turn < 50; turn++) {
		probes_turn(w.p, &w.all, &w.cfg);
		assert_int_equal(under_way(&w), 1);
		for (int i = 0; i < N; i++) {
			if (w.other[i] < 0)
				continue;
			cannot(&w, i);
			w.entry[i].probing.not_before_ns = 0; /* as after a good one */
		}
		for (int i = 0; i < N; i++) { /* ten minutes and more have passed */
			w.entry[i].probing.known_ns -= 700 * NS_PER_S;
			if (w.entry[i].probing.ended_ns)
				w.entry[i].probing.ended_ns -= 700 * NS_PER_S;
		}
	}
	for (int i = 0; i < N; i++)
		assert_true(w.asked[i] >= 3);
	assert_true(w.asked[0] > w.asked[1]);
	teardown(&w);
}

static struct view_self self_of(const struct world *w)
{
	struct view_self s = { 0 };

	probes_fill_self(w->p, &s);
	return s;
}

static void test_failures(void **state)
{
	struct probed_begin armed = { .outcome = PROBED_ARMED, .rss_bytes = 5, .bpf_bytes = 7 };
	struct probed_begin odd = { .outcome = 77 };
	struct epoll_event ev;
	struct world w;

	(void)state;
	setup(&w, 1);
	w.all.n = 1;
	probes_turn(w.p, &w.all, &w.cfg);
	cannot(&w, 0);
	assert_int_equal(self_of(&w).probe_failures[PROBED_KERNEL], 1);
	assert_string_equal(w.entry[0].probing.why, "no such thing");
	probes_turn(w.p, &w.all, &w.cfg);
	assert_int_equal(under_way(&w), 0); /* not at once again */
	/* the beginning, and then no end; nonsense; nothing at all; who cannot be asked */
	w.entry[0].probing.not_before_ns = 0;
	probes_turn(w.p, &w.all, &w.cfg);
	assert_int_equal(write(w.other[0], &armed, sizeof(armed)), sizeof(armed));
	assert_int_equal(epoll_wait(w.epoll_fd, &ev, 1, 0), 1);
	assert_false(probes_take(w.p, ev.data.u64, &w.all));
	assert_int_equal(self_of(&w).probes_rss_bytes, 5);
	assert_int_equal(self_of(&w).bpf_bytes, 7);
	end(&w, 0, "half", 4);
	assert_int_equal(self_of(&w).probes_rss_bytes, 0);
	w.entry[0].probing.not_before_ns = 0;
	probes_turn(w.p, &w.all, &w.cfg);
	end(&w, 0, &odd, sizeof(odd));
	w.entry[0].probing.not_before_ns = 0;
	probes_turn(w.p, &w.all, &w.cfg);
	end(&w, 0, NULL, 0);
	w.entry[0].probing.not_before_ns = 0;
	w.refuse = -EPIPE;
	probes_turn(w.p, &w.all, &w.cfg);
	assert_int_equal(self_of(&w).probe_failures[PROBED_FAILED], 4);
	assert_int_equal(self_of(&w).looks[DEPTH_PROBES], 0);
	/* later each time: sixteen minutes by now */
	assert_true(w.entry[0].probing.not_before_ns > clock_mono_ns() + 900 * NS_PER_S);
	/* one whose process is gone */
	w.refuse = 0;
	w.entry[0].probing.not_before_ns = 0;
	probes_turn(w.p, &w.all, &w.cfg);
	assert_int_equal(under_way(&w), 1);
	w.all.n = 0;
	probes_leave(w.p, 1);
	end(&w, 0, NULL, 0);
	assert_int_equal(self_of(&w).probe_failures[PROBED_FAILED], 4);
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_who_may_not),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
