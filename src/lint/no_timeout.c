/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding no-timeout: a request that neither its client nor its context bounds. */
#include "base/text.h"
#include "lint/lint.h"

static void say_client(struct finding *f, const struct no_timeout *n)
{
	char place[WORDS_PLACE_MAX];

	if (n->is_default) {
		finding_evidence(f,
				 "no function that names http.DefaultClient gives it a Timeout or "
				 "puts another client there");
		return;
	}
	finding_evidence(
		f, "the client is made at %s, nobody else has it, and its Timeout is never stored",
		words_place(&n->made, place, sizeof(place)));
	if (n->transport)
		finding_evidence(
			f, "it has a Transport of its own: what that bounds is not looked at");
}

void lint_find_no_timeout(const struct lint *l, struct findings *found)
{
	for (int i = 0; i < l->nclient; i++) {
		const struct no_timeout *n = &l->client[i];
		char place[WORDS_PLACE_MAX];
		struct finding *f =
			findings_add(found, "no-timeout", "no-timeout", SEVERITY_INFO, &n->place);

		if (!f)
			continue;
		finding_title(f, "%s sends a request by %s, and its context has no deadline",
			      words_place(&n->place, place, sizeof(place)),
			      n->is_default ? "http.DefaultClient, which has no timeout"
					    : "an http.Client without a timeout");
		f->exactness = EXACT;
		say_client(f, n);
		finding_advice(
			f,
			n->is_default
				? "use a client of your own with a Timeout, or give the request a "
				  "context with a deadline"
				: "set the client's Timeout, or give the request a context with a "
				  "deadline");
	}
}
