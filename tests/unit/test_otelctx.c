/* SPDX-License-Identifier: BSD-2-Clause */
/* src/agent/otelctx: what an SDK publishes of itself, whole, cut off anywhere, and damaged. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/identity.h"
#include "agent/otelctx.h"
#include "base/vec.h"
#include "proc/mem.h"

/* KeyValue, within a Resource. */
#define NAME    "\x0a\x14\x0a\x0cservice.name\x12\x04\x0a\x02go"
#define SHARD   "\x0a\x09\x0a\x05shard\x12\x00"
#define NUMBER  "\x0a\x0d\x0a\x01n\x12\x08\x18\xf9\xff\xff\xff\xff\xff\x7f"
#define MINUS   "\x0a\x10\x0a\x01m\x12\x0b\x18\xf9\xff\xff\xff\xff\xff\xff\xff\xff\x01"
#define YES     "\x0a\x07\x0a\x01y\x12\x02\x10\x01"
#define REAL    "\x0a\x0e\x0a\x01r\x12\x09\x21\x00\x00\x00\x00\x00\x00\xf8\x3f"
#define LIST    "\x0a\x0a\x0a\x01l\x12\x05\x2a\x03\x0a\x01x"
#define DROPPED "\x10\x05" /* dropped_attributes_count */
#define UNKNOWN "\x7d\x01\x02\x03\x04"

struct taken {
	char text[512];
	int n;
};

static void take(void *arg, const char *key, const char *value)
{
	struct taken *t = arg;
	size_t at = strlen(t->text);

	snprintf(t->text + at, sizeof(t->text) - at, "%s=%s;", key, value);
	t->n++;
}

static int parse(const char *bytes, size_t n, struct taken *t)
{
	/* of its very size, so that a sanitizer sees a read beyond it */
	char *copy = malloc(n ? n : 1);
	int r;

	memcpy(copy, bytes, n);
	memset(t, 0, sizeof(*t));
	r = otelctx_parse(copy, n, take, t);
	free(copy);
	return r;
}

#define PARSE(s, t) parse(s, sizeof(s) - 1, t)

/* A ProcessContext around it. */
static size_t wrap(const char *resource, size_t n, char *out)
{
	size_t at = 0;

	out[at++] = 0x0a;
	if (n > 127) {
		out[at++] = (char)((n & 127) | 128);
		out[at++] = (char)(n >> 7);
	} else {
		out[at++] = (char)n;
	}
	memcpy(out + at, resource, n);
	return at + n;
}

static const char all[] = NAME SHARD NUMBER MINUS YES REAL LIST DROPPED UNKNOWN;
static const char words[] = "service.name=go;n=562949953421305;m=-7;y=true;r=1.5;";

static void test_values(void **state)
{
	struct taken t;
	char whole[256];
	size_t n = wrap(all, sizeof(all) - 1, whole);

	(void)state;
	assert_int_equal(parse(whole, n, &t), 0);
	assert_string_equal(t.text, words);
	/* the resource itself, and what does not belong to it */
	assert_int_equal(PARSE(NAME NUMBER, &t), 0);
	assert_string_equal(t.text, "service.name=go;n=562949953421305;");
	assert_int_equal(PARSE("\x12\x03\x0a\x01x" UNKNOWN, &t), 0);
	assert_int_equal(t.n, 0);
	assert_int_equal(PARSE("", &t), 0);
	assert_int_equal(t.n, 0);
}

/* Cut off, it is taken up to a whole member or not at all. */
static void test_cut(void **state)
{
	char whole[256];
	size_t n = wrap(all, sizeof(all) - 1, whole);
	struct taken t;

	(void)state;
	for (size_t i = 1; i < n; i++) {
		assert_int_equal(parse(whole, i, &t), -EBADMSG);
		assert_int_equal(t.n, 0);
	}
	for (size_t i = 1; i < sizeof(NAME) - 1; i++) {
		assert_int_equal(parse(NAME, i, &t), -EBADMSG);
		assert_int_equal(t.n, 0);
	}
}

/* Any byte another one, any two: what is taken is text, and nothing is read beyond the end. */
static void test_damaged(void **state)
{
	char whole[256], bad[256];
	size_t n = wrap(all, sizeof(all) - 1, whole);
	unsigned int seed = 1;
	struct taken t;

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (int b = 0; b < 256; b++) {
			memcpy(bad, whole, n);
			bad[i] = (char)b;
			if (parse(bad, n, &t))
				assert_int_equal(t.n, 0);
		}
	for (int i = 0; i < 20000; i++) {
		memcpy(bad, whole, n);
		for (int k = 0; k < 4; k++)
			bad[(size_t)rand_r(&seed) % n] = (char)rand_r(&seed);
		if (parse(bad, 1 + (size_t)rand_r(&seed) % n, &t))
			assert_int_equal(t.n, 0);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
#define BAD(s) { s, sizeof(s) - 1 }
		BAD("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* longer than all memory */
		BAD("\x0a\x80"),
		BAD("\x00\x00"),                                         /* no member 0 */
		BAD("\x0b\x0c"),                                         /* a group */
		BAD("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), /* no varint */
		BAD("\x09\x01\x02"),
	};
	struct taken t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i].bytes, bad[i].n, &t), -EBADMSG);
		assert_int_equal(t.n, 0);
	}
	/* a NUL in a value or a key: it is left out */
	assert_int_equal(PARSE("\x0a\x0a\x0a\x02"
			       "ab\x12\x04\x0a\x02x\0",
			       &t),
			 0);
	assert_int_equal(t.n, 0);
	/* no key */
	assert_int_equal(PARSE("\x0a\x06\x12\x04\x0a\x02xy", &t), 0);
	assert_int_equal(t.n, 0);
}

