/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs know of one target: offsets, slots, code ranges. */
#include "trace/priv.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/vec.h"
#include "gobin/gobin.h"
#include "proc/mem.h"

/* A member of struct gs_spec that comes from the layout table. */
struct spec_field {
	size_t member;
	enum layout_field field;
};
/* clang-format off */
#define AT(member, field) { offsetof(struct gs_spec, member), LAYOUT_##field }
/* clang-format on */

static const struct spec_field spec_fields[] = {
	AT(dialer_network, NET_SYSDIALER_NETWORK),
	AT(dialer_address, NET_SYSDIALER_ADDRESS),
	AT(pconn_addr, HTTP_PERSISTCONN_KEY_ADDR),
	AT(pconn_conn, HTTP_PERSISTCONN_CONN),
	AT(want_addr, HTTP_WANTCONN_KEY_ADDR),
	AT(tls_conn, TLS_CONN_CONN),
	AT(tls_config, TLS_CONN_CONFIG),
	AT(tls_server_name, TLS_CONFIG_SERVERNAME),
	AT(request_url, HTTP_REQUEST_URL),
	AT(url_host, URL_HOST),
	AT(server_handler, HTTP_SERVER_HANDLER),
	AT(pconn_reused, HTTP_PERSISTCONN_REUSED),
	AT(url_scheme, URL_SCHEME),
	AT(g_m, G_M),
	AT(m_p, M_P),
	AT(p_id, P_ID),
	AT(request_ctx, HTTP_REQUEST_CTX),
};
#define SPEC_FIELDS ARRAY_SIZE(spec_fields)

/* Which offsets the hits of each probe read. */
#define MAX_FIELDS 4
/* clang-format off */
#define FIELDS(...) { { __VA_ARGS__ }, ARRAY_SIZE(((enum layout_field[]){ __VA_ARGS__ })) }
/* clang-format on */
static const struct {
	enum layout_field field[MAX_FIELDS];
	int n;
} needs[PROBE_COUNT] = {
#define PROBE(id, name, sensor, group, program, fields, ...) [PROBE_##id] = fields,
#include "gospect/probes.def"
};

static int32_t offset_of(const struct trace *t, enum layout_field f)
{
	const struct gobin *gb = t->cfg.gb;

	return gb && gb->layout ? layout_off(gb->layout, f) : LAYOUT_ABSENT;
}

/*
 * HTTP/2's encodeAndWriteHeaders takes the *http.Request itself up to Go 1.26 and in
 * golang.org/x/net, a type of its own in net/http/internal/http2.
 */
static bool has_own_request(const struct site *s)
{
	static const char own[] = "net/http/internal/";

	return !strncmp(s->function, own, sizeof(own) - 1);
}

static int32_t stream_request(const struct trace *t, const struct site *s)
{
	return offset_of(t, has_own_request(s) ? LAYOUT_H2_CLIENTREQUEST_URL
					       : LAYOUT_HTTP_REQUEST_URL);
}

static int32_t stream_written(const struct trace *t, const struct site *s)
{
	bool x = !strncmp(s->function, HTTP2_OF_X, sizeof(HTTP2_OF_X) - 1);
	int32_t field = x ? t->cfg.x_sent_end : offset_of(t, LAYOUT_H2_CLIENTSTREAM_SENTENDSTREAM);

	return GS_SENT_ARGUMENT(s->slot, field > 0 && field <= GS_SENT_MAX_FIELD ? field : 0);
}

static int32_t pgx_error(const struct trace *t, const struct site *s)
{
	return t->cfg.pgx_error[!strncmp(s->function, PGX_V4, sizeof(PGX_V4) - 1)];
}

int32_t spec_argument(const struct trace *t, enum probe_id id, const struct site *s)
{
	if (id == PROBE_STREAM_BEGIN)
		return stream_request(t, s);
	if (id == PROBE_STREAM_WRITTEN)
		return stream_written(t, s);
	if (id == PROBE_HANDLER_BEGIN || id == PROBE_HANDLER_END)
		return !strncmp(s->function, "net/http.(*conn)", 16) ||
		       !strncmp(s->function, "net/http.serverHandler", 22);
	if (id == PROBE_CALL_FAILED) /* which has the error */
		return strcmp(s->function, "net/http.urlErrorOp") != 0;
	if (id == PROBE_PGX_EXEC_END) /* the error is one word further */
		return !strncmp(s->function, PGX_V4, sizeof(PGX_V4) - 1);
	if (id == PROBE_PGX_ROWS)
		return pgx_error(t, s);
	return s->slot == PROBE_NO_SLOT ? 0 : s->slot;
}

