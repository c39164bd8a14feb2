/* SPDX-License-Identifier: BSD-2-Clause */
#include "race/named.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "gort/goruntime.h"
#include "proc/process.h"
#include "proc/procfs.h"
#include "race/dwarf.h"

enum { WORD = 8, MAX_OFFSET = 1 << 20 };

#define NAMES                                                                        \
	"name a variable (main.cfg, main.cfg->Enabled), the line that stores to it " \
	"(main.go:31), or an address (0xc000012340:8)"

struct request {
	struct race_words *l;
	struct goruntime *rt;
	const struct process *p;
	const char *what;
	struct err *err;
};

/* ---- words ---- */

static int add(struct race_words *l, const struct race_word *w, const char *name)
{
	int err = array_room(&l->w, l->n, &l->cap, sizeof(*l->w));

	if (err)
		return err;
	l->w[l->n] = *w;
	l->w[l->n].name = name ? strdup(name) : NULL;
	return name && !l->w[l->n].name ? -ENOMEM : (l->n++, 0);
}

/* `size` bytes, in words as large as their place allows. */
static int add_all(struct request *r, struct race_word w, uint64_t size)
{
	uint64_t from = w.via ? w.off : w.base, at = from;
	size_t first = r->l->n;

	while (at < from + size) {
		uint64_t step = WORD;
		char name[512];
		int err;

		while (at % step || at + step > from + size)
			step /= 2;
		if (r->l->n - first == RACE_NAMED) {
			while (r->l->n > first)
				free(r->l->w[--r->l->n].name);
			err_set(r->err, -E2BIG,
				"'%s' has %llu bytes, more than are watched at once", r->what,
				(unsigned long long)size);
			err_hint(r->err, "say which: a field of it, or '%.200s+OFFSET'", r->what);
			return -E2BIG;
		}
		if (w.via)
			w.off = (uint32_t)at;
		else
			w.base = at;
		w.size = (uint8_t)step;
		if (at == from)
			snprintf(name, sizeof(name), "%s", r->what);
		else
			snprintf(name, sizeof(name), "%.480s+%llu", r->what,
				 (unsigned long long)(at - from));
		err = add(r->l, &w, name);
		if (err)
			return err_set(r->err, err, "no memory");
		at += step;
	}
	return 0;
}

/* ---- an address ---- */

static int is_writable(const struct process *p, uint64_t at, uint64_t len, bool *yes)
{
	struct procfs_mapping m;
	const char *pos;
	char *text;
	size_t n;
	int err = procfs_read(p->proc_fd, "maps", &text, &n);

	*yes = false;
	if (err)
		return err;
	for (pos = text; procfs_next_mapping(&pos, &m);)
		*yes |= m.write && at >= m.start && at + len <= m.end;
	free(text);
	return 0;
}

static int name_address(struct request *r)
{
	struct race_word w = { .size = WORD };
	unsigned long len = WORD;
	bool writable;
	char *end;
	int err;

	errno = 0;
	w.base = strtoull(r->what, &end, 16);
	if (!errno && *end == ':')
		len = strtoul(end + 1, &end, 10);
	if (errno || *end || (len != 1 && len != 2 && len != 4 && len != 8) || w.base % len) {
		err_set(r->err, -EINVAL, "'%s' is no address that can be watched", r->what);
		err_hint(r->err, "0xADDR or 0xADDR:LEN, LEN 1, 2, 4 or 8, aligned to that");
		return -EINVAL;
	}
	err = is_writable(r->p, w.base, len, &writable);
	if (err)
		return err_set(r->err, err, "cannot read the process's mappings");
	if (!writable)
		return err_set(r->err, -ENOENT, "'%s' is not in memory that the process can write",
			       r->what);
	w.size = (uint8_t)len;
	err = add(r->l, &w, r->what);
	return err ? err_set(r->err, err, "no memory") : 0;
}

/* ---- a line ---- */

