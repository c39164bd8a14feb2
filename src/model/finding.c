/* SPDX-License-Identifier: BSD-2-Clause */
#include "model/finding.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/text.h"

#define ID_NAME_MAX 220 /* bytes of prefix and name; behind them a hash, a file and a line */
#define ID_SUBJECT_MAX \
	72 /* bytes; longer ones are cut to so many columns and told apart by a hash */
#define ID_SUBJECT_COLUMNS 16

const char *const severity_word[] = { "info", "low", "medium", "high", "critical" };

int severity_parse(const char *word, enum severity *out)
{
	for (int s = SEVERITY_INFO; s <= SEVERITY_CRITICAL; s++) {
		if (!strcmp(word, severity_word[s])) {
			*out = (enum severity)s;
			return 0;
		}
	}
	return -EINVAL;
}

void findings_deinit(struct findings *fs)
{
	free(fs->f);
	memset(fs, 0, sizeof(*fs));
}

/*
 * Stable over runs, and different for different places also when a name is
 * longer than an id may be: then its beginning, and a hash of all of it.
 */
static void finding_set_id(struct finding *f, const char *prefix, const struct place *p)
{
	const char *file = p && p->file ? p->file : "";
	int line = p ? p->line : 0, n, keep;
	uint64_t hash;

	if (!p || !p->function) {
		snprintf(f->id, sizeof(f->id), "%s:process", prefix);
		return;
	}
	n = snprintf(f->id, sizeof(f->id), "%s:%s:%s:%d", prefix, p->function, file, line);
	if (n >= 0 && (size_t)n < sizeof(f->id))
		return;
	hash = hash_bytes(p->function, strlen(p->function)) * 31 + hash_bytes(file, strlen(file));
	keep = ID_NAME_MAX - (int)strlen(prefix);
	snprintf(f->id, sizeof(f->id), "%s:%.*s#%016llx:%.40s:%d", prefix, keep < 200 ? keep : 200,
		 p->function, (unsigned long long)hash, file, line);
}

static struct finding *add(struct findings *fs, const char *kind, const char *id_prefix,
			   enum severity s, const struct place *p)
{
	struct finding *f;

	if (!fs->f)
		fs->f = calloc(FINDINGS_MAX, sizeof(*fs->f));
	if (!fs->f || fs->n == FINDINGS_MAX) {
		fs->dropped++;
		return NULL;
	}
	f = &fs->f[fs->n++];
	memset(f, 0, sizeof(*f));
	f->kind = kind;
	f->severity = s;
	f->since_s = -1;
	f->about.phase = -1;
	if (p)
		f->place = *p;
	finding_set_id(f, id_prefix, p);
	return f;
}

/* The last, unless it is there already. */
static struct finding *if_new(struct findings *fs, struct finding *f)
{
	for (int i = 0; f && fs->only_new && i < fs->n - 1; i++)
		if (!strcmp(fs->f[i].id, f->id)) {
			fs->n--;
			return NULL;
		}
	return f;
}

struct finding *findings_add(struct findings *fs, const char *kind, const char *id_prefix,
			     enum severity s, const struct place *p)
{
	return if_new(fs, add(fs, kind, id_prefix, s, p));
}

char *finding_prefix(const char *kind, const char *subject, char *out)
{
	char clean[ID_SUBJECT_MAX + 1];

	words_fit(subject, ID_SUBJECT_MAX, clean, sizeof(clean));
	if (!strcmp(clean, subject))
		snprintf(out, FINDING_PREFIX_MAX, "%.32s:%s", kind, clean);
	else
		snprintf(out, FINDING_PREFIX_MAX, "%.32s:%s#%08x", kind,
			 words_fit(subject, ID_SUBJECT_COLUMNS, clean, sizeof(clean)),
			 (unsigned int)hash_bytes(subject, strlen(subject)));
	return out;
}

struct finding *findings_add_about(struct findings *fs, const char *kind, const char *subject,
				   enum severity s, const struct place *p)
{
	char prefix[FINDING_PREFIX_MAX];
	struct finding *f = add(fs, kind, finding_prefix(kind, subject, prefix), s, p);

	if (f && !f->place.function)
		snprintf(f->id, sizeof(f->id), "%s", prefix);
	return if_new(fs, f);
}

/* Formats; what does not fit ends in "…", never inside a character. */
static void format_sentence(char *out, size_t size, const char *fmt, va_list ap)
{
	static const char more[] = "…";
	size_t end = size - sizeof(more);
	int n = vsnprintf(out, size, fmt, ap);

	if (n < 0 || (size_t)n < size)
		return;
	while (end && ((unsigned char)out[end] & 0xc0) == 0x80)
		end--;
	memcpy(out + end, more, sizeof(more));
}

void finding_title(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format_sentence(f->title, sizeof(f->title), fmt, ap);
	va_end(ap);
}

static void add_number(struct finding *f, const char *name, double v, bool is_integer)
{
	if (f->nnumber < FINDING_MAX_NUMBERS)
		f->number[f->nnumber++] = (struct finding_number){ name, v, is_integer };
}

void finding_number(struct finding *f, const char *name, double v)
{
	add_number(f, name, v, false);
}

void finding_count(struct finding *f, const char *name, uint64_t v)
{
	add_number(f, name, (double)v, true);
}

void finding_evidence(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	if (f->nevidence == FINDING_MAX_EVIDENCE)
		return;
	va_start(ap, fmt);
	format_sentence(f->evidence[f->nevidence++], sizeof(f->evidence[0]), fmt, ap);
	va_end(ap);
}

void finding_evidence_first(struct finding *f, const char *fmt, ...)
{
	int kept = f->nevidence < FINDING_MAX_EVIDENCE ? f->nevidence : FINDING_MAX_EVIDENCE - 1;
	va_list ap;

	memmove(f->evidence[1], f->evidence[0], (size_t)kept * sizeof(f->evidence[0]));
	f->nevidence = kept + 1;
	va_start(ap, fmt);
	format_sentence(f->evidence[0], sizeof(f->evidence[0]), fmt, ap);
	va_end(ap);
}

void finding_advice(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format_sentence(f->advice, sizeof(f->advice), fmt, ap);
	va_end(ap);
}

static int finding_compare(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->severity != y->severity)
		return x->severity > y->severity ? -1 : 1;
	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	return strcmp(x->id, y->id);
}

/* Where the cause of finding i stands behind it; 0: it does not. */
static int cause_behind(const struct findings *fs, int i)
{
	for (int k = i + 1; fs->f[i].caused_by[0] && k < fs->n; k++)
		if (!strcmp(fs->f[k].id, fs->f[i].caused_by))
			return k;
	return 0;
}

/* To there from behind it; the others move back. */
static void move_forward(struct findings *fs, int from, int to)
{
	struct finding f = fs->f[from];

	memmove(&fs->f[to + 1], &fs->f[to], (size_t)(from - to) * sizeof(f));
	fs->f[to] = f;
}

bool findings_reach(const struct findings *fs, enum severity s)
{
	for (int i = 0; i < fs->n; i++)
		if (fs->f[i].severity >= s)
			return true;
	return false;
}

void findings_sort(struct findings *fs)
{
	int moves = 0;

	if (fs->n > 1)
		qsort(fs->f, (size_t)fs->n, sizeof(*fs->f), finding_compare);
	for (int i = 0; i < fs->n; i++)
		for (int k = cause_behind(fs, i); k && moves < fs->n; k = cause_behind(fs, i)) {
			move_forward(fs, k, i);
			moves++;
		}
}
