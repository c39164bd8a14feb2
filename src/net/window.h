/* SPDX-License-Identifier: BSD-2-Clause */
/* Network calls, servers and connections in a window. */
#ifndef GOSPECT_NET_WINDOW_H
#define GOSPECT_NET_WINDOW_H

#include "model/window.h"

/* --- network and database/sql (sensors net and sql) ---------------------------- */

/*
 * Calls of one place (the innermost frame outside net/…, database/sql, context,
 * crypto/tls and the runtime).  In flight: read from memory, begun before us or
 * not.  requests, errors and durations: seen by probes in this window.
 */
struct net_client {
	bool other;
	struct place place;
	enum known timeout;  /* http.Client.Timeout; KNOWN_NO: there is none (or no http.Client) */
	double timeout_s;    /* KNOWN_YES */
	enum known deadline; /* the request's own context has one */
	enum known cancel;   /* its context can be cancelled otherwise */
	bool requests_known; /* probes counted them */
	bool direct_h2;      /* some by HTTP/2 without an http.Client, which no probe counts */
	uint64_t requests, errors; /* begun, and failed, in the window */
	uint64_t timed, p50_ns, p99_ns,
		max_ns;  /* of so many: call to the first byte of the response */
	uint64_t margin; /* of requests, SAMPLED: see struct trace_sample */
	uint64_t errors_margin;
	uint64_t in_flight;
	double longest_in_flight_s;
	enum age_kind age;
	uint64_t limited; /* in flight, with a timeout, deadline or cancellation */
	/* in flight for over 3 s (or ten times p99_ns) with no limit at all, and no
	 * body being read: what no-timeout is about */
	uint64_t hanging;
	double longest_hanging_s;
	enum age_kind hanging_age;
	enum exactness exactness; /* of requests and errors */
	double rate;              /* SAMPLED: 0..1 */
};

#define NET_MAX_METHOD  192
#define NET_MAX_PATTERN 128
#define WINDOW_MAX_HOST 263 /* 255 of a name, colon, 5 digits, brackets */

/* With what a call of an HTTP client has failed, by the types of its error. */
enum net_failure {
	NET_FAILURE_OTHER, /* of no type that is known */
	NET_FAILURE_TIMEOUT,
	NET_FAILURE_CANCELLED, /* by the caller: no failure of the host */
	NET_FAILURE_REFUSED,
	NET_FAILURE_UNREACHABLE,
	NET_FAILURE_RESOURCES, /* ports, file descriptors */
	NET_FAILURE_RESET,
	NET_FAILURE_EOF,
	NET_FAILURE_NOT_FOUND, /* name */
	NET_FAILURE_DNS,
	NET_FAILURE_CERTIFICATE,
	NET_FAILURE_TLS,
	NET_FAILURE_HTTP2,
	NET_FAILURE_LOST, /* HTTP/2 connection that answers no pings */
	NET_FAILURE_PROTOCOL,
	NET_FAILURE_CLOSED, /* on this side, while it was in use */
	NET_FAILURES
};

struct net_phase_row {
	bool other;                     /* hosts beyond the table, summed */
	char host[WINDOW_MAX_HOST + 1]; /* "name:port", lower case, foreign bytes made printable */
	enum net_phase phase;
	uint64_t count, errors;
	uint64_t failed[NET_FAILURES]; /* of the errors, by kind; of dials only */
	uint64_t timed, p50_ns, p99_ns, max_ns, total_ns; /* timed: seen, not scaled */
	uint64_t margin, errors_margin;                   /* of count and errors, SAMPLED */
	uint64_t before_p50_ns, before_count; /* since the observation began, before this window */
	struct place busiest; /* the call with most requests to that host; may have no function */
	enum exactness exactness;
	double rate;
};

struct net_failure_row {
	bool other;
	char host[WINDOW_MAX_HOST + 1];
	int phase; /* enum net_phase; -1: not known */
	enum net_failure kind;
	uint64_t count;
	uint64_t reused; /* of them, on a connection that had carried requests before */
	uint64_t seen;   /* what makes the count; SAMPLED: less */
	struct place place;
	enum exactness exactness;
	double rate;
};

/* What a request of HTTP/2 waits for in its phase. */
enum net_waits {
	NET_WAITS_NOTHING, /* nothing of these */
	NET_WAITS_STREAM,  /* pool_wait: the server's leave to open one more stream */
	NET_WAITS_FLOW,    /* request_write: the server to read what it was sent (flow control) */
	NET_WAITS_BODY,    /* request_write: the request's own Body */
	NET_WAITS_SOCKET,  /* request_write: the connection, which takes no more */
	NET_WAITS
};

/* One request under way. */
struct net_request {
	char host[WINDOW_MAX_HOST + 1]; /* "": not known */
	int phase;                      /* enum net_phase; -1: between phases or not known */
	enum net_waits waits;
	double since_s; /* of the request */
	double moved_s; /* of it, until data was last sent while it is being written; 0: not known */
	enum age_kind age;
	uint64_t goroutine;
	struct place place; /* may have no function */
	enum known timeout, deadline, cancel;
	double timeout_s;
};

