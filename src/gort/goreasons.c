/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of the wait reasons, from the process itself: the numbers change
 * with the release (runtime2.go, waitReasonStrings), the neighbours by which
 * the array is known have not from 1.18 to 1.27.  For releases newer than the
 * table of layouts.
 */
#include "gort/goruntime_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

#define MAX_DATA     (256u << 20) /* of variables looked through */
#define CHUNK        (1u << 20)
#define STRING_BYTES 16 /* pointer, length */
#define MAX_REASONS  LAYOUT_MAX_REASONS

static const char anchor[] = "chan receive (nil chan)", behind[] = "chan send (nil chan)";

/* The string whose header is at p: its length, or -1 when it is no printable text. */
static int read_text(struct goruntime *rt, const uint8_t *p, char out[LAYOUT_MAX_REASON])
{
	uint64_t addr = load_u64(p), len = load_u64(p + 8);

	if (len >= LAYOUT_MAX_REASON || (len && mem_read(rt->mem, addr, out, len)))
		return -1;
	out[len] = '\0';
	for (uint64_t i = 0; i < len; i++)
		if (out[i] < 0x20 || out[i] > 0x7e)
			return -1;
	return (int)len;
}

static bool is_anchor(struct goruntime *rt, const uint8_t *p)
{
	char text[LAYOUT_MAX_REASON];

	return load_u64(p + 8) == strlen(anchor) &&
	       load_u64(p + STRING_BYTES + 8) == strlen(behind) && read_text(rt, p, text) >= 0 &&
	       !strcmp(text, anchor) && read_text(rt, p + STRING_BYTES, text) >= 0 &&
	       !strcmp(text, behind);
}

/* Where the anchor is among the variables: its address or 0. */
static uint64_t find_anchor(struct goruntime *rt, uint8_t *chunk)
{
	const struct moduledata *md = &rt->gb->mod;
	uint64_t at = md->data + rt->bias, end = md->edata + rt->bias;

	if (end < at || end - at > MAX_DATA)
		return 0;
	while (end - at >= 2 * STRING_BYTES) {
		size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;

		if (mem_read(rt->mem, at, chunk, n))
			return 0;
		for (size_t i = 0; i + 2 * STRING_BYTES <= n; i += 8)
			if (is_anchor(rt, chunk + i))
				return at + i;
		if (n < CHUNK)
			break;
		at += n - 2 * STRING_BYTES;
	}
	return 0;
}

/* Back to the first reason, which has no words, then on to what is no text any more. */
static int read_reasons(struct goruntime *rt, uint64_t at,
			char text[MAX_REASONS][LAYOUT_MAX_REASON])
{
	uint8_t raw[STRING_BYTES];
	int n = 0, len = -1;

	for (int back = 0; back < MAX_REASONS && len; back++) {
		at -= STRING_BYTES;
		if (mem_read(rt->mem, at, raw, sizeof(raw)))
			return -ENOENT;
		len = read_text(rt, raw, text[0]);
		if (len < 0)
			return -ENOENT;
	}
	for (; n < MAX_REASONS && !mem_read(rt->mem, at, raw, sizeof(raw)); n++) {
		len = read_text(rt, raw, text[n]);
		if (len < 0 || (!len && n))
			break;
		at += STRING_BYTES;
	}
	return n;
}

int goreasons_learn(struct goruntime *rt)
{
	uint8_t *chunk = malloc(CHUNK);
	char(*text)[LAYOUT_MAX_REASON] = malloc(MAX_REASONS * LAYOUT_MAX_REASON);
	uint64_t at = chunk && text ? find_anchor(rt, chunk) : 0;
	int n = at ? read_reasons(rt, at, text) : chunk && text ? -ENOENT : -ENOMEM;

	if (n > 0)
		n = gobin_take_wait_reasons(rt->gb, text, n);
	free(chunk);
	free(text);
	return n;
}
