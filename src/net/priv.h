/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the netwatch's files of this folder only. */
#ifndef GOSPECT_NET_PRIV_H
#define GOSPECT_NET_PRIV_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "net/host.h"
#include "net/stack.h"
#include "net/watch.h"
#include "proc/readbatch.h"
#include "gort/gotypes.h"
#include "model/look.h"
#include "model/place.h"

#define NET_MAX_HOSTS    10000 /* kept apart; beyond: NET_OTHER_HOST */
#define NET_MAX_INFLIGHT (1u << 20)
#define NET_MAX_CONNS    (1u << 18)
#define NET_NO_HOST      0 /* numbers of hosts: not known, the rest, then each */
#define NET_OTHER_HOST   1
#define NET_NO_FRAME     UINT32_MAX
#define NET_AT_ONCE \
	1024 /* goroutines, connections, requests: what is read of them stays in the cache */
#define NET_MAX_CHAN 6 /* channels of one select */

/* ---- HTTP/2's streams and connections ---- */

#define NET_H2_MAX_BYTES 8192
#define NET_H2_PIPE_B    64 /* http2pipe: mu, c, b, the same in 1.18 to 1.27 */

enum net_h2_field {
	NET_H2_CC, /* of a stream */
	NET_H2_ID, /* 0: it has none yet */
	NET_H2_PIPE,
	NET_H2_ABORT_ERR,
	NET_H2_HEADER_RECV,
	NET_H2_RES,
	NET_H2_SENT_END,
	NET_H2_PAST_HEADERS,
	NET_H2_READ_CLOSED,
	NET_H2_READ_ABORTED,
	NET_H2_T, /* of a connection, as the rest */
	NET_H2_TCONN,
	NET_H2_CLOSED,
	NET_H2_STREAMS,
	NET_H2_PENDING,
	NET_H2_MAX_STREAMS,
	NET_H2_SEEN_SETTINGS,
	NET_H2_PINGS,
	NET_H2_PENDING_RESETS,
	NET_H2_READ_IDLE,
	NET_H2_FIELDS
};

/* Of one package: net/http's own, golang.org/x/net. */
struct net_h2_layout {
	bool sought, known;
	uint32_t stream_bytes, conn_bytes; /* a stream; what is read of a connection */
	int32_t off[NET_H2_FIELDS];        /* -1: there is no such field */
	int32_t transport_idle;            /* Transport.ReadIdleTimeout; -1 */
};

struct net_limits {
	enum known timeout, deadline, cancel;
	int64_t timeout_ns;
};

/* The channels that a goroutine selects on. */
struct net_wait {
	uint64_t g;
	uint64_t sudog; /* the next to be read; 0: none */
	uint64_t chan[NET_MAX_CHAN];
	int n;
};

/* What looks have seen of a request. */
struct net_trail {
	uint64_t in_phase_ns[NET_PHASES], unseen_ns;
	uint64_t seen_ns; /* by the latest; our clock */
	uint64_t looks;
};

/* A goroutine in a client's call, or reading a body. */
struct net_inflight {
	uint64_t goid, g;
	uint64_t request; /* the user's *Request (or the body's): tells one request from the next */
	uint64_t inner, client, transport, conn, treq;
	uint64_t stop;  /* goroutine_stop() */
	uint32_t walk;  /* index in the walk */
	uint32_t stack; /* class */
	uint32_t host;
	int phase; /* enum net_phase or -1 */
	enum net_waits waits;
	uint64_t start_ns; /* our monotonic clock */
	enum age_kind age;
	uint64_t moved_ns; /* that is being written: when data was last sent; 0: not known */
	struct net_limits limits;
	struct place place;
	bool known;        /* host and limits were read, now or at a look before */
	bool dead;         /* does not fit: left out */
	bool seen_before;  /* the same call, at the look before */
	bool socket_asked; /* its age, of its socket: sockets.c */
	struct net_wait wait;
	struct net_trail trail;
};

/* What is remembered of a request on its connection; zeroed: nothing. */
struct net_seen {
	uint64_t request, start_ns;
	enum age_kind age;
	struct place place;
	uint32_t host;
};