/* A request that looks have seen for over 0.1 s, and its time in each phase. */
struct net_slow {
	char host[WINDOW_MAX_HOST + 1]; /* "": not known */
	struct place place;             /* may have no function */
	uint64_t goroutine;
	double took_s; /* until it was seen last */
	enum age_kind age;
	bool ended;
	uint64_t looks;
	double in_phase_s[NET_PHASES];
	double unseen_s; /* in phases that nobody saw */
};

/* What a request of HTTP/1 that is being written waits for. */
enum net_uploading {
	NETUPLOAD_OTHER,
	NETUPLOAD_100,   /* the server's 100 Continue */
	NETUPLOAD_READS, /* its own Body */
	NETUPLOAD_WRITES /* the server to read */
};

/* How often looks of the window have seen requests of a host at it; in no table. */
struct net_upload {
	char host[WINDOW_MAX_HOST + 1];
	enum net_uploading what;
	struct place reader; /* READS: of the Body, the user's; may have no function */
	uint64_t seen;
};

/* Responses neither read to the end nor closed, that nobody reads. */
struct net_body_row {
	bool other;
	char host[WINDOW_MAX_HOST + 1];
	struct place place; /* may have no function: its call was not seen */
	uint64_t count;
	uint64_t count_before; /* at the first look of the observation */
	double oldest_s;
	enum age_kind age;
	enum exactness exactness;
};
/* None has come since the first look: where these have no place, they are older than the
 * observation, and it is not that their call was not seen. */
static inline bool net_bodies_are_older(const struct net_body_row *r)
{
	return r->count <= r->count_before;
}

/* Connections that are being made, by host and what they are at. */
struct net_dial_row {
	bool other;
	char host[WINDOW_MAX_HOST + 1];
	enum net_phase phase; /* NET_DNS, NET_CONNECT or NET_TLS */
	uint64_t count;
	uint64_t given_up;       /* of them, nobody waits for it any more */
	uint64_t several, stuck; /* that go on for over a second, for over three */
	double oldest_s, sum_s;  /* of all of them together: at least */
	enum age_kind age;
	/* at one look of the window, that had gone on for over a second: the most, the oldest of
	 * any look, and all of them together */
	uint64_t most;
	double most_oldest_s, most_sum_s;
	struct place busiest; /* the call with most requests to that host; may have no function */
	enum exactness exactness;
};
#define NET_DIAL_SEVERAL_S 1.0
#define NET_DIAL_STUCK_S   3.0

/* Whose streams a connection of HTTP/2 has. */
#define NET_MAX_HOLDERS 5
struct net_holder {
	struct place place; /* may have no function */
	uint64_t count;
	uint64_t bodies; /* of them, the response is there, and its body goes on */
};

struct net_connections {
	bool other;
	char host[WINDOW_MAX_HOST + 1];
	const char *protocol; /* "http/1.1", "h2"; static */
	uint64_t open, idle, waiting;
	int64_t max_per_host;      /* Transport.MaxConnsPerHost; 0 unlimited; -1 not known */
	int64_t max_idle_per_host; /* what applies: the default is 2; -1 not known */
	uint64_t dials;            /* connects to it in the window; with idle limits: churn */
	bool keeps_none;           /* a transport that has them says DisableKeepAlives */
	/* HTTP/2: in use on all of them, and what the server allows on one; -1 not known */
	uint64_t streams;
	int64_t max_streams;
	struct net_holder holder[NET_MAX_HOLDERS];
	int nholder;         /* most first */
	uint64_t transports; /* http.Transports that these are of; 0: not known (HTTP/2) */
	/* that a Transport of go1.22.0 counts against MaxConnsPerHost, and that no connection has,
	 * at every look for over 3 s: golang.org/issue/65705; at least */
	uint64_t lost_slots;
};

/* A connection of HTTP/2 on which requests wait for the peer, that has been silent for long. */
#define NET_SILENT_S 3.0
struct net_silent {
	char host[WINDOW_MAX_HOST + 1];
	uint64_t waiting; /* requests */
	double heard_s;   /* since data last came */
	enum age_kind age;
	double ping_s;        /* a PING of HTTP/2 is unanswered for at least; 0: none is known */
	enum known read_idle; /* whether ReadIdleTimeout is set */
	double read_idle_s;
	struct place place; /* of the oldest that waits; may have no function */
};

/* What a handler's requests were at when looks saw them. */
/* The handler of a gRPC server's rows, one a method. */
#define NET_GRPC_HANDLER "google.golang.org/grpc.(*Server).handleStream"

#define NET_MAX_SPENDS 3
struct net_spent {
	char host[WINDOW_MAX_HOST + 1];
	enum net_phase phase;
	uint64_t seen;
	double share; /* 0..1 of all sightings */
};

