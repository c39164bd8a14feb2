/* SPDX-License-Identifier: BSD-2-Clause */
/* The values that programs panic with: their types, by the file, and how the runtime prints them. */
#include "crash/fill.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gobin/gobin.h"

/* Go's reflect.Kind, the basic ones */
enum {
	KIND_BOOL = 1,
	KIND_INT,
	KIND_INT8,
	KIND_INT16,
	KIND_INT32,
	KIND_INT64,
	KIND_UINT,
	KIND_UINT8,
	KIND_UINT16,
	KIND_UINT32,
	KIND_UINT64,
	KIND_UINTPTR,
	KIND_FLOAT32,
	KIND_FLOAT64,
	KIND_STRING = 24
};
#define TYPE_KIND 23
#define KIND_MASK 31

/* Memory that is the file's: types do not change at run time. */
static int read_file(struct memreader *m, struct mem_piece *p, size_t n)
{
	struct crash_types *t =
		(struct crash_types *)((char *)m - offsetof(struct crash_types, mem));
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		p[i].status = image_read_addr(&t->rt.gb->image, p[i].addr - t->rt.bias, p[i].dst,
					      p[i].len)
				      ? -EFAULT
				      : 0;
		failed += p[i].status != 0;
	}
	return failed;
}

static void free_nothing(struct memreader *m)
{
	(void)m;
}

void crash_types_init(struct crash_types *t, const struct goruntime *rt)
{
	static const struct memreader_ops ops = { .read_many = read_file, .free = free_nothing };

	memset(t, 0, sizeof(*t));
	t->mem.ops = &ops;
	t->rt = *rt;
	t->rt.mem = &t->mem;
	if (gotypes_new(&t->names, &t->rt))
		t->names = NULL;
}

void crash_types_deinit(struct crash_types *t)
{
	gotypes_free(t->names);
}

const char *crash_type_name(struct crash_types *t, uint64_t type)
{
	return t->names && type ? gotypes_name(t->names, type) : NULL;
}

void crash_read_constants(struct crash_types *t, struct gs_crash_panic *p)
{
	uint32_t n;

	if (p->data && !p->word[0] && !p->word[1] && !p->len &&
	    !mem_read(&t->mem, p->data, p->word, sizeof(p->word)) && p->word[0] && p->word[1]) {
		p->text_at = p->word[0];
		p->len = p->word[1] > UINT32_MAX ? UINT32_MAX : (uint32_t)p->word[1];
	}
	n = p->len < GS_CRASH_TEXT ? p->len : GS_CRASH_TEXT;
	if (n && !p->text_bytes && !mem_read(&t->mem, p->text_at, p->text, n))
		p->text_bytes = n;
}

static int kind_of(struct crash_types *t, uint64_t type)
{
	uint8_t kind;

	if (!crash_type_name(t, type) || mem_read(&t->mem, type + TYPE_KIND, &kind, 1))
		return 0;
	return kind & KIND_MASK;
}

#define FIRST_SHORT_MINOR 26 /* since then strconv's shortest form, before +1.500000e+000 */

/* strconv.AppendFloat(…, 'g', -1, bits). */
static int print_shortest(char *out, size_t size, double v, bool single)
{
	char text[40], digits[40];
	int exp = 0, n;

	for (n = 0; n < 17; n++) {
		snprintf(text, sizeof(text), "%.*e", n, v);
		if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
			break;
	}
	exp = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
	if (exp < -4 || exp >= 6)
		return snprintf(out, size, "%s", text);
	snprintf(digits, sizeof(digits), "%.*f", n > exp ? n - exp : 0, v);
	return snprintf(out, size, "%s", digits);
}

static int print_float(const struct crash_types *t, char *out, size_t size, double v, bool single)
{
	char text[64];
	const char *e;

	if (v != v)
		return snprintf(out, size, "NaN");
	if (v > 1.7976931348623157e308 || v < -1.7976931348623157e308)
		return snprintf(out, size, "%cInf", v > 0 ? '+' : '-');
	if (t->rt.gb->release.minor >= FIRST_SHORT_MINOR)
		return print_shortest(out, size, v, single);
	snprintf(text, sizeof(text), "%+.6e", v);
	e = strchr(text, 'e');
	return snprintf(out, size, "%.*s%c%03d", (int)(e - text) + 1, text, e[1],
			(int)strtol(e + 2, NULL, 10));
}

/* A basic value but a string: how many bytes, 0: it is none. */
static int print_basic(const struct crash_types *t, int kind, uint64_t word, char *out, size_t size)
{
	static const struct {
		uint8_t bytes;
		bool sign;
	} of[] = {
		[KIND_INT] = { 8, true },      [KIND_INT8] = { 1, true },
		[KIND_INT16] = { 2, true },    [KIND_INT32] = { 4, true },
		[KIND_INT64] = { 8, true },    [KIND_UINT] = { 8, false },
		[KIND_UINT8] = { 1, false },   [KIND_UINT16] = { 2, false },
		[KIND_UINT32] = { 4, false },  [KIND_UINT64] = { 8, false },
		[KIND_UINTPTR] = { 8, false },
	};
	float f;
	double d;

	if (kind == KIND_BOOL)
		return snprintf(out, size, "%s", word & 1 ? "true" : "false");
	if (kind == KIND_FLOAT32) {
		memcpy(&f, &word, sizeof(f));
		return print_float(t, out, size, (double)f, true);
	}
	if (kind == KIND_FLOAT64) {
		memcpy(&d, &word, sizeof(d));
		return print_float(t, out, size, d, false);
	}
	if (kind <= 0 || (size_t)kind >= ARRAY_SIZE(of) || !of[kind].bytes)
		return 0;
	word = word << (64 - 8 * of[kind].bytes);
	if (of[kind].sign)
		return snprintf(out, size, "%lld",
				(long long)((int64_t)word >> (64 - 8 * of[kind].bytes)));
	return snprintf(out, size, "%llu", (unsigned long long)(word >> (64 - 8 * of[kind].bytes)));
}

