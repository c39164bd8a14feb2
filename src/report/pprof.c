/* SPDX-License-Identifier: BSD-2-Clause */
/* Profiles: profile.proto of github.com/google/pprof, encoded by hand (it has a dozen fields). */
#include "report/report.h"

#include <errno.h>
#include <string.h>

#include "base/gzip.h"
#include "base/map.h"
#include "base/vec.h"
#include "model/place.h"
#include "base/text.h"

#define MAX_BYTES   (1u << 30) /* of the profile before it is compressed */
#define MAX_STRINGS (1u << 22)

/* Field numbers of profile.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE,
	PROFILE_MAPPING,
	PROFILE_LOCATION,
	PROFILE_FUNCTION,
	PROFILE_STRING,
	PROFILE_TIME_NANOS = 9,
	PROFILE_DURATION_NANOS,
	PROFILE_PERIOD_TYPE,
	PROFILE_PERIOD,
	PROFILE_COMMENT,
	PROFILE_DEFAULT_SAMPLE_TYPE
};
enum { VALUE_TYPE = 1, VALUE_UNIT };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_STR, LABEL_NUM, LABEL_NUM_UNIT };
enum {
	MAPPING_ID = 1,
	MAPPING_START,
	MAPPING_LIMIT,
	MAPPING_OFFSET,
	MAPPING_FILENAME,
	MAPPING_BUILD_ID,
	MAPPING_HAS_FUNCTIONS,
	MAPPING_HAS_FILENAMES,
	MAPPING_HAS_LINES,
	MAPPING_HAS_INLINE
};
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION = 1, LINE_LINE };
enum { FUNCTION_ID = 1, FUNCTION_NAME, FUNCTION_SYSTEM_NAME, FUNCTION_FILENAME };

/* A profile in the making. */
struct profile {
	const struct window *w;
	const struct stack_table *t;
	struct buf body;      /* the Profile message */
	struct buf part, sub; /* a message inside, and one inside that */
	struct bytesmap strings, functions;
	struct buf string_list, function_list;
	uint64_t nstring, nfunction;
	bool failed;
};

/* ---- protobuf ---- */

