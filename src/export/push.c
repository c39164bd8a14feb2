/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/push.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/gzip.h"
#include "version.h"

#define ANSWER_MAX_BYTES (4u << 20)
#define FIRST_WAIT_S     1.0
#define LONGEST_WAIT_S   60.0
#define BEAT_MS          60000 /* nothing to do: it is woken */
#define END_BEAT_MS      50

struct request {
	struct request *next;
	enum otlp_signal signal;
	size_t len;
	char data[];
};

struct push {
	pthread_t thread;
	CURLM *multi;
	/* the thread's own */
	CURL *easy;
	struct curl_slist *headers;
	char *url[OTLP_SIGNALS];
	struct request *sending; /* NULL: none is under way */
	size_t answered;         /* bytes of the answer */
	double retry_after_s;    /* of the answer; < 0: none */
	double wait_s;           /* before the next try; 0: the last one went well */
	uint64_t not_before_ns;
	unsigned int seed;

	pthread_mutex_t lock; /* of what follows */
	struct request *first, **last;
	size_t bytes, max_bytes; /* of all that waits, the one being sent included */
	struct export_stats stats;
	bool stops;
	uint64_t stop_ns; /* and this is when, at the latest */
};

/* ---- the queue ---- */

static void drop_oldest(struct push *p)
{
	struct request *r = p->first;

	p->first = r->next;
	if (!p->first)
		p->last = &p->first;
	p->bytes -= r->len;
	p->stats.queue_dropped++;
	free(r);
}

static struct request *request_of(enum otlp_signal signal, const struct buf *body)
{
	struct request *r = NULL;
	struct buf packed;

	buf_init(&packed, 64u << 20);
	if (!gzip_add(body, &packed))
		r = malloc(sizeof(*r) + packed.len);
	if (r) {
		*r = (struct request){ .signal = signal, .len = packed.len };
		memcpy(r->data, packed.data, packed.len);
	}
	buf_deinit(&packed);
	return r;
}

void push_add(struct push *p, enum otlp_signal signal, const struct buf *body)
{
	struct request *r = request_of(signal, body);

	pthread_mutex_lock(&p->lock);
	if (r) {
		*p->last = r;
		p->last = &r->next;
		p->bytes += r->len;
		while (p->first && p->bytes > p->max_bytes)
			drop_oldest(p);
	} else {
		p->stats.queue_dropped++;
	}
	pthread_mutex_unlock(&p->lock);
	curl_multi_wakeup(p->multi);
}

void push_stats(struct push *p, struct export_stats *out)
{
	pthread_mutex_lock(&p->lock);
	*out = p->stats;
	out->queue_bytes = p->bytes;
	out->pushing = true;
	pthread_mutex_unlock(&p->lock);
}

/* ---- one request ---- */

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct push *p = arg;

	(void)data;
	p->answered += size * n;
	return p->answered > ANSWER_MAX_BYTES ? 0 : size * n;
}

double push_retry_after(const char *header, uint64_t real_ns)
{
	double now = (double)real_ns / 1e9, wait;
	char *end;
	time_t date;

	wait = strtod(header, &end);
	end += strspn(end, " \t\r\n");
	if (end == header || *end || header[strspn(header, " 0123456789\r\n\t")]) {
		date = curl_getdate(header, NULL);
		if (date == -1)
			return -1;
		wait = (double)date - now;
	}
	return wait < 0 ? 0 : wait > PUSH_MAX_WAIT_S ? PUSH_MAX_WAIT_S : wait;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	static const char name[] = "retry-after:";
	struct push *p = arg;
	char value[80];

	n *= size;
	if (n > sizeof(name) - 1 && n < sizeof(value) &&
	    !strncasecmp(data, name, sizeof(name) - 1)) {
		snprintf(value, sizeof(value), "%.*s", (int)(n - (sizeof(name) - 1)),
			 data + sizeof(name) - 1);
		p->retry_after_s = push_retry_after(value + strspn(value, " \t"), clock_real_ns());
	}
	return n;
}

