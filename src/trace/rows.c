/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows of `sums` that are idle make room for new ones, once a table is nearly full.
 *
 * Who remembers such a row (an entry of `opens`) knows its generation too, and
 * who adds to a row has looked at that in the same run of a program.  So a row is
 * taken out in steps: its key leaves the table, and whoever still found it there has
 * ended; it is given another generation, and whoever still saw the old one has ended.
 * Then nobody adds to it any more: what it has is read, once and for all, and it is
 * given back.  The programs go on meanwhile, and make new rows of the same keys.
 */
#include "trace/priv.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gospect.skel.h"

uint32_t rows_end(const struct trace *t, int pool)
{
	volatile struct gs_pool *p = &t->skel->bss->gs_pools[pool];
	uint64_t next = p->next, end = p->end;

	return (uint32_t)(next < end ? next : end);
}

uint32_t rows_ref(const struct dump *d, size_t i)
{
	uint32_t ref;

	memcpy(&ref, d->values + i * d->value_size, sizeof(ref));
	return ref;
}

/* Pages that rows have. */
static uint32_t pages_used(const struct trace *t)
{
	const uint32_t begin[] = { 1, GS_CALL_ROWS, GS_PHASE_ROWS };
	uint32_t n = 0;

	for (int pool = GS_POOL_LIVES; pool <= GS_POOL_PHASES; pool++)
		for (uint32_t row = begin[pool]; row < rows_end(t, pool) && row < t->sizes.sums;
		     row++)
			/* one that is free has something else in page[0] */
			for (int i = 0; t->sums[row].count && i < GS_SUM_PAGES; i++)
				n += t->sums[row].page[i] != 0;
	return n;
}

/* Entries of a table that are in use; as many, too, as pages are of all pages. */
static size_t used_of(const struct trace *t, size_t used, uint32_t room)
{
	uint64_t pages = 0;

	if (rows_end(t, GS_POOL_PAGES) >= EVICT_NEARLY_FULL * t->sizes.pages)
		pages = (uint64_t)pages_used(t) * room / t->sizes.pages;
	return used > pages ? used : pages;
}

static uint64_t count_of(const struct trace *t, uint32_t row, uint32_t nrow)
{
	uint64_t n = 0;

	for (uint32_t i = row; i < row + nrow && i < t->sizes.sums; i++)
		n += t->sums[i].begun + t->sums[i].count + t->sums[i].errors;
	return n;
}

static bool is_of_others(uint32_t row)
{
	return row - GS_CALL_ROWS < CALL_KINDS || row - GS_PHASE_ROWS < 2 * GS_PHASE_BLOCK;
}

void rows_pick(struct trace *t, const struct row_table *r)
{
	const struct dump *d = r->d;
	uint8_t *still = evict_can_wait() ? calloc(d->n + 1, 1) : NULL, least;
	struct evict_need need = { still, d->n, used_of(t, d->n, r->room), 0, r->room };

	for (size_t i = 0; still && i < d->n; i++) {
		uint32_t row = GS_ROW_NUMBER(rows_ref(d, i));
		struct row_age *a = row < t->sizes.sums ? &t->age[row] : NULL;
		uint64_t n = count_of(t, row, r->nrow);

		if (!a || !row || is_of_others(row))
			continue;
		need.fresh += !a->count;
		a->still = a->count != n ? 0 : a->still < EVICT_STILL ? a->still + 1 : EVICT_STILL;
		a->count = n;
		still[i] = a->still;
	}
	least = still ? evict_least(&need) : 0;
	for (size_t i = 0; least && i < d->n; i++)
		r->gone[i] = still[i] >= least;
	free(still);
}

static size_t take_keys(const struct row_table *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->d->n; i++)
		if (r->gone[i]) {
			r->gone[i] = !bpf_map_delete_elem(r->fd, r->d->keys + i * r->d->key_size);
			n += r->gone[i];
		}
	return n;
}

/* The next generation of the rows that were taken out. */
static void make_strange(struct trace *t, const struct row_table *r)
{
	const uint32_t last = GS_ROW_GENERATION(UINT32_MAX);

	for (size_t i = 0; i < r->d->n; i++) {
		uint32_t row = GS_ROW_NUMBER(rows_ref(r->d, i));

		for (uint32_t k = row; r->gone[i] && k < row + r->nrow; k++)
			t->sums[k].generation = (t->sums[k].generation + 1) & last;
	}
}

void rows_take_out(struct trace *t, const struct row_table *r, size_t n)
{
	size_t taken = 0;

	for (size_t i = 0; i < n; i++)
		taken += take_keys(&r[i]);
	if (!taken)
		return;
	evict_wait();
	for (size_t i = 0; i < n; i++)
		make_strange(t, &r[i]);
	__sync_synchronize();
	evict_wait();
}

/* To the list of what is free. */
static void give(struct trace *t, int pool, volatile uint32_t *link, uint32_t n)
{
	volatile __u64 *head = &t->skel->bss->gs_pools[pool].free;
	uint64_t was;

	do {
		was = *head;
		*link = (uint32_t)was;
	} while (__sync_val_compare_and_swap(head, was, ((was >> 32) + 1) << 32 | n) != was);
}

static void empty(struct trace *t, uint32_t row)
{
	volatile struct gs_sum *s = &t->sums[row];

	for (int i = 0; i < GS_SUM_PAGES; i++) {
		uint32_t page = s->page[i];

		s->page[i] = 0;
		if (!page || page >= t->sizes.pages)
			continue;
		for (int k = 0; k < GS_PAGE_BUCKETS; k++)
			t->pages[page].bucket[k] = 0;
		give(t, GS_POOL_PAGES, &t->pages[page].bucket[0], page);
	}
	s->begun = s->errors = s->count = s->sum_ns = s->longest_ns = 0;
	s->max_ns[0] = s->max_ns[1] = 0;
	s->max_window[0] = s->max_window[1] = 0;
	t->age[row] = (struct row_age){ 0 };
	slices_forget(t, row);
}

void rows_give_back(struct trace *t, int pool, uint32_t ref, uint32_t nrow)
{
	uint32_t row = GS_ROW_NUMBER(ref);

	if (!row || row + nrow > t->sizes.sums)
		return;
	for (uint32_t i = row; i < row + nrow; i++)
		empty(t, i);
	__sync_synchronize();
	give(t, pool, &t->sums[row].page[0], row);
}
