/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/profiles.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/vec.h"

#define TEXT         "text/plain; charset=utf-8"
#define SECONDS      30 /* as net/http/pprof has it */
#define VALUE_MAX    256
#define LIST_MAX     (64u << 10)
#define NO_PROCESSES 100 /* are listed */

static struct page words(int status, const char *text)
{
	struct page page = { .status = status, .type = TEXT };
	struct buf b;

	buf_init(&b, LIST_MAX);
	buf_puts(&b, text);
	page.body = body_of(&b);
	return page;
}

/* ---- who may ----------------------------------------------------------------------- */

/* Takes as long for every wrong one of a length. */
static bool same(const char *a, const char *b)
{
	size_t n = strlen(a);
	int differs = n != strlen(b);

	for (size_t i = 0; i < n && b[i]; i++)
		differs |= a[i] ^ b[i];
	return !differs;
}

/* What a browser on this machine was led to by a foreign name is not ours. */
static bool is_own_name(const char *host)
{
	static const char *const own[] = { "localhost", "127.0.0.1", "[::1]" };

	for (size_t i = 0; host && i < ARRAY_SIZE(own); i++) {
		size_t n = strlen(own[i]);

		if (!strncasecmp(host, own[i], n) && (!host[n] || host[n] == ':'))
			return true;
	}
	return false;
}

static bool may(const struct host_config *c, const struct profiles_query *q, struct page *no)
{
	if (!c->pprof) {
		*no = words(404, "no profiles here: 'pprof: true' in the configuration\n");
		return false;
	}
	if (*c->pprof_token) {
		*no = words(401, "a token is wanted: 'Authorization: Bearer TOKEN', or as the "
				 "password of the URL\n");
		return q->token && same(c->pprof_token, q->token);
	}
	*no = words(403, "profiles are for this machine alone: with 'pprof_token' in the "
			 "configuration others can have them\n");
	return q->loopback && is_own_name(q->host);
}

/* ---- of what ------------------------------------------------------------------------ */