struct net_server {
	bool other;
	struct place place;            /* the handler's declaration */
	char pattern[NET_MAX_PATTERN]; /* route pattern where the mux has it; "" */
	bool requests_known;
	bool errors_known; /* gRPC alone */
	uint64_t requests, errors;
	uint64_t timed, p50_ns, p99_ns, max_ns; /* of so many; 0 not known */
	uint64_t margin, errors_margin;         /* of requests and errors, SAMPLED */
	uint64_t in_flight;
	double longest_in_flight_s;
	enum age_kind age;
	bool no_read_timeout; /* its http.Server has neither ReadTimeout nor ReadHeaderTimeout */
	uint64_t
		hanging; /* connections of that server that wait for a request's bytes for long; those
			   * on which nothing has ever come, where they are more than all others */
	uint64_t sightings; /* requests under way at looks of the window, one a look */
	struct net_spent spent[NET_MAX_SPENDS];
	int nspent; /* most first */
	enum exactness exactness;
	double rate;
};

/* What a gRPC call waits for. */
enum netgrpc_at {
	NETGRPC_NOWHERE,
	NETGRPC_RESOLVE,  /* the names of its target */
	NETGRPC_CONNECT,  /* a connection that is ready */
	NETGRPC_OPEN,     /* leave to open one more stream */
	NETGRPC_SEND,     /* the server to take more */
	NETGRPC_RESPONSE, /* its response */
	NETGRPC_ATS
};

/* Look-ups of the program's own by place, as the latest look saw them. */
struct net_own_lookup {
	bool other;
	struct place place;
	uint64_t count, hanging; /* under way; for over NET_LOOKUP_S */
	double oldest_s;
	enum age_kind age;
};
#define NET_LOOKUP_S 3.0

/* Connections of HTTP/2 and gRPC with nobody at the other end any more. */
struct net_dead {
	bool other;
	char host[WINDOW_MAX_HOST + 1];
	const char *protocol; /* "h2", "grpc"; static */
	uint64_t count, streams;
	double silent_s;  /* of that which is so for longest: at least */
	uint64_t resent;  /* how often it has sent the same again */
	enum known pings; /* gRPC: keepalive is set */
};

/* gRPC's own numbers of codes (google.golang.org/grpc/codes), and one for all others. */
enum {
	NET_CODE_CANCELED = 1,
	NET_CODE_UNKNOWN = 2,
	NET_CODE_DEADLINE = 4,
	NET_CODE_EXHAUSTED = 8,
	NET_CODE_UNIMPLEMENTED = 12,
	NET_CODE_INTERNAL = 13,
	NET_CODE_UNAVAILABLE = 14,
	NET_CODE_DATA_LOSS = 15,
	NET_CODE_OTHER = 17, /* none of gRPC's, or an error that is no status */
	NET_CODES
};

/* gRPC client calls by method. */
struct net_grpc {
	bool other;
	char method[NET_MAX_METHOD]; /* "/pkg.Service/Method" */
	bool calls_known;
	uint64_t calls, errors;
	uint64_t code[NET_CODES]; /* of the errors; SAMPLED: as many of each as of those seen */
	uint64_t seen;            /* errors that make these; SAMPLED: fewer */
	uint64_t timed, p50_ns, p99_ns, max_ns;
	uint64_t margin, errors_margin; /* of calls and errors, SAMPLED */
	uint64_t in_flight;
	double longest_in_flight_s;
	enum age_kind age;
	struct place place;
	/* in flight for over 3 s (or ten times p99_ns) with no limit at all, by what they wait for */
	uint64_t hanging, hanging_at[NETGRPC_ATS];
	double longest_hanging_s;
	enum age_kind hanging_age;
	struct place hanging_place;     /* of the oldest */
	uint64_t receiving;             /* from streams that are open: no calls, and no fault */
	uint64_t on_dead;               /* of those that hang, on a connection that is dead … */
	char host[WINDOW_MAX_HOST + 1]; /* … to that host; "": none is */
	enum exactness exactness;
	double rate;
};

struct net_window {
	bool known; /* memory could be read for it */
	/* The same of the last minute or less, for what is too rare for the window: phases, look-ups,
	 * clients, failures and gRPC calls only.  Owned; NULL: the window is all there is. */
	struct net_window *recent;
	double recent_s;
	bool phases_known; /* probes count phases */
	struct net_client *client;
	int nclient; /* all owned; busiest first */
	struct net_phase_row *phase;
	int nphase;
	struct net_phase_row lookups; /* of all hosts; in no table */
	bool failures_known;
	struct net_failure_row *failure;
	int nfailure; /* most often first */
	struct net_request *in_flight;
	int nin_flight; /* oldest first, at most 1,000 */
	uint64_t in_flight_total;
	struct net_slow *slow;
	int nslow; /* the longest first, at most 200 */
	struct net_upload *upload;
	int nupload;
	struct net_body_row *unclosed;
	int nunclosed;
	struct net_dial_row *dial;
	int ndial; /* the oldest first; also those of which the window has seen some go on long */
	struct net_connections *connection;
	int nconnection;
	struct net_silent *silent;
	int nsilent; /* the longest silent first, at most 100 */
	struct net_server *server;
	int nserver;
	struct net_grpc *grpc;
	int ngrpc;
	struct net_dead *dead;
	int ndead;
	struct net_own_lookup *own_lookup;
	int nown_lookup; /* most first */
};

/* Frees what it owns; it is then empty. */
void net_window_deinit(struct net_window *n);

#endif
