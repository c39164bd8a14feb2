/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said of requests that take long to be written, by what looks saw them wait for. */
#include "net/subject.h"

#include <string.h>

#include "base/human.h"
#include "base/text.h"
#include "model/words.h"

/* What most of the host's were seen at; NULL: nothing that is known. */
static const struct net_upload *mostly(const struct net_window *n, const char *host, uint64_t *of)
{
	const struct net_upload *best = NULL;

	*of = 0;
	for (int i = 0; i < n->nupload; i++) {
		const struct net_upload *u = &n->upload[i];

		if (strcmp(u->host, host))
			continue;
		*of += u->seen;
		if (!best || u->seen > best->seen)
			best = u;
	}
	return best && best->what != NETUPLOAD_OTHER && best->seen * 2 > *of ? best : NULL;
}

const char *net_upload_advice(const struct net_window *n, const char *host)
{
	uint64_t of;
	const struct net_upload *u = mostly(n, host, &of);

	switch (u ? u->what : NETUPLOAD_OTHER) {
	case NETUPLOAD_100:
		return "the server (or a proxy) ignores Expect: 100-continue: leave that header "
		       "out, or shorten Transport.ExpectContinueTimeout";
	case NETUPLOAD_READS:
		return "the request's own Body is what is slow: see who produces it, end it "
		       "(io.Pipe: CloseWithError), and bound the request by a context";
	case NETUPLOAD_WRITES:
		return "the server does not read what is sent: check that server and the proxies "
		       "before it; bound the request by a context or timeout";
	default:
		return NULL;
	}
}

void net_upload_evidence(struct finding *f, const struct net_window *n, const char *host)
{
	static const char *const words[] = {
		[NETUPLOAD_100] = "wait for the server's 100 Continue",
		[NETUPLOAD_READS] = "wait for their own Body",
		[NETUPLOAD_WRITES] = "wait for the server to read what is sent",
	};
	uint64_t of;
	const struct net_upload *u = mostly(n, host, &of);
	char place[WORDS_PLACE_MAX], a[HUMAN_MAX], b[HUMAN_MAX];

	if (!u)
		return;
	finding_evidence(f, "they %s%s%s (sampled: %s of %s)", words[u->what],
			 u->reader.function ? ": its Read is at " : "",
			 u->reader.function ? words_place(&u->reader, place, sizeof(place)) : "",
			 human_count(u->seen, a), human_counted(of, "sighting", b));
}