static int name_line(struct request *r, const char *colon)
{
	char *path = strndup(r->what, (size_t)(colon - r->what));
	size_t before = r->l->n;
	int err = path ? race_words_of_line(r->l, r->rt, path, atoi(colon + 1)) : -ENOMEM;

	if (!err)
		err = race_words_of_append(r->l, r->rt, path, atoi(colon + 1));
	free(path);
	if (err == -EOPNOTSUPP)
		return err_set(r->err, err, "the code of this architecture is not understood");
	if (err)
		return err_set(r->err, err, "no memory");
	if (r->l->n == before) {
		err_set(r->err, -ENOENT,
			"no instruction of '%s' stores to a variable of a package, behind a "
			"pointer in one, or appends to one",
			r->what);
		err_hint(r->err, "%s", NAMES);
		return -ENOENT;
	}
	if (r->l->n - before > RACE_NAMED) {
		err_set(r->err, -E2BIG, "'%s' stores to %zu places, more than are watched at once",
			r->what, r->l->n - before);
		err_hint(r->err, "%s", NAMES);
		r->l->n = before;
		return -E2BIG;
	}
	for (size_t i = before; i < r->l->n; i++) {
		char name[512];

		snprintf(name, sizeof(name), "%.480s%s", r->what,
			 r->l->w[i].element ? ", what is appended" : "");
		r->l->w[i].name = strdup(name);
		if (!r->l->w[i].name)
			return err_set(r->err, -ENOMEM, "no memory");
	}
	return 0;
}

/* ---- a variable ---- */

/* A place in the variable, or, with via, behind the pointer that was there. */
struct place {
	struct race_word w;
	uint64_t size; /* of what is there; 0: not known */
	bool typed;    /* `type` says what */
	struct dwarf_type type;
	struct dwarf d;
	bool asked; /* for types: once, and not for what is at an offset in bytes */
};

static uint64_t offset_of(const struct place *p)
{
	return p->w.via ? p->w.off : p->w.base;
}

static void move(struct place *p, uint64_t off)
{
	if (p->w.via)
		p->w.off += (uint32_t)off;
	else
		p->w.base += off;
}

static int refuse_owned(struct request *r)
{
	err_set(r->err, -EOPNOTSUPP,
		"what '%s' names belongs to the runtime, in a map or a channel: a watch there "
		"would "
		"kill the program",
		r->what);
	err_hint(r->err, "watch the variable that holds it");
	return -EOPNOTSUPP;
}

static bool find_types(struct request *r, struct place *p, const struct symbol *s)
{
	if (p->typed || p->asked)
		return p->typed;
	p->asked = true;
	p->typed = !dwarf_open(&p->d, &r->rt->gb->image) &&
		   !dwarf_variable(&p->d, r->what, s->len, &p->type);
	return p->typed;
}

static int need_types(struct request *r, struct place *p, const struct symbol *s)
{
	if (find_types(r, p, s))
		return 0;
	err_set(r->err, -EOPNOTSUPP,
		"the program has no debug information that says what '%.*s' is", (int)s->len,
		r->what);
	err_hint(r->err, "give offsets in bytes: '%.*s+24' in it, '%.*s->+24' behind the pointer",
		 (int)s->len, r->what, (int)s->len, r->what);
	return -EOPNOTSUPP;
}

static int no_such_field(struct request *r, const char *name, size_t len)
{
	return err_set(r->err, -ENOENT, "'%s': no field '%.*s' there", r->what, (int)len, name);
}

static int take_field(struct request *r, struct place *p, const struct symbol *s, const char *name,
		      size_t len)
{
	uint64_t off;
	int err = need_types(r, p, s);

	if (err)
		return err;
	if (p->type.kind == DWARF_OWNED)
		return refuse_owned(r);
	err = p->type.kind == DWARF_STRUCT ? dwarf_field(&p->d, &p->type, name, len, &off, &p->type)
					   : -ENOENT;
	if (err || off > MAX_OFFSET)
		return no_such_field(r, name, len);
	move(p, off);
	p->size = p->type.size;
	return 0;
}

/* By types, else by what the code does with the variable. */
static int take_pointer(struct request *r, struct place *p, const struct symbol *s)
{
	bool owned = false;
	int err;

	if (p->w.via)
		return err_set(r->err, -EINVAL, "'%s': only one pointer is followed", r->what);
	if (!find_types(r, p, s)) {
		err = race_words_owned(r->rt, p->w.base, &owned);
		if (err)
			return err_set(r->err, err, "the program's code cannot be read");
	} else if (p->type.kind == DWARF_OWNED) {
		owned = true;
	} else if (p->type.kind != DWARF_POINTER) {
		return err_set(r->err, -EINVAL, "'%.*s' is no pointer", (int)s->len, r->what);
	} else {
		err = dwarf_type(&p->d, p->type.to, &p->type);
		if (err)
			return err_set(r->err, err, "damaged debug information in the executable");
	}
	if (owned)
		return refuse_owned(r);
	p->w.via = true;
	p->w.off = 0;
	p->size = p->typed ? p->type.size : 0;
	return 0;
}

