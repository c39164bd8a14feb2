/* SPDX-License-Identifier: BSD-2-Clause */
/* Members of the report's JSON objects, from foreign text and from numbers. */
#ifndef GOSPECT_REPORT_JSON_BUILD_H
#define GOSPECT_REPORT_JSON_BUILD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct place;
struct window;
struct buf;
struct goroutine_dump;

struct json_builder {
	bool failed; /* out of memory: the object is not complete */
};

/* Values are taken over. */
void jb_put(struct json_builder *b, json_t *object, const char *key, json_t *value);
void jb_append(struct json_builder *b, json_t *array, json_t *value);
/* Valid UTF-8 from any bytes, cut at a maximum. */
json_t *jb_string(const char *s);
/* Left out when NULL. */
void jb_put_string(struct json_builder *b, json_t *o, const char *key, const char *s);
void jb_put_count(struct json_builder *b, json_t *o, const char *key, uint64_t v);
/* Rounded to `step` (0.001: milliseconds); not a number is not known. */
void jb_put_real(struct json_builder *b, json_t *o, const char *key, double v, double step);
void jb_put_time(struct json_builder *b, json_t *o, const char *key, uint64_t real_ns);
/* function, file, line. */
void jb_put_place(struct json_builder *b, json_t *o, const struct place *p);

/* json_snapshot.c: what snapshots add. */
json_t *json_groups(struct json_builder *b, const struct goroutine_dump *d);
json_t *json_leaks(struct json_builder *b, const struct window *w);
json_t *json_heap(struct json_builder *b, const struct window *w);
/* The array of all goroutines, written at once: it may be large. */
void json_all(struct json_builder *b, const struct goroutine_dump *d, struct buf *out);
/* Appends a value as the report writes it. */
void json_write(struct json_builder *b, json_t *value, struct buf *out);

#endif
