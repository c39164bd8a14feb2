/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of the configuration, what each may be, and its value as text. */
#include "export/config_priv.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "base/vec.h"

#define TEXTS_MAX 4096

#define AT(member) offsetof(struct host_config, member)
const struct config_key config_keys[] = {
	{ "interval", KEY_DURATION, AT(agent.tick_ns), NS_PER_S, 3600 * NS_PER_S, "15s",
	  "between two readings of every process" },
	{ "walk_interval", KEY_DURATION, AT(agent.walk_ns), NS_PER_S, 24 * 3600 * NS_PER_S, "1m",
	  "the goroutines of a process are looked at at least so often" },
	{ "scan_interval", KEY_DURATION, AT(agent.scan_ns), NS_PER_S, 3600 * NS_PER_S, "1m",
	  "between passes over /proc, beside the kernel's word on starts" },
	{ "young", KEY_DURATION, AT(agent.young_ns), 0, 3600 * NS_PER_S, "1s",
	  "a process is left alone so long after its start" },
	{ "prove", KEY_BOOL, AT(agent.prove), 0, 1, "true",
	  "look for goroutines that can never run again where a site grows" },
	{ "max_processes", KEY_SIZE, AT(agent.max_processes), 1, 100000, "4096",
	  "Go processes watched at a time" },
	{ "processes", KEY_RULES, 0, 0, 0, "",
	  "rules of exe, service, container, namespace, unit (patterns) and depth (none, totals, "
	  "walk, probes); the first that fits decides" },
	{ "probes.at_once", KEY_U32, AT(agent.probes_at_once), 0, PROBES_MOST, "1",
	  "processes with probes at a time, in turn; 0: none, memory is read alone" },
	{ "probes.time", KEY_DURATION, AT(agent.probe_ns), NS_PER_S, 600 * NS_PER_S, "1m",
	  "how long probes stay in a process" },
	{ "probes.rest", KEY_DURATION, AT(agent.probe_rest_ns), NS_PER_S, 24 * 3600 * NS_PER_S,
	  "10m", "until a process that is suspicious again gets probes again" },
	{ "listen", KEY_ADDRESS, AT(listen), 0, 0, "127.0.0.1:9464",
	  "where /metrics and the page for people are served; empty: nowhere" },
	{ "pprof", KEY_BOOL, AT(pprof), 0, 1, "false",
	  "serve profiles under /debug/pprof, taken when they are asked for" },
	{ "pprof_token", KEY_TOKEN, AT(pprof_token), 0, 0, "",
	  "who has this bearer token may ask for them from anywhere; empty: this machine alone" },
	{ "max_series", KEY_U32, AT(max_series), 100, 1000000, "10000",
	  "series of /metrics; more are left out and counted" },
	{ "max_sites", KEY_U32, AT(max_sites), 1, 100, "10",
	  "creation sites of a process with series of their own" },
	{ "labels", KEY_PAIRS, AT(labels), 0, 0, "", "labels of all series and resources" },
	{ "otlp.endpoint", KEY_URL, AT(otlp.endpoint), 0, 0, "",
	  "an OpenTelemetry collector, http://HOST:4318; empty: nothing is pushed" },
	{ "otlp.headers", KEY_PAIRS, AT(otlp.headers), 0, 0, "", "headers of its requests" },
	{ "otlp.interval", KEY_DURATION, AT(otlp.every_ns), NS_PER_S, 3600 * NS_PER_S, "1m",
	  "between two pushes of metrics" },
	{ "otlp.timeout", KEY_DURATION, AT(otlp.timeout_ns), NS_PER_S / 10, 300 * NS_PER_S, "10s",
	  "of one request" },
	{ "otlp.queue", KEY_BYTES, AT(otlp.queue_bytes), 1u << 20, 1u << 30, "8M",
	  "what waits for it at most; the oldest gives way" },
	{ "spool.dir", KEY_FOLDER, AT(spool.dir), 0, 0, SPOOL_DIR,
	  "snapshots of what has a finding of severity high or worse; empty: none are kept" },
	{ "spool.size", KEY_BYTES, AT(spool.max_bytes), 1u << 20, 1u << 30, "256M",
	  "all of them at most; the oldest give way" },
	{ "spool.interval", KEY_DURATION, AT(agent.keep_ns), NS_PER_S, 24 * 3600 * NS_PER_S, "10m",
	  "between two snapshots of one process" },
	{ NULL, KEY_BOOL, 0, 0, 0, NULL, NULL },
};