/* Text may hold bytes 0: they are shown. */
static void put_text(const struct gs_crash_panic *p, const char *before, const char *behind,
		     char *out, bool *cut)
{
	size_t n = strlen(before), more = p->text_bytes;

	if (more > GS_CRASH_TEXT)
		more = GS_CRASH_TEXT;
	*cut = p->len > more;
	if (n + more + strlen(behind) > CRASH_MAX_MESSAGE) {
		more = CRASH_MAX_MESSAGE - n - strlen(behind);
		*cut = true;
	}
	memcpy(out, before, n);
	for (size_t i = 0; i < more; i++)
		out[n++] = p->text[i] ? p->text[i] : '?';
	memcpy(out + n, behind, strlen(behind) + 1);
}

/* runtime.boundsError: x, y, whether x is signed, and what was tried: its number (1.18 to 1.27). */
static bool print_bounds(const struct gs_crash_panic *p, char *out)
{
	static const struct {
		const char *range, *behind; /* of y, where it is not in the range */
		const char *negative;
	} of[] = {
		{ "index out of range [%lld]", " with length %llu", "index out of range [%lld]" },
		{ "slice bounds out of range [:%lld]", " with length %llu",
		  "slice bounds out of range [:%lld]" },
		{ "slice bounds out of range [:%lld]", " with capacity %llu",
		  "slice bounds out of range [:%lld]" },
		{ "slice bounds out of range [%lld:", "%llu]",
		  "slice bounds out of range [%lld:]" },
		{ "slice bounds out of range [::%lld]", " with length %llu",
		  "slice bounds out of range [::%lld]" },
		{ "slice bounds out of range [::%lld]", " with capacity %llu",
		  "slice bounds out of range [::%lld]" },
		{ "slice bounds out of range [:%lld:", "%llu]",
		  "slice bounds out of range [:%lld:]" },
		{ "slice bounds out of range [%lld:", "%llu:]",
		  "slice bounds out of range [%lld::]" },
	};
	uint32_t is_signed = p->more & 0xff, code = p->more >> 8 & 0xff;
	long long x = (long long)p->word[0];
	char range[80], behind[80];

	if (!(p->flags & GS_PANIC_MORE) || code >= ARRAY_SIZE(of))
		return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(range, sizeof(range), is_signed && x < 0 ? of[code].negative : of[code].range, x);
	snprintf(behind, sizeof(behind), of[code].behind, (unsigned long long)p->word[1]);
#pragma GCC diagnostic pop
	snprintf(out, CRASH_MAX_MESSAGE + 1, "runtime error: %s%s", range,
		 is_signed && x < 0 ? "" : behind);
	return true;
}

void crash_given(struct crash_types *t, const struct gs_crash_panic *p, char *out)
{
	/* what begins with the text that its Error returns, and what that writes before it */
	static const struct {
		const char *type, *before;
	} texts[] = {
		{ "*errors.errorString", "" },
		{ "*fmt.wrapError", "" },
		{ "*fmt.wrapErrors", "" },
		{ "*errors.fundamental", "" }, /* github.com/pkg/errors */
		{ "runtime.plainError", "" },
		{ "runtime.errorString", "runtime error: " },
		{ "runtime.errorAddressString", "runtime error: " },
	};
	const char *name = crash_type_name(t, p->type);
	int kind = kind_of(t, p->type);
	char basic[64];
	bool cut;

	out[0] = '\0';
	for (size_t i = 0; name && i < ARRAY_SIZE(texts); i++)
		if (!strcmp(name, texts[i].type)) {
			put_text(p, texts[i].before, "", out, &cut);
			return;
		}
	if (name && !strcmp(name, "runtime.boundsError"))
		print_bounds(p, out);
	else if (!p->type || kind == KIND_STRING || print_basic(t, kind, 0, basic, sizeof(basic)))
		crash_value(t, p, out, &cut);
}

void crash_value(struct crash_types *t, const struct gs_crash_panic *p, char *out, bool *cut)
{
	const char *name = crash_type_name(t, p->type);
	char before[CRASH_MAX_TYPE + 4], basic[64];
	int kind = kind_of(t, p->type);
	bool named = name && strchr(name, '.');

	*cut = false;
	out[0] = '\0';
	if (!p->type) {
		snprintf(out, CRASH_MAX_MESSAGE + 1, "nil");
	} else if (!name) {
		put_text(p, "", "", out, cut); /* of a type made at run time, or foreign */
	} else if (kind == KIND_STRING) {
		before[0] = '\0';
		if (named)
			snprintf(before, sizeof(before), "%.*s(\"", CRASH_MAX_TYPE, name);
		put_text(p, before, named ? "\")" : "", out, cut);
	} else if (print_basic(t, kind, p->word[0], basic, sizeof(basic)) && named) {
		snprintf(out, CRASH_MAX_MESSAGE + 1, "%.*s(%s)", CRASH_MAX_TYPE, name, basic);
	} else if (print_basic(t, kind, p->word[0], basic, sizeof(basic))) {
		snprintf(out, CRASH_MAX_MESSAGE + 1, "%s", basic);
	} else {
		snprintf(out, CRASH_MAX_MESSAGE + 1, "(%.*s) 0x%llx", CRASH_MAX_TYPE, name,
			 (unsigned long long)p->data);
	}
}