/* A client's HTTP/1 connection (one readLoop) or HTTP/2 stream that has a body out. */
struct net_conn {
	uint64_t goid; /* of its readLoop: a connection has one for life */
	uint64_t addr; /* *persistConn, or *clientStream */
	uint64_t transport;
	uint64_t stop; /* goroutine_stop() of its readLoop */
	uint32_t walk, stack, host;
	uint32_t frame; /* of its readLoop, in the look's users; NET_NO_FRAME */
	bool h2, dead, known;
	bool x;       /* of golang.org/x/net/http2 */
	bool unborn;  /* a stream that has no number yet */
	bool expects; /* a response */
	bool closed;
	bool awaits_body;
	bool writing;   /* its writeLoop, or the stream, writes a request */
	uint64_t body;  /* bodyEOFSignal; 0 not known */
	bool body_lost; /* it is not where the compiler keeps it: collected */
	uint64_t response, body_request;
	uint64_t wait_chan;   /* the body's end comes there */
	uint64_t header_chan; /* of a stream: the response's header comes there */
	uint64_t progress[3]; /* changes when something is read */
	uint64_t awaits_ns;   /* since when it waits for the body, at least */
	bool awaits_exact;    /* a probe has seen when it began to */
	uint64_t quiet_ns;    /* since when nothing was read */
	uint64_t parked_ns;   /* our clock; 0 not known */
	uint32_t reader;      /* index + 1 of the request that reads the body now */
	struct net_seen seen; /* the request seen on it last */
	/* found by hold.c */
	bool held;
	uint32_t holder; /* index in the walk + 1 */
};

/* The host that its request was to; of a proxy's connection it is not the connection's own. */
static inline uint32_t net_conn_host(const struct net_conn *c)
{
	return c->seen.host != NET_NO_HOST ? c->seen.host : c->host;
}

struct net_serving {
	uint64_t goid, g, conn, server;
	uint64_t response; /* the *response of the request it is at */
	uint64_t state;    /* of conn: what it is in, and since which second */
	uint64_t routed;   /* the *Request that a mux has got; 0: not known */
	uint64_t buffer;   /* the *bufio.Reader of conn */
	uint32_t walk, stack;
	uint64_t start_ns;
	enum age_kind age;
	bool same; /* as at the look before */
	bool reading_request, no_read_timeout;
	bool silent; /* reading_request, and nothing has ever come on it */
	char pattern[NET_MAX_PATTERN];
};

struct net_gcall {
	uint64_t goid, g, stop;
	uint32_t walk, stack;
	char method[NET_MAX_METHOD];
	uint64_t start_ns;
	enum age_kind age;
	uint64_t user_ctx[2], ctx[2]; /* interfaces; 0: not known */
	uint64_t stream, attempt;     /* which one tells a call from the next */
	uint64_t conn;                /* the net_peer that it is on; 0: not known */
	bool asked;                   /* its limits are known, or cannot be read; conn, too */
	struct net_limits limits;
};

struct net_h2conn {
	struct readpiece next; /* first: net_ask_next() */
	uint64_t addr, goid;
	uint64_t tconn[2]; /* its net.Conn */
	uint32_t host;
	uint64_t streams;    /* how many */
	int64_t max_streams; /* that the server allows; -1 not known, or not yet */
	uint64_t pending;    /* requests that wait for one */
	bool closed, dead;
	bool x;     /* of golang.org/x/net/http2 */
	bool named; /* host is set */
	uint64_t streams_at, pings_at, t;
	uint64_t pings;       /* sent and not answered */
	uint64_t pinged_ns;   /* the first look of those that have seen some, one after the other */
	int64_t read_idle_ns; /* ReadIdleTimeout; 0: none; -1 not known */
	uint64_t waits_ns;    /* the first look of those in a row that saw requests wait on it */
	uint32_t waiting;     /* for its peer to say something, now */
	uint32_t oldest;      /* of them: index of the request + 1 */
	uint64_t heard_ns;    /* our clock: data came last, at the latest; 0 not known */
};