static void *member(struct host_config *c, const struct config_key *k)
{
	return (char *)c + k->offset;
}

const struct config_key *config_key_find(const char *name)
{
	for (const struct config_key *k = config_keys; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

const char *config_keep(struct host_config *c, const char *s, size_t n)
{
	char *copy;

	if (c->ntext >= TEXTS_MAX || array_room(&c->text, c->ntext, &c->text_cap, sizeof(*c->text)))
		return NULL;
	copy = strndup(s, n);
	if (copy)
		c->text[c->ntext++] = copy;
	return copy;
}

/* ---- scalars ---- */

static int bad(struct err *err, const char *key, const char *value, const char *want)
{
	err_set(err, -EINVAL, "'%s' is '%.80s'", key, value);
	err_hint(err, "%s", want);
	return -EINVAL;
}

static int duration(const struct config_key *k, const char *value, uint64_t *out, struct err *err)
{
	uint64_t ns;

	if (duration_parse(value, &ns))
		return bad(err, k->name, value, "a duration is wanted: 500ms, 5s, 2m, 1h");
	if (ns < k->min || ns > k->max) {
		char want[80];

		snprintf(want, sizeof(want), "from %gs to %gs", (double)k->min / 1e9,
			 (double)k->max / 1e9);
		return bad(err, k->name, value, want);
	}
	*out = ns;
	return 0;
}

static int number(const struct config_key *k, const char *value, uint64_t *out, struct err *err)
{
	size_t digits = strspn(value, "0123456789");
	char want[80];
	uint64_t v = 0;
	bool good = k->kind == KEY_BYTES ? !size_parse(value, &v)
					 : digits && !value[digits] && digits < 10;

	if (good && k->kind != KEY_BYTES)
		v = strtoull(value, NULL, 10);
	if (good && v >= k->min && v <= k->max) {
		*out = v;
		return 0;
	}
	if (k->kind == KEY_BYTES)
		snprintf(want, sizeof(want), "a size from 1M to 1G is wanted");
	else
		snprintf(want, sizeof(want), "a number from %llu to %llu is wanted",
			 (unsigned long long)k->min, (unsigned long long)k->max);
	return bad(err, k->name, value, want);
}

static int boolean(const struct config_key *k, const char *value, bool *out, struct err *err)
{
	bool yes = !strcmp(value, "true");

	if (!yes && strcmp(value, "false"))
		return bad(err, k->name, value, "true or false is wanted");
	*out = yes;
	return 0;
}

/* "127.0.0.1:9464", "[::]:9464": an address and a port. */
static bool is_address(const char *s)
{
	size_t host = *s == '[' ? strspn(s + 1, "0123456789abcdefABCDEF:.") + 2
				: strspn(s, "0123456789.");
	const char *port;
	size_t digits;

	if (host < 2 || (*s == '[' && s[host - 1] != ']') || s[host] != ':')
		return false;
	port = s + host + 1;
	digits = strspn(port, "0123456789");
	return digits && !port[digits] && digits < 6 && atoi(port) <= 65535;
}

static bool is_printed(const char *s)
{
	while (isgraph((unsigned char)*s))
		s++;
	return !*s;
}

static bool is_url(const char *s)
{
	size_t scheme = !strncmp(s, "http://", 7) ? 7 : !strncmp(s, "https://", 8) ? 8 : 0;

	if (!scheme || !s[scheme] || s[scheme] == '/')
		return false;
	return is_printed(s);
}

int config_scalar(struct host_config *c, const struct config_key *k, const char *value,
		  struct err *err)
{
	uint64_t v;
	int ret;

	switch (k->kind) {
	case KEY_DURATION:
		return duration(k, value, member(c, k), err);
	case KEY_BOOL:
		return boolean(k, value, member(c, k), err);
	case KEY_BYTES:
		return number(k, value, member(c, k), err);
	case KEY_SIZE:
	case KEY_U32:
		ret = number(k, value, &v, err);
		if (!ret && k->kind == KEY_SIZE)
			*(size_t *)member(c, k) = v;
		else if (!ret)
			*(uint32_t *)member(c, k) = (uint32_t)v;
		return ret;
	case KEY_ADDRESS:
		if (*value && !is_address(value))
			return bad(err, k->name, value,
				   "an address and a port are wanted: 127.0.0.1:9464, [::1]:9464");
		break;
	case KEY_URL:
		if (*value && !is_url(value))
			return bad(err, k->name, value,
				   "a URL is wanted: http://HOST:4318, https://HOST");
		break;
	case KEY_FOLDER:
		if (*value && *value != '/')
			return bad(err, k->name, value, "an absolute path is wanted");
		break;
	case KEY_TOKEN:
		if (!is_printed(value)) /* which is not said: it may be nearly the token */
			return bad(err, k->name, "…", "letters, digits and signs are wanted");
		break;
	case KEY_PAIRS:
	case KEY_RULES:
		return bad(err, k->name, value, "more than one value is wanted");
	}
	*(const char **)member(c, k) = config_keep(c, value, strlen(value));
	return *(const char **)member(c, k) ? 0 : -ENOMEM;
}

/* ---- pairs and rules ---- */

static bool is_label(const char *s)
{
	static const char *const ours[] = {
		"le", "state", "kind", "severity", "finding", "quantile"
	};

	if (!strncmp(s, "__", 2) || !strncmp(s, "service_", 8) || !strncmp(s, "k8s_", 4) ||
	    !strncmp(s, "code_", 5))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (!strcmp(s, ours[i]))
			return false;
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '_')
			return false;
	return true;
}

static bool is_header(const char *name, const char *value)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("!#$%&'*+-.^_`|~", *name))
			return false;
	for (; *value; value++)
		if (iscntrl((unsigned char)*value))
			return false;
	return true;
}