static int hex(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

/* Without escapes; false: too long, or no text. */
static bool plain(const char *s, char out[VALUE_MAX])
{
	size_t n = 0;

	for (; s && *s; s++) {
		char c = *s == '+' ? ' ' : *s;

		if (*s == '%') {
			if (hex(s[1]) < 0 || hex(s[2]) < 0)
				return false;
			c = (char)(hex(s[1]) * 16 + hex(s[2]));
			s += 2;
		}
		if (n + 1 == VALUE_MAX || !c)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

static bool number(const char *s, long least, long most, long *out)
{
	size_t digits = strspn(s, "0123456789");

	*out = digits && !s[digits] && digits < 10 ? atol(s) : -1;
	return *out >= least && *out <= most;
}

struct wanted {
	const struct profiles_query *q;
	char service[VALUE_MAX], instance[VALUE_MAX];
	long pid; /* 0: any */
	struct ask *ask;
	struct page page; /* status 0: ask */
};

static bool fits(const struct wanted *w, const struct view_process *p)
{
	return p->depth >= DEPTH_TOTALS && (!w->pid || p->pid == w->pid) &&
	       (!w->q->service || !strcmp(p->identity->service_name, w->service)) &&
	       (!w->q->instance || !strcmp(p->identity->service_instance_id, w->instance));
}

/* Foreign text on a line of its own. */
static void put_text(struct buf *b, const char *s)
{
	for (; *s; s++)
		buf_printf(b, "%c", iscntrl((unsigned char)*s) ? '?' : *s);
}

static void list(const struct wanted *w, const struct view *v, struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < v->nprocess; i++) {
		const struct view_process *p = &v->process[i];

		if (!fits(w, p) || n++ >= NO_PROCESSES)
			continue;
		buf_printf(b, "pid=%d service=", (int)p->pid);
		put_text(b, p->identity->service_name);
		buf_puts(b, " instance=");
		put_text(b, p->identity->service_instance_id);
		buf_puts(b, "\n");
	}
	if (n > NO_PROCESSES)
		buf_printf(b, "and %zu more\n", n - NO_PROCESSES);
}

/* Which one, in words: it takes one. */
static struct page which(const struct wanted *w, const struct view *v, size_t n)
{
	struct page page = { .status = n ? 409 : 404, .type = TEXT };
	struct buf b;

	buf_init(&b, LIST_MAX);
	if (!n)
		buf_puts(&b, "no such process is watched\n");
	else if (w->pid || w->q->service || w->q->instance)
		buf_puts(&b, "more than one process is meant:\n");
	else
		buf_puts(&b, "goroutine, heap, allocs, profile?seconds=30; of which process?\n");
	if (n)
		list(w, v, &b);
	page.body = body_of(&b);
	return page;
}

static void find(struct wanted *w, const struct view *v)
{
	const struct view_process *found = NULL;
	size_t n = 0;

	for (size_t i = 0; i < v->nprocess; i++)
		if (fits(w, &v->process[i])) {
			found = &v->process[i];
			n++;
		}
	if (n != 1 || (!w->pid && !w->q->service && !w->q->instance)) {
		w->page = which(w, v, n);
		return;
	}
	w->ask->pid = found->pid;
	w->ask->start_ticks = found->start_ticks;
}

static void decide(const struct host_config *c, const struct view *v, void *arg)
{
	struct wanted *w = arg;
	struct page no;

	if (!may(c, w->q, &no)) {
		w->page = no;
		return;
	}
	body_put(no.body);
	if (!v)
		w->page = words(503, "nothing was looked at yet\n");
	else if (!w->page.status)
		find(w, v);
	else if (w->page.status == 200) { /* the list */
		w->page = which(w, v, 1);
		w->page.status = 200;
	}
}

/* ---- which profile -------------------------------------------------------------------- */

static struct page parse(const struct profiles_query *q, struct wanted *w)
{
	static const char *const name[ASK_KINDS] = { "/goroutine", "/heap", "/allocs", "/profile" };
	const char *path = q->path + strlen(PROFILES_PATH);
	long seconds = SECONDS;
	uint32_t kind = 0;

	if (!*path || !strcmp(path, "/"))
		return (struct page){ .status = 200 };
	while (kind < ASK_KINDS && strcmp(path, name[kind]))
		kind++;
	if (kind == ASK_KINDS)
		return words(404, "there are goroutine, heap, allocs, profile\n");
	if (!plain(q->service, w->service) || !plain(q->instance, w->instance) ||
	    (q->pid && !number(q->pid, 1, INT32_MAX, &w->pid)))
		return words(400, "service, instance or pid cannot be read\n");
	if ((q->debug && strcmp(q->debug, "0")) || (q->gc && strcmp(q->gc, "0")))
		return words(400, "debug and gc are not to be had: nothing is done to the "
				  "process\n");
	if (q->seconds && kind != ASK_CPU)
		return words(400, "seconds is for profile alone\n");
	if (q->seconds && !number(q->seconds, 1, ASK_SECONDS_MAX, &seconds))
		return words(400, "seconds is from 1 to 60\n");
	w->ask->kind = kind;
	w->ask->seconds = kind == ASK_CPU ? (uint32_t)seconds : 0;
	return (struct page){ 0 };
}

struct page profiles_check(struct pages *p, const struct profiles_query *q, struct ask *out)
{
	struct wanted w = { .q = q, .ask = out };
	struct body *unsaid;

	memset(out, 0, sizeof(*out));
	w.page = parse(q, &w);
	unsaid = w.page.body; /* of who may not ask, not even what is wrong is said */
	pages_with(p, decide, &w);
	if (w.page.body != unsaid)
		body_put(unsaid);
	return w.page;
}

/* ---- answers --------------------------------------------------------------------------- */

struct page profiles_answer(int failed, int status, struct buf *b)
{
	static const int http[] = { [3] = 404, [4] = 403, [5] = 404 };

	if (!failed)
		return (struct page){ 200, "application/octet-stream", body_of(b) };
	if (status < 0 || !b->len) {
		buf_deinit(b);
		return status == -EFBIG ? words(500, "the profile is too large\n")
					: words(504, "it took too long, or was ended\n");
	}
	return (struct page){ status < (int)ARRAY_SIZE(http) && http[status] ? http[status] : 404,
			      TEXT, body_of(b) };
}

struct page profiles_refuse(int err)
{
	return err == -EBUSY ? words(429, "a profile is being taken: one at a time\n")
	       : err == -EPIPE || err == -ECONNRESET || err == -EOPNOTSUPP
		       ? words(503, "nobody takes profiles: with 'pprof: true' when gospect host "
				    "starts there is\n")
		       : words(503, "a profile cannot be begun now\n");
}