static void begin(struct push *p)
{
	struct request *r = p->sending;

	p->answered = 0;
	p->retry_after_s = -1;
	curl_easy_setopt(p->easy, CURLOPT_URL, p->url[r->signal]);
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDS, &r->data[0]);
	curl_multi_add_handle(p->multi, p->easy);
}

/* The oldest that waits, if it is time. */
static void next(struct push *p)
{
	if (p->sending || clock_mono_ns() < p->not_before_ns)
		return;
	pthread_mutex_lock(&p->lock);
	p->sending = p->first;
	if (p->first) {
		p->first = p->first->next;
		if (!p->first)
			p->last = &p->first;
	}
	pthread_mutex_unlock(&p->lock);
	if (p->sending)
		begin(p);
}

static bool may_try_again(CURLcode code, long status)
{
	if (code)
		return code != CURLE_WRITE_ERROR && code != CURLE_URL_MALFORMAT &&
		       code != CURLE_PEER_FAILED_VERIFICATION;
	return status == 429 || status == 502 || status == 503 || status == 504;
}

/* Later and later, and not all at once: half of it is chance. */
static void wait_longer(struct push *p)
{
	double wait = p->wait_s > 0 ? p->wait_s * 2 : FIRST_WAIT_S;

	p->wait_s = wait > LONGEST_WAIT_S ? LONGEST_WAIT_S : wait;
	wait = p->wait_s * (0.5 + 0.5 * (double)rand_r(&p->seed) / RAND_MAX);
	if (p->retry_after_s >= 0)
		wait = p->retry_after_s;
	p->not_before_ns = clock_mono_ns() + (uint64_t)(wait * 1e9);
}

/* Before all others again, unless there is no room for it any more. */
static void put_back(struct push *p, struct request *r)
{
	r->next = p->first;
	p->first = r;
	if (!r->next)
		p->last = &r->next;
	while (p->first && p->bytes > p->max_bytes)
		drop_oldest(p);
}

static void finish(struct push *p, CURLcode code)
{
	struct request *r = p->sending;
	bool again, good;
	long status = 0;

	curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(p->multi, p->easy);
	p->sending = NULL;
	good = !code && status >= 200 && status < 300;
	again = !good && may_try_again(code, status);
	if (again)
		wait_longer(p);
	else
		p->wait_s = 0;
	pthread_mutex_lock(&p->lock);
	if (again && !p->stops) {
		p->stats.retried++;
		put_back(p, r);
		r = NULL;
	} else {
		p->bytes -= r->len;
		p->stats.sent += good;
		p->stats.failed += !good;
	}
	pthread_mutex_unlock(&p->lock);
	free(r);
}

/* ---- the thread ---- */

/* How long to sleep at most; < 0: the end. */
static int goes_on(struct push *p)
{
	uint64_t now = clock_mono_ns();
	int ms = BEAT_MS;

	pthread_mutex_lock(&p->lock);
	if (p->stops) {
		p->not_before_ns = 0;
		ms = (p->first || p->sending) && now < p->stop_ns ? END_BEAT_MS : -1;
	}
	pthread_mutex_unlock(&p->lock);
	if (p->not_before_ns > now && p->not_before_ns - now < BEAT_MS * NS_PER_MS)
		ms = (int)((p->not_before_ns - now) / NS_PER_MS) + 1;
	return ms;
}

static void *work(void *arg)
{
	struct push *p = arg;
	int ms;

	while ((ms = goes_on(p)) >= 0) {
		int running, left;
		CURLMsg *m;

		next(p);
		curl_multi_perform(p->multi, &running);
		m = curl_multi_info_read(p->multi, &left);
		if (m && m->msg == CURLMSG_DONE)
			finish(p, m->data.result);
		else
			curl_multi_poll(p->multi, NULL, 0, ms, NULL);
	}
	return NULL;
}

/* ---- life ---- */