/* A goroutine that looks a name up, and not to dial. */
struct net_lookup {
	uint64_t goid, stop;
	uint32_t walk, stack;
	uint64_t start_ns; /* at least */
};

/* A connection of HTTP/2 or gRPC, and who is at its other end: peers.c. */
struct net_peer {
	uint64_t addr;    /* *http2ClientConn, or gRPC's *http2Client */
	uint64_t conn[2]; /* h2: its net.Conn */
	bool h2;
	uint32_t host;
	uint64_t streams;
	enum known pings; /* keepalive is set */
	bool dead;
	uint64_t silent_ns; /* nothing was acknowledged for so long, at least */
	uint32_t resent;
};
#define NET_DEAD_NS 3000000000ull

struct net_transport {
	uint64_t addr;
	int64_t max_per_host, max_idle_per_host;
	bool known;
	bool keeps_none; /* DisableKeepAlives */
};

/* A *Server and where it serves from. */
struct net_listener {
	uint64_t server;
	struct place place;
};

/* A connection of net/http that is being made; from 1.23 on also when nobody waits for it any more. */
struct net_dial {
	uint64_t goid;       /* of its goroutine, which makes one and ends */
	uint64_t want, chan; /* wantConn, and the channel of its result */
	int phase;           /* -1: between two, or not known */
	uint32_t walk, host;
	uint64_t start_ns;
	enum age_kind age;
	bool wanted; /* by a request */
};

/* Dials of one host and phase that go on for over NET_DIAL_SEVERAL_S: the most at one look of the
 * window. */
struct net_jam {
	uint32_t host;
	int phase;
	uint64_t most, sum_ns, oldest_ns;
	uint64_t look_ns, now, now_sum_ns; /* at the look that began then */
};

/* One look. */
struct net_look {
	struct net_inflight *inflight;
	size_t ninflight, inflight_cap;
	struct net_conn *conn;
	size_t nconn, conn_cap;
	struct net_serving *serving;
	size_t nserving, serving_cap;
	struct net_gcall *gcall;
	size_t ngcall, gcall_cap;
	struct net_h2conn *h2conn;
	size_t nh2conn, h2conn_cap;
	struct net_transport *transport;
	size_t ntransport, transport_cap;
	struct net_listener *listener;
	size_t nlistener, listener_cap;
	struct net_dial *dial;
	size_t ndial, dial_cap;
	struct net_lookup *lookup;
	size_t nlookup, lookup_cap;
	struct u64map lookup_at; /* goid -> index */
	struct net_peer *peer;
	size_t npeer, peer_cap;
	struct u64map inflight_at; /* goid -> index */
	struct u64map dial_at;     /* likewise */
	struct u64map conn_at;     /* goid -> index */
	struct u64map conn_by_addr;
	struct u64map serving_at;
	struct u64map gcall_at;
	struct u64map h2conn_at;    /* by address */
	struct u64map writer;       /* persistConn -> 1 writes, 0 does not */
	struct u64map writer_stack; /* persistConn -> class of its writeLoop that writes */
	struct u64map transport_at;
	uint64_t now_ns;
};

/* A goroutine that uses the network, and what its stack had when it was read. */
struct net_user {
	bool moved;
	uint32_t walk, cls;
	uint32_t word;  /* its first: one for each slot of its class, in their order */
	uint32_t frame; /* its readLoop's, NET_NO_FRAME */
};

struct net_users {
	struct net_user *v;
	size_t n, cap;
	uint64_t *word;
	size_t nword, word_cap;
	uint8_t *frame;
	size_t nframe, frame_cap; /* bytes */
	uint32_t *class_of;
	size_t nclass, class_cap; /* by number of a stack */
	uint64_t begin_ns;        /* the first of them was seen after that */
};

/* Requests of one place to one host, for the busiest call. */
struct net_busy {
	uint32_t host;
	struct place place;
	uint64_t count;
};

/* A request or a dial that was under way before the probes. */
struct net_older {
	uint64_t goid, call;
	uint32_t host;
	bool dial;
};

