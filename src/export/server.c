/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "export/fetch.h"
#include "export/profiles.h"

#define MAX_CONNECTIONS 64
#define SILENCE_S       5
#define REQUEST_NS      (30 * NS_PER_S) /* also who keeps sending a byte now and then */
#define MEMORY_BYTES    (16u << 10)     /* of a connection: a longer request is refused */

struct connection {
	int fd;            /* -1: free */
	uint64_t until_ns; /* then it is cut off */
};

struct server {
	struct MHD_Daemon *daemon;
	struct pages *pages;
	int port;
	pthread_mutex_t lock;
	struct connection connection[MAX_CONNECTIONS];
	struct fetches *fetches;     /* of snapshots */
	struct asker *asker;         /* of profiles; NULL: nobody takes them */
	struct MHD_Connection *asks; /* who waits for one; of the daemon's thread alone */
};

/* ---- connections ---- */

static void cut_off(struct server *s)
{
	uint64_t now = clock_mono_ns();

	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (s->connection[i].fd >= 0 && now > s->connection[i].until_ns)
			shutdown(s->connection[i].fd, SHUT_RDWR);
}

void server_tick(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	cut_off(s);
	pthread_mutex_unlock(&s->lock);
}

static int socket_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

static struct connection *find(struct server *s, int fd)
{
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (s->connection[i].fd == fd)
			return &s->connection[i];
	return NULL;
}

/* Told before the socket is closed: its number is no other's while it is in the table. */
static void on_connection(void *arg, struct MHD_Connection *c, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	bool begins = what == MHD_CONNECTION_NOTIFY_STARTED;
	struct server *s = arg;
	struct connection *at;
	int fd = socket_of(c);

	(void)context;
	pthread_mutex_lock(&s->lock);
	at = find(s, begins ? -1 : fd);
	if (at)
		*at = (struct connection){ begins ? fd : -1, clock_mono_ns() + REQUEST_NS };
	cut_off(s);
	pthread_mutex_unlock(&s->lock);
}

static void allow(struct server *s, struct MHD_Connection *c, uint64_t until_ns)
{
	struct connection *at;

	pthread_mutex_lock(&s->lock);
	at = find(s, socket_of(c));
	if (at)
		at->until_ns = until_ns;
	pthread_mutex_unlock(&s->lock);
}

/* What a request's context is: NULL, this, or the fetch that it waits for. */
static char headers_there;

static void on_completed(void *arg, struct MHD_Connection *c, void **context,
			 enum MHD_RequestTerminationCode how)
{
	struct server *s = arg;
	struct buf unread;
	int status;

	(void)how;
	if (*context && *context != &headers_there)
		fetch_put(*context); /* nor for that */
	*context = NULL;
	if (s->asks == c) { /* nobody waits any more */
		s->asks = NULL;
		asker_take(s->asker, &unread, &status);
		buf_deinit(&unread);
	}
	allow(s, c, clock_mono_ns() + REQUEST_NS);
}

/* ---- requests ---- */

static void free_body(void *body)
{
	body_put(body);
}

static enum MHD_Result answer(struct MHD_Connection *c, struct page page)
{
	struct MHD_Response *r;
	enum MHD_Result ret;