/* "+24": what is there is not known any more. */
static int take_offset(struct request *r, struct place *p, const char **pos)
{
	char *end;
	unsigned long long left, off = strtoull(*pos + 1, &end, 0);

	if (end == *pos + 1 || off > MAX_OFFSET || (!p->w.via && p->size && off >= p->size))
		return err_set(r->err, -EINVAL, "'%s': no such offset", r->what);
	*pos = end;
	move(p, off);
	p->typed = false;
	p->asked = true;
	left = p->size > off ? p->size - off : WORD;
	for (p->size = WORD; p->size > left || offset_of(p) % p->size;)
		p->size /= 2;
	return 0;
}

static int take_length(struct request *r, struct place *p, const char *colon)
{
	char *end;
	unsigned long len = strtoul(colon + 1, &end, 10);

	if (*end || !len || len > WORD || len & (len - 1) || offset_of(p) % len)
		return err_set(r->err, -EINVAL,
			       "'%s': a length is 1, 2, 4 or 8, and the place is aligned to it",
			       r->what);
	p->size = len;
	return 0;
}

static int follow(struct request *r, struct place *p, const struct symbol *s)
{
	const char *pos = r->what + s->len;
	int err = 0;

	while (*pos && !err) {
		size_t len;

		if (*pos == '+') {
			err = take_offset(r, p, &pos);
			continue;
		}
		if (*pos == ':')
			return take_length(r, p, pos);
		if (*pos == '-') {
			if (pos[1] != '>')
				return err_set(r->err, -EINVAL, "'%s' is not understood", r->what);
			err = take_pointer(r, p, s);
			pos += 2;
			if (err || *pos == '+' || *pos == ':')
				continue;
		} else {
			pos++;
		}
		len = strcspn(pos, ".+-:");
		err = err ? err : take_field(r, p, s, pos, len);
		pos += len;
	}
	return err;
}

static int no_symbol(struct request *r, int why)
{
	if (why == -EOPNOTSUPP)
		err_set(r->err, why,
			"the program is stripped of its symbol table: '%s' cannot be found in it",
			r->what);
	else if (why == -ENOENT)
		err_set(r->err, why, "no variable '%s' in the program", r->what);
	else
		return err_set(r->err, why, "damaged symbol table in the executable");
	err_hint(r->err, "%s",
		 why == -ENOENT ? NAMES
				: "name the line that stores to it (main.go:31), or an address "
				  "(0xc000012340:8)");
	return why;
}

static int name_variable(struct request *r)
{
	struct place p = { .asked = false };
	struct symbol s;
	int err = symbol_find(&r->rt->gb->image, r->what, &s);

	if (err)
		return no_symbol(r, err);
	if (!moduledata_has_variable(&r->rt->gb->mod, s.addr))
		return err_set(r->err, -EINVAL, "'%.*s' is no variable that can change", (int)s.len,
			       r->what);
	p.w.base = s.addr + r->rt->bias;
	p.size = s.size;
	err = follow(r, &p, &s);
	if (!err && p.size > UINT32_MAX)
		err = err_set(r->err, -EBADMSG, "'%s': no such size", r->what);
	if (!err)
		err = add_all(r, p.w, p.size ? p.size : WORD);
	dwarf_close(&p.d);
	return err;
}

/* "file.go:31", and where its colon is; NULL. */
static const char *line_of(const char *what)
{
	const char *colon = strrchr(what, ':');

	if (!colon || colon - what < 4 || strncmp(colon - 3, ".go", 3) || !colon[1] ||
	    colon[1 + strspn(colon + 1, "0123456789")])
		return NULL;
	return colon;
}

int race_words_named(struct race_words *l, struct goruntime *rt, const struct process *p,
		     const char *what, struct err *err)
{
	struct request r = { .l = l, .rt = rt, .p = p, .what = what, .err = err };
	const char *colon = line_of(what);

	if (colon)
		return name_line(&r, colon);
	if (!strncmp(what, "0x", 2) || !strncmp(what, "0X", 2))
		return name_address(&r);
	if (!strchr(what, '.')) {
		err_set(err, -EINVAL, "'%s' names nothing that can be watched", what);
		err_hint(err, "%s", NAMES);
		return -EINVAL;
	}
	return name_variable(&r);
}
