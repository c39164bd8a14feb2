/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/sentence.h"

#include "base/human.h"
#include "model/words.h"
#include "base/text.h"

void sentence_count(struct buf *out, const char *before, uint64_t n, const char *after)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s%s", before, human_count(n, text), after);
}

void sentence_counted(struct buf *out, const char *before, uint64_t n, const char *one)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s", before, human_counted(n, one, text));
}

void sentence_bytes(struct buf *out, const char *before, double n, const char *after)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s%s", before, human_bytes(n, text), after);
}

void sentence_seconds(struct buf *out, const char *before, double s, const char *after)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s%s", before, s > 0 ? human_seconds(s, text) : "0s", after);
}

void sentence_ns(struct buf *out, const char *before, uint64_t ns)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s", before, human_seconds((double)ns / 1e9, text));
}

void sentence_percentiles(struct buf *out, uint64_t n, uint64_t p50_ns, uint64_t p99_ns,
			  uint64_t max_ns)
{
	char text[WORDS_PERCENTILES_MAX];

	if (!max_ns)
		return; /* counted, and none of them timed */
	buf_printf(out, ", %s", words_percentiles(n, p50_ns, p99_ns, max_ns, text));
	if (n >= LEAST_FOR_P99)
		sentence_ns(out, ", max ", max_ns);
}

void sentence_percent(struct buf *out, const char *before, double pct, int decimals,
		      const char *after)
{
	char text[HUMAN_MAX];

	buf_printf(out, "%s%s%s", before, human_percent(pct, decimals, text), after);
}

void sentence_rate(struct buf *out, const char *before, double per_s, const char *after)
{
	char text[HUMAN_MAX];
	bool small = per_s > 0 && per_s < 0.05;

	buf_printf(out, "%s%s%s", before, small ? "<0.1" : human_rate(per_s, text), after);
}

void sentence_name(struct buf *out, const char *before, const char *name, int columns)
{
	char text[1024];

	if (name)
		buf_printf(out, "%s%s", before, words_fit(name, columns, text, sizeof(text)));
}

void sentence_place(struct buf *out, const struct place *p, const char *none)
{
	char text[WORDS_PLACE_MAX];

	buf_puts(out, p->function ? words_place_short(p, text, sizeof(text)) : none);
}

const char *exactness_mark(enum exactness e)
{
	return e == EXACT ? "" : "~";
}

double window_per_s(const struct window *w, uint64_t n)
{
	return window_run_s(w) > 0 ? (double)n / window_run_s(w) : 0;
}
