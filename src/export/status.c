/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/status.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/human.h"
#include "base/text.h"
#include "base/vec.h"
#include "export/server.h"
#include "report/grid.h"

#define ANSWER_MAX (64u << 20)
#define WAIT_S     10 /* for each piece of the answer: the page may have to be made */
#define PIECES_MAX 8192

/* ---- asking ---- */

static int connect_to(const char *listen)
{
	const struct timeval wait = { .tv_sec = WAIT_S };
	union server_address a;
	int fd, r = server_address(listen, &a);

	if (r)
		return r;
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (!connect(fd, &a.any, a.any.sa_family == AF_INET ? sizeof(a.v4) : sizeof(a.v6)))
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int receive(int fd, struct buf *answer)
{
	char piece[16384];

	for (int i = 0; i < PIECES_MAX; i++) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (!n)
			return answer->err;
		buf_add(answer, piece, (size_t)n);
	}
	return -EMSGSIZE;
}

static int ask(const char *listen, struct buf *answer)
{
	static const char request[] = "GET /api/v1/processes HTTP/1.0\r\n\r\n";
	int r, fd = connect_to(listen);

	if (fd < 0)
		return fd;
	r = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == sizeof(request) - 1
		    ? receive(fd, answer)
		    : -EPIPE;
	close(fd);
	buf_add(answer, "", 1);
	return r ? r : answer->err;
}

/* The status of the answer, and where its body begins. */
static int body_of_answer(const struct buf *answer, const char **body)
{
	const char *end = strstr(answer->data, "\r\n\r\n");
	int status;

	if (sscanf(answer->data, "HTTP/1.%*1d %3d ", &status) != 1 || !end)
		return -1;
	*body = end + 4;
	return status;
}

/* ---- showing ---- */

static const char *word(const json_t *o, const char *key, const char *none)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && *s ? s : none;
}

static void count_cell(struct grid *t, const json_t *o, const char *key)
{
	const json_t *n = json_object_get(o, key);
	char s[HUMAN_MAX];

	grid_cell(t, json_is_integer(n) && json_integer_value(n) >= 0
			     ? human_count((uint64_t)json_integer_value(n), s)
			     : "-");
}

/* Of one that is watched as deep as memory goes. */
static void probes_cell(const json_t *p, char *out, size_t size)
{
	const json_t *probes = json_object_get(p, "probes");
	const char *since = word(probes, "since", NULL), *why = word(probes, "why", "");

	if (since)
		snprintf(out, size, "since %.40s: %.100s", since, why);
	else if (*why)
		snprintf(out, size, "%.400s", why);
}

static void process_row(struct grid *t, const json_t *p)
{
	const char *shallow = word(p, "shallow", NULL), *why = word(p, "why", "");
	char cell[600];

	snprintf(cell, sizeof(cell), "%lld",
		 (long long)json_integer_value(json_object_get(p, "pid")));
	grid_cell(t, cell);
	count_cell(t, json_object_get(p, "totals"), "goroutines");
	grid_cell(t, word(p, "go", "-"));
	count_cell(t, p, "findings");
	grid_cell(t, word(json_object_get(p, "service"), "name", "-"));
	grid_cell(t, word(p, "depth", "?"));
	snprintf(cell, sizeof(cell), "%.100s%s%.400s", shallow ? shallow : "",
		 shallow && *why ? ": " : "", why);
	if (!shallow)
		probes_cell(p, cell, sizeof(cell));
	grid_cell(t, cell);
}

static void head(const json_t *d, size_t n, struct buf *out)
{
	const json_t *self = json_object_get(d, "gospect");
	json_int_t unreadable = json_integer_value(json_object_get(self, "unreadable"));
	json_int_t beyond = json_integer_value(json_object_get(self, "beyond"));
	char s[HUMAN_MAX], text[1600];

	buf_printf(out, "%s as of %s; starts are %s", human_counted(n, "Go process", s),
		   words_fit(word(d, "time", "?"), 30, text, sizeof(text)),
		   strcmp(word(self, "starts", ""), "told") ? "polled" : "told");
	if (*word(self, "why_polling", ""))
		buf_printf(out, ": %s",
			   words_fit(word(self, "why_polling", ""), 200, text, sizeof(text)));
	buf_puts(out, "\n");
	if (*word(self, "probes_off", ""))
		buf_printf(out, "no probes: %s\n",
			   words_fit(word(self, "probes_off", ""), 200, text, sizeof(text)));
	if (unreadable > 0)
		buf_printf(out, "%s of which the executable may not be read\n",
			   human_counted((uint64_t)unreadable, "process", s));
	if (beyond > 0)
		buf_printf(out, "%s more, for which there is no room (max_processes)\n",
			   human_counted((uint64_t)beyond, "Go process", s));
}

static int show(const json_t *d, int columns, struct buf *out)
{
	static const struct grid_column cols[] = {
		{ "PID", true, 0 },
		{ "GOROUTINES", true, 0 },
		{ "GO", false, 0 },
		{ "FINDINGS", true, 0 },
		{ "SERVICE", false, 16 },
		{ "DEPTH", false, 0 },
		{ "WHY NO DEEPER", false, 8 },
	};
	const json_t *list = json_object_get(d, "processes");
	struct grid t;

	if (!json_is_array(list))
		return -EBADMSG;
	head(d, json_array_size(list), out);
	grid_init(&t, cols, ARRAY_SIZE(cols));
	for (size_t i = 0; i < json_array_size(list); i++)
		process_row(&t, json_array_get(list, i));
	if (json_array_size(list))
		grid_print(&t, 0, columns, out);
	grid_deinit(&t);
	return 0;
}

static int print(const char *body, bool json, int columns, struct buf *out)
{
	json_t *d = json_loads(body, 0, NULL);
	int r = d ? 0 : -EBADMSG;

	if (!r && !json)
		r = show(d, columns, out);
	else if (!r)
		buf_puts(out, body);
	json_decref(d);
	return r;
}

static int nobody(const char *listen, int r, struct err *err)
{
	err_set(err, r, "no gospect host answers on '%s': %s", listen, strerror(-r));
	err_hint(err, "it runs if 'gospect host' was started; --config FILE or --set listen=… says "
		      "where it listens");
	return r;
}

int status_print(const char *listen, bool json, int columns, struct buf *out, struct err *err)
{
	const char *body = "";
	struct buf answer;
	int status, r;

	if (!*listen)
		return err_set(err, -EINVAL, "it serves no pages: 'listen' is empty");
	buf_init(&answer, ANSWER_MAX);
	r = ask(listen, &answer);
	status = r ? 0 : body_of_answer(&answer, &body);
	if (r)
		nobody(listen, r, err);
	else if (status == 503)
		r = err_set(err, -EAGAIN, "gospect host has just begun: nothing was looked at yet");
	else if (status != 200 || print(body, json, columns, out))
		r = err_set(err, -EBADMSG, "what answers on '%s' is no gospect host", listen);
	buf_deinit(&answer);
	return r;
}
