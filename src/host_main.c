/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gospect-host: the agent looks, what it saw is told.  One loop; nothing in it
 * waits for anybody.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/human.h"
#include "base/streams.h"
#include "base/vec.h"
#include "cli/message.h"
#include "cli/notify.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/overdue.h"
#include "cli/prober.h"
#include "cli/profiler.h"
#include "export/api.h"
#include "export/export.h"
#include "export/once.h"
#include "export/status.h"
#include "host/privileges.h"
#include "report/spooler.h"
#include "version.h"

#define LINES_MAX   (4u << 20) /* bytes that nobody has read yet */
#define ONCE_LOOKS  5
#define ONCE_LEAST  3 /* also where they take longer: two make a window */
#define ONCE_NS     (5 * NS_PER_S)
#define FILES_LIMIT 65536
#define MAPPED_FROM 8192              /* bytes */
#define TOP_PAD     4096              /* bytes */
#define KEEP_MS     200               /* a snapshot is waited for; a slow disk gets it done later */
#define LAST_NS     (500 * NS_PER_MS) /* for the last lines, when it ends */

struct host {
	const struct options *o;
	struct host_config *config;
	struct agent *agent;
	struct export *export;
	int signal_fd;
	int profiler; /* whom profiles are asked of; -1: none are served */
	int prober;   /* whom windows with probes are asked of; -1: there are none */
	const char *probe_off;
	bool over;
	/* lines of findings */
	struct sink *sink;
	struct buf lines; /* that are to be written */
	bool unread;      /* nobody reads them any more */
	uint64_t lines_lost;
	uint64_t seq; /* of the view that was told last */
	uint64_t watchdog_ns, alive_ns;
	struct spooler *spooler;
	bool keeps_not; /* the last snapshot could not be kept, which was said */
};

/* --- configuration ------------------------------------------------------------------- */

static int set_keys(struct host_config *c, const struct options *o, struct err *err)
{
	for (int i = 0; i < o->nset; i++) {
		const char *equals = strchr(o->set[i], '=');
		char key[80];
		int r;

		snprintf(key, sizeof(key), "%.*s", (int)(equals - o->set[i]), o->set[i]);
		r = config_set(c, key, equals + 1, err);
		if (r)
			return r;
	}
	return 0;
}

static int load(struct host_config **out, const struct options *o, const char *file,
		struct err *err)
{
	int r = config_load(out, file, err);

	if (!r) {
		r = set_keys(*out, o, err);
		if (r)
			config_free(*out);
	}
	return r;
}

/* A configuration that cannot be had says nothing of a process. */
static int say(const struct err *err)
{
	msg_fail(err);
	return EXIT_FAILED;
}

static int check(const struct options *o)
{
	struct err err = { 0 };
	struct host_config *c;

	if (load(&c, o, o->check, &err))
		return say(&err);
	config_free(c);
	printf("%s: ok\n", o->check);
	return fflush(stdout) ? output_status(-errno) : EXIT_DONE;
}

/* What the one that runs knows. */
static int ask(const struct options *o)
{
	struct err err = { 0 };
	struct host_config *c;
	struct output out;
	int status, r = load(&c, o, o->config, &err);

	if (r)
		return say(&err);
	status = output_open(&out, o);
	if (status == EXIT_DONE) {
		r = status_print(c->listen, o->format == FORMAT_JSON, output_columns(&out),
				 &out.buf, &err);
		status = r ? say(&err) : output_finish(&out);
	}
	config_free(c);
	return status;
}

/* --- signals ----------------------------------------------------------------------------- */

static int catch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Whether what takes long is to go on: a signal waits. */
static bool go_on(void *arg)
{
	const struct host *h = arg;
	struct pollfd p = { .fd = h->signal_fd, .events = POLLIN };

	return poll(&p, 1, 0) <= 0;
}

/* Once, until one can be kept again. */
static int say_kept(struct host *h, const struct spooled *s)
{
	if (s->err.code && !h->keeps_not)
		msg_note("%s", s->err.what);
	h->keeps_not = s->err.code != 0;
	return s->err.code;
}