static int set_headers(struct push *p, const struct host_config *c)
{
	static const char *const ours[] = {
		"Content-Type: application/json",
		"Content-Encoding: gzip",
		"Expect:",
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]) + c->otlp.headers.n; i++) {
		size_t k = i - sizeof(ours) / sizeof(ours[0]);
		const char *s = i < sizeof(ours) / sizeof(ours[0]) ? ours[i] : NULL;
		struct curl_slist *more;
		struct buf line;

		buf_init(&line, 64u << 10);
		if (!s)
			buf_printf(&line, "%s: %s", c->otlp.headers.pair[k].name,
				   c->otlp.headers.pair[k].value);
		more = line.err ? NULL : curl_slist_append(p->headers, s ? s : line.data);
		buf_deinit(&line);
		if (!more)
			return -ENOMEM;
		p->headers = more;
	}
	return 0;
}

static int set_urls(struct push *p, const char *endpoint)
{
	static const char *const path[OTLP_SIGNALS] = { "/v1/metrics", "/v1/logs" };
	size_t n = strlen(endpoint);

	while (n && endpoint[n - 1] == '/')
		n--;
	for (int i = 0; i < OTLP_SIGNALS; i++)
		if (asprintf(&p->url[i], "%.*s%s", (int)n, endpoint, path[i]) < 0) {
			p->url[i] = NULL;
			return -ENOMEM;
		}
	return 0;
}

static int set_up(struct push *p, const struct host_config *c)
{
	p->multi = curl_multi_init();
	p->easy = curl_easy_init();
	if (!p->multi || !p->easy || set_headers(p, c) || set_urls(p, c->otlp.endpoint))
		return -ENOMEM;
	curl_easy_setopt(p->easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	curl_easy_setopt(p->easy, CURLOPT_QUICK_EXIT, 1L); /* no end waits for a name server */
#endif
	curl_easy_setopt(p->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->headers);
	curl_easy_setopt(p->easy, CURLOPT_USERAGENT, "gospect/" GOSPECT_VERSION);
	curl_easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, (long)(c->otlp.timeout_ns / NS_PER_MS));
	curl_easy_setopt(p->easy, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(p->easy, CURLOPT_WRITEDATA, p);
	curl_easy_setopt(p->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(p->easy, CURLOPT_HEADERDATA, p);
	return 0;
}

static void tear_down(struct push *p)
{
	if (p->sending)
		curl_multi_remove_handle(p->multi, p->easy);
	curl_easy_cleanup(p->easy);
	curl_multi_cleanup(p->multi);
	curl_slist_free_all(p->headers);
	for (int i = 0; i < OTLP_SIGNALS; i++)
		free(p->url[i]);
	free(p->sending);
	for (struct request *r = p->first, *after; r; r = after) {
		after = r->next;
		free(r);
	}
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int push_open(struct push **out, const struct host_config *c, struct err *err)
{
	struct push *p = calloc(1, sizeof(*p));
	int ret = 0;

	if (!p)
		return err_set(err, -ENOMEM, "no memory for the push");
	pthread_mutex_init(&p->lock, NULL);
	p->last = &p->first;
	p->max_bytes = c->otlp.queue_bytes;
	p->seed = (unsigned int)clock_mono_ns();
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || set_up(p, c))
		ret = -ENOMEM;
	if (!ret)
		ret = -pthread_create(&p->thread, NULL, work, p);
	if (ret) {
		tear_down(p);
		return err_set(err, ret, "cannot begin to push to '%s': %s", c->otlp.endpoint,
			       strerror(-ret));
	}
	*out = p;
	return 0;
}

void push_close(struct push *p, unsigned int ms)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stops = true;
	p->stop_ns = clock_mono_ns() + ms * NS_PER_MS;
	pthread_mutex_unlock(&p->lock);
	curl_multi_wakeup(p->multi);
	pthread_join(p->thread, NULL);
	tear_down(p);
}
