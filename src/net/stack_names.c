/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions that say what a stack has to do with the network, by their names. */
#include "net/stack_walk.h"

#include <string.h>

#include "base/vec.h"

static const struct {
	const char *name;
	enum netfn fn;
} known_fn[] = {
	{ "net/http.(*Client).do", FN_DO },
	{ "net/http.(*Transport).RoundTrip", FN_TRANSPORT },
	{ "net/http.(*Transport).roundTrip", FN_ROUNDTRIP },
	{ "net/http.(*Transport).getConn", FN_GETCONN },
	{ "net/http.(*persistConn).roundTrip", FN_PC_ROUNDTRIP },
	{ "net/http.(*persistConn).readLoop", FN_READLOOP },
	{ "net/http.(*persistConn).writeLoop", FN_WRITELOOP },
	{ "net/http.(*Transport).dialConnFor", FN_DIAL_FOR },
	{ "net/http.(*Transport).dialConn", FN_DIALCONN },
	{ "net/http.(*bodyEOFSignal).Read", FN_BODY_READ },
	{ "net/http.(*conn).serve", FN_SERVE },
	{ "net/http.(*conn).readRequest", FN_READ_REQUEST },
	{ "net/http.serverHandler.ServeHTTP", FN_SERVER_HANDLER },
	{ "net/http.(*ServeMux).ServeHTTP", FN_MUX },
	{ "net/http.HandlerFunc.ServeHTTP", FN_HANDLER_FUNC },
	{ "golang.org/x/net/http2/h2c.h2cHandler.ServeHTTP", FN_H2C },
	{ "golang.org/x/net/http2/h2c.(*h2cHandler).ServeHTTP", FN_H2C },
	{ "net/http.(*Server).Serve", FN_ACCEPT },
	{ "net.(*Resolver).lookupIPAddr", FN_IS_DNS },
	{ "net.(*Resolver).LookupIPAddr", FN_IS_DNS },
	{ "net.(*Resolver).internetAddrList", FN_IS_DNS },
	{ "net.(*Resolver).resolveAddrList", FN_IS_DNS },
	{ "net.(*Resolver).LookupHost", FN_IS_DNS },
	{ "net.(*Dialer).DialContext", FN_IS_CONNECT },
	{ "net.(*Dialer).Dial", FN_IS_CONNECT },
	{ "net/http.(*Transport).dial", FN_IS_CONNECT },
	{ "net/http.(*Transport).customDialTLS", FN_IS_CONNECT },
	{ "net/http.(*persistConn).addTLS", FN_IS_TLS },
	{ "crypto/tls.(*Conn).handshakeContext", FN_IS_TLS },
	{ "crypto/tls.(*Conn).clientHandshake", FN_IS_TLS },
	{ "runtime.selectgo", FN_SELECT },
	{ "google.golang.org/grpc.(*Server).handleStream", FN_GRPC_STREAM },
	{ "sync.(*Mutex).lockSlow", FN_LOCK },
	{ "internal/sync.(*Mutex).lockSlow", FN_LOCK }, /* since 1.24 */
	{ "bufio.(*Writer).Flush", FN_FLUSH },
};

/* What is behind an HTTP/2 package's name: "ClientConn).roundTrip"; NULL. */
static const char *h2_rest(const char *name, bool *plain)
{
	static const struct {
		const char *prefix;
		bool plain;
	} package[] = {
		{ "net/http.http2", true },
		{ "net/http.(*http2", true },
		{ "net/http/internal/http2.", true },
		{ "golang.org/x/net/http2.", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(package); i++) {
		size_t n = strlen(package[i].prefix);

		if (strncmp(name, package[i].prefix, n))
			continue;
		*plain = package[i].plain;
		name += n;
		return strncmp(name, "(*", 2) ? name : name + 2;
	}
	return NULL;
}

static enum netfn h2_fn(const char *rest)
{
	static const struct {
		const char *rest;
		enum netfn fn;
	} known[] = {
		{ "ClientConn).roundTrip", FN_H2_ROUNDTRIP }, /* since 1.23 */
		{ "ClientConn).RoundTrip", FN_H2_ROUNDTRIP },
		{ "clientStream).doRequest", FN_H2_STREAM },
		{ "clientStream).writeRequest", FN_H2_STREAM }, /* whichever has it in a slot */
		{ "transportResponseBody.Read", FN_H2_BODY_READ },
		{ "transportResponseBody).Read", FN_H2_BODY_READ },
		{ "pipe).Read", FN_H2_PIPE_READ },
		{ "ClientConn).readLoop", FN_H2_READLOOP },
		{ "ClientConn).awaitOpenSlotForStreamLocked", FN_H2_AWAIT_STREAM },
		{ "clientStream).awaitFlowControl", FN_H2_AWAIT_FLOW },
		{ "clientStream).encodeAndWriteHeaders", FN_H2_WRITE_HEADER },
		{ "clientStream).writeRequestBody", FN_H2_WRITE_BODY },
		{ "serverConn).runHandler", FN_H2_HANDLER },
		{ "Server).serveConn", FN_H2_CONN },
		{ "Server).ServeConn", FN_H2_CONN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(rest, known[i].rest))
			return known[i].fn;
	return strncmp(rest, "Framer).", 8) ? FN_NONE : FN_H2_FRAMER;
}

enum netfn netstack_function(const char *name, bool *plain)
{
	const char *rest = h2_rest(name, plain);

	if (rest && h2_fn(rest) != FN_NONE)
		return h2_fn(rest);
	for (size_t i = 0; i < ARRAY_SIZE(known_fn); i++)
		if (!strcmp(name, known_fn[i].name))
			return known_fn[i].fn;
	return strncmp(name, "runtime.", 8) ? FN_NONE : FN_RUNTIME;
}
