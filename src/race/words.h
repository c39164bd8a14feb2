/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of a process's memory that are worth watching for data races: those that a user
 * names, and those that the program's code says many functions share.  Knows nothing of how
 * they are watched.
 *
 * All addresses are run-time ones.
 */
#ifndef GOSPECT_RACE_WORDS_H
#define GOSPECT_RACE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct goruntime;
struct memreader;
struct process;

/* An instruction of the program that touches a word. */
struct race_site {
	uint64_t pc;  /* of the instruction itself, not behind it; less the bias for gobin */
	bool write;   /* it stores (and may read, too) */
	bool atomic;  /* with LOCK, or an exchange: of an atomic load nothing shows */
	bool updates; /* it reads and stores in one: counter++ */
};

#define RACE_SITES 4 /* kept of a word, of each kind; others are only counted */

/*
 * 1, 2, 4 or 8 bytes, aligned to that: small enough that every access that the scan has seen
 * touches all of them or none.
 */
struct race_word {
	uint64_t base; /* the word itself, or, with via, the variable that points before it */
	bool via;      /* it lies at *(uint64_t *)base + off: follow again for every slice */
	uint32_t off;
	uint32_t element; /* bytes of one, with via: the word is the first behind the length of
			   * the slice at base; 0: no slice */
	uint8_t size;
	char *name; /* owned: "main.cfg->Enabled", "0xc000012340"; NULL when nobody names it */
	struct race_site writer[RACE_SITES], reader[RACE_SITES]; /* of reader none stores */
	uint32_t nwriter, nreader;                               /* all, kept or not */
	bool std; /* only the standard library stores there */

	/* of race_words_look() */
	uint64_t value; /* the last one */
	bool seen;      /* there was a last one */
	bool changed;   /* it was another at some look */
};

struct race_words {
	struct race_word *w; /* owned */
	size_t n, cap;
	uint64_t instructions, functions; /* decoded, of race_words_scan() */
	uint64_t dropped; /* words and accesses beyond the maximum, functions that do not decode */
};

void race_words_deinit(struct race_words *l);

/*
 * Where the word is now: 0; -ENOENT: the variable that leads there is nil or points to nothing
 * aligned; -EFAULT, -ESRCH, -EPERM.
 */
int race_word_addr(const struct race_word *w, struct memreader *mem, uint64_t *addr);

/*
 * Adds what a user names, at most RACE_NAMED words:
 *   main.cfg, main.conf.Enabled, main.cfg->Enabled   by symbols and DWARF
 *   main.conf+24, main.cfg->+24:1                    by symbols alone
 *   0xADDR, 0xADDR:LEN                               LEN 1, 2, 4 or 8 (usual: 8), aligned, writable
 *   file.go:31                                       the globals that this line stores to, and
 *                                                    what it appends to
 * 0; -EINVAL: nothing of the kind; -ENOENT: not in this program; -EOPNOTSUPP: the program has
 * not what it takes to know, or the runtime owns the place; -E2BIG; err has the sentence and
 * the hint.
 */
#define RACE_NAMED 4
int race_words_named(struct race_words *l, struct goruntime *rt, const struct process *p,
		     const char *what, struct err *err);

/*
 * Adds the candidates that the code shows: words of the program's variables, and words behind
 * a pointer that was just loaded from one, that a function stores to plainly and another one
 * touches, or that are read and stored by one.  Initialisation, the runtime, sync and reflect
 * are left out, and what the runtime owns: maps, channels.  At most RACE_CANDIDATES; the
 * user's packages before the standard library.  Reads the file alone, 0.1 to 2.5 s.
 * 0, -EOPNOTSUPP (not amd64), -ENOMEM.
 */
#define RACE_CANDIDATES 8192
int race_words_scan(struct race_words *l, struct goruntime *rt, struct err *err);

/*
 * Reads the value of every word: `changed` where it is another than at the look before (a
 * variable that points elsewhere now counts).  Returns the words read, or -ESRCH, -EPERM,
 * -ENOMEM.
 */
int race_words_look(struct race_words *l, struct memreader *mem);
/* Those that changed first, the standard library's last; else as they were. */
void race_words_order(struct race_words *l);

#endif