static void refuse_streams(struct trace *t, const char *why)
{
	for (int i = PROBE_STREAM_BEGIN; i <= PROBE_STREAM_END; i++) {
		struct probe *p = trace_probe(t, (enum probe_id)i);

		if (p)
			trace_refuse(p, why);
	}
}

static uint64_t run_time(const struct trace *t, uint64_t addr)
{
	return addr ? addr + t->cfg.bias : 0;
}

/* io.EOF as it is in the process: a pointer to a string that says so. */
static bool read_eof(const struct trace *t, uint64_t *itab, uint64_t *data)
{
	uint64_t at = t->cfg.gb ? t->cfg.gb->global[GLOBAL_IO_EOF] : 0, text;
	char word[3];

	*itab = *data = 0;
	return at && t->cfg.mem && !mem_read_u64(t->cfg.mem, run_time(t, at), itab) &&
	       !mem_read_u64(t->cfg.mem, run_time(t, at) + 8, data) &&
	       !mem_read_u64(t->cfg.mem, *data, &text) &&
	       !mem_read(t->cfg.mem, text, word, sizeof(word)) &&
	       !memcmp(word, "EOF", sizeof(word));
}

static void check_fields(struct trace *t, enum probe_id id)
{
	struct probe *p = trace_probe(t, id);
	char why[160];

	for (int k = 0; p && k < needs[id].n; k++) {
		if (offset_of(t, needs[id].field[k]) >= 0)
			continue;
		snprintf(why, sizeof(why), "the layout of %s is not known for this release",
			 layout_field_name(needs[id].field[k]));
		trace_refuse(p, why);
		return;
	}
}

void spec_check(struct trace *t)
{
	const struct probe *begin = trace_probe(t, PROBE_STREAM_BEGIN);
	const struct probe *written = trace_probe(t, PROBE_STREAM_WRITTEN);
	const struct probe *rows = trace_probe(t, PROBE_PGX_ROWS);
	int k;

	if (trace_probe(t, PROBE_CONN_BODY_END) && !read_eof(t, &(uint64_t){ 0 }, &(uint64_t){ 0 }))
		trace_refuse(trace_probe(t, PROBE_CONN_BODY_END),
			     "io.EOF is not found in the process");
	for (k = 0; begin && k < begin->nsite; k++)
		if (stream_request(t, &begin->site[k]) < 0)
			break;
	if (begin && k < begin->nsite)
		refuse_streams(t, "the layout of an HTTP/2 request is not known");
	for (k = 0; written && k < written->nsite; k++)
		if (written->site[k].slot > GS_SENT_MAX_SLOT)
			break;
	if (written && k < written->nsite)
		refuse_streams(t, "the frame of writeRequest is larger than can be said");
	for (k = 0; rows && k < rows->nsite; k++)
		if (!pgx_error(t, &rows->site[k])) {
			trace_refuse(trace_probe(t, PROBE_PGX_ROWS),
				     "the layout of pgx's results is not known");
			break;
		}
	for (int i = 0; i < PROBE_COUNT; i++)
		check_fields(t, (enum probe_id)i);
}

