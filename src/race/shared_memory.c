/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding shared-memory: a word that goroutines touch without order.
 *
 * High where it is proven (race/proof.h): two accesses at the same time, one of them a plain
 * store.  Of that no lock's name and no number of accesses is needed, so there are no
 * thresholds.  Where the clocks of the CPUs cannot be compared the same is a suspicion: info.
 * Of words whose accesses did not overlap one thing is said, as info: a lock was held at every
 * store, and not at an access by another goroutine, with no other means of order around it.
 */
#include "base/text.h"
#include "race/race.h"

#define FINDING_LINES 12 /* both accesses are to be seen whole */

static void say_access(struct finding *f, const char *which, const struct shared_access *a)
{
	char place[WORDS_PLACE_MAX], created[WORDS_PLACE_MAX];

	if (a->created.function)
		finding_evidence(f, "%s%s%s at %.110s by goroutine %llu, created at %.80s", which,
				 a->atomic ? "atomic " : "", a->kind,
				 words_place(&a->place, place, sizeof(place)),
				 (unsigned long long)a->goid,
				 words_place(&a->created, created, sizeof(created)));
	else
		finding_evidence(f, "%s%s%s at %.150s by goroutine %llu", which,
				 a->atomic ? "atomic " : "", a->kind,
				 words_place(&a->place, place, sizeof(place)),
				 (unsigned long long)a->goid);
}

/* Info, and no more: what else may order the two is not known. */
static void find_forgotten(const struct word_watch *w, struct findings *found)
{
	const struct shared_access *a = &w->access[w->pair[0]], *b = &w->access[w->pair[1]];
	struct finding *f = findings_add_about(found, "shared-memory", w->word->name ? w->name : "",
					       SEVERITY_INFO, &b->place);
	const struct lock_seen *with = &a->lock[w->forgot], *without = &b->lock[w->forgot];
	char place[WORDS_PLACE_MAX];

	if (!f)
		return;
	finding_title(f, "no common lock seen on %.200s: held at each store, not at a %s", w->name,
		      b->kind);
	say_access(f, "", a);
	say_access(f, "", b);
	finding_evidence(f, "the lock taken at %.120s was held at %llu of %llu and at %llu of %llu",
			 words_place(&w->lock[w->forgot].taken, place, sizeof(place)),
			 (unsigned long long)with->held, (unsigned long long)with->sampled,
			 (unsigned long long)without->held, (unsigned long long)without->sampled);
	finding_evidence(f, "a suspicion: no two were seen at the same time, and what else may "
			    "order them is not known");
	finding_count(f, "count", w->hits);
	f->exactness = PARTIAL;
	f->lines = FINDING_LINES;
	f->weight = (double)(without->sampled - without->held);
	finding_advice(f, "take the lock there, too, unless something else keeps them apart");
}

/* Of an element behind a slice's length: who else stores there. */
static void find_appended(const struct word_watch *w, struct findings *found)
{
	const struct shared_access *a = NULL, *b = NULL;
	struct finding *f;

	for (int i = 0; i < w->naccess && !b; i++) {
		if (a && w->access[i].stores && w->access[i].site != a->site)
			b = &w->access[i];
		else if (!a && w->access[i].stores)
			a = &w->access[i];
	}
	f = b ? findings_add_about(found, "shared-memory", w->name, SEVERITY_INFO, &a->place)
	      : NULL;
	if (!f)
		return;
	finding_title(f,
		      "two lines append to one place of an array: what one stores, the other "
		      "overwrites (%.150s)",
		      w->word->name);
	say_access(f, "", a);
	say_access(f, "", b);
	finding_evidence(f, "whether somebody still uses what was there is not known");
	finding_count(f, "count", w->hits);
	f->exactness = PARTIAL;
	f->lines = FINDING_LINES;
	finding_advice(f, "cut the capacity of what is handed out, s[:n:n], or copy it "
			  "(slices.Clone)");
}

static void say_how(struct finding *f, const struct word_watch *w, bool proven)
{
	unsigned long long n = (unsigned long long)w->overlaps;

	if (proven)
		finding_evidence(f,
				 "%llu time%s both threads stood behind their access at the same "
				 "time: nothing can have ordered them",
				 n, n == 1 ? "" : "s");
	else
		finding_evidence(f,
				 "%llu time%s by clocks that this kernel does not keep equal: "
				 "not proven",
				 n, n == 1 ? "" : "s");
}

static void find(const struct word_watch *w, struct findings *found)
{
	const struct shared_access *a = &w->access[w->pair[0]], *b = &w->access[w->pair[1]];
	bool proven = w->verdict == RACE_PROVEN;
	struct finding *f = findings_add_about(found, "shared-memory", w->word->name ? w->name : "",
					       proven ? SEVERITY_HIGH : SEVERITY_INFO, &a->place);

	if (!f)
		return;
	finding_title(f, "%s%.200s: goroutines %s",
		      proven ? "data race on " : "perhaps a data race on ", w->name,
		      a->is_map ? "use the map in it at the same time, and one writes it"
				: "touch it at the same time, and one stores to it");
	say_access(f, "", a);
	if (a != b)
		say_access(f, "", b);
	say_how(f, w, proven);
	finding_count(f, "overlaps", w->overlaps);
	finding_count(f, "count", w->hits);
	f->exactness = PARTIAL;
	f->lines = FINDING_LINES;
	f->weight = (double)w->overlaps;
	finding_advice(f, "guard both with one mutex, or make both atomic (sync/atomic): also the "
			  "reads");
}

void race_find(const struct race *r, struct findings *found)
{
	for (int i = 0; i < r->nrow; i++)
		if (r->row[i].verdict == RACE_NO_LOCK)
			find_forgotten(&r->row[i], found);
		else if (r->row[i].verdict != RACE_UNPROVEN)
			find(&r->row[i], found);
		else if (r->row[i].word->element)
			find_appended(&r->row[i], found);
	findings_sort(found);
}