int config_pair_add(struct host_config *c, const struct config_key *k, const char *name,
		    const char *value, struct err *err)
{
	struct config_pairs *p = member(c, k);
	bool labels = k->offset == AT(labels);

	if (labels && !is_label(name))
		return bad(err, k->name, name,
			   "a label has letters, digits and '_', and is none of gospect's own");
	if (!labels && !is_header(name, value))
		return bad(err, k->name, name, "that is no header of HTTP");
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->pair[i].name, name))
			return bad(err, k->name, name, "it is there twice");
	if (p->n == CONFIG_MAX_PAIRS)
		return bad(err, k->name, name, "there are more than 32");
	p->pair[p->n].name = config_keep(c, name, strlen(name));
	p->pair[p->n].value = config_keep(c, value, strlen(value));
	if (!p->pair[p->n].name || !p->pair[p->n].value)
		return -ENOMEM;
	p->n++;
	return 0;
}

struct agent_rule *config_rule_add(struct host_config *c, struct err *err)
{
	struct agent_rule *r = &c->rule[c->agent.nrule];

	if (c->agent.nrule == AGENT_RULES_MAX) {
		err_set(err, -EINVAL, "'processes' has more than %d rules", AGENT_RULES_MAX);
		return NULL;
	}
	c->agent.nrule++;
	*r = (struct agent_rule){ .depth = DEPTH_WALK, .probes = PROBE_IF_SUSPECT };
	return r;
}

int config_rule_set(struct host_config *c, struct agent_rule *r, const char *name,
		    const char *value, struct err *err)
{
	const struct {
		const char *name;
		const char **at;
	} patterns[] = {
		{ "exe", &r->exe },
		{ "service", &r->service },
		{ "unit", &r->unit },
		{ "container", &r->container },
		{ "namespace", &r->k8s_namespace },
	};

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		if (!strcmp(name, patterns[i].name)) {
			if (!*value)
				return bad(err, name, value, "a pattern is wanted, as of a shell");
			*patterns[i].at = config_keep(c, value, strlen(value));
			return *patterns[i].at ? 0 : -ENOMEM;
		}
	if (strcmp(name, "depth")) {
		err_set(err, -EINVAL, "'%.80s' is no key of a rule", name);
		err_hint(err, "a rule has exe, service, container, namespace, unit, depth");
		return -EINVAL;
	}
	for (int d = 0; d < DEPTHS; d++)
		if (d != DEPTH_WAITING && !strcmp(value, depth_word[d])) {
			r->depth = d;
			r->probes = d == DEPTH_PROBES ? PROBE_ALWAYS : PROBE_NEVER;
			return 0;
		}
	return bad(err, name, value, "none, totals, walk or probes is wanted");
}