	if (!page.body)
		return MHD_NO;
	r = MHD_create_response_from_buffer_with_free_callback_cls(page.body->len, page.body->data,
								   free_body, page.body);
	if (!r) {
		body_put(page.body);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, page.type);
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (page.status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	if (page.status >= MHD_HTTP_BAD_REQUEST) /* so that 'go tool pprof' shows the words */
		MHD_add_response_header(r, "X-Go-Pprof", "1");
	if (page.status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = MHD_queue_response(c, (unsigned int)page.status, r);
	MHD_destroy_response(r);
	return ret;
}

static struct page not_allowed(void)
{
	struct page page = { .status = MHD_HTTP_METHOD_NOT_ALLOWED, .type = "text/plain" };
	struct buf b;

	buf_init(&b, 64);
	buf_puts(&b, "only GET and HEAD\n");
	page.body = body_of(&b);
	return page;
}

/* ---- profiles ---- */

static bool is_loopback(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = info ? info->client_addr : NULL;
	const struct sockaddr_in6 *v6 = (const void *)a;

	if (a && a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >>
			       24 ==
		       127;
	return a && a->sa_family == AF_INET6 &&
	       (IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
		(IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127));
}

static const char *header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static const char *argument(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
}

/* In the asker's thread. */
static void on_profile(void *arg)
{
	MHD_resume_connection(arg);
}

/* Asks for it, and leaves the connection aside until it is there. */
static enum MHD_Result ask(struct server *s, struct MHD_Connection *c, const struct ask *q)
{
	int err = s->asker ? -EBUSY : -EOPNOTSUPP;

	if (s->asker && !s->asks) {
		MHD_suspend_connection(c);
		s->asks = c;
		allow(s, c, UINT64_MAX);
		err = asker_begin(s->asker, q, socket_of(c), on_profile, c);
		if (!err)
			return MHD_YES;
		s->asks = NULL;
		allow(s, c, clock_mono_ns() + REQUEST_NS);
		MHD_resume_connection(c);
	}
	return answer(c, profiles_refuse(err));
}

static enum MHD_Result on_profiles(struct server *s, struct MHD_Connection *c, const char *path)
{
	static const char bearer[] = "Bearer ";
	const char *authorization = header(c, MHD_HTTP_HEADER_AUTHORIZATION);
	char *password = NULL, *user = NULL;
	struct profiles_query q = {
		.path = path,
		.service = argument(c, "service"),
		.instance = argument(c, "instance"),
		.pid = argument(c, "pid"),
		.seconds = argument(c, "seconds"),
		.debug = argument(c, "debug"),
		.gc = argument(c, "gc"),
		.host = header(c, MHD_HTTP_HEADER_HOST),
		.loopback = is_loopback(c),
	};
	struct page page;
	struct ask a;

	if (authorization && !strncmp(authorization, bearer, sizeof(bearer) - 1))
		q.token = authorization + sizeof(bearer) - 1;
	else if (authorization && (user = MHD_basic_auth_get_username_password(c, &password)))
		q.token = password;
	page = profiles_check(s->pages, &q, &a);
	MHD_free(user);
	MHD_free(password);
	return page.status ? answer(c, page) : ask(s, c, &a);
}

static enum MHD_Result give(struct server *s, struct MHD_Connection *c)
{
	struct buf b;
	int status, failed = asker_take(s->asker, &b, &status);

	s->asks = NULL;
	allow(s, c, clock_mono_ns() + REQUEST_NS);
	return answer(c, profiles_answer(failed, status, &b));
}

/* ---- snapshots ---- */

/* In a thread of the fetch's. */
static void on_fetched(void *arg)
{
	MHD_resume_connection(arg);
}

static enum MHD_Result fetch(struct server *s, struct MHD_Connection *c, const char *url,
			     void **context)
{
	struct snapshot_ask q;
	struct page page = pages_ask(s->pages, url, &q);
	struct fetch *f;

	if (page.status)
		return answer(c, page);
	MHD_suspend_connection(c);
	f = fetch_begin(s->fetches, &q, on_fetched, c);
	if (f) {
		*context = f;
		return MHD_YES;
	}
	MHD_resume_connection(c);
	return answer(c, pages_hang());
}

static enum MHD_Result give_fetched(struct MHD_Connection *c, void **context)
{
	struct fetch *f = *context;

	*context = &headers_there;
	return answer(c, fetch_take(f));
}

static bool is_profiles(const char *url)
{
	size_t n = strlen(PROFILES_PATH);

	return !strncmp(url, PROFILES_PATH, n) && (!url[n] || url[n] == '/');
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **context)
{
	struct server *s = arg;
	bool reads = !strcmp(method, "GET") || !strcmp(method, "HEAD");

	(void)version;
	(void)data;
	if (!*context) { /* the headers are there, a body may follow */
		*context = &headers_there;
		return reads ? MHD_YES : answer(c, not_allowed());
	}
	if (*size) { /* nobody wants it */
		*size = 0;
		return MHD_YES;
	}
	if (s->asks == c)
		return give(s, c);
	if (*context != &headers_there)
		return give_fetched(c, context);
	if (pages_is_snapshot(url))
		return fetch(s, c, url, context);
	if (is_profiles(url))
		return strcmp(method, "GET") ? answer(c, not_allowed()) : on_profiles(s, c, url);
	return answer(c, pages_get(s->pages, url, header(c, MHD_HTTP_HEADER_ACCEPT)));
}

/* Paths of ours need no escapes: with one, it is another path. */
static size_t as_it_is(void *arg, struct MHD_Connection *c, char *s)
{
	(void)arg;
	(void)c;
	return strlen(s);
}

static void silent(void *arg, const char *format, va_list values)
{
	(void)arg;
	(void)format;
	(void)values;
}

/* ---- listening ---- */

int server_address(const char *listen, union server_address *a)
{
	const char *colon = strrchr(listen, ':');
	char host[64];
	size_t n = colon ? (size_t)(colon - listen) : 0;
	in_port_t port;

	if (!n || n >= sizeof(host))
		return -EINVAL;
	port = htons((uint16_t)atoi(colon + 1));
	memset(a, 0, sizeof(*a));
	if (listen[0] == '[') {
		snprintf(host, sizeof(host), "%.*s", (int)n - 2, listen + 1);
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = port;
		return inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1 ? 0 : -EINVAL;
	}
	snprintf(host, sizeof(host), "%.*s", (int)n, listen);
	a->v4.sin_family = AF_INET;
	a->v4.sin_port = port;
	return inet_pton(AF_INET, host, &a->v4.sin_addr) == 1 ? 0 : -EINVAL;
}

static int listening(const char *listen_on, int *out, int *port)
{
	union server_address a;
	socklen_t size = sizeof(a);
	int err = server_address(listen_on, &a), on = 1, fd;

	if (err)
		return err;
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &a.any, a.any.sa_family == AF_INET ? sizeof(a.v4) : sizeof(a.v6)) ||
	    listen(fd, MAX_CONNECTIONS) || getsockname(fd, &a.any, &size)) {
		err = -errno;
		close(fd);
		return err;
	}
	*port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
	*out = fd;
	return 0;
}

static struct MHD_Daemon *start(struct server *s, int fd)
{
	return MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0,
		NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, silent, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned int)SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_UNESCAPE_CALLBACK,
		as_it_is, NULL, MHD_OPTION_END);
}