/* Where a *net.TCPConn points to its *netFD, and that has the descriptor's number. */
struct net_fd_way {
	bool sought, known;
	uint32_t netfd, sysfd;
};

/* Where gRPC's http2Client has its members, and the way to it from a clientStream. */
struct net_grpc_way {
	bool sought, known;
	uint32_t conn, addr, streams, keepalive;
	bool has_calls;
	uint32_t attempt, transport;
};

/* Looks that have seen a handler's requests, in all or in a phase of a call to a host. */
#define NET_SPEND_ANY (-1)
struct net_spend {
	struct place handler;
	char pattern[NET_MAX_PATTERN];
	uint32_t host;
	int phase; /* NET_SPEND_ANY: in all */
	uint64_t seen;
};

/* Sightings of a window: what requests of a host that are being written wait for. */
struct net_uploads {
	uint32_t host;
	enum net_uploading what;
	struct place reader;
	uint64_t seen;
};

/* Slots of a transport that are lost, by the looks since then: slots.c. */
struct net_slots {
	uint64_t transport;
	uint32_t host;
	uint64_t lost; /* the fewest of those looks */
	uint64_t since_ns;
};
#define NET_MAX_SLOTS 64 /* transports and hosts; of more nothing is said */
#define NET_LOST_NS   3000000000ull

struct netwatch {
	struct goruntime *rt;
	struct gotypes *types;
	struct netstacks stacks;
	struct readbatch batch;
	struct net_look cur, prev;
	struct net_users users; /* of the look that is being made */
	char (*host)[WINDOW_MAX_HOST + 1];
	size_t nhost, host_cap;
	struct bytesmap host_at;
	uint32_t last_host; /* that was asked for */
	struct net_busy *busy;
	size_t nbusy, busy_cap;
	struct bytesmap busy_at;
	struct net_jam *jam; /* of the window */
	size_t njam, jam_cap;
	struct u64map jam_at;    /* net_dial_key() -> index */
	struct net_spend *spend; /* of this window */
	size_t nspend, spend_cap;
	struct bytesmap spend_at;
	struct net_uploads *upload; /* of this window */
	size_t nupload, upload_cap;
	struct bytesmap upload_at;
	struct net_slots slot[NET_MAX_SLOTS]; /* as of the latest look */
	size_t nslot;
	struct net_inflight *gone; /* that the latest look has not seen any more */
	size_t ngone, gone_cap;
	struct net_inflight *ended; /* in this window, of those that looks have seen for long */
	size_t nended, ended_cap;
	struct net_fd_way fd_way;
	struct net_h2_layout h2[2]; /* neth2_layout() */
	struct net_grpc_way grpc_way;
	struct net_older *older;
	size_t nolder, older_cap;
	struct u64map older_ended;    /* in this window: hosts, see older.c */
	struct u64map context_kind;   /* itab -> kind + 1 */
	struct u64map unread_before;  /* host -> bodies out that nobody read, at the first look */
	uint64_t begin_ns, window_ns; /* the first look, and the one the window began with */
	const struct look *look;      /* that goes on, or is filled from */
	uint64_t unread;              /* did not fit, or could not be read */
	uint64_t no_room;             /* beyond what is kept, or no memory */
	uint64_t moved;
	/* No collection has ended since the look before: what was somewhere is there still. */
	bool same_heap;
	bool has_cycles;
	uint32_t cycles;                /* of the latest look */
	size_t max_inflight, max_conns; /* of one look */
	/* where readLoop's frame keeps its bodyEOFSignal and Response, from its SP; -1 not seen yet */
	int32_t body_slot, response_slot;
	char why[160];
};

static inline int32_t net_off(const struct netwatch *nw, enum layout_field f)
{
	return layout_off(nw->rt->gb->layout, f);
}

/* The number of a host. */
uint32_t net_host_number(struct netwatch *nw, const char host[WINDOW_MAX_HOST + 1]);
/* Since when a goroutine of the walk is blocked, our clock, at least; 0 not known. */
uint64_t net_parked_ns(const struct netwatch *nw, uint32_t walk);