static int keep(void *arg, uint64_t key, const struct spool_what *what, char id[SPOOL_ID_SIZE])
{
	struct host *h = arg;
	const struct host_config *c = h->config;
	struct spooled s = { 0 };
	int r = spooler_begin(h->spooler, c->spool.dir, c->spool.max_bytes, what, key);

	if (r == -EBUSY)
		return r;
	if (r)
		err_set(&s.err, r, "a snapshot cannot be made: %s", strerror(-r));
	else if (!spooler_take(h->spooler, KEEP_MS, &s))
		return -EINPROGRESS;
	snprintf(id, SPOOL_ID_SIZE, "%s", s.id);
	return say_kept(h, &s);
}

/* One that took longer. */
static void take_kept(struct host *h)
{
	struct spooled s;

	if (spooler_take(h->spooler, 0, &s))
		agent_kept(h->agent, s.key, s.id, say_kept(h, &s));
}

static int probe(void *arg, const struct probe_ask *q)
{
	const struct host *h = arg;

	return prober_begin(h->prober, q);
}

/* While privileges are there; a later configuration may want them. */
static void start_prober(struct host *h)
{
	h->prober = -1;
	if (!privileges_had(PRIVILEGE_PERFMON | 1ull << 39) && !privileges_had(PRIVILEGE_ADMIN))
		h->probe_off = "CAP_BPF and CAP_PERFMON are missing";
	else if ((h->prober = prober_start()) < 0)
		h->probe_off = "no process can be made that probes";
}

/* What the agent asks us for. */
static void serve_agent(struct host *h, struct host_config *c)
{
	c->agent.probe = h->prober >= 0 ? probe : NULL;
	c->agent.probe_arg = h;
	c->agent.probe_off = h->probe_off ? h->probe_off
			     : c->agent.probes_at_once
				     ? NULL
				     : "off by the configuration (probes.at_once)";
	c->agent.go_on = go_on;
	c->agent.go_on_arg = h;
	c->agent.keep = *c->spool.dir ? keep : NULL;
	c->agent.keep_arg = h;
}

static void reload(struct host *h)
{
	struct host_config *c;
	struct err err = { 0 };
	int r;

	notify_send("RELOADING=1\nMONOTONIC_USEC=%llu",
		    (unsigned long long)(clock_mono_ns() / 1000));
	r = load(&c, h->o, h->o->config, &err);
	if (!r) {
		r = export_configure(h->export, c, &err);
		if (r)
			config_free(c);
	}
	if (r) {
		msg_error("the configuration stays as it was: %s", err.what);
		if (err.hint[0])
			msg_hint("%s", err.hint);
	} else {
		serve_agent(h, c);
		agent_configure(h->agent, &c->agent);
		config_free(h->config);
		h->config = c;
		msg_note("the configuration was read again");
	}
	agent_reloaded(h->agent, !r);
	notify_send("READY=1");
}

