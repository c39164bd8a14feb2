/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/failures.h"

#include <errno.h>

#include "gospect/kinds.h"

const char *const net_failure_names[NET_FAILURES] = {
	[NET_FAILURE_OTHER] = "other",
	[NET_FAILURE_TIMEOUT] = "timeout",
	[NET_FAILURE_CANCELLED] = "cancelled",
	[NET_FAILURE_REFUSED] = "refused",
	[NET_FAILURE_UNREACHABLE] = "unreachable",
	[NET_FAILURE_RESOURCES] = "no_resources",
	[NET_FAILURE_RESET] = "reset",
	[NET_FAILURE_EOF] = "eof",
	[NET_FAILURE_NOT_FOUND] = "not_found",
	[NET_FAILURE_DNS] = "dns",
	[NET_FAILURE_CERTIFICATE] = "certificate",
	[NET_FAILURE_TLS] = "tls",
	[NET_FAILURE_HTTP2] = "http2",
	[NET_FAILURE_LOST] = "connection_lost",
	[NET_FAILURE_PROTOCOL] = "protocol",
	[NET_FAILURE_CLOSED] = "closed",
};

static enum net_failure of_errno(uint64_t number)
{
	switch (number) {
	case ECONNREFUSED:
		return NET_FAILURE_REFUSED;
	case ECONNRESET:
	case EPIPE: /* written after the other side's reset */
	case ECONNABORTED:
		return NET_FAILURE_RESET;
	case ETIMEDOUT:
		return NET_FAILURE_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
		return NET_FAILURE_UNREACHABLE;
	case EADDRNOTAVAIL:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case EAGAIN:
		return NET_FAILURE_RESOURCES;
	default:
		return NET_FAILURE_OTHER;
	}
}

/* IsTimeout, IsTemporary, IsNotFound, a byte each */
static enum net_failure of_dns(uint64_t flags)
{
	if (flags >> 16 & 1)
		return NET_FAILURE_NOT_FOUND;
	return flags & 1 ? NET_FAILURE_TIMEOUT : NET_FAILURE_DNS;
}

static enum net_failure of_type(enum errtype type, uint64_t detail)
{
	switch (type) {
	case ERRTYPE_ERRNO:
		return of_errno(detail);
	case ERRTYPE_DNS:
		return of_dns(detail);
	case ERRTYPE_DEADLINE:
	case ERRTYPE_POLL_DEADLINE:
	case ERRTYPE_NET_TIMEOUT:
	case ERRTYPE_HTTP_ERROR:
	case ERRTYPE_HTTP_TIMEOUT:
	case ERRTYPE_TLS_TIMEOUT:
	case ERRTYPE_H2_TIMEOUT:
	case ERRTYPE_H2_TIMEOUT_NEW:
	case ERRTYPE_H2_TIMEOUT_X:
		return NET_FAILURE_TIMEOUT;
	case ERRTYPE_CANCELED:
	case ERRTYPE_CANCELED_DIAL:
	case ERRTYPE_NET_CANCELED:
	case ERRTYPE_CANCELED_REQUEST:
	case ERRTYPE_CANCELED_WAIT:
		return NET_FAILURE_CANCELLED;
	case ERRTYPE_EOF:
	case ERRTYPE_UNEXPECTED_EOF:
	case ERRTYPE_IDLE_CLOSED:
		return NET_FAILURE_EOF;
	case ERRTYPE_X509_AUTHORITY:
	case ERRTYPE_X509_HOSTNAME:
	case ERRTYPE_X509_INVALID:
	case ERRTYPE_X509_ROOTS:
		return NET_FAILURE_CERTIFICATE;
	case ERRTYPE_TLS_RECORD:
	case ERRTYPE_TLS_ALERT:
	case ERRTYPE_TLS_ALERT_ERROR:
	case ERRTYPE_GAVE_HTTP:
		return NET_FAILURE_TLS;
	case ERRTYPE_H2_STREAM:
	case ERRTYPE_H2_STREAM_NEW:
	case ERRTYPE_H2_STREAM_X:
	case ERRTYPE_H2_GOAWAY:
	case ERRTYPE_H2_GOAWAY_NEW:
	case ERRTYPE_H2_GOAWAY_X:
	case ERRTYPE_H2_PREFACE:
		return NET_FAILURE_HTTP2;
	case ERRTYPE_POLL_CLOSED:
	case ERRTYPE_NET_CLOSED:
		return NET_FAILURE_CLOSED;
	case ERRTYPE_H2_LOST:
		return NET_FAILURE_LOST;
	case ERRTYPE_HTTP_PROTOCOL:
	case ERRTYPE_HTTP_BAD_STRING:
	case ERRTYPE_TEXTPROTO:
		return NET_FAILURE_PROTOCOL;
	default:
		return NET_FAILURE_OTHER;
	}
}

static bool has_type(uint64_t types, enum errtype type)
{
	for (; types; types >>= 8)
		if ((types & 0xff) == (uint64_t)type)
			return true;
	return false;
}