/* One more of the look under way; of more than `most` of a kind the rest is left out. */
#define NET_ADD(nw, what, most, ...)                                                              \
	((nw)->cur.n##what >= (most) ? (void)(nw)->no_room++, 0                                   \
 : array_room(&(nw)->cur.what, (nw)->cur.n##what, &(nw)->cur.what##_cap, sizeof(*(nw)->cur.what)) \
	 ? -ENOMEM                                                                                \
	 : ((nw)->cur.what[(nw)->cur.n##what++] = __VA_ARGS__, 0))

/* By a map of a look; NULL: it is not there. */
static inline void *net_find(void *rows, size_t size, const struct u64map *at, uint64_t key)
{
	const uint64_t *i = u64map_find(at, key);

	return i ? (char *)rows + *i * size : NULL;
}
#define NET_FIND(l, what, at, key) net_find((l)->what, sizeof(*(l)->what), &(l)->at, key)

/* What was read for a goroutine of the walk does not fit: a loss, unless it has gone on since, and
 * left what it was at. */
void net_lose(struct netwatch *nw, uint32_t walk);
/* What was lost since the last report; the look ends. */
void netwatch_report_losses(struct netwatch *nw);

/* ---- reading in stages ---- */

/* What begins at addr and is as large as that field says. */
static inline struct readpiece net_whole(const struct netwatch *nw, uint64_t addr,
					 enum layout_field size)
{
	return (struct readpiece){ addr, (uint32_t)net_off(nw, size) };
}

/* A field of what begins at addr. */
static inline struct readpiece net_part(const struct netwatch *nw, uint64_t addr,
					enum layout_field f, uint32_t len)
{
	return (struct readpiece){ addr + (uint64_t)net_off(nw, f), len };
}

static inline uint64_t net_u64(const struct netwatch *nw, const uint8_t *b, enum layout_field f)
{
	return load_u64(b + net_off(nw, f));
}

/* The ask() of items whose first member is the piece: the stage before has named it. */
void net_ask_next(void *owner, void *item, struct readpiece *piece);

struct net_step {
	void (*ask)(void *owner, void *item, struct readpiece *piece);
	void (*take)(void *owner, void *item, const uint8_t *const *bytes);
};
/* Stages of each of n items, one after the other; the last step has no functions. */
int net_stages(struct netwatch *nw, void *item, size_t n, size_t size, const struct net_step *step);
#define NET_STAGES(nw, items, n, ...)              \
	net_stages(nw, items, n, sizeof(*(items)), \
		   (const struct net_step[]){ __VA_ARGS__, { NULL, NULL } })

/* In a map of the look; what has no room there is not found again. */
static inline void net_put(struct netwatch *nw, struct u64map *m, uint64_t key, uint64_t value)
{
	if (!u64map_put(m, key, value, NULL))
		nw->no_room++;
}

/* look.c: what the roles lead to, into nw->cur. */
int netlook_take(struct netwatch *nw);
void netlook_deinit(struct net_look *l);

/* users.c: an observer of gostacks' frames notes who uses the network; netwatch's own begins with none. */
int netusers_observe(void *nw, const struct gostacks *gs, const struct gostack_bytes *b);
int netusers_classify(struct netwatch *nw, const struct gostacks *gs);
/* Drops those that have moved since, where there are so many that this takes a while. */
int netusers_check(struct netwatch *nw);
/* A word on its stack; 0: not there. */
uint64_t netusers_word(const struct netwatch *nw, const struct net_user *u, enum net_slot slot);
void netusers_deinit(struct net_users *us);

/* conns.c */
int netconns_read(struct netwatch *nw);
/* Those of requests. */
int netconns_add_transports(struct netwatch *nw);
/* Who reads the body of which connection, and which request each has. */
void netconns_join(struct netwatch *nw);
/* Since when a connection waits for its body's end, and nothing was read of it. */
void netconns_date(struct netwatch *nw);
/* The channels that goroutines select on: sudog is where their lists begin; 0: not read. */
int net_read_waits(struct netwatch *nw, struct net_wait *first, size_t n, size_t size);

/* bodies.c: the bodies that connections wait for. */
int netbodies_find(struct netwatch *nw);

/* phases.c: the phase of each request, and the limits of transports. */
int netphases_find(struct netwatch *nw);

/* dials.c: the hosts of dials, and since when they go on. */
int netdials_read(struct netwatch *nw);
/* Those of the look that take long, into nw->jam. */
void netdials_tally(struct netwatch *nw);
void netdials_begin_window(struct netwatch *nw);
static inline uint64_t net_dial_key(uint32_t host, int phase)
{
	return (uint64_t)host << 8 | (uint64_t)phase;
}
/* servers.c, grpc.c */
int netservers_read(struct netwatch *nw);
void netservers_date(struct netwatch *nw);
int netgrpc_read(struct netwatch *nw);
/* A method of n foreign bytes, made printable. */
void net_method_format(const char *text, size_t n, char out[NET_MAX_METHOD]);
void net_pattern_format(const char *text, size_t len, char out[NET_MAX_PATTERN]);
/* A gRPC method, as it is counted: without its first slash. */
void net_method_pattern(const char *text, char out[NET_MAX_PATTERN]);

/* request.c: hosts, contexts, limits and starts of the requests in flight of nw->cur. */
int netrequests_read(struct netwatch *nw);
/* older.c: at the first look; at each; whether some of a host ended in this window. */
int netolder_begin(struct netwatch *nw);
void netolder_follow(struct netwatch *nw);
bool netolder_ended(const struct netwatch *nw, uint32_t host, bool dial);
/* sockets.c: the ages of those whose begin was not seen. */
int netsockets_date(struct netwatch *nw);
/* The way from a net.Conn to its descriptor. */
struct net_socket {
	uint64_t conn[2]; /* the interface; what is inside of TLS, afterwards */
	uint64_t fd_addr; /* where the descriptor's number is; 0: not known */
	int64_t fd;       /* -1: not known */
};
/* Of n items that begin with one, whose conn is set and fd -1.  0 or -ENOMEM and the like. */
int netsockets_find(struct netwatch *nw, void *item, size_t n, size_t size);
/* Whether it is still that: a connection that is closed has none, and the number is another's. */
bool netsockets_is_open(struct netwatch *nw, const struct net_socket *s);
/* lookups.c: since when they are under way. */
void netlookups_date(struct netwatch *nw);
/* silent.c: since when nothing has come on the HTTP/2 connections that requests wait on. */
int netsilent_ask(struct netwatch *nw);
/* peers.c: the connections whose other end is gone. */
int netpeers_read(struct netwatch *nw);
/* The address of the http2Client that a gRPC clientStream is on; 0: not known. */
uint64_t netpeers_of_stream(struct netwatch *nw, uint64_t stream);

/* spends.c: what handlers' requests are at, at each look. */
void netspends_count(struct netwatch *nw);
void netspends_begin(struct netwatch *nw);

/* uploads.c: what requests that are being written wait for, at each look.  0 or -ENOMEM. */
int netuploads_count(struct netwatch *nw);
void netuploads_begin(struct netwatch *nw);

/* slots.c: lost slots of MaxConnsPerHost, at each look. */
void netslots_follow(struct netwatch *nw);

/* trails.c: what the looks so far have seen of each request. */
int nettrails_follow(struct netwatch *nw);

/* h2.c: the streams and connections of HTTP/2, and who the latter are to. */
int neth2_read(struct netwatch *nw);
/* h2_layout.c: sought when it is asked for first, some ms; NULL: not known. */
const struct net_h2_layout *neth2_layout(struct netwatch *nw, bool x);
/* By the requests on them. */
void neth2_join(struct netwatch *nw);

/* hold.c: marks the bodies of nw->cur that a goroutine still holds. */
int nethold_find(struct netwatch *nw);
/* Whether a connection's body is left alone, but for holders. */
bool nethold_is_candidate(const struct net_look *l, const struct net_conn *c);

#endif
