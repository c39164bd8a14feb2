/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/vec.h"

#define ELLIPSIS "…"

struct range {
	int32_t first, last;
};

/* Never sent to a terminal as they are: control and format characters, line
 * separators, and the combining blocks (Go identifiers have none of them). */
static const struct range unsafe[] = {
	{ 0x00, 0x1f },       { 0x7f, 0x9f },        { 0xad, 0xad },     { 0x300, 0x36f },
	{ 0x483, 0x489 },     { 0x591, 0x5bd },      { 0x600, 0x605 },   { 0x610, 0x61c },
	{ 0x64b, 0x65f },     { 0x6dd, 0x6dd },      { 0x70f, 0x70f },   { 0x115f, 0x1160 },
	{ 0x17b4, 0x17b5 },   { 0x180b, 0x180f },    { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff },
	{ 0x200b, 0x200f },   { 0x2028, 0x202e },    { 0x2060, 0x206f }, { 0x20d0, 0x20ff },
	{ 0x3164, 0x3164 },   { 0xe000, 0xf8ff },    { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f },
	{ 0xfeff, 0xfeff },   { 0xffa0, 0xffa0 },    { 0xfff0, 0xfffc }, { 0xfffe, 0xffff },
	{ 0x1f3fb, 0x1f3ff }, { 0xe0000, 0x10ffff },
};

/* Two columns (Unicode's East Asian Width W and F, whole blocks: where a
 * narrow character is among them a line is too short, never too long). */
static const struct range wide[] = {
	{ 0x1100, 0x115e },   { 0x231a, 0x231b },   { 0x2329, 0x232a },   { 0x23e9, 0x23ff },
	{ 0x25fd, 0x27bf },   { 0x2b1b, 0x2b55 },   { 0x2e80, 0x303e },   { 0x3041, 0xa4cf },
	{ 0xa960, 0xa97f },   { 0xac00, 0xd7ff },   { 0xf900, 0xfaff },   { 0xfe10, 0xfe19 },
	{ 0xfe30, 0xfe6f },   { 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },   { 0x16fe0, 0x1b2ff },
	{ 0x1d300, 0x1d37f }, { 0x1f000, 0x1faff }, { 0x20000, 0x3fffd },
};

static bool in_ranges(int32_t code, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (code >= r[i].first && code <= r[i].last)
			return true;
	return false;
}

#define IN(code, ranges) in_ranges(code, ranges, ARRAY_SIZE(ranges))

size_t utf8_next(const char *s, int32_t *code)
{
	static const int32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	size_t n = p[0] < 0x80         ? 1
		   : p[0] >> 5 == 0x6  ? 2
		   : p[0] >> 4 == 0xe  ? 3
		   : p[0] >> 3 == 0x1e ? 4
				       : 0;
	int32_t c;

	*code = n == 1 ? p[0] : -1;
	if (n < 2)
		return 1;
	c = p[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 1; /* the NUL too */
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 1;
	*code = c;
	return n;
}

/* One character as it is shown. */
struct glyph {
	char text[12];
	size_t len;
	int columns;
};

/* Returns where the next one begins. */
static const char *glyph_next(const char *s, struct glyph *g)
{
	int32_t code;
	size_t n = utf8_next(s, &code);

	if (code >= ' ' && code < 0x7f) {
		g->text[0] = (char)code;
		g->len = 1;
		g->columns = 1;
	} else if (code < 0) {
		strcpy(g->text, "\xef\xbf\xbd");
		g->len = 3;
		g->columns = 1;
	} else if (IN(code, unsafe)) {
		g->len = (size_t)snprintf(g->text, sizeof(g->text),
					  code < 0x80      ? "\\x%02x"
					  : code < 0x10000 ? "\\u%04x"
							   : "\\U%08x",
					  (unsigned int)code);
		g->columns = (int)g->len;
	} else {
		memcpy(g->text, s, n);
		g->len = n;
		g->columns = IN(code, wide) ? 2 : 1;
	}
	return s + n;
}

int words_columns(const char *s)
{
	struct glyph g;
	int total = 0;

	while (*s && total < INT_MAX - 16) {
		s = glyph_next(s, &g);
		total += g.columns;
	}
	return total;
}

/* Output with a maximum in bytes that never cuts a character. */
struct cut {
	char *out;
	size_t len, size;
};

static void cut_add(struct cut *c, const char *p, size_t n)
{
	if (n >= c->size - c->len) {
		c->size = c->len + 1; /* full: nothing after it either */
		return;
	}
	memcpy(c->out + c->len, p, n);
	c->len += n;
}

/* At most `columns` of s, of which `head` from its beginning when it is too long. */
static char *fit(const char *s, int columns, int head, char *out, size_t size)
{
	struct cut c = { .out = out, .size = size };
	struct glyph g;
	int total = s ? words_columns(s) : 0, tail = columns - 1 - head, done = 0;
	bool skipped = false;

	if (total <= columns)
		head = total;
	while (s && *s && columns > 0) {
		s = glyph_next(s, &g);
		if (!skipped && done + g.columns > head) {
			cut_add(&c, ELLIPSIS, strlen(ELLIPSIS));
			skipped = true;
		}
		if (!skipped || total - done <= tail)
			cut_add(&c, g.text, g.len);
		done += g.columns;
	}
	out[c.len] = '\0';
	return out;
}

char *words_fit(const char *s, int columns, char *out, size_t size)
{
	return fit(s, columns, (int)((columns - 1) * 2LL / 5), out, size);
}

char *words_fit_end(const char *s, int columns, char *out, size_t size)
{
	return fit(s, columns, 0, out, size);
}

#define BETWEEN " < "

/* Where the last frame before `to` is set apart; NULL: it is the only one. */
static const char *last_between(const char *s, const char *to)
{
	const char *last = NULL;

	for (const char *p = s; (p = strstr(p, BETWEEN)) && p < to; p++)
		last = p;
	return last;
}

static char *fit_first(const char *s, int columns, char *out, size_t size)
{
	char kept[2048];
	const char *to = s + strlen(s), *cut;

	while ((cut = last_between(s, to))) {
		to = cut;
		snprintf(kept, sizeof(kept), "%.*s" BETWEEN ELLIPSIS, (int)(to - s), s);
		if (words_columns(kept) <= columns)
			return words_fit(kept, columns, out, size);
	}
	snprintf(kept, sizeof(kept), "%.*s", (int)(to - s), s);
	return words_fit(kept, columns, out, size);
}

char *words_fit_frames(const char *s, int columns, bool end, char *out, size_t size)
{
	const char *next;

	if (words_columns(s) <= columns || !strstr(s, BETWEEN))
		return end ? words_fit_end(s, columns, out, size)
			   : words_fit(s, columns, out, size);
	if (!end)
		return fit_first(s, columns, out, size);
	while (words_columns(s) > columns && (next = strstr(s, BETWEEN)))
		s = next + strlen(BETWEEN);
	return words_fit_end(s, columns, out, size);
}