static void varint(struct buf *b, uint64_t v)
{
	uint8_t out[10];
	size_t n = 0;

	do {
		out[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
	buf_add(b, out, n);
}

/* Zero is the default and left out. */
static void field(struct buf *b, int number, uint64_t v)
{
	if (!v)
		return;
	varint(b, (uint64_t)number << 3);
	varint(b, v);
}

static void bytes(struct buf *b, int number, const void *p, size_t n)
{
	varint(b, (uint64_t)number << 3 | 2);
	varint(b, n);
	buf_add(b, p, n);
}

/* Moves a finished message into the one around it. */
static void close_message(struct buf *outer, int number, struct buf *inner)
{
	bytes(outer, number, inner->data ? inner->data : "", inner->len);
	buf_reset(inner);
}

/* ---- strings, functions, locations ---- */

static uint64_t string_of(struct profile *p, const char *s)
{
	bool made;
	uint64_t *at;

	if (!s || !*s)
		return 0; /* string_table[0] is "" */
	at = bytesmap_put(&p->strings, s, strlen(s), p->nstring + 1, &made);
	if (!at) {
		p->failed = true;
		return 0;
	}
	if (made) {
		bytes(&p->string_list, PROFILE_STRING, s, strlen(s));
		p->nstring++;
	}
	return *at;
}

static uint64_t function_of(struct profile *p, const struct place *at)
{
	const char *path = at->path && *at->path ? at->path : at->file;
	struct {
		uint64_t name, file;
	} key = { string_of(p, at->function), string_of(p, path) };
	struct buf *b = &p->sub;
	bool made;
	uint64_t *id = bytesmap_put(&p->functions, &key, sizeof(key), p->nfunction + 1, &made);

	if (!id) {
		p->failed = true;
		return 0;
	}
	if (!made)
		return *id;
	p->nfunction++;
	field(b, FUNCTION_ID, *id);
	field(b, FUNCTION_NAME, key.name);
	field(b, FUNCTION_SYSTEM_NAME, key.name);
	field(b, FUNCTION_FILENAME, key.file);
	close_message(&p->function_list, PROFILE_FUNCTION, b);
	return *id;
}

/* Of frames that are no code of the executable (the kernel, C) there is no mapping. */
static bool is_mapped(const struct profile *p, uint64_t pc)
{
	return !p->w->code_end || (pc >= p->w->code_start && pc < p->w->code_end);
}

static void add_locations(struct profile *p)
{
	const struct stack_table *t = p->t;

	for (size_t i = 0; i < t->nlocation; i++) {
		const struct stack_location *loc = &t->location[i];

		field(&p->part, LOCATION_ID, i + 1);
		if (is_mapped(p, loc->pc)) {
			field(&p->part, LOCATION_MAPPING, 1);
			field(&p->part, LOCATION_ADDRESS, loc->pc);
		}
		for (uint32_t k = 0; k < loc->n; k++) {
			const struct place *line = &t->line[loc->first + k];
			uint64_t fn = function_of(p, line);

			field(&p->sub, LINE_FUNCTION, fn);
			field(&p->sub, LINE_LINE, (uint64_t)(line->line > 0 ? line->line : 0));
			close_message(&p->part, LOCATION_LINE, &p->sub);
		}
		close_message(&p->body, PROFILE_LOCATION, &p->part);
	}
}

/* As it is mapped, whatever was met of it: profiles of a build can be merged by addresses. */
static void add_mapping(struct profile *p)
{
	field(&p->part, MAPPING_ID, 1);
	field(&p->part, MAPPING_START, p->w->code_start);
	field(&p->part, MAPPING_LIMIT, p->w->code_end);
	field(&p->part, MAPPING_OFFSET, p->w->code_off);
	field(&p->part, MAPPING_FILENAME, string_of(p, p->w->exe));
	field(&p->part, MAPPING_BUILD_ID, string_of(p, p->w->build_id));
	field(&p->part, MAPPING_HAS_FUNCTIONS, 1);
	field(&p->part, MAPPING_HAS_FILENAMES, 1);
	field(&p->part, MAPPING_HAS_LINES, 1);
	field(&p->part, MAPPING_HAS_INLINE, 1);
	close_message(&p->body, PROFILE_MAPPING, &p->part);
}

/* ---- samples ---- */

static void value_type(struct profile *p, int number, const char *type, const char *unit)
{
	field(&p->part, VALUE_TYPE, string_of(p, type));
	field(&p->part, VALUE_UNIT, string_of(p, unit));
	close_message(&p->body, number, &p->part);
}

static void put_stack(struct profile *p, uint32_t stack)
{
	const struct stack_table *t = p->t;

	if (stack >= t->nstack || !t->stack[stack].n)
		return;
	for (uint32_t i = 0; i < t->stack[stack].n; i++)
		varint(&p->sub, t->at[t->stack[stack].first + i] + 1ull);
	close_message(&p->part, SAMPLE_LOCATION, &p->sub);
}

static void put_values(struct profile *p, const uint64_t *v, int n)
{
	for (int i = 0; i < n; i++)
		varint(&p->sub, v[i]);
	close_message(&p->part, SAMPLE_VALUE, &p->sub);
}

static void put_label(struct profile *p, const char *key, const char *value)
{
	field(&p->sub, LABEL_KEY, string_of(p, key));
	field(&p->sub, LABEL_STR, string_of(p, value));
	close_message(&p->part, SAMPLE_LABEL, &p->sub);
}

static void put_number(struct profile *p, const char *key, uint64_t n)
{
	field(&p->sub, LABEL_KEY, string_of(p, key));
	field(&p->sub, LABEL_NUM, n);
	close_message(&p->part, SAMPLE_LABEL, &p->sub);
}

static void put_own_labels(struct profile *p, const struct goroutine_dump *d, uint32_t set)
{
	if (set == DUMP_LABELS_UNKNOWN || set >= d->nlabel_set)
		return;
	for (uint32_t i = 0; i < d->label_set[set].n; i++) {
		const struct dump_label *l = &d->label[d->label_set[set].first + i];

		put_label(p, l->key, l->value);
	}
}

static void goroutine_samples(struct profile *p, const struct goroutine_dump *d)
{
	for (size_t i = 0; i < d->ngroup; i++) {
		const struct dump_group *g = &d->group[i];

		put_stack(p, g->stack);
		put_values(p, &g->count, 1);
		put_label(p, "state", g->state);
		if (strcmp(g->state, "waiting") == 0)
			put_label(p, "wait_reason", g->reason);
		put_own_labels(p, d, g->labels);
		close_message(&p->body, PROFILE_SAMPLE, &p->part);
	}
}

static void heap_samples(struct profile *p, const struct heap_window *h)
{
	for (size_t i = 0; i < h->nsample; i++) {
		const struct heap_sample *s = &h->sample[i];
		uint64_t v[] = { s->alloc_count, s->alloc_bytes, s->in_use_count, s->in_use_bytes };

		put_stack(p, s->stack);
		put_values(p, v, 4);
		if (s->object_bytes)
			put_number(p, "bytes", s->object_bytes);
		close_message(&p->body, PROFILE_SAMPLE, &p->part);
	}
}

/* ---- the file ---- */

static void begin(struct profile *p, const struct window *w, const struct stack_table *t)
{
	memset(p, 0, sizeof(*p));
	p->w = w;
	p->t = t;
	buf_init(&p->body, MAX_BYTES);
	buf_init(&p->part, MAX_BYTES);
	buf_init(&p->sub, MAX_BYTES);
	buf_init(&p->string_list, MAX_BYTES);
	buf_init(&p->function_list, MAX_BYTES);
	bytesmap_init(&p->strings, MAX_STRINGS);
	bytesmap_init(&p->functions, MAX_STRINGS);
	bytes(&p->string_list, PROFILE_STRING, "", 0);
}

static int end(struct profile *p, struct buf *out)
{
	struct buf *bufs[] = { &p->body, &p->part, &p->sub, &p->function_list, &p->string_list };
	int err;

	add_mapping(p);
	add_locations(p);
	field(&p->body, PROFILE_TIME_NANOS, p->w->end_real_ns);
	buf_add(&p->body, p->function_list.data, p->function_list.len);
	buf_add(&p->body, p->string_list.data, p->string_list.len);
	err = p->failed ? -ENOMEM : 0;
	for (size_t i = 0; i < ARRAY_SIZE(bufs) && !err; i++)
		err = bufs[i]->err;
	if (!err)
		err = gzip_add(&p->body, out);
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		buf_deinit(bufs[i]);
	bytesmap_deinit(&p->strings);
	bytesmap_deinit(&p->functions);
	return err;
}

int report_pprof_goroutines(const struct report *r, struct buf *out)
{
	const struct goroutine_dump *d = r->window.goroutines->dump;
	struct profile p;

	if (!d)
		return -EOPNOTSUPP;
	begin(&p, &r->window, &d->stacks);
	value_type(&p, PROFILE_SAMPLE_TYPE, "goroutine", "count");
	value_type(&p, PROFILE_PERIOD_TYPE, "goroutine", "count");
	field(&p.body, PROFILE_PERIOD, 1);
	goroutine_samples(&p, d);
	return end(&p, out);
}

int report_pprof_heap(const struct report *r, bool allocs, struct buf *out)
{
	const struct heap_window *h = &r->window.memory->heap;
	struct profile p;

	if (!h->known)
		return -EOPNOTSUPP;
	begin(&p, &r->window, &h->stacks);
	value_type(&p, PROFILE_SAMPLE_TYPE, "alloc_objects", "count");
	value_type(&p, PROFILE_SAMPLE_TYPE, "alloc_space", "bytes");
	value_type(&p, PROFILE_SAMPLE_TYPE, "inuse_objects", "count");
	value_type(&p, PROFILE_SAMPLE_TYPE, "inuse_space", "bytes");
	value_type(&p, PROFILE_PERIOD_TYPE, "space", "bytes");
	field(&p.body, PROFILE_PERIOD, h->rate);
	field(&p.body, PROFILE_DEFAULT_SAMPLE_TYPE,
	      string_of(&p, allocs ? "alloc_space" : "inuse_space"));
	heap_samples(&p, h);
	return end(&p, out);
}

static void cpu_samples(struct profile *p, const struct cpu_window *c)
{
	for (size_t i = 0; i < c->nsample; i++) {
		const struct cpu_sample *s = &c->sample[i];
		uint64_t v[] = { s->count, s->count * c->period_ns };
		char place[WORDS_PLACE_MAX];

		put_stack(p, s->stack);
		put_values(p, v, 2);
		put_label(p, "kind", cpu_kind_word[s->kind]);
		if (s->created.function)
			put_label(p, "created", words_place(&s->created, place, sizeof(place)));
		if (s->thread)
			put_number(p, "thread", s->thread);
		for (uint32_t k = 0; s->labels && k < c->labels[s->labels - 1].n; k++)
			put_label(p, c->labels[s->labels - 1].label[k].key,
				  c->labels[s->labels - 1].label[k].value);
		close_message(&p->body, PROFILE_SAMPLE, &p->part);
	}
}

int report_pprof_cpu(const struct report *r, struct buf *out)
{
	const struct cpu_window *c = r->window.cpu;
	struct profile p;

	if (!c->known)
		return -EOPNOTSUPP;
	begin(&p, &r->window, &c->stacks);
	value_type(&p, PROFILE_SAMPLE_TYPE, "samples", "count");
	value_type(&p, PROFILE_SAMPLE_TYPE, "cpu", "nanoseconds");
	value_type(&p, PROFILE_PERIOD_TYPE, "cpu", "nanoseconds");
	field(&p.body, PROFILE_PERIOD, c->period_ns);
	field(&p.body, PROFILE_DURATION_NANOS, (uint64_t)(r->window.window_s * 1e9));
	cpu_samples(&p, c);
	return end(&p, out);
}