static void on_signal(struct host *h)
{
	struct signalfd_siginfo si;

	while (read(h->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			reload(h);
		else
			h->over = true;
	}
}

/* --- what is told ------------------------------------------------------------------------- */

/* As much as is taken; the rest waits, and where too much does, lines are lost. */
static void write_lines(struct host *h)
{
	struct buf next;

	if (h->unread || !h->lines.len || sink_busy(h->sink))
		return;
	if (sink_result(h->sink)) { /* the reader has gone: it goes on for the others */
		msg_note("nobody reads standard output any more: %s",
			 strerror(-sink_result(h->sink)));
		h->unread = true;
		return;
	}
	buf_init(&next, LINES_MAX);
	sink_begin(h->sink, &h->lines, NULL, NULL);
	buf_deinit(&h->lines);
	h->lines = next;
}

static void add_lines(struct host *h, const struct view *v)
{
	for (size_t i = 0; i < v->nevent && !h->unread; i++) {
		size_t before = h->lines.len;

		if (h->o->format == FORMAT_JSON)
			api_event(&v->event[i], &h->lines);
		else
			once_event(&v->event[i], &h->lines);
		if (!h->lines.err)
			continue;
		h->lines.err = 0; /* whole lines, or none */
		h->lines.len = before;
		if (!h->lines_lost++)
			msg_note("nobody reads standard output: findings are lost there");
	}
}

static void tell_manager(const struct view *v, bool first)
{
	size_t findings = 0, severe = 0;
	char n[HUMAN_MAX], f[HUMAN_MAX];

	for (size_t i = 0; i < v->nprocess; i++)
		for (int k = 0; k < v->process[i].nfinding; k++) {
			findings++;
			severe += v->process[i].finding[k].finding->severity >= SEVERITY_HIGH;
		}
	notify_send("%sSTATUS=%s, %s open (%zu high or critical); starts are %s",
		    first ? "READY=1\n" : "", human_counted(v->nprocess, "Go process", n),
		    human_counted(findings, "finding", f), severe,
		    v->self.by_events ? "told" : "polled");
}

static void say_ready(const struct host *h, const struct view *v)
{
	char n[HUMAN_MAX];
	const char *listen = h->config->listen, *colon = strrchr(listen, ':');

	human_counted(v->nprocess, "Go process", n);
	if (export_port(h->export)) /* the port that it has got, where any would do */
		msg_note("watching %s; pages on http://%.*s:%d/", n, (int)(colon - listen), listen,
			 export_port(h->export));
	else
		msg_note("watching %s", n);
	if (!v->self.by_events)
		msg_note("starts are not told, /proc is polled every 5s: %s", v->self.why_polling);
	if (h->probe_off && h->config->agent.probes_at_once)
		msg_note("no probes, memory is read alone: %s", h->probe_off);
}

static void publish(struct host *h)
{
	const struct view *v = agent_view(h->agent);

	if (!v || v->seq == h->seq)
		return;
	export_publish(h->export, v);
	if (!h->seq)
		say_ready(h, v);
	tell_manager(v, !h->seq);
	h->seq = v->seq;
	add_lines(h, v);
}

/* --- the loop ------------------------------------------------------------------------------ */

static int due_ms(const struct host *h)
{
	uint64_t now = clock_mono_ns(), due = agent_due_ns(h->agent);

	if (h->watchdog_ns && h->alive_ns < due)
		due = h->alive_ns;
	if (due <= now)
		return 0;
	due = (due - now + NS_PER_MS - 1) / NS_PER_MS;
	return due > 60000 ? 60000 : (int)due;
}

static void keep_alive(struct host *h)
{
	uint64_t now = clock_mono_ns();

	if (!h->watchdog_ns || now < h->alive_ns)
		return;
	notify_send("WATCHDOG=1");
	h->alive_ns = now + h->watchdog_ns / 2;
}

static void loop(struct host *h)
{
	while (!h->over) {
		struct pollfd p[] = {
			{ .fd = h->signal_fd, .events = POLLIN },
			{ .fd = agent_fd(h->agent), .events = POLLIN },
			{ .fd = sink_event(h->sink), .events = POLLIN },
			{ .fd = spooler_event(h->spooler), .events = POLLIN },
		};

		if (poll(p, ARRAY_SIZE(p), due_ms(h)) < 0 && errno != EINTR)
			break;
		on_signal(h);
		if (h->over)
			break;
		take_kept(h);
		agent_step(h->agent);
		publish(h);
		write_lines(h);
		keep_alive(h);
	}
}

/* What waits is still written, if somebody reads. */
static void last_lines(struct host *h)
{
	struct patience p = { .ns = LAST_NS, .signal_fd = -1 };

	if (!sink_wait(h->sink, &p)) {
		write_lines(h);
		sink_wait(h->sink, &p);
	}
}

static void raise_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l))
		return;
	l.rlim_cur = l.rlim_max < FILES_LIMIT ? l.rlim_max : FILES_LIMIT;
	setrlimit(RLIMIT_NOFILE, &l);
}

static int start(struct host *h, struct err *err)
{
	int r;

	h->spooler = spooler_new();
	if (!h->spooler)
		return err_set(err, -ENOMEM, "out of memory, or of descriptors");
	serve_agent(h, h->config);
	r = agent_new(&h->agent, &h->config->agent, err);
	if (r)
		return r;
	/* threads that are made from here on have no more than this, either */
	privileges_serve(PRIVILEGE_READ);
	r = export_open(&h->export, h->config, h->profiler, err);
	if (!r && !(h->sink = sink_new(STDOUT_FILENO)))
		r = err_set(err, -ENOMEM, "out of memory, or of descriptors");
	return r;
}

