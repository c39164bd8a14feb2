/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding typed-nil: an error that is not nil though its pointer is. */
#include <stdio.h>

#include "base/text.h"
#include "lint/lint.h"

const char *const certainty_word[CERTAIN_CALLEE + 1] = {
	[CERTAIN_CONSTANT] = "constant",
	[CERTAIN_PATH] = "path",
	[CERTAIN_CALLEE] = "callee",
};

static void say_why(struct finding *f, const struct typed_nil *n)
{
	char place[WORDS_PLACE_MAX];

	switch (n->certainty) {
	case CERTAIN_CONSTANT:
		finding_evidence(f, "the pointer is nil whenever this line is reached");
		break;
	case CERTAIN_PATH:
		finding_evidence(f, "the pointer is nil on a path to this line");
		break;
	case CERTAIN_CALLEE:
		if (n->callee.function)
			finding_evidence(f, "%s can return nil here, and that is returned",
					 words_place(&n->callee, place, sizeof(place)));
		break;
	}
	if (n->condition.function)
		finding_evidence(f, "the last condition on the path is at %s",
				 words_place(&n->condition, place, sizeof(place)));
}

void lint_find(const struct lint *l, struct findings *found)
{
	for (int i = 0; i < l->nnil; i++) {
		const struct typed_nil *n = &l->nil[i];
		char place[WORDS_PLACE_MAX];
		struct finding *f =
			findings_add(found, "typed-nil", "typed-nil", SEVERITY_MEDIUM, &n->place);

		if (!f)
			continue;
		finding_title(f, "%s returns a nil %s as an error that is not nil",
			      words_place(&n->place, place, sizeof(place)), n->type);
		f->exactness = EXACT;
		say_why(f, n);
		finding_advice(f,
			       "where the pointer is nil, `return nil`; or declare the variable "
			       "and the called function's result as error, not as %s",
			       n->type);
	}
	lint_find_no_timeout(l, found);
	findings_sort(found);
}