void config_list_begin(struct host_config *c, const struct config_key *k)
{
	if (k->kind == KEY_RULES)
		c->agent.nrule = 0;
	else
		((struct config_pairs *)member(c, k))->n = 0;
}

/* "a=b" */
static int pair_text(struct host_config *c, const struct config_key *k, struct agent_rule *r,
		     char *text, struct err *err)
{
	char *value = strchr(text, '=');

	if (!value)
		return bad(err, k->name, text, "name=value is wanted");
	*value++ = '\0';
	return r ? config_rule_set(c, r, text, value, err)
		 : config_pair_add(c, k, text, value, err);
}

/* "a=b,c=d": pairs, or one rule. */
static int pairs_text(struct host_config *c, const struct config_key *k, char *text,
		      struct err *err)
{
	struct agent_rule *r = NULL;
	char *save = NULL;
	int ret = 0;

	if (k->kind == KEY_RULES) {
		r = config_rule_add(c, err);
		if (!r)
			return -EINVAL;
	}
	for (char *s = strtok_r(text, ",", &save); s && !ret; s = strtok_r(NULL, ",", &save))
		ret = pair_text(c, k, r, s, err);
	return ret;
}

static int list_text(struct host_config *c, const struct config_key *k, const char *value,
		     struct err *err)
{
	char *copy = strdup(value), *save = NULL;
	int ret = 0;

	if (!copy)
		return -ENOMEM;
	config_list_begin(c, k);
	if (k->kind == KEY_PAIRS && *copy)
		ret = pairs_text(c, k, copy, err);
	else if (k->kind == KEY_RULES)
		for (char *s = strtok_r(copy, ";", &save); s && !ret;
		     s = strtok_r(NULL, ";", &save))
			ret = pairs_text(c, k, s, err);
	free(copy);
	return ret;
}

int config_set(struct host_config *c, const char *key, const char *value, struct err *err)
{
	const struct config_key *k = config_key_find(key);

	if (!k)
		return err_set(err, -EINVAL, "unknown key '%.80s'", key);
	return k->kind == KEY_PAIRS || k->kind == KEY_RULES ? list_text(c, k, value, err)
							    : config_scalar(c, k, value, err);
}

/* ---- a configuration ---- */

/* "otlp.endpoint": GOSPECT_HOST_OTLP_ENDPOINT */
static const char *variable(const struct config_key *k, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "GOSPECT_HOST_%s", k->name);

	for (size_t i = 0; i < n && i < size; i++)
		out[i] = out[i] == '.' ? '_' : (char)toupper((unsigned char)out[i]);
	return out;
}

static int defaults(struct host_config *c, struct err *err)
{
	int ret = 0;

	c->agent = agent_config_default();
	c->agent.rule = c->rule;
	for (const struct config_key *k = config_keys; k->name && !ret; k++)
		ret = config_set(c, k->name, k->standard, err);
	return ret;
}

static int environment(struct host_config *c, struct err *err)
{
	char name[80];

	for (const struct config_key *k = config_keys; k->name; k++) {
		const char *value = getenv(variable(k, name, sizeof(name)));
		struct err why = { 0 };
		int ret = value ? config_set(c, k->name, value, &why) : 0;

		if (ret) {
			err_set(err, ret, "%s: %s", name, why.what);
			err_hint(err, "%s", why.hint);
			return ret;
		}
	}
	return 0;
}

int config_load(struct host_config **out, const char *file, struct err *err)
{
	struct host_config *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return err_set(err, -ENOMEM, "no memory for the configuration");
	ret = defaults(c, err);
	if (!ret && file)
		ret = config_file(c, file, err);
	if (!ret)
		ret = environment(c, err);
	if (ret) {
		if (ret == -ENOMEM)
			err_set(err, ret, "no memory for the configuration");
		config_free(c);
		return ret;
	}
	*out = c;
	return 0;
}

void config_free(struct host_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->ntext; i++)
		free(c->text[i]);
	free(c->text);
	free(c);
}

void config_help(FILE *f)
{
	char name[80];

	for (const struct config_key *k = config_keys; k->name; k++)
		fprintf(f, "  %-16s %-29s %s%s%s%s\n", k->name, variable(k, name, sizeof(name)),
			k->help, *k->standard ? " (" : "", k->standard, *k->standard ? ")" : "");
}