static int serve(const struct options *o)
{
	struct host h = { .o = o };
	struct err err = { 0 };
	int r = load(&h.config, o, o->config, &err);

	if (r)
		return say(&err);
	raise_files();
	/* while there is little to copy, and before privileges are given up */
	start_prober(&h);
	h.profiler = h.config->pprof ? profiler_start() : -1;
	notify_begin();
	msg_begin();
	buf_init(&h.lines, LINES_MAX);
	h.signal_fd = catch_signals();
	overdue_begin(h.signal_fd);
	h.watchdog_ns = notify_watchdog_ns();
	r = start(&h, &err);
	if (r) {
		r = msg_fail(&err);
	} else {
		loop(&h);
		notify_send("STOPPING=1");
		last_lines(&h);
	}
	export_close(h.export);
	if (h.profiler >= 0)
		close(h.profiler);
	agent_free(h.agent);
	if (h.prober >= 0)
		close(h.prober);
	sink_free(h.sink);
	spooler_free(h.spooler);
	config_free(h.config);
	return r;
}

/* --- once --------------------------------------------------------------------------------- */

static int print(const struct options *o, const struct view *v)
{
	struct output out;
	int status = output_open(&out, o);

	if (status != EXIT_DONE)
		return status;
	if (o->format == FORMAT_JSON)
		api_all(v, &out.buf);
	else
		once_text(v, &out.text, &out.buf);
	return output_finish(&out);
}

static bool reaches(const struct view *v, enum severity s)
{
	for (size_t i = 0; i < v->nprocess; i++)
		if (v->process[i].nfinding && v->process[i].finding[0].finding->severity >= s)
			return true;
	return false;
}

/* Looks until the time has passed, and at what began before that to its end. */
static void look(struct host *h, uint64_t end_ns)
{
	while (!h->over) {
		struct pollfd p[] = {
			{ .fd = h->signal_fd, .events = POLLIN },
			{ .fd = agent_fd(h->agent), .events = POLLIN },
		};
		const struct view *v = agent_view(h->agent);

		if (v && v->mono_ns >= end_ns && v->seq >= ONCE_LEAST)
			break;
		if (poll(p, ARRAY_SIZE(p), due_ms(h)) < 0 && errno != EINTR)
			break;
		on_signal(h);
		agent_step(h->agent);
	}
}

static int once(const struct options *o)
{
	uint64_t for_ns = o->for_ns ? o->for_ns : ONCE_NS;
	struct host h = { .o = o };
	struct err err = { 0 };
	const struct view *v;
	int r = load(&h.config, o, o->config, &err);

	if (r)
		return say(&err);
	raise_files();
	h.signal_fd = catch_signals();
	h.config->agent.once = true;
	h.config->agent.tick_ns = h.config->agent.walk_ns = for_ns / ONCE_LOOKS;
	h.config->agent.young_ns = 0;
	h.config->agent.walks_pct = 1000; /* it is over soon */
	privileges_drop(PRIVILEGE_READ);
	r = agent_new(&h.agent, &h.config->agent, &err);
	if (r)
		return msg_fail(&err);
	look(&h, clock_mono_ns() + for_ns);
	v = agent_view(h.agent);
	r = h.over || !v ? EXIT_FAILED : print(o, v);
	if (r == EXIT_DONE && o->has_fail_on && reaches(v, o->fail_on))
		r = EXIT_FOUND;
	agent_free(h.agent);
	config_free(h.config);
	return r;
}

/*
 * The buffers for one process are far larger than what most processes need of them.  In
 * mappings of their own they take the pages that were touched; where something else was
 * before, calloc() would touch them all.
 */
static void spare_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	mallopt(M_TOP_PAD, TOP_PAD); /* what fits into it would not be mapped */
}

int main(int argc, char **argv)
{
	const struct command *c = command_find("host");
	struct options o;
	int status;

	spare_memory();
	streams_occupy();
	privileges_begin();
	status = options_parse(c, argc - 1, argv + 1, &o);
	if (status)
		return status;
	if (o.version) {
		printf("gospect-host %s\n", GOSPECT_VERSION);
		return fflush(stdout) ? output_status(-errno) : EXIT_DONE;
	}
	if (o.help) {
		help_command(c, stdout);
		printf("\nkeys of the configuration, and their environment variables:\n");
		config_help(stdout);
		return fflush(stdout) ? output_status(-errno) : EXIT_DONE;
	}
	status = o.check ? check(&o) : o.status ? ask(&o) : o.once ? once(&o) : serve(&o);
	msg_end();
	return status;
}
