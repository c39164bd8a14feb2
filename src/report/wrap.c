/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/grid.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"

#define WORD_BYTES 1024 /* longer words are cut */
#define WORD_LEAST 8    /* columns: less of a word says nothing */

/* Takes the next word off *text; false at the end. */
static bool next_word(const char **text, char *word)
{
	size_t n, keep;

	*text += strspn(*text, " ");
	n = strcspn(*text, " ");
	keep = n < WORD_BYTES ? n : WORD_BYTES - 1;
	memcpy(word, *text, keep);
	word[keep] = '\0';
	*text += n;
	return n;
}

static bool is_last(const char *text)
{
	return !text[strspn(text, " ")];
}

/*
 * A word for which the last line has no room: as much of it as is worth it,
 * and " …" (there are two columns more) when words follow it.
 */
static void cut_short(struct buf *out, const char *word, bool last_word, int room)
{
	char fitted[WORD_BYTES * 4];
	bool fits = room >= WORD_LEAST;

	if (fits) {
		buf_puts(out, " ");
		buf_puts(out, words_fit(word, room, fitted, sizeof(fitted)));
	}
	if (!fits || !last_word)
		buf_puts(out, " …");
}

void wrap_end_line(struct buf *out)
{
	while (!out->err && out->len && out->data[out->len - 1] == ' ')
		out->data[--out->len] = '\0';
	buf_puts(out, "\n");
}

int wrap_text(struct buf *out, const char *text, int used, int indent, int width, int max_lines)
{
	char word[WORD_BYTES], fitted[WORD_BYTES * 4];
	int pos = used, lines = 1, begin = used;

	while (text && next_word(&text, word)) {
		bool last_line = max_lines && lines == max_lines;
		/* the last line keeps room for " …" unless nothing follows */
		int room = width - (last_line && !is_last(text) ? 2 : 0);
		int columns = words_columns(word), gap = pos > begin;

		if (pos + gap + columns > room && pos > begin) {
			if (last_line) {
				cut_short(out, word, is_last(text), room - pos - gap);
				break;
			}
			wrap_end_line(out);
			buf_printf(out, "%*s", indent, "");
			pos = begin = indent;
			lines++;
			gap = 0;
			room = width - (lines == max_lines && !is_last(text) ? 2 : 0);
		}
		words_fit(word, room - pos - gap, fitted, sizeof(fitted));
		buf_puts(out, gap ? " " : "");
		buf_puts(out, fitted);
		pos += gap + words_columns(fitted);
	}
	wrap_end_line(out);
	return lines;
}