enum net_failure net_failure_of(uint64_t types, uint64_t detail)
{
	/* whatever it is that was found wrong with it */
	if (has_type(types, ERRTYPE_CERT_VERIFICATION))
		return NET_FAILURE_CERTIFICATE;
	return of_type((enum errtype)(types & 0xff), detail);
}

int net_failure_phase(uint64_t types, uint64_t detail)
{
	if (has_type(types, ERRTYPE_DNS))
		return NET_DNS;
	if (has_type(types, ERRTYPE_TLS_TIMEOUT))
		return NET_TLS;
	switch (net_failure_of(types, detail)) {
	case NET_FAILURE_CERTIFICATE:
	case NET_FAILURE_TLS:
		return NET_TLS;
	case NET_FAILURE_REFUSED:
	case NET_FAILURE_UNREACHABLE:
	case NET_FAILURE_RESOURCES:
		return NET_CONNECT;
	default:
		return -1;
	}
}

const char *net_failure_words(enum net_failure kind)
{
	static const char *const words[NET_FAILURES] = {
		[NET_FAILURE_OTHER] = "another error",
		[NET_FAILURE_TIMEOUT] = "timed out",
		[NET_FAILURE_CANCELLED] = "cancelled by the caller",
		[NET_FAILURE_REFUSED] = "connection refused",
		[NET_FAILURE_UNREACHABLE] = "host unreachable",
		[NET_FAILURE_RESOURCES] = "no free port or file descriptor here",
		[NET_FAILURE_RESET] = "connection reset",
		[NET_FAILURE_EOF] = "connection closed (EOF)",
		[NET_FAILURE_NOT_FOUND] = "no such host",
		[NET_FAILURE_DNS] = "the resolver failed",
		[NET_FAILURE_CERTIFICATE] = "certificate not accepted",
		[NET_FAILURE_TLS] = "handshake refused",
		[NET_FAILURE_HTTP2] = "ended by the server (RST_STREAM, GOAWAY)",
		[NET_FAILURE_LOST] = "HTTP/2 connection lost",
		[NET_FAILURE_PROTOCOL] = "malformed response",
		[NET_FAILURE_CLOSED] = "connection closed here while in use",
	};

	return words[kind];
}

static const char *timeout_advice(int phase)
{
	switch (phase) {
	case NET_POOL_WAIT:
		return "raise Transport.MaxConnsPerHost, make fewer concurrent requests, close "
		       "bodies early";
	case NET_DNS:
		return "the resolver does not answer in time: check /etc/resolv.conf and the way "
		       "to its nameserver";
	case NET_CONNECT:
		return "nobody answers at that address: check that the host is up, the firewalls "
		       "in between and its backlog";
	case NET_TLS:
		return "the server does not answer the handshake: check that it speaks TLS on "
		       "that port, and its load";
	case NET_REQUEST_WRITE:
		return "the server does not read the request in time: check that server, and how "
		       "fast the Body is produced";
	default:
		return "check that server: it answers too late for the callers' timeout";
	}
}

const char *net_failure_advice(enum net_failure kind, int phase)
{
	switch (kind) {
	case NET_FAILURE_TIMEOUT:
		return timeout_advice(phase);
	case NET_FAILURE_REFUSED:
		return "check that the server is up and listens on that port (nobody does), and "
		       "the address";
	case NET_FAILURE_UNREACHABLE:
		return "check the route to that host, and the firewalls in between";
	case NET_FAILURE_RESOURCES:
		return "this host or process has run out: reuse connections, close bodies, check "
		       "ulimit -n and ip_local_port_range";
	case NET_FAILURE_RESET:
	case NET_FAILURE_EOF:
		return "the server, or a proxy before it, closes connections without an answer: "
		       "check its log (restarts, crashes, limits)";
	case NET_FAILURE_NOT_FOUND:
		return "check the name's spelling and DNS zone: getent hosts NAME on that host; "
		       "search list in /etc/resolv.conf";
	case NET_FAILURE_DNS:
		return "resolve the name on that host (getent hosts NAME); check "
		       "/etc/resolv.conf and the resolver";
	case NET_FAILURE_CERTIFICATE:
		return "check the server's certificate (names, dates, issuer) and the roots here: "
		       "openssl s_client -connect HOST:PORT";
	case NET_FAILURE_TLS:
		return "check that the port speaks TLS, and the protocol versions: openssl "
		       "s_client -connect HOST:PORT";
	case NET_FAILURE_HTTP2:
		return "check the server's log: it ends streams or connections (limits, "
		       "restarts); retry after GOAWAY";
	case NET_FAILURE_LOST:
		return "the peer stopped answering pings: check the way to it, and NAT or load "
		       "balancer timeouts";
	case NET_FAILURE_CLOSED:
		return "the connection was closed on this side as it was used: net/http does so "
		       "when the server has closed it (check its log), else see who calls Close";
	case NET_FAILURE_PROTOCOL:
		return "check what answers on that port: it does not speak HTTP as expected";
	default:
		return "see what the calls return (log the error): it is none that gospect knows";
	}
}