int server_open(struct server **out, const char *listen, struct pages *pages, int profiler,
		struct err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	int fd = -1, ret;

	if (!s)
		return err_set(err, -ENOMEM, "no memory for the server");
	s->fetches = fetches_new();
	s->pages = pages;
	s->asker = profiler >= 0 ? asker_new(profiler) : NULL;
	pthread_mutex_init(&s->lock, NULL);
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		s->connection[i].fd = -1;
	ret = s->fetches ? listening(listen, &fd, &s->port) : -ENOMEM;
	if (ret) {
		err_set(err, ret, "cannot listen on '%s': %s", listen, strerror(-ret));
		if (ret == -EADDRINUSE)
			err_hint(err, "another gospect host may run; --listen ADDRESS:PORT");
	} else {
		s->daemon = start(s, fd);
		if (!s->daemon)
			ret = err_set(err, -ENOMEM, "cannot start the server on '%s'", listen);
	}
	if (ret) {
		if (fd >= 0)
			close(fd);
		fetches_free(s->fetches);
		asker_free(s->asker);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return ret;
	}
	*out = s;
	return 0;
}

int server_port(const struct server *s)
{
	return s->port;
}

void server_close(struct server *s)
{
	if (!s)
		return;
	if (s->asker)
		asker_stop(s->asker);
	fetches_stop(s->fetches);
	MHD_stop_daemon(s->daemon);
	fetches_free(s->fetches);
	asker_free(s->asker);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