static void write_ranges(struct trace *t, struct gs_spec *s)
{
	const struct code_range *r = t->plan.range;

	s->resolver_lo = run_time(t, r[RANGE_RESOLVER_DIAL].lo);
	s->resolver_hi = run_time(t, r[RANGE_RESOLVER_DIAL].hi);
	s->mux_lo = run_time(t, r[RANGE_SERVE_MUX].lo);
	s->mux_hi = run_time(t, r[RANGE_SERVE_MUX].hi);
	s->func_lo = run_time(t, r[RANGE_HANDLER_FUNC].lo);
	s->func_hi = run_time(t, r[RANGE_HANDLER_FUNC].hi);
	s->method_lo = run_time(t, r[RANGE_HANDLER_METHOD].lo);
	s->method_hi = run_time(t, r[RANGE_HANDLER_METHOD].hi);
	s->h2c_lo = run_time(t, r[RANGE_H2C].lo);
	s->h2c_hi = run_time(t, r[RANGE_H2C].hi);
	s->do_lo = run_time(t, r[RANGE_CLIENT_DO].lo);
	s->do_hi = run_time(t, r[RANGE_CLIENT_DO].hi);
	s->http_lo = run_time(t, r[RANGE_HTTP].lo);
	s->http_hi = run_time(t, r[RANGE_HTTP].hi);
	s->runtime_lo = run_time(t, r[RANGE_RUNTIME].lo);
	s->runtime_hi = run_time(t, r[RANGE_RUNTIME].hi);
	s->stream_entry = run_time(t, r[RANGE_GRPC_STREAM].lo);
	s->close_lo = run_time(t, r[RANGE_GRPC_CLOSE].lo);
	s->close_hi = run_time(t, r[RANGE_GRPC_CLOSE].hi);
}

/* Routers whose requests are given to their routes, and how. */
static void write_routers(const struct trace *t, struct gs_spec *s)
{
	static const struct {
		enum plan_range range;
		uint32_t flags;
	} kinds[GS_ROUTERS] = {
		[GOROUTER_GIN] = { RANGE_GIN, 0 },
		[GOROUTER_ECHO] = { RANGE_ECHO, 0 },
		[GOROUTER_CHI] = { RANGE_CHI,
				   GS_ROUTER_POINTS | GS_ROUTER_CONTEXT | GS_ROUTER_PATTERNS },
	};
	const struct goservers *servers = t->cfg.servers;

	_Static_assert(GS_ROUTERS == GOROUTER_KINDS, "a row of the spec for each kind of router");
	if (!servers)
		return;
	s->status_code = servers->status_code;
	for (int i = 0; i < GS_ROUTERS; i++) {
		const struct gorouter *r = &servers->router[i];

		/* all but p.id, the runtime's first field, are behind another */
		if (r->known && s->g_m && s->m_p && s->request_ctx && s->request_url)
			s->router[i] = (struct gs_router){
				.entry = run_time(t, t->plan.range[kinds[i].range].lo),
				.pool = r->pool,
				.request = r->request,
				.pattern = r->pattern,
				.handlers = r->handlers,
				.flags = kinds[i].flags,
			};
	}
}

void trace_know_pools(struct trace *t, const struct gorouter_pool *pool, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t word = pool[i].addr | (uint64_t)pool[i].kind;
		int k = 0;

		while (k < GS_ROUTER_POOLS && t->spec->router_pool[k] &&
		       t->spec->router_pool[k] != word)
			k++;
		if (k < GS_ROUTER_POOLS && t->spec->router[pool[i].kind].entry)
			t->spec->router_pool[k] = word;
	}
}

void spec_write(struct trace *t)
{
	struct gs_spec s = {
		.tgid = t->pidns.tgid,
		.g_goid = (uint32_t)t->cfg.g_goid,
		.g_gopc = (uint32_t)t->cfg.g_gopc,
	};
	uint64_t eof[2];

	for (size_t i = 0; i < SPEC_FIELDS; i++) {
		int32_t off = offset_of(t, spec_fields[i].field);
		uint32_t value = off < 0 ? 0 : (uint32_t)off;

		memcpy((uint8_t *)&s + spec_fields[i].member, &value, sizeof(value));
	}
	for (int k = 0; k < t->plan.n; k++) {
		enum probe_id id = t->plan.probe[k].id;

		if (t->plan.probe[k].kind == SITE_BRANCH)
			s.branch_probes[GS_PROBE_WORD(id)] |= GS_PROBE_BIT(id);
	}
	write_ranges(t, &s);
	write_routers(t, &s);
	if (plan_has(&t->plan, PROBE_CONN_CLOSED))
		s.flags |= GS_SPEC_CLOSES;
	if (t->cfg.exact)
		s.flags |= GS_SPEC_ALWAYS;
	if (read_eof(t, &eof[0], &eof[1])) {
		s.eof_itab = eof[0];
		s.eof_data = eof[1];
	}
	*t->spec = s;
}