struct header {
	char signature[8];
	uint32_t version, n;
	uint64_t published, payload;
};

static struct header header_of(const void *payload, size_t n)
{
	struct header h = { { 0 }, 2, (uint32_t)n, 1, (uintptr_t)payload };

	memcpy(h.signature, "OTEL_CTX", 8);
	return h;
}

/* In our own memory, by a list of mappings that says so. */
static void test_mapping(void **state)
{
	static const char *const name[] = { "[anon_shmem:OTEL_CTX]", "[anon:OTEL_CTX]",
					    "/memfd:OTEL_CTX (deleted)" };
	char payload[256], maps[512];
	size_t n = wrap(all, sizeof(all) - 1, payload);
	struct header h = header_of(payload, n);
	struct otelctx c = { 0 };
	struct err err = { 0 };
	struct memreader *m;
	struct taken t = { 0 };

	(void)state;
	assert_int_equal(mem_open_pid(&m, getpid(), &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
		snprintf(maps, sizeof(maps),
			 "00400000-00401000 r-xp 00000000 00:01 5 /bin/x\n"
			 "00000000-00001000 rw-p 00000000 00:01 5 %s\n"
			 "%lx-%lx rw-p 00000000 00:01 5 %s\n",
			 name[i], (unsigned long)&h, (unsigned long)(&h + 1), name[i]);
		assert_true(otelctx_find(&c, m, maps));
		assert_int_equal(c.addr, (uintptr_t)&h);
	}
	snprintf(maps, sizeof(maps), "%lx-%lx rw-p 00000000 00:00 0 [anon:OTEL]\n",
		 (unsigned long)&h, (unsigned long)(&h + 1));
	assert_false(otelctx_find(&(struct otelctx){ 0 }, m, maps));
	assert_true(otelctx_is_new(&c, m));
	assert_int_equal(otelctx_read(&c, m, take, &t), 0);
	assert_string_equal(t.text, words);
	assert_false(otelctx_is_new(&c, m)); /* it is taken */
	h.published = 0;
	assert_false(otelctx_is_new(&c, m));
	assert_int_equal(otelctx_read(&c, m, take, &t), -EAGAIN);
	h.published = 2;
	assert_true(otelctx_is_new(&c, m));
	h.n = OTELCTX_MAX_BYTES + 1;
	assert_int_equal(otelctx_read(&c, m, take, &t), -EBADMSG);
	assert_false(otelctx_is_new(&c, m)); /* nor is that one read again */
	h = header_of((void *)8, n);
	h.published = 3;
	assert_int_equal(otelctx_read(&c, m, take, &t), -EBADMSG);
	assert_int_equal(t.n, 5); /* as it was */
	h.version = 3;
	assert_false(otelctx_is_new(&c, m));
	assert_int_equal(c.addr, 0);
	assert_int_equal(otelctx_read(&c, m, take, &t), -ENOENT);
	mem_free(m);
}

static const char *attribute(const struct identity *id, const char *key)
{
	for (int i = 0; i < id->nattribute; i++)
		if (!strcmp(id->attribute[i].key, key))
			return id->attribute[i].value;
	return NULL;
}

/* Before the environment, of which the rest stays; without what is not for it to say. */
static void test_identity(void **state)
{
	static const char environment[] =
		"OTEL_SERVICE_NAME=env\0OTEL_RESOURCE_ATTRIBUTES=team=red,zone=a,service.version=2";
	struct identity id = { 0 }, copy;
	char big[OTELCTX_MAX_VALUE];

	(void)state;
	identity_published(&id, "service.name", "unknown_service:shop");
	assert_string_equal(id.service_name, "");
	identity_published(&id, "service.name", "shop");
	identity_published(&id, "team", "blue");
	identity_published(&id, "team", "green");
	identity_published(&id, "process.command_line", "secret");
	identity_published(&id, "telemetry.sdk.name", "opentelemetry");
	identity_published(&id, "container.id", "none of its business");
	identity_environ(&id, environment, sizeof(environment) - 1);
	assert_string_equal(id.service_name, "shop");
	assert_string_equal(id.service_version, "2");
	assert_string_equal(attribute(&id, "team"), "blue");
	assert_string_equal(attribute(&id, "zone"), "a");
	assert_int_equal(id.nattribute, 2);
	identity_copy(&id, &copy);
	memset(&id, 0, sizeof(id));
	assert_string_equal(attribute(&copy, "zone"), "a");
	/* more than there is room for: what fits is kept whole */
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	for (char key[] = "a"; key[0] < 'a' + 20; key[0]++)
		identity_published(&id, key, key[0] < 'd' ? big : "v");
	assert_string_equal(attribute(&id, "a"), big);
	assert_null(attribute(&id, "b"));
	assert_string_equal(attribute(&id, "d"), "v");
	assert_int_equal(id.nattribute, IDENTITY_MAX_ATTRIBUTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),  cmocka_unit_test(test_cut),
		cmocka_unit_test(test_damaged), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_mapping), cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
